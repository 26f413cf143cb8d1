"""A mask becomes a segment where its volume is seen in the world, under every orientation and every transform."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from TextGuidedSegPanel.provenance import Provenance, readProvenance
from TextGuidedSegPanel.segments import addSegment, newSegmentation, updateSegment

from Testing.slicer.mrml import (
    PARENTS,
    add_volume,
    add_warp,
    blob,
    mask_points,
    moved,
    orientations,
    put_below,
    read_segmentation,
    rotation,
    same_points,
    segment_points,
    shift,
    write_segmentation_node,
)

pytestmark = pytest.mark.slicer

SHAPE = (9, 8, 6)
STRAIGHT = np.diag([0.8, 1.1, 2.3, 1.0]) @ shift(3, -4, 5)
ELSEWHERE = (shift(-30, 10, 4) @ rotation(10, 50, -20),)


def found(phrase: str = "left lower lung opacity", answer: str = "found") -> Provenance:
    return Provenance(phrase, phrase, answer, 0.9, 0.5, "chest", "0" * 64, "0.1.0", "cpu", "2026-01-02T03:04:05+00:00")


def segments(node) -> list:
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(number) for number in range(segmentation.GetNumberOfSegments())]


@pytest.mark.parametrize("parents", PARENTS.values(), ids=PARENTS)
@pytest.mark.parametrize("number", range(48))
def test_a_new_segment_lies_where_the_volume_is_seen(scene, number: int, parents) -> None:
    mask, affine = blob(SHAPE), orientations()[number]
    volume = add_volume(scene, np.zeros(SHAPE, np.float32), affine, parents=parents)
    node = newSegmentation(volume)
    segment_id = addSegment(mask, volume, node, found())

    expected = mask_points(mask, affine, parents)
    assert same_points(segment_points(node, segment_id, parents), expected)
    assert node.GetParentTransformNode() is volume.GetParentTransformNode()
    read_back = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume)
    assert np.array_equal(read_back, mask.transpose(2, 1, 0))


@pytest.mark.parametrize("parents", PARENTS.values(), ids=PARENTS)
def test_the_surface_of_a_segment_encloses_its_voxels_in_the_world(scene, parents) -> None:
    mask, affine = blob(SHAPE), rotation(15, 20, 25) @ STRAIGHT
    volume = add_volume(scene, np.zeros(SHAPE, np.float32), affine, parents=parents)
    node = newSegmentation(volume)
    addSegment(mask, volume, node, found())
    node.CreateClosedSurfaceRepresentation()
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    points = mask_points(mask, affine, parents)
    assert np.allclose(np.add(bounds[::2], bounds[1::2]) / 2, (points.min(axis=0) + points.max(axis=0)) / 2, atol=1.5)


@pytest.mark.parametrize("singleton", range(3))
@pytest.mark.parametrize("number", range(0, 48, 5))
def test_a_film_of_one_slice_works_in_any_orientation(scene, number: int, singleton: int) -> None:
    shape = [20, 17]
    shape.insert(singleton, 1)
    mask, affine, parents = blob(shape), orientations()[number], PARENTS["nested"]
    film = add_volume(scene, np.zeros(shape, np.float32), affine, parents=parents)
    node = newSegmentation(film)
    segment_id = addSegment(mask, film, node, found())
    assert same_points(segment_points(node, segment_id, parents), mask_points(mask, affine, parents))


@pytest.mark.parametrize("target", [(), ELSEWHERE], ids=["no transform", "another transform"])
@pytest.mark.parametrize("parents", PARENTS.values(), ids=PARENTS)
def test_an_existing_segmentation_elsewhere_gets_the_mask_in_the_right_place(scene, parents, target) -> None:
    mask, affine = blob(SHAPE), orientations()[29]
    volume = add_volume(scene, np.zeros(SHAPE, np.float32), affine, parents=parents)
    other = add_volume(scene, np.zeros((12, 12, 12), np.float32), np.diag([4.0, 4, 4, 1]), parents=target)
    node = newSegmentation(other)
    other_id = addSegment(blob((12, 12, 12)), other, node, found("heart"))
    before = segment_points(node, other_id, target)

    segment_id = addSegment(mask, volume, node, found())

    assert same_points(segment_points(node, segment_id, target), mask_points(mask, affine, parents), 1e-3)
    assert np.array_equal(segment_points(node, other_id, target), before)
    assert node.GetParentTransformNode() is other.GetParentTransformNode()


def test_a_segment_under_a_warp_shared_with_the_volume_keeps_every_voxel(scene) -> None:
    mask, warp = blob(SHAPE), add_warp(scene)
    volume = add_volume(scene, np.zeros(SHAPE, np.float32), STRAIGHT)
    volume.SetAndObserveTransformNodeID(warp.GetID())
    node = newSegmentation(volume)
    segment_id = addSegment(mask, volume, node, found())
    assert node.GetTransformNodeID() == warp.GetID()
    assert same_points(segment_points(node, segment_id), mask_points(mask, STRAIGHT))


@pytest.mark.parametrize("shape", [(30, 28, 20), (40, 1, 36)], ids=["volume", "film"])
def test_a_warp_between_volume_and_segmentation_is_followed_within_a_voxel(scene, shape) -> None:
    mask, affine, warp = blob(shape), np.diag([1.5, 1.5, 1.5, 1.0]), add_warp(scene)
    volume = add_volume(scene, np.zeros(shape, np.float32), affine)
    volume.SetAndObserveTransformNodeID(warp.GetID())
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    other = add_volume(scene, np.zeros((5, 5, 5), np.float32), np.eye(4))
    node.SetReferenceImageGeometryParameterFromVolumeNode(other)
    segment_id = addSegment(mask, volume, node, found())

    to_world = warp.GetTransformToParent()
    expected = np.array([to_world.TransformPoint(*point) for point in mask_points(mask, affine)])
    points = segment_points(node, segment_id)
    assert np.linalg.norm(points.mean(axis=0) - expected.mean(axis=0)) < 1.5
    nearest = np.linalg.norm(points[:, None] - expected[None], axis=2).min(axis=1)
    assert nearest.max() < 1.5 * np.sqrt(3)
    assert 0.8 < len(points) / len(expected) < 1.25


def test_the_segment_follows_when_the_volume_is_moved_afterwards(scene) -> None:
    mask = blob(SHAPE)
    volume = add_volume(scene, np.zeros(SHAPE, np.float32), STRAIGHT, parents=PARENTS["linear"])
    node = newSegmentation(volume)
    addSegment(mask, volume, node, found())
    put_below(volume.GetParentTransformNode(), (shift(0, 0, 100),))
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    points = mask_points(mask, STRAIGHT, (shift(0, 0, 100), *PARENTS["linear"]))
    assert bounds[4] < points[:, 2].min() + 0.1
    assert bounds[5] > points[:, 2].max() - 0.1


@pytest.mark.parametrize("parents", PARENTS.values(), ids=PARENTS)
def test_the_reference_geometry_is_the_volumes_own_grid(scene, parents) -> None:
    affine = orientations()[7]
    volume = add_volume(scene, np.zeros(SHAPE, np.float32), affine, parents=parents)
    node = newSegmentation(volume)
    stored = node.GetSegmentation().GetConversionParameter("Reference image geometry")
    numbers = np.array([float(number) for number in stored.split(";") if number])
    assert np.allclose(numbers[:16].reshape(4, 4), affine, atol=1e-3)
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is volume


def test_an_untouched_empty_segmentation_is_laid_on_the_volume(scene) -> None:
    mask, parents = blob(SHAPE), PARENTS["oblique"]
    volume = add_volume(scene, np.zeros(SHAPE, np.float32), STRAIGHT, parents=parents)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segment_id = addSegment(mask, volume, node, found())
    assert node.GetParentTransformNode() is volume.GetParentTransformNode()
    assert node.GetDisplayNode() is not None
    assert same_points(segment_points(node, segment_id, parents), mask_points(mask, STRAIGHT, parents))


def test_a_segmentation_that_was_placed_or_filled_by_someone_stays_in_its_frame(scene) -> None:
    mask, parents = blob(SHAPE), PARENTS["linear"]
    volume = add_volume(scene, np.zeros(SHAPE, np.float32), STRAIGHT, parents=parents)
    placed = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    put_below(placed, ELSEWHERE)
    filled = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    filled.GetSegmentation().AddEmptySegment("drawn", "drawn")
    for node, frame in ((placed, ELSEWHERE), (filled, ())):
        before = node.GetTransformNodeID()
        segment_id = addSegment(mask, volume, node, found())
        assert node.GetTransformNodeID() == before
        assert same_points(segment_points(node, segment_id, frame), mask_points(mask, STRAIGHT, parents), 1e-3)


@pytest.mark.parametrize("parents", PARENTS.values(), ids=PARENTS)
def test_an_empty_mask_is_a_legal_segment_and_survives_a_file(scene, tmp_path, parents) -> None:
    volume = add_volume(scene, np.zeros(SHAPE, np.float32), STRAIGHT, parents=parents)
    node = newSegmentation(volume)
    addSegment(blob(SHAPE), volume, node, found())
    empty_id = addSegment(np.zeros(SHAPE, np.uint8), volume, node, found("pneumothorax", "not_found"))
    assert len(segment_points(node, empty_id)) == 0
    write_segmentation_node(node, tmp_path / "empty.seg.nrrd")
    again = read_segmentation(scene, tmp_path / "empty.seg.nrrd")
    assert [segment.GetName() for segment in segments(again)] == ["left lower lung opacity", "pneumothorax"]
    assert len(segment_points(again, empty_id)) == 0


@pytest.mark.parametrize("shared", [False, True], ids=["own layer", "shared layer"])
@pytest.mark.parametrize("parents", [(), PARENTS["linear"]], ids=["same frame", "other frame"])
def test_an_update_replaces_one_mask_and_leaves_the_others_alone(scene, parents, shared) -> None:
    low, high = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    low[1:3, 1:4, 1:3], high[5:8, 4:7, 2:5] = 1, 1
    volume = add_volume(scene, np.zeros(SHAPE, np.float32), STRAIGHT)
    node = newSegmentation(volume)
    ids = [addSegment(mask, volume, node, found(name)) for mask, name in ((low, "low"), (high, "high"))]
    node.CreateClosedSurfaceRepresentation()
    if shared:
        node.GetSegmentation().CollapseBinaryLabelmaps(False)
        assert node.GetSegmentation().GetNumberOfLayers() == 1
    put_below(volume, parents)
    wider = blob(SHAPE)
    surface_before = node.GetClosedSurfaceInternalRepresentation(ids[0]).GetBounds()

    updateSegment(wider, volume, node, ids[0], found("low", "unsure"))

    assert same_points(segment_points(node, ids[0]), mask_points(wider, STRAIGHT, parents), 1e-3)
    assert same_points(segment_points(node, ids[1]), mask_points(high, STRAIGHT))
    assert node.GetClosedSurfaceInternalRepresentation(ids[0]).GetBounds() != surface_before
    assert readProvenance(segments(node)[0]).answer == "unsure"
    assert [segment.GetName() for segment in segments(node)] == ["low", "high"]


def test_an_update_to_nothing_and_back_works(scene) -> None:
    volume = add_volume(scene, np.zeros(SHAPE, np.float32), STRAIGHT)
    node = newSegmentation(volume)
    segment_id = addSegment(blob(SHAPE), volume, node, found())
    updateSegment(np.zeros(SHAPE, np.uint8), volume, node, segment_id, found())
    assert len(segment_points(node, segment_id)) == 0
    updateSegment(blob(SHAPE), volume, node, segment_id, found())
    assert same_points(segment_points(node, segment_id), mask_points(blob(SHAPE), STRAIGHT))


def test_the_points_of_a_mask_are_moved_as_the_matrices_say() -> None:
    mask = np.zeros((2, 2, 2), np.uint8)
    mask[1, 0, 0] = 1
    turned = mask_points(mask, np.diag([2.0, 1, 1, 1]), (shift(10, 0, 0), rotation(0, 0, 90)))
    assert np.allclose(turned, [[10, 2, 0]])
    assert np.allclose(moved(rotation(90, 0, 0), np.array([[0.0, 1, 0]])), [[0, 0, 1]])
