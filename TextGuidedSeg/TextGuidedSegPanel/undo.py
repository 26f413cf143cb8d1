"""Undo and redo of results, a segmentation as a whole: what else was done to it comes back with redo."""

from __future__ import annotations

import slicer

MOST_STEPS = 20


class UndoHistory:
    """Steps back and forth for each segmentation that got a result."""

    def __init__(self) -> None:
        self._histories: dict = {}  # id of the segmentation node -> vtkSegmentationHistory

    def remember(self, segmentationNode) -> None:
        """Keep the segmentation as it is now; call before each change."""
        history = self._of(segmentationNode)
        if history is None:
            history = slicer.vtkSegmentationHistory()
            history.SetMaximumNumberOfStates(MOST_STEPS)
            history.SetSegmentation(segmentationNode.GetSegmentation())
            scene = segmentationNode.GetScene()
            self._histories = {key: one for key, one in self._histories.items() if scene.GetNodeByID(key) is not None}
            self._histories[segmentationNode.GetID()] = history
        history.SaveState()

    def undo(self, segmentationNode) -> bool:
        """Go one step back; False if there is none."""
        return self.canUndo(segmentationNode) and bool(self._of(segmentationNode).RestorePreviousState())

    def redo(self, segmentationNode) -> bool:
        """Go one step forth; False if there is none."""
        return self.canRedo(segmentationNode) and bool(self._of(segmentationNode).RestoreNextState())

    def canUndo(self, segmentationNode) -> bool:
        """Whether `undo` would change anything."""
        history = self._of(segmentationNode)
        return history is not None and bool(history.IsRestorePreviousStateAvailable())

    def canRedo(self, segmentationNode) -> bool:
        """Whether `redo` would change anything."""
        history = self._of(segmentationNode)
        return history is not None and bool(history.IsRestoreNextStateAvailable())

    def clear(self) -> None:
        """Forget everything, as when the scene closes."""
        self._histories.clear()

    def _of(self, segmentationNode):
        if segmentationNode is None:
            return None
        history = self._histories.get(segmentationNode.GetID())
        # After the scene was closed another node may have the same id.
        isSame = history is not None and history.GetSegmentation() is segmentationNode.GetSegmentation()
        return history if isSame else None
