"""A soft map above the slice views, pseudo-image or probability, without taking the user's own layers away.

Slicer 5.9 and later draw extra layers above the foreground (index 3 and up); older versions show the map as foreground
and give the foreground back afterwards. A scene file may name the volume of an extra layer, but neither its opacity nor
whose it is: show the overlay again after a scene was loaded, or take away what the file brought along.
"""

from __future__ import annotations

from dataclasses import dataclass

from .scene import putVoxels

ROLE_ATTRIBUTE = "TextGuidedSeg.Role"

TEXT_MAP, PROBABILITY = "text map", "probability"
"""What the overlay can show, as in the names of the nodes."""

ROLES = {TEXT_MAP: "PseudoImage", PROBABILITY: "Probability"}
"""Values of the attribute `ROLE_ATTRIBUTE` by what a node shows."""

LOWEST = 0.2
"""Values of a new map below this are transparent."""

FIRST_EXTRA_LAYER = 3
"""Layers 0, 1 and 2 are background, foreground and label map."""

COLOR_MAPS = {
    "Viridis": "vtkMRMLColorTableNodeFileViridis.txt",
    "Cividis": "vtkMRMLColorTableNodeFileCividis.txt",
    "Iron": "vtkMRMLColorTableNodeIron",
    "Ocean": "vtkMRMLColorTableNodeOcean",
}
"""Color maps to choose from by name; the first is the default and safe for any color vision."""

# The file-based maps exist only in the full application; Iron is built into every scene.
_FALLBACK_COLORS = "Iron"

# Above 1, so that rounding in the views' interpolation punches no holes into the brightest part.
_TOP = 1.01


def makeSoftMap(values, volumeNode, phrase: str, *, content: str = TEXT_MAP, node=None, lowest: float | None = None):
    """Create or refill the node that shows a soft map.

    Args:
        values: `(I, J, K)` in [0, 1], on the volume's grid; float32 in Fortran order is shared, not copied.
        volumeNode: The volume the map belongs to; grid, transform and study are taken from it.
        phrase: What was typed; names the node.
        content: `TEXT_MAP` or `PROBABILITY`.
        node: Node of an earlier call to use again, so that the scene does not fill up; None makes a new one.
        lowest: Values below are transparent, in [0, 1]; None keeps what a node that is used again has.

    Returns:
        `vtkMRMLScalarVolumeNode` named "<phrase> (text map)" or "<phrase> (probability)".

    Raises:
        ImageError: The map does not fit the volume.
    """
    scene = volumeNode.GetScene()
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        node.SetAttribute(ROLE_ATTRIBUTE, ROLES[content])
        lowest = LOWEST if lowest is None else lowest
    node.SetName(f"{' '.join(phrase.split())} ({content})")
    # Before the voxels: a display node that finds them computes a window from their histogram, a tenth of a second on a
    # large film.
    node.CreateDefaultDisplayNodes()
    displayNode = node.GetDisplayNode()
    displayNode.AutoWindowLevelOff()
    putVoxels(node, values, volumeNode)
    if displayNode.GetColorNodeID() not in COLOR_MAPS.values():
        setColors(node, next(iter(COLOR_MAPS)))
    displayNode.SetWindowLevelMinMax(0.0, 1.0)
    displayNode.SetInterpolate(True)
    if lowest is not None:
        setLowest(node, lowest)
    return node


def setColors(mapNode, name: str) -> None:
    """Choose one of `COLOR_MAPS`; one that this Slicer does not have falls back to Iron."""
    scene = mapNode.GetScene()
    found = [one for one in (COLOR_MAPS[name], COLOR_MAPS[_FALLBACK_COLORS]) if scene.GetNodeByID(one)]
    if found:
        mapNode.GetDisplayNode().SetAndObserveColorNodeID(found[0])


def setLowest(mapNode, lowest: float) -> None:
    """Make everything below `lowest`, in [0, 1], transparent; touches the display only."""
    displayNode = mapNode.GetDisplayNode()
    displayNode.AutoThresholdOff()
    displayNode.SetThreshold(lowest, _TOP)
    displayNode.ApplyThresholdOn()


@dataclass
class _Foreground:
    """What a slice view's foreground was before the overlay took its place (older versions of Slicer only)."""

    volumeId: str | None
    opacity: float


class Overlay:
    """Shows one soft map at a time in any slice views, and leaves these views as they were.

    The views are given as composite nodes (`vtkMRMLSliceCompositeNode`), so no window is needed:

        overlay = Overlay()
        overlay.show(mapNode, compositeNodes, opacity=0.5)
        overlay.hide()
    """

    def __init__(self) -> None:
        self._views: dict = {}  # composite node -> node id shown there, and the foreground to give back (or None)

    @property
    def isShown(self) -> bool:
        """True between `show` and `hide`."""
        return bool(self._views)

    def covers(self, mapNode, compositeNodes) -> bool:
        """Whether the map is drawn in all of these views now; a layout or a scene file may have changed them."""
        return all(self._isIn(compositeNode, mapNode.GetID()) for compositeNode in compositeNodes)

    def show(self, mapNode, compositeNodes, opacity: float = 0.5) -> None:
        """Draw the map in each view; one shown earlier by this object is replaced in its layer.

        Args:
            mapNode: From `makeSoftMap`.
            compositeNodes: Views to draw in.
            opacity: 0 (invisible) to 1, of what is not transparent by `setLowest`.
        """
        for compositeNode in compositeNodes:
            if hasattr(compositeNode, "SetNthLayerVolumeID"):
                self._showAsLayer(compositeNode, mapNode.GetID(), opacity)
            else:
                self._showAsForeground(compositeNode, mapNode.GetID(), opacity)

    def setOpacity(self, opacity: float) -> None:
        """Change the opacity, in [0, 1], in every view the overlay is shown in."""
        for compositeNode, (nodeId, foreground) in self._views.items():
            if foreground is None:
                layer = _layerOf(compositeNode, nodeId)
                if layer is not None:
                    compositeNode.SetNthLayerOpacity(layer, opacity)
            elif compositeNode.GetForegroundVolumeID() == nodeId:
                compositeNode.SetForegroundOpacity(opacity)

    def hide(self) -> None:
        """Give every view back; a layer that was changed by someone else since stays as it is now."""
        for compositeNode, (nodeId, foreground) in self._views.items():
            if foreground is None:
                _removeLayer(compositeNode, nodeId)
            elif compositeNode.GetForegroundVolumeID() == nodeId:
                compositeNode.SetForegroundVolumeID(foreground.volumeId)
                compositeNode.SetForegroundOpacity(foreground.opacity)
        self._views.clear()

    def forget(self) -> None:
        """Drop all memory of views without touching them, as when the scene closes."""
        self._views.clear()

    def _isIn(self, compositeNode, nodeId: str) -> bool:
        shownId, foreground = self._views.get(compositeNode, (None, None))
        if shownId != nodeId:
            return False
        return foreground is not None or _layerOf(compositeNode, nodeId) is not None

    def _showAsLayer(self, compositeNode, nodeId: str, opacity: float) -> None:
        earlierId, _ = self._views.get(compositeNode, (nodeId, None))
        layer = _layerOf(compositeNode, earlierId)
        if layer is None:
            layer = FIRST_EXTRA_LAYER + compositeNode.GetNumberOfAdditionalLayers()
        # The opacity first: a new layer's first opacity of 0 is stored but not drawn, and others would flash opaque.
        compositeNode.SetNthLayerOpacity(layer, opacity)
        compositeNode.SetNthLayerVolumeID(layer, nodeId)
        self._views[compositeNode] = (nodeId, None)

    def _showAsForeground(self, compositeNode, nodeId: str, opacity: float) -> None:
        earlierId, before = self._views.get(compositeNode, (None, None))
        current = compositeNode.GetForegroundVolumeID()
        if before is None or current != earlierId:
            before = _Foreground(current, compositeNode.GetForegroundOpacity())
        compositeNode.SetForegroundVolumeID(nodeId)
        compositeNode.SetForegroundOpacity(opacity)
        self._views[compositeNode] = (nodeId, before)


def removeLeftLayers(compositeNodes) -> None:
    """Take away extra layers that show a map of this module, such as those that a scene file brought along."""
    for compositeNode in compositeNodes:
        if not hasattr(compositeNode, "GetNthLayerVolumeID"):
            continue
        for nodeId in [compositeNode.GetNthLayerVolumeID(layer) for layer in _extraLayers(compositeNode)]:
            node = compositeNode.GetScene().GetNodeByID(nodeId) if nodeId else None
            if node is not None and node.GetAttribute(ROLE_ATTRIBUTE) in ROLES.values():
                _removeLayer(compositeNode, nodeId)


def _extraLayers(compositeNode) -> range:
    return range(FIRST_EXTRA_LAYER, FIRST_EXTRA_LAYER + compositeNode.GetNumberOfAdditionalLayers())


def _layerOf(compositeNode, nodeId: str) -> int | None:
    layers = [layer for layer in _extraLayers(compositeNode) if compositeNode.GetNthLayerVolumeID(layer) == nodeId]
    return layers[0] if layers else None


def _removeLayer(compositeNode, nodeId: str) -> None:
    layer = _layerOf(compositeNode, nodeId)
    if layer is None:
        return
    above = [compositeNode.GetNthLayerOpacity(other) for other in _extraLayers(compositeNode) if other > layer]
    compositeNode.SetNthLayerVolumeID(layer, None)
    # Slicer moves the volumes above one layer down but leaves the opacities where they were.
    for position, opacity in enumerate(above):
        compositeNode.SetNthLayerOpacity(layer + position, opacity)
