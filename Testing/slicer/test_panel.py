"""The panel: its real `.ui` file and widget code, driven by keys and clicks, against the real scene."""

from __future__ import annotations

import pytest
import slicer

from Testing.slicer.panel_fixtures import add_film, wait_until

pytestmark = pytest.mark.slicer


@pytest.fixture
def widget(module, client, film, monkeypatch: pytest.MonkeyPatch):
    """The module's widget with a film in the scene and the terms accepted, on a client without a process."""
    monkeypatch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    made = module.TextGuidedSegWidget()
    made.ui.acceptTermsButton.click()
    yield made
    made.cleanup()


def press_enter(line_edit) -> None:
    """Press Enter in a line; a real Slicer is told that it was pressed."""
    if not hasattr(slicer, "slicer_core"):
        line_edit.returnPressed()
        return
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    QTest.keyClick(line_edit._native, Qt.Key.Key_Return)


def press_ctrl_enter(widget) -> None:
    """Press Ctrl+Enter in the field for several phrases; in a real Slicer the button that has these keys is clicked."""
    if not hasattr(slicer, "slicer_core"):
        widget.ui.applyButton.click()
        return
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    window = widget.parent._native
    window.show()
    window.activateWindow()
    QTest.qWaitForWindowActive(window)
    QTest.keyClick(widget.ui.phrasesEdit._native, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    wait_until(lambda: widget.logic.isBusy, timeout_s=5.0)  # Qt shows the button pressed before it clicks it


def run(widget, client, phrase: str) -> None:
    """Type a phrase, press Enter, wait for the end."""
    widget.ui.phraseEdit.text = phrase
    press_enter(widget.ui.phraseEdit)
    client.run()


def test_enter_makes_a_segment_and_says_so(widget, client) -> None:
    run(widget, client, "left lower lung opacity")
    node = widget.ui.segmentationSelector.currentNode()
    assert node.GetSegmentation().GetNthSegment(0).GetName() == "left lower lung opacity"
    assert "Found “left lower lung opacity”" in widget.ui.answerLabel.text
    assert widget.ui.applyButton.text == "Segment"
    assert not widget.ui.progressBar.visible
    assert widget.ui.segmentsTable.segmentCount == 1


def test_research_use_only_is_in_sight(widget) -> None:
    assert "Research use only" in widget.ui.noticeLabel.text
    assert not widget.ui.noticeLabel.isHidden()


def test_images_gray_or_in_color_are_offered_and_label_maps_are_not(widget, scene) -> None:
    before = widget.ui.inputVolumeSelector.nodeCount()
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    assert widget.ui.inputVolumeSelector.nodeCount() == before
    scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode")
    assert widget.ui.inputVolumeSelector.nodeCount() == before + 1


@pytest.mark.parametrize("missing", ["image", "phrase", "terms"])
def test_the_button_says_what_is_missing(widget, film, missing: str) -> None:
    import qt

    widget.ui.phraseEdit.text = "left lung"
    assert widget.ui.applyButton.enabled
    if missing == "image":
        slicer.mrmlScene.RemoveNode(film)
        reason = "Choose an image."
    elif missing == "phrase":
        widget.ui.phraseEdit.text = "  "
        reason = "Type what to segment."
    else:
        for key in qt.QSettings().allKeys():
            qt.QSettings().remove(key)
        widget.panel.update()
        reason = "Accept the terms of the model first."
    assert not widget.ui.applyButton.enabled
    assert widget.ui.reasonLabel.text == reason
    press_enter(widget.ui.phraseEdit)
    assert not widget.logic.isBusy


def test_terms_are_accepted_once(module, widget) -> None:
    assert widget.ui.termsFrame.isHidden()
    other = module.TextGuidedSegWidget()
    assert other.ui.termsFrame.isHidden()
    other.cleanup()


def test_what_was_understood_is_shown_while_typing(widget) -> None:
    widget.ui.phraseEdit.text = "opacity rigth base xyzzy"
    text = widget.ui.chipsLabel.text
    for expected in (
        ">&nbsp;opacity&nbsp;<",
        ">&nbsp;right&nbsp;<",
        "rigth&nbsp;→&nbsp;right",
        "not&nbsp;known:&nbsp;xyzzy",
    ):
        assert expected in text


def test_progress_is_the_true_share_with_the_time_left(widget, client) -> None:
    widget.ui.phraseEdit.text = "left lung"
    widget.ui.applyButton.click()
    assert widget.ui.applyButton.text == "Cancel"
    client.poll()
    assert widget.ui.progressBar.maximum == 0  # nothing to measure while the model loads
    assert "Loading the model" in widget.ui.answerLabel.text
    client.poll()
    assert widget.ui.progressBar.value == widget.ui.progressBar.maximum / 2
    assert "about 1 s left" in widget.ui.progressBar.format


def test_the_button_cancels_while_a_phrase_runs(widget, client) -> None:
    widget.ui.phraseEdit.text = "left lung"
    widget.ui.applyButton.click()
    widget.ui.applyButton.click()
    client.run()
    assert widget.ui.answerLabel.text == "Cancelled. Nothing was changed."
    assert widget.ui.applyButton.text == "Segment"
    assert widget.ui.applyButton.enabled
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []


def test_several_phrases_run_one_a_line(widget, client) -> None:
    widget.ui.phraseEdit.text = "left lung"
    widget.ui.severalButton.click()
    assert widget.ui.phrasesEdit.plainText == "left lung"
    widget.ui.phrasesEdit.plainText = "left lung\nright lung\n\nno effusion"
    widget.ui.applyButton.click()
    client.run()
    assert client.asked[0]["phrases"] == ("left lung", "right lung", "no effusion")
    assert widget.ui.segmentsTable.segmentCount == 2
    assert "there is nothing to mark" in widget.ui.answerLabel.text


def test_ctrl_enter_runs_several_phrases_again_and_again(widget, client) -> None:
    widget.ui.severalButton.click()
    widget.ui.phrasesEdit.plainText = "left lung\nright lung"
    for count in (2, 4):
        assert widget.ui.applyButton.shortcut.toString() == "Ctrl+Return"
        press_ctrl_enter(widget)
        assert widget.ui.applyButton.shortcut.toString() == "Ctrl+Return"
        client.run()
        assert widget.ui.segmentsTable.segmentCount == count
    assert widget.ui.phrasesEdit.plainText == "left lung\nright lung"


def test_the_threshold_moves_the_segment_without_the_network(widget, client) -> None:
    run(widget, client, "left lung")
    node = widget.ui.segmentationSelector.currentNode()
    segment_id = node.GetSegmentation().GetNthSegmentID(0)
    before = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, segment_id).sum()
    assert widget.ui.thresholdSlider.enabled
    widget.ui.thresholdSlider.value = 0.3
    assert slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, segment_id).sum() > before
    assert len(client.asked) == 1


def test_the_threshold_acts_on_the_chosen_segment_alone(widget, client) -> None:
    run(widget, client, "left lung")
    widget.ui.thresholdSlider.value = 0.7
    run(widget, client, "right lung")
    assert widget.ui.thresholdSlider.value == 0.5
    first, second = widget.ui.segmentationSelector.currentNode().GetSegmentation().GetSegmentIDs()
    widget.ui.segmentsTable.setSelectedSegmentIDs([first])
    widget.ui.segmentsTable.selectionChanged(None, None)
    assert widget.ui.thresholdSlider.value == 0.7
    assert widget.logic.getParameters().pseudoImage.GetName() == "left lung (text map)"
    assert second != first


def test_undo_and_redo_buttons_follow(widget, client) -> None:
    assert not widget.ui.undoButton.enabled
    run(widget, client, "left lung")
    assert widget.ui.undoButton.enabled
    widget.ui.undoButton.click()
    assert widget.ui.segmentsTable.segmentCount == 0
    assert (widget.ui.undoButton.enabled, widget.ui.redoButton.enabled) == (False, True)
    assert not widget.ui.thresholdSlider.enabled
    widget.ui.redoButton.click()
    assert widget.ui.segmentsTable.segmentCount == 1


@pytest.fixture
def slice_view(scene):
    """Composite node of a slice view with a foreground of the user's."""
    view = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    view.SetForegroundVolumeID(add_film(scene, name="mine").GetID())
    return view


def layers(view) -> list[str]:
    count = view.GetNumberOfAdditionalLayers()
    return [view.GetNthLayerVolumeID(3 + index) for index in range(count)]


def test_the_text_map_is_an_extra_layer_and_goes_when_the_module_is_left(widget, client, slice_view) -> None:
    mine = slice_view.GetForegroundVolumeID()
    run(widget, client, "left lung")
    shown = widget.logic.getParameters().pseudoImage
    assert layers(slice_view) == [shown.GetID()]
    assert slice_view.GetForegroundVolumeID() == mine
    widget.ui.overlayOpacitySlider.value = 0.25
    assert slice_view.GetNthLayerOpacity(3) == 0.25
    widget.ui.overlayLowestSlider.value = 0.4
    assert shown.GetDisplayNode().GetLowerThreshold() == pytest.approx(0.4)
    widget.ui.overlayColorsBox.currentText = "Ocean"
    assert shown.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeOcean"
    widget.ui.showOverlayCheckBox.checked = False
    assert layers(slice_view) == []
    widget.ui.showOverlayCheckBox.checked = True
    assert layers(slice_view) == [shown.GetID()]
    widget.exit()
    assert layers(slice_view) == []
    widget.enter()
    assert layers(slice_view) == [shown.GetID()]


def test_an_import_while_another_module_is_shown_brings_no_overlay(widget, client, slice_view, scene) -> None:
    run(widget, client, "left lung")
    widget.exit()
    scene.InvokeEvent(scene.EndImportEvent)
    assert layers(slice_view) == []


def test_a_left_panel_is_not_bound_any_more_and_a_shown_one_is_bound_once(widget) -> None:
    parameters = widget.logic.getParameters()
    for _ in range(3):
        widget.exit()
        widget.ui.thresholdSlider.value = 0.2
        assert parameters.threshold == 0.5
        widget.enter()
        assert widget.ui.thresholdSlider.value == 0.5
    parameters.threshold = 0.6
    assert widget.ui.thresholdSlider.value == 0.6


def test_phrases_share_one_text_map_so_that_the_scene_does_not_fill_up(widget, client) -> None:
    run(widget, client, "left lung")
    run(widget, client, "right lung")
    maps = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
    assert maps == ["film", "right lung (text map)"]


def test_the_cursor_stays_while_typing_in_the_middle(widget) -> None:
    widget.ui.phraseEdit.text = "left lung"
    widget.ui.phraseEdit.cursorPosition = 4
    widget.ui.phraseEdit.insert(" lower")
    assert widget.ui.phraseEdit.text == "left lower lung"
    assert widget.ui.phraseEdit.cursorPosition == 10


def test_history_comes_first_in_the_suggestions_and_stays_with_the_scene(widget, client, module) -> None:
    run(widget, client, "right lung")
    run(widget, client, "left lung")
    run(widget, client, "right lung")
    assert list(widget.logic.getParameters().history) == ["right lung", "left lung"]
    suggested = widget.panel._entry._line._model.stringList()
    assert suggested[:2] == ("right lung", "left lung")
    assert "left lower lung opacity" in suggested


@pytest.mark.parametrize(
    ("presence", "sentence"), [(0.2, "was not found in this image"), (0.5, "is flagged, please check it")]
)
def test_weak_answers_are_explained(widget, client, presence: float, sentence: str) -> None:
    client.presence = presence
    run(widget, client, "left lung")
    assert sentence in widget.ui.answerLabel.text


def test_warnings_and_errors_are_in_the_panel_with_their_markup_harmless(widget, client) -> None:
    client.warnings = ("<b>Check</b> the side.",)
    run(widget, client, "left lung")
    assert "&lt;b&gt;Check&lt;/b&gt; the side." in widget.ui.warningsLabel.text
    widget.ui.applyButton.click()
    client.fail("DeviceError", "the device ran out of memory; use the CPU")
    assert "The device ran out of memory; use the CPU" in widget.ui.answerLabel.text
    assert not widget.ui.detailsButton.isHidden()
    widget.ui.detailsButton.click()
    assert "DeviceError" in widget.ui.detailsEdit.plainText


def test_the_log_of_the_process_can_be_read_while_it_runs_and_begins_anew_with_each_run(widget, client) -> None:
    widget.ui.phraseEdit.text = "left lung"
    widget.ui.applyButton.click()
    assert widget.ui.detailsButton.isHidden()  # nothing was said yet
    client.onLog("INFO: the model is loaded")
    assert widget.logic.isBusy
    widget.ui.detailsButton.click()
    assert not widget.ui.detailsEdit.isHidden()
    client.onLog("INFO: another line")
    assert widget.ui.detailsEdit.plainText == "INFO: the model is loaded\nINFO: another line"
    client.run()
    assert not widget.ui.detailsButton.isHidden()
    widget.ui.applyButton.click()
    assert widget.ui.detailsEdit.plainText == ""
    assert widget.ui.detailsButton.isHidden()


def test_a_scene_closed_during_a_run_leaves_an_empty_usable_panel(widget, client, scene) -> None:
    run(widget, client, "left lung")
    widget.ui.applyButton.click()
    client.poll()
    scene.Clear(0)
    client.run()
    assert not widget.logic.isBusy
    assert widget.ui.segmentsTable.segmentationNode() is None
    assert widget.ui.inputVolumeSelector.currentNode() is None
    add_film(scene)
    widget.ui.inputVolumeSelector.setCurrentNode(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")[0])
    run(widget, client, "right lung")
    assert widget.ui.segmentsTable.segmentCount == 1


def test_a_saved_scene_brings_the_state_back(widget, client, scene, tmp_path) -> None:
    run(widget, client, "left lung")
    widget.ui.overlayOpacitySlider.value = 0.75
    text = str(tmp_path / "scene.mrml")
    parameters = widget.logic.getParameters().parameterNode
    saved = {name: parameters.GetParameter(name) for name in parameters.GetParameterNames()}
    scene.SetURL(text)
    scene.Clear(0)
    assert widget.ui.phraseEdit.text == ""
    node = widget.logic.getParameterNode()
    for name, value in saved.items():
        node.SetParameter(name, value)
    scene.InvokeEvent(scene.EndImportEvent)
    assert widget.ui.phraseEdit.text == "left lung"
    assert widget.ui.overlayOpacitySlider.value == 0.75


def test_the_segmentation_removed_by_the_user_leaves_a_usable_panel(widget, client, scene) -> None:
    run(widget, client, "left lung")
    scene.RemoveNode(widget.ui.segmentationSelector.currentNode())
    assert widget.ui.segmentsTable.segmentationNode() is None
    assert not widget.ui.undoButton.enabled
    run(widget, client, "right lung")
    assert widget.ui.segmentsTable.segmentCount == 1


@pytest.mark.standins
def test_after_cleanup_nothing_follows_the_scene(module, client, film, scene, monkeypatch) -> None:
    monkeypatch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    made = module.TextGuidedSegWidget()
    slicer.app.moduleManager()._native.moduleAboutToBeUnloaded.emit("TextGuidedSeg")
    assert made.Observations == []
    scene.Clear(0)


@pytest.mark.slow
def test_the_real_process_answers_in_the_panel(module, film, tmp_path, monkeypatch) -> None:
    from Testing.lib.tiny import write_model

    tiny_model = write_model(tmp_path / "models" / "tiny-film")
    monkeypatch.setenv("TEXTGUIDEDSEG_HOME", str(tiny_model.parents[1]))
    made = module.TextGuidedSegWidget()
    assert made.ui.modelBox.findText(tiny_model.name) >= 0
    made.ui.modelBox.currentIndex = made.ui.modelBox.findText(tiny_model.name)
    made.ui.acceptTermsButton.click()
    made.ui.phraseEdit.text = "left lung"
    made.ui.applyButton.click()
    wait_until(lambda: not made.logic.isBusy, timeout_s=300)
    assert "left lung" in made.ui.answerLabel.text
    assert "✘" not in made.ui.answerLabel.text
    made.cleanup()
