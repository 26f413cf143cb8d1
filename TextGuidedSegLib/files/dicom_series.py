"""A folder of DICOM files: the one series in it, and whether its slices make a volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.files import itk
from TextGuidedSegLib.files.dicom_film import IMAGE_ORIENTATION, MODALITY
from TextGuidedSegLib.files.file_formats import EXPECTED, IMAGE_IO

_SERIES_DESCRIPTION = "0008|103e"
_IMAGE_POSITION = "0020|0032"
_SLICE_TAGS = (MODALITY, _SERIES_DESCRIPTION, _IMAGE_POSITION, IMAGE_ORIENTATION)

# How far slices may lie aside of a straight stack: what rounded positions and directions in headers make of one.
_SHEARED_MM, _SHEARED_SHARE = 0.1, 0.01
_SAME_PLACE_MM = 1e-3
_UNEVEN = 0.05  # of the median step; scanners round positions to 0.01 mm, a missing slice is 1.0
_PARALLEL = 1e-3  # largest difference of a direction cosine within one series


def find_series(folder: Path) -> list[Path]:
    """Files of the only DICOM series directly in a folder, in order along the slice normal.

    Raises:
        ImageError: The folder holds no DICOM series, or several (they are named).
    """
    series = itk.dicom_series(folder)
    if not series:
        msg = f"{folder}: the folder holds no DICOM series (subfolders are not searched); {EXPECTED}"
        raise ImageError(msg)
    if len(series) > 1:
        names = "; ".join(_series_name(files) for files in series.values())
        msg = (
            f"{folder}: the folder holds {len(series)} DICOM series ({names}); "
            "expected one: put the one to be segmented into a folder of its own, or give one file"
        )
        raise ImageError(msg)
    return next(iter(series.values()))


def check_slices(paths: Sequence[Path]) -> tuple[str | None, tuple[str, ...]]:
    """Check from the headers that the files of a series are the slices of one volume.

    Args:
        paths: Two or more files of one series, in order.

    Returns:
        The modality, and warnings about slices that are missing or unevenly spaced.

    Raises:
        ImageError: The files do not say where they lie, are not parallel, share a place (time points), or drift aside.
    """
    tags = [itk.read_header(path, IMAGE_IO["dicom"], _SLICE_TAGS).tags for path in paths]
    folder = paths[0].parent
    positions, orientations = _floats(tags, _IMAGE_POSITION, 3), _floats(tags, IMAGE_ORIENTATION, 6)
    if positions is None or orientations is None:
        msg = (
            f"{folder}: {len(paths)} images ({tags[0].get(MODALITY, 'no modality')}) that do not say where they lie "
            "(no ImagePositionPatient): they make no volume; give one file"
        )
        raise ImageError(msg)
    if np.abs(orientations - orientations[0]).max() > _PARALLEL:
        msg = f"{folder}: the {len(paths)} slices of the series are not parallel; give the series without its localizer"
        raise ImageError(msg)
    normal = np.cross(orientations[0, :3], orientations[0, 3:])
    heights = positions @ normal
    aside = positions - heights[:, None] * normal
    drift, height = np.linalg.norm(aside - aside[0], axis=1).max(), np.ptp(heights)
    if drift > _SHEARED_MM + _SHEARED_SHARE * height:
        msg = (
            f"{folder}: the slices do not lie straight above each other (up to {drift:.1f} mm aside over {height:.1f} "
            "mm, as with a tilted gantry); resample the series to a straight grid"
        )
        raise ImageError(msg)
    steps = np.diff(np.sort(heights))
    if steps.min() < _SAME_PLACE_MM:
        msg = (
            f"{folder}: several of the {len(paths)} images lie at the same place (time points or contrasts); "
            "expected one 3-D volume: export one of them"
        )
        raise ImageError(msg)
    return tags[0].get(MODALITY), _step_warnings(steps)


def _step_warnings(steps: NDArray[np.float64]) -> tuple[str, ...]:
    median = float(np.median(steps))
    if np.abs(steps - median).max() <= _UNEVEN * median:
        return ()
    return (
        f"Slices are missing or unevenly spaced ({steps.min():.2f} to {steps.max():.2f} mm apart): "
        "places along the slice axis are approximate.",
    )


def _floats(tags: Sequence[Mapping[str, str]], tag: str, count: int) -> NDArray[np.float64] | None:
    """`(N, count)` numbers of one tag in all headers, or None if a header lacks them."""
    try:
        rows = [[float(part) for part in values.get(tag, "").split("\\")] for values in tags]
    except ValueError:
        return None
    return np.array(rows) if all(len(row) == count for row in rows) else None


def _series_name(files: Sequence[Path]) -> str:
    tags = itk.read_header(files[0], IMAGE_IO["dicom"], (MODALITY, _SERIES_DESCRIPTION)).tags
    words = (tags.get(MODALITY), tags.get(_SERIES_DESCRIPTION), f"{len(files)} files, first {files[0].name}")
    return " ".join(word for word in words if word)
