"""Segmentation and pseudo-image losses: logits in, one number and its parts out."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional

from TextGuidedSegLib.guidance import averaged
from TextGuidedSegLib.network import NetworkOutput
from TextGuidedSegLib.symmetric_alignment import Plan
from training.contrast import ContrastConfig, contrast_loss
from training.distributed import ALONE, Workers

# Pixels added to both sides of the Dice ratio, as a fraction of the image: an empty target then has a useful gradient
# (any false pixel costs) instead of a constant loss of 1.
_SMOOTH = 5e-4
_OUTSIDE_LEVEL = 1  # regions are smooth: the next to finest level tells as much as the finest
_LEAST_MASS = 1e-4  # of the image: a plan that misses a target altogether still has a finite loss


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Weights of the parts; those of a method that the network does not have count for nothing.

    Attributes:
        dice: Soft Dice per image.
        cross_entropy: Binary cross-entropy with logits.
        pseudo: Weight of the pseudo-image's own Dice + cross-entropy (the published early fusion has 0.1 of an L1).
        plan: Mass that words send outside their target, and target that they leave to the dustbin, symmetric alignment.
        outside: Probability outside the region that the words name, symmetric alignment.
        contrast: Contrastive loss, contrastive alignment.
        similarity: Cross-entropy of the maps of where words match, contrastive alignment.
        presence: Cross-entropy of the head that says whether there is anything.
        contrast_config: Numbers of the contrastive loss.
    """

    dice: float = 1.0
    cross_entropy: float = 1.0
    pseudo: float = 0.3
    plan: float = 0.1
    outside: float = 0.1
    contrast: float = 0.1
    similarity: float = 0.05
    presence: float = 0.2
    contrast_config: ContrastConfig = dataclasses.field(default_factory=ContrastConfig)


@dataclasses.dataclass(frozen=True, eq=False)
class Truth:
    """What a batch is compared with.

    Attributes:
        target: `(B, 1, *shape)` warped mask in [0, 1].
        pseudo_target: `(B, 1, *shape)` mask in the canonical frame.
        phrases: B phrases as the network heard them.
        pointed: `(B,)` bool: samples whose words point at their target. Not those with a phrase for what is absent:
            the words point there whether or not something is.
        painted: `(B,)` bool: those of them that teach the pseudo-image where things are.
    """

    target: Tensor
    pseudo_target: Tensor
    phrases: tuple[str, ...]
    pointed: Tensor
    painted: Tensor


def soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - Dice of each image.

    Args:
        logits: `(B, 1, *shape)` float32.
        target: Same shape, in [0, 1].

    Returns:
        `(B,)` in [0, 1]; 0 for an empty prediction of an empty target.
    """
    axes = tuple(range(1, logits.ndim))
    probability = logits.sigmoid()
    smooth = _SMOOTH * logits[0].numel()
    overlap = 2 * (probability * target).sum(axes) + smooth
    return 1 - overlap / (probability.sum(axes) + target.sum(axes) + smooth)


def cross_entropy_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean binary cross-entropy of each image, `(B,)`."""
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return each.flatten(1).mean(dim=1)


def total_loss(
    output: NetworkOutput, truth: Truth, config: LossConfig, workers: Workers = ALONE
) -> tuple[Tensor, dict[str, float]]:
    """Weighted sum of the parts that the output has.

    Args:
        output: What the network returned.
        truth: What it should have.
        config: Weights.
        workers: Processes that share the batch.

    Returns:
        This process's part of the loss, whose mean over the processes is the batch's; and the batch's unweighted parts
        for the log, with the sum as `loss`.
    """
    parts = {
        "dice": soft_dice_loss(output.logits, truth.target).mean(),
        "cross_entropy": cross_entropy_loss(output.logits, truth.target).mean(),
    }
    if output.pseudo_logits is not None:
        occupancy = output.pseudo_logits[:, :1]
        each = soft_dice_loss(occupancy, truth.pseudo_target) + cross_entropy_loss(occupancy, truth.pseudo_target)
        parts["pseudo"] = _mean_of(each, truth.painted, workers)
    target = _padded(truth.target, output.padded_shape)  # what features cover
    if output.spatial is not None:
        each = torch.stack([plan_loss(plan, target) for plan in output.spatial.plans]).mean(dim=0)
        parts["plan"] = _mean_of(each, truth.pointed & (truth.target.flatten(1).amax(dim=1) > 0.5), workers)
        logits = _padded(output.logits, output.padded_shape, -torch.inf)
        each = outside_loss(logits, output.spatial.regions[_OUTSIDE_LEVEL])
        parts["outside"] = _mean_of(each, truth.pointed, workers)
    if output.matches:
        parts["contrast"] = contrast_loss(
            output.matches, target, truth.phrases, valid=truth.pointed, config=config.contrast_config,
            workers=workers,
        )  # fmt: skip
    if output.map_logits:
        each = torch.stack(
            [cross_entropy_loss(logits, averaged(target, logits.shape[2:])) for logits in output.map_logits]
        )
        parts["similarity"] = each.mean()
    if output.presence_logits is not None:
        there = (truth.target.flatten(1).amax(dim=1) > 0.5).float()
        parts["presence"] = functional.binary_cross_entropy_with_logits(output.presence_logits, there)
    loss = torch.stack([getattr(config, name) * part for name, part in parts.items()]).sum()
    return loss, workers.averaged({name: part.item() for name, part in (*parts.items(), ("loss", loss))})


def plan_loss(plan: Plan, target: Tensor) -> Tensor:
    """-log of the share of the words' mass that lies on the target, and of the share of the target that words receive.

    Either alone has an easy way out: words that claim next to nothing are all on target, and words that claim the
    whole image receive all of it.

    Args:
        plan: Transport plan; its units without the dustbin are supervised.
        target: `(B, 1, *shape)` mask in [0, 1], not empty where the result is used.

    Returns:
        `(B,)`, not negative.
    """
    inside = averaged(target, plan.grid).flatten(1)  # (B, N)
    words = plan.mass[:, :, 1:]
    sent, hit = words.sum(dim=1), (words * inside[:, :, None]).sum(dim=1)  # (B, K)
    valid = plan.mask[:, 1:].float()
    each = -((hit + _LEAST_MASS) / (sent + _LEAST_MASS)).log()
    on_target = (each * valid).sum(dim=1) / valid.sum(dim=1).clamp_min(1)
    # What plans leave unbalanced may exceed the target's mass by a thousandth: no reward for that.
    share = (hit.sum(dim=1) + _LEAST_MASS) / (inside.mean(dim=1) + _LEAST_MASS)
    return (on_target - share.clamp_max(1).log()) / 2


def outside_loss(logits: Tensor, region: Tensor) -> Tensor:
    """Mean probability outside the region that the words name, `(B,)`; zero for a phrase without a direction.

    Args:
        logits: `(B, 1, *shape)`.
        region: `(B, 1, *grid)` in [0, 1].
    """
    probability = averaged(logits.sigmoid(), region.shape[2:])
    return (probability * (1 - region)).flatten(1).mean(dim=1)


def _padded(maps: Tensor, shape: tuple[int, ...], value: float = 0.0) -> Tensor:
    """`(B, 1, *shape)` with a value after the end of each axis, as the network pads its input."""
    missing = [large - small for small, large in zip(maps.shape[2:], shape, strict=bool(shape))]
    return functional.pad(maps, [pad for after in reversed(missing) for pad in (0, after)], value=value)


def _mean_of(each: Tensor, chosen: Tensor, workers: Workers) -> Tensor:
    return (each * chosen).sum() / workers.mean_count(chosen)


def parts_are_finite(parts: dict[str, float]) -> bool:
    """Whether every logged part is a number; a run that has diverged should stop, not overwrite its checkpoint."""
    return all(torch.isfinite(torch.tensor(value)) for value in parts.values())
