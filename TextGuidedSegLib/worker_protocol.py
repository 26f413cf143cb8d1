"""What the inference process and its parent say to each other: one JSON object a line, arrays by file. numpy only.

The parent writes commands, each with a word under `cmd`; the process writes events, each with a word under `event`:

    hello    {folder, idle_release_s, idle_exit_s}               -> ready
    load     {id, model, device}                                 -> loading, loaded, done
    segment  {id, image, phrases, threshold, model, device}      -> [loading,] loaded, progress..., result or error
                                                                    for each phrase, done (or cancelled)
             without the voxels of an image it does not hold     -> need_image
    cancel   {id}                                                -> cancelled, or done when it came too late
    release  {}                                                  -> released: model and image are dropped
    quit     {}                                                  -> the process ends, as it does at the end of stdin

At any time: heartbeat (every `HEARTBEAT_S`), log {level, text}, released and bye (both after idle times).
Arrays lie as `.npy` files in `folder`, which only its owner may enter; whoever reads one removes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.image import Image

HEARTBEAT_S = 1.0
"""Seconds between two heartbeats of the process."""

FLOOR = 0.005
"""Probabilities outside a result's box are below this and come back as 0: no threshold lies down there."""

Message = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Crop:
    """A box cut out of a grid; everything around it is 0.

    Attributes:
        array: The voxels of the box, `(i, j, k)` or `(i, j, k, C)`; of size 0 when all is 0.
        start: Index of its first voxel in the grid, `(3,)`.
        shape: The grid, `(I, J, K)` or `(I, J, K, C)`.
    """

    array: NDArray[Any]
    start: tuple[int, int, int]
    shape: tuple[int, ...]

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Where the array lies in the grid."""
        i, j, k = (slice(first, first + size) for first, size in zip(self.start, self.array.shape, strict=False))
        return i, j, k

    def whole(self) -> NDArray[Any]:
        """The array on the full grid, in the same memory order; not a copy if the box is the grid."""
        if self.array.shape == self.shape:
            return self.array
        full = np.zeros(self.shape, self.array.dtype, order="F" if self.array.flags.f_contiguous else "C")
        full[self.box] = self.array
        return full


def uncropped(array: NDArray[Any]) -> Crop:
    """An array as the box that is the whole grid."""
    return Crop(array, (0, 0, 0), array.shape)


def tight_crop(array: NDArray[Any], floor: float) -> Crop:
    """The smallest box with every value of at least `floor` in it.

    Args:
        array: `(I, J, K)`, not negative.
        floor: Greater than 0. Smaller values inside the box stay.
    """
    above = array >= floor
    box: list[slice] = []
    for axis in range(3):
        filled = np.flatnonzero(above.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(int(filled[0]), int(filled[-1]) + 1) if filled.size else slice(0, 0))
    start = (box[0].start, box[1].start, box[2].start)
    return Crop(np.ascontiguousarray(array[tuple(box)]), start, array.shape)


def encode_line(message: Mapping[str, Any]) -> bytes:
    """One line of the protocol; plain ASCII, so that no system's encoding can change it."""
    return json.dumps(message).encode("ascii") + b"\n"


def decode_line(line: bytes) -> Message | None:
    """The message of one line, or None for a line that is none: something a library or a launcher printed."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    if not isinstance(message, dict) or not isinstance(message.get("event", message.get("cmd")), str):
        return None
    return message


def write_array(folder: Path, name: str, crop: Crop) -> Message:
    """Write an array beside the protocol.

    Args:
        folder: The private folder.
        name: Name without suffix, not yet used there.
        crop: Its array may be in C or Fortran order; neither is copied.

    Returns:
        What to put into the message for `read_array`.

    Raises:
        OSError: The folder is gone or the disk is full.
    """
    file = f"{name}.npy"
    try:
        np.save(folder / file, crop.array, allow_pickle=False)
    except OSError:
        (folder / file).unlink(missing_ok=True)  # a full disk needs the room
        raise
    return {"file": file, "start": list(crop.start), "shape": list(crop.shape)}


def read_array(folder: Path, entry: Mapping[str, Any]) -> Crop:
    """Read an array written by `write_array` and remove its file.

    Raises:
        OSError: The file is missing.
        ValueError: The file is damaged, or its name leads out of the folder.
    """
    if Path(entry["file"]).name != entry["file"]:
        msg = f"an array's file is named without a folder, got {entry['file']!r}"
        raise ValueError(msg)
    path = folder / entry["file"]
    array = np.load(path, allow_pickle=False)
    path.unlink()
    start = entry["start"]
    return Crop(array, (start[0], start[1], start[2]), tuple(entry["shape"]))


def describe_geometry(geometry: Geometry) -> Message:
    """A grid as a message."""
    return {"shape": list(geometry.shape), "affine_ijk_to_ras": geometry.affine_ijk_to_ras.tolist()}


def read_geometry(entry: Mapping[str, Any]) -> Geometry:
    """Inverse of `describe_geometry`."""
    return Geometry(tuple(entry["shape"]), np.array(entry["affine_ijk_to_ras"]))


def write_image(folder: Path, name: str, image: Image) -> Message:
    """Write an image beside the protocol; see `write_array`."""
    return {
        "array": write_array(folder, name, uncropped(image.array)),
        "geometry": describe_geometry(image.geometry),
        "axis_codes": list(image.axis_codes),
        "kind": image.kind,
        "modality": image.modality,
        "spacing_known": image.spacing_known,
        "warnings": list(image.warnings),
        "source": image.source,
    }


def read_image(folder: Path, entry: Mapping[str, Any]) -> Image:
    """Read an image written by `write_image` and remove its file; see `read_array`.

    Raises:
        ImageError: The array does not fit its grid.
    """
    codes = entry["axis_codes"]
    return Image(
        read_array(folder, entry["array"]).array,
        read_geometry(entry["geometry"]),
        (codes[0], codes[1], codes[2]),
        entry["kind"],
        entry["modality"],
        spacing_known=entry["spacing_known"],
        warnings=tuple(entry["warnings"]),
        source=entry["source"],
    )
