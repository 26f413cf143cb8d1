"""Augmentation of volumes that keeps image and words consistent; see `augment` for the three kinds and their meaning.

What volumes add: a batch is a crop, so the pseudo-image, made over the whole volume, is seen through the crop's window;
turns and zooms are those of the patient in millimeters, smaller across thick slices; and volumes that lost their
orientation are turned as a whole, exactly, because any turn of them is as true.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from TextGuidedSegLib.mirroring import mirrored_words
from training.datasets.volume_sample import VolumeBatch
from training.deformation import displaced, sample_deformation


@dataclasses.dataclass(frozen=True)
class VolumeAugmentationConfig:
    """Ranges; probabilities in [0, 1], angles in degrees, shifts in fractions of the crop.

    Attributes:
        mirror: Probability that image and words are mirrored.
        cowarp: Probability of a common warp of image, pseudo-image and mask.
        cowarp_degrees: Largest rotation of it about each axis.
        cowarp_shift: Largest shift of it.
        cowarp_zoom: Largest enlargement; the largest reduction is its inverse.
        pose: Probability of a change of pose of the image alone.
        pose_degrees: Largest rotation of it about each axis.
        pose_shift: Largest shift of it.
        pose_zoom: Largest enlargement of each axis.
        deform: Probability of a smooth deformation of the image alone, see `training.deformation`.
        deform_share: Largest displacement of it, in distances between control points.
        half_turn: Probability that a batch of volumes without orientation is turned by half about its last axis.
        any_turn: Probability that it is turned to any of its other 22 positions.
        photometric: Probability of a change of contrast, brightness, gamma, coil field, blur and noise.
    """

    mirror: float = 0.5
    cowarp: float = 0.3
    cowarp_degrees: float = 12.0
    cowarp_shift: float = 0.08
    cowarp_zoom: float = 1.15
    pose: float = 0.7
    pose_degrees: float = 15.0
    pose_shift: float = 0.08
    pose_zoom: float = 1.25
    deform: float = 0.0
    deform_share: float = 0.15
    half_turn: float = 0.4
    any_turn: float = 0.2
    photometric: float = 0.7


class Turn(NamedTuple):
    """An exact turn of an array.

    Attributes:
        order: For each new axis the old axis it comes from.
        flips: For each new axis whether it runs against the old one.
    """

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]


class Augmented(NamedTuple):
    """What a step trains on, of films or volumes.

    Attributes:
        image: `(B, C, *shape)`.
        target: `(B, 1, *shape)` warped mask in [0, 1].
        pseudo_target: `(B, 1, *shape)` mask of the whole film or volume in the canonical frame.
        warp: `(B, *shape, D)` where in that whole each place of the image lies, for the pseudo-image.
        words: B phrases.
        painted: `(B,)` bool: samples that teach the pseudo-image where things are.
    """

    image: Tensor
    target: Tensor
    pseudo_target: Tensor
    warp: Tensor
    words: list[str]
    painted: Tensor


def augmented_volumes(batch: VolumeBatch, config: VolumeAugmentationConfig, generator: torch.Generator) -> Augmented:
    """Draw and apply the changes of one batch; equal generator states make equal changes."""
    turn = sample_turn(config, generator)
    if turn is not None and not batch.oriented.any():
        batch = turned(batch, turn)
    else:
        turn = None
    count = len(batch.phrases)
    is_mirrored = torch.rand(count, generator=generator) < config.mirror
    batch = mirrored(batch, is_mirrored)
    image, target = batch.image, batch.mask
    shape = (image.shape[2], image.shape[3], image.shape[4])
    pose = sample_affine(batch.spacing_mm, shape, generator, probability=config.pose, degrees=config.pose_degrees,
                         shift=config.pose_shift, zoom=config.pose_zoom)  # fmt: skip
    cowarp = sample_affine(batch.spacing_mm, shape, generator, probability=config.cowarp, degrees=config.cowarp_degrees,
                           shift=config.cowarp_shift, zoom=config.cowarp_zoom)  # fmt: skip
    deformation = sample_deformation(count, 3, generator, probability=config.deform, share=config.deform_share)
    if config.pose or config.cowarp or config.deform:
        # The patient poses first and the volume is warped after: image(pose(cowarp(x))), pseudo-image(cowarp(x)).
        grid = displaced(volume_grid(cowarp @ pose, shape), deformation)
        # Outside the volume lies 0, its mean, as beyond the end of a window that is padded at inference.
        image, target = (functional.grid_sample(each, grid, align_corners=False) for each in (image, target))
    words = [
        mirrored_words(text) if flip else text for text, flip in zip(batch.phrases, is_mirrored.tolist(), strict=True)
    ]
    return Augmented(
        image=photometric_volume(image, config, generator),
        target=target,
        pseudo_target=batch.frame_mask,
        warp=through_window(volume_grid(cowarp, shape), batch.window),
        words=words,
        # What is mirrored or turned is not where it is in patients.
        painted=batch.pointed & ~is_mirrored & (turn is None),
    )


HALF_TURN = Turn((0, 1, 2), (True, True, False))
"""About the last canonical axis, which runs from the feet to the head."""

_NO_TURN = Turn((0, 1, 2), (False, False, False))


def sample_turn(config: VolumeAugmentationConfig, generator: torch.Generator) -> Turn | None:
    """A turn for a batch whose volumes say nothing about their orientation, or None."""
    chance, number = torch.rand(2, generator=generator).tolist()
    if chance < config.half_turn:
        return HALF_TURN
    others = [turn for turn in turns() if turn not in (HALF_TURN, _NO_TURN)]
    return others[int(number * len(others))] if chance < config.half_turn + config.any_turn else None


def turns() -> tuple[Turn, ...]:
    """The 24 positions of a box that no mirror is needed for."""
    found = []
    for first, second, third in itertools.permutations(range(3)):
        inversions = (first > second) + (first > third) + (second > third)
        for one, two, three in itertools.product((False, True), repeat=3):
            if (inversions + one + two + three) % 2 == 0:
                found.append(Turn((first, second, third), (one, two, three)))
    return tuple(found)


def turned(batch: VolumeBatch, turn: Turn) -> VolumeBatch:
    """The whole batch with its volumes in another position; crops, windows and voxel sizes go along."""
    flips = [axis + 2 for axis, flipped in enumerate(turn.flips) if flipped]

    def array(tensor: Tensor) -> Tensor:
        return tensor.permute(0, 1, *(axis + 2 for axis in turn.order)).flip(flips)

    window = batch.window[:, list(turn.order)]
    against = torch.tensor(turn.flips)[:, None]
    return dataclasses.replace(
        batch,
        image=array(batch.image),
        mask=array(batch.mask),
        frame_mask=array(batch.frame_mask),
        window=torch.where(against, -window.flip(2), window),
        spacing_mm=batch.spacing_mm[:, list(turn.order)],
    )


def mirrored(batch: VolumeBatch, chosen: Tensor) -> VolumeBatch:
    """Mirror the chosen samples, `(B,)` bool, left to right: the first axis of the canonical frame."""

    def array(tensor: Tensor) -> Tensor:
        return torch.where(chosen.view(-1, 1, 1, 1, 1), tensor.flip(2), tensor)

    first = torch.where(chosen[:, None], -batch.window[:, 0].flip(1), batch.window[:, 0])
    return dataclasses.replace(
        batch,
        image=array(batch.image),
        mask=array(batch.mask),
        frame_mask=array(batch.frame_mask),
        window=torch.cat([first[:, None], batch.window[:, 1:]], dim=1),
    )


def volume_grid(affine: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Sampling grid for `grid_sample`.

    Args:
        affine: `(B, 4, 4)` from `sample_affine`.
        shape: `(I, J, K)` of the crop.

    Returns:
        `(B, I, J, K, 3)`, the last array axis first.
    """
    matrix = affine[:, :, :3].transpose(1, 2)  # (B, 3, 4) for column vectors
    reverse = torch.cat([matrix[:, :, :3].flip(2), matrix[:, :, 3:]], dim=2).flip(1)
    return functional.affine_grid(reverse, [len(affine), 1, *shape], align_corners=False)


def through_window(grid: Tensor, window: Tensor) -> Tensor:
    """Places of a crop as places of the whole volume.

    Args:
        grid: `(B, I, J, K, 3)` from -1 to 1 over the crop, the last array axis first.
        window: `(B, 3, 2)` borders of the crop in the whole volume.
    """
    borders = window.flip(1)[:, None, None, None]  # as the grid orders the axes
    low, high = borders.unbind(dim=-1)
    return (low + high) / 2 + grid * (high - low) / 2


def photometric_volume(image: Tensor, config: VolumeAugmentationConfig, generator: torch.Generator) -> Tensor:
    """Change contrast, brightness, gamma, the receiving coil's field, blur and noise.

    Args:
        image: `(B, 1, I, J, K)` float32, normalized.
        config: Probability.
        generator: Source of the choice.
    """

    def uniform(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(len(image), generator=generator)).view(-1, 1, 1, 1, 1)

    active = uniform(0, 1) < config.photometric
    low, high = image.amin(dim=(1, 2, 3, 4), keepdim=True), image.amax(dim=(1, 2, 3, 4), keepdim=True)
    unit = ((image - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    changed = unit ** uniform(-0.4, 0.4).exp() * (high - low) + low
    coarse = torch.rand(len(image), 1, 3, 3, 3, generator=generator) - 0.5
    field = functional.interpolate(coarse, size=image.shape[2:], mode="trilinear", align_corners=True)
    changed = (changed - low) * (1 + uniform(0.0, 0.8) * field) + low
    changed = changed * uniform(0.8, 1.25) + uniform(-0.3, 0.3)
    blurred = functional.avg_pool3d(changed, 3, stride=1, padding=1, count_include_pad=False)
    changed = torch.where(uniform(0, 1) < 0.15, blurred, changed)
    noise = torch.randn(image.shape, generator=generator) * uniform(0.0, 0.2) * (uniform(0, 1) < 0.4)
    return torch.where(active, changed + noise, image)


def sample_affine(
    spacing_mm: Tensor,
    shape: tuple[int, int, int],
    generator: torch.Generator,
    *,
    probability: float,
    degrees: float,
    shift: float,
    zoom: float,
) -> Tensor:
    """Draw rotations and zooms in millimeters, then a shift.

    Args:
        spacing_mm: `(B, 3)`.
        shape: `(I, J, K)` of the crop.
        generator: Source of the choice.
        probability: Of any change at all.
        degrees: Largest rotation about each axis.
        shift: Largest shift, in fractions of the crop.
        zoom: Largest enlargement.

    Returns:
        `(B, 4, 4)` from the output place to the input place, for row vectors (`place @ affine`) in array order that
        reach from -1 to 1 over the crop.
    """
    batch = len(spacing_mm)

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(batch, *shape, generator=generator) - 1

    matrix = torch.eye(4).repeat(batch, 1, 1)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        # Turned out of its plane, a stack of thick slices would lose what lies between them.
        sizes = spacing_mm[:, [one, other]]
        angle = uniform() * math.radians(degrees) * sizes.amin(dim=1) / sizes.amax(dim=1)
        turn = torch.eye(4).repeat(batch, 1, 1)
        turn[:, one, one] = turn[:, other, other] = angle.cos()
        turn[:, one, other], turn[:, other, one] = angle.sin(), -angle.sin()
        matrix = matrix @ turn
    # The aspect ratio changes by up to half the common zoom.
    scale = (math.log(zoom) * (uniform(1) + uniform(3) / 2)).exp()
    half = torch.tensor(shape, dtype=torch.float32) * spacing_mm / 2  # mm, of the crop
    matrix[:, :3, :3] = matrix[:, :3, :3] * scale[:, None, :] * half[:, :, None] / half[:, None, :]
    matrix[:, 3, :3] = 2 * shift * uniform(3)
    active = torch.rand(batch, generator=generator) < probability
    return torch.where(active[:, None, None], matrix, torch.eye(4))
