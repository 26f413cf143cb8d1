"""An export under way: one accepted case at a time, so that the window stays alive and the export can be cancelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from TextGuidedSegLib.errors import TextGuidedSegError

from . import worklistScene as scene
from .scene import imageFromVolume
from .worklist import Case, WorklistError
from .worklistExport import ExportCase, ExportRow, Writer
from .worklistSession import WorklistSession
from .worklistSources import IMAGE_SUFFIXES


class ExportRun:
    """Writes the accepted cases of a list.

    Args:
        session: The open list; what was drawn on its open case is saved first.
        writer: Where the cases go.

    Attributes:
        count: Accepted cases.
        done: How many were looked at.
        skipped: For each that was left out, why.
        isRunning: False when the folder is finished or the export was given up.

    Raises:
        WorklistError: No case is accepted.
        ImageError: What was drawn on the open case could not be saved.
    """

    def __init__(self, session: WorklistSession, writer: Writer) -> None:
        self._session, self._writer = session, writer
        self.done, self.isRunning = 0, True
        self.skipped: list[str] = []
        try:
            session.keep()
            self._cases = [case for case in session.worklist.cases if case.state == "accepted"]
            if not self._cases:
                msg = "no case is accepted yet; accept one, then export"
                raise WorklistError(msg)
        except TextGuidedSegError:
            self.cancel()
            raise
        self.count = len(self._cases)

    def step(self) -> Path | None:
        """Write the next case, or finish.

        Returns:
            The folder when it is complete; None before.

        Raises:
            WorklistError: Nothing could be exported, or the folder could not be completed; nothing is left of it.
        """
        if self.done < self.count:
            case = self._cases[self.done]
            self.done += 1
            try:
                self._writer.add(self._exportCase(case))
            except TextGuidedSegError as error:
                self.skipped.append(f"{case.image}: {error}")
            return None
        if len(self.skipped) == self.count:
            self.cancel()
            msg = f"nothing could be exported; {self.skipped[0]}"
            raise WorklistError(msg)
        try:
            return self._writer.finish()
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Give the export up; nothing is left of it unless it is finished."""
        self.isRunning = False
        self._writer.abandon()

    def _exportCase(self, case: Case) -> ExportCase:
        session = self._session
        opened = scene.openCase(case, session.folder, show=False)
        try:
            if case.segmentation:
                scene.readSegments(opened, session.segmentsFolder / case.segmentation)
            image, drawn = imageFromVolume(opened.volumeNode), scene.masks(opened)
        finally:
            scene.closeCase(opened)
        # Accepted without a segment: that the phrase names nothing here is an answer, too.
        empty = np.zeros(image.geometry.shape, np.uint8)
        absent = [one.text for one in case.phrases if one.text not in {text for text, _ in drawn}]
        masks = [*drawn, *((text, empty) for text in absent)]
        path = session.folder / case.image
        return ExportCase(
            name=_stem(case.image),
            image=image,
            rows=tuple(ExportRow(text, mask, _columnsOf(case, text)) for text, mask in masks),
            source=path if path.is_file() else None,
            seconds=case.seconds,
            isEdited=case.isEdited,
        )


def _columnsOf(case: Case, text: str) -> dict[str, str]:
    """The list's columns for a phrase; of one that the list does not name, those that all of the image's rows share."""
    own = [one.columns for one in case.phrases if one.text == text]
    rows = own[:1] or [one.columns for one in case.phrases]
    first = rows[0] if rows else {}
    return {name: value for name, value in first.items() if all(row.get(name) == value for row in rows)}


def _stem(image: str) -> str:
    name = Path(image).name
    suffix = next((one for one in sorted(IMAGE_SUFFIXES, key=len, reverse=True) if name.lower().endswith(one)), "")
    return name[: len(name) - len(suffix)]
