"""What the tests of the worklist's panel share: a folder of films, answers to dialogs, keys, and what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
import slicer

from TextGuidedSegLib.phantom import chest_film


def write_films(folder: Path) -> Path:
    """A folder with three films and one that is cut off."""
    folder.mkdir()
    for number in (1, 2, 10):
        array = chest_film(number, size=(96, 80)).array.astype(np.uint8)
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(folder / f"film_{number}.png"))
    (folder / "film_3.png").write_bytes((folder / "film_1.png").read_bytes()[:40])
    return folder


def open_folder(widget: Any, answer: Any, folder: Path) -> None:
    """Choose a folder in the dialog."""
    answer(folder)
    widget.ui.worklistFolderButton.click()


def session(widget: Any) -> Any:
    """The open list; None without one."""
    return widget.panel._worklist._session


def states(widget: Any) -> list[str]:
    """State of each case."""
    return [case.state for case in session(widget).worklist.cases]


def shown(widget: Any) -> str:
    """Name of the image in the panel."""
    node = widget.ui.inputVolumeSelector.currentNode()
    return node.GetName() if node is not None else ""


def volumes() -> list[str]:
    """Names of the loaded images."""
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node.GetName() for node in nodes if not node.GetAttribute("TextGuidedSeg.Role")]


def press(widget: Any, key: str) -> None:
    """Press Alt and a letter in the panel's window; a real Slicer is told which action they stand for."""
    if not hasattr(slicer, "slicer_core"):
        widgets = [child for child in vars(widget.ui).values() if hasattr(child, "actions")]  # layouts are named, too
        actions = [one for child in widgets for one in child.actions()]
        next(one for one in actions if one.shortcut.toString() == f"Alt+{key}").trigger()
        return
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    native = widget.parent._native
    native.activateWindow()
    QTest.qWaitForWindowActive(native)
    QTest.keyClick(native, getattr(Qt.Key, f"Key_{key}"), Qt.KeyboardModifier.AltModifier)


def segment_names(widget: Any) -> list[str]:
    """Names of the segments of the open case."""
    segmentation = widget.ui.segmentationSelector.currentNode().GetSegmentation()
    return [segmentation.GetNthSegment(index).GetName() for index in range(segmentation.GetNumberOfSegments())]
