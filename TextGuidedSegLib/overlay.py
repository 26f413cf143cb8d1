"""A picture of a result: the film in gray, the pseudo-image as a glow, the mask as an outline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.export import PICTURE_SUFFIXES, atomic_path, check_output
from TextGuidedSegLib.files import itk
from TextGuidedSegLib.geometry import FILM_CODES, AxisCodes, film_plan, reorientation
from TextGuidedSegLib.image import Image

_GLOW = np.array([(40, 0, 80), (180, 30, 110), (250, 120, 40), (255, 220, 90)], dtype=np.float32)
_GLOW_TABLE = np.stack([np.interp(np.linspace(0, 3, 256), range(4), channel) for channel in _GLOW.T], axis=-1)
_GLOW_OPACITY = 0.6
_OUTLINE = np.array((60, 230, 120), dtype=np.uint8)
_PIXELS_PER_OUTLINE = 400  # an outline of one pixel vanishes when a large picture is shown on a screen

MAX_PICTURE_SIDE = 1600
"""Pixels of an overlay's long side: larger films are shrunk, as drawing 3,000 x 2,500 takes 3 s and shows no more."""

_AXIAL_CODES: AxisCodes = ("L", "P", "S")  # axial slices as radiologists see them: patient's left on the right


def display_planes(image: Image, *maps: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """The plane of an image to look at, and the same plane of each map, all `(rows, columns)` as displayed.

    Args:
        image: A film, or a volume, of which the axial slice with the largest area of the first map is taken (the middle
            one if that map is empty).
        maps: `(I, J, K)` on the image's grid; the mask first.

    Raises:
        ImageError: A map does not have the image's shape.
    """
    for one in maps:
        if one.shape != image.geometry.shape:
            msg = f"a map has the shape {one.shape}, the image {image.geometry.shape}"
            raise ImageError(msg)
    gray = image.array if image.array.ndim == 3 else image.array.mean(axis=3)
    step = reorientation(image.axis_codes, FILM_CODES if image.kind == "film" else _AXIAL_CODES)
    turned = [step.apply(one) for one in (gray, *maps)]
    depth = turned[0].shape[2]
    areas = np.count_nonzero(turned[1], axis=(0, 1)) if maps else np.zeros(depth)
    plane = int(areas.argmax()) if areas.any() else depth // 2
    return tuple(one[:, :, plane].T for one in turned)


def write_overlay_png(
    path: str | Path, film: NDArray[Any], mask: NDArray[Any], pseudo_image: NDArray[Any] | None = None
) -> None:
    """Write the picture of one result, shrunk to `MAX_PICTURE_SIDE` if it is larger.

    Args:
        path: File ending in ".png".
        film: `(rows, columns)` gray values of any range; shown from the 0.5th to the 99.5th percentile.
        mask: `(rows, columns)`, nonzero inside; drawn as an outline.
        pseudo_image: `(rows, columns)` in [0, 1]; drawn as a translucent glow.

    Raises:
        ImageError: Shapes disagree or the file cannot be written.
    """
    target = check_output(path, PICTURE_SUFFIXES)
    if film.ndim != 2 or mask.shape != film.shape or (pseudo_image is not None and pseudo_image.shape != film.shape):
        shapes = [one.shape for one in (film, mask, pseudo_image) if one is not None]
        msg = f"an overlay needs planes (rows, columns) of one shape, got {shapes}"
        raise ImageError(msg)
    picture = np.repeat(_gray(_shrunk(film))[..., None], 3, axis=2)
    if pseudo_image is not None:
        level = np.clip(_shrunk(pseudo_image), 0, 1)
        glow = _GLOW_TABLE[np.round(level * (len(_GLOW_TABLE) - 1)).astype(np.intp)]
        picture += _GLOW_OPACITY * level[..., None] * (glow - picture)
    drawn = np.round(picture).astype(np.uint8)
    drawn[_outline(_shrunk(mask != 0) >= 0.5)] = _OUTLINE
    with atomic_path(target) as part:
        itk.write_picture(part, drawn)


def _shrunk(plane: NDArray[Any]) -> NDArray[np.float32]:
    """A plane as finite float32, brought to `MAX_PICTURE_SIDE` if it is larger."""
    values = np.nan_to_num(plane.astype(np.float32))
    if max(plane.shape) <= MAX_PICTURE_SIDE:
        return values
    return film_plan((*plane.shape, 1), MAX_PICTURE_SIDE).apply(values[..., None])[..., 0]


def _gray(film: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.percentile(film, (0.5, 99.5))
    gray = (film - low) / max(float(high - low), np.finfo(np.float32).tiny)
    return np.asarray(255 * np.clip(gray, 0, 1), dtype=np.float32)


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_erosion  # 0.2 s to import, and only pictures need it

    width = max(1, round(max(mask.shape) / _PIXELS_PER_OUTLINE))
    return np.asarray(mask & ~binary_erosion(mask, iterations=width), dtype=np.bool_)
