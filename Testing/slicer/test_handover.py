"""To the Segment Editor with segment and image chosen, and back by one click, with everything that was drawn."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from Testing.slicer.correcting import chosen, draw_second_island, mask, origin
from Testing.slicer.panel_fixtures import add_film
from Testing.slicer.worklist_panel import open_folder, session

# The panel under test is not the one that a real Slicer shows when it is asked for the module.
pytestmark = [pytest.mark.slicer, pytest.mark.standins]


@pytest.fixture
def widget(segment_editor, module, client, film, scene):
    """The panel in the main window, with two results on a film; another image came first into the scene."""
    made = module.TextGuidedSegWidget()
    segment_editor.panels["TextGuidedSeg"] = made
    made.ui.inputVolumeSelector.setCurrentNode(film)
    made.ui.acceptTermsButton.click()
    for phrase in ("right lung", "left lung"):
        made.ui.phraseEdit.text = phrase
        made.ui.applyButton.click()
        client.run()
    yield made
    made.cleanup()


@pytest.fixture
def film(scene):
    """The second of two films."""
    add_film(scene, name="another")
    return add_film(scene)


def editor_node():
    """What the Segment Editor edits."""
    return slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")


def back_button(window):
    """The button in the Segment Editor's panel; None without one."""
    button = window.panels["TextGuidedSeg"].panel._corrections._handover._button
    layout = window.panels["SegmentEditor"].layout
    return button if button is not None and layout.indexOf(button) == 0 else None


def go(widget) -> None:
    widget.ui.segmentEditorButton.click()


def test_one_click_opens_it_with_segment_and_image_chosen(widget, segment_editor, film) -> None:
    node, segment_id = chosen(widget)
    go(widget)
    assert segment_editor.shown == "SegmentEditor"
    assert editor_node().GetSegmentationNode() is node
    assert editor_node().GetSelectedSegmentID() == segment_id
    assert editor_node().GetSourceVolumeNode() is film
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == [node]


def test_one_click_leads_back_and_nothing_is_lost(widget, segment_editor, film) -> None:
    before, typed = mask(widget), widget.ui.phraseEdit.text
    node, segment_id = chosen(widget)
    go(widget)
    button = back_button(segment_editor)
    assert button.text == "Back to TextGuidedSeg"
    button.click()
    assert segment_editor.shown == "TextGuidedSeg"
    assert back_button(segment_editor) is None
    assert chosen(widget) == (node, segment_id)
    assert widget.ui.inputVolumeSelector.currentNode() is film
    assert widget.ui.phraseEdit.text == typed
    assert np.array_equal(mask(widget), before)
    assert origin(widget).corrections == ()
    assert widget.ui.thresholdSlider.enabled


def test_what_was_drawn_stays_is_noted_and_is_one_step_of_undo(widget, segment_editor) -> None:
    before = mask(widget)
    go(widget)
    draw_second_island(widget)
    drawn = mask(widget)
    back_button(segment_editor).click()
    assert np.array_equal(mask(widget), drawn)
    assert origin(widget).corrections[0].endswith("edited in the Segment Editor")
    assert "corrected by hand" in widget.ui.correctionLabel.text
    node, _ = chosen(widget)
    other = node.GetSegmentation().GetSegment(node.GetSegmentation().GetNthSegmentID(0))
    from TextGuidedSegPanel.provenance import readProvenance

    assert readProvenance(other).corrections == ()
    widget.ui.undoButton.click()
    assert np.array_equal(mask(widget), before)
    assert origin(widget).corrections == ()
    widget.ui.redoButton.click()
    assert np.array_equal(mask(widget), drawn)


def test_a_visit_without_drawing_is_no_step_of_undo(widget, segment_editor) -> None:
    node, _ = chosen(widget)
    go(widget)
    back_button(segment_editor).click()
    assert not widget.ui.redoButton.enabled
    widget.ui.undoButton.click()
    assert node.GetSegmentation().GetNumberOfSegments() == 1
    widget.ui.redoButton.click()
    assert node.GetSegmentation().GetNumberOfSegments() == 2


def test_another_way_back_counts_as_well(widget, segment_editor) -> None:
    go(widget)
    draw_second_island(widget)
    slicer.util.selectModule("TextGuidedSeg")
    assert origin(widget).corrections[0].endswith("edited in the Segment Editor")
    assert back_button(segment_editor) is None


def test_going_twice_leaves_one_button(widget, segment_editor) -> None:
    from PySide6.QtWidgets import QApplication

    for _ in range(2):
        go(widget)
        slicer.util.selectModule("TextGuidedSeg")
    go(widget)
    QApplication.sendPostedEvents(None, 52)  # deleted later, now
    slicer.app.processEvents()
    assert segment_editor.panels["SegmentEditor"].layout.count() == 1
    assert back_button(segment_editor) is not None


def test_a_segment_and_a_segmentation_removed_there_leave_a_usable_panel(widget, segment_editor, scene) -> None:
    node, segment_id = chosen(widget)
    go(widget)
    node.GetSegmentation().RemoveSegment(segment_id)
    back_button(segment_editor).click()
    assert not widget.ui.keepIslandButton.enabled
    go(widget)
    scene.RemoveNode(node)
    back_button(segment_editor).click()
    assert not widget.ui.segmentEditorButton.enabled


def test_a_scene_closed_there_takes_the_button_along(widget, segment_editor, scene) -> None:
    go(widget)
    scene.Clear(0)
    assert back_button(segment_editor) is None
    slicer.util.selectModule("TextGuidedSeg")
    assert not widget.ui.segmentEditorButton.enabled


def test_without_a_window_or_an_editor_it_says_so(widget, segment_editor, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(slicer.util, "mainWindow", lambda: None)
        go(widget)
    assert "needs Slicer's main window" in widget.ui.correctionLabel.text
    monkeypatch.delattr(slicer.modules, "segmenteditor")
    go(widget)
    assert "has no Segment Editor" in widget.ui.correctionLabel.text
    assert segment_editor.shown == "TextGuidedSeg"


def test_edit_in_the_worklist_goes_the_same_way(widget, segment_editor, client, films, answer) -> None:
    open_folder(widget, answer, films)
    client.run()
    opened = session(widget).opened
    widget.ui.worklistEditButton.click()
    assert segment_editor.shown == "SegmentEditor"
    assert editor_node().GetSegmentationNode() is opened.segmentationNode
    assert editor_node().GetSourceVolumeNode() is opened.volumeNode
    assert editor_node().GetSelectedSegmentID() == opened.segmentationNode.GetSegmentation().GetNthSegmentID(0)
    draw_second_island(widget)
    back_button(segment_editor).click()
    widget.ui.worklistAcceptButton.click()
    case = session(widget).worklist.cases[0]
    assert (case.state, case.isEdited) == ("accepted", True)
