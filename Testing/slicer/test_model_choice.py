"""The image says which model reads it: the panel takes it, and says which and why."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from Testing.slicer.mrml import add_volume
from TextGuidedSegLib.weights import CARD_FILE, find_model

pytestmark = pytest.mark.slicer

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


@pytest.fixture
def models(tmp_path: Path, module, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with a model of volumes and another one of films; nobody runs them here."""
    from TextGuidedSegPanel.modelFolder import chooseFolder

    for name, changes in {
        "mr-structures": {
            "kinds": ["volume"],
            "modalities": ["MR"],
            "summary": "Structures in MR.",
            "fields_of_view": [
                {"structures": ["hippocampus"], "largest_mm": 25.0},
                {"structures": [], "largest_mm": 60.0},
            ],
        },
        "own-films": {"summary": "My films."},
    }.items():
        folder = tmp_path / "models" / name
        shutil.copytree(find_model("chest-xray").folder, folder)
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8")) | {"name": name} | changes
        (folder / CARD_FILE).write_text(json.dumps(card), encoding="utf-8")
    chooseFolder(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def ui(models: Path, list_widget):
    """The panel's widgets, with those models."""
    return list_widget.ui


@pytest.fixture
def scan(scene):
    """A volume, of which the scene does not say the modality."""
    values = np.random.default_rng(0).integers(0, 900, (20, 24, 16)).astype(np.int16)
    return add_volume(scene, values, AFFINE, name="scan")


def test_a_volume_goes_to_the_model_of_volumes_and_a_film_back(ui, film, scan) -> None:
    ui.inputVolumeSelector.setCurrentNode(film)
    assert (ui.modelBox.currentText, ui.modelLabel.text) == ("chest-xray", find_model("chest-xray").card.summary)
    ui.inputVolumeSelector.setCurrentNode(scan)
    assert ui.modelBox.currentText == "mr-structures"
    assert ui.modelLabel.text == "scan is a volume: the model 'mr-structures' is for it. Structures in MR."
    ui.inputVolumeSelector.setCurrentNode(film)
    assert ui.modelBox.currentText == "chest-xray"


def test_what_the_user_chose_comes_back_with_the_next_such_image(ui, film, scan) -> None:
    ui.inputVolumeSelector.setCurrentNode(film)
    ui.modelBox.currentIndex = [ui.modelBox.itemText(index) for index in range(ui.modelBox.count)].index("own-films")
    ui.inputVolumeSelector.setCurrentNode(scan)
    assert ui.modelBox.currentText == "mr-structures"
    ui.inputVolumeSelector.setCurrentNode(film)
    assert (ui.modelBox.currentText, ui.modelLabel.text) == ("own-films", "My films.")


def test_a_model_chosen_by_hand_stays(ui, scan) -> None:
    ui.inputVolumeSelector.setCurrentNode(scan)
    ui.modelBox.currentIndex = [ui.modelBox.itemText(index) for index in range(ui.modelBox.count)].index("chest-xray")
    ui.phraseEdit.text = "right lung"
    assert ui.modelBox.currentText == "chest-xray"
    assert ui.modelLabel.text == find_model("chest-xray").card.summary


@pytest.fixture
def body(scene):
    """A volume of 100 x 120 x 90 mm, which is more than the model of volumes was made for."""
    values = np.random.default_rng(0).integers(0, 900, (20, 24, 18)).astype(np.int16)
    return add_volume(scene, values, np.diag([5.0, 5.0, 5.0, 1.0]), name="body")


def test_a_body_is_read_as_soon_as_a_region_is_small_enough(ui, body) -> None:
    from TextGuidedSegPanel.regionOfInterest import newRegion

    ui.inputVolumeSelector.setCurrentNode(body)
    assert "Give a region of interest" in ui.modelLabel.text
    region = newRegion(body)
    ui.regionSelector.setCurrentNode(region)
    assert "Give a region of interest" in ui.modelLabel.text
    region.SetSize(40, 40, 40)
    assert ui.modelBox.currentText == "mr-structures"
    assert "Structures in MR." in ui.modelLabel.text


@pytest.mark.parametrize(("phrase", "largest_mm"), [("", 25), ("left hippocampus", 25), ("myocardium", 60)])
def test_a_new_region_is_one_in_which_the_phrase_is_found(ui, body, phrase: str, largest_mm: float) -> None:
    from TextGuidedSegPanel.regionOfInterest import regionOf

    ui.inputVolumeSelector.setCurrentNode(body)
    ui.phraseEdit.text = phrase
    ui.newRegionButton.click()
    assert ui.modelBox.currentText == "mr-structures"
    sides = [5 * (high - low) for low, high in regionOf(ui.regionSelector.currentNode(), body).bounds]
    assert largest_mm - 10 <= max(sides) <= largest_mm


def test_a_script_with_a_region_of_a_body_gets_the_model_that_reads_the_region(
    models: Path, logic, client, body
) -> None:
    from TextGuidedSegPanel.regionOfInterest import newRegion

    from TextGuidedSegLib.errors import ImageError

    with pytest.raises(ImageError, match="Give a region of interest"):
        logic.process(body, "myocardium")
    logic.process(body, "myocardium", wait=False, region=newRegion(body, 60.0))
    assert client.asked[-1]["model"] == str(models / "mr-structures")


def test_a_ct_is_answered_with_one_sentence(ui, scene) -> None:
    values = np.full((20, 24, 16), -1024, dtype=np.int16)
    ui.inputVolumeSelector.setCurrentNode(add_volume(scene, values, AFFINE, name="abdomen"))
    assert ui.modelLabel.text.startswith("abdomen is a CT. No CT model is shipped")


def test_the_first_of_the_preferred_that_reads_it_is_taken(models: Path, film, scan) -> None:
    from TextGuidedSegPanel.modelChoice import suitableModel

    chest = find_model("chest-xray")
    volumes = find_model(models / "mr-structures")
    other = dataclasses.replace(chest, card=dataclasses.replace(chest.card, name="other"))
    installed = (chest, volumes, other)
    assert suitableModel(film, installed, (None, volumes, other, chest)) == (other, "")
    assert suitableModel(scan, installed, (other, chest))[0] is volumes
    assert suitableModel(scan, (chest,), (chest,))[0] is None


def test_a_script_that_names_no_model_gets_the_one_that_reads_the_image(
    models: Path, logic, client, film, scan
) -> None:
    logic.process(film, "left lung")
    assert client.asked[-1]["model"] == "chest-xray"
    logic.process(scan, "left lung", wait=False)  # the stand-in of the process answers films only
    assert client.asked[-1]["model"] == str(models / "mr-structures")


def test_a_script_with_an_image_that_no_model_reads_is_told_so(logic, scene) -> None:
    from TextGuidedSegLib.errors import ImageError

    values = np.full((20, 24, 16), -1024, dtype=np.int16)
    with pytest.raises(ImageError, match=r"abdomen is a CT\. No CT model is shipped"):
        logic.process(add_volume(scene, values, AFFINE, name="abdomen"), "left lung")
