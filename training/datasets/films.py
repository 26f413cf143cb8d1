"""Films and masks from disk to the network's grid, by the very preprocessing that inference uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from TextGuidedSegLib.image import Image
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.preprocessing import PreparedFilm, PreprocessingConfig, prepare_film


def load_film(path: Path, config: PreprocessingConfig) -> np.ndarray:
    """`(I, J)` float16, normalized, canonical film frame, padded with the lowest value to a square of `config.size`."""
    return pad_to_square(prepare_film(read_image(path), config).array, config.size).astype(np.float16)


def load_mask(path: Path, image: Image) -> np.ndarray:
    """The mask of an image as bool on the image's own grid `(I, J, K)`.

    Raises:
        ValueError: The mask has another size than the image.
    """
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    mask = np.asarray(stored.reshape(stored.shape[0], stored.shape[1], -1)[..., 0] > 0).T[:, :, None]
    if mask.shape != image.geometry.shape:
        msg = f"mask {path} has {mask.shape[:2]} pixels, its image {image.geometry.shape[:2]}; expected the same"
        raise ValueError(msg)
    return mask


def load_pair(
    image_path: Path, mask_paths: Sequence[Path], config: PreprocessingConfig
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A film and its masks on the network's grid: `(I, J)` float16 and a list of `(I, J)` uint8 in {0, 1}."""
    image = read_image(image_path)
    prepared = prepare_film(image, config)
    masks = [resample_mask(load_mask(path, image), prepared, config.size) for path in mask_paths]
    return pad_to_square(prepared.array, config.size).astype(np.float16), masks


def resample_mask(mask: np.ndarray, prepared: PreparedFilm, size: int) -> np.ndarray:
    """A mask `(I, J, K)` on the image's grid to `(I, J)` uint8 on the network's, thresholded once, at one half."""
    canonical = prepared.reorientation.apply(mask.astype(np.float32))
    resampled = prepared.plan.apply(canonical)[:, :, 0]
    return (pad_to_square(resampled, size) > 0.5).astype(np.uint8)


def pad_to_square(array: np.ndarray, size: int) -> np.ndarray:
    """Pad the end of both axes with the lowest value, so that films of any aspect ratio share a batch."""
    padding = [(0, size - length) for length in array.shape]
    return np.pad(array, padding, constant_values=array.min()) if array.shape != (size, size) else array
