"""The panel in its states, drawn to PNGs without a screen: idle, running, result, warning, empty, set-up, worklist.

    python -m Testing.slicer.render_panel panel/

The `.ui` file and the widget code are the module's own; ctk and qMRML widgets are stand-ins, so Slicer looks a little
different. Needs the extra `slicer-test`.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import SimpleITK
import slicer

from Testing.slicer.colors import add_color_maps
from Testing.slicer.fake_client import FakeClient
from Testing.slicer.outside import loaded_outside
from Testing.slicer.panel_fixtures import add_film, wait_until
from Testing.slicer.render_effect import draw_effect
from TextGuidedSegLib.phantom import chest_film

WIDTH_PX, HEIGHT_PX = 430, 800


def render(folder: Path) -> list[Path]:
    """Draw every state into a folder.

    Args:
        folder: Made if it is missing.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with loaded_outside() as (module, patch):
        files = [draw_effect(patch, folder / "panel_effect.png")]
        return files + [_draw(module, patch, folder / f"panel_{name}.png", play) for name, play in STATES.items()]


def _draw(module: Any, patch: pytest.MonkeyPatch, path: Path, play: Callable[[Any, FakeClient], None]) -> Path:
    from PySide6.QtWidgets import QApplication

    client = FakeClient()
    patch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    if play in (_setup, _installing):
        _forget_packages(patch)
    slicer.mrmlScene.Clear(1)  # with the panel's state, which belongs to the scene
    slicer.app.applicationLogic().GetColorLogic().AddDefaultColorNodes()
    add_color_maps(slicer.mrmlScene)
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


def _example(ui: Any, client: FakeClient) -> None:
    """One click in an empty scene."""
    ui.exampleButton.click()
    client.run()


def _probability(ui: Any, client: FakeClient) -> None:
    _result(ui, client)
    ui.overlayContentBox.currentIndex = 1
    ui.overlayColorsBox.currentText = "Cividis"
    ui.overlayLowestSlider.value = 0.35


def _region(ui: Any, client: FakeClient) -> None:
    """A run in a region, on a computer with hardly any memory left."""
    import TextGuidedSegLib.memory as memory

    ui.newRegionButton.click()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "available_host_bytes", lambda: 400_000_000)
        _result(ui, client)


def _corrected(ui: Any, client: FakeClient) -> None:
    """The result, of which one island was kept."""
    _result(ui, client)
    node = ui.segmentationSelector.currentNode()
    crosshair = slicer.mrmlScene.AddNode(slicer.vtkMRMLCrosshairNode())
    crosshair.SetCrosshairRAS(node.GetSegmentCenterRAS(node.GetSegmentation().GetNthSegmentID(0)))
    ui.keepIslandButton.click()


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


def _worklist(ui: Any, client: FakeClient) -> None:
    """A list of films in the middle of the work."""
    import qt

    folder = _begin_list()
    for section in (ui.resultButton, ui.overlayButton):
        section.collapsed = True
    ui.worklistButton.collapsed = False
    ui.phraseEdit.text = "left lower lung opacity"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qt.QFileDialog, "answer", str(folder))
        ui.worklistFolderButton.click()
    client.run()
    ui.worklistLabelsButton.click()


@functools.cache
def _scratch() -> TemporaryDirectory:
    """Gone when the program ends."""
    return TemporaryDirectory()


def _begin_list() -> Path:
    """A folder of films, with a state in which some of them are done."""
    from TextGuidedSegPanel.worklist import Case, CasePhrase, Worklist
    from TextGuidedSegPanel.worklistFile import StateFile
    from TextGuidedSegPanel.worklistSources import stateFileOf

    folder, seconds = Path(_scratch().name) / "chest films", 0.0
    folder.mkdir(exist_ok=True)
    film = SimpleITK.GetImageFromArray(chest_film(size=(160, 144)).array.astype(np.uint8))
    phrases = (CasePhrase("left lower lung opacity"), CasePhrase("right lung"))
    cases = [Case(f"film_{number:03}.png", phrases) for number in range(1, 41)]
    for case in cases:
        SimpleITK.WriteImage(film, str(folder / case.image))
    worklist = Worklist(cases, StateFile(stateFileOf(folder)), clock=lambda: seconds)
    for index, state in enumerate(("accepted", "accepted", "rejected", "failed", "accepted")):
        worklist.open(index)
        seconds += 29 + 5 * index
        if state == "failed":
            worklist.note(state, "film_004.png: the file is cut off; export or copy it again")
        else:
            worklist.decide(state)
    worklist.leave()
    return folder


def _forget_packages(patch: pytest.MonkeyPatch) -> None:
    """As in a new Slicer, which has three of the packages; installing them takes as long as one looks at it."""
    from TextGuidedSegPanel import requirements, setupPage, setupTexts
    from TextGuidedSegPanel.installPlan import InstallPlan

    patch.setattr(requirements, "_installedVersion", {"numpy": "2.4.6", "scipy": "1.17.1", "SimpleITK": "2.5.4"}.get)
    patch.setattr(setupTexts, "installFolder", lambda: Path("/opt/Slicer/lib/Python/lib/python3.12/site-packages"))
    words = "; ".join(f"print({line!r})" for line in _PIP_SAYS)
    plan = InstallPlan((("-c", f"{words}; import time; time.sleep(60)"),), ())
    patch.setattr(setupPage, "planFromIndex", lambda *_: plan)


def _device(ui: Any, _client: FakeClient) -> None:
    """Model and device, with a folder of models of one's own."""
    for section in (ui.resultButton, ui.overlayButton):
        section.collapsed = True
    ui.advancedButton.collapsed = False
    ui.modelFolderLabel.text = "/data/models"
    ui.noModelFolderButton.enabled = True


def _setup(ui: Any, _client: FakeClient) -> None:
    ui.phraseEdit.text = "left lower lung opacity"
    ui.applyButton.click()


def _installing(ui: Any, client: FakeClient) -> None:
    _setup(ui, client)
    ui.installButton.click()
    wait_until(lambda: ui.setupProgressBar.value > 0)


_PIP_SAYS = (
    "Collecting torch!=2.9.*,>=2.5",
    "  Downloading torch-2.15.0-cp312-cp312-manylinux_2_28_x86_64.whl (539.2 MB)",
    "Progress 242640000 of 539200000",
)
# In this order: the terms are accepted in the second, and from the first without packages on they are missing.
STATES = {
    "idle": _idle,
    "running": _running,
    "result": _result,
    "corrected": _corrected,
    "warning": _warning,
    "empty": _empty,
    "example": _example,
    "probability": _probability,
    "region": _region,
    "error": _error,
    "several": _several,
    "worklist": _worklist,
    "device": _device,
    "setup": _setup,
    "installing": _installing,
}


def main() -> None:
    """Draw into the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    render(parser.parse_args().folder)


if __name__ == "__main__":
    main()
