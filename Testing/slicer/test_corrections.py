"""Corrections in the panel: islands by button and key, one step of undo each, noted in the segment's tags."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from TextGuidedSegPanel.provenance import noteCorrection, readProvenance, writeProvenance

from Testing.slicer.correcting import chosen, draw_second_island, found, mask, origin
from Testing.slicer.mrml import PARENTS, mask_points, put_below
from Testing.slicer.panel_fixtures import FILM_AFFINE
from Testing.slicer.worklist_panel import press

pytestmark = pytest.mark.slicer


@pytest.fixture
def widget(module, client, film, monkeypatch: pytest.MonkeyPatch):
    """The panel with a result on a film, in which a second island was drawn far from the first."""
    monkeypatch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    made = module.TextGuidedSegWidget()
    made.ui.acceptTermsButton.click()
    made.ui.phraseEdit.text = "left lung"
    made.ui.applyButton.click()
    client.run()
    draw_second_island(made)
    yield made
    made.cleanup()


@pytest.fixture
def crosshair(scene):
    """Where the user points."""
    made = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode") or scene.AddNode(slicer.vtkMRMLCrosshairNode())
    made.SetCrosshairRAS(0, 0, 0)
    made.SetCursorPositionInvalid()
    return made


def place_of(widget, index: tuple[int, int, int], parents=()) -> tuple[float, float, float]:
    """Where a voxel of the film is seen."""
    one = np.zeros(widget.logic.getParameters().inputVolume.GetImageData().GetDimensions(), np.uint8)
    one[index] = 1
    return tuple(mask_points(one, FILM_AFFINE, parents)[0])


@pytest.mark.parametrize("parents", PARENTS.values(), ids=PARENTS)
def test_the_key_acts_on_the_island_under_the_mouse(widget, crosshair, parents) -> None:
    film = widget.logic.getParameters().inputVolume
    put_below(film, parents)
    chosen(widget)[0].SetAndObserveTransformNodeID(film.GetTransformNodeID())
    before = mask(widget)
    crosshair.SetCursorPositionRAS(place_of(widget, (3, 3, 0), parents))
    press(widget, "X")
    expected = before.copy()
    expected[:8, :8] = 0
    assert np.array_equal(mask(widget), expected)
    widget.ui.undoButton.click()
    assert np.array_equal(mask(widget), before)
    press(widget, "K")
    assert np.array_equal(mask(widget), before - expected)


def test_the_buttons_act_at_the_crosshair(widget, crosshair) -> None:
    before = mask(widget)
    crosshair.SetCrosshairRAS(place_of(widget, (3, 3, 0)))
    widget.ui.keepIslandButton.click()
    assert mask(widget).sum() == 12
    widget.ui.undoButton.click()
    widget.ui.removeIslandButton.click()
    assert mask(widget).sum() == before.sum() - 12


def test_a_correction_is_undone_and_redone_with_what_its_tags_say(widget, crosshair) -> None:
    before = mask(widget)
    crosshair.SetCrosshairRAS(place_of(widget, (3, 3, 0)))
    widget.ui.removeIslandButton.click()
    after = mask(widget)
    assert len(origin(widget).corrections) == 1
    widget.ui.undoButton.click()
    assert np.array_equal(mask(widget), before)
    assert origin(widget).corrections == ()
    widget.ui.redoButton.click()
    assert np.array_equal(mask(widget), after)
    assert "removed the island at RAS" in origin(widget).corrections[0]


def test_a_corrected_segment_says_so_and_the_threshold_leaves_it_alone(widget, crosshair) -> None:
    assert widget.ui.thresholdSlider.enabled
    assert widget.ui.correctionLabel.isHidden()
    crosshair.SetCrosshairRAS(place_of(widget, (3, 3, 0)))
    widget.ui.keepIslandButton.click()
    assert "“left lung” was corrected by hand" in widget.ui.correctionLabel.text
    assert not widget.ui.thresholdSlider.enabled
    widget.ui.thresholdSlider.value = 0.3
    assert mask(widget).sum() == 12
    assert origin(widget).phrase == "left lung"
    widget.ui.undoButton.click()
    assert widget.ui.thresholdSlider.enabled
    assert widget.ui.correctionLabel.isHidden()


@pytest.mark.parametrize("place", [None, (500.0, 0.0, 0.0)])
def test_where_nothing_is_nothing_changes_and_the_panel_says_how_to_point(widget, crosshair, place) -> None:
    before = mask(widget)
    if place is not None:
        crosshair.SetCrosshairRAS(place)
    steps = widget.logic.history.canRedo(chosen(widget)[0])
    widget.ui.removeIslandButton.click()
    assert np.array_equal(mask(widget), before)
    assert "Nothing of “left lung” is there" in widget.ui.correctionLabel.text
    assert "Alt+X" in widget.ui.correctionLabel.text
    assert widget.logic.history.canRedo(chosen(widget)[0]) == steps
    assert origin(widget).corrections == ()


def test_without_a_segment_there_is_nothing_to_correct(widget, scene) -> None:
    buttons = [widget.ui.keepIslandButton, widget.ui.removeIslandButton, widget.ui.segmentEditorButton]
    assert all(one.enabled for one in buttons)
    scene.RemoveNode(chosen(widget)[0])
    assert not any(one.enabled for one in buttons)
    press(widget, "X")


@pytest.mark.parametrize("what", ["removed the island", "drawn | by “hand” äöü"])
def test_corrections_are_kept_in_their_order_with_the_origin(scene, what: str) -> None:
    segment = slicer.vtkSegment()
    writeProvenance(segment, found("left lung"))
    noteCorrection(segment, "first")
    noteCorrection(segment, what)
    provenance = readProvenance(segment)
    assert [one.partition(" ")[2] for one in provenance.corrections] == ["first", what]
    assert provenance.phrase == "left lung"
    writeProvenance(segment, found("right lung"))
    assert readProvenance(segment).corrections == ()


def test_what_no_model_made_gets_no_tags(scene) -> None:
    segment = slicer.vtkSegment()
    noteCorrection(segment, "drawn")
    assert readProvenance(segment) is None
