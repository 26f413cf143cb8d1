"""Films and masks from disk to the network's grid, by the very preprocessing that inference uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from TextGuidedSegLib.image import Image
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.preprocessing import PreparedFilm, PreprocessingConfig, prepare_film


def load_mask(path: Path, image: Image) -> np.ndarray:
    """The mask of an image as bool on the image's own grid `(I, J, K)`.

    Raises:
        ImageError: The mask cannot be read.
        ValueError: The mask has another size than the image.
    """
    stored = read_image(path).array
    if stored.shape[:3] != image.geometry.shape:
        msg = f"mask {path} has {stored.shape[:2]} pixels, its image {image.geometry.shape[:2]}; expected the same"
        raise ValueError(msg)
    mask: np.ndarray = (stored if stored.ndim == 3 else stored[..., 0]) > 0
    return mask


def load_pair(
    image_path: Path, mask_paths: Sequence[Path], config: PreprocessingConfig
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A film and its masks on the network's grid: `(I, J)` float16 and a list of `(I, J)` uint8 in {0, 1}.

    A color film is `(C, I, J)`; a grey one stays `(I, J)`, `sample.collate` repeats it for a network that reads colors.
    A film that is not square is padded with its lowest value.
    """
    image = read_image(image_path)
    prepared = prepare_film(image, config, channels=image.channels)
    masks = [resample_mask(load_mask(path, image), prepared, config.size) for path in mask_paths]
    return pad_to_square(prepared.array, config.size, prepared.array.min()).astype(np.float16), masks


def resample_mask(mask: np.ndarray, prepared: PreparedFilm, size: int) -> np.ndarray:
    """A mask `(I, J, K)` on the image's grid to `(I, J)` uint8 on the network's, thresholded once, at one half."""
    canonical = prepared.reorientation.apply(mask.astype(np.float32))
    resampled = prepared.plan.apply(canonical)[:, :, 0]
    return (pad_to_square(resampled, size, 0.0) > 0.5).astype(np.uint8)


def pad_to_square(array: np.ndarray, size: int, value: float) -> np.ndarray:
    """Pad the end of the last two axes to `size`, so that films of any aspect ratio share a batch."""
    if array.shape[-2:] == (size, size):
        return array
    padding = [(0, 0)] * (array.ndim - 2) + [(0, size - length) for length in array.shape[-2:]]
    return np.pad(array, padding, constant_values=value)
