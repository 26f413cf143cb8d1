"""The worklist in the panel: the real `.ui` and widget code, real scene and files, driven by buttons and keys."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK
import slicer

from Testing.slicer.worklist_panel import open_folder, press, segment_names, session, shown, states, volumes

pytestmark = pytest.mark.slicer


def test_without_a_list_only_its_sources_are_offered(list_widget) -> None:
    assert list_widget.ui.worklistOpenFrame.isHidden()
    assert list_widget.ui.worklistContinueButton.isHidden()
    assert not list_widget.ui.worklistCloseButton.enabled


def test_a_folder_is_worked_through_with_three_keys(list_widget, client, answer, films) -> None:
    open_folder(list_widget, answer, films)
    assert (shown(list_widget), list_widget.ui.worklistList.count) == ("film_1", 4)
    assert not list_widget.ui.worklistAcceptButton.enabled  # the run is under way
    client.run()
    assert client.asked[0]["phrases"] == ("left lung",)
    press(list_widget, "A")
    assert (shown(list_widget), volumes()) == ("film_2", ["film_2"])
    client.run()
    press(list_widget, "R")
    # The film that is cut off fails with a sentence, and the list goes on.
    assert states(list_widget) == ["accepted", "rejected", "failed", "waiting"]
    assert "<br/>This case failed, the list goes on. film_3.png: Slicer cannot" in list_widget.ui.worklistCaseLabel.text
    assert "it may be damaged: export or copy it again" in list_widget.ui.worklistList.item(2).toolTip()
    assert not list_widget.ui.worklistAcceptButton.enabled
    press(list_widget, "N")
    client.run()
    assert shown(list_widget) == "film_10"
    assert not list_widget.ui.worklistNextButton.enabled
    press(list_widget, "A")
    assert states(list_widget) == ["accepted", "rejected", "failed", "accepted"]
    assert list_widget.ui.worklistMessageLabel.text == "All cases are done."
    assert list_widget.ui.worklistProgressBar.format.startswith("4 of 4 · ")
    press(list_widget, "P")
    press(list_widget, "P")
    assert shown(list_widget) == "film_2"


def test_every_key_is_named_in_its_tooltip(list_widget) -> None:
    from TextGuidedSegPanel.worklistView import KEYS

    actions = list_widget.panel._worklist._actions
    assert [action.shortcut.toString() for action in actions] == list(KEYS.values())
    for name, key in KEYS.items():
        assert f"({key})" in getattr(list_widget.ui, name).toolTip


def test_keys_do_nothing_without_a_list_or_while_typing_plain_letters(list_widget, client, answer, films) -> None:
    press(list_widget, "A")
    open_folder(list_widget, answer, films)
    client.run()
    list_widget.ui.phraseEdit.insert("arpdn")
    assert states(list_widget)[0] == "proposed"


def test_closing_and_opening_again_goes_on_where_it_was(list_widget, client, answer, films) -> None:
    open_folder(list_widget, answer, films)
    client.run()
    list_widget.ui.worklistAcceptButton.click()
    client.run()
    list_widget.ui.worklistCloseButton.click()
    assert volumes() == []
    assert list_widget.ui.worklistOpenFrame.isHidden()
    list_widget.ui.phraseEdit.text = "something else"
    assert list_widget.ui.worklistContinueButton.text == "Continue with “films”"
    list_widget.ui.worklistContinueButton.click()
    assert states(list_widget) == ["accepted", "proposed", "waiting", "waiting"]
    assert shown(list_widget) == "film_2"
    # What was proposed before is shown again without the network, and nothing is said of another image.
    assert len(client.asked) == 2
    assert list_widget.ui.answerLabel.text == ""
    assert list_widget.ui.segmentsTable.segmentCount == 1
    list_widget.ui.worklistPreviousButton.click()
    assert (shown(list_widget), list_widget.ui.segmentsTable.segmentCount, len(client.asked)) == ("film_1", 1, 2)


def test_a_second_slicer_finds_what_the_first_decided(list_widget, client, answer, films) -> None:
    open_folder(list_widget, answer, films)
    client.run()
    list_widget.ui.worklistAcceptButton.click()
    state = json.loads((films / "TextGuidedSeg.worklist.json").read_text(encoding="utf-8"))
    assert [case["state"] for case in state["cases"]] == ["accepted", "waiting", "waiting", "waiting"]
    assert (films / "TextGuidedSeg.worklist" / state["cases"][0]["segmentation"]).is_file()
    assert [path.name for path in films.glob("*.labels.json")] == ["TextGuidedSeg.labels.json"]


def test_a_damaged_state_is_told_and_kept_aside(list_widget, client, answer, films) -> None:
    (films / "TextGuidedSeg.worklist.json").write_text("{", encoding="utf-8")
    open_folder(list_widget, answer, films)
    assert "was damaged. It is kept as" in list_widget.ui.worklistMessageLabel.text
    assert len(list(films.glob("*.damaged-*"))) == 1
    assert states(list_widget) == ["waiting"] * 4


def test_nothing_found_is_a_state_with_its_sentence_and_can_be_accepted(list_widget, client, answer, films) -> None:
    client.presence = 0.2
    open_folder(list_widget, answer, films)
    client.run()
    assert states(list_widget)[0] == "unanswered"
    assert "was not found in this image" in list_widget.ui.worklistCaseLabel.text
    list_widget.ui.worklistAcceptButton.click()
    assert states(list_widget)[0] == "accepted"
    assert session(list_widget).worklist.cases[0].segmentation == ""


def test_a_failed_run_is_the_state_of_its_case_and_a_cancelled_one_is_not(list_widget, client, answer, films) -> None:
    open_folder(list_widget, answer, films)
    client.fail("DeviceError", "the device ran out of memory")
    assert states(list_widget)[:2] == ["failed", "waiting"]
    assert "the device ran out of memory" in list_widget.ui.worklistCaseLabel.text
    list_widget.ui.worklistNextButton.click()
    list_widget.ui.applyButton.click()
    client.run()
    assert states(list_widget)[:2] == ["failed", "waiting"]
    assert list_widget.ui.worklistMessageLabel.text == "cancelled"
    # A failed case that is opened again is tried again.
    list_widget.ui.worklistPreviousButton.click()
    client.run()
    assert states(list_widget)[0] == "proposed"


def test_without_accepted_terms_the_case_waits_and_the_reason_is_said(
    module, client, answer, films, scene, monkeypatch
):
    import qt

    monkeypatch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    qt.QSettings.store.clear()
    made = module.TextGuidedSegWidget()
    made.ui.phraseEdit.text = "left lung"
    open_folder(made, answer, films)
    assert made.ui.worklistMessageLabel.text == "Accept the terms of the model first."
    assert states(made)[0] == "waiting"
    made.ui.acceptTermsButton.click()
    made.ui.applyButton.click()
    client.run()
    assert states(made)[0] == "proposed"
    assert made.ui.worklistMessageLabel.isHidden()
    made.cleanup()


def test_edit_hands_over_the_case_and_what_was_drawn_is_accepted_as_edited(list_widget, client, answer, films) -> None:
    handed = []
    list_widget.panel._worklist._host._edit = lambda *what: handed.append(what)
    open_folder(list_widget, answer, films)
    client.run()
    press(list_widget, "D")
    ((volume, segmentation, segment_id),) = handed
    assert volume.GetName() == "film_1"
    assert segmentation is list_widget.ui.segmentationSelector.currentNode()
    slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation, segment_id)[...] = 0
    list_widget.exit()  # to the Segment Editor and back
    assert session(list_widget).worklist.current.isEdited
    list_widget.enter()
    list_widget.ui.worklistAcceptButton.click()
    client.run()
    assert [case.isEdited for case in session(list_widget).worklist.cases][:2] == [True, False]
    list_widget.ui.worklistAcceptButton.click()
    assert [case.isEdited for case in session(list_widget).worklist.cases][:2] == [True, False]


def test_a_csv_brings_phrases_and_masks_of_its_own(list_widget, client, answer, films) -> None:
    mask = SimpleITK.GetImageFromArray(np.eye(96, 80, dtype=np.uint8))
    SimpleITK.WriteImage(mask, str(films / "old.png"))
    path = films / "list.csv"
    path.write_text(
        "image,phrase,mask\nfilm_2.png,right lung; heart,old.png\nfilm_1.png,opacity,\nmissing.png,x,\n",
        encoding="utf-8",
    )
    answer(path)
    list_widget.ui.worklistCsvButton.click()
    client.run()
    assert client.asked[0]["phrases"] == ("heart",)
    assert segment_names(list_widget) == ["right lung", "heart"]
    list_widget.ui.worklistAcceptButton.click()
    client.run()
    list_widget.ui.worklistAcceptButton.click()
    assert states(list_widget) == ["accepted", "accepted", "failed"]
    assert "missing.png: neither such a file nor a loaded volume" in list_widget.ui.worklistCaseLabel.text
    assert (films / "list.worklist.json").is_file()


def test_a_folder_that_is_gone_or_empty_is_told_in_the_panel(list_widget, answer, tmp_path) -> None:
    open_folder(list_widget, answer, tmp_path)
    assert "no image in this folder" in list_widget.ui.worklistMessageLabel.text
    assert session(list_widget) is None


def test_a_disk_that_takes_no_decision_is_told_and_nothing_is_pretended(
    list_widget, client, answer, films, monkeypatch
) -> None:
    open_folder(list_widget, answer, films)
    client.run()
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _file: (_ for _ in ()).throw(OSError("no space left on device")))
        list_widget.ui.worklistAcceptButton.click()
        assert "no space left on device" in list_widget.ui.worklistMessageLabel.text
        assert shown(list_widget) == "film_1"
    list_widget.ui.worklistAcceptButton.click()
    assert states(list_widget)[0] == "accepted"


def test_a_film_is_accepted_with_one_write_of_the_state(list_widget, client, answer, films, monkeypatch) -> None:
    from TextGuidedSegPanel.worklistFile import StateFile

    open_folder(list_widget, answer, films)
    client.run()
    writes: list[int] = []
    write = StateFile.write
    monkeypatch.setattr(StateFile, "write", lambda self, cases: (writes.append(len(cases)), write(self, cases)))
    list_widget.ui.worklistAcceptButton.click()
    assert writes == [4]
