"""Image values to network input and back: the same few steps for training, evaluation and the panel."""

from __future__ import annotations

import dataclasses

import numpy as np

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.geometry import Reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.resampling import ResamplePlan, film_plan

# Standard deviation, as a share of the largest value, that is no contrast: resampling a constant image in float32
# leaves 1e-7, and the dimmest step of a 16-bit film is 1.5e-5.
_LEAST_SPREAD = 1e-6


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
        # A copy, because both steps may be the identity, and a caller may change what it was given.
        return np.array(self.reorientation.undo(canonical), dtype=np.float32)


def prepare_film(image: Image, config: PreprocessingConfig) -> PreparedFilm:
    """Reorient, resample and normalize one scalar film.

    Args:
        image: A film, `(I, J, K)` with one singleton axis.
        config: The numbers the weights were trained with.

    Returns:
        The network input with its undo.

    Raises:
        ImageError: The film holds values that are not finite; `read_image` mends or refuses such files.
    """
    canonical, reorientation = image.canonical()
    plan = film_plan(canonical.shape, config.size)
    resampled = plan.apply(canonical)[:, :, 0]
    if not np.isfinite(resampled).all():
        msg = f"{image.source or 'the image'} holds values that are not finite (NaN or infinite); replace them first"
        raise ImageError(msg)
    return PreparedFilm(normalize(resampled, config), reorientation, plan)


def normalize(array: np.ndarray, config: PreprocessingConfig) -> np.ndarray:
    """Clip to percentiles, then mean 0 and standard deviation 1; a constant image becomes all zeros.

    Args:
        array: Any shape, any real unit.
        config: The percentiles.

    Returns:
        float32, same shape.
    """
    values = array.astype(np.float64)
    low, high = np.percentile(values, (config.low_percentile, config.high_percentile))
    largest = max(abs(low), abs(high)) or 1.0
    scaled = np.clip(values, low, high) / largest
    spread = scaled.std()
    if spread < _LEAST_SPREAD:
        return np.zeros(array.shape, dtype=np.float32)
    normalized: np.ndarray = ((scaled - scaled.mean()) / spread).astype(np.float32)
    return normalized
