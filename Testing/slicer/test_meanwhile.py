"""What comes while the user or the program is elsewhere: another module, another phrase, a callback, many images."""

from __future__ import annotations

import logging

import pytest
import slicer

from Testing.slicer.panel_fixtures import add_film
from Testing.slicer.worklist_panel import open_folder, session, states
from TextGuidedSegLib.errors import RegionNeededError, TextGuidedSegError

pytestmark = pytest.mark.slicer

NEEDED = "left atrium: choose a region of interest of at most 160 mm"


@pytest.fixture
def widget(module, client, film, monkeypatch):
    """The panel on a film, its terms accepted."""
    monkeypatch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    made = module.TextGuidedSegWidget()
    made.ui.acceptTermsButton.click()
    yield made
    made.cleanup()


@pytest.fixture
def first_refused(client, monkeypatch):
    """The phrase *left lung* of the first run needs a region."""
    ask = client.segment

    def asked(*arguments, **options) -> int:
        number = ask(*arguments, **options)
        if number == 1:
            client.refuse("left lung", RegionNeededError.__name__, NEEDED)
        return number

    monkeypatch.setattr(client, "segment", asked)


def ask(widget, phrase: str) -> None:
    """Type and press Enter."""
    widget.ui.phraseEdit.text = phrase
    widget.ui.phraseEdit.returnPressed()


def test_an_answer_that_comes_while_another_module_is_shown_is_there_on_return(widget, client) -> None:
    ask(widget, "left lung")
    client.poll()
    widget.exit()
    client.run()
    widget.enter()
    assert "Found \u201cleft lung\u201d" in widget.ui.answerLabel.text
    parameters = widget.logic.getParameters()
    first = parameters.segmentation
    assert first.GetSegmentation().GetSegment(parameters.segmentId).GetName() == "left lung"
    assert parameters.pseudoImage is not None
    assert widget.ui.thresholdSlider.enabled
    assert widget.ui.undoButton.enabled
    ask(widget, "right lung")
    client.run()
    assert widget.logic.getParameters().segmentation is first
    assert first.GetSegmentation().GetNumberOfSegments() == 2


def test_segments_of_another_image_get_a_segmentation_of_their_own(widget, client, scene) -> None:
    ask(widget, "left lung")
    client.run()
    parameters = widget.logic.getParameters()
    first, other = parameters.segmentation, add_film(scene, name="another patient")
    widget.ui.inputVolumeSelector.setCurrentNode(other)
    assert (parameters.segmentation, parameters.pseudoImage) == (None, None)
    ask(widget, "right lung")
    client.run()
    assert first.GetSegmentation().GetNumberOfSegments() == 1
    role = first.GetReferenceImageGeometryReferenceRole()
    assert parameters.segmentation.GetNodeReference(role) is other


def test_images_of_one_study_share_a_segmentation(widget, client, scene, film) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateStudyItem(hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Doe"), "chest")
    other = add_film(scene, name="same patient")
    for node in (film, other):
        hierarchy.CreateItem(study, node)
    ask(widget, "left lung")
    client.run()
    parameters = widget.logic.getParameters()
    first = parameters.segmentation
    widget.ui.inputVolumeSelector.setCurrentNode(other)
    assert parameters.segmentation is first


def test_after_undo_the_newest_segment_that_is_left_is_chosen(widget, client) -> None:
    for phrase in ("left lung", "right lung"):
        ask(widget, phrase)
        client.run()
    parameters = widget.logic.getParameters()
    first, second = parameters.segmentation.GetSegmentation().GetSegmentIDs()
    widget.ui.undoButton.click()
    assert parameters.segmentId == first
    assert widget.ui.thresholdSlider.enabled
    assert "left lung" in parameters.pseudoImage.GetName()
    widget.ui.undoButton.click()
    widget.ui.redoButton.click()
    widget.ui.redoButton.click()
    assert parameters.segmentId in (first, second)
    assert widget.ui.thresholdSlider.enabled


def test_what_was_asked_for_before_an_installation_waits_for_the_panel(widget, client) -> None:
    widget.ui.phraseEdit.text = "left lung"
    widget.exit()
    widget.panel._onEnter()  # the wish that the page for missing packages carries out
    assert client.asked == []
    widget.enter()
    assert [one["phrases"] for one in client.asked] == [("left lung",)]
    client.run()
    widget.exit()
    widget.enter()
    assert len(client.asked) == 1


def test_one_phrase_that_needs_a_region_takes_no_answer_from_the_others(logic, film, first_refused, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        records = logic.process(film, ["left lung", "right lung"])
    assert [record.phrase for record in records] == ["right lung"]
    assert NEEDED in caplog.text


def test_a_run_that_is_cancelled_behind_such_a_phrase_is_not_answered(logic, film, client, first_refused) -> None:
    from TextGuidedSegPanel.segmentationRun import RunCallbacks

    kinds: list[str] = []
    callbacks = RunCallbacks(
        onResult=lambda _record: client.cancel(), onError=lambda failure: kinds.append(failure.kind)
    )
    with pytest.raises(TextGuidedSegError, match="cancelled"):
        logic.process(film, ["left lung", "right lung", "both lungs"], callbacks=callbacks)
    assert kinds == [RegionNeededError.__name__, "Cancelled"]


def test_a_phrase_alone_that_needs_a_region_is_an_error(logic, film, first_refused) -> None:
    with pytest.raises(RegionNeededError, match="region of interest"):
        logic.process(film, "left lung")


def test_a_case_with_an_answer_is_not_failed(list_widget, client, answer, films, first_refused) -> None:
    list_widget.ui.severalButton.click()
    list_widget.ui.phrasesEdit.plainText = "left lung\nright lung"
    open_folder(list_widget, answer, films)
    client.run()
    assert states(list_widget)[0] == "proposed"
    sentence = session(list_widget).worklist.cases[0].sentence
    assert "right lung" in sentence
    assert NEEDED in sentence


def test_a_callback_cannot_wait_for_another_run(logic, module, film, client) -> None:
    refused: list[str] = []

    def chain(_records) -> None:
        try:
            logic.process(film, "right lung")
        except TextGuidedSegError as error:
            refused.append(str(error))

    logic.process(film, "left lung", callbacks=module.RunCallbacks(onFinished=chain))
    assert len(refused) == 1
    assert "wait=False" in refused[0]


def test_images_that_left_the_scene_take_no_memory(logic, scene) -> None:
    for number in range(4):
        volume = add_film(scene, name=f"film {number}")
        (record,) = logic.process(volume, ["left lung"])
        for node in (record.pseudoImageNode, record.segmentationNode, volume):
            scene.RemoveNode(node)
    assert len(logic.results._mapped) == 1
    assert len(logic.history._histories) == 1
    assert not slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
