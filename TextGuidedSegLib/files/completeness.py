"""Is a file all there? ITK's readers for NIfTI, MetaImage, JPEG and BMP fill a cut-off image with whatever is at hand.

Each check reads as little as it can: sizes from the header against the length of the file. The readers of NRRD and
DICOM notice a cut-off file themselves; those of PNG and TIFF do too, but write about it to the terminal.
"""

from __future__ import annotations

import gzip
import math
import mmap
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.files.file_formats import FileFormat

_Bytes = bytes | mmap.mmap

_CHUNK, _PACKED_CHUNK = 1 << 20, 1 << 16
_META_HEADER_BYTES = 1 << 16
_META_BYTES = {"CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "FLOAT": 4, "DOUBLE": 8}

_START_OF_SCAN = 0xDA
_EXIF_SEGMENT = 0xE1
_END_OF_IMAGE = b"\xff\xd9"

_ORIENTATION = 274
_STRIPS, _TILES = (273, 279), (324, 325)  # TIFF tags: offsets and byte counts
_TIFF_INTEGERS = {1: "B", 3: "H", 4: "I"}


def check_complete(path: Path, file_format: FileFormat) -> None:
    """Refuse a damaged or cut-off file of a format whose reader would not.

    Args:
        path: Existing file.
        file_format: Its format, as told by `identify`.

    Raises:
        ImageError: The file ends before its image does, or its header makes no sense.
    """
    if file_format not in _CHECKS or path.stat().st_size == 0:
        return
    try:
        complete = _CHECKS[file_format](path)
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        msg = f"{path}: the file is damaged or cut off ({error}); export or copy it again"
        raise ImageError(msg) from error
    if not complete:
        msg = f"{path}: the file is cut off, it ends before its image does; export or copy it again"
        raise ImageError(msg)


def asked_orientation(path: Path, file_format: FileFormat) -> int:
    """How a complete JPEG, PNG or TIFF asks viewers to turn it: 1 (upright; also if it does not say) to 8."""
    if file_format == "tiff":
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _orientation(data)
    if file_format == "jpeg":
        for marker, segment in _jpeg_segments(path.read_bytes()):
            if marker == _EXIF_SEGMENT and segment.startswith(b"Exif\0\0"):
                return _orientation(segment[6:])
    if file_format == "png":
        for kind, at, size in _png_chunks(path):
            if kind == b"eXIf":
                return _orientation(path.read_bytes()[at : at + size])
    return 1


def _orientation(tags: _Bytes) -> int:
    try:
        return (_tiff_tags(tags).get(_ORIENTATION) or [1])[0]
    except struct.error:
        return 1


def _nifti(path: Path) -> bool:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if zipped else path.open("rb") as file:
        needed = _nifti_bytes(file.read(348))
    if not zipped:
        return path.stat().st_size >= needed
    with path.open("rb") as file:
        file.seek(-4, 2)
        (length,) = struct.unpack("<I", file.read(4))
    # gzip ends with the length of its contents; only if that is not the image's is everything unpacked to find out
    # (a cut-off file, one with bytes behind the image, or one zipped in several pieces).
    return length == needed % 2**32 or _unpacks_to(path, needed)


def _nifti_bytes(header: bytes) -> int:
    """Length of a NIfTI-1 or NIfTI-2 file by its header."""
    if header[4:8] == b"n+2\0":
        order = "<" if header[:2] == b"\x1c\x02" else ">"
        rank, *sizes = struct.unpack_from(order + "8q", header, 16)
        (offset,) = struct.unpack_from(order + "q", header, 168)
        (bits,) = struct.unpack_from(order + "h", header, 14)
    else:
        order = "<" if header[:2] == b"\x5c\x01" else ">"
        rank, *sizes = struct.unpack_from(order + "8h", header, 40)
        (offset,) = struct.unpack_from(order + "f", header, 108)
        (bits,) = struct.unpack_from(order + "h", header, 72)
    if not (1 <= rank <= 7 and min(sizes[:rank]) >= 1 and math.isfinite(offset)):
        msg = f"its header gives {rank} axes of sizes {sizes}"
        raise ValueError(msg)
    return int(offset) + int(math.prod(sizes[:rank])) * int(bits) // 8


def _unpacks_to(path: Path, needed: int) -> bool:
    with gzip.open(path) as file:
        while needed > 0 and (chunk := file.read(_CHUNK)):
            needed -= len(chunk)
    return needed <= 0


def _meta(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_META_HEADER_BYTES)
    fields: dict[str, str] = {}
    header_bytes = 0
    for line in start.splitlines(keepends=True):
        header_bytes += len(line)
        key, _, value = line.decode("latin-1").partition("=")
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            break
    element = fields.get("ElementType", "").removeprefix("MET_").removesuffix("_ARRAY")
    if fields.get("CompressedData", "False").lower() == "true":
        needed = int(fields.get("CompressedDataSize", "0"))
    else:
        values = math.prod(int(size) for size in fields["DimSize"].split()) if "DimSize" in fields else 0
        needed = values * int(fields.get("ElementNumberOfChannels", "1")) * _META_BYTES.get(element, 0)
    data = fields.get("ElementDataFile", "")
    if data.upper() == "LOCAL":
        is_long_enough = path.stat().st_size - header_bytes >= needed
        packed = fields.get("CompressedData", "False").lower() == "true"
        return is_long_enough and not (packed and not _inflates(path, header_bytes))
    # A list or a pattern of files is left to ITK, which names the one that is missing.
    named = data and not data.upper().startswith("LIST") and "%" not in data
    return not named or (path.parent / data).stat().st_size >= needed


def _inflates(path: Path, start: int) -> bool:
    """Whether what is compressed from a place on can be unpacked to its end; ITK takes what it gets."""
    unpacker = zlib.decompressobj()
    with path.open("rb") as file:
        file.seek(start)
        try:
            while not unpacker.eof and (chunk := file.read(_PACKED_CHUNK)):
                unpacker.decompress(chunk)
        except zlib.error:
            return False
    return unpacker.eof


def _jpeg(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(marker == _START_OF_SCAN and _END_OF_IMAGE in segment for marker, segment in _jpeg_segments(data))


def _jpeg_segments(data: _Bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and contents of each segment; the scan is the last and holds everything that follows it."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker == _START_OF_SCAN:
            yield marker, data[at + 2 + length :]
            return
        if marker == 0xFF:  # padding between segments
            at += 1
            continue
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length


def _png(path: Path) -> bool:
    return any(kind == b"IEND" and at + size + 4 <= path.stat().st_size for kind, at, size in _png_chunks(path))


def _png_chunks(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each chunk, where its data begins, and how long that is; a checksum follows."""
    length = path.stat().st_size
    with path.open("rb") as file:
        at = 8
        while at + 12 <= length:
            file.seek(at)
            size, kind = struct.unpack(">I4s", file.read(8))
            yield kind, at + 8, size
            if kind == b"IEND":
                return
            at += 12 + size


def _bmp(path: Path) -> bool:
    with path.open("rb") as file:
        _, length = struct.unpack("<2sI", file.read(6))
    return path.stat().st_size >= int(length)


def _tiff(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        tags = _tiff_tags(data)
        for offsets, counts in (_STRIPS, _TILES):
            ends = [start + count for start, count in zip(tags.get(offsets, []), tags.get(counts, []), strict=False)]
            if ends and max(ends) > len(data):
                return False
        return True


def _tiff_tags(data: _Bytes) -> dict[int, list[int]]:
    """Whole-number tags of the first directory of a TIFF (or of EXIF data, which has the same form)."""
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, directory)
    tags: dict[int, list[int]] = {}
    for index in range(entries):
        at = directory + 2 + 12 * index
        tag, kind, count = struct.unpack_from(order + "HHI", data, at)
        if kind in _TIFF_INTEGERS:
            code = f"{order}{count}{_TIFF_INTEGERS[kind]}"
            (where,) = (at + 8,) if struct.calcsize(code) <= 4 else struct.unpack_from(order + "I", data, at + 8)
            tags[tag] = list(struct.unpack_from(code, data, where))
    return tags


_CHECKS: dict[FileFormat, Callable[[Path], bool]] = {
    "nifti": _nifti,
    "meta": _meta,
    "png": _png,
    "jpeg": _jpeg,
    "bmp": _bmp,
    "tiff": _tiff,
}
