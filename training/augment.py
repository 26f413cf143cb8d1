"""Augmentation that keeps image and words consistent: random choice and deterministic action are two functions.

Three kinds of geometric change, with three different meanings for the words:

* **co-warp**: image, pseudo-image and mask move together (the published early fusion); the words stay as they are.
* **pose**: image and mask move, the pseudo-image does not: a patient who stands differently. The words stay true (a
  film turned by 15 degrees still has its left lung), and the network learns to follow the anatomy, not the pixels.
* **mirror**: image and mask are mirrored and the side words swapped; the pseudo-image follows from the new words.

A mirror changes the anatomy, unlike a reorientation, which changes array and affine (`TextGuidedSegLib.geometry`).
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor
from torch.nn import functional

from training.deformation import displaced, sample_deformation

# Largest change of a channel's gain and of the saturation: white, yellow and pink polyps stay what their captions say.
_TINT, _SATURATION = 0.1, 0.3


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """Ranges; probabilities in [0, 1], angles in degrees, shifts in fractions of the image.

    Attributes:
        mirror: Probability that image and words are mirrored.
        cowarp: Probability of a common warp of image, pseudo-image and mask.
        cowarp_flip: Probability that such a warp contains a flip.
        cowarp_degrees: Largest rotation of it.
        cowarp_shift: Largest shift of it.
        cowarp_zoom: Largest enlargement; the largest reduction is its inverse.
        pose: Probability of a change of pose of the image alone.
        pose_degrees: Largest rotation of it.
        pose_shift: Largest shift of it.
        pose_zoom: Largest enlargement of each axis.
        deform: Probability of a smooth deformation of the image alone, see `training.deformation`.
        deform_share: Largest displacement of it, in distances between control points.
        photometric: Probability of a change of contrast, brightness, gamma, blur and noise.
        style: Probability of another hospital's look, see `training.style`.
        fuse_before: Words are fused with the image before the co-warp, which is the point of early fusion. False, for
            comparison only, fuses after it: image and mask are warped, what the words say is not.
    """

    mirror: float = 0.5
    cowarp: float = 0.4
    cowarp_flip: float = 0.5
    cowarp_degrees: float = 30.0
    cowarp_shift: float = 0.12
    cowarp_zoom: float = 1.3
    pose: float = 0.6
    pose_degrees: float = 20.0
    pose_shift: float = 0.18
    pose_zoom: float = 1.25
    deform: float = 0.0
    deform_share: float = 0.15
    photometric: float = 0.7
    style: float = 0.0
    fuse_before: bool = True


@dataclasses.dataclass(frozen=True)
class WarpParams:
    """One batch's geometric changes.

    Attributes:
        mirrored: `(B,)` bool; the loader swaps the side words of these samples.
        pose: `(B, 2, 3)` affine of the output position to the input position of image and mask.
        cowarp: `(B, 2, 3)` the same for image, pseudo-image and mask together.
        deformation: `(B, 2, 5, 5)` displacements of image and mask that belong to the pose; None for none.
    """

    mirrored: Tensor
    pose: Tensor
    cowarp: Tensor
    deformation: Tensor | None = None


def sample_warps(batch: int, config: AugmentationConfig, generator: torch.Generator) -> WarpParams:
    """Draw the geometric changes of a batch; equal generator states draw equal changes."""
    mirrored = torch.rand(batch, generator=generator) < config.mirror
    pose = _random_affine(
        batch, generator, probability=config.pose, degrees=config.pose_degrees, shift=config.pose_shift,
        zoom=config.pose_zoom, flip=0.0,
    )  # fmt: skip
    cowarp = _random_affine(
        batch, generator, probability=config.cowarp, degrees=config.cowarp_degrees, shift=config.cowarp_shift,
        zoom=config.cowarp_zoom, flip=config.cowarp_flip,
    )  # fmt: skip
    deformation = sample_deformation(batch, 2, generator, probability=config.deform, share=config.deform_share)
    return WarpParams(mirrored, pose, cowarp, deformation)


def _random_affine(
    batch: int,
    generator: torch.Generator,
    *,
    probability: float,
    degrees: float,
    shift: float,
    zoom: float,
    flip: float,
) -> Tensor:
    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, generator=generator)

    angle = uniform(-degrees, degrees) * math.pi / 180
    log_zoom = math.log(zoom)
    # x: last array axis, y: first one, as grid_sample orders them; the aspect ratio changes by up to half the zoom.
    scale_x = uniform(-log_zoom, log_zoom)
    scale_y = (scale_x + uniform(-log_zoom, log_zoom) / 2).exp()
    scale_x = scale_x.exp()
    sign_y = 1 - 2 * (torch.rand(batch, generator=generator) < flip).float()
    shift_x, shift_y = uniform(-2 * shift, 2 * shift), uniform(-2 * shift, 2 * shift)
    cos, sin = angle.cos(), angle.sin()
    affine = torch.stack(
        [
            torch.stack([cos / scale_x, -sin / scale_x, shift_x], dim=1),
            torch.stack([sign_y * sin / scale_y, sign_y * cos / scale_y, shift_y], dim=1),
        ],
        dim=1,
    )
    active = torch.rand(batch, generator=generator) < probability
    identity = torch.eye(2, 3).expand(batch, 2, 3)
    return torch.where(active[:, None, None], affine, identity)


def without_pose(params: WarpParams, picture: Tensor) -> WarpParams:
    """Changes in which the chosen samples keep their pose: their words name places of the picture.

    Args:
        params: What `sample_warps` drew.
        picture: `(B,)` bool.
    """
    pose = torch.where(picture[:, None, None], torch.eye(2, 3), params.pose)
    deformation = None if params.deformation is None else params.deformation * ~picture[:, None, None, None]
    return dataclasses.replace(params, pose=pose, deformation=deformation)


def fused_after(params: WarpParams) -> WarpParams:
    """The same changes of image and mask, none of them shared by the pseudo-image."""
    still = torch.eye(2, 3).expand_as(params.cowarp)
    return dataclasses.replace(params, pose=compose(params.cowarp, params.pose), cowarp=still)


def mirror(array: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror the chosen samples left to right: axis I of `(B, C, I, J)` in the canonical film frame."""
    return torch.where(mirrored[:, None, None, None], array.flip(2), array)


def warp_grid(affine: Tensor, shape: tuple[int, int]) -> Tensor:
    """Sampling grid `(B, I, J, 2)` for `grid_sample`.

    Args:
        affine: `(B, 2, 3)`, in units of half of the longer side on both axes, so that a turn shears no film.
        shape: `(I, J)` of the film.
    """
    # grid_sample measures each axis by its own half width, the last one first.
    width = torch.tensor([shape[1], shape[0], max(shape)], dtype=affine.dtype, device=affine.device) / max(shape)
    scaled = affine * width / width[:2, None]
    return functional.affine_grid(scaled, [affine.shape[0], 1, *shape], align_corners=False)


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """`(B, 2, 3)` affine that looks up `outer` first and `inner` at the place found: inner(outer(x))."""
    linear = inner[:, :, :2] @ outer[:, :, :2]
    offset = inner[:, :, :2] @ outer[:, :, 2:] + inner[:, :, 2:]
    return torch.cat([linear, offset], dim=2)


def apply_warps(image: Tensor, mask: Tensor, params: WarpParams) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Apply one batch's changes.

    Args:
        image: `(B, C, I, J)` float32, normalized.
        mask: `(B, 1, I, J)` float32 in {0, 1}.
        params: What `sample_warps` drew.

    Returns:
        Warped image; warped mask (bilinear, in [0, 1]); the mirrored but otherwise unwarped mask, which is what the
        pseudo-image should predict; the co-warp's grid for the pseudo-image.
    """
    shape = (image.shape[2], image.shape[3])
    image, mask = mirror(image, params.mirrored), mirror(mask, params.mirrored)
    # The patient poses first and the film is warped after: image(pose(cowarp(x))), pseudo-image(cowarp(x)).
    grid = displaced(warp_grid(compose(params.cowarp, params.pose), shape), params.deformation)
    # Outside the film is black, as on a film that was moved: the lowest grey value, not the mean.
    floor = image.amin(dim=(2, 3), keepdim=True)
    warped = functional.grid_sample(image - floor, grid, align_corners=False) + floor
    warped_mask = functional.grid_sample(mask, grid, align_corners=False)
    return warped, warped_mask, mask, warp_grid(params.cowarp, shape)


def photometric(
    image: Tensor, config: AugmentationConfig, generator: torch.Generator, *, colors: bool = True
) -> Tensor:
    """Change contrast, brightness, gamma, blur and noise of the measured channels; never of the pseudo-image.

    Color films change their white balance and saturation, too; a film that is grey in all its channels stays so.

    Args:
        image: `(B, C, I, J)` float32, normalized.
        config: Probability.
        generator: Source of the choice.
        colors: Several channels are colors; otherwise they are slices, each with its own noise.
    """
    batch = image.shape[0]

    def uniform(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(batch, generator=generator))[:, None, None, None]

    active = torch.rand(batch, generator=generator)[:, None, None, None] < config.photometric
    low, high = image.amin(dim=(1, 2, 3), keepdim=True), image.amax(dim=(1, 2, 3), keepdim=True)
    unit = (image - low) / (high - low).clamp_min(1e-6)
    changed = unit.clamp(0, 1) ** uniform(-0.5, 0.5).exp() * (high - low) + low
    changed = changed * uniform(0.75, 1.3) + uniform(-0.3, 0.3)
    blurred = functional.avg_pool2d(changed, 3, stride=1, padding=1, count_include_pad=False)
    changed = torch.where(uniform(0, 1) < 0.2, blurred, changed)
    noise = torch.randn(image.shape, generator=generator) * uniform(0.0, 0.15) * (uniform(0, 1) < 0.4)
    if colors and image.shape[1] > 1:
        has_color = (image != image[:, :1]).flatten(1).any(dim=1)[:, None, None, None]
        noise = torch.where(has_color, noise, noise[:, :1])
        changed = torch.where(has_color, _tinted(changed, low, generator), changed)
    return torch.where(active, changed + noise, image)


def _tinted(image: Tensor, black: Tensor, generator: torch.Generator) -> Tensor:
    """Another white balance and saturation of `(B, C, I, J)`; `black`, `(B, 1, 1, 1)`, stays black."""
    batch, channels = image.shape[:2]
    gain = 1 + _TINT * (2 * torch.rand(batch, channels, 1, 1, generator=generator) - 1)
    saturation = 1 + _SATURATION * (2 * torch.rand(batch, 1, 1, 1, generator=generator) - 1)
    light = (image - black) * gain
    grey = light.mean(dim=1, keepdim=True)
    return grey + saturation * (light - grey) + black
