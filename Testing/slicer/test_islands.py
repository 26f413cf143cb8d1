"""The island that is pointed at is found, kept or removed, wherever the segment is moved, on whatever grid."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from TextGuidedSegPanel.islands import islandAt, keepIsland, pointedAt, removeIsland
from TextGuidedSegPanel.segments import addSegment, newSegmentation

from Testing.slicer.correcting import found
from Testing.slicer.mrml import (
    PARENTS,
    add_volume,
    add_warp,
    mask_points,
    orientations,
    same_points,
    segment_points,
    shift,
)
from Testing.slicer.panel_fixtures import FILM_AFFINE
from TextGuidedSegLib.errors import TextGuidedSegError

pytestmark = pytest.mark.slicer

SHAPE = (12, 11, 9)
STRAIGHT = np.diag([0.8, 1.1, 2.3, 1.0]) @ shift(3, -4, 5)


def two_islands(shape=SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """Two blocks of different sizes that touch at an edge only, which does not join them."""
    first, second = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    depth = slice(1, 4) if shape[2] > 1 else slice(0, 1)
    first[2:5, 2:6, depth] = 1
    second[5:9, 6:9, depth] = 1
    return first, second


def made(scene, affine, parents=(), shape=SHAPE):
    """Segmentation node and segment of the two islands."""
    volume = add_volume(scene, np.zeros(shape, np.float32), affine, parents=parents)
    node = newSegmentation(volume)
    first, second = two_islands(shape)
    return node, addSegment(first | second, volume, node, found())


@pytest.mark.parametrize("parents", PARENTS.values(), ids=PARENTS)
@pytest.mark.parametrize("number", range(48))
def test_the_island_at_a_place_in_the_world_is_kept_or_removed(scene, number: int, parents) -> None:
    affine = orientations()[number]
    first, second = two_islands()
    node, segment_id = made(scene, affine, parents)
    points = mask_points(first, affine, parents)
    place = points[len(points) // 2]

    island = islandAt(node, segment_id, place)
    assert island.inside.sum() == first.sum()
    removeIsland(island, node, segment_id)
    assert same_points(segment_points(node, segment_id, parents), mask_points(second, affine, parents))
    assert islandAt(node, segment_id, place) is None

    node, segment_id = made(scene, affine, parents)
    keepIsland(islandAt(node, segment_id, place), node, segment_id)
    assert same_points(segment_points(node, segment_id, parents), points)


@pytest.mark.parametrize("parents", PARENTS.values(), ids=PARENTS)
def test_what_is_kept_and_what_is_removed_are_the_whole(scene, parents) -> None:
    first, second = two_islands()
    for mask in (first, second):
        place = mask_points(mask, STRAIGHT, parents)[0]
        left = []
        for change in (keepIsland, removeIsland):
            node, segment_id = made(scene, STRAIGHT, parents)
            change(islandAt(node, segment_id, place), node, segment_id)
            left.append(segment_points(node, segment_id, parents))
        assert same_points(np.concatenate(left), mask_points(first | second, STRAIGHT, parents))


@pytest.mark.parametrize("offset", [-0.49, 0.0, 0.49])
def test_a_film_is_met_before_and_behind_its_plane(scene, offset: float) -> None:
    node, segment_id = made(scene, FILM_AFFINE, shape=(12, 11, 1))
    first, _ = two_islands((12, 11, 1))
    normal = FILM_AFFINE[:3, 2]
    for point in mask_points(first, FILM_AFFINE):
        assert islandAt(node, segment_id, point + offset * normal).inside.sum() == first.sum()
    assert islandAt(node, segment_id, mask_points(first, FILM_AFFINE)[0] + 3 * normal) is None


def test_the_nearer_of_two_islands_is_meant(scene) -> None:
    node, segment_id = made(scene, np.eye(4))
    first, second = two_islands()
    for x, y, mask in ((4.4, 5.4, first), (4.6, 5.6, second)):
        assert islandAt(node, segment_id, (x, y, 2)).inside.sum() == mask.sum()


def test_places_without_the_segment_give_no_island(scene) -> None:
    node, segment_id = made(scene, np.eye(4))
    for place in ((0, 0, 0), (11, 10, 8), (-1000, 0, 0), (8, 2, 2)):
        assert islandAt(node, segment_id, place) is None


def test_under_a_warp_the_place_on_the_screen_counts(scene) -> None:
    node, segment_id = made(scene, STRAIGHT)
    warp = add_warp(scene)
    node.SetAndObserveTransformNodeID(warp.GetID())
    first, _ = two_islands()
    point = mask_points(first, STRAIGHT)[10]
    seen = warp.GetTransformToParent().TransformPoint(point)
    assert np.linalg.norm(seen - point) > 1
    assert islandAt(node, segment_id, seen).inside.sum() == first.sum()


def test_other_segments_keep_every_voxel_even_in_the_same_layer(scene) -> None:
    affine = orientations()[7]
    node, segment_id = made(scene, affine)
    third = np.zeros(SHAPE, np.uint8)
    third[9:11, 1:4, 5:8] = 1
    volume = slicer.util.getNode("film")
    other_id = addSegment(third, volume, node, found("other"))
    node.GetSegmentation().CollapseBinaryLabelmaps(False)
    first, second = two_islands()
    removeIsland(islandAt(node, segment_id, mask_points(first, affine)[0]), node, segment_id)
    assert same_points(segment_points(node, other_id), mask_points(third, affine))
    assert same_points(segment_points(node, segment_id), mask_points(second, affine))


def test_the_only_island_leaves_an_empty_segment_and_then_nothing_is_found(scene) -> None:
    node, segment_id = made(scene, np.eye(4))
    first, second = two_islands()
    for mask in (first, second):
        removeIsland(islandAt(node, segment_id, mask_points(mask, np.eye(4))[0]), node, segment_id)
    assert len(segment_points(node, segment_id)) == 0
    assert islandAt(node, segment_id, (3, 3, 2)) is None


def test_a_segmentation_of_surfaces_is_refused(scene) -> None:
    node, segment_id = made(scene, np.eye(4))
    node.CreateClosedSurfaceRepresentation()
    node.SetSourceRepresentationToClosedSurface()
    with pytest.raises(TextGuidedSegError, match="made of surfaces"):
        islandAt(node, segment_id, (3, 3, 2))


def test_the_mouse_counts_before_the_crosshair_and_an_unset_crosshair_not_at_all(scene) -> None:
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode") or scene.AddNode(slicer.vtkMRMLCrosshairNode())
    crosshair.SetCrosshairRAS(0, 0, 0)
    crosshair.SetCursorPositionInvalid()
    assert pointedAt(scene) is None
    crosshair.SetCrosshairRAS(1, 2, 3)
    assert pointedAt(scene) == (1, 2, 3)
    crosshair.SetCursorPositionRAS([4, 5, 6])
    assert pointedAt(scene) == (4, 5, 6)
    crosshair.SetCursorPositionInvalid()
    assert pointedAt(scene) == (1, 2, 3)
