"""A resampling plan carried out slab by slab, so that a volume is never held whole at two resolutions.

Every slab has the very bits that `ResamplePlan` gives for the whole: the same weights in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from TextGuidedSegLib.resampling import ResamplePlan, linear_weights

ReadRows = Callable[[int, int], NDArray[Any]]
"""`read(first, last)`: rows `[first, last)` along the slabs' axis, all of the other two, float32 and contiguous."""


class AxisMap:
    """Linear resampling along one axis from `old` to `new` samples, row by row.

    Args:
        old: Samples before.
        new: Samples after.
    """

    def __init__(self, old: int, new: int) -> None:
        from scipy.sparse import csr_array  # 0.2 s to import, and only resampling needs it

        self.old, self.new = old, new
        self._matrix: Any = None
        if old != new:
            rows, columns, weights = linear_weights(old, new)
            self._matrix = csr_array((weights.astype(np.float32), (rows, columns)), shape=(new, old))

    def sources(self, start: int, stop: int) -> tuple[int, int]:
        """Old samples, first and one after the last, that the new ones `[start, stop)` are made of."""
        if self._matrix is None:
            return start, stop
        used = self._matrix.indices[self._matrix.indptr[start] : self._matrix.indptr[stop]]
        return int(used.min()), int(used.max()) + 1

    def apply(self, array: NDArray[Any], axis: int, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """New samples `[start, stop)` along one axis.

        Args:
            array: float32, any number of axes; along `axis` exactly the samples of `sources(start, stop)`.
            axis: The axis.
            start: First new sample.
            stop: One after the last; None for all.
        """
        if self._matrix is None:
            return array
        stop = self.new if stop is None else stop
        first, last = self.sources(start, stop)
        matrix = self._matrix[start:stop, first:last]
        moved = np.moveaxis(array, axis, 0)
        mixed = matrix @ moved.reshape(last - first, -1)
        return np.ascontiguousarray(np.moveaxis(mixed.reshape(stop - start, *moved.shape[1:]), 0, axis))


class SlabPlan:
    """One direction of a `ResamplePlan`, slab by slab.

    Args:
        plan: The plan.
        axis: Axis that slabs are cut across.
        undo: From the network's grid to the canonical one; otherwise the way there.
    """

    def __init__(self, plan: ResamplePlan, axis: int, *, undo: bool = False) -> None:
        self.old, self.new = (plan.model_shape, plan.shape) if undo else (plan.shape, plan.model_shape)
        self.axis = axis
        self._maps = [AxisMap(old, new) for old, new in zip(self.old, self.new, strict=True)]
        # As in `ResamplePlan`: the axis that shrinks most goes first.
        self._order = sorted(range(3), key=lambda one: self.new[one] / self.old[one])

    def rows(self, read: ReadRows, start: int, stop: int) -> NDArray[Any]:
        """Rows `[start, stop)` of the resampled volume along the slabs' axis, float32 and contiguous."""
        array = read(*self._maps[self.axis].sources(start, stop))
        for axis in self._order:
            array = self._maps[axis].apply(array, axis, *((start, stop) if axis == self.axis else ()))
        return array


def rows_of(axis: int, start: int, stop: int) -> tuple[slice, ...]:
    """Index of rows `[start, stop)` along one of three axes."""
    return tuple(slice(start, stop) if one == axis else slice(None) for one in range(3))
