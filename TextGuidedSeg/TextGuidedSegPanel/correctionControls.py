"""Correcting a result: keep or remove the island that is pointed at, or go on in the Segment Editor."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _

from TextGuidedSegLib.errors import TextGuidedSegError

from .islands import Island, islandAt, keepIsland, pointedAt, removeIsland
from .parameters import chosenSegment
from .provenance import noteCorrection, readProvenance
from .segmentEditorHandover import SegmentEditorHandover

KEYS = {"keepIslandButton": "Alt+K", "removeIslandButton": "Alt+X"}
"""Keys that work in the whole window while the panel is shown, so that the mouse can stay on the island."""


class CorrectionControls:
    """The buttons below the table of segments.

    Args:
        ui: Widgets by name.
        logic: The module's logic.
        onChanged: Called when a segment was changed.
    """

    def __init__(self, ui, logic, onChanged: Callable[[], None]) -> None:
        self._ui, self._logic, self._onChanged = ui, logic, onChanged
        self._handover = SegmentEditorHandover(logic.history)
        self._parameters = None
        self._problem = ("", "")  # id of the segment, what could not be done with it
        self._actions = [
            self._island("keepIslandButton", keepIsland, "kept nothing but the island"),
            self._island("removeIslandButton", removeIsland, "removed the island"),
        ]
        ui.segmentEditorButton.connect("clicked()", self._onSegmentEditor)
        self.update()

    def setParameters(self, parameters) -> None:
        """Act on the segment of these parameters; None for none."""
        self._parameters = parameters
        if parameters is not None:
            self._handover.finish()
        self._problem = ("", "")
        self.update()

    def update(self) -> None:
        """Follow the parameters and the segmentation."""
        parameters, segment = self._parameters, chosenSegment(self._parameters)
        for name in KEYS:
            getattr(self._ui, name).enabled = segment is not None
        self._ui.segmentEditorButton.enabled = parameters is not None and parameters.segmentation is not None
        about, problem = self._problem
        isCurrent = bool(problem) and parameters is not None and parameters.segmentId == about
        sentence = problem if isCurrent else _correctedSentence(segment)
        self._ui.correctionLabel.text = sentence
        self._ui.correctionLabel.visible = bool(sentence)

    def edit(self, volumeNode, segmentationNode, segmentId: str) -> None:
        """Go to the Segment Editor.

        Raises:
            TextGuidedSegError: There is none, or no main window.
        """
        self._handover.go(volumeNode, segmentationNode, segmentId)

    def forget(self) -> None:
        """The scene closes, or the module is unloaded."""
        self._handover.forget()

    def _island(self, name: str, change: Callable, done: str):
        """Wire a button and its key."""
        button = getattr(self._ui, name)

        def command() -> None:
            if button.enabled:
                self._change(change, done)

        button.connect("clicked()", command)
        action = qt.QAction(self._ui.resultButton)
        action.shortcut = qt.QKeySequence(KEYS[name])
        action.connect("triggered()", command)
        self._ui.resultButton.addAction(action)
        return action

    def _change(self, change: Callable[[Island, object, str], None], done: str) -> None:
        node, segmentId = self._parameters.segmentation, self._parameters.segmentId
        position = pointedAt(slicer.mrmlScene)
        try:
            island = islandAt(node, segmentId, position) if position is not None else None
        except TextGuidedSegError as error:
            self._say(str(error))
            return
        if island is None:
            name = chosenSegment(self._parameters).GetName()
            self._say(_("Nothing of “{name}” is there. {how}").format(name=name, how=_howToPoint()))
            return
        self._logic.history.remember(node)
        change(island, node, segmentId)
        place = ", ".join(f"{value:.1f}" for value in position)
        noteCorrection(chosenSegment(self._parameters), f"{done} at RAS {place} mm")
        self._problem = ("", "")
        self._onChanged()

    def _onSegmentEditor(self) -> None:
        try:
            self.edit(self._parameters.inputVolume, self._parameters.segmentation, self._parameters.segmentId)
        except TextGuidedSegError as error:
            self._say(str(error))

    def _say(self, problem: str) -> None:
        self._problem = (self._parameters.segmentId, problem)
        self.update()


def _correctedSentence(segment) -> str:
    provenance = readProvenance(segment) if segment is not None else None
    if provenance is None or not provenance.corrections:
        return ""
    sentence = _("“{name}” was corrected by hand, so the threshold leaves it alone. Undo takes corrections back.")
    return sentence.format(name=segment.GetName())


def _howToPoint() -> str:
    return _(
        "Point at the island in a slice view and press {keep} to keep it alone or {remove} to remove it; "
        "for the buttons, bring the crosshair there: hold Shift and move the mouse."
    ).format(keep=KEYS["keepIslandButton"], remove=KEYS["removeIslandButton"])
