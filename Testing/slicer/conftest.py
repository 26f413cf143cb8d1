"""A real MRML scene without a window: the package slicer-core's, or Slicer's own when the tests run inside Slicer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from Testing.slicer.process_bench import Bench
    from TextGuidedSegLib.image import Image

# As in Slicer, the module's folder is on the path, so that its panel package is found by its own name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "TextGuidedSeg"))

# Without slicer-core these files cannot even be imported, and marks are looked at only after the import.
_NEED_SLICER = [
    "test_scene.py",
    "test_segments.py",
    "test_segment_records.py",
    "test_provenance.py",
    "test_overlay.py",
    "test_slice_view.py",
    "test_standins.py",
    "test_module.py",
    "test_logic.py",
    "test_panel.py",
    "test_terminology.py",
]
collect_ignore = [] if find_spec("slicer") else _NEED_SLICER


@pytest.fixture(scope="session")
def mrml_application(tmp_path_factory: pytest.TempPathFactory):
    """Scene, application logic and module logics, wired as the application does it; inside Slicer its own."""
    import slicer

    if not hasattr(slicer, "slicer_core"):
        return SimpleNamespace(scene=slicer.mrmlScene, logic=slicer.app.applicationLogic())
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
    # Scene bundles (.mrb) are unpacked below the cache's folder.
    cache, data = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
    cache.SetRemoteCacheDirectory(str(tmp_path_factory.mktemp("cache")))
    cache.SetMRMLScene(scene)
    data.SetCacheManager(cache)
    scene.SetCacheManager(cache)
    scene.SetDataIOManager(data)
    return SimpleNamespace(scene=scene, logic=logic, logics=logics, cache=cache, data=data)


@pytest.fixture
def scene(mrml_application, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """An empty scene, also as `slicer.mrmlScene`, with `slicer.modules.<name>.logic()` of the loadable modules."""
    import slicer

    if hasattr(slicer, "slicer_core"):
        modules = {
            name: SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in mrml_application.logics.items()
        }
        monkeypatch.setattr(slicer, "mrmlScene", mrml_application.scene, raising=False)
        monkeypatch.setattr(slicer, "modules", SimpleNamespace(**modules), raising=False)
    mrml_application.scene.Clear(0)
    yield mrml_application.scene
    mrml_application.scene.Clear(0)


@pytest.fixture
def slicer_application(mrml_application, scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`qt`, `ctk`, `slicer.app` and the module base classes; fails for what a connected function raised."""
    import slicer

    if not hasattr(slicer, "slicer_core"):
        yield
        return
    from Testing.slicer.standins import install, signals

    install.install(monkeypatch, mrml_application.logic)
    yield
    assert signals.failures == []


@pytest.fixture
def module(slicer_application, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """The module `TextGuidedSeg`, loaded as Slicer loads it."""
    from Testing.slicer.panel_fixtures import MODULE_FOLDER
    from Testing.slicer.standins.install import loaded_module

    with loaded_module(monkeypatch, str(MODULE_FOLDER), "TextGuidedSeg") as loaded:
        yield loaded


@pytest.fixture
def film(scene):
    """A synthetic chest film as a volume node."""
    from Testing.slicer.panel_fixtures import add_film

    return add_film(scene)


@pytest.fixture
def client(module):
    """An inference client that does one step at each poll, without a process."""
    from Testing.slicer.fake_client import FakeClient

    return FakeClient()


@pytest.fixture
def logic(module, client):
    """The module's logic on that client."""
    return module.TextGuidedSegLogic(client)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Clients of inference processes; nothing may be left of any process when a test is over."""
    from Testing.slicer.process_bench import FOLDER, Bench, eventually

    folder = tmp_path / FOLDER
    folder.mkdir()
    made = Bench(folder)
    yield made
    for client in made.clients:
        client.stop()
    assert eventually(made.is_clean, 3.0), (made.processes(), made.left_folders())


@pytest.fixture
def chest() -> Image:
    """A small synthetic film, as the library has it."""
    from TextGuidedSegLib.image import Image
    from TextGuidedSegLib.phantom import chest_film

    return Image.from_array(chest_film(2, size=(100, 84)).array)
