"""Segmentation and pseudo-image losses: logits in, one number and its parts out."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional

# Pixels added to both sides of the Dice ratio, as a fraction of the image: an empty target then has a useful gradient
# (any false pixel costs) instead of a constant loss of 1.
_SMOOTH = 5e-4


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Weights of the parts.

    Attributes:
        dice: Soft Dice per image.
        cross_entropy: Binary cross-entropy with logits.
        pseudo: Weight of the pseudo-image's own Dice + cross-entropy (the published early fusion has 0.1 of an L1).
    """

    dice: float = 1.0
    cross_entropy: float = 1.0
    pseudo: float = 0.3


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
    logits: Tensor, target: Tensor, pseudo_logits: Tensor, pseudo_target: Tensor, *, pointed: Tensor, config: LossConfig
) -> tuple[Tensor, dict[str, float]]:
    """Weighted sum of all parts.

    Args:
        logits: `(B, 1, *shape)` segmentation.
        target: `(B, 1, *shape)` warped mask in [0, 1].
        pseudo_logits: `(B, P, *shape)`; channel 0 is compared.
        pseudo_target: `(B, 1, *shape)` mask in the canonical frame.
        pointed: `(B,)` bool: samples whose words point at their target. Not those with a phrase for what is absent:
            the pseudo-image shows where the words point, whether or not something is there.
        config: Weights.

    Returns:
        The loss and its unweighted parts for the log.
    """
    dice = soft_dice_loss(logits, target).mean()
    entropy = cross_entropy_loss(logits, target).mean()
    occupancy = pseudo_logits[:, :1]
    each = soft_dice_loss(occupancy, pseudo_target) + cross_entropy_loss(occupancy, pseudo_target)
    pseudo = (each * pointed).sum() / pointed.sum().clamp_min(1)
    loss = config.dice * dice + config.cross_entropy * entropy + config.pseudo * pseudo
    return loss, {"dice": dice.item(), "cross_entropy": entropy.item(), "pseudo": pseudo.item(), "loss": loss.item()}


def parts_are_finite(parts: dict[str, float]) -> bool:
    """Whether every logged part is a number; a run that has diverged should stop, not overwrite its checkpoint."""
    return all(torch.isfinite(torch.tensor(value)) for value in parts.values())
