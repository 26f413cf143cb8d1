"""Sample data: registered as Slicer wants it, what its list says, and one click from an empty scene to a segment."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np
import pytest
import slicer

from Testing.slicer.panel_fixtures import MODULE_FOLDER, add_film, wait_until
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.phantom import chest_film
from TextGuidedSegLib.phantom_volume import head_volume, organ_center_ras_mm

pytestmark = pytest.mark.slicer

FOLDER = MODULE_FOLDER / "Resources" / "SampleData"


HEAD = {
    "size_mm": (48.0, 68.0, 50.0),
    "spacing_mm": (1.0, 1.0, 1.0),
    "center_ras_mm": organ_center_ras_mm(1, "right"),
}


def listed() -> list[dict[str, str]]:
    return json.loads((FOLDER / "samples.json").read_text(encoding="utf-8"))


def test_the_files_are_those_of_the_list() -> None:
    names = {one[key] for one in listed() for key in ("file", "thumbnail")} | {"samples.json"}
    assert {path.name for path in FOLDER.iterdir()} == names
    for one in listed():
        assert hashlib.sha256((FOLDER / one["file"]).read_bytes()).hexdigest() == one["sha256"]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000


def test_the_script_draws_these_very_films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(MODULE_FOLDER.parent / "Resources" / "SampleData"))
    monkeypatch.delitem(sys.modules, "make_samples", raising=False)
    import make_samples

    make_samples.main([str(tmp_path / "all")])
    again = json.loads((tmp_path / "all" / "samples.json").read_text(encoding="utf-8"))
    assert [one | {"sha256": ""} for one in again] == [one | {"sha256": ""} for one in listed()]
    for one in listed():
        here, there = read_image(FOLDER / one["file"]), read_image(tmp_path / "all" / one["file"])
        assert np.array_equal(here.array, there.array)
        assert here.geometry.close_to(there.geometry)
    make_samples.main([str(tmp_path / "one.png"), "--seed", "2"])
    assert read_image(tmp_path / "one.png").array.shape == (576, 640, 1)


def test_each_film_is_a_phantom_of_known_orientation_and_size() -> None:
    films = [one for one in listed() if one["file"].startswith("ChestFilm")]
    assert len(films) == 2
    for one in films:
        image = read_image(FOLDER / one["file"])
        assert (image.kind, image.axis_codes, image.warnings) == ("film", ("L", "I", "P"), ())
        assert image.geometry.spacing_mm[:2] == pytest.approx((0.7, 0.7))
    film = chest_film(1, size=(512, 460), lesions=(("left", "lower"),))
    assert np.array_equal(read_image(FOLDER / "ChestFilm.nrrd").array[:, :, 0].T, film.array.round().astype(np.uint8))


def test_the_head_is_a_part_of_one_with_a_whole_organ_in_it() -> None:
    image, volume = read_image(FOLDER / "HeadCrop.nrrd"), head_volume(1, **HEAD)
    assert (image.kind, image.axis_codes, image.warnings) == ("volume", ("R", "A", "S"), ())
    assert np.array_equal(image.array, volume.array.round().astype(np.uint8))
    assert 1000 < volume.mask("right").sum() < 6000


def test_thumbnails_have_the_size_that_slicers_list_has_room_for() -> None:
    for one in listed():
        columns, rows, _ = read_image(FOLDER / one["thumbnail"]).array.shape[:3]
        assert (rows, columns) == (280, 252)


def test_they_are_offered_after_start_with_a_checksum_and_once(module) -> None:
    for _ in range(2):
        slicer.app.startupCompleted()
    sources = slicer.modules.sampleDataSources["Text Guided Segmentation"]
    assert [one.sampleName for one in sources] == [one["name"] for one in listed()]
    for source, one in zip(sources, listed(), strict=True):
        address = urlparse(source.uris[0])
        assert address.scheme == "file"
        content = Path(url2pathname(address.path)).read_bytes()
        assert source.checksums == [f"SHA256:{hashlib.sha256(content).hexdigest()}"]
        assert Path(source.thumbnailFileName).is_file()
        assert (source.fileNames, source.nodeNames) == ([one["file"]], [one["name"]])


def test_a_module_that_was_added_after_start_offers_them_when_it_is_opened(list_widget) -> None:
    sources = slicer.modules.sampleDataSources["Text Guided Segmentation"]
    assert [one.sampleName for one in sources] == [one["name"] for one in listed()]


def test_without_slicers_sample_module_nothing_fails(module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SampleData", None)
    slicer.app.startupCompleted()


def test_the_example_fills_everything_in_and_runs(list_widget, client, scene) -> None:
    view = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    list_widget.ui.phraseEdit.text = "something else"
    list_widget.ui.severalButton.click()
    list_widget.ui.exampleButton.click()
    assert not list_widget.ui.exampleButton.enabled
    client.run()
    parameters = list_widget.logic.getParameters()
    assert parameters.inputVolume.GetName() == "Synthetic chest film"
    assert parameters.inputVolume.GetImageData().GetDimensions() == (460, 512, 1)
    assert view.GetBackgroundVolumeID() == parameters.inputVolume.GetID()
    assert client.asked[0]["phrases"] == ("left lower lung opacity",)
    assert "Found “left lower lung opacity”" in list_widget.ui.answerLabel.text
    assert list_widget.ui.exampleButton.enabled


def test_a_second_click_loads_nothing_twice_and_leaves_what_was_chosen_alone(list_widget, client, scene) -> None:
    mine = add_film(scene, name="mine")
    list_widget.ui.inputVolumeSelector.setCurrentNode(mine)
    list_widget.ui.newRegionButton.click()
    list_widget.ui.exampleButton.click()
    client.run()
    assert list_widget.ui.regionSelector.currentNode() is None
    list_widget.ui.exampleButton.click()
    client.run()
    names = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
    assert names.count("Synthetic chest film") == 1
    assert len(slicer.util.getNodesByClass("vtkMRMLMarkupsROINode")) == 1


def test_with_the_terms_not_accepted_everything_is_filled_in_and_the_reason_told(module, client, scene) -> None:
    made = module.TextGuidedSegWidget()
    made.ui.exampleButton.click()
    assert made.ui.phraseEdit.text == "left lower lung opacity"
    assert made.ui.reasonLabel.text == "Accept the terms of the model first."
    made.cleanup()


def test_a_missing_file_is_one_sentence(list_widget, client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments):
        msg = "Failed to load node from file: gone"
        raise RuntimeError(msg)

    monkeypatch.setattr(slicer.util, "loadVolume", fail)
    list_widget.ui.exampleButton.click()
    assert "could not be loaded" in list_widget.ui.answerLabel.text
    assert client.asked == []


@pytest.mark.slow
def test_the_shipped_model_finds_what_each_sample_promises(module, scene) -> None:
    from TextGuidedSegPanel.samples import loadSample, samplesIn

    logic = module.TextGuidedSegLogic()
    for sample in samplesIn(FOLDER):
        (record,) = logic.process(loadSample(sample), sample.phrase, wait=True)
        assert record.answer == "found", sample.name
    logic.stop()
    wait_until(lambda: not logic.isBusy)
