"""The region of interest: chosen, created, and said in voxels while it is moved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from TextGuidedSegLib.errors import PhraseError, TextGuidedSegError
from TextGuidedSegLib.fit import largest_region_mm
from TextGuidedSegLib.phrase import parse
from TextGuidedSegLib.weights import ModelCard

from .regionOfInterest import RunRegion, newRegion, regionOf


class RegionControls(VTKObservationMixin):
    """The widgets of the region of interest; the selector itself is bound to the parameters.

    Args:
        ui: Widgets by name.
        onChanged: Called when the region was moved.
        largestMm: Asked for the longest side that a new region may have; None for any.
    """

    def __init__(self, ui, onChanged: Callable[[], None], largestMm: Callable[[], float | None]) -> None:
        super().__init__()
        self._ui, self._onChanged, self._largestMm = ui, onChanged, largestMm
        self._parameters, self._watched = None, None
        self.problem = ""
        self.region: RunRegion | None = None
        ui.newRegionButton.connect("clicked()", self._onNew)

    def update(self, parameters) -> None:
        """Follow the parameters; None for none."""
        self._parameters = parameters
        volumeNode = parameters.inputVolume if parameters is not None else None
        roiNode = parameters.region if parameters is not None else None
        self._watch(roiNode)
        self._ui.newRegionButton.enabled = volumeNode is not None and volumeNode.GetImageData() is not None
        self.problem, self.region = "", None
        if volumeNode is not None and roiNode is not None:
            try:
                self.region = regionOf(roiNode, volumeNode)
            except TextGuidedSegError as error:
                self.problem = str(error)[:1].upper() + str(error)[1:] + "."
        self._ui.regionLabel.text = self._sentence()
        self._ui.regionLabel.visible = bool(self._ui.regionLabel.text)

    def _sentence(self) -> str:
        if self.region is None:
            return ""
        size = " × ".join(str(high - low) for low, high in self.region.bounds)
        whole = " × ".join(map(str, self.region.geometry.shape))
        return _("Segments stay within {size} of {whole} voxels.").format(size=size, whole=whole)

    def _watch(self, roiNode) -> None:
        if roiNode is self._watched:
            return
        self.removeObservers()
        self._watched = roiNode
        if roiNode is not None:
            moved = (vtk.vtkCommand.ModifiedEvent, roiNode.PointModifiedEvent, roiNode.TransformModifiedEvent)
            for event in moved:
                self.addObserver(roiNode, event, self._onMoved)

    def _onMoved(self, caller, event) -> None:
        self._onChanged()

    def _onNew(self) -> None:
        if self._parameters is not None and self._parameters.inputVolume is not None:
            self._parameters.region = newRegion(self._parameters.inputVolume, self._largestMm())


def largestSide(card: ModelCard, phrases: Iterable[str]) -> float | None:
    """The longest side, in mm, of a region in which a model finds what was typed; None for any."""
    understood = []
    for phrase in phrases:
        # What cannot be read yet names nothing: too long, or the package that reads it comes before the first run.
        with contextlib.suppress(PhraseError, ImportError):
            understood.append(parse(phrase))
    return largest_region_mm(card, understood)
