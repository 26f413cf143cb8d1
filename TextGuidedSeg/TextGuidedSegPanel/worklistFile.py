"""The state of a worklist on disk: one JSON file beside the list, replaced as a whole after every change.

One case a line, so that even of a file that was cut off or garbled by something else the readable cases are found.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from TextGuidedSegLib.export import atomic_path

from .worklist import STATES, Case, CasePhrase, WorklistError

FORMAT, VERSION = "TextGuidedSeg worklist", 1


class StateFile:
    """Reads and writes the state of one list; follows what another Slicer writes into the same file.

    Args:
        path: The file; need not exist.

    Attributes:
        notice: What people should know about the file that was read, such as damage; empty for nothing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.notice = ""
        self._stamp: tuple[int, int] | None = None
        # Serialized once: a list of thousands is written after every decision, of which one case is another.
        self._written: list[tuple[Case, str]] = []

    def read(self) -> list[Case]:
        """All cases in the file; none if there is no file. A damaged file is moved aside and what is readable kept.

        Raises:
            WorklistError: The file cannot be opened, or a newer version wrote it; it stays untouched.
        """
        self._stamp = self._stampNow()
        if self._stamp is None:
            return []
        try:
            content = self.path.read_bytes()
        except OSError as error:
            msg = f"{self.path}: the state of the list cannot be read ({error}); check that you may open the file"
            raise WorklistError(msg) from error
        try:
            return _casesIn(json.loads(content.decode("utf-8")), self.path)
        except (ValueError, KeyError, TypeError):
            return self._salvage(content)

    def readIfChanged(self) -> list[Case]:
        """The cases if another Slicer wrote the file since this object last read or wrote it; otherwise none."""
        return self.read() if self._stampNow() != self._stamp else []

    def write(self, cases: Sequence[Case]) -> None:
        """Replace the file; at any moment the disk holds either the old or the new one, whole.

        Raises:
            ImageError: It cannot be written; the old file is as it was.
        """
        before = [*self._written, *[(None, "")] * (len(cases) - len(self._written))]
        self._written = [
            (case, line if case is known else json.dumps(_recordOf(case), ensure_ascii=False))
            for case, (known, line) in zip(cases, before, strict=False)
        ]
        head = f'{{"format": {json.dumps(FORMAT)}, "version": {VERSION}, "cases": [\n'
        text = head + ",\n".join(line for _, line in self._written) + "\n]}\n"
        with atomic_path(self.path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # the new name must not reach the disk before the content
        self._stamp = self._stampNow()

    def _stampNow(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size

    def _salvage(self, content: bytes) -> list[Case]:
        aside = self.path.with_name(f"{self.path.name}.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
        try:
            self.path.rename(aside)
        except OSError as error:
            msg = f"{self.path}: the file is damaged and cannot be moved aside ({error}); rename it yourself"
            raise WorklistError(msg) from error
        self._stamp = None
        cases = []
        for line in content.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                cases.append(_caseOf(json.loads(line.strip().rstrip(b",").decode("utf-8"))))
        self.notice = (
            f"The state of this list was damaged. It is kept as {aside.name}; "
            f"{len(cases)} of its cases could be read and go on as they were."
        )
        return cases


def _casesIn(content: Any, path: Path) -> list[Case]:
    if content["format"] != FORMAT:
        raise ValueError(content["format"])
    if content["version"] > VERSION:
        msg = (
            f"{path}: a newer version of this extension wrote the state of the list (format {content['version']}, "
            f"this one reads {VERSION}); update the extension"
        )
        raise WorklistError(msg)
    return [_caseOf(record) for record in content["cases"]]


def _recordOf(case: Case) -> dict[str, Any]:
    return {
        "image": case.image,
        "phrases": [{"text": one.text, "mask": one.mask} if one.mask else {"text": one.text} for one in case.phrases],
        "state": case.state,
        "sentence": case.sentence,
        "seconds": round(case.seconds, 1),
        "edited": case.isEdited,
        "decided": case.decided,
        "segmentation": case.segmentation,
    }


def _caseOf(record: dict[str, Any]) -> Case:
    state = record["state"]
    if state not in STATES:
        raise ValueError(state)
    return Case(
        image=str(record["image"]),
        phrases=tuple(CasePhrase(str(one["text"]), str(one.get("mask", ""))) for one in record["phrases"]),
        state=state,
        sentence=str(record["sentence"]),
        seconds=float(record["seconds"]),
        isEdited=bool(record["edited"]),
        decided=str(record["decided"]),
        segmentation=str(record["segmentation"]),
    )
