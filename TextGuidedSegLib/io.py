"""Reading an image file of any supported format into an `Image`, or saying in one sentence why it cannot be used.

Sizes are checked by the header before a voxel is decoded. Rules for films without an orientation: see `image.py` and
`dicom_film.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from TextGuidedSegLib.errors import GeometryError, ImageError
from TextGuidedSegLib.files import itk
from TextGuidedSegLib.files.completeness import asked_orientation, check_complete
from TextGuidedSegLib.files.dicom_film import FILM_TAGS, IMAGE_ORIENTATION, MODALITY, film_from_dicom
from TextGuidedSegLib.files.dicom_series import check_slices, find_series
from TextGuidedSegLib.files.file_formats import EXPECTED, IMAGE_IO, PICTURE_FORMATS, FileFormat, identify
from TextGuidedSegLib.geometry import FILM_CODES, Geometry, coded_geometry, film_axis_codes
from TextGuidedSegLib.image import (
    FILM_MODALITIES,
    ORIENTATION_ASSUMED,
    Image,
    image_kind,
    scalar_if_gray,
    with_sound_values,
)

MAX_SIDE = 16_384
"""Voxels along one axis above which a file is refused: the largest detectors have 5,000."""

MAX_VOXELS = 1_000_000_000
"""Voxels of a file above which it is refused: 4 GB as float32."""

_SLICE_THICKNESS, _SLICE_DISTANCE, _SOP_CLASS = "0018|0050", "0018|0088", "0008|0016"
# Enhanced and legacy converted CT, MR, PET and ultrasound volumes say for each frame how it lies, where ITK reads it
# and no tag of the file's own does.
_TELLS_BY_FRAME = tuple(
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2.1", "2.2", "4.1", "4.3", "4.4", "128.1", "130", "6.2")
)

# Modalities as some machines write them, and as DICOM has them.
_OTHER_NAMES = {"DR": "DX"}
# Orientations of TIFF that exchange rows and columns: ITK mirrors these files instead. It follows the others.
_QUARTER_TURNS = (5, 6, 7, 8)
# NIfTI: zero in both says that the file knows nothing of the patient's directions.
_NIFTI_CODES = ("qform_code", "sform_code")
_ORIENTATION_LOST = (
    "This file does not say how the patient lies: its sides and directions are taken as stored and may be wrong."
)


_WANTED_TAGS = {"dicom": (*FILM_TAGS, _SLICE_THICKNESS, _SLICE_DISTANCE, _SOP_CLASS), "nifti": _NIFTI_CODES}


def read_image(path: str | Path) -> Image:
    """Read a film or a volume.

    Args:
        path: A DICOM file, a folder with one DICOM series, or an NRRD, NIfTI, MHA/MHD, PNG, JPEG, BMP or TIFF file. The
            content decides, not the name.

    Returns:
        The image as scanned, on the grid of the file. NRRD, NIfTI, MHA and cross-sectional DICOM keep their own affine;
        pictures and DICOM films without one lie in a coronal frame. What had to be assumed or mended is in `warnings`.

    Raises:
        ImageError: The file is missing, damaged, of another kind or unfit; the message says what to do.
    """
    if not str(path):
        msg = f"the name of the image is empty; {EXPECTED}"
        raise ImageError(msg)
    path = Path(path)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:
        msg = f"{path}: cannot be looked up ({error}); {EXPECTED}"
        raise ImageError(msg) from error
    if not (is_folder or is_file):
        what = "no such file or folder" if not path.exists() else "neither a file nor a folder"
        msg = f"{path}: {what}; {EXPECTED}"
        raise ImageError(msg)
    try:
        image = _read_folder(path) if is_folder else _read_file(path)
    except GeometryError as error:
        msg = f"{path}: the file's directions describe no grid ({error}); export it again"
        raise ImageError(msg) from error
    return with_sound_values(image)


def _read_folder(folder: Path) -> Image:
    files = find_series(folder)
    if len(files) == 1:
        return _read_file(files[0])
    modality, warnings = check_slices(files)
    header = itk.read_header(files[0], IMAGE_IO["dicom"])
    _check_header(replace(header, size=(*header.size[:2], len(files))), folder)
    array, geometry = itk.read_slices(files)
    _check_channels(array, folder)
    return Image(array, geometry, geometry.axis_codes, "volume", modality, warnings=warnings, source=str(folder))


def _read_file(path: Path) -> Image:
    file_format = identify(path)
    check_complete(path, file_format)
    image_io = IMAGE_IO[file_format]
    header = itk.read_header(path, image_io, _WANTED_TAGS.get(file_format, ()))
    _check_header(header, path)
    array, geometry = itk.read_voxels(path, image_io, header)
    array = scalar_if_gray(array)
    _check_channels(array, path)
    if file_format == "dicom":
        return _dicom_image(array, geometry, header, path)
    if file_format in PICTURE_FORMATS:
        return _picture(array, file_format, path)
    if image_kind(geometry, None) == "volume":
        is_lost = all(header.tags.get(code) == "0" for code in _NIFTI_CODES)
        warnings = (_ORIENTATION_LOST,) if is_lost else ()
        return Image(array, geometry, geometry.axis_codes, "volume", warnings=warnings, source=str(path))
    codes, assumed = film_axis_codes(geometry)
    return Image(array, geometry, codes, "film", warnings=(ORIENTATION_ASSUMED,) if assumed else (), source=str(path))


def _picture(array: NDArray[Any], file_format: FileFormat, path: Path) -> Image:
    """A picture file as displayed; resolutions in it are those of screens and printers and are not believed."""
    pages = array.shape[2]
    if pages > 1:
        msg = f"{path}: the file has {pages} pages; expected one picture: save the page to be segmented on its own"
        raise ImageError(msg)
    warnings = [ORIENTATION_ASSUMED]
    turn = asked_orientation(path, file_format)
    if file_format == "tiff" and turn in _QUARTER_TURNS:
        msg = (
            f"{path}: the file asks to be turned by a quarter (orientation {turn}), which is not read; save it upright"
        )
        raise ImageError(msg)
    if file_format in ("jpeg", "png") and turn != 1:
        warnings.append(
            f"This {file_format.upper()} asks viewers to turn it (EXIF orientation) but is taken as stored: save it "
            "upright first."
        )
    geometry = coded_geometry((array.shape[0], array.shape[1], 1), FILM_CODES)
    return Image(array, geometry, FILM_CODES, "film", spacing_known=False, warnings=tuple(warnings), source=str(path))


def _dicom_image(array: NDArray[Any], geometry: Geometry, header: itk.Header, path: Path) -> Image:
    modality = header.tags.get(MODALITY)
    if modality in _OTHER_NAMES:
        modality = _OTHER_NAMES[modality]
        header = replace(header, tags={**header.tags, MODALITY: modality})
    frames = geometry.shape[2]
    if image_kind(geometry, modality) == "film":
        return film_from_dicom(array, geometry, header.tags, str(path))
    if frames > 1 and (modality is None or modality in FILM_MODALITIES):
        msg = (
            f"{path}: {frames} frames in time ({modality or 'no modality'}); expected one film: "
            "save the frame to be segmented as a file of its own"
        )
        raise ImageError(msg)
    warnings: tuple[str, ...] = ()
    if frames == 1 or not (header.tags.get(IMAGE_ORIENTATION) or _tells_by_frame(header)):
        distance = header.tags.get(_SLICE_DISTANCE, "") if frames > 1 else ""
        geometry = _with_slice_thickness(geometry, distance or header.tags.get(_SLICE_THICKNESS, ""))
    if not (header.tags.get(IMAGE_ORIENTATION) or _tells_by_frame(header)):
        what = "the slice lies" if frames == 1 else "its frames lie"
        warnings = (f"This file does not say how {what} in the patient: taken as axial.",)
    return Image(array, geometry, geometry.axis_codes, "volume", modality, warnings=warnings, source=str(path))


def _tells_by_frame(header: itk.Header) -> bool:
    # DICOM pads a name of odd length.
    return header.tags.get(_SOP_CLASS, "").strip("\0 ") in _TELLS_BY_FRAME


def _with_slice_thickness(geometry: Geometry, thickness: str) -> Geometry:
    """ITK makes a lone slice 1 mm thick; the file knows better."""
    try:
        thickness_mm = float(thickness)
    except ValueError:
        return geometry
    if not 0 < thickness_mm < np.inf:
        return geometry
    affine = geometry.affine_ijk_to_ras.copy()
    affine[:3, 2] *= thickness_mm / geometry.spacing_mm[2]
    return Geometry(geometry.shape, affine)


def _check_header(header: itk.Header, path: Path) -> None:
    sizes = " x ".join(str(size) for size in header.size)
    if any(size > 1 for size in header.size[3:]):
        msg = f"{path}: a {len(header.size)}-D image ({sizes}); expected 2-D or 3-D: export one time point"
        raise ImageError(msg)
    if len(header.size) < 2 or header.is_complex:
        what = "complex numbers" if header.is_complex else f"{len(header.size)}-D data"
        msg = f"{path}: {what} ({sizes}); expected a gray or color image: export it as one"
        raise ImageError(msg)
    voxels = 1
    for size in header.size:
        voxels *= size
    if max(header.size) > MAX_SIDE or voxels > MAX_VOXELS:
        msg = (
            f"{path}: {sizes} voxels; expected at most {MAX_SIDE:,} along one axis and {MAX_VOXELS:,} in all: "
            "crop or shrink the image"
        )
        raise ImageError(msg)


def _check_channels(array: NDArray[Any], path: Path) -> None:
    if array.ndim == 4 and (array.shape[2] > 1 or array.shape[3] != 3):
        msg = (
            f"{path}: {array.shape[3]} values in every voxel (a vector or color volume); "
            "expected one gray value, or a single color picture: export one component"
        )
        raise ImageError(msg)
