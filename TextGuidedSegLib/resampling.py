"""From the canonical grid to the network's grid and back: separable linear resampling over one field of view.

Both grids cover the same field of view (pixel areas, like torch's `align_corners=False`): new pixel o of m lies at old
index `(o + 0.5) * n / m - 0.5`, so nothing moves by half a pixel. Shrinking averages over the new pixel's surroundings
(a triangle filter), so that fine texture of a 3,000 pixel film does not alias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from TextGuidedSegLib.errors import GeometryError

_Shape = tuple[int, int, int]


@dataclass(frozen=True)
class ResamplePlan:
    """How an array changes from one grid size to another, and back.

    Attributes:
        shape: `(I, J, K)` of the canonical grid.
        model_shape: `(I, J, K)` of the network's grid over the same field of view.

    Raises:
        GeometryError: A size is smaller than 1.
    """

    shape: _Shape
    model_shape: _Shape

    def __post_init__(self) -> None:
        for sizes in (self.shape, self.model_shape):
            if len(sizes) != 3 or min(sizes) < 1:
                msg = f"a resampling plan needs three sizes >= 1 on both sides, got {self.shape} and {self.model_shape}"
                raise GeometryError(msg)

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """Bring an array from the canonical grid to the network's grid.

        Args:
            array: `(I, J, K)` or `(I, J, K, C)` on the canonical grid, numeric or bool.

        Returns:
            The same field of view on `model_shape`, float32 (float64 for float64); equal values where sizes are equal.

        Raises:
            GeometryError: The array does not have the plan's shape.
        """
        return _resample(array, self.shape, self.model_shape)

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """Bring an array on `model_shape` back to the canonical grid; same rules as `apply`."""
        return _resample(array, self.model_shape, self.shape)


def film_plan(shape: Sequence[int], size: int) -> ResamplePlan:
    """Plan that brings the longest side of a film to `size` pixels and keeps its aspect.

    Args:
        shape: `(I, J, K)` of the film in the canonical frame.
        size: Pixels on the longest side of the network's grid, >= 1.

    Raises:
        GeometryError: A size is smaller than 1.
    """
    first, second, third = (int(side) for side in shape)
    longest = max(first, second, third, 1)
    model = [max(round(side * size / longest), min(size, 1)) for side in (first, second)]
    return ResamplePlan((first, second, third), (model[0], model[1], third))


def volume_plan(shape: Sequence[int], spacing_mm: Sequence[float], model_spacing_mm: Sequence[float]) -> ResamplePlan:
    """Plan that brings a volume to the network's voxel size, as nearly as whole voxels over the field of view allow.

    Args:
        shape: `(I, J, K)` of the volume in the canonical frame.
        spacing_mm: Its voxel size along each axis, mm.
        model_spacing_mm: Voxel size the network was trained on, along each axis, mm.

    Raises:
        GeometryError: A size or spacing is not positive.
    """
    if len(spacing_mm) != 3 or len(model_spacing_mm) != 3 or min(*spacing_mm, *model_spacing_mm) <= 0:
        msg = f"spacings must be three positive numbers each, got {list(spacing_mm)} and {list(model_spacing_mm)}"
        raise GeometryError(msg)
    old = [int(size) for size in shape]
    new = [max(round(n * mm / to), 1) for n, mm, to in zip(old, spacing_mm, model_spacing_mm, strict=True)]
    return ResamplePlan((old[0], old[1], old[2]), (new[0], new[1], new[2]))


def _resample(array: NDArray[Any], old: _Shape, new: _Shape) -> NDArray[Any]:
    if array.ndim not in (3, 4) or array.shape[:3] != old:
        msg = f"the plan expects an array of shape {old} (or with channels last), got {array.shape}"
        raise GeometryError(msg)
    result = array.astype(np.float64 if array.dtype == np.float64 else np.float32, copy=False)
    # The axis that shrinks most goes first: every later step then has less to do and less to hold.
    for axis in sorted(range(3), key=lambda axis: new[axis] / old[axis]):
        if old[axis] != new[axis]:
            result = _resample_axis(result, axis, new[axis])
    return result


def _resample_axis(array: NDArray[Any], axis: int, size: int) -> NDArray[Any]:
    from scipy.sparse import csr_array  # 0.2 s to import, and only resampling needs it

    rows, columns, weights = linear_weights(array.shape[axis], size)
    matrix = csr_array((weights.astype(array.dtype), (rows, columns)), shape=(size, array.shape[axis]))
    moved = np.moveaxis(array, axis, 0)
    mixed = matrix @ moved.reshape(array.shape[axis], -1)
    return np.ascontiguousarray(np.moveaxis(mixed.reshape(size, *moved.shape[1:]), 0, axis))


def linear_weights(old: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Non-zero entries (row, column, weight) of the `(new, old)` matrix of linear resampling; rows sum to 1.

    Entries are ordered by row, then by column.
    """
    scale = old / new
    radius = max(scale, 1.0)  # enlarging: plain linear interpolation; shrinking: the triangle grows with the new pixel
    centers = (np.arange(new) + 0.5) * scale - 0.5
    first = np.floor(centers - radius).astype(np.intp) + 1
    columns = first[:, None] + np.arange(int(np.ceil(2 * radius)))
    weights = np.maximum(1.0 - np.abs(columns - centers[:, None]) / radius, 0.0)
    # What falls outside the field of view is left out and the rest scaled up: at the border the last value goes on.
    weights[(columns < 0) | (columns >= old)] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    rows, offsets = np.nonzero(weights)
    return rows, columns[rows, offsets], weights[rows, offsets]
