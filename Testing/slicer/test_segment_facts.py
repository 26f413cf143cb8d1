"""The line about the chosen segment: its size in the unit that the image allows, as it is now."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from Testing.slicer.mrml import PARENTS, add_volume
from Testing.slicer.test_segments import found

pytestmark = [pytest.mark.slicer, pytest.mark.usefixtures("slicer_application")]


def facts_of(volume, mask: np.ndarray) -> str:
    """The line about a segment with these voxels on a volume."""
    from TextGuidedSegPanel.segmentFacts import SegmentFacts
    from TextGuidedSegPanel.segments import addSegment, newSegmentation

    node = newSegmentation(volume)
    addSegment(1 - mask, volume, node, found("another"))  # the line tells of one segment, not of all
    return SegmentFacts().of(node, addSegment(mask, volume, node, found("one")))


def box(shape: tuple[int, ...], size: tuple[int, ...]) -> np.ndarray:
    """A mask with one filled box in a corner."""
    mask = np.zeros(shape, np.uint8)
    mask[tuple(map(slice, size))] = 1
    return mask


@pytest.mark.parametrize("parents", ["none", "linear", "nested"])
@pytest.mark.parametrize("thin", [0, 1, 2])
def test_of_a_film_it_is_the_area_on_the_film_whichever_axis_is_thin(scene, thin: int, parents: str) -> None:
    shape, size, spacing = [40, 30, 20], [10, 8, 5], [0.5, 2.0, 1.0]
    shape[thin] = size[thin] = 1
    volume = add_volume(scene, np.zeros(shape), np.diag([*spacing, 1.0]), parents=PARENTS[parents], name="film")
    area_cm2 = np.prod(size) * np.prod(spacing) / spacing[thin] / 100
    number, _, rest = facts_of(volume, box(tuple(shape), tuple(size))).partition(" ")
    assert float(number) == pytest.approx(area_cm2)
    assert rest.startswith("cm² on the film · ")


def test_of_a_volume_it_is_its_volume(scene) -> None:
    volume = add_volume(scene, np.zeros((40, 30, 20)), np.diag([0.5, 2.0, 3.0, 1.0]), name="volume")
    assert facts_of(volume, box((40, 30, 20), (10, 8, 5))).startswith("1.20 ml")


def test_of_a_picture_whose_resolution_nobody_knows_the_pixels_are_counted(scene) -> None:
    volume = add_volume(scene, np.zeros((40, 30, 1)), np.eye(4), name="picture")
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName("picture.png")
    volume.SetAndObserveStorageNodeID(storage.GetID())
    assert facts_of(volume, box((40, 30, 1), (10, 6, 1))).startswith("60 pixels, 5.0 % of the picture")


def test_an_empty_segment_has_a_size_and_one_that_is_gone_has_no_line(scene) -> None:
    from TextGuidedSegPanel.segmentFacts import SegmentFacts

    volume = add_volume(scene, np.zeros((40, 30, 20)), np.eye(4), name="volume")
    assert facts_of(volume, np.zeros((40, 30, 20), np.uint8)).startswith("0 ml")
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    assert SegmentFacts().of(node, "no such segment") == SegmentFacts().of(None, "") == ""


def test_the_panel_follows_threshold_undo_and_choice(list_widget, client, film) -> None:
    ui = list_widget.ui
    ui.inputVolumeSelector.setCurrentNode(film)
    assert ui.segmentFactsLabel.isHidden()
    ui.phraseEdit.text = "left lung"
    ui.applyButton.click()
    client.run()
    node = ui.segmentationSelector.currentNode()
    segment_id = node.GetSegmentation().GetNthSegmentID(0)

    def area() -> str:
        voxels = int(slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, segment_id).astype(bool).sum())
        return f"{voxels / 100:.2f} cm²"

    assert list(ui.segmentsTable.selectedSegmentIDs()) == [segment_id]
    before = ui.segmentFactsLabel.text
    assert before == f"{area()} on the film · presence 0.90 · threshold 0.50"
    ui.thresholdSlider.value = 0.3
    assert ui.segmentFactsLabel.text == f"{area()} on the film · presence 0.90 · threshold 0.30"
    assert area() not in before
    ui.undoButton.click()
    assert ui.segmentFactsLabel.isHidden()
