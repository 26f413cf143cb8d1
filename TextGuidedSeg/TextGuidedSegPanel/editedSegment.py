"""A result that changes the segment under the Segment Editor's hands instead of becoming a new one."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from TextGuidedSegLib.errors import TextGuidedSegError

from .inferenceRecords import PhraseResult
from .provenance import noteCorrection, provenanceFromTags, readProvenance
from .results import WITH_SEGMENT, PhraseRecord, maskOf
from .scene import orientedMask
from .segments import recordOrigin, segmentDigest

REPLACE, ADD, SUBTRACT = "replace", "add", "subtract"
MODES = (REPLACE, ADD, SUBTRACT)
"""What becomes of the segment."""

_DONE = {ADD: "added", SUBTRACT: "subtracted"}


class EditedSegment:
    """Stands where a run has its `Results`: what comes goes into one segment, by the rules of the Segment Editor.

    Args:
        effect: The effect's `qSlicerSegmentEditorScriptedEffect`, which knows masking and undo.
        segmentId: The segment, in the segmentation that is being edited.
        mode: One of `MODES`.
    """

    def __init__(self, effect, segmentId: str, mode: str) -> None:
        self._effect, self._segmentId, self._mode = effect, segmentId, mode

    def place(self, result: PhraseResult, volumeNode, segmentationNode=None, *, pseudoImageNode=None) -> PhraseRecord:
        """Change the segment by one result; an answer without a segment changes nothing.

        Args:
            result: The result.
            volumeNode: The volume it was made from, unchanged since.
            segmentationNode: Node of the segment.
            pseudoImageNode: Not used: the Segment Editor shows no text map.

        Raises:
            TextGuidedSegError: The segment is gone, or another segmentation is being edited now.
        """
        segment = segmentationNode.GetSegmentation().GetSegment(self._segmentId)
        if segment is None or self._effect.parameterSetNode().GetSegmentationNode() is not segmentationNode:
            msg = _("The segment was removed or another segmentation chosen while the phrase ran. Run it again.")
            raise TextGuidedSegError(msg)
        hasSegment = result.answer in WITH_SEGMENT
        if hasSegment:
            wasEmpty = not segmentDigest(segmentationNode, self._segmentId)
            self._modify(result, volumeNode, segmentationNode)
            self._note(segment, result, wasEmpty=wasEmpty)
        return PhraseRecord(
            phrase=result.phrase,
            answer=result.answer,
            segmentationNode=segmentationNode,
            segmentId=self._segmentId if hasSegment else "",
            segmentName=segment.GetName(),
            pseudoImageNode=None,
            presence=result.presence,
            threshold=result.threshold,
            warnings=result.warnings,
            seconds=result.seconds,
            device=result.device,
        )

    def clear(self) -> None:
        """Nothing is kept."""

    def _modify(self, result: PhraseResult, volumeNode, segmentationNode) -> None:
        image = orientedMask(maskOf(result, result.threshold), volumeNode, segmentationNode)
        # Masking by intensity and replacing ask for exactly the grid that the Segment Editor works on.
        grid = self._effect.defaultModifierLabelmap()
        modifier = slicer.vtkOrientedImageData()
        if image.IsEmpty():
            modifier.DeepCopy(grid)
        else:
            resample = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage
            resample(image, grid, modifier, False, False)
        self._effect.saveStateForUndo()
        kinds = slicer.qSlicerSegmentEditorAbstractEffect
        mode = {
            REPLACE: kinds.ModificationModeSet,
            ADD: kinds.ModificationModeAdd,
            SUBTRACT: kinds.ModificationModeRemove,
        }[self._mode]
        self._effect.modifySegmentByLabelmap(segmentationNode, self._segmentId, modifier, mode)

    def _note(self, segment, result: PhraseResult, *, wasEmpty: bool) -> None:
        """Say in the tags what the model made and what became of it; what a person drew stays without a phrase."""
        origin = provenanceFromTags(result.tags)
        what = f"“{result.phrase}” ({origin.model}, threshold {result.threshold:g})"
        isWhole = self._mode == REPLACE or (self._mode == ADD and wasEmpty)
        if isWhole:
            recordOrigin(segment, origin)
            if self._isMasked():
                noteCorrection(segment, "changed within the mask of the Segment Editor only")
        elif readProvenance(segment) is not None:
            noteCorrection(segment, f"{_DONE[self._mode]} {what} in the Segment Editor")
        elif self._mode == ADD:
            recordOrigin(segment, origin)
            noteCorrection(segment, "added to what was drawn by hand")

    def _isMasked(self) -> bool:
        node = self._effect.parameterSetNode()
        everywhere = slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere
        return node.GetMaskMode() != everywhere or bool(node.GetSourceVolumeIntensityMask())
