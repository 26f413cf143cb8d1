"""Which map lies above the slice views, its opacity, lowest value and colors, and its legend."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from .legend import hideLegend, legendAsRichText, showLegend
from .overlay import PROBABILITY, TEXT_MAP, Overlay, removeLeftLayers, setColors, setLowest
from .results import Results

_CONTENTS = (TEXT_MAP, PROBABILITY)
# Where the parameters keep the node of each.
_NODES = {TEXT_MAP: "pseudoImage", PROBABILITY: "probabilityMap"}


class OverlayControls:
    """Keeps the slice views as the parameters say; most of the widgets themselves are bound to the parameters.

    Args:
        ui: Widgets by name.
        results: Fills the maps.
    """

    def __init__(self, ui, results: Results) -> None:
        self._ui, self._results = ui, results
        self._overlay = Overlay()
        self._parameters = None
        self._shown: tuple = ()
        ui.overlayContentBox.addItems([_("Text map: where the words point"), _("Probability: what the model thinks")])
        ui.overlayContentBox.connect("currentIndexChanged(int)", self._onContentChanged)
        ui.legendLabel.visible = False

    def update(self, parameters) -> None:
        """Follow the parameters; None takes the overlay away."""
        self._parameters = parameters
        isOn = parameters is not None and parameters.showOverlay
        self._enable(isOn)
        if parameters is not None:
            self._ui.overlayContentBox.currentIndex = _CONTENTS.index(parameters.overlayContent)
        node = self._node(parameters) if isOn else None
        if node is None:
            self.hide()
            if isOn:
                self._say(_("Nothing to show yet: run a phrase."))
            return
        wanted = (
            node.GetID(), node.GetName(), parameters.overlayOpacity, parameters.overlayLowest, parameters.overlayColors,
            parameters.showLegend,
        )  # fmt: skip
        views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
        if wanted != self._shown or not self._overlay.covers(node, views):
            self._shown = wanted
            self._show(node, views, parameters)

    def hide(self) -> None:
        """Give the views back."""
        self._overlay.hide()
        removeLeftLayers(slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"))
        hideLegend(slicer.mrmlScene)
        self._say("")
        self._shown = ()

    def forget(self) -> None:
        """The scene is closing: its views are not touched any more."""
        self._overlay.forget()
        self._say("")
        self._shown = ()

    def _node(self, parameters):
        """The node of the chosen map, filled with that of the phrase looked at; None if there is none."""
        name = _NODES[parameters.overlayContent]
        before = getattr(parameters, name)
        node = self._results.showMap(parameters.overlayContent, before) or before
        if node is not before:
            setattr(parameters, name, node)
        return node

    def _show(self, node, views, parameters) -> None:
        if node.GetDisplayNode() is None:
            node.CreateDefaultDisplayNodes()
        setLowest(node, parameters.overlayLowest)
        setColors(node, parameters.overlayColors)
        self._overlay.show(node, views, parameters.overlayOpacity)
        self._say(legendAsRichText(node, parameters.overlayLowest))
        if parameters.showLegend:
            showLegend(node)
        else:
            hideLegend(slicer.mrmlScene)

    def _say(self, text: str) -> None:
        self._ui.legendLabel.text = text
        self._ui.legendLabel.visible = bool(text)

    def _enable(self, isOn: bool) -> None:
        for widget in (
            self._ui.overlayContentBox, self._ui.overlayOpacitySlider, self._ui.overlayLowestSlider,
            self._ui.overlayColorsBox, self._ui.showLegendCheckBox,
        ):  # fmt: skip
            widget.enabled = isOn

    def _onContentChanged(self, index: int) -> None:
        if self._parameters is not None and self._parameters.overlayContent != _CONTENTS[index]:
            self._parameters.overlayContent = _CONTENTS[index]
