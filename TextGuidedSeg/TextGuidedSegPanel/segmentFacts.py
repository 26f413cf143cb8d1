"""What is worth knowing of one segment: how large it is, how sure the model was, and from where it was cut."""

from __future__ import annotations

import math

import numpy as np
import slicer
from slicer.i18n import tr as _

from .provenance import Provenance, readProvenance
from .scene import arrayOf, isPicture


class SegmentFacts:
    """Tells of one segment at a time; voxels that did not change are not counted again."""

    def __init__(self) -> None:
        self._counted: tuple = ()
        self._voxels = 0

    def of(self, segmentationNode, segmentId: str) -> str:
        """Size of a segment as it is now and where it came from, in one line; empty for a segment that is not there.

        The size of a film's segment is that on the detector, where everything is somewhat larger than in the body. Of a
        picture nobody knows the size of a pixel, so it is counted.
        """
        segmentation = segmentationNode.GetSegmentation() if segmentationNode is not None else None
        segment = segmentation.GetSegment(segmentId) if segmentation is not None else None
        labels = segment.GetRepresentation(_labelmapName()) if segment is not None else None
        if labels is None:
            return ""
        facts = [_sizeSentence(self._count(labels, segment), labels, segmentationNode)]
        provenance = readProvenance(segment)
        if provenance is not None:
            facts += _originSentences(provenance)
        return " · ".join(facts)

    def _count(self, labels, segment) -> int:
        value, scalars = segment.GetLabelValue(), labels.GetPointData().GetScalars()
        # Such a time is never given twice, so that the voxels need not be kept to tell them from others.
        wanted = (labels.GetMTime(), scalars.GetMTime() if scalars is not None else 0, value)
        if wanted != self._counted:
            self._counted = wanted
            self._voxels = 0 if labels.IsEmpty() else int(np.count_nonzero(arrayOf(labels) == value))
        return self._voxels


def _labelmapName() -> str:
    return slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


def _sizeSentence(voxels: int, labels, segmentationNode) -> str:
    volumeNode = segmentationNode.GetNodeReference(segmentationNode.GetReferenceImageGeometryReferenceRole())
    shape = volumeNode.GetImageData().GetDimensions() if volumeNode is not None and volumeNode.GetImageData() else ()
    spacing = labels.GetSpacing()
    if 1 not in shape:
        return _("{volume} ml").format(volume=_short(voxels * math.prod(spacing) / 1000))
    if isPicture(volumeNode):
        share = voxels / math.prod(shape)
        return _("{count} pixels, {share} of the picture").format(count=voxels, share=f"{100 * share:.1f} %")
    area = voxels * math.prod(spacing) / volumeNode.GetSpacing()[shape.index(1)]
    return _("{area} cm² on the film").format(area=_short(area / 100))


def _originSentences(provenance: Provenance) -> list[str]:
    sentences = []
    if math.isfinite(provenance.presence):
        sentences.append(_("presence {presence:.2f}").format(presence=provenance.presence))
    if math.isfinite(provenance.threshold):
        sentences.append(_("threshold {threshold:.2f}").format(threshold=provenance.threshold))
    return sentences


def _short(value: float) -> str:
    """Three digits: 0.0123, 1.23, 12.3, 123, 1234."""
    digits = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:.{min(max(digits, 0), 4)}f}"
