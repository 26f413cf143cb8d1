"""What came back for a phrase: put into the scene, and kept so that a new threshold needs no network."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import vtk

from TextGuidedSegLib.phrase import parse

from .inferenceRecords import PhraseResult
from .overlay import makePseudoImage
from .provenance import provenanceFromTags, readProvenance
from .scene import moveIntoView
from .segments import addSegment, newSegmentation, updateSegment
from .terminology import terminologyOf
from .undo import UndoHistory

WITH_SEGMENT = ("found", "unsure")
"""Answers that give a segment."""

# Results stay in memory for this many segments; a film's take about 10 MB each.
_MOST_KEPT = 20


@dataclass(frozen=True)
class PhraseRecord:
    """What one phrase gave.

    Attributes:
        phrase: What was typed.
        answer: One of `TextGuidedSegLib.inference.ANSWERS`.
        segmentationNode: Where the segment is; None if there is none.
        segmentId: Id of the new segment; empty if there is none.
        segmentName: Its name; empty if there is none.
        pseudoImageNode: Where the words point; None if no word was understood.
        presence: In [0, 1], how sure the model is that it is there.
        threshold: Probability from which a voxel belongs to the segment.
        warnings: Sentences for people.
        seconds: Time the model took.
    """

    phrase: str
    answer: str
    segmentationNode: object
    segmentId: str
    segmentName: str
    pseudoImageNode: object
    presence: float
    threshold: float
    warnings: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class VolumeSnapshot:
    """A volume as it was when a run began, to see whether the result still fits it."""

    nodeId: str
    grid: tuple

    @staticmethod
    def of(volumeNode) -> VolumeSnapshot:
        """The volume now."""
        matrix = vtk.vtkMatrix4x4()
        volumeNode.GetIJKToRASMatrix(matrix)
        cells = tuple(matrix.GetElement(row, column) for row in range(4) for column in range(4))
        imageData = volumeNode.GetImageData()
        voxels = (imageData.GetDimensions(), imageData.GetMTime()) if imageData is not None else None
        return VolumeSnapshot(volumeNode.GetID(), (voxels, cells))

    def isCurrent(self, volumeNode) -> bool:
        """False if the node left its scene or its voxels or grid changed since."""
        return volumeNode.GetScene() is not None and VolumeSnapshot.of(volumeNode) == self


class Results:
    """Puts results into the scene and remembers them by segment.

    Args:
        history: Told before each change of a segmentation.
    """

    def __init__(self, history: UndoHistory) -> None:
        self._history = history
        self._kept: OrderedDict[tuple[str, str], tuple[PhraseResult, object]] = OrderedDict()

    def place(self, result: PhraseResult, volumeNode, segmentationNode=None, *, pseudoImageNode=None) -> PhraseRecord:
        """Add a segment and the pseudo-image of one result.

        Args:
            result: The result.
            volumeNode: The volume it was made from, unchanged since.
            segmentationNode: Where the segment goes; None makes a new node if there is a segment to add.
            pseudoImageNode: Node to fill again; None makes a new one.

        Raises:
            TextGuidedSegError: The segmentation cannot hold a mask.
        """
        segmentId = name = ""
        if result.answer in WITH_SEGMENT:
            segmentationNode = segmentationNode or newSegmentation(volumeNode)
            segmentId = self._addSegment(result, volumeNode, segmentationNode)
            name = segmentationNode.GetSegmentation().GetSegment(segmentId).GetName()
        isUnderstood = result.answer != "not_understood"
        if isUnderstood:
            values = result.pseudoImage.whole()
            pseudoImageNode = makePseudoImage(values, volumeNode, result.phrase, node=pseudoImageNode)
        return PhraseRecord(
            phrase=result.phrase,
            answer=result.answer,
            segmentationNode=segmentationNode if segmentId else None,
            segmentId=segmentId,
            segmentName=name,
            pseudoImageNode=pseudoImageNode if isUnderstood else None,
            presence=result.presence,
            threshold=result.threshold,
            warnings=result.warnings,
            seconds=result.seconds,
        )

    def _addSegment(self, result: PhraseResult, volumeNode, segmentationNode) -> str:
        self._history.remember(segmentationNode)
        segmentId = addSegment(
            maskOf(result, result.threshold),
            volumeNode,
            segmentationNode,
            provenanceFromTags(result.tags),
            terminology=terminologyOf(parse(result.phrase)),
        )
        self._kept[segmentationNode.GetID(), segmentId] = (result, volumeNode)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        moveIntoView(segmentationNode, segmentId)
        return segmentId

    def hasProbability(self, segmentationNode, segmentId: str) -> bool:
        """Whether the segment can follow a new threshold."""
        return self._found(segmentationNode, segmentId) is not None

    def setThreshold(self, segmentationNode, segmentId: str, threshold: float) -> bool:
        """Cut a segment anew; the network does not run.

        Args:
            segmentationNode: Node of the segment.
            segmentId: The segment.
            threshold: In [0.01, 1).

        Returns:
            False if the probability of this segment is not in memory, as after the scene was loaded.
        """
        found = self._found(segmentationNode, segmentId)
        if found is None:
            return False
        result, volumeNode = found
        provenance = replace(provenanceFromTags(result.tags), threshold=threshold)
        updateSegment(maskOf(result, threshold), volumeNode, segmentationNode, segmentId, provenance)
        return True

    def showWords(self, segmentationNode, segmentId: str, pseudoImageNode) -> bool:
        """Fill a pseudo-image node with that of a segment; False if it is not in memory."""
        found = self._found(segmentationNode, segmentId)
        if found is None or pseudoImageNode is None:
            return False
        result, volumeNode = found
        makePseudoImage(result.pseudoImage.whole(), volumeNode, result.phrase, node=pseudoImageNode)
        return True

    def clear(self) -> None:
        """Forget everything, as when the scene closes."""
        self._kept.clear()

    def _found(self, segmentationNode, segmentId: str):
        if segmentationNode is None or segmentationNode.GetScene() is None:
            return None
        segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
        kept = self._kept.get((segmentationNode.GetID(), segmentId))
        if segment is None or kept is None or kept[1].GetScene() is None:
            return None
        # Undo may have brought another result back under the same id.
        remembered = readProvenance(segment)
        return kept if remembered is not None and remembered.phrase == kept[0].phrase else None


def maskOf(result: PhraseResult, threshold: float) -> np.ndarray:
    """Where the probability reaches a threshold.

    Args:
        result: The answer to a phrase.
        threshold: In [0.01, 1); compared as float32, as in the library.

    Returns:
        `(I, J, K)` uint8 in {0, 1}; all 0 unless the answer gives a segment.
    """
    mask = np.zeros(result.probability.shape[:3], np.uint8)
    if result.answer in WITH_SEGMENT:
        mask[result.probability.box] = result.probability.array >= np.float32(threshold)
    return mask
