"""One request from the scene to the inference process and back: what it was asked, what came, what went wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from TextGuidedSegLib import errors
from TextGuidedSegLib.geometry import AxisCodes
from TextGuidedSegLib.image import Image

from .inferenceRecords import Failure, PhraseResult, Progress
from .regionOfInterest import regionOf
from .results import PhraseRecord, Results, VolumeSnapshot
from .scene import imageFromVolume

DROPPED = "Dropped"
"""Kind of failure: the result came, but what it belongs to is gone."""
OF_ONE_PHRASE = frozenset({errors.RegionNeededError.__name__})
"""Kinds of failures that concern a phrase and not the run."""


def _ignore(_news: Any) -> None:
    """Whoever does not ask is not told."""


@dataclass(frozen=True)
class RunCallbacks:
    """Whom to tell about a run, in Slicer's main thread.

    Attributes:
        onProgress: Called with `Progress`.
        onResult: Called with a `PhraseRecord` when a phrase is answered and its result is in the scene.
        onError: Called with a `Failure`, for a cancelled run too (kind "Cancelled").
        onFinished: Called once with all records, whatever became of the run.
    """

    onProgress: Callable[[Progress], None] = _ignore
    onResult: Callable[[PhraseRecord], None] = _ignore
    onError: Callable[[Failure], None] = _ignore
    onFinished: Callable[[list[PhraseRecord]], None] = _ignore


class SegmentationRun:
    """A run under way or finished.

    Args:
        volumeNode: The image.
        phrases: What was typed, one or more.
        segmentationNode: Where segments go; None for a new node when the first one comes.
        callbacks: Whom to tell.
        pseudoImageNode: Node that every phrase fills; None gives each phrase a node of its own.
        roiNode: Markups ROI that the run is limited to, as it is now; None for the whole image.

    Raises:
        ImageError: No voxel of the image lies in the region.
    """

    def __init__(
        self,
        volumeNode,
        phrases: Sequence[str],
        segmentationNode,
        callbacks: RunCallbacks,
        *,
        pseudoImageNode=None,
        roiNode=None,
    ) -> None:
        self.phrases = tuple(phrases)
        self.records: list[PhraseRecord] = []
        self.failure: Failure | None = None
        self.isRunning = True
        self.volumeNode, self._segmentationNode = volumeNode, segmentationNode
        self._pseudoImageNode = pseudoImageNode
        self._snapshot = VolumeSnapshot.of(volumeNode)
        self._region = regionOf(roiNode, volumeNode)
        self._codes: AxisCodes | None = None
        self._callbacks = callbacks

    def image(self) -> tuple[Image, str]:
        """What the model gets, and a signature that is equal for equal images.

        Raises:
            ImageError: The volume is no image that a model can read.
            GeometryError: The volume's matrix or its transform cannot be inverted.
        """
        # Not copied: whoever changes the voxels while they are sent has the result dropped.
        image = imageFromVolume(self.volumeNode, shared=True)
        self._codes = image.axis_codes
        seen = image if self._region is None else self._region.seen(image)
        # The voxels alone tell neither left from right, as a transform may have turned them, nor which part they are.
        grid = (seen.axis_codes, seen.geometry.shape, seen.geometry.origin_ras_mm.tolist())
        return seen, f"{self._snapshot} {grid}"

    def progress(self, news: Progress) -> None:
        """Pass progress on."""
        if self.isRunning:
            self._callbacks.onProgress(news)

    def take(self, result: PhraseResult, results: Results) -> None:
        """Put a result into the scene, if what it belongs to is still there."""
        if not self.isRunning:
            return
        gone = self._whatIsGone()
        if gone:
            self.fail(Failure(result.requestId, result.phraseIndex, DROPPED, gone))
            return
        if self._pseudoImageNode is not None and self._pseudoImageNode.GetScene() is None:
            self._pseudoImageNode = None
        if self._region is not None:
            result = self._region.limited(result, self._codes)
        try:
            record = results.place(
                result, self.volumeNode, self._segmentationNode, pseudoImageNode=self._pseudoImageNode
            )
        except errors.TextGuidedSegError as error:
            self.fail(Failure(result.requestId, result.phraseIndex, type(error).__name__, str(error)))
            return
        self._segmentationNode = record.segmentationNode or self._segmentationNode
        self.records.append(record)
        self._callbacks.onResult(record)

    def fail(self, failure: Failure) -> None:
        """Note what went wrong; the first failure is the run's, but one that concerns a phrase only gives way."""
        if self.isRunning:
            if self.failure is None or (self.failure.kind in OF_ONE_PHRASE and failure.kind not in OF_ONE_PHRASE):
                self.failure = failure
            self._callbacks.onError(failure)

    def finish(self) -> None:
        """End the run; nothing about it follows."""
        if self.isRunning:
            self.isRunning = False
            self._callbacks.onFinished(self.records)

    def abandon(self) -> None:
        """End the run without putting anything more into the scene, as when the scene closes."""
        self.fail(Failure(0, None, DROPPED, _("The scene was closed while a phrase ran: the result was dropped.")))
        self.finish()

    def raiseFailure(self) -> None:
        """Raise what went wrong, as an error of the library; log what concerns one phrase of several.

        Raises:
            TextGuidedSegError: The class that `failure.kind` names, or this one.
        """
        if self.failure is not None and self.records and self.failure.kind in OF_ONE_PHRASE:
            logging.warning(self.failure.sentence)
        elif self.failure is not None:
            kind = getattr(errors, self.failure.kind, errors.TextGuidedSegError)
            raise kind(self.failure.sentence)

    def _whatIsGone(self) -> str:
        if not self._snapshot.isCurrent(self.volumeNode):
            return _("The image was removed or changed while the phrase ran: the result was dropped. Run it again.")
        if self._segmentationNode is not None and self._segmentationNode.GetScene() is None:
            return _("The segmentation was removed while the phrase ran: the result was dropped. Run it again.")
        return ""
