"""One click to the Segment Editor with segment and image chosen, one click back; what was edited there is noted."""

from __future__ import annotations

from dataclasses import dataclass

import qt
import slicer
from slicer.i18n import tr as _

from TextGuidedSegLib.errors import TextGuidedSegError

from .provenance import noteCorrection
from .segments import segmentDigest
from .undo import UndoHistory

SEGMENT_EDITOR = "SegmentEditor"
MODULE = "TextGuidedSeg"
EDITED = "edited in the Segment Editor"
"""What the tags of a segment say that was changed there."""


@dataclass(frozen=True)
class _Visit:
    """A segmentation that is being edited, and what its segments were before."""

    segmentationNode: object
    before: dict[str, str]


class SegmentEditorHandover:
    """Hands segments to the Segment Editor and takes them back.

    Args:
        history: Told before the segmentation is handed over, so that one step back undoes all that was edited.
    """

    def __init__(self, history: UndoHistory) -> None:
        self._history = history
        self._visit: _Visit | None = None
        self._button = None

    def go(self, volumeNode, segmentationNode, segmentId: str) -> None:
        """Open the Segment Editor on a segment.

        Args:
            volumeNode: The image, if the segmentation does not know its own.
            segmentationNode: Node of the segment.
            segmentId: The segment; empty for none.

        Raises:
            TextGuidedSegError: Slicer has no main window, or no Segment Editor.
        """
        if not hasattr(slicer.modules, SEGMENT_EDITOR.lower()):
            msg = _("This Slicer has no Segment Editor; enable it in the application's settings, under Modules.")
            raise TextGuidedSegError(msg)
        self.finish()
        role = segmentationNode.GetReferenceImageGeometryReferenceRole()
        chosen = segmentationNode.GetNodeReference(role) or volumeNode, segmentationNode, segmentId
        before = _digests(segmentationNode)
        # Before it is opened, or it would make an empty segmentation of its own; and after, since it chooses nodes by
        # itself when it is opened for the first time.
        _choose(*chosen)
        try:
            slicer.util.selectModule(SEGMENT_EDITOR)
        except RuntimeError as error:
            msg = _("The Segment Editor needs Slicer's main window ({reason}).").format(reason=error)
            raise TextGuidedSegError(msg) from error
        _choose(*chosen)
        self._history.remember(segmentationNode)
        self._visit = _Visit(segmentationNode, before)
        self._addButton()

    def finish(self) -> None:
        """The user is back, in whatever way: note what was edited."""
        self._removeButton()
        visit, self._visit = self._visit, None
        if visit is None or visit.segmentationNode.GetScene() is None:
            return
        segmentation = visit.segmentationNode.GetSegmentation()
        for segmentId, now in _digests(visit.segmentationNode).items():
            if visit.before.get(segmentId, now) != now:
                noteCorrection(segmentation.GetSegment(segmentId), EDITED)

    def forget(self) -> None:
        """The scene closes, or the module is unloaded: nothing is noted any more."""
        self._removeButton()
        self._visit = None

    def _addButton(self) -> None:
        self._button = qt.QPushButton(_("Back to TextGuidedSeg"))
        self._button.toolTip = _("Go on in the module that handed this segment over. Everything drawn here stays.")
        self._button.connect("clicked()", self._onBack)
        # Gone with the Segment Editor's panel, when that is loaded again.
        self._button.connect("destroyed()", self._onButtonGone)
        slicer.util.getModuleWidget(SEGMENT_EDITOR).layout.insertWidget(0, self._button)

    def _removeButton(self) -> None:
        button, self._button = self._button, None
        if button is not None:
            button.disconnect("destroyed()", self._onButtonGone)
            button.visible = False
            button.deleteLater()

    def _onBack(self) -> None:
        slicer.util.selectModule(MODULE)

    def _onButtonGone(self) -> None:
        self._button = None


def _digests(segmentationNode) -> dict[str, str]:
    ids = segmentationNode.GetSegmentation().GetSegmentIDs()
    return {segmentId: segmentDigest(segmentationNode, segmentId) for segmentId in ids}


def _choose(volumeNode, segmentationNode, segmentId: str) -> None:
    """Choose nodes and segment in the parameters of the Segment Editor, which its panel follows."""
    scene = segmentationNode.GetScene()
    editorNode = scene.GetSingletonNode(SEGMENT_EDITOR, "vtkMRMLSegmentEditorNode")
    if editorNode is None:
        editorNode = slicer.vtkMRMLSegmentEditorNode()
        editorNode.SetSingletonTag(SEGMENT_EDITOR)
        editorNode = scene.AddNode(editorNode)
    editorNode.SetAndObserveSegmentationNode(segmentationNode)
    editorNode.SetAndObserveSourceVolumeNode(volumeNode)
    editorNode.SetSelectedSegmentID(segmentId)
