"""A folder that an export fills: whole in the end, or not there; and the picture format of its masks."""

from __future__ import annotations

import re
import shutil
import struct
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from TextGuidedSegLib.errors import ImageError, TextGuidedSegError

from .worklist import WorklistError


class ExportFolder:
    """A folder that is complete or not there.

    Args:
        path: Its final name: new, or an empty folder.

    Raises:
        WorklistError: It has content, or its parent cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.part = path, path.with_name(f".{uuid.uuid4().hex[:12]}-{path.name}")
        self._names: set[str] = set()
        self._ofCase: list[Path] = []
        try:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                msg = f"{path}: there is something already; choose a new or an empty folder for the export"
                raise WorklistError(msg)
            self.part.mkdir(parents=True)
        except OSError as error:
            msg = f"{path}: the folder cannot be written ({error}); choose another for the export"
            raise WorklistError(msg) from error

    def uniqueName(self, name: str) -> str:
        """A name for files that no case before had, of letters that every system allows."""
        plain = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("._") or "image"
        unique, number = plain, 1
        while unique.casefold() in self._names:
            number += 1
            unique = f"{plain}_{number}"
        self._names.add(unique.casefold())
        return unique

    def file(self, folder: str, name: str) -> Path:
        """A file to write for the case at hand."""
        path = self.part / folder / name
        path.parent.mkdir(exist_ok=True)
        self._ofCase.append(path)
        return path

    @contextmanager
    def case(self) -> Iterator[None]:
        """Around the files of one case: all of them, or none if one fails.

        Raises:
            ImageError: One failed.
        """
        self._ofCase = []
        try:
            yield
        except (OSError, TextGuidedSegError) as error:
            for path in self._ofCase:
                path.unlink(missing_ok=True)
            raise error if isinstance(error, TextGuidedSegError) else ImageError(str(error)) from error

    def finish(self, name: str, text: str) -> Path:
        """Write the file that lists all others, and give the folder its name."""
        try:
            (self.part / name).write_text(text, encoding="utf-8", newline="\n")
            if self.path.is_dir():
                self.path.rmdir()
            self.part.rename(self.path)
        except OSError as error:
            msg = f"{self.path}: the export could not be completed there ({error}); export to another folder"
            raise WorklistError(msg) from error
        return self.path

    def abandon(self) -> None:
        """Remove it."""
        shutil.rmtree(self.part, ignore_errors=True)


def bitPicture(rows: np.ndarray) -> bytes:
    """The bytes of a 1-bit gray PNG; ITK writes no fewer than 8 bits.

    Args:
        rows: `(rows, columns)`, nonzero is white.
    """
    height, width = rows.shape
    packed = np.packbits(rows != 0, axis=1)
    # Each line begins with its filter: none.
    lines = np.concatenate([np.zeros((height, 1), np.uint8), packed], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
