"""What came back for a phrase: put into the scene, and kept so that a new threshold needs no network."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import vtk

from TextGuidedSegLib.phrase import parse
from TextGuidedSegLib.worker_protocol import Crop

from .inferenceRecords import PhraseResult
from .overlay import PROBABILITY, TEXT_MAP, makeSoftMap
from .provenance import provenanceFromTags, readProvenance
from .segments import addSegment, newSegmentation, updateSegment
from .sliceViews import moveIntoView
from .terminology import terminologyOf
from .undo import UndoHistory

WITH_SEGMENT = ("found", "unsure")
"""Answers that give a segment."""

# Results stay in memory for this many segments, and this much of them; a film's take about 10 MB each.
_MOST_KEPT, _MOST_KEPT_BYTES = 20, 1 << 30


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
        device: Where the model ran at last: "cpu" or "cuda".
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
    device: str


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
        self._lookedAt: tuple[PhraseResult, object] | None = None
        self._mapped: dict[str, PhraseResult] = {}  # id of a map's node -> what it shows

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
            self._lookedAt = (result, volumeNode)
            pseudoImageNode = self.showMap(TEXT_MAP, pseudoImageNode)
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
            device=result.device,
        )

    def _addSegment(self, result: PhraseResult, volumeNode, segmentationNode) -> str:
        self._history.remember(segmentationNode)
        mask = maskOf(result, result.threshold)
        segmentId = addSegment(
            mask,
            volumeNode,
            segmentationNode,
            provenanceFromTags(result.tags),
            terminology=terminologyOf(parse(result.phrase)),
        )
        self._kept[segmentationNode.GetID(), segmentId] = (result, volumeNode)
        while len(self._kept) > 1 and (len(self._kept) > _MOST_KEPT or self._keptBytes() > _MOST_KEPT_BYTES):
            self._kept.popitem(last=False)
        moveIntoView(mask, volumeNode)
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

    def lookAt(self, segmentationNode, segmentId: str) -> bool:
        """Have `showMap` show the maps of a segment, instead of the last answer's; False if they are not in memory."""
        found = self._origin(segmentationNode, segmentId)
        self._lookedAt = found or self._lookedAt
        return found is not None

    def lookAtNothing(self) -> None:
        """Have `showMap` show nothing until the next answer or `lookAt`, as when another image is shown."""
        self._lookedAt = None

    def showMap(self, content: str, node=None):
        """Fill a volume node with a map of the phrase looked at: the last answered one, or that of `lookAt` since.

        Args:
            content: `TEXT_MAP` or `PROBABILITY`.
            node: Node of an earlier call to fill again, unless it holds that very map; None makes a new one.

        Returns:
            The node; None if no map is in memory, as after a scene was loaded.
        """
        if self._lookedAt is None or self._lookedAt[1].GetScene() is None:
            return None
        result, volumeNode = self._lookedAt
        if node is None or self._mapped.get(node.GetID()) is not result:
            values = {TEXT_MAP: result.pseudoImage, PROBABILITY: result.probability}[content].whole()
            node = makeSoftMap(values, volumeNode, result.phrase, content=content, node=node)
            scene = node.GetScene()
            self._mapped = {key: shown for key, shown in self._mapped.items() if scene.GetNodeByID(key) is not None}
            self._mapped[node.GetID()] = result
        return node

    def clear(self) -> None:
        """Forget everything, as when the scene closes."""
        self._kept.clear()
        self._mapped.clear()
        self._lookedAt = None

    def _keptBytes(self) -> int:
        return sum(one.probability.array.nbytes + one.pseudoImage.array.nbytes for one, _ in self._kept.values())

    def _found(self, segmentationNode, segmentId: str):
        """What a segment can be cut anew from; None for one that a person corrected."""
        found = self._origin(segmentationNode, segmentId)
        if found is None:
            return None
        provenance = readProvenance(segmentationNode.GetSegmentation().GetSegment(segmentId))
        return None if provenance.corrections else found

    def _origin(self, segmentationNode, segmentId: str):
        if segmentationNode is None or segmentationNode.GetScene() is None:
            return None
        segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
        kept = self._kept.get((segmentationNode.GetID(), segmentId))
        if segment is None or kept is None or kept[1].GetScene() is None:
            return None
        # Undo may have brought another result back under the same id.
        remembered = readProvenance(segment)
        return kept if remembered is not None and remembered.phrase == kept[0].phrase else None


def maskOf(result: PhraseResult, threshold: float) -> Crop:
    """Where the probability reaches a threshold.

    Args:
        result: The answer to a phrase.
        threshold: In [0.01, 1); compared as float32, as in the library.

    Returns:
        uint8 in {0, 1}; all 0 unless the answer gives a segment.
    """
    probability = result.probability
    inside = (probability.array >= np.float32(threshold)).view(np.uint8)  # not astype, which copies a large volume
    if result.answer not in WITH_SEGMENT:
        inside = np.zeros_like(inside)
    return Crop(inside, probability.start, probability.shape)
