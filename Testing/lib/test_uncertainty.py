"""How unsure a mask is: laws of the map, and that a result has it at no further run of the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from Testing.lib import tiny
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.phantom import chest_film
from TextGuidedSegLib.uncertainty import uncertainty_map

PROBABILITIES = st.floats(0.001, 0.999)
THRESHOLDS = st.floats(0.05, 0.95)


def value(probability: float, threshold: float) -> float:
    return float(uncertainty_map(np.array([probability], np.float32), threshold)[0])


@given(THRESHOLDS)
def test_a_voxel_at_the_threshold_has_one_bit_whatever_the_threshold_is(threshold: float) -> None:
    assert value(threshold, threshold) == pytest.approx(1, abs=1e-4)


@given(PROBABILITIES, PROBABILITIES, THRESHOLDS)
def test_on_one_side_of_the_threshold_nearer_is_less_sure(one: float, other: float, threshold: float) -> None:
    nearer, farther = sorted((one, other), key=lambda each: abs(each - threshold))
    if (one - threshold) * (other - threshold) > 0:
        assert value(nearer, threshold) >= value(farther, threshold) - 1e-5


@given(PROBABILITIES)
def test_at_one_half_it_is_the_entropy_and_both_sides_count_the_same(probability: float) -> None:
    bits = -(probability * np.log2(probability) + (1 - probability) * np.log2(1 - probability))
    assert value(probability, 0.5) == pytest.approx(bits, abs=1e-4)
    assert value(1 - probability, 0.5) == pytest.approx(bits, abs=1e-4)


def test_what_is_outside_for_sure_is_exactly_sure_and_nothing_leaves_0_to_1() -> None:
    bits = uncertainty_map(np.array([0, 1, 0.3, 1e-6, 1 - 1e-6], np.float32), 0.4)
    assert bits.dtype == np.float32
    assert bits[0] == 0
    assert ((bits >= 0) & (bits <= 1)).all()


def test_mirror_images_that_disagree_are_less_sure_than_either() -> None:
    # Logits 3 and -2 average to 0.5: nearer to the threshold than both.
    sure = [1 / (1 + np.exp(-logit)) for logit in (3.0, -2.0, 0.5)]
    bits = uncertainty_map(np.array(sure, np.float32), 0.5)
    assert bits[2] > max(bits[0], bits[1])


def test_a_result_has_it_on_its_grid_for_its_own_threshold(tiny_model: Path) -> None:
    segmenter = Segmenter(str(tiny_model), device="cpu")
    segmenter.set_image(tiny.film_image(chest_film(3, size=(72, 64)).array))
    low, high = (segmenter.segment("left lung opacity", threshold=threshold) for threshold in (0.3, 0.5))
    assert low.uncertainty.shape == low.mask.shape
    np.testing.assert_array_equal(high.uncertainty, uncertainty_map(high.probability, 0.5))
    assert np.abs(low.uncertainty - high.uncertainty).max() > 0.01
