"""What the tests of corrections share: a result's origin, the chosen segment of a panel, something drawn on it."""

from __future__ import annotations

from typing import Any

import numpy as np


def found(phrase: str = "left lung") -> Any:
    """Where a segment came from."""
    from TextGuidedSegPanel.provenance import Provenance

    date = "2026-01-02T03:04:05+00:00"
    return Provenance(phrase, phrase, "found", 0.9, 0.5, "chest-xray", "0" * 64, "0.1.0", "cpu", date)


def chosen(widget: Any) -> tuple[Any, str]:
    """Node and id of the chosen segment."""
    parameters = widget.logic.getParameters()
    return parameters.segmentation, parameters.segmentId


def mask(widget: Any) -> np.ndarray:
    """The chosen segment on the film."""
    from TextGuidedSegPanel.scene import maskOfSegment

    return maskOfSegment(*chosen(widget), widget.logic.getParameters().inputVolume)


def origin(widget: Any) -> Any:
    """What the tags of the chosen segment say."""
    from TextGuidedSegPanel.provenance import readProvenance

    node, segment_id = chosen(widget)
    return readProvenance(node.GetSegmentation().GetSegment(segment_id))


def draw_second_island(widget: Any) -> None:
    """Add a block in the corner, as a person would: 12 voxels."""
    from TextGuidedSegPanel.scene import orientedMask
    from TextGuidedSegPanel.segments import replaceVoxels

    whole = mask(widget)
    assert not whole[:8, :8].any()
    whole[2:6, 2:5] = 1
    volume = widget.logic.getParameters().inputVolume
    replaceVoxels(orientedMask(whole, volume, chosen(widget)[0]), *chosen(widget))
