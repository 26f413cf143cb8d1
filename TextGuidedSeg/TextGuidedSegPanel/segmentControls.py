"""The segments: table, live threshold, undo and redo."""

from __future__ import annotations

from collections.abc import Callable

from TextGuidedSegLib.errors import TextGuidedSegError

from .parameters import chosenSegment
from .provenance import readProvenance
from .segmentFacts import SegmentFacts


class SegmentControls:
    """The widgets of the group of segments.

    Args:
        ui: Widgets by name.
        logic: The module's logic.
        onChanged: Called after a step of undo or redo.
    """

    def __init__(self, ui, logic, onChanged: Callable[[], None]) -> None:
        self._ui, self._logic, self._onChanged = ui, logic, onChanged
        self._parameters = None
        self._isSettingUp = False
        self._facts = SegmentFacts()
        ui.undoButton.connect("clicked()", self._onUndo)
        ui.redoButton.connect("clicked()", self._onRedo)
        ui.thresholdSlider.connect("valueChanged(double)", self._onThreshold)
        ui.segmentsTable.connect("selectionChanged(QItemSelection,QItemSelection)", self._onSelection)

    def setParameters(self, parameters) -> None:
        """Read from and write to these parameters; None for none."""
        self._parameters = parameters
        self.update()

    def update(self) -> None:
        """Follow the parameters and the segmentation."""
        node = self._parameters.segmentation if self._parameters is not None else None
        if self._ui.segmentsTable.segmentationNode() is not node:
            self._ui.segmentsTable.setSegmentationNode(node)
            self._ui.show3DButton.setSegmentationNode(node)
        self._ui.undoButton.enabled = self._logic.history.canUndo(node)
        self._ui.redoButton.enabled = self._logic.history.canRedo(node)
        self._ui.show3DButton.enabled = node is not None
        segmentId = self._parameters.segmentId if self._parameters is not None else ""
        self._ui.thresholdSlider.enabled = self._logic.results.hasProbability(node, segmentId)
        self._showChosen(node, segmentId)
        self._ui.segmentFactsLabel.text = self._facts.of(node, segmentId)
        self._ui.segmentFactsLabel.visible = bool(self._ui.segmentFactsLabel.text)

    def _showChosen(self, node, segmentId: str) -> None:
        """Select the row of the segment that threshold and corrections act on."""
        isThere = node is not None and node.GetSegmentation().GetSegment(segmentId) is not None
        if isThere and segmentId not in self._ui.segmentsTable.selectedSegmentIDs():
            self._ui.segmentsTable.setSelectedSegmentIDs([segmentId])

    def select(self, segmentId: str) -> None:
        """Choose a segment: the threshold shows its own and acts on it."""
        self._parameters.segmentId = segmentId
        segment = chosenSegment(self._parameters)
        provenance = readProvenance(segment) if segment is not None else None
        if provenance is not None and 0.0 < provenance.threshold < 1.0:
            self._isSettingUp = True
            self._ui.thresholdSlider.value = provenance.threshold
            self._isSettingUp = False
        self.update()

    def _onThreshold(self, threshold: float) -> None:
        if self._isSettingUp or self._parameters is None:
            return
        try:
            self._logic.results.setThreshold(self._parameters.segmentation, self._parameters.segmentId, threshold)
        except TextGuidedSegError as error:
            self._ui.warningsLabel.text = str(error)
            self._ui.warningsLabel.visible = True

    def _onSelection(self) -> None:
        chosen = self._ui.segmentsTable.selectedSegmentIDs()
        if self._parameters is None or len(chosen) != 1 or chosen[0] == self._parameters.segmentId:
            return
        # First, so that the overlay follows as soon as the choice is known.
        self._logic.results.lookAt(self._parameters.segmentation, chosen[0])
        self.select(chosen[0])

    def _onUndo(self) -> None:
        self._logic.history.undo(self._parameters.segmentation)
        self._chooseNewest()

    def _onRedo(self) -> None:
        self._logic.history.redo(self._parameters.segmentation)
        self._chooseNewest()

    def _chooseNewest(self) -> None:
        """Where the chosen segment went with a step, the newest that is left is chosen."""
        segmentation = self._parameters.segmentation.GetSegmentation()
        ids = segmentation.GetSegmentIDs()
        if ids and segmentation.GetSegment(self._parameters.segmentId) is None:
            self._logic.results.lookAt(self._parameters.segmentation, ids[-1])
            self.select(ids[-1])
        self._onChanged()
