"""Models of one's own: a folder that is chosen in the panel, kept over sessions, and used by scripts, too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from TextGuidedSegLib.weights import CARD_FILE, find_model, list_models

pytestmark = pytest.mark.slicer


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a model of one's own, called `mine`, that speaks of polyps."""
    folder = tmp_path / "Modelle ü" / "mine"
    shutil.copytree(find_model("chest-xray").folder, folder)
    card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    card |= {"name": "mine", "summary": "My own.", "phrases": ["polyp"]}
    (folder / CARD_FILE).write_text(json.dumps(card), encoding="utf-8")
    return folder.parent


SHIPPED = [model.card.name for model in list_models()]
WITH_OWN = sorted([*SHIPPED, "mine"])


def names(ui) -> list[str]:
    """Models to choose from."""
    return [ui.modelBox.itemText(index) for index in range(ui.modelBox.count)]


@pytest.mark.standins
def test_its_models_can_be_chosen_are_asked_and_are_there_in_the_next_session(
    list_widget, module, client, film, own: Path, answer
) -> None:
    ui = list_widget.ui
    ui.inputVolumeSelector.setCurrentNode(film)
    assert names(ui) == SHIPPED
    answer(own)
    ui.modelFolderButton.click()
    assert names(ui) == WITH_OWN
    assert ui.modelBox.currentText == "chest-xray"
    assert ui.modelFolderLabel.text.replace("\u200b", "") == str(own)
    ui.modelBox.currentIndex = WITH_OWN.index("mine")
    assert ui.modelLabel.text == "My own."
    assert "polyp" in list_widget.panel._entry._line._model.stringList()
    assert not ui.termsFrame.isHidden()  # other weights, other terms
    ui.acceptTermsButton.click()
    ui.applyButton.click()
    client.run()
    assert client.asked[-1]["model"] == str(own / "mine")
    later = module.TextGuidedSegWidget()
    assert later.ui.modelBox.currentText == "mine"
    later.cleanup()


@pytest.mark.standins
def test_forgotten_it_is_as_before(list_widget, own: Path, answer) -> None:
    ui = list_widget.ui
    answer(own)
    ui.modelFolderButton.click()
    ui.modelBox.currentIndex = WITH_OWN.index("mine")
    ui.noModelFolderButton.click()
    assert names(ui) == SHIPPED
    assert ui.modelFolderLabel.text == "none"
    assert not ui.noModelFolderButton.enabled
    assert (own / "mine" / CARD_FILE).is_file()


@pytest.mark.standins
def test_a_folder_without_a_model_is_refused_with_a_sentence(list_widget, tmp_path: Path, own: Path, answer) -> None:
    from TextGuidedSegPanel.modelFolder import chosenFolder

    ui = list_widget.ui
    answer(own)
    ui.modelFolderButton.click()
    answer(tmp_path / "elsewhere")
    ui.modelFolderButton.click()
    assert "there is no model in" in ui.modelFolderLabel.text
    assert names(ui) == WITH_OWN
    assert chosenFolder() == own


def test_a_broken_card_among_the_installed_ones_is_told_and_takes_nothing_else_along(
    module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from TextGuidedSegPanel.modelFolder import installedModels

    monkeypatch.setenv("TEXTGUIDEDSEG_HOME", str(tmp_path))
    (tmp_path / "models" / "bad").mkdir(parents=True)
    (tmp_path / "models" / "bad" / CARD_FILE).write_text("{", encoding="utf-8")
    models, problem = installedModels()
    assert list(models) == SHIPPED
    assert "not a readable model card" in problem


def test_a_folder_that_went_away_or_broke_takes_nothing_else_along(module, own: Path) -> None:
    from TextGuidedSegPanel.modelFolder import chooseFolder, installedModels

    chooseFolder(own)
    (own / "mine" / CARD_FILE).write_text("{", encoding="utf-8")
    models, problem = installedModels()
    assert list(models) == SHIPPED
    assert "not a readable model card" in problem
    shutil.rmtree(own)
    models, problem = installedModels()
    assert list(models) == SHIPPED
    assert "there is no model in" in problem


@pytest.mark.parametrize("inside", ["", "mine", ".."])
def test_the_folder_may_hold_the_model_or_be_it_or_hold_a_folder_of_models(module, own: Path, inside: str) -> None:
    from TextGuidedSegPanel.modelFolder import modelsIn

    shutil.copytree(own, own.parent / "models")
    assert [model.card.name for model in modelsIn(own / inside)] == ["mine"]


def test_a_script_names_it_as_the_panel_does(logic, client, film, own: Path) -> None:
    from TextGuidedSegPanel.modelFolder import chooseFolder

    chooseFolder(own)
    logic.process(film, "left lung", model="mine")
    assert client.asked[-1]["model"] == str(own / "mine")
    logic.process(film, "left lung")
    assert client.asked[-1]["model"] == "chest-xray"
    logic.process(film, "left lung", model=str(own / "mine"))
    assert client.asked[-1]["model"] == str(own / "mine")
