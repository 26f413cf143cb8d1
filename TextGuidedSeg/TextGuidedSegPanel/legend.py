"""The color legend of the overlay: in the slice views by Slicer's own color legend, in the panel as rich text.

Slicer draws the legend of a volume only where that volume is background, foreground or label map of a view, not where
it is an extra layer. So a model without any points carries the legend: it has the map's colors and nothing to draw.
"""

from __future__ import annotations

import textwrap
from html import escape

import slicer

from .overlay import ROLE_ATTRIBUTE

_ROLE = "Legend"
_TITLE_COLUMNS, _TITLE_LINES = 13, 4
_LABELS = 6  # 0, 0.2 ... 1
# Share of the view, which the letters follow, and the place in what is left of it: low on the right, below the lungs.
_SIZE, _POSITION = (0.05, 0.2), (0.98, 0.03)
_SWATCHES = 20


def showLegend(mapNode):
    """Show the colors of a map in every slice view; one shown earlier is used again.

    Args:
        mapNode: From `makeSoftMap`; its name is the legend's title.

    Returns:
        The `vtkMRMLColorLegendDisplayNode`; None for a map without colors. Neither it nor its model is saved with the
        scene.
    """
    scene, colorNode = mapNode.GetScene(), mapNode.GetDisplayNode().GetColorNode()
    if colorNode is None:
        hideLegend(scene)
        return None
    modelNode = _carrier(scene) or _newCarrier(scene)
    modelNode.GetDisplayNode().SetAndObserveColorNodeID(colorNode.GetID())
    legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(modelNode)
    wasModified = legend.StartModify()
    legend.SetSaveWithScene(False)
    legend.SetTitleText("\n".join(_shortLines(mapNode.GetName())))
    legend.SetNumberOfLabels(_LABELS)
    legend.SetLabelFormat("%.1f")
    legend.SetSize(*_SIZE)
    legend.SetPosition(*_POSITION)
    legend.SetVisibility3D(False)
    legend.EndModify(wasModified)
    return legend


def hideLegend(scene) -> None:
    """Take the legend out of the views and the scene; does nothing if there is none."""
    modelNode = _carrier(scene)
    if modelNode is None:
        return
    count = modelNode.GetNumberOfDisplayNodes()
    # The legend, which came last, goes first: without the colors of the other one Slicer would call it an error.
    for node in [modelNode.GetNthDisplayNode(index) for index in reversed(range(count))]:
        scene.RemoveNode(node)
    scene.RemoveNode(modelNode)


def legendAsRichText(mapNode, lowest: float) -> str:
    """The colors of a map from its lowest visible value to 1, as a table for a label.

    Args:
        mapNode: From `makeSoftMap`.
        lowest: Values below are transparent, in [0, 1].
    """
    colorNode = mapNode.GetDisplayNode().GetColorNode()
    if colorNode is None:
        return ""
    cells = []
    for step in range(_SWATCHES):
        value = (step + 0.5) / _SWATCHES
        shown = f' bgcolor="{_hexOf(colorNode, value)}"' if value >= lowest else ""
        cells.append(f"<td{shown}>&nbsp;&nbsp;</td>")
    return (
        f'<table cellspacing="0" cellpadding="0"><tr><td>0&nbsp;</td>{"".join(cells)}<td>&nbsp;1</td></tr></table>'
        f"{escape(mapNode.GetName())}"
    )


def _carrier(scene):
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLModelNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLModelNode")
        if node.GetAttribute(ROLE_ATTRIBUTE) == _ROLE:
            return node
    return None


def _newCarrier(scene):
    modelNode = scene.CreateNodeByClass("vtkMRMLModelNode")
    modelNode.UnRegister(None)
    modelNode.SetName("TextGuidedSeg legend")
    modelNode.SetAttribute(ROLE_ATTRIBUTE, _ROLE)
    # Before it enters the scene, so that no list of models ever shows it.
    modelNode.SetHideFromEditors(True)
    modelNode.SetSaveWithScene(False)
    scene.AddNode(modelNode)
    modelNode.CreateDefaultDisplayNodes()
    displayNode = modelNode.GetDisplayNode()
    displayNode.SetSaveWithScene(False)
    displayNode.SetScalarRangeFlag(displayNode.UseManualScalarRange)
    displayNode.SetScalarRange(0.0, 1.0)
    # In slice views only: what is not visible in two dimensions has no legend there.
    displayNode.SetVisibility2D(True)
    displayNode.SetVisibility3D(False)
    return modelNode


def _shortLines(title: str) -> list[str]:
    lines = textwrap.wrap(title, _TITLE_COLUMNS)
    return lines if len(lines) <= _TITLE_LINES else [*lines[: _TITLE_LINES - 1], "…"]


def _hexOf(colorNode, value: float) -> str:
    rgba = [0.0, 0.0, 0.0, 1.0]
    count = colorNode.GetNumberOfColors()
    colorNode.GetColor(min(count - 1, int(value * count)), rgba)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgba[:3])
