"""The module outside of tests: for commands that draw its panel or measure it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import slicer

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from Testing.slicer.colors import color_module
from Testing.slicer.panel_fixtures import MODULE_FOLDER
from Testing.slicer.standins import install


@contextmanager
def loaded_outside() -> Iterator[tuple[Any, pytest.MonkeyPatch]]:
    """The module `TextGuidedSeg` in a scene of its own, and what undoes every change at the end."""
    scene, logic = slicer.vtkMRMLScene(), slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    logic.GetColorLogic().SetMRMLScene(scene)
    logic.GetColorLogic().AddDefaultColorNodes()
    segmentations = slicer.vtkSlicerSegmentationsModuleLogic()  # without it copies of segments lose their voxels
    segmentations.SetMRMLScene(scene)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slicer, "mrmlScene", scene, raising=False)
        patch.setattr(slicer, "modules", SimpleNamespace(colors=color_module(scene)), raising=False)
        install.install(patch, logic)
        with install.loaded_module(patch, str(MODULE_FOLDER), "TextGuidedSeg") as module:
            yield module, patch
