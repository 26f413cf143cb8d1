"""The worklist and the scene: what comes and goes with a case, a scene that is closed, a run that is cancelled."""

from __future__ import annotations

import json

import pytest
import slicer

from Testing.slicer.panel_fixtures import add_film, wait_until
from Testing.slicer.worklist_panel import open_folder, press, session, shown, states, volumes

pytestmark = pytest.mark.slicer


def test_next_during_a_run_cancels_it_first(list_widget, client, answer, films) -> None:
    open_folder(list_widget, answer, films)
    client.poll()
    list_widget.ui.worklistNextButton.click()
    assert shown(list_widget) == "film_1"
    client.poll()
    client.poll()  # all that is left of the run: that it was cancelled, and that it is over
    assert (shown(list_widget), volumes()) == ("film_2", ["film_2"])
    client.run()
    assert states(list_widget)[:2] == ["waiting", "proposed"]
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0].GetName() == "film_2 segmentation"
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1


def test_the_text_map_of_the_image_before_goes(list_widget, client, answer, films) -> None:
    open_folder(list_widget, answer, films)
    client.run()
    assert list_widget.logic.getParameters().pseudoImage is not None
    list_widget.ui.worklistNextButton.click()
    assert list_widget.logic.getParameters().pseudoImage is None
    client.run()
    maps = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if node.GetAttribute("TextGuidedSeg.Role")
    ]
    assert len(maps) == 1


def test_no_map_of_the_image_before_lies_on_the_next(list_widget, client, answer, scene, tmp_path) -> None:
    for name in ("one", "two"):
        add_film(scene, name=name)
    answer(tmp_path / "mine")
    list_widget.ui.worklistVolumesButton.click()
    list_widget.ui.overlayContentBox.currentIndex = 1
    client.run()
    parameters = list_widget.logic.getParameters()
    assert parameters.probabilityMap is not None
    list_widget.ui.worklistNextButton.click()
    assert (parameters.pseudoImage, parameters.probabilityMap) == (None, None)
    assert not [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if node.GetAttribute("TextGuidedSeg.Role")
    ]
    client.run()
    assert parameters.probabilityMap is not None


def test_the_scene_does_not_fill_up(list_widget, client, answer, films, scene) -> None:
    open_folder(list_widget, answer, films)
    client.run()
    counts = []
    for button in ("worklistNextButton", "worklistPreviousButton") * 3:
        getattr(list_widget.ui, button).click()
        client.run()
        counts.append(scene.GetNumberOfNodes())
    assert counts[2:4] == counts[4:6]  # the first round makes nodes that all others share


def test_a_scene_closed_in_the_middle_keeps_list_and_drawing(list_widget, client, answer, films, scene) -> None:
    open_folder(list_widget, answer, films)
    client.run()
    scene.Clear(0)
    assert states(list_widget)[0] == "proposed"
    assert session(list_widget).worklist.cases[0].segmentation
    assert not list_widget.ui.worklistAcceptButton.enabled
    list_widget.ui.worklistNextButton.click()
    assert shown(list_widget) == "film_1"
    assert list_widget.ui.segmentsTable.segmentCount == 1
    assert len(client.asked) == 1
    list_widget.ui.worklistAcceptButton.click()
    client.poll()
    scene.Clear(0)  # while the second one runs
    client.run()
    assert states(list_widget) == ["accepted", "waiting", "waiting", "waiting"]
    assert volumes() == []


def test_a_scene_closed_while_the_next_case_waits_for_the_run_to_end_opens_nothing(
    list_widget, client, answer, films, scene
) -> None:
    open_folder(list_widget, answer, films)
    list_widget.ui.worklistNextButton.click()
    scene.Clear(0)
    client.run()
    assert (volumes(), len(client.asked)) == ([], 1)
    assert states(list_widget) == ["waiting"] * 4


def test_an_image_that_the_user_removed_cannot_be_accepted(list_widget, client, answer, films, scene) -> None:
    open_folder(list_widget, answer, films)
    client.run()
    scene.RemoveNode(list_widget.ui.inputVolumeSelector.currentNode())
    press(list_widget, "A")
    assert states(list_widget)[0] == "proposed"
    list_widget.ui.worklistRejectButton.click()
    assert states(list_widget)[0] == "rejected"


def test_loaded_volumes_are_a_list_and_stay_in_the_scene(list_widget, client, answer, scene, tmp_path) -> None:
    for name in ("one", "two"):
        add_film(scene, name=name)
    answer(tmp_path / "mine")
    list_widget.ui.worklistVolumesButton.click()
    assert shown(list_widget) == "one"
    client.run()
    list_widget.ui.worklistAcceptButton.click()
    client.run()
    assert (shown(list_widget), volumes()) == ("two", ["one", "two"])
    assert (tmp_path / "mine.worklist.json").is_file()
    list_widget.ui.worklistCloseButton.click()
    scene.Clear(0)
    list_widget.ui.worklistContinueButton.click()  # without the scene the volumes are missed, the decisions are not
    assert states(list_widget) == ["accepted", "failed"]
    list_widget.ui.worklistPreviousButton.click()
    assert states(list_widget) == ["accepted", "failed"]
    assert "one: neither such a file nor a loaded volume" in list_widget.ui.worklistMessageLabel.text


def test_after_cleanup_what_was_drawn_is_saved_and_nothing_follows(module, client, answer, films, scene, monkeypatch):
    monkeypatch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    made = module.TextGuidedSegWidget()
    made.ui.acceptTermsButton.click()
    made.ui.phraseEdit.text = "left lung"
    open_folder(made, answer, films)
    client.run()
    made.cleanup()
    state = json.loads((films / "TextGuidedSeg.worklist.json").read_text(encoding="utf-8"))
    assert (films / "TextGuidedSeg.worklist" / state["cases"][0]["segmentation"]).is_file()
    scene.Clear(0)


@pytest.mark.slow
def test_the_real_process_answers_case_after_case(module, answer, films, tmp_path, monkeypatch) -> None:
    from Testing.lib.tiny import write_model

    tiny_model = write_model(tmp_path / "models" / "tiny-film")
    monkeypatch.setenv("TEXTGUIDEDSEG_HOME", str(tiny_model.parents[1]))
    made = module.TextGuidedSegWidget()
    made.ui.modelBox.currentIndex = made.ui.modelBox.findText(tiny_model.name)
    made.ui.acceptTermsButton.click()
    made.ui.phraseEdit.text = "left lung"
    open_folder(made, answer, films)
    for index in range(2):
        wait_until(lambda: not made.logic.isBusy, timeout_s=300)
        assert states(made)[index] in ("proposed", "unanswered"), session(made).worklist.cases[index].sentence
        made.ui.worklistAcceptButton.click()
    assert states(made) == ["accepted", "accepted", "failed", "waiting"]
    made.cleanup()
