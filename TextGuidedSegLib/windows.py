"""The plan of windows that a volume is read by, and their blending, slab by slab.

Not MONAI's `sliding_window_inference`, which the tests compare with: it needs the whole input, output and count map at
once, tells nothing between windows, and here each window also needs its own part of the pseudo-image. Window centers
weigh more than borders (nnU-Net's Gaussian). The weights are products of one profile along each axis, so their sum over
all windows is a product, too: profiles divided by their sums blend exactly, and no map of counts is kept.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from TextGuidedSegLib.geometry import Shape

OVERLAP = 0.25
"""Share of a window that it has in common with the next one, at least."""

_SIGMA = 0.125  # of the window, as in nnU-Net
_LEAST_WEIGHT = 1e-3  # of the center's: a voxel at a border that only one window sees must not be divided by zero
_LEAST_MULTIPLES = 2  # window sides are at least so many times what the backbone shrinks by
# Of the largest window: a smaller one shows the network less around it than it was trained on.
_LEAST_SHARE = 0.75

WindowBounds = tuple[tuple[int, int], ...]
"""First voxel and one after the last along each axis."""


@dataclasses.dataclass(frozen=True)
class WindowPlan:
    """How a volume is read; equal plans on equal volumes give equal bits.

    Attributes:
        shape: `(I, J, K)` of the network's grid.
        window: Voxels of a window along each axis.
        batch: Windows in one pass of the network.
        device: Device it runs on.
        axis: Axis along which slabs of windows follow each other, the longest one.
    """

    shape: Shape
    window: Shape
    batch: int
    device: str
    axis: int

    @functools.cached_property
    def starts(self) -> tuple[tuple[int, ...], ...]:
        """First voxels of the windows along each axis, evenly spread, with at least `OVERLAP` in common."""
        return tuple(_starts(size, window) for size, window in zip(self.shape, self.window, strict=True))

    @property
    def count(self) -> int:
        """Number of windows."""
        return math.prod(len(starts) for starts in self.starts)

    def slabs(self) -> Iterator[tuple[int, int, list[WindowBounds]]]:
        """For each slab its first row, the first row of the next one, and its windows."""
        along = self.starts[self.axis]
        for number, start in enumerate(along):
            choices = [starts if axis != self.axis else (start,) for axis, starts in enumerate(self.starts)]
            corners = itertools.product(*choices)
            windows = [
                tuple((low, low + size) for low, size in zip(corner, self.window, strict=True)) for corner in corners
            ]
            yield start, along[number + 1] if number + 1 < len(along) else self.shape[self.axis], windows

    def to_dict(self) -> dict[str, Any]:
        """For reports, ready for JSON."""
        reads_slices = any(window == 1 < size for window, size in zip(self.window, self.shape, strict=True))
        return {**dataclasses.asdict(self), "overlap": 0.0 if reads_slices else OVERLAP, "count": self.count}


def plan_windows(
    shape: Shape, largest: Sequence[int], *, multiple: int, pass_bytes: float, free_bytes: float | None, device: str
) -> WindowPlan:
    """Choose the windows for a volume.

    Args:
        shape: `(I, J, K)` of the network's grid.
        largest: Largest window, what the network was trained on.
        multiple: What the backbone shrinks by: window sides below the volume's are multiples of it.
        pass_bytes: Memory that the network needs for one voxel of a window.
        free_bytes: Memory that may be used; None where that is not known.
        device: `cpu` or `cuda`.

    Returns:
        The largest windows that fit, halved as often as necessary along their longest axis, then shortened by up to a
        quarter where the same number of them still covers the volume: 192 voxels are read by two windows of 128 rather
        than of 160. On a GPU several at once.
    """
    window = [min(size, _rounded(side, multiple)) for size, side in zip(shape, largest, strict=True)]
    free = math.inf if free_bytes is None else free_bytes

    def needed() -> float:
        return pass_bytes * math.prod(_rounded(side, multiple) for side in window)

    while needed() > free and max(window) > _LEAST_MULTIPLES * multiple:
        _halve_longest(window, multiple)
    window = [_shortened(side, size, multiple) for side, size in zip(window, shape, strict=True)]
    first, second, third = window
    plan = WindowPlan(shape, (first, second, third), 1, device, shape.index(max(shape)))
    if device == "cpu":  # several at once are no faster there
        return plan
    return dataclasses.replace(plan, batch=max(1, min(4, plan.count, int(min(free / needed(), 4)))))


def smaller_windows(plan: WindowPlan, multiple: int) -> WindowPlan | None:
    """The next thriftier plan: one window at once, then windows of half the longest side; None where there is none.

    Args:
        plan: A plan that did not fit the memory after all.
        multiple: What the backbone shrinks by.
    """
    if plan.batch > 1:
        return dataclasses.replace(plan, batch=1)
    window = list(plan.window)
    if max(window) <= _LEAST_MULTIPLES * multiple:
        return None
    _halve_longest(window, multiple)
    first, second, third = window
    return dataclasses.replace(plan, window=(first, second, third))


def _halve_longest(window: list[int], multiple: int) -> None:
    axis = window.index(max(window))
    window[axis] = max(_LEAST_MULTIPLES * multiple, _rounded(window[axis] // 2, multiple))


def overview_shape(plan: WindowPlan) -> Shape:
    """Voxels of the whole volume when it is to be looked at in one pass that costs no more than a window.

    Returns:
        The volume's own size, with the longest axes cut down to one common length.
    """
    longest = max(plan.shape)
    while math.prod(min(size, longest) for size in plan.shape) > math.prod(plan.window):
        longest -= 1
    first, second, third = (min(size, longest) for size in plan.shape)
    return first, second, third


def profiles(plan: WindowPlan, axis: int) -> dict[int, np.ndarray]:
    """Blending weights along one axis.

    Returns:
        For each start of a window its weights, float32; at every voxel of the axis those of all windows sum to one.
    """
    size = plan.window[axis]
    distance = (np.arange(size) - (size - 1) / 2) / (_SIGMA * size)
    bell = np.maximum(np.exp(-0.5 * distance**2), _LEAST_WEIGHT)
    total = np.zeros(plan.shape[axis])
    for start in plan.starts[axis]:
        total[start : start + size] += bell
    return {start: (bell / total[start : start + size]).astype(np.float32) for start in plan.starts[axis]}


class Blender:
    """Weighted mean of overlapping windows, of which only one slab is held.

    Args:
        plan: The windows; they come slab by slab in the plan's order.
    """

    def __init__(self, plan: WindowPlan) -> None:
        self._plan = plan
        self._profiles = [profiles(plan, axis) for axis in range(3)]
        height = [plan.window[axis] if axis == plan.axis else plan.shape[axis] for axis in range(3)]
        self._sum = np.zeros(height, dtype=np.float32)

    def add(self, window: WindowBounds, values: np.ndarray) -> None:
        """Take the values `(I, J, K)` of one window of the current slab."""
        place = tuple(
            slice(0, high - low) if axis == self._plan.axis else slice(low, high)
            for axis, (low, high) in enumerate(window)
        )
        first, second, third = (self._profiles[axis][low] for axis, (low, _) in enumerate(window))
        self._sum[place] += values * first[:, None, None] * second[:, None] * third

    def finished(self, rows: int) -> np.ndarray:
        """The first rows of the slab, which no later window touches; the next slab begins behind them."""
        held = np.moveaxis(self._sum, self._plan.axis, 0)
        done = np.moveaxis(held[:rows], 0, self._plan.axis).copy()
        rest = held[rows:].copy()
        held[: len(rest)] = rest
        held[len(rest) :] = 0
        return done


def _shortened(window: int, size: int, multiple: int) -> int:
    """The shortest window with which no more windows are needed, within `_LEAST_SHARE`."""
    count = len(_starts(size, window))
    if count == 1:
        return window
    covering = size / (1 + (count - 1) * (1 - OVERLAP))
    return min(window, _rounded(math.ceil(max(covering, _LEAST_SHARE * window)), multiple))


def _rounded(size: int, multiple: int) -> int:
    return -(-int(size) // multiple) * multiple


def _starts(size: int, window: int) -> tuple[int, ...]:
    if size <= window:
        return (0,)
    step = max(1, int(window * (1 - OVERLAP)))
    gaps = -(-(size - window) // step)
    return tuple(round(number * (size - window) / gaps) for number in range(gaps + 1))
