"""What the panel remembers in the scene. What belongs to the machine, such as the device, is in Slicer's settings."""

from __future__ import annotations

from typing import Annotated

import slicer
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

from .overlay import COLOR_MAPS, LOWEST, ROLES, TEXT_MAP

_NODES = ("inputVolume", "segmentation", "region", "pseudoImage", "probabilityMap")


@parameterNodeWrapper
class Parameters:
    """State of the panel.

    Attributes:
        inputVolume: The image; color images are a kind of scalar volume in MRML.
        segmentation: Where segments go; None for a new one.
        region: What runs are limited to; None for the whole image.
        pseudoImage: The pseudo-image shown last.
        probabilityMap: The probability shown last, if it was ever asked for.
        segmentId: The segment that the threshold acts on.
        phrase: The line.
        phrases: Several phrases, one a line.
        severalPhrases: Whether the lines are used instead of the line.
        history: Phrases that ran in this scene, the newest first.
        threshold: Probability from which a voxel belongs to the segment.
        showOverlay: Whether a map is shown.
        overlayContent: Which one: the pseudo-image ("text map") or the probability.
        overlayOpacity: Its opacity.
        overlayLowest: Values below are transparent.
        overlayColors: Its color map.
        showLegend: Whether the slice views show the color legend.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    region: vtkMRMLMarkupsROINode
    pseudoImage: vtkMRMLScalarVolumeNode
    probabilityMap: vtkMRMLScalarVolumeNode
    segmentId: str = ""
    phrase: str = ""
    phrases: str = ""
    severalPhrases: bool = False
    history: list[str]
    threshold: Annotated[float, WithinRange(0.01, 0.99)] = 0.5
    showOverlay: bool = True
    overlayContent: Annotated[str, Choice(list(ROLES))] = TEXT_MAP
    overlayOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    overlayLowest: Annotated[float, WithinRange(0.0, 1.0)] = LOWEST
    overlayColors: Annotated[str, Choice(list(COLOR_MAPS))] = next(iter(COLOR_MAPS))
    showLegend: bool = True


def parametersOf(parameterNode) -> Parameters:
    """The parameters in a node: always the same object, kept for as long as Slicer runs.

    A bound object observes its node and never stops. Dropped, it would be cleared by Python's garbage collection while
    VTK still calls it, which crashes Slicer; so not even a reload of the module may drop it.
    """
    kept = vars(slicer).setdefault("_TextGuidedSegParameters", [])
    for one in kept:
        if type(one) is Parameters and one.parameterNode is parameterNode:
            _refresh(one)
            return one
    kept.append(Parameters(parameterNode))
    return kept[-1]


def _refresh(parameters: Parameters) -> None:
    """Have nodes looked up again that came into the scene behind the parameters that name them.

    Slicer remembers the value of a parameter until its node is modified. While a scene is loaded that is too early, and
    nothing tells when the nodes are there.
    """
    node = parameters.parameterNode
    if any(getattr(parameters, name) is not node.GetNodeReference(name) for name in _NODES):
        node.Modified()


def chosenSegment(parameters: Parameters | None):
    """The `vtkSegment` that threshold and corrections act on; None if there is none."""
    node = parameters.segmentation if parameters is not None else None
    return node.GetSegmentation().GetSegment(parameters.segmentId) if node is not None else None
