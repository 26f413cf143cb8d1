"""A volume as its network reads it, in slabs: canonical frame, model spacing, one scale of values, and the way back.

Nothing here copies a whole volume: reorientation is a view, resampling goes slab by slab, and the scale of the values
is measured on a regular sample of voxels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.geometry import VOLUME_CODES, Shape, reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.preprocessing import LEAST_SPREAD, PreprocessingConfig
from TextGuidedSegLib.resampling import ResamplePlan, volume_plan
from TextGuidedSegLib.slabs import ReadRows, SlabPlan, rows_of

# Voxels that the scale of the values is measured on: percentiles of two million agree with those of any larger volume
# to the fourth digit.
_SAMPLED_VOXELS = 1 << 21
# Voxels on the network's grid up to which a prepared volume is kept between phrases (64 MB).
_KEPT_VOXELS = 1 << 24
# Voxels that are resampled at once.
_PORTION_VOXELS = 1 << 21


@dataclasses.dataclass(frozen=True)
class Scale:
    """How raw values become network input: clipped, then shifted and divided.

    Attributes:
        low: Values below are clipped.
        high: Values above are clipped.
        mean: Of the clipped values.
        spread: Their standard deviation; 0 if there is no contrast, which makes every voxel 0.
    """

    low: float
    high: float
    mean: float
    spread: float

    def apply(self, values: np.ndarray) -> np.ndarray:
        """float32 of the same shape, in place where `values` is float32."""
        if not self.spread:
            return np.zeros(values.shape, dtype=np.float32)
        scaled = values.astype(np.float32, copy=False)
        np.clip(scaled, np.float32(self.low), np.float32(self.high), out=scaled)
        scaled -= np.float32(self.mean)
        scaled /= np.float32(self.spread)
        return scaled


class PreparedVolume:
    """Network input in slabs, and the way back; made by `prepare_volume`.

    A slab is all of the volume between two planes across one canonical axis.

    Attributes:
        reorientation: From the image's own axes to the canonical ones.
        plan: From the canonical grid to the network's grid.
        spacing_mm: Size of a voxel of the network's grid along each canonical axis, `(3,)`.
        scale: What was measured of the values.
    """

    def __init__(self, image: Image, config: PreprocessingConfig) -> None:
        self.reorientation = reorientation(image.axis_codes, VOLUME_CODES)
        canonical = self.reorientation.apply_to_geometry(image.geometry)
        self.plan = _plan(canonical.shape, canonical.spacing_mm, config)
        self.spacing_mm: np.ndarray = canonical.spacing_mm * self.plan.shape / self.plan.model_shape
        self._view = self.reorientation.view(image.array if image.array.ndim == 3 else image.array[..., 0])
        self.scale = _measured(self._view, config)
        self._shape = image.geometry.shape
        self._plans: dict[tuple[int, bool], SlabPlan] = {}
        self._whole: np.ndarray | None = None

    def rows(self, axis: int, start: int, stop: int) -> np.ndarray:
        """The network's input between two planes.

        Args:
            axis: Canonical axis that is cut across.
            start: First row of the network's grid along it.
            stop: One after the last.

        Returns:
            float32, all of the other two axes; mean 0 and standard deviation 1 over the whole volume. Read only.
        """
        if math.prod(self.plan.model_shape) > _KEPT_VOXELS:
            return self._prepared(axis, start, stop)
        if self._whole is None:
            self._whole = np.empty(self.plan.model_shape, dtype=np.float32)
            for first, last in _portions(self.plan.model_shape, self.plan.shape, axis):
                self._whole[rows_of(axis, first, last)] = self._prepared(axis, first, last)
        return self._whole[rows_of(axis, start, stop)]

    def whole(self) -> np.ndarray:
        """The whole network input `(I, J, K)`, for training and small volumes; read only."""
        return self.rows(0, 0, self.plan.model_shape[0])

    def overview(self, shape: Shape, between: Callable[[], None]) -> np.ndarray:
        """The whole volume with fewer voxels.

        Args:
            shape: `(I, J, K)` to bring it to, over the same field of view.
            between: Called before each portion; may raise.

        Returns:
            float32 of that shape, on the scale of the network's input.
        """
        slabs = SlabPlan(ResamplePlan(self.plan.shape, shape), axis=0)
        portions = []
        for portion in _portions(shape, self.plan.shape, 0):
            between()
            portions.append(self.scale.apply(slabs.rows(self._reader(0), *portion)))
        return np.concatenate(portions)

    def _prepared(self, axis: int, start: int, stop: int) -> np.ndarray:
        return self.scale.apply(self._slabs(axis, undo=False).rows(self._reader(axis), start, stop))

    def _reader(self, axis: int) -> ReadRows:
        """Gives rows of the canonical grid."""

        def read(first: int, last: int) -> np.ndarray:
            # A copy in canonical order, so that no bit depends on how the file orders its axes.
            return np.array(self._view[rows_of(axis, first, last)], dtype=np.float32, order="C")

        return read

    def empty_map(self) -> np.ndarray:
        """float32 zeros on the image's own grid, for `write`."""
        return np.zeros(self._shape, dtype=np.float32)

    def portions(self, axis: int) -> list[tuple[int, int]]:
        """Rows of the canonical grid, first and one after the last, to `write` at a time."""
        return _portions(self.plan.shape, self.plan.shape, axis)

    def write(self, target: np.ndarray, axis: int, portion: tuple[int, int], read: ReadRows) -> None:
        """Bring part of a map from the network's grid to the image's own.

        Args:
            target: From `empty_map`.
            axis: Canonical axis that is cut across.
            portion: One of `portions(axis)`.
            read: Gives rows of the map on the network's grid.
        """
        rows = self._slabs(axis, undo=True).rows(read, *portion)
        self.reorientation.view(target)[rows_of(axis, *portion)] = rows

    def _slabs(self, axis: int, *, undo: bool) -> SlabPlan:
        key = (axis, undo)
        if key not in self._plans:
            self._plans[key] = SlabPlan(self.plan, axis, undo=undo)
        return self._plans[key]


def prepare_volume(image: Image, config: PreprocessingConfig) -> PreparedVolume:
    """Reorient, resample and normalize one volume; all of it happens when its slabs are asked for.

    Args:
        image: A volume, `(I, J, K)`, of any orientation, oblique or not; the nearest canonical axes are taken.
        config: The numbers the weights were trained with.

    Raises:
        ImageError: The volume has colors, or holds values that are not finite.
        GeometryError: `config.spacing_mm` is not three positive numbers.
    """
    name = image.source or "the image"
    if image.channels != 1:
        msg = f"{name} has {image.channels} channels; volumes are read with one only, save the one to segment"
        raise ImageError(msg)
    prepared = PreparedVolume(image, config)
    if not np.isfinite((prepared.scale.mean, prepared.scale.spread)).all():
        msg = f"{name} holds values that are not finite (NaN or infinite); replace them first"
        raise ImageError(msg)
    return prepared


def _plan(shape: Shape, spacing_mm: np.ndarray, config: PreprocessingConfig) -> ResamplePlan:
    if config.spacing_mm is None:
        return ResamplePlan(shape, shape)
    plan = volume_plan(shape, spacing_mm.tolist(), config.spacing_mm)
    if not config.keep_coarse_axes:
        return plan
    first, second, third = (min(old, new) for old, new in zip(shape, plan.model_shape, strict=True))
    return ResamplePlan(shape, (first, second, third))


def _measured(view: np.ndarray, config: PreprocessingConfig) -> Scale:
    steps = [1, 1, 1]
    while math.prod(-(-size // step) for size, step in zip(view.shape, steps, strict=True)) > _SAMPLED_VOXELS:
        steps[max(range(3), key=lambda axis: view.shape[axis] / steps[axis])] *= 2
    sample = np.array(view[tuple(slice(None, None, step) for step in steps)], dtype=np.float32, order="C")
    low, high = np.percentile(sample, (config.low_percentile, config.high_percentile))
    np.clip(sample, low, high, out=sample)
    mean, spread = float(sample.mean(dtype=np.float64)), float(sample.std(dtype=np.float64))
    return Scale(float(low), float(high), mean, 0.0 if spread < LEAST_SPREAD * max(abs(low), abs(high)) else spread)


def _portions(shape: Shape, largest: Shape, axis: int) -> list[tuple[int, int]]:
    """Rows along an axis of `shape` such that about the same number of voxels of a grid `largest` belongs to each."""
    voxels = max(math.prod(shape), math.prod(largest))
    rows = max(1, _PORTION_VOXELS * shape[axis] // voxels)
    return [(start, min(start + rows, shape[axis])) for start in range(0, shape[axis], rows)]
