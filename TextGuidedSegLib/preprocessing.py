"""Image values to network input and back: the same few steps for training, evaluation and the panel."""

from __future__ import annotations

import dataclasses

import numpy as np

from TextGuidedSegLib.geometry import Reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.resampling import ResamplePlan, film_plan


@dataclasses.dataclass(frozen=True)
class PreprocessingConfig:
    """Stored on the weights card, because weights without it are of no use.

    Attributes:
        size: Pixels of a film's long side; the aspect ratio is kept.
        low_percentile: Grey values below this percentile are clipped.
        high_percentile: Grey values above this percentile are clipped (markers, metal).
    """

    size: int = 224
    low_percentile: float = 0.5
    high_percentile: float = 99.5


@dataclasses.dataclass(frozen=True)
class PreparedFilm:
    """Network input and the way back.

    Attributes:
        array: `(I, J)` float32, canonical film frame (I from the patient's right to left, J from superior to inferior),
            mean 0 and standard deviation 1.
        reorientation: From the image's own axes to the canonical ones.
        plan: From the canonical grid to the network's grid.
    """

    array: np.ndarray
    reorientation: Reorientation
    plan: ResamplePlan

    def undo(self, array: np.ndarray) -> np.ndarray:
        """A map `(I, J)` on the network's grid, as float32 on the image's original voxel grid `(I, J, K)`."""
        canonical = self.plan.undo(array[..., None])
        return np.ascontiguousarray(self.reorientation.undo(canonical), dtype=np.float32)


def prepare_film(image: Image, config: PreprocessingConfig) -> PreparedFilm:
    """Reorient, resample and normalize one scalar film.

    Args:
        image: A film, `(I, J, K)` with one singleton axis.
        config: The numbers the weights were trained with.

    Returns:
        The network input with its undo.
    """
    canonical, reorientation = image.canonical()
    plan = film_plan(canonical.shape, config.size)
    resampled = plan.apply(canonical)[:, :, 0]
    return PreparedFilm(normalize(resampled, config), reorientation, plan)


def normalize(array: np.ndarray, config: PreprocessingConfig) -> np.ndarray:
    """Clip to percentiles, then mean 0 and standard deviation 1; a constant image becomes all zeros.

    Args:
        array: Any shape, any real unit.
        config: The percentiles.

    Returns:
        float32, same shape.
    """
    low, high = np.percentile(array, (config.low_percentile, config.high_percentile))
    clipped = np.clip(array.astype(np.float32), float(low), float(high))  # Python floats keep float32
    spread = float(clipped.std())
    if spread == 0.0:
        return np.zeros(array.shape, dtype=np.float32)
    normalized: np.ndarray = (clipped - float(clipped.mean())) / spread
    return normalized
