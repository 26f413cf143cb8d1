"""`slicer.app.coreIOManager()` for volumes: Slicer's own reader where slicer-core has one, SimpleITK for pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from Testing.slicer.mrml import add_volume

# What slicer-core's reader lacks; Slicer gives pictures the identity grid of their files, which is LPS.
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SINGLE_FILE = 4


class IOManager:
    """Loads volume files into `slicer.mrmlScene`.

    Attributes:
        shown: Volumes that were loaded to be shown, in their order.
    """

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def loadNodes(self, kind: str, properties: dict[str, Any], loaded: Any, messages: Any) -> bool:  # noqa: N802
        """As the reader of volumes in Slicer: numbered files are stacked unless a single one is asked for."""
        assert kind == "VolumeFile"
        assert set(properties) <= {"fileName", "name", "singleFile", "show"}
        assert properties.get("singleFile"), "films of one folder would be stacked"
        path = Path(properties["fileName"])
        node = _picture(path) if path.suffix.lower() in _PICTURES else _volume(path)
        if node is None:
            messages.AddMessage(vtk.vtkCommand.ErrorEvent, f"Could not read {path}")
            return False
        if "name" in properties:
            node.SetName(properties["name"])
        if properties.get("show", True):
            self.shown.append(node)
        loaded.AddItem(node)
        return True


def _volume(path: Path) -> Any:
    logic = slicer.vtkSlicerVolumesLogic()
    logic.SetMRMLScene(slicer.mrmlScene)
    return logic.AddArchetypeVolume(str(path), path.name.partition(".")[0], _SINGLE_FILE)


def _picture(path: Path) -> Any:
    import SimpleITK

    try:
        values = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    except RuntimeError:
        return None
    array = values[None].transpose(2, 1, 0, *range(3, values.ndim + 1))
    node = add_volume(slicer.mrmlScene, array, _LPS, name=path.stem)
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(path))
    node.SetAndObserveStorageNodeID(storage.GetID())
    return node
