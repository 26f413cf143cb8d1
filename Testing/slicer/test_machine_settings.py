"""Model and device belong to the computer: they are there again in the next session, whatever scene is open."""

from __future__ import annotations

import pytest
import slicer

pytestmark = pytest.mark.slicer


@pytest.fixture
def panel(module, client, monkeypatch: pytest.MonkeyPatch):
    """Makes panels, as each session does."""
    monkeypatch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    made = []

    def new():
        made.append(module.TextGuidedSegWidget())
        return made[-1].ui

    yield new
    for one in made:
        one.cleanup()


def test_the_device_is_remembered(panel, film, client) -> None:
    panel().deviceBox.currentIndex = 1
    slicer.mrmlScene.Clear(0)
    ui = panel()
    assert ui.deviceBox.currentText == "CPU"


def test_the_chosen_device_is_the_one_that_is_asked_for(panel, film, client) -> None:
    ui = panel()
    ui.acceptTermsButton.click()
    ui.deviceBox.currentIndex = 1
    ui.phraseEdit.text = "left lung"
    ui.applyButton.click()
    assert client.asked[0]["device"] == "cpu"


def test_the_model_is_remembered_and_one_that_is_gone_falls_back_to_the_first(module) -> None:
    import qt
    from TextGuidedSegPanel.machineSettings import MODEL, chosenModel
    from TextGuidedSegPanel.modelFolder import installedModels

    models, problem = installedModels()
    assert problem == ""
    first = next(iter(models))
    two = {"another": "other model", **models}
    qt.QSettings().setValue(MODEL, first)
    assert chosenModel(two) is models[first]
    qt.QSettings().setValue(MODEL, "removed since")
    assert chosenModel(two) == "other model"
    assert chosenModel({}) is None


def test_a_device_that_nobody_knows_is_none(module) -> None:
    import qt
    from TextGuidedSegPanel.machineSettings import DEVICE, chosenDevice

    qt.QSettings().setValue(DEVICE, "abacus")
    assert chosenDevice() == "auto"
