"""Writing results: segmentations for 3D Slicer, images, overlay pictures; whole or not at all.

Everything is written beside its target and moved over it when complete, so a failure leaves the old file as it was.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.files import itk
from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.tags import encode_tag

SEGMENTATION_SUFFIXES = (".seg.nrrd",)
IMAGE_SUFFIXES = (".nrrd", ".nii", ".nii.gz", ".mha")
PICTURE_SUFFIXES = (".png",)

# Temporary file to the file that it becomes, while it is written: whoever writes into it speaks of the latter.
_BECOMES: dict[Path, Path] = {}
_KEPT_OF_NAME = 40  # letters of a file's name in that of its temporary file, which must not be too long
_ORTHOGONAL = 1e-4  # largest cosine between two axes that NIfTI can hold without moving voxels visibly


def check_output(path: str | Path, suffixes: Sequence[str]) -> Path:
    """Check that a file can be written, before any work is done for it.

    Args:
        path: File to write; it may exist.
        suffixes: Endings allowed, such as `IMAGE_SUFFIXES`.

    Returns:
        The path with links resolved.

    Raises:
        ImageError: Wrong ending, a folder of that name, a name that is no Unicode text, or a parent folder that is
            missing or cannot be written.
    """
    path = Path(path)
    if not path.name.lower().endswith(tuple(suffixes)):
        msg = f"{path}: cannot write this kind of file; expected a name ending in {' or '.join(suffixes)}"
        raise ImageError(msg)
    target = Path(os.path.realpath(path))
    itk.file_name(target)
    folder = target.parent
    if target.is_dir():
        msg = f"{path}: is a folder; expected the name of a file to write"
        raise ImageError(msg)
    if not folder.is_dir():
        msg = f"{folder}: no such folder; create it first, or write {target.name} elsewhere"
        raise ImageError(msg)
    if not os.access(folder, os.W_OK | os.X_OK):
        msg = f"{folder}: the folder cannot be written; choose another for {target.name}"
        raise ImageError(msg)
    return target


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move it there if the body succeeds.

    Args:
        path: Final path. The temporary one ends the same way, since writers go by the suffix.

    Raises:
        ImageError: Nothing could be written; the old file is untouched and the temporary one is gone.
    """
    target = Path(os.path.realpath(path))
    # A name of our own instead of `tempfile`, whose files only their owner may read.
    part = target.with_name(f".{uuid.uuid4().hex[:12]}-{target.name[-_KEPT_OF_NAME:]}")
    _BECOMES[part] = _named(target)
    try:
        yield part
        part.replace(target)
    except (OSError, RuntimeError) as error:
        msg = f"{_named(target)}: could not be written ({itk.reason(error)}); check the folder and the free space"
        raise ImageError(msg) from error
    finally:
        part.unlink(missing_ok=True)
        del _BECOMES[part]


def _named(path: Path) -> Path:
    """The file as its user knows it."""
    return _BECOMES.get(path, path)


def write_segmentation(
    path: str | Path,
    mask: NDArray[Any],
    geometry: Geometry,
    *,
    name: str,
    segment_id: str = "Segment_1",
    color: tuple[float, float, float] = (0.9, 0.3, 0.2),
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a mask as a segmentation with one segment, as 3D Slicer writes it.

    Args:
        path: File ending in ".seg.nrrd".
        mask: `(I, J, K)`, nonzero inside; may be empty.
        geometry: Grid of the mask.
        name: Name of the segment, shown in Slicer.
        segment_id: Identifier, unique in the segmentation.
        color: Red, green, blue, each in [0, 1].
        tags: Provenance, key to value; values are written by `encode_tag`. Terminology entries pass unchanged.

    Raises:
        ImageError: The mask does not fit the grid, a key or color is impossible, or the file cannot be written.
    """
    target = check_output(path, SEGMENTATION_SUFFIXES)
    _check_grid(mask, geometry)
    if len(color) != 3 or not all(0 <= part <= 1 for part in color):
        msg = f"a segment's color is three numbers from 0 to 1, got {color}"
        raise ImageError(msg)
    extent = " ".join(f"0 {size - 1}" for size in geometry.shape)
    metadata = {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ConversionParameters": "",
        # The second name is the one older Slicers look for.
        "Segmentation_SourceRepresentation": "Binary labelmap",
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
        "Segment0_ID": _one_line(segment_id),
        "Segment0_Name": _one_line(name),
        "Segment0_NameAutoGenerated": "0",
        "Segment0_Color": " ".join(f"{part:g}" for part in color),
        "Segment0_ColorAutoGenerated": "0",
        "Segment0_Extent": extent,
        "Segment0_LabelValue": "1",
        "Segment0_Layer": "0",
        "Segment0_Tags": "".join(f"{_tag_key(key)}:{encode_tag(value)}|" for key, value in (tags or {}).items()),
    }
    with atomic_path(target) as part:
        itk.write_voxels(part, (mask != 0).astype(np.uint8), geometry, metadata)


def write_image(
    path: str | Path, array: NDArray[Any], geometry: Geometry, *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a map or a mask as NRRD, NIfTI or MHA, whichever the suffix names.

    Args:
        path: File ending in one of `IMAGE_SUFFIXES`.
        array: `(I, J, K)`, or `(I, J, K, 3)` for colors; bool and uint8 are written as uint8, else as float32.
        geometry: Grid of the array.
        metadata: Key to value for the header; NIfTI has no room for it and drops it.

    Raises:
        ImageError: The array does not fit the grid, NIfTI cannot hold it, or the file cannot be written.
    """
    target = check_output(path, IMAGE_SUFFIXES)
    _check_grid(array[..., 0] if array.ndim == 4 else array, geometry)
    is_nifti = target.name.lower().endswith((".nii", ".nii.gz"))
    if is_nifti and array.ndim == 4:
        msg = f"{_named(target)}: NIfTI is not written with colors; write .nrrd or .mha instead"
        raise ImageError(msg)
    axes = geometry.affine_ijk_to_ras[:3, :3] / geometry.spacing_mm
    if is_nifti and np.abs(axes.T @ axes - np.eye(3)).max() > _ORTHOGONAL:
        why = "the axes of this image are not at right angles, which NIfTI cannot hold"
        msg = f"{_named(target)}: {why}; write .nrrd instead"
        raise ImageError(msg)
    kept = array.astype(np.uint8 if array.dtype in (np.bool_, np.uint8) else np.float32, copy=False)
    with atomic_path(target) as part:
        itk.write_voxels(part, kept, geometry, {key: _one_line(value) for key, value in (metadata or {}).items()})


def _check_grid(array: NDArray[Any], geometry: Geometry) -> None:
    if array.shape != geometry.shape:
        msg = f"the array has the shape {array.shape}, its grid needs {geometry.shape}"
        raise ImageError(msg)


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text)


def _tag_key(key: str) -> str:
    if not key or re.search(r"[:|\x00-\x1f\x7f]", key):
        msg = f"a tag's key must not be empty or hold ':' or '|', got {key!r}"
        raise ImageError(msg)
    return key
