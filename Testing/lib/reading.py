"""What the tests of reading share: files in every format, cut ones, and a film as it is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.files.completeness import check_complete
from TextGuidedSegLib.files.file_formats import FileFormat
from TextGuidedSegLib.image import Image

WriteFile = Callable[..., Path]

CORONAL_LPS = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0)  # columns to L, rows to I, slices to P
CT_SLICE = "1.2.840.10008.5.1.4.1.1.2"
MR_SLICE = "1.2.840.10008.5.1.4.1.1.4"


def displayed(image: Image) -> np.ndarray:
    """The canonical film as `(rows, columns)`."""
    return image.canonical()[0][:, :, 0].swapaxes(0, 1)


def save(path: Path, values: np.ndarray, *, vector: bool = False, **grid: object) -> Path:
    """Write `(K, J, I)` values with SimpleITK on a grid given in its own words."""
    image = SimpleITK.GetImageFromArray(values, isVector=vector)
    if "spacing" in grid:
        image.SetSpacing(grid["spacing"])
    if "direction" in grid:
        image.SetDirection(grid["direction"])
    if "origin" in grid:
        image.SetOrigin(grid["origin"])
    SimpleITK.WriteImage(image, str(path), useCompression=bool(grid.get("compressed", False)))
    return path


def cut(path: Path, share: float) -> Path:
    """Keep the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def completeness_of(path: Path, file_format: FileFormat) -> bool:
    """What the check says, as yes or no."""
    try:
        check_complete(path, file_format)
    except ImageError:
        return False
    return True
