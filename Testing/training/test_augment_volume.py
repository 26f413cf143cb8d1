"""Augmented volumes: what the words say stays at its place in the patient, or the words change with it."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from Testing.training.volume_sets import HEADS, PATCH, PREPROCESSING, write_set
from training.augment_volume import (
    HALF_TURN,
    Turn,
    VolumeAugmentationConfig,
    augmented_volumes,
    mirrored,
    photometric_volume,
    sample_affine,
    sample_turn,
    through_window,
    turned,
    turns,
    volume_grid,
)
from training.datasets.mr_volumes import MrVolumes, VolumeSet
from training.datasets.volume_sample import VolumeBatch, collate_volumes

NOTHING = VolumeAugmentationConfig(mirror=0, cowarp=0, pose=0, half_turn=0, any_turn=0, photometric=0)
STEADY = torch.eye(4).expand(2, 4, 4)
SHAPE = (8, 10, 6)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def places(window: Tensor, axis: int, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    """`(B, 1, *shape)`: the coordinate of each voxel along one axis of the whole volume."""
    low, high = window[:, axis, 0], window[:, axis, 1]
    along = (torch.arange(shape[axis]) + 0.5) / shape[axis]
    values = low[:, None] + along * (high - low)[:, None]
    sizes = [shape[axis] if one == axis else 1 for one in range(3)]
    return values.reshape(len(window), 1, *sizes).expand(-1, 1, *shape).clone()


def batch(axis: int = 0, *, oriented: bool = True, seed: int = 0) -> VolumeBatch:
    """Two crops whose values say where in the whole volume they lie."""
    starts = torch.rand(2, 3, generator=generator(seed)) - 1
    window = torch.stack([starts, starts + 0.9], dim=2)
    values = places(window, axis)
    return VolumeBatch(
        image=values, mask=(values > 0).float(), frame_mask=torch.rand(2, 1, *SHAPE, generator=generator(1)),
        window=window, spacing_mm=torch.tensor([[1.0, 1.0, 1.0], [1.5, 1.5, 10.0]]),
        phrases=("left hippocampus", "left ventricle"), absent=torch.tensor([False, False]),
        pointed=torch.tensor([True, True]), oriented=torch.tensor([oriented, oriented]),
    )  # fmt: skip


def at(warp: Tensor, axis: int) -> Tensor:
    """The coordinate along one array axis that a warp looks up, `(B, 1, *shape)`."""
    return warp[..., 2 - axis][:, None]


class TestNothing:
    def test_without_changes_the_batch_stays(self) -> None:
        given = batch()
        made = augmented_volumes(given, NOTHING, generator())
        torch.testing.assert_close(made.image, given.image)
        torch.testing.assert_close(made.target, given.mask)
        assert torch.equal(made.pseudo_target, given.frame_mask)
        assert made.words == list(given.phrases)
        assert made.painted.all()
        for axis in range(3):
            torch.testing.assert_close(at(made.warp, axis), places(given.window, axis), atol=1e-6, rtol=0)

    def test_equal_generators_make_equal_changes(self) -> None:
        one, two, other = (
            augmented_volumes(batch(), VolumeAugmentationConfig(), generator(seed)) for seed in (3, 3, 4)
        )
        assert torch.equal(one.image, two.image)
        assert torch.equal(one.warp, two.warp)
        assert not torch.equal(one.warp, other.warp)


class TestWarp:
    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("seed", range(4))
    def test_image_and_pseudo_image_are_warped_alike(self, seed: int, axis: int) -> None:
        config = dataclasses.replace(NOTHING, cowarp=1.0)
        given = batch(axis)
        made = augmented_volumes(given, config, generator(seed))
        # Voxels whose neighbors all lie inside the crop; the values are linear, so their interpolation is exact.
        lies = _crop_grid(made.warp, given.window)
        inside = functional.grid_sample(torch.ones_like(given.image), lies, align_corners=False) > 1 - 1e-5
        assert inside.float().mean() > 0.2
        torch.testing.assert_close(made.image[inside], at(made.warp, axis)[inside], atol=1e-4, rtol=0)
        assert (made.image - given.image).abs().max() > 0.02

    @pytest.mark.parametrize("seed", range(3))
    def test_a_pose_moves_the_image_alone(self, seed: int) -> None:
        config = dataclasses.replace(NOTHING, pose=1.0)
        given = batch()
        made = augmented_volumes(given, config, generator(seed))
        torch.testing.assert_close(at(made.warp, 0), places(given.window, 0), atol=1e-6, rtol=0)
        assert (made.image - given.image).abs().max() > 0.02
        assert made.words == list(given.phrases)

    def test_image_and_mask_move_together(self) -> None:
        given = batch()
        given = dataclasses.replace(given, mask=given.image.clone())
        made = augmented_volumes(given, dataclasses.replace(NOTHING, pose=1.0, cowarp=1.0), generator(5))
        assert torch.equal(made.image, made.target)

    def test_warps_follow_one_another(self) -> None:
        spacing = torch.tensor([[1.0, 2.0, 1.5]])
        options = {"probability": 1.0, "degrees": 20.0, "shift": 0.1, "zoom": 1.2}
        outer, inner = (sample_affine(spacing, SHAPE, generator(seed), **options) for seed in (1, 2))
        place = torch.tensor([[0.3, -0.2, 0.5, 1.0]])
        torch.testing.assert_close(place @ (outer @ inner)[0], (place @ outer[0]) @ inner[0])
        grid = volume_grid(outer, SHAPE)
        corner = torch.tensor([[-1 + 1 / 8, -1 + 1 / 10, -1 + 1 / 6, 1.0]])
        torch.testing.assert_close(grid[0, 0, 0, 0].flip(0), (corner @ outer[0])[0, :3])

    def test_turns_keep_millimeters(self) -> None:
        spacing = torch.tensor([[1.0, 3.0, 2.0]])
        affine = sample_affine(spacing, SHAPE, generator(), probability=1.0, degrees=25.0, shift=0.0, zoom=1.0)[0]
        half = torch.tensor(SHAPE) * spacing[0] / 2
        one, other = torch.tensor([0.2, 0.1, -0.3]), torch.tensor([-0.4, 0.5, 0.1])
        before = ((one - other) * half).norm()
        after = ((one - other) @ affine[:3, :3] * half).norm()
        assert after == pytest.approx(float(before), rel=1e-5)

    def test_a_thick_stack_hardly_leaves_its_plane(self) -> None:
        spacing = torch.tensor([[1.0, 1.0, 1.0], [1.5, 1.5, 10.0]]).repeat(50, 1)
        affines = sample_affine(spacing, SHAPE, generator(), probability=1.0, degrees=30.0, shift=0.0, zoom=1.0)
        half = torch.tensor(SHAPE) * spacing / 2
        turns_mm = affines[:, :3, :3] * half[:, None, :] / half[:, :, None]
        out_of_plane = turns_mm[:, 2, :2].norm(dim=1).asin().rad2deg()
        assert out_of_plane[0::2].max() > 20
        assert out_of_plane[1::2].max() < 7
        assert turns_mm[1::2, 0, 1].abs().asin().rad2deg().max() > 20


def _crop_grid(warp: Tensor, window: Tensor) -> Tensor:
    """Undo of `through_window`."""
    low, high = window.flip(1)[:, None, None, None].unbind(dim=-1)
    return (warp - (low + high) / 2) / ((high - low) / 2)


class TestMirror:
    def test_the_chosen_are_mirrored_with_their_window(self) -> None:
        for axis in range(3):
            given = batch(axis)
            made = mirrored(given, torch.tensor([True, False]))
            expected = -places(made.window, axis) if axis == 0 else places(made.window, axis)
            torch.testing.assert_close(made.image[0], expected[0])
            torch.testing.assert_close(made.image[1], given.image[1])
            assert torch.equal(made.frame_mask[0], given.frame_mask[0].flip(1))
            assert (made.window[:, :, 0] < made.window[:, :, 1]).all()

    def test_words_follow_but_names_do_not(self) -> None:
        made = augmented_volumes(batch(), dataclasses.replace(NOTHING, mirror=1.0), generator())
        assert made.words == ["right hippocampus", "left ventricle"]
        assert not made.painted.any()

    def test_twice_is_nothing(self) -> None:
        given, both = batch(), torch.tensor([True, True])
        again = mirrored(mirrored(given, both), both)
        assert torch.equal(again.image, given.image)
        assert torch.equal(again.window, given.window)


class TestTurns:
    def test_a_box_has_24_positions_without_a_mirror(self) -> None:
        assert len(set(turns())) == 24
        assert HALF_TURN in turns()
        for order, flips in turns():
            matrix = np.zeros((3, 3))
            for new, (old, flipped) in enumerate(zip(order, flips, strict=True)):
                matrix[new, old] = -1 if flipped else 1
            assert np.linalg.det(matrix) == pytest.approx(1)

    @pytest.mark.parametrize("turn", turns(), ids=str)
    def test_crop_window_and_spacing_go_along(self, turn: Turn) -> None:
        for old in range(3):
            given = batch(old)
            made = turned(given, turn)
            new = turn.order.index(old)
            shape = tuple(SHAPE[axis] for axis in turn.order)
            assert made.image.shape[2:] == shape
            sign = -1 if turn.flips[new] else 1
            torch.testing.assert_close(made.image, sign * places(made.window, new, (shape[0], shape[1], shape[2])))
            assert torch.equal(made.spacing_mm[:, new], given.spacing_mm[:, old])
            assert made.mask.shape == made.frame_mask.shape == made.image.shape

    def test_only_volumes_without_orientation_are_turned(self) -> None:
        config = dataclasses.replace(NOTHING, half_turn=1.0)
        still = augmented_volumes(batch(), config, generator())
        torch.testing.assert_close(still.image, batch().image)
        made = augmented_volumes(batch(oriented=False), config, generator())
        torch.testing.assert_close(made.image, batch().image.flip(2, 3))
        assert not made.painted.any()
        assert made.words == list(batch().phrases)

    def test_turns_are_drawn_as_often_as_asked(self) -> None:
        config = dataclasses.replace(NOTHING, half_turn=0.3, any_turn=0.3)
        drawn = [sample_turn(config, generator(seed)) for seed in range(400)]
        assert drawn.count(HALF_TURN) / 400 == pytest.approx(0.3, abs=0.07)
        assert drawn.count(None) / 400 == pytest.approx(0.4, abs=0.07)
        assert len(set(drawn)) == 24, "22 others, half a turn, and none"


class TestPhotometric:
    def test_only_the_chosen_change_and_in_every_batch_otherwise(self) -> None:
        image = batch().image
        assert torch.equal(photometric_volume(image, NOTHING, generator()), image)
        always = dataclasses.replace(NOTHING, photometric=1.0)
        one, two = (photometric_volume(image, always, generator(seed)) for seed in (0, 1))
        assert not torch.equal(one, two)
        assert one.isfinite().all()

    def test_a_black_volume_stays_finite(self) -> None:
        always = dataclasses.replace(NOTHING, photometric=1.0)
        assert photometric_volume(torch.zeros(2, 1, *SHAPE), always, generator()).isfinite().all()


def test_the_pseudo_image_is_seen_through_the_window(tmp_path: Path) -> None:
    """A map painted over the whole volume, warped as the network does it, lies on the crop as the crop was cut."""
    source = MrVolumes(write_set(tmp_path / "set"), VolumeSet(HEADS, 1.0, PATCH), "train", PREPROCESSING)
    samples = source.draw(random.Random(0), 6)
    made = augmented_volumes(collate_volumes(samples), NOTHING, generator())
    seen = functional.grid_sample(made.pseudo_target, made.warp, align_corners=False)
    for sample, one in zip(samples, seen[:, 0], strict=True):
        if sample.mask.any():
            inside = torch.from_numpy(sample.mask).bool()
            assert one[inside].mean() > 0.6
            assert one[~inside].mean() < 0.1
    assert torch.equal(through_window(volume_grid(STEADY, SHAPE), torch.tensor([[[-1.0, 1.0]] * 3] * 2)),
                       volume_grid(STEADY, SHAPE))  # fmt: skip
