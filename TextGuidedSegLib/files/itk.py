"""The only door to SimpleITK: headers, voxels and files, in RAS and (I, J, K) order on this side of it.

SimpleITK is imported on first use (0.3 s). Its world is LPS and its arrays come as (K, J, I); nobody else need know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.geometry import Geometry

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Header:
    """What a file says about itself before any voxel is decoded.

    Attributes:
        size: Voxels along each axis, in file order (i first); two to N numbers.
        components: Values a voxel: 1, or more for colors and vectors.
        is_complex: True for complex numbers, which are no image.
        tags: DICOM tags that were asked for and are present ("0008|0060" -> "CR"), without padding.
    """

    size: tuple[int, ...]
    components: int
    is_complex: bool
    tags: Mapping[str, str]


def read_header(path: Path, image_io: str, wanted_tags: Sequence[str] = ()) -> Header:
    """Read a file's header only, so that an impossible size is refused before it costs memory.

    Args:
        path: Existing file.
        image_io: ITK's reader for it, such as "PNGImageIO"; named, because ITK's own search asks every reader in turn
            and several of them write to the terminal about files that are not theirs.
        wanted_tags: DICOM tags to return.

    Raises:
        ImageError: The header cannot be read.
    """
    import SimpleITK

    with _image_errors(path):
        reader = _reader(path, image_io)
        reader.ReadImageInformation()
        is_complex = reader.GetPixelID() in (SimpleITK.sitkComplexFloat32, SimpleITK.sitkComplexFloat64)
        tags = {tag: _text(reader.GetMetaData(tag)) for tag in wanted_tags if reader.HasMetaDataKey(tag)}
        return Header(tuple(reader.GetSize()), int(reader.GetNumberOfComponents()), is_complex, tags)


def read_voxels(path: Path, image_io: str, header: Header) -> tuple[NDArray[Any], Geometry]:
    """Decode one file of two or three axes (further axes of size 1 are dropped).

    Returns:
        `(I, J, K)` or `(I, J, K, C)` as stored, and the file's grid; a flat file becomes one slice.

    Raises:
        ImageError: The voxels cannot be decoded.
        GeometryError: The file's directions describe no grid.
    """
    import SimpleITK

    with _image_errors(path):
        reader = _reader(path, image_io)
        if len(header.size) > 3:
            reader.SetExtractSize([*header.size[:3], *(0 for _ in header.size[3:])])
        image = reader.Execute()
        return _from_sitk(SimpleITK.JoinSeries(image) if image.GetDimension() == 2 else image)


def read_slices(paths: Sequence[Path]) -> tuple[NDArray[Any], Geometry]:
    """Decode the DICOM files of one series, given in their order along the slice normal.

    Raises:
        ImageError: A file cannot be decoded or differs from the others in size.
    """
    import SimpleITK

    with _image_errors(paths[0].parent):
        reader = SimpleITK.ImageSeriesReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileNames([file_name(path) for path in paths])
        return _from_sitk(reader.Execute())


def dicom_series(folder: Path) -> dict[str, list[Path]]:
    """DICOM series directly in a folder: series UID to its files, sorted along the slice normal."""
    import SimpleITK

    with _image_errors(folder):
        names = SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(file_name(folder))
        return {
            name: [Path(file) for file in SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(file_name(folder), name)]
            for name in names
        }


def write_voxels(path: Path, array: NDArray[Any], geometry: Geometry, metadata: Mapping[str, str]) -> None:
    """Write `(I, J, K)`, or `(I, J, K, 3)` with colors, on its grid, compressed, in the format the suffix names.

    Raises:
        RuntimeError: ITK could not write.
    """
    import SimpleITK

    ordered = np.ascontiguousarray(array.transpose(2, 1, 0, *range(3, array.ndim)))
    image = SimpleITK.GetImageFromArray(ordered, isVector=array.ndim == 4)
    direction = _LPS_FROM_RAS @ (geometry.affine_ijk_to_ras[:3, :3] / geometry.spacing_mm)
    image.SetSpacing(geometry.spacing_mm.tolist())
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin((_LPS_FROM_RAS @ geometry.origin_ras_mm).tolist())
    for key, value in metadata.items():
        image.SetMetaData(key, value)
    with _quiet():
        SimpleITK.WriteImage(image, file_name(path), useCompression=True)


def write_picture(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write `(rows, columns, 3)` uint8 as a PNG.

    Raises:
        RuntimeError: ITK could not write.
    """
    import SimpleITK

    with _quiet():
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.ascontiguousarray(rgb), isVector=True), file_name(path))


def file_name(path: Path) -> str:
    """The path as ITK takes it.

    Raises:
        ImageError: The name is no Unicode text, as in archives of old systems: ITK would end the whole process.
    """
    name = str(path)
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = name.encode("utf-8", "replace").decode()
        msg = f"{shown}: the file name has letters of an unknown encoding; rename the file or its folder"
        raise ImageError(msg) from error
    return name


def reason(error: BaseException) -> str:
    """The one line of an ITK error that says what happened, without source files and addresses."""
    lines = [line.strip() for line in str(error).splitlines() if re.search("[A-Za-z]{3}", line)]
    last = lines[-1] if lines else type(error).__name__
    return re.sub(r"\b(sitk::|itk::|ITK )ERROR: |\w+\(0x[0-9a-f]+\): ", "", last)[:200].rstrip(". :")


def _text(value: str) -> str:
    """A tag without padding; bytes of another character set become question marks, which every terminal can show."""
    return value.strip(" \0").encode("utf-8", "replace").decode()


def _reader(path: Path, image_io: str) -> Any:
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(file_name(path))
    return reader


def _from_sitk(image: Any) -> tuple[NDArray[Any], Geometry]:
    import SimpleITK

    values = SimpleITK.GetArrayFromImage(image)
    array = values.transpose(2, 1, 0, *range(3, values.ndim))  # (K, J, I[, C]) -> (I, J, K[, C])
    affine = np.eye(4)
    direction = np.asarray(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = _LPS_FROM_RAS @ (direction * np.asarray(image.GetSpacing()))
    affine[:3, 3] = _LPS_FROM_RAS @ np.asarray(image.GetOrigin())
    return array, Geometry((array.shape[0], array.shape[1], array.shape[2]), affine)


@contextmanager
def _image_errors(path: Path) -> Iterator[None]:
    try:
        with _quiet():
            yield
    except RuntimeError as error:
        said = reason(error)
        advice = "the file is damaged or of a kind that is not read: copy or export it again"
        if "orthonormal" in said:
            advice = "its axes are not at right angles: resample it to a straight grid"
        elif "Unknown PixelType" in said:
            advice = "save it without transparency, in gray or in colors"
        msg = f"{path}: cannot be read ({said}); {advice}"
        raise ImageError(msg) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep ITK's warnings off the terminal during one call; the setting is global, so it is put back."""
    import SimpleITK

    before = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(before)
