"""Metrics of drawn shapes whose scores were worked out by hand, and every empty case."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training.metrics import Overlap, hd95, mean, named_side_mass, overlap, peak_in_target, pooled

SHAPE = (30, 40)
EMPTY = np.zeros(SHAPE, dtype=bool)


def box(rows: slice, columns: slice) -> np.ndarray:
    mask = EMPTY.copy()
    mask[rows, columns] = True
    return mask


A_SQUARE = box(slice(5, 15), slice(5, 15))  # 100 pixels
masks = arrays(bool, (6, 5))


def test_two_squares_that_share_half() -> None:
    counted = overlap(box(slice(5, 15), slice(10, 20)), A_SQUARE)
    assert counted == Overlap(intersection=50, predicted=100, true=100)
    assert counted.dice == pytest.approx(0.5)
    assert counted.iou == pytest.approx(1 / 3)


def test_a_small_square_inside_a_large_one() -> None:
    counted = overlap(box(slice(5, 10), slice(5, 10)), A_SQUARE)
    assert counted.dice == pytest.approx(2 * 25 / 125)
    assert counted.iou == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("prediction", "truth", "score"),
    [(EMPTY, EMPTY, 1.0), (A_SQUARE, EMPTY, 0.0), (EMPTY, A_SQUARE, 0.0), (A_SQUARE, A_SQUARE, 1.0)],
    ids=["both empty", "truth empty", "prediction empty", "equal"],
)
def test_the_empty_cases_of_the_overlap(prediction: np.ndarray, truth: np.ndarray, score: float) -> None:
    counted = overlap(prediction, truth)
    assert (counted.dice, counted.iou) == (score, score)


@pytest.mark.parametrize(("prediction", "truth"), [(EMPTY, EMPTY), (A_SQUARE, EMPTY), (EMPTY, A_SQUARE)])
def test_a_distance_to_nothing_is_not_a_number(prediction: np.ndarray, truth: np.ndarray) -> None:
    assert math.isnan(hd95(prediction, truth, (1.0, 1.0)))


def test_masks_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"same shape, got \(30, 40\) and \(30, 1\)"):
        overlap(EMPTY, EMPTY[:, :1])


@given(masks, masks)
def test_the_overlap_is_symmetric_and_any_positive_number_counts_once(one: np.ndarray, other: np.ndarray) -> None:
    assert overlap(one, other).dice == overlap(other, one).dice
    assert overlap(7 * one.astype(np.int16), other.astype(np.float32)) == overlap(one, other)


@given(masks, masks)
def test_micro_scores_satisfy_the_identity_between_dice_and_iou(one: np.ndarray, other: np.ndarray) -> None:
    counted = overlap(one, other)
    assert counted.iou == pytest.approx(counted.dice / (2 - counted.dice))


@given(st.lists(st.tuples(masks, masks), min_size=1, max_size=6))
def test_the_mean_iou_is_at_least_what_the_mean_dice_implies(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    counts = [overlap(one, other) for one, other in pairs]
    dice, iou = np.mean([each.dice for each in counts]), np.mean([each.iou for each in counts])
    assert iou >= dice / (2 - dice) - 1e-12
    assert pooled(counts).iou == pytest.approx(pooled(counts).dice / (2 - pooled(counts).dice))


def test_pooled_counts_weigh_images_by_their_pixels_and_means_do_not() -> None:
    small, large = Overlap(0, 10, 10), Overlap(90, 90, 90)
    assert pooled([small, large]) == Overlap(90, 100, 100)
    assert pooled([small, large]).dice == pytest.approx(0.9)
    assert mean([small.dice, large.dice]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("rows", "columns", "spacing", "distance"),
    [
        (slice(13, 14), slice(5, 25), (1.0, 1.0), 3.0),
        (slice(13, 14), slice(5, 25), (2.0, 0.5), 6.0),
        (slice(10, 11), slice(5, 25), (2.0, 0.5), 0.0),
    ],
)
def test_the_distance_of_two_parallel_lines(
    rows: slice, columns: slice, spacing: tuple[float, float], distance: float
) -> None:
    line = box(slice(10, 11), slice(5, 25))
    assert hd95(box(rows, columns), line, spacing) == pytest.approx(distance)


def test_the_spacing_of_each_axis_belongs_to_that_axis() -> None:
    point, across, along = (box(slice(i, i + 1), slice(j, j + 1)) for i, j in ((10, 10), (14, 10), (10, 14)))
    assert hd95(across, point, (3.0, 0.5)) == pytest.approx(12.0)
    assert hd95(along, point, (3.0, 0.5)) == pytest.approx(2.0)
    diagonal = box(slice(13, 14), slice(14, 15))
    assert hd95(diagonal, point, (1.0, 1.0)) == pytest.approx(5.0)


def test_the_distance_is_symmetric_and_looks_at_both_surfaces() -> None:
    line, with_satellite = box(slice(10, 11), slice(5, 15)), box(slice(10, 11), slice(5, 15))
    with_satellite[25, 5:15] = True
    assert hd95(with_satellite, line, (1.0, 1.0)) == pytest.approx(15.0)
    assert hd95(line, with_satellite, (1.0, 1.0)) == pytest.approx(15.0)


def test_one_stray_pixel_in_forty_does_not_count() -> None:
    line = box(slice(10, 11), slice(0, 39))
    stray = line.copy()
    stray[20, 10] = True
    assert hd95(stray, line, (1.0, 1.0)) == pytest.approx(0.0)


def test_a_volume_has_a_distance_too() -> None:
    one, other = np.zeros((8, 8, 8), dtype=bool), np.zeros((8, 8, 8), dtype=bool)
    one[2, 2, 2], other[2, 2, 5] = True, True
    assert hd95(one, other, (1.0, 1.0, 4.0)) == pytest.approx(12.0)


def test_the_peak_is_the_highest_pixel() -> None:
    pseudo = np.full(SHAPE, 0.2, dtype=np.float32)
    pseudo[7, 9] = 0.9
    assert peak_in_target(pseudo, A_SQUARE)
    assert not peak_in_target(pseudo, ~A_SQUARE)
    assert peak_in_target(np.asfortranarray(pseudo), A_SQUARE)
    assert peak_in_target(pseudo.T, A_SQUARE.T)


@pytest.mark.parametrize("width", [4, 5])
def test_the_named_side_is_the_patients(width: int) -> None:
    pseudo = np.zeros((width, 3))
    pseudo[0, 0], pseudo[-1, 1] = 1.0, 3.0  # the first columns are the patient's right
    assert named_side_mass(pseudo, "left") == pytest.approx(0.75)
    assert named_side_mass(pseudo, "right") == pytest.approx(0.25)


def test_the_middle_column_belongs_to_neither_side() -> None:
    pseudo = np.array([[1.0], [2.0], [1.0]])
    assert named_side_mass(pseudo, "left") == named_side_mass(pseudo, "right") == pytest.approx(0.25)


def test_a_black_pseudo_image_has_no_side() -> None:
    assert math.isnan(named_side_mass(np.zeros((4, 4)), "left"))


def test_means_leave_out_what_is_not_a_number() -> None:
    assert mean([1.0, math.nan, 3.0]) == 2.0
    assert mean([math.nan]) is None
    assert mean([]) is None
