"""Films and masks from disk to the network's grid, by the very preprocessing that inference uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from TextGuidedSegLib.geometry import reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.preprocessing import PreparedFilm, PreprocessingConfig, prepare_film

_DIRECTIONS_LOST = "This file does not say how"
"""Begins every warning about a film or volume whose directions were assumed."""


def load_mask(path: Path, image: Image) -> np.ndarray:
    """The mask of an image as bool on the image's own grid `(I, J, K)`.

    Raises:
        ImageError: The mask cannot be read.
        ValueError: The mask has another size than the image, or lies elsewhere.
    """
    mask: np.ndarray = stored_mask(path, image) > 0
    return mask


def stored_mask(path: Path, image: Image) -> np.ndarray:
    """A mask or label map with the values of its file on the image's own grid `(I, J, K)`.

    A file that says how it lies may have its axes in another order or direction than the image. One that does not, as a
    picture, lies as the image does.

    Raises:
        ImageError: The file cannot be read.
        ValueError: It has another size than the image, or the grid of another volume.
    """
    stored = read_image(path)
    array = stored.array if stored.array.ndim == 3 else stored.array[..., 0]
    geometry, grid = stored.geometry, image.geometry
    believed = _says_how_it_lies(stored) and _says_how_it_lies(image)
    # On the image's own grid a mask lies as the image does, whose directions may come from tags and not from the grid.
    if believed and not geometry.close_to(grid, float(grid.spacing_mm.min()) / 2):
        step = reorientation(stored.axis_codes, image.axis_codes)
        array, geometry = step.apply(array), step.apply_to_geometry(geometry)
    if array.shape != grid.shape:
        msg = f"mask {path} has the size {array.shape}, its image {grid.shape}; expected the same"
        raise ValueError(msg)
    voxel_mm = float(grid.spacing_mm.max())
    if believed and image.kind == "volume" and not geometry.close_to(grid, voxel_mm):
        msg = (
            f"mask {path} lies more than a voxel ({voxel_mm:g} mm) from its image: it begins at "
            f"{geometry.origin_ras_mm.round(2).tolist()} with voxels of {geometry.spacing_mm.round(3).tolist()} mm, "
            f"the image at {grid.origin_ras_mm.round(2).tolist()} with {grid.spacing_mm.round(3).tolist()} mm (RAS); "
            "save the mask on the grid of its image"
        )
        raise ValueError(msg)
    return array


def _says_how_it_lies(image: Image) -> bool:
    return image.spacing_known and not any(_DIRECTIONS_LOST in warning for warning in image.warnings)


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
