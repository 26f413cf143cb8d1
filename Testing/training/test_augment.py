"""Laws of the augmentation: what moves together, what stays, and what a mirror does to the words."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from training.augment import (
    AugmentationConfig,
    WarpParams,
    apply_warps,
    compose,
    mirror,
    photometric,
    sample_warps,
    warp_grid,
)

B, SIZE = 6, 32
IDENTITY = torch.eye(2, 3).expand(B, 2, 3)
NEVER = torch.zeros(B, dtype=torch.bool)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(size: tuple[int, int] = (SIZE, SIZE), channels: int = 1) -> Tensor:
    """Noise whose lowest value is 0, so that black and the outside of a film are the same number."""
    image = torch.rand(B, channels, *size, generator=generator(5))
    return image - image.amin(dim=(2, 3), keepdim=True)


def affine(degrees: float = 0.0, zoom: float = 1.0, shift: tuple[float, float] = (0, 0), flip: bool = False) -> Tensor:
    """`(B, 2, 3)` of one change; the flip is along I, shifts are in half image widths along J and I."""
    cos, sin = math.cos(math.radians(degrees)) / zoom, math.sin(math.radians(degrees)) / zoom
    sign = -1 if flip else 1
    return torch.tensor([[cos, -sin, shift[0]], [sign * sin, sign * cos, shift[1]]]).expand(B, 2, 3)


def lookup(image: Tensor, change: Tensor) -> Tensor:
    return functional.grid_sample(image, warp_grid(change, tuple(image.shape[2:])), align_corners=False)


@pytest.mark.parametrize("seed", range(4))
def test_a_common_warp_moves_a_pseudo_image_exactly_as_the_image(seed: int) -> None:
    image = picture()
    cowarp = sample_warps(B, AugmentationConfig(cowarp=1.0), generator(seed)).cowarp
    warped, _, _, grid = apply_warps(image, image, WarpParams(NEVER, IDENTITY, cowarp))
    assert torch.equal(warped, functional.grid_sample(image, grid, align_corners=False))
    assert not torch.equal(warped, image)


def test_a_pose_moves_image_and_mask_but_not_the_pseudo_image() -> None:
    image = picture()
    pose = affine(degrees=15, shift=(0.2, -0.1))
    warped, mask, target, grid = apply_warps(image, image, WarpParams(NEVER, pose, IDENTITY))
    assert torch.allclose(warped, lookup(image, pose))
    assert torch.equal(mask, warped)
    assert torch.equal(target, image)
    assert torch.allclose(functional.grid_sample(image, grid, align_corners=False), image, atol=1e-5)


def test_the_patient_poses_first_and_the_film_is_warped_after() -> None:
    image = picture()
    pose, cowarp = affine(shift=(0.25, 0.0)), affine(flip=True)
    warped, _, _, _ = apply_warps(image, image, WarpParams(NEVER, pose, cowarp))
    assert torch.allclose(warped, lookup(lookup(image, pose), cowarp), atol=1e-5)


def test_no_change_is_no_change() -> None:
    image = picture()
    warped, mask, target, _ = apply_warps(image, image, WarpParams(NEVER, IDENTITY, IDENTITY))
    for result in (warped, mask, target):
        assert torch.allclose(result, image, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_mask_and_image_stay_aligned(seed: int) -> None:
    mask = (picture() > 0.5).float()
    params = sample_warps(B, AugmentationConfig(mirror=0.5, cowarp=1.0, pose=1.0), generator(seed))
    image, target, _, _ = apply_warps(mask.clone(), mask, params)
    assert torch.allclose(image, target, atol=1e-6)


def test_mirroring_twice_is_doing_nothing() -> None:
    image = picture(channels=2)
    chosen = torch.tensor([True, False] * (B // 2))
    once = mirror(image, chosen)
    assert torch.equal(mirror(once, chosen), image)
    assert torch.equal(once[chosen], image[chosen].flip(2))  # axis I runs from the patient's right to left
    assert torch.equal(once[~chosen], image[~chosen])


def test_a_mirror_changes_the_side_of_the_image_the_mask_and_the_target_of_the_pseudo_image() -> None:
    mask = torch.zeros(B, 1, SIZE, SIZE)
    mask[:, :, 20:28, 5:9] = 1  # the patient's left
    params = WarpParams(~NEVER, IDENTITY, IDENTITY)
    for result in apply_warps(mask, mask, params)[:3]:
        assert torch.allclose(result, mask.flip(2), atol=1e-5)


def test_outside_the_film_is_as_black_as_its_darkest_pixel() -> None:
    image = picture() - 1.7
    pose = affine(shift=(1.0, 0.0))
    warped = apply_warps(image, image, WarpParams(NEVER, pose, IDENTITY))[0]
    assert torch.equal(warped[..., SIZE // 2 + 1 :], image.amin(dim=(2, 3), keepdim=True).expand(B, 1, SIZE, 15))


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (affine(flip=True), affine(flip=True)),
        (affine(flip=True), affine(shift=(2 * 4 / SIZE, 2 * 6 / SIZE))),
        (affine(shift=(0.0, -2 * 3 / SIZE)), affine(flip=True, shift=(2 * 5 / SIZE, 0.0))),
    ],
    ids=["two flips", "flip of a shift", "shift of a flip"],
)
def test_composed_flips_and_whole_pixel_shifts_equal_one_after_the_other(outer: Tensor, inner: Tensor) -> None:
    image = picture()
    image[:, :, :8], image[:, :, -8:], image[..., :8], image[..., -8:] = 0, 0, 0, 0  # nothing is shifted out
    one_after_the_other = lookup(lookup(image, inner), outer)
    assert torch.allclose(lookup(image, compose(outer, inner)), one_after_the_other, atol=1e-5)
    assert one_after_the_other.any()


def test_composed_warps_of_a_smooth_picture_equal_one_after_the_other_up_to_interpolation() -> None:
    axis = torch.linspace(-1, 1, 96)
    image = torch.exp(-6 * ((axis[:, None] - 0.2) ** 2 + (axis[None] + 0.1) ** 2)).expand(B, 1, 96, 96)
    outer, inner = affine(degrees=20, zoom=1.2, flip=True), affine(degrees=-35, shift=(0.1, 0.2), zoom=0.9)
    assert torch.allclose(lookup(image, compose(outer, inner)), lookup(lookup(image, inner), outer), atol=0.01)


def test_composition_is_associative_and_identity_is_neutral() -> None:
    config = AugmentationConfig(cowarp=1.0, pose=1.0)
    first, second, third = (sample_warps(B, config, generator(seed)).cowarp for seed in (1, 2, 3))
    left, right = compose(compose(first, second), third), compose(first, compose(second, third))
    assert torch.allclose(left, right, atol=1e-5)
    assert torch.allclose(compose(IDENTITY, first), first)
    assert torch.allclose(compose(first, IDENTITY), first)


@pytest.mark.parametrize("shape", [(48, 48), (64, 40), (40, 64)])
def test_a_turned_film_is_not_sheared_whatever_its_shape(shape: tuple[int, int]) -> None:
    rows, columns = (torch.arange(size) - (size - 1) / 2 for size in shape)
    disc = torch.sigmoid(12 - torch.hypot(rows[:, None], columns[None])).expand(B, 1, *shape)
    turned = lookup(disc, affine(degrees=30))
    assert torch.allclose(turned, disc, atol=0.05)


def test_equal_generators_draw_equal_warps_and_others_do_not() -> None:
    config = AugmentationConfig()
    one, same, other = (sample_warps(64, config, generator(seed)) for seed in (3, 3, 4))
    for name in ("mirrored", "pose", "cowarp"):
        assert torch.equal(getattr(one, name), getattr(same, name))
        assert not torch.equal(getattr(one, name), getattr(other, name))


def test_drawn_warps_stay_in_their_ranges() -> None:
    config = AugmentationConfig(mirror=0.3, pose=0.5, cowarp=1.0)
    params = sample_warps(4000, config, generator())
    assert params.mirrored.float().mean() == pytest.approx(0.3, abs=0.03)
    still = (params.pose == torch.eye(2, 3)).all(dim=(1, 2))
    assert still.float().mean() == pytest.approx(0.5, abs=0.03)
    # A pose never mirrors the patient; a common warp may, since the words' picture is mirrored with it.
    assert (torch.linalg.det(params.pose[:, :, :2]) > 0).all()
    flipped = torch.linalg.det(params.cowarp[:, :, :2]) < 0
    assert flipped.float().mean() == pytest.approx(config.cowarp_flip, abs=0.03)
    assert params.pose[:, :, 2].abs().max() <= 2 * config.pose_shift
    angle = torch.atan2(-params.pose[:, 0, 1], params.pose[:, 0, 0]).abs().max()
    assert 0.9 * config.pose_degrees < math.degrees(angle) <= config.pose_degrees + 1e-3
    zoom = params.pose[:, 0, :2].norm(dim=1)
    assert 1 / config.pose_zoom - 1e-5 <= zoom.min() < zoom.max() <= config.pose_zoom + 1e-5


def test_probabilities_of_zero_switch_everything_off() -> None:
    config = AugmentationConfig(mirror=0.0, cowarp=0.0, pose=0.0, photometric=0.0)
    params = sample_warps(B, config, generator())
    assert not params.mirrored.any()
    assert torch.equal(params.pose, IDENTITY)
    assert torch.equal(params.cowarp, IDENTITY)
    image = picture()
    assert torch.equal(photometric(image, config, generator()), image)


def test_a_photometric_change_depends_on_the_generator_alone_and_keeps_the_shape() -> None:
    image, config = picture(channels=2), AugmentationConfig(photometric=1.0)
    untouched = image.clone()
    one, same, other = (photometric(image, config, generator(seed)) for seed in (3, 3, 4))
    assert one.shape == image.shape
    assert one.dtype == image.dtype
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(image, untouched)


@pytest.mark.parametrize("value", [0.0, -2.0, 1e4])
def test_a_constant_film_stays_finite(value: float) -> None:
    image = torch.full((B, 1, SIZE, SIZE), value)
    changed = photometric(image, AugmentationConfig(photometric=1.0), generator())
    warped, _, _, _ = apply_warps(changed, image, sample_warps(B, AugmentationConfig(), generator()))
    assert changed.isfinite().all()
    assert warped.isfinite().all()
