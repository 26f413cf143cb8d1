"""The synthetic head: sides and depths are true, and every crop and every spacing shows the same patient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from Testing.lib import tiny
from TextGuidedSegLib.geometry import VOLUME_CODES
from TextGuidedSegLib.guidance import VOLUME_AXES, DirectionalGuidance, OrganFrame, canonical_coordinates, united
from TextGuidedSegLib.phantom_volume import DEPTHS, SIDES, PhantomVolume, Side, head_volume, organ_center_ras_mm
from TextGuidedSegLib.phrase import swap_sides

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module", params=SEEDS)
def head(request: pytest.FixtureRequest) -> PhantomVolume:
    return head_volume(request.param)


def _places_ras_mm(volume: PhantomVolume, mask: np.ndarray) -> np.ndarray:
    return volume.geometry.ijk_to_ras_mm(np.argwhere(mask))


def test_parts_lie_where_their_names_say(head: PhantomVolume) -> None:
    for side, depth in itertools.product(SIDES, DEPTHS):
        places = _places_ras_mm(head, head.mask(side, depth))
        assert len(places) > 100
        assert ((places[:, 0] < 0) == (side == "left")).all(), "R is positive in RAS"
    for side in SIDES:
        front, back = (_places_ras_mm(head, head.mask(side, depth))[:, 1] for depth in DEPTHS)
        assert front.min() > back.max()


def test_parts_make_up_the_organs(head: PhantomVolume) -> None:
    assert sum(mask.sum() for mask in head.parts.values()) == head.mask().sum()
    np.testing.assert_array_equal(head.mask(), head.mask("left") | head.mask("right"))
    np.testing.assert_array_equal(head.mask("left"), head.mask("left", "anterior") | head.mask("left", "posterior"))


def test_values_and_frame(head: PhantomVolume) -> None:
    assert head.array.dtype == np.float32
    assert 0 <= head.array.min() < head.array.max() <= 255
    image = head.image()
    assert (image.kind, image.modality, image.axis_codes) == ("volume", "MR", VOLUME_CODES)
    assert abs(head.array[head.mask()].mean() - 120) < 15


def test_equal_seeds_are_equal_and_others_are_not() -> None:
    one, two, other = (head_volume(seed, spacing_mm=(4.0, 4.0, 4.0)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.array, two.array)
    assert (one.mask() != other.mask()).any()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_crop_shows_the_same_patient(seed: int, side: Side) -> None:
    center = organ_center_ras_mm(seed, side)
    crop = head_volume(seed, size_mm=(36.0, 56.0, 36.0), spacing_mm=(1.0, 1.0, 1.0), center_ras_mm=center)
    whole = head_volume(seed, size_mm=(160.0, 200.0, 100.0), spacing_mm=(2.0, 2.0, 2.0))
    one, two = (_places_ras_mm(volume, volume.mask(side)) for volume in (crop, whole))
    np.testing.assert_allclose(one.mean(axis=0), two.mean(axis=0), atol=0.5)
    assert len(one) == pytest.approx(8 * len(two), rel=0.06)
    assert 2000 < len(one) < 5000, "as large as a hippocampus, mm3"


class TestWordsPointInThePatient:
    """Directional guidance in three axes on the phantom and on its mirror image, without any training."""

    @staticmethod
    def region(text: str, shape: tuple[int, ...]) -> np.ndarray:
        guidance = DirectionalGuidance(VOLUME_AXES)
        coordinates = canonical_coordinates(shape, torch.device("cpu"))
        frame = OrganFrame(torch.zeros(1, 3), torch.ones(1, 3))
        units = tiny.tokens(text).units
        assert units is not None
        with torch.inference_mode():
            return united(guidance(units, coordinates, frame), units)[0, 0].numpy()

    @pytest.mark.parametrize("side", SIDES)
    @pytest.mark.parametrize("mirrored", [False, True])
    def test_left_and_right(self, mirrored: bool, side: Side, head: PhantomVolume) -> None:
        words = f"{side} hippocampus"
        target, other = head.mask(side), head.mask(SIDES[1 - SIDES.index(side)])
        if mirrored:  # the organ that was on one side of the patient now is on the other
            words, target, other = swap_sides(words), target[::-1], other[::-1]
        region = self.region(words, target.shape)
        assert region[target].mean() > 0.9
        assert region[other].mean() < 0.1

    @pytest.mark.parametrize("seed", SEEDS)
    def test_anterior_and_posterior_in_a_crop(self, seed: int) -> None:
        center = organ_center_ras_mm(seed, "left")
        crop = head_volume(seed, size_mm=(40.0, 56.0, 40.0), spacing_mm=(2.0, 2.0, 2.0), center_ras_mm=center)
        front, back = crop.mask("left", "anterior"), crop.mask("left", "posterior")
        anterior, posterior = (self.region(f"{word} hippocampus", front.shape) for word in DEPTHS)
        assert anterior[front].mean() > 0.8 > 0.2 > posterior[front].mean()
        assert posterior[back].mean() > 0.8 > 0.2 > anterior[back].mean()
