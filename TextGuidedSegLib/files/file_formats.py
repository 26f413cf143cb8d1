"""Which image format a file has, told by its first bytes, so that only that format's reader is asked."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Literal

from TextGuidedSegLib.errors import ImageError

FileFormat = Literal["dicom", "nrrd", "nifti", "meta", "png", "jpeg", "bmp", "tiff"]

IMAGE_IO: dict[FileFormat, str] = {
    "dicom": "GDCMImageIO",
    "nrrd": "NrrdImageIO",
    "nifti": "NiftiImageIO",
    "meta": "MetaImageIO",
    "png": "PNGImageIO",
    "jpeg": "JPEGImageIO",
    "bmp": "BMPImageIO",
    "tiff": "TIFFImageIO",
}
"""ITK's reader for each format."""

PICTURE_FORMATS: frozenset[FileFormat] = frozenset({"png", "jpeg", "bmp", "tiff"})
"""Formats that carry neither orientation nor true spacing."""

EXPECTED = "expected a DICOM file or folder, NRRD, NIfTI, MHA/MHD, PNG, JPEG, BMP or TIFF"

_SIGNATURES: tuple[tuple[bytes, FileFormat], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"NRRD000", "nrrd"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"BM", "bmp"),
    # DICOM without the preamble starts with an element of group 2 or 8.
    (b"\x02\0", "dicom"),
    (b"\x08\0", "dicom"),
)
_START_BYTES = 352  # the longest signature, NIfTI-1's, ends there


def identify(path: Path) -> FileFormat:
    """Tell a file's format by its content; its name counts for MHA/MHD only, which has no signature.

    Raises:
        ImageError: The file cannot be opened, is empty, or is none of the formats.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
            if start[:2] == b"\x1f\x8b":
                file.seek(0)
                start = gzip.GzipFile(fileobj=file).read(_START_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"{path}: cannot be read ({error}); check that the file is complete and that you may open it"
        raise ImageError(msg) from error
    if not start:
        msg = f"{path}: the file is empty; {EXPECTED}"
        raise ImageError(msg)
    return _format_of(start, path)


def _format_of(start: bytes, path: Path) -> FileFormat:
    if start[128:132] == b"DICM":
        return "dicom"
    if start[344:348] == b"n+1\0" or start[4:8] == b"n+2\0":
        return "nifti"
    if path.suffix.lower() in (".mha", ".mhd") and b"NDims" in start:
        return "meta"
    for signature, file_format in _SIGNATURES:
        if start.startswith(signature):
            return file_format
    msg = f"{path}: not an image this software reads (it begins with {start[:12]!r}); {EXPECTED}"
    raise ImageError(msg)
