"""Show, opacity, lowest value and colors of the pseudo-image above the slice views."""

from __future__ import annotations

import slicer

from .overlay import Overlay, setColors, setLowest


class OverlayControls:
    """Keeps the slice views as the parameters say; the widgets themselves are bound to the parameters.

    Args:
        ui: Widgets by name.
    """

    def __init__(self, ui) -> None:
        self._ui = ui
        self._overlay = Overlay()
        self._shown: tuple = ()

    def update(self, parameters) -> None:
        """Follow the parameters; None takes the overlay away."""
        node = parameters.pseudoImage if parameters is not None else None
        for slider in (self._ui.overlayOpacitySlider, self._ui.overlayLowestSlider, self._ui.overlayColorsBox):
            slider.enabled = parameters is not None and parameters.showOverlay
        if node is None or not parameters.showOverlay:
            self.hide()
            return
        wanted = (node.GetID(), parameters.overlayOpacity, parameters.overlayLowest, parameters.overlayColors)
        if wanted == self._shown and self._overlay.isShown:
            return
        self._shown = wanted
        if node.GetDisplayNode() is not None:
            setLowest(node, parameters.overlayLowest)
            setColors(node, parameters.overlayColors)
        views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
        self._overlay.show(node, views, parameters.overlayOpacity)

    def hide(self) -> None:
        """Give the views back."""
        self._overlay.hide()
        self._shown = ()

    def forget(self) -> None:
        """The scene is closing: its views are not touched any more."""
        self._overlay.forget()
        self._shown = ()
