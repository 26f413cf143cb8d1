"""Smooth deformations: nothing folds, image and mask move together, and what the words say stays where it is."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional

from training.augment import AugmentationConfig, apply_warps, sample_warps, without_pose
from training.augment_volume import VolumeAugmentationConfig, augmented_volumes
from training.datasets.volume_sample import VolumeBatch
from training.deformation import displaced, sample_deformation

B = 4
SHAPES = [(33, 29), (17, 21, 13)]
STILL = AugmentationConfig(mirror=0.0, cowarp=0.0, pose=0.0, photometric=0.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def identity(shape: tuple[int, ...], count: int = B) -> torch.Tensor:
    matrix = torch.eye(len(shape), len(shape) + 1).expand(count, -1, -1)
    return functional.affine_grid(matrix, [count, 1, *shape], align_corners=False)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(5))
def test_nothing_folds_even_at_the_largest_share(shape: tuple[int, ...], seed: int) -> None:
    dims = len(shape)
    drawn = sample_deformation(64, dims, generator(seed), probability=1.0, share=0.99 / (2 * dims))
    assert drawn is not None
    worst = drawn.sign() * drawn.abs().max()  # points as far from each other, or as near, as they may be
    for displacements in (drawn, worst):
        moved = displaced(identity(shape, 64), displacements).flip(-1)  # grid_sample names the last array axis first
        corner = moved[(slice(None), *[slice(-1)] * dims)]
        steps = [moved.roll(-1, axis + 1)[(slice(None), *[slice(-1)] * dims)] - corner for axis in range(dims)]
        assert (torch.linalg.det(torch.stack(steps, dim=-1).double()) > 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_linear_field_of_displacements_is_an_affine_map(shape: tuple[int, ...]) -> None:
    points = torch.linspace(-1, 1, 5)
    field = torch.stack(torch.meshgrid(*[points] * len(shape), indexing="ij"))[None].expand(B, *[-1] * (len(shape) + 1))
    # grid_sample names the last array axis first.
    zoomed = displaced(identity(shape), 0.1 * field.flip(1))
    torch.testing.assert_close(zoomed, 1.1 * identity(shape))


def test_what_is_not_drawn_stays_and_costs_no_random_number() -> None:
    source = generator(3)
    assert sample_deformation(B, 2, source, probability=0.0, share=0.2) is None
    assert torch.equal(torch.rand(3, generator=source), torch.rand(3, generator=generator(3)))
    grid = identity((9, 9))
    assert displaced(grid, None) is grid
    some = sample_deformation(400, 2, generator(), probability=0.25, share=0.2)
    assert some is not None
    moved = some.flatten(1).any(dim=1)
    assert 60 < moved.sum() < 140
    assert some.abs().max() <= 0.2 * 2 / 4


@pytest.mark.parametrize(("dims", "share"), [(2, -0.1), (2, 0.25), (3, 0.2)])
def test_what_could_fold_is_refused(dims: int, share: float) -> None:
    with pytest.raises(ValueError, match=rf"deform_share must be 0 or more and below 0.\d+, .* got {share}"):
        sample_deformation(1, dims, generator(), probability=0.5, share=share)


def test_a_film_and_its_mask_are_deformed_together_and_the_words_are_not() -> None:
    image = torch.rand(B, 1, 32, 32, generator=generator(5))
    image = image - image.amin(dim=(2, 3), keepdim=True)
    params = sample_warps(B, dataclasses.replace(STILL, deform=1.0), generator())
    warped, mask, target, warp = apply_warps(image, image, params)
    assert torch.equal(warped, mask)
    assert not torch.allclose(warped, image, atol=1e-2)
    assert torch.equal(target, image)
    torch.testing.assert_close(warp, identity((32, 32)))
    pictures = without_pose(params, torch.tensor([True, False] * (B // 2)))
    still = apply_warps(image, image, pictures)[0]
    torch.testing.assert_close(still[::2], image[::2])
    assert torch.equal(still[1::2], warped[1::2])


def test_a_volume_and_its_mask_are_deformed_together_and_the_words_are_not() -> None:
    values = torch.rand(B, 1, 16, 12, 10, generator=generator(5))
    batch = VolumeBatch(
        image=values, mask=values, frame_mask=values, window=torch.tensor([[-1.0, 1.0]] * 3).expand(B, 3, 2),
        spacing_mm=torch.ones(B, 3), phrases=("atrium",) * B, absent=torch.zeros(B, dtype=torch.bool),
        pointed=torch.ones(B, dtype=torch.bool), oriented=torch.ones(B, dtype=torch.bool),
    )  # fmt: skip
    config = VolumeAugmentationConfig(mirror=0.0, cowarp=0.0, pose=0.0, photometric=0.0, deform=1.0)
    deformed = augmented_volumes(batch, config, generator())
    assert torch.equal(deformed.image, deformed.target)
    assert not torch.allclose(deformed.image, values, atol=1e-2)
    assert torch.equal(deformed.pseudo_target, values)
    torch.testing.assert_close(deformed.warp, identity((16, 12, 10)))
