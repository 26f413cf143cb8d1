"""The panel in its states, drawn to PNGs without a screen: idle, running, result, warning, empty result, several.

    python -m Testing.slicer.render_panel panel/

The `.ui` file and the widget code are the module's own; ctk and qMRML widgets are stand-ins, so Slicer looks a little
different. Needs the extra `slicer-test`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import slicer

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from Testing.slicer.fake_client import FakeClient
from Testing.slicer.panel_fixtures import MODULE_FOLDER, add_film
from Testing.slicer.standins import install

WIDTH_PX, HEIGHT_PX = 430, 800


def render(folder: Path) -> list[Path]:
    """Draw every state into a folder.

    Args:
        folder: Made if it is missing.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scene, logic = slicer.vtkMRMLScene(), slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    logic.GetColorLogic().SetMRMLScene(scene)
    logic.GetColorLogic().AddDefaultColorNodes()
    patch = pytest.MonkeyPatch()
    patch.setattr(slicer, "mrmlScene", scene, raising=False)
    patch.setattr(slicer, "modules", SimpleNamespace(), raising=False)
    install.install(patch, logic)
    with install.loaded_module(patch, str(MODULE_FOLDER), "TextGuidedSeg") as module:
        files = [_draw(module, patch, folder / f"panel_{name}.png", play) for name, play in STATES.items()]
    patch.undo()
    return files


def _draw(module: Any, patch: pytest.MonkeyPatch, path: Path, play: Callable[[Any, FakeClient], None]) -> Path:
    from PySide6.QtWidgets import QApplication

    client = FakeClient()
    patch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    slicer.mrmlScene.Clear(1)  # with the panel's state, which belongs to the scene
    add_film(slicer.mrmlScene, name="chest film", size=(320, 288))
    widget = module.TextGuidedSegWidget()
    play(widget.ui, client)
    native = widget.parent._native
    native.resize(WIDTH_PX, max(HEIGHT_PX, native.layout().heightForWidth(WIDTH_PX)))
    QApplication.processEvents()
    native.grab().save(str(path))
    widget.cleanup()
    native.close()
    return path


def _idle(ui: Any, _client: FakeClient) -> None:
    ui.phraseEdit.text = ""


def _running(ui: Any, client: FakeClient) -> None:
    ui.acceptTermsButton.click()
    ui.phraseEdit.text = "LLL opacity, rigth base"
    ui.applyButton.click()
    client.poll()
    client.poll()


def _result(ui: Any, client: FakeClient) -> None:
    ui.phraseEdit.text = "left lower lung opacity"
    ui.applyButton.click()
    client.run()


def _warning(ui: Any, client: FakeClient) -> None:
    client.presence = 0.5
    client.warnings = (
        "The phrase says left, but 72% of the result lies on the other half of the film: "
        "check the orientation of the film.",
    )
    _result(ui, client)


def _empty(ui: Any, client: FakeClient) -> None:
    client.presence = 0.2
    _result(ui, client)


def _error(ui: Any, client: FakeClient) -> None:
    ui.phraseEdit.text = "left lower lung opacity"
    ui.applyButton.click()
    client.fail("ProcessError", "the inference process ended unexpectedly; run the phrase again")
    ui.detailsButton.click()


def _several(ui: Any, client: FakeClient) -> None:
    ui.severalButton.click()
    ui.phrasesEdit.plainText = "left lower lung opacity\nright lung\nno effusion"
    ui.applyButton.click()
    client.run()


# In this order: the terms are accepted in the second.
STATES = {
    "idle": _idle,
    "running": _running,
    "result": _result,
    "warning": _warning,
    "empty": _empty,
    "error": _error,
    "several": _several,
}


def main() -> None:
    """Draw into the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    render(parser.parse_args().folder)


if __name__ == "__main__":
    main()
