"""Films moved for evaluation: image and truth together, in the direction that the name says."""

from __future__ import annotations

import numpy as np
import pytest

from TextGuidedSegLib.image import Image
from training.poses import MIRRORED, POSES, posed

ROWS, COLUMNS = 60, 40


def film(pixels: np.ndarray) -> Image:
    return Image.from_array(pixels)


def dot(row: int, column: int) -> np.ndarray:
    """A bright square as displayed: rows downwards, the patient's left on the right."""
    pixels = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
    pixels[row - 2 : row + 3, column - 2 : column + 3] = 200
    return pixels


def center(array: np.ndarray) -> np.ndarray:
    """Row and column of what is bright."""
    return np.argwhere(array[:, :, 0] > 0).mean(axis=0)[::-1]


@pytest.mark.parametrize(
    ("pose", "row", "column"),
    [
        ("original", 30, 20),
        ("shifted_left", 30, 26),
        ("shifted_right", 30, 14),
        ("shifted_up", 21, 20),
        ("shifted_down", 39, 20),
        (MIRRORED, 30, 19),
    ],
)
def test_a_film_moves_where_its_pose_says(pose: str, row: int, column: int) -> None:
    image = film(dot(30, 20))
    moved, truth = posed(image, image.array > 0, pose)
    assert center(moved.array) == pytest.approx([row, column], abs=0.01)
    assert center(truth) == pytest.approx([row, column], abs=0.01)


@pytest.mark.parametrize(("pose", "sign"), [("rotated_clockwise", 1), ("rotated_counterclockwise", -1)])
def test_a_film_turns_as_a_clock_does(pose: str, sign: int) -> None:
    image = film(dot(10, 20))  # near twelve o'clock
    moved, truth = posed(image, image.array > 0, pose)
    arm = 29.5 - 10
    start = np.arctan2(20 - 19.5, arm)
    turned = start + sign * np.deg2rad(15)
    expected = [29.5 - np.hypot(arm, 0.5) * np.cos(turned), 19.5 + np.hypot(arm, 0.5) * np.sin(turned)]
    assert center(truth) == pytest.approx(expected, abs=0.3)
    assert center(moved.array > 100) == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize("pose", [*POSES, MIRRORED])
def test_image_and_truth_stay_aligned_and_keep_their_form(pose: str) -> None:
    pixels = dot(25, 15)
    pixels[32:37, 20:31] = 200
    image = film(pixels)
    moved, truth = posed(image, image.array > 0, pose)
    assert np.mean((moved.array > 100) != truth) < 0.01
    assert (moved.array.dtype, truth.dtype) == (np.uint8, bool)
    assert moved.array.shape == truth.shape == (COLUMNS, ROWS, 1)
    assert moved.axis_codes == image.axis_codes
    assert truth.sum() == pytest.approx((image.array > 0).sum(), rel=0.05)


def test_what_comes_in_from_outside_is_black_and_no_target() -> None:
    image = film(np.full((ROWS, COLUMNS), 90, dtype=np.uint8))
    moved, truth = posed(image, image.array > 0, "shifted_left")
    assert not moved.array[:6].any()
    assert not truth[:6].any()
    assert (moved.array[6:] == 90).all()
    assert truth[6:].all()


def test_mirroring_twice_is_doing_nothing() -> None:
    image = film(dot(12, 31))
    once = posed(image, image.array > 0, MIRRORED)
    again = posed(*once, MIRRORED)
    assert np.array_equal(again[0].array, image.array)
    assert np.array_equal(again[1], image.array > 0)
