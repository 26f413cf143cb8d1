"""Runs in a region of interest, from the panel and from scripts: what is asked, where the segment is, what is kept."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from TextGuidedSegPanel.provenance import readProvenance

from Testing.slicer.mrml import (
    PARENTS,
    add_volume,
    mask_points,
    matrix4x4,
    orientations,
    put_below,
    same_points,
    segment_points,
    shift,
)
from Testing.slicer.panel_fixtures import FILM_AFFINE
from TextGuidedSegLib.errors import ImageError

pytestmark = pytest.mark.slicer

SHAPE = (14, 12, 10)


@pytest.fixture
def widget(list_widget, film):
    """The module's widget with a film chosen."""
    list_widget.ui.inputVolumeSelector.setCurrentNode(film)
    return list_widget


def run(widget, client, phrase: str = "left lung") -> None:
    widget.ui.phraseEdit.text = phrase
    widget.ui.applyButton.click()
    client.run()


def box_of(scene, center, size_mm, parents=()):
    """A region of interest along the axes of its frame."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "region")
    node.SetAndObserveObjectToNodeMatrix(matrix4x4(shift(*center)))
    node.SetSize(*size_mm)
    put_below(node, parents)
    return node


def box_of_voxels(scene, affine, low, high, parents=()):
    """A region around the voxels [low, high) of a straight grid, half a voxel larger on all sides."""
    corners = np.array([low, high]) - 0.5
    places = corners @ affine[:3, :3].T + affine[:3, 3]
    return box_of(scene, places.mean(axis=0), np.abs(places[1] - places[0]), parents)


def inside(segmentation_node, segment_id: str, volume) -> np.ndarray:
    """A segment on a volume's grid, `(I, J, K)`."""
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation_node, segment_id, volume).T > 0


def test_the_whole_image_is_the_default(widget, client) -> None:
    run(widget, client)
    assert widget.ui.regionSelector.currentNode() is None
    assert widget.ui.regionLabel.isHidden()
    segment = widget.logic.getParameters().segmentation.GetSegmentation().GetNthSegment(0)
    assert readProvenance(segment).region == ""


def test_new_makes_a_region_in_the_middle_and_chooses_it(widget) -> None:
    widget.ui.newRegionButton.click()
    assert widget.ui.regionSelector.currentNode() is widget.logic.getParameters().region
    assert widget.ui.regionLabel.text == "Segments stay within 48 × 58 × 1 of 80 × 96 × 1 voxels."


def test_a_film_is_sent_whole_and_its_segment_lies_inside(widget, client, film, scene) -> None:
    run(widget, client)
    parameters = widget.logic.getParameters()
    whole = inside(parameters.segmentation, parameters.segmentId, film)
    parameters.region = box_of_voxels(scene, FILM_AFFINE, (50, 40, 0), (62, 60, 1))
    run(widget, client)
    assert client.asked[1]["image"].array.shape == (80, 96, 1)
    assert client.asked[1]["signature"] == client.asked[0]["signature"]  # no second copy for the process
    limit = np.zeros_like(whole)
    limit[50:62, 40:60] = True
    assert np.array_equal(inside(parameters.segmentation, parameters.segmentId, film), whole & limit)
    assert 0 < (whole & limit).sum() < whole.sum()
    first = parameters.segmentation.GetSegmentation().GetNthSegmentID(0)
    assert np.array_equal(inside(parameters.segmentation, first, film), whole)
    text_map = slicer.util.arrayFromVolume(parameters.pseudoImage).T
    assert not text_map[~limit].any()
    assert text_map[limit].any()


def test_a_new_threshold_stays_in_the_region(widget, client, film, scene) -> None:
    parameters = widget.logic.getParameters()
    parameters.region = box_of_voxels(scene, FILM_AFFINE, (50, 40, 0), (62, 60, 1))
    run(widget, client)
    before = inside(parameters.segmentation, parameters.segmentId, film)
    widget.ui.thresholdSlider.value = 0.21
    after = inside(parameters.segmentation, parameters.segmentId, film)
    assert after.sum() > before.sum()
    outside = np.ones_like(after)
    outside[50:62, 40:60] = False
    assert not (after & outside).any()


def test_the_region_is_in_the_segments_tags(widget, client, scene) -> None:
    parameters = widget.logic.getParameters()
    parameters.region = box_of_voxels(scene, FILM_AFFINE, (50, 40, 0), (62, 60, 1))
    run(widget, client)
    widget.ui.thresholdSlider.value = 0.4
    segment = parameters.segmentation.GetSegmentation().GetSegment(parameters.segmentId)
    assert readProvenance(segment).region == "50:62,40:60,0:1"
    assert readProvenance(segment).threshold == 0.4


def test_what_lies_outside_is_not_found_and_no_segment_is_added(widget, client, scene) -> None:
    widget.logic.getParameters().region = box_of_voxels(scene, FILM_AFFINE, (0, 0, 0), (20, 20, 1))
    run(widget, client)
    assert "was not found" in widget.ui.answerLabel.text
    assert "outside the region of interest" in widget.ui.warningsLabel.text
    assert widget.logic.getParameters().segmentation is None


def test_a_region_beside_the_image_is_refused_before_anything_runs(widget, client, scene) -> None:
    region = widget.logic.getParameters().region = box_of(scene, (999, 0, 0), (5, 5, 5))
    widget.ui.phraseEdit.text = "left lung"
    assert not widget.ui.applyButton.enabled
    assert "No voxel of film lies in the region region; move or enlarge it." in widget.ui.reasonLabel.text
    region.SetAndObserveObjectToNodeMatrix(matrix4x4(shift(60, 50, 150)))  # dragged back into the film
    assert widget.ui.applyButton.enabled
    assert "Segments stay within" in widget.ui.regionLabel.text
    region.SetSize(11, 5, 21)
    assert widget.ui.regionLabel.text.startswith("Segments stay within 11 × 21 × 1")


def test_the_label_follows_the_regions_transform(widget, scene) -> None:
    region = widget.logic.getParameters().region = box_of(scene, (60, 50, 150), (11, 5, 21))
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    region.SetAndObserveTransformNodeID(transform.GetID())
    assert widget.ui.applyButton.enabled
    transform.SetMatrixTransformToParent(matrix4x4(shift(500, 0, 0)))
    assert "move or enlarge" in widget.ui.reasonLabel.text


def test_it_is_kept_with_the_scene_and_forgotten_with_it(widget, client, scene) -> None:
    widget.ui.newRegionButton.click()
    region = widget.logic.getParameters().region
    assert widget.logic.getParameterNode().GetNodeReference("region") is region
    widget.exit()
    widget.enter()
    assert widget.ui.regionSelector.currentNode() is region
    scene.Clear(0)
    assert widget.ui.regionSelector.currentNode() is None
    assert widget.ui.regionLabel.isHidden()


def test_after_cleanup_nothing_follows_the_region(module, client, film, scene, monkeypatch) -> None:
    monkeypatch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    made = module.TextGuidedSegWidget()
    made.ui.newRegionButton.click()
    controls = made.panel._region
    assert controls.Observations != []
    made.cleanup()
    assert controls.Observations == []


def test_a_deleted_region_is_the_whole_image_again(widget, scene) -> None:
    widget.ui.newRegionButton.click()
    scene.RemoveNode(widget.logic.getParameters().region)
    assert widget.logic.getParameters().region is None
    assert widget.ui.regionLabel.isHidden()
    assert widget.ui.applyButton.enabled


def test_a_region_moved_during_the_run_does_not_move_the_result(widget, client, film, scene) -> None:
    parameters = widget.logic.getParameters()
    region = parameters.region = box_of_voxels(scene, FILM_AFFINE, (50, 40, 0), (62, 60, 1))
    widget.ui.applyButton.click()
    region.SetAndObserveObjectToNodeMatrix(matrix4x4(shift(-500, 0, 0)))
    client.run()
    segment = parameters.segmentation.GetSegmentation().GetSegment(parameters.segmentId)
    assert readProvenance(segment).region == "50:62,40:60,0:1"


def bright(_phrase, image) -> np.ndarray:
    """A model that marks what is bright in the image that it is given."""
    return np.where(image.array > 50, 0.8, 0).astype(np.float32)


@pytest.mark.parametrize("parents", ["none", "linear", "nested"])
@pytest.mark.parametrize("number", [0, 13, 38])
def test_of_a_volume_only_the_box_is_sent_and_the_segment_is_in_its_place(
    logic, client, scene, parents: str, number: int
) -> None:
    affine = orientations()[number]
    values = np.random.default_rng(1).integers(0, 100, SHAPE).astype(np.int16)
    volume = add_volume(scene, values, affine, name="volume", parents=PARENTS[parents])
    region = box_of_voxels(scene, affine, (3, 2, 4), (9, 11, 7), parents=PARENTS[parents])
    client.marked = bright
    (record,) = logic.process(volume, "heart", model="chest-xray", region=region)
    assert np.array_equal(client.asked[0]["image"].array, values[3:9, 2:11, 4:7])
    expected = np.zeros(SHAPE, np.uint8)
    expected[3:9, 2:11, 4:7] = values[3:9, 2:11, 4:7] > 50
    assert same_points(
        segment_points(record.segmentationNode, record.segmentId, PARENTS[parents]),
        mask_points(expected, affine, PARENTS[parents]),
    )
    text_map = slicer.util.arrayFromVolume(record.pseudoImageNode).T
    assert np.array_equal(text_map > 0, expected > 0)
    assert record.pseudoImageNode.GetParentTransformNode() is volume.GetParentTransformNode()


def test_another_region_of_a_volume_is_another_image_for_the_process(logic, client, scene) -> None:
    volume = add_volume(scene, np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE), np.eye(4), name="volume")
    client.marked = bright
    logic.process(volume, "heart", model="chest-xray", region=box_of_voxels(scene, np.eye(4), (0, 0, 0), (5, 5, 5)))
    logic.process(volume, "heart", model="chest-xray", region=box_of_voxels(scene, np.eye(4), (1, 0, 0), (6, 5, 5)))
    logic.process(volume, "heart", model="chest-xray", region=box_of_voxels(scene, np.eye(4), (1, 0, 0), (6, 5, 5)))
    first, second, third = (one["signature"] for one in client.asked)
    assert first != second == third


def test_a_script_hears_what_is_wrong_with_a_region(logic, client, film, scene) -> None:
    with pytest.raises(ImageError, match="no voxel of film lies in the region"):
        logic.process(film, "left lung", region=box_of(scene, (999, 0, 0), (5, 5, 5)))
    assert client.asked == []
    assert not logic.isBusy
