"""A real MRML scene without a window: the package slicer-core's, or Slicer's own when the tests run inside Slicer."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
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
    "test_scene_loading.py",
    "test_reload.py",
    "test_quitting.py",
    "test_provenance.py",
    "test_overlay.py",
    "test_legend.py",
    "test_region.py",
    "test_region_panel.py",
    "test_overlay_panel.py",
    "test_memory_panel.py",
    "test_samples.py",
    "test_interaction.py",
    "test_slice_view.py",
    "test_standins.py",
    "test_module.py",
    "test_logic.py",
    "test_panel.py",
    "test_terminology.py",
    "test_requirements.py",
    "test_installer.py",
    "test_install_trouble.py",
    "test_terms.py",
    "test_setup_page.py",
    "test_diagnostics.py",
    "test_worklist_export.py",
    "test_worklist_view.py",
    "test_worklist_tables.py",
    "test_worklist_masks.py",
    "test_islands.py",
    "test_corrections.py",
    "test_handover.py",
    "test_effect.py",
    "test_run_in_slicer.py",
    "test_worklist_scene.py",
    "test_typing.py",
    "test_model_folder.py",
    "test_segment_facts.py",
]
collect_ignore = [] if find_spec("slicer") else _NEED_SLICER
if find_spec("trame_slicer") is None:  # inside Slicer, which draws its slice views itself
    collect_ignore = [*collect_ignore, "test_slice_view.py"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a stand-in's insides by way of a fixture: nobody answers the file dialogs of a real Slicer.

    A Slicer in which nothing was installed yet has no torch, and so no model to run.
    """
    for item in items:
        if "answer" in getattr(item, "fixturenames", ()):
            item.add_marker("standins")
    if find_spec("torch") is None:
        left_out = [item for item in items if "tiny_model" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def mrml_application(tmp_path_factory: pytest.TempPathFactory):
    """Scene, application logic and module logics, wired as the application does it; inside Slicer its own."""
    import slicer

    if not hasattr(slicer, "slicer_core"):
        return SimpleNamespace(scene=slicer.mrmlScene, logic=slicer.app.applicationLogic())
    from Testing.slicer.mrml_application import make_application

    return make_application(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def scene(mrml_application, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """An empty scene, also as `slicer.mrmlScene`, with `slicer.modules.<name>.logic()` of the loadable modules."""
    import slicer

    if hasattr(slicer, "slicer_core"):
        from Testing.slicer.mrml_application import modules_of

        monkeypatch.setattr(slicer, "mrmlScene", mrml_application.scene, raising=False)
        monkeypatch.setattr(slicer, "modules", modules_of(mrml_application), raising=False)
    mrml_application.scene.Clear(0)
    yield mrml_application.scene
    mrml_application.scene.Clear(0)
    if hasattr(slicer, "slicer_core"):
        # Parameter nodes outlive a closed scene, and panels of earlier tests would go on observing them.
        for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
            mrml_application.scene.RemoveNode(node)


def forget_settings() -> None:
    """As on a computer where the module was never used."""
    import qt

    for key in qt.QSettings().allKeys():
        if key.startswith("TextGuidedSeg/"):
            qt.QSettings().remove(key)


@pytest.fixture
def slicer_application(mrml_application, scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`qt`, `ctk`, `slicer.app`, the module base classes; fails for what a callback raised and for mistyped signals."""
    import slicer

    if not hasattr(slicer, "slicer_core"):
        forget_settings()
        yield
        return
    from Testing.slicer.standins import install, signals

    install.install(monkeypatch, mrml_application.logic)
    yield
    assert (signals.failures, signals.mistyped) == ([], [])


@pytest.fixture
def module(slicer_application, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """The module `TextGuidedSeg`, loaded as Slicer loads it; inside Slicer the one that is loaded."""
    import slicer

    if not hasattr(slicer, "slicer_core"):
        yield importlib.import_module("TextGuidedSeg")
        return
    from Testing.slicer.panel_fixtures import MODULE_FOLDER
    from Testing.slicer.standins.install import loaded_module

    with loaded_module(monkeypatch, str(MODULE_FOLDER), "TextGuidedSeg") as loaded:
        yield loaded


@pytest.fixture
def segment_editor(module, client, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Slicer's Segment Editor with the module's effect, and what the module's panel needs to hand segments over."""
    import slicer
    from TextGuidedSegPanel import runner

    monkeypatch.setattr(runner, "sharedClient", lambda: client)
    if not hasattr(slicer, "slicer_core"):
        yield None
        return
    from Testing.slicer.standins import segment_editor

    window = segment_editor.install(monkeypatch)
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: window)
    module.instance._onStartupCompleted()
    yield window


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
def films(tmp_path: Path) -> Path:
    """A folder of films for the worklist, one of them cut off."""
    from Testing.slicer.worklist_panel import write_films

    return write_films(tmp_path / "films")


@pytest.fixture
def list_widget(module, client, scene, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """The module's widget in an empty scene, with the terms accepted and a phrase typed."""
    monkeypatch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    made = module.TextGuidedSegWidget()
    made.ui.acceptTermsButton.click()
    made.ui.phraseEdit.text = "left lung"
    yield made
    made.cleanup()


@pytest.fixture
def answer(slicer_application, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Answers the file dialogs that follow."""
    import qt

    return lambda path: monkeypatch.setattr(qt.QFileDialog, "answer", str(path))


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
