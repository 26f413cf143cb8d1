"""A worklist at work: opens a case, has its phrases run, takes decisions, saves what was drawn, goes on to the next.

What goes wrong with one case becomes that case's state with a sentence; nothing stops the list. No Qt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from slicer.i18n import tr as _

from TextGuidedSegLib.errors import TextGuidedSegError

from . import worklistScene as scene
from .answers import answerSentence
from .inferenceRecords import Failure
from .results import PhraseRecord
from .segmentationRun import DROPPED, OF_ONE_PHRASE
from .worklist import DECISIONS, Case, Worklist, WorklistError
from .worklistLabels import LabelMap, readLabelMap, writeLabelMap
from .worklistMasks import addMasks

# Kinds of failures that say nothing about the case.
_INTERRUPTED = ("Cancelled", DROPPED)


class Host(Protocol):
    """What the session needs of the panel around it."""

    @property
    def isBusy(self) -> bool:
        """Whether a run is under way."""

    def show(self, volumeNode, segmentationNode, phrases: Sequence[str]) -> None:
        """Choose image, segmentation and phrases."""

    def clear(self) -> None:
        """Take away what was said of the image before."""

    def run(self) -> None:
        """Run the phrases shown; the end is told to `onRunFinished`. Raises WorklistError with why it cannot."""

    def cancel(self) -> None:
        """Cancel the run; its end is told as well."""

    def edit(self, volumeNode, segmentationNode) -> None:
        """Let the user correct a segment, the chosen one if there is one."""


class WorklistSession:
    """One list that is open.

    Args:
        worklist: The list.
        folder: What the paths of its images are relative to.
        state: Its state file; saved segments and the label map lie beside it.
        host: The panel.

    Attributes:
        opened: The nodes of the open case; None without one, and if it could not be opened.
        problem: Why something could not be done that is not the fault of a case; empty for nothing.

    Raises:
        WorklistError: The label map beside the state file cannot be read.
    """

    def __init__(self, worklist: Worklist, folder: Path, state: Path, host: Host) -> None:
        stem = state.name.removesuffix(".worklist.json")
        self.worklist, self.folder, self.problem = worklist, folder, ""
        self.segmentsFolder = state.with_name(f"{stem}.worklist")
        self.opened: scene.OpenCase | None = None
        self._labelsPath = state.with_name(f"{stem}.labels.json")
        self._labels = readLabelMap(self._labelsPath) if self._labelsPath.is_file() else LabelMap()
        self._host = host
        self._wanted: int | None = None
        self._proposed: str | None = None  # fingerprint of what was proposed
        self._saved = ""  # fingerprint of what is on disk

    @property
    def labels(self) -> LabelMap:
        """The fixed label map."""
        return self._labels

    @labels.setter
    def labels(self, labelMap: LabelMap) -> None:
        if labelMap.labels != self._labels.labels:
            writeLabelMap(self._labelsPath, labelMap)
            self._labels = labelMap
        if self._isHere():
            scene.colorByLabels(self.opened, labelMap)

    @property
    def canAccept(self) -> bool:
        """Whether there is an image to accept segments on, and no run changes them."""
        return self._isHere() and not self._host.isBusy

    def open(self, index: int) -> None:
        """Go to a case; what runs for another one is cancelled first, and the case is opened when that is done."""
        self.problem = ""
        if self._host.isBusy:
            self._wanted = index
            self._host.cancel()
            return
        self._release()
        case = self.worklist.open(index)
        try:
            self.opened = scene.openCase(case, self.folder)
            self._fill(case)
        except WorklistError as error:
            self.problem = str(error)
        except TextGuidedSegError as error:
            # As the list names it: the folder may be elsewhere tomorrow.
            sentence = str(error).replace(str(self.folder / case.image), case.image)
            self.worklist.note("failed", sentence)
            self.problem = sentence if case.state in DECISIONS else ""

    def step(self, by: int) -> None:
        """Go to the case before or after this one, whatever its state; at either end nothing happens."""
        current = self.worklist.currentIndex
        index = (current + by) if current is not None else 0
        if 0 <= index < len(self.worklist.cases):
            self.open(index)

    def accept(self) -> None:
        """Save the segments, note the decision, go to the next case to decide.

        Raises:
            WorklistError: There is no image to accept segments on, or a run is under way.
            ImageError: Nothing could be saved; the case stays undecided.
        """
        if not self.canAccept:
            msg = _("There is nothing to accept: wait for the run, or open a case whose image can be read.")
            raise WorklistError(msg)
        self._save()
        self.worklist.decide("accepted")
        self._goOn()

    def reject(self) -> None:
        """Note the decision and go to the next case to decide; no segments are kept.

        Raises:
            WorklistError: No case is open.
            ImageError: The decision could not be written.
        """
        self.worklist.decide("rejected")
        self._goOn()

    def edit(self) -> None:
        """Hand the segments to the correction.

        Raises:
            WorklistError: There is no image to draw on, or a run is under way.
        """
        if not self.canAccept:
            msg = _("There is nothing to edit: wait for the run, or open a case whose image can be read.")
            raise WorklistError(msg)
        self._host.edit(self.opened.volumeNode, self.opened.segmentationNode)

    def onRunFinished(self, volumeNode, records: Sequence[PhraseRecord], failure: Failure | None) -> None:
        """A run ended, whoever began it; one on the open case is the case's answer."""
        wanted, self._wanted = self._wanted, None
        # After the scene was closed during a run nothing is opened unasked.
        if wanted is not None and (failure is None or failure.kind != DROPPED):
            self.open(wanted)
        elif self._isHere() and volumeNode is self.opened.volumeNode:
            self.problem = ""
            if failure is not None and failure.kind in _INTERRUPTED:
                self.problem = failure.sentence
            elif failure is not None and not (records and failure.kind in OF_ONE_PHRASE):
                self.worklist.note("failed", failure.sentence)
            else:
                self._takeAnswers(records, "" if failure is None else failure.sentence)

    def keep(self) -> None:
        """Save what was drawn and not saved yet, as before the panel is left.

        Raises:
            ImageError: It could not be saved.
        """
        if self._keep():
            self.worklist.save()

    def close(self) -> None:
        """Leave the open case: what was drawn is saved, the nodes that came with it go.

        Raises:
            ImageError: It could not be saved; the case stays open.
        """
        self._release()
        self.worklist.leave()

    def forget(self) -> None:
        """The scene closes: save what was drawn, touch nothing else.

        Raises:
            ImageError: It could not be saved.
        """
        self._wanted = None
        try:
            self._keep()
        finally:
            self.opened = None
            self.worklist.leave()

    def _isHere(self) -> bool:
        return self.opened is not None and self.opened.isInScene

    def _fill(self, case: Case) -> None:
        asked = [one.text for one in case.phrases if not one.mask]
        self._host.show(self.opened.volumeNode, self.opened.segmentationNode, asked)
        self._proposed, self._saved = None, ""
        if case.segmentation:
            self._restore(case)
        elif case.state in ("waiting", "proposed", "failed"):
            addMasks(case, self.folder, self.opened)
            self._ask(asked)
        self._color()

    def _ask(self, phrases: Sequence[str]) -> None:
        if phrases:
            self._host.run()
            return
        self._proposed = scene.fingerprint(self.opened)
        self.worklist.note("proposed")
        if not self._proposed:
            self.problem = _("The list names no phrase here: type one and press Enter, or draw by hand.")

    def _restore(self, case: Case) -> None:
        try:
            scene.readSegments(self.opened, self.segmentsFolder / case.segmentation)
            self._proposed = self._saved = scene.fingerprint(self.opened)
        except TextGuidedSegError as error:
            # The decision stands; only what was drawn is gone, and the sentence says so.
            self.problem = str(error)

    def _takeAnswers(self, records: Sequence[PhraseRecord], unanswered: str) -> None:
        sentences = [answerSentence(one.answer, one.phrase, one.segmentName) for one in records]
        sentences += [unanswered] if unanswered else []
        self._color()
        if self._proposed is None:
            self._proposed = scene.fingerprint(self.opened)
        state = "proposed" if scene.segmentIds(self.opened) else "unanswered"
        self.worklist.note(state, " ".join(sentences))

    def _color(self) -> None:
        phrases = [one.text for one in self.worklist.current.phrases]
        self.labels = scene.colorByLabels(self.opened, self._labels, phrases)

    def _release(self) -> None:
        self._keep()
        if self.opened is not None:
            scene.closeCase(self.opened)
            self._host.clear()
        self.opened = None

    def _keep(self) -> bool:
        case = self.worklist.current
        return case is not None and case.state != "rejected" and self._isHere() and self._save()

    def _save(self) -> bool:
        """Save the segments if they differ from what is on disk; False if they do not."""
        self._color()
        now = scene.fingerprint(self.opened)
        if now == self._saved:
            return False
        case = self.worklist.current
        name = _segmentationName(case)
        if now:
            scene.writeSegments(self.opened, self.segmentsFolder / name)
        self.worklist.keep(name if now else "", isEdited=case.isEdited or now != (self._proposed or ""))
        self._saved = now
        return True

    def _goOn(self) -> None:
        index = self.worklist.nextOpen()
        if index is None:
            self.problem = _("All cases are done.")
        else:
            self.open(index)


def _segmentationName(case: Case) -> str:
    """A file for the segments of a case; images of one name in several folders, or with other phrases, have others."""
    texts = [case.image, *(part for one in case.phrases for part in (one.text, one.mask))]
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]
    return f"{Path(case.image).name}-{digest}.seg.nrrd"
