"""What slicer-core lacks of the application's colors: the maps that are loaded from files, and the module's logic."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import slicer

# matplotlib's Viridis and Cividis (public domain) at 0, 1/8, ... 1.
_MAPS = {
    "FileViridis.txt": (
        (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129), (92, 200, 99),
        (170, 220, 50), (253, 231, 37),
    ),
    "FileCividis.txt": (
        (0, 34, 78), (26, 56, 111), (64, 77, 108), (94, 98, 110), (124, 123, 120), (155, 149, 119), (189, 177, 109),
        (224, 206, 90), (254, 232, 56),
    ),
}  # fmt: skip


def add_color_maps(scene) -> None:
    """Add Viridis and Cividis to a scene."""
    for tag, colors in _MAPS.items():
        node = slicer.vtkMRMLColorTableNode()
        node.SetTypeToUser()
        node.SetNumberOfColors(256)
        steps = np.linspace(0, 1, len(colors))
        for index, level in enumerate(np.linspace(0, 1, 256)):
            color = [np.interp(level, steps, channel) / 255 for channel in zip(*colors, strict=True)]
            node.SetColor(index, f"{index}", *color, 1.0)
        node.SetSingletonTag(tag)
        scene.AddNode(node)


def color_module(scene) -> SimpleNamespace:
    """What `slicer.modules.colors` is for: legends in this scene.

    The logic's class stands for the logic: an object of it would take the default colors away when it goes.
    """
    scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())
    return SimpleNamespace(logic=lambda: slicer.vtkSlicerColorLogic)
