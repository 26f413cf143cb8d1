"""Masks that a list gives to be corrected: read, brought onto the grid of the loaded image, added as segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.geometry import Geometry, reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.io import read_image

from .provenance import provenanceFromTags
from .scene import imageFromVolume
from .segments import addSegment
from .worklist import Case, CasePhrase
from .worklistScene import OpenCase

# Of a voxel: how far two files of one grid may be apart, since formats round differently.
_TOLERANCE = 0.1


def addMasks(case: Case, folder: Path, opened: OpenCase) -> None:
    """Add the masks that the list names for a case as segments.

    A mask file lies on the image's own grid: nonzero inside, or, in a label map, the values in the row's column
    `label`, such as "1,2".

    Args:
        case: The case.
        folder: What relative paths are relative to.
        opened: Its nodes.

    Raises:
        ImageError: A file cannot be read or does not fit the image.
    """
    named = [one for one in case.phrases if one.mask]
    if not named:
        return
    place = imageFromVolume(opened.volumeNode).geometry
    for phrase in named:
        stored = read_image(folder / phrase.mask)
        grid = stored.geometry if stored.spacing_known else _gridOfFile(folder / case.image)
        mask = _onGrid(_inside(stored, phrase), grid, place)
        if mask.shape != place.shape:
            msg = f"the mask {phrase.mask} has {mask.shape} voxels, its image {place.shape}; expected the same grid"
            raise ImageError(msg)
        provenance = provenanceFromTags({"TextGuidedSeg.Phrase": phrase.text, "TextGuidedSeg.Model": phrase.mask})
        addSegment(mask, opened.volumeNode, opened.segmentationNode, provenance)


def _inside(stored: Image, phrase: CasePhrase) -> np.ndarray:
    mask = stored.array if stored.array.ndim == 3 else stored.array[..., 0]
    values = [int(one) for one in phrase.columns.get("label", "").split(",") if one.strip().isdecimal()]
    # A picture holds one mask and no values: what is inside may be 1 or 255.
    inside = np.isin(mask, values) if values and stored.spacing_known else mask != 0
    return inside.astype(np.uint8)


def _gridOfFile(path: Path) -> Geometry | None:
    """The grid of an image file; None for a picture, which has none, and for a volume without a file."""
    if not path.is_file():
        return None
    image = read_image(path)
    return image.geometry if image.spacing_known else None


def _onGrid(mask: np.ndarray, grid: Geometry | None, place: Geometry) -> np.ndarray:
    """Slicer turns the slices of a left-handed file round; a mask of the same file has to follow."""
    if grid is None:
        return mask
    step = reorientation(grid.axis_codes, place.axis_codes)
    tolerance_mm = _TOLERANCE * float(place.spacing_mm.min())
    isSame = step.apply_to_geometry(grid).close_to(place, tolerance_mm)
    return step.apply(mask) if isSame else mask
