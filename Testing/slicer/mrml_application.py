"""A real MRML scene and the logics of Slicer's modules, wired as the application does it; of slicer-core."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import slicer


def make_application(cache_folder: Path) -> SimpleNamespace:
    """Scene, application logic and module logics.

    Args:
        cache_folder: Where scene bundles (.mrb) are unpacked.
    """
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    logic.GetColorLogic().SetMRMLScene(scene)
    logic.GetColorLogic().AddDefaultColorNodes()
    logics = {
        "segmentations": slicer.vtkSlicerSegmentationsModuleLogic(),
        "volumes": slicer.vtkSlicerVolumesLogic(),
        "terminologies": slicer.vtkSlicerTerminologiesModuleLogic(),
    }
    for module_logic in logics.values():
        module_logic.SetMRMLApplicationLogic(logic)
        module_logic.SetMRMLScene(scene)
    cache, data = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
    cache.SetRemoteCacheDirectory(str(cache_folder))
    cache.SetMRMLScene(scene)
    data.SetCacheManager(cache)
    scene.SetCacheManager(cache)
    scene.SetDataIOManager(data)
    return SimpleNamespace(scene=scene, logic=logic, logics=logics, cache=cache, data=data)


def modules_of(application: SimpleNamespace) -> SimpleNamespace:
    """`slicer.modules` with the `logic()` of the loadable modules."""
    from Testing.slicer.colors import color_module

    modules = {name: SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in application.logics.items()}
    return SimpleNamespace(**modules, colors=color_module(application.scene))
