"""Resampling slab by slab has the bits of resampling the whole, along every axis and for every cut."""

from __future__ import annotations

import numpy as np
import pytest

from TextGuidedSegLib.geometry import Shape
from TextGuidedSegLib.resampling import ResamplePlan
from TextGuidedSegLib.slabs import AxisMap, SlabPlan, rows_of

PLANS = {
    "equal": ResamplePlan((7, 6, 5), (7, 6, 5)),
    "smaller": ResamplePlan((17, 13, 11), (6, 9, 4)),
    "larger": ResamplePlan((6, 5, 4), (13, 16, 9)),
    "mixed": ResamplePlan((20, 5, 9), (7, 11, 9)),
    "single slice": ResamplePlan((12, 9, 1), (5, 14, 1)),
}


def _array(shape: Shape, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("undo", [False, True], ids=["apply", "undo"])
@pytest.mark.parametrize("name", PLANS)
def test_slabs_have_the_bits_of_the_whole(name: str, undo: bool, axis: int) -> None:
    plan = PLANS[name]
    array = _array(plan.model_shape if undo else plan.shape)
    expected = plan.undo(array) if undo else plan.apply(array)
    slabs, read = SlabPlan(plan, axis, undo=undo), []

    def rows(first: int, last: int) -> np.ndarray:
        read.append(last - first)
        return np.ascontiguousarray(array[rows_of(axis, first, last)])

    for height in (1, 3, expected.shape[axis]):
        for start in range(0, expected.shape[axis], height):
            stop = min(start + height, expected.shape[axis])
            slab = slabs.rows(rows, start, stop)
            assert slab.tobytes() == np.ascontiguousarray(expected[rows_of(axis, start, stop)]).tobytes()
    if name == "smaller" and not undo:
        assert min(read) < array.shape[axis], "no more is read than a slab needs"


def test_sources_are_the_samples_with_a_weight() -> None:
    old = AxisMap(30, 10)
    assert old.sources(0, 10) == (0, 30)
    first, last = old.sources(4, 5)
    assert 10 <= first < last <= 20
    array = np.zeros(30, dtype=np.float32)
    array[first:last] = 1
    assert old.apply(array[first:last, None], 0, 4, 5)[0, 0] == pytest.approx(1)
    assert AxisMap(6, 6).sources(2, 4) == (2, 4)
