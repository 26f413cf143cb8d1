"""Image values to network input and back: the same few steps for training, evaluation and the panel."""

from __future__ import annotations

import dataclasses

import numpy as np

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.geometry import Reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.resampling import ResamplePlan, film_plan

# Resampling a constant image in float32 leaves 1e-7, and the dimmest step of a 16-bit film is 1.5e-5.
LEAST_SPREAD = 1e-6
"""Standard deviation, as a share of the largest value, below which there is no contrast."""


@dataclasses.dataclass(frozen=True)
class PreprocessingConfig:
    """Stored on the weights card, because weights without it are of no use.

    Attributes:
        size: Pixels of a film's long side; the aspect ratio is kept.
        low_percentile: Grey values below this percentile are clipped.
        high_percentile: Grey values above this percentile are clipped (markers, metal).
        spacing_mm: Voxel size, along the canonical axes, that a volume is brought to; None to keep its own.
        keep_coarse_axes: An axis that was scanned more coarsely than `spacing_mm` keeps its own voxels: slices
            interpolated between thick ones cost time and show nothing new.
        window: Largest window, in the network's voxels, that a volume is read by: about what the network was
            trained on.
        neighbor_slices: A network of slices sees the slice before and the one after, too, as further channels: one
            slice alone does not show how far a heart reaches.
    """

    size: int = 224
    low_percentile: float = 0.5
    high_percentile: float = 99.5
    spacing_mm: tuple[float, ...] | None = None
    keep_coarse_axes: bool = False
    window: tuple[int, ...] = (96, 96, 96)
    neighbor_slices: bool = False


@dataclasses.dataclass(frozen=True)
class PreparedFilm:
    """Network input and the way back.

    Attributes:
        array: `(I, J)` float32 for a grey network, `(C, I, J)` for one that reads C colors; canonical film frame (I
            from the patient's right to left, which is from the left of a displayed picture to its right; J from
            superior to inferior), mean 0 and standard deviation 1 over all its values.
        reorientation: From the image's own axes to the canonical ones.
        plan: From the canonical grid to the network's grid.
    """

    array: np.ndarray
    reorientation: Reorientation
    plan: ResamplePlan

    @property
    def channels_first(self) -> np.ndarray:
        """`(C, I, J)` whatever the number of channels, C = 1 for a grey network."""
        return self.array if self.array.ndim == 3 else self.array[None]

    def undo(self, array: np.ndarray) -> np.ndarray:
        """A map `(I, J)` on the network's grid, as float32 on the image's original voxel grid `(I, J, K)`."""
        canonical = self.plan.undo(array[..., None])
        # A copy, because both steps may be the identity, and a caller may change what it was given.
        return np.array(self.reorientation.undo(canonical), dtype=np.float32)


def prepare_film(image: Image, config: PreprocessingConfig, *, channels: int = 1) -> PreparedFilm:
    """Reorient, resample and normalize one film.

    A color film is normalized with one scale for all its channels: the captions name colors, and a scale for each
    channel would turn every film grey. A grey film for a color network goes, normalized, into each channel, exactly as
    a color film whose channels are equal.

    Args:
        image: A film, `(I, J, K)` or `(I, J, K, C)` with one singleton axis.
        config: The numbers the weights were trained with.
        channels: Channels the network reads: 1, or the image's own number.

    Returns:
        The network input with its undo.

    Raises:
        ImageError: The film has colors and the network reads grey films, or the film holds values that are not finite;
            `read_image` mends or refuses such files.
    """
    name = image.source or "the image"
    if image.channels not in (1, channels):
        msg = f"{name} has {image.channels} channels, expected {' or '.join(map(str, sorted({1, channels})))}"
        raise ImageError(msg)
    canonical, reorientation = image.canonical()
    plan = film_plan(canonical.shape[:3], config.size)
    resampled = plan.apply(canonical)[:, :, 0]
    if not np.isfinite(resampled).all():
        msg = f"{name} holds values that are not finite (NaN or infinite); replace them first"
        raise ImageError(msg)
    array = normalize(resampled, config)
    return PreparedFilm(_channels_first(array, channels), reorientation, plan)


def _channels_first(array: np.ndarray, channels: int) -> np.ndarray:
    """`(I, J)` or `(I, J, C)` to what a network of so many channels reads, contiguous."""
    grey = array if array.ndim == 2 else array[..., 0] if array.shape[2] == 1 else None
    if grey is None:
        return np.ascontiguousarray(np.moveaxis(array, -1, 0))
    return grey if channels == 1 else np.repeat(grey[None], channels, axis=0)


def normalize(array: np.ndarray, config: PreprocessingConfig) -> np.ndarray:
    """Clip to percentiles, then mean 0 and standard deviation 1; a constant image becomes all zeros.

    Args:
        array: Any shape, any real unit; all its values, of all channels, share one scale.
        config: The percentiles.

    Returns:
        float32, same shape.
    """
    values = array.astype(np.float64)
    low, high = np.percentile(values, (config.low_percentile, config.high_percentile))
    largest = max(abs(low), abs(high)) or 1.0
    scaled = np.clip(values, low, high) / largest
    spread = scaled.std()
    if spread < LEAST_SPREAD:
        return np.zeros(array.shape, dtype=np.float32)
    normalized: np.ndarray = ((scaled - scaled.mean()) / spread).astype(np.float32)
    return normalized
