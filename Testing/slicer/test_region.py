"""A region of interest becomes the right box of voxels under any transforms, and nothing of a result is outside it."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from TextGuidedSegPanel.inferenceRecords import PhraseResult
from TextGuidedSegPanel.regionOfInterest import OUTSIDE, RunRegion, newRegion, regionOf
from TextGuidedSegPanel.scene import geometryOf, imageFromVolume

from Testing.slicer.mrml import (
    PARENTS,
    add_volume,
    add_warp,
    chained,
    matrix4x4,
    moved,
    orientations,
    put_below,
    rotation,
    shift,
)
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.worker_protocol import tight_crop, uncropped

pytestmark = pytest.mark.slicer

SHAPE = (12, 10, 9)
SIZE_MM = (5.3, 4.1, 7.7)


def add_roi(scene, place, size_mm=SIZE_MM, *, parents=()):
    """A region of interest with its object frame at `place`, a homogeneous matrix in its own frame."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "region")
    node.SetAndObserveObjectToNodeMatrix(matrix4x4(place))
    node.SetSize(*size_mm)
    put_below(node, parents)
    return node


def expected_bounds(affine, volume_parents, place, size_mm, roi_parents):
    """The box by plain matrix arithmetic: corners to the world, then to the voxels, then voxel by voxel."""
    corners = np.array(list(itertools.product((-0.5, 0.5), repeat=3))) * size_mm
    in_world = moved(chained(roi_parents) @ place, corners)
    in_voxels = moved(np.linalg.inv(chained(volume_parents) @ affine), in_world)
    low, high = in_voxels.min(axis=0) - 1e-6, in_voxels.max(axis=0) + 1e-6
    bounds = []
    for axis, size in enumerate(SHAPE):
        inside = [index for index in range(size) if low[axis] <= index <= high[axis]]
        bounds.append((inside[0], inside[-1] + 1))
    return tuple(bounds)


def inside_of(affine, parents) -> np.ndarray:
    """World coordinates near the middle of a volume."""
    return moved(chained(parents) @ affine, np.array([[5.2, 4.4, 3.9]]))[0]


@pytest.mark.parametrize("volume_parents", PARENTS)
@pytest.mark.parametrize("roi_parents", ["none", "linear", "nested"])
@pytest.mark.parametrize("turn", [(0, 0, 0), (0, 0, 35), (25, -40, 10)])
def test_the_box_is_right_below_any_transforms_and_turned(scene, volume_parents, roi_parents, turn) -> None:
    affine = orientations()[17]
    volume = add_volume(scene, np.zeros(SHAPE, np.int16), affine, parents=PARENTS[volume_parents])
    center = inside_of(affine, PARENTS[volume_parents])
    place = np.linalg.inv(chained(PARENTS[roi_parents])) @ shift(*center) @ rotation(*turn)
    if roi_parents != "none":  # its own frame is not the world's: the object's axes there need not be straight
        place = shift(*place[:3, 3]) @ rotation(*turn)
    roi = add_roi(scene, place, parents=PARENTS[roi_parents])
    region = regionOf(roi, volume)
    assert region.bounds == expected_bounds(affine, PARENTS[volume_parents], place, SIZE_MM, PARENTS[roi_parents])
    assert region.geometry.close_to(Geometry(SHAPE, affine))


def test_the_box_of_all_orientations_holds_the_same_voxels_of_the_world(scene) -> None:
    for affine in orientations():
        center = inside_of(affine, ())
        place = shift(*center)
        volume = add_volume(scene, np.zeros(SHAPE, np.int16), affine)
        assert regionOf(add_roi(scene, place), volume).bounds == expected_bounds(affine, (), place, SIZE_MM, ())


def test_a_region_below_the_volumes_own_transform_moves_along(scene) -> None:
    affine = orientations()[5]
    volume = add_volume(scene, np.zeros(SHAPE, np.int16), affine)
    roi = add_roi(scene, shift(*inside_of(affine, ())))
    before = regionOf(roi, volume).bounds
    for node in (volume, roi):
        put_below(node, PARENTS["oblique"])
    assert regionOf(roi, volume).bounds == before


def test_below_a_warp_the_box_holds_the_whole_region(scene) -> None:
    affine = orientations()[0]
    volume = add_volume(scene, np.zeros(SHAPE, np.int16), affine)
    roi = add_roi(scene, shift(*inside_of(affine, ())))
    plain = regionOf(roi, volume).bounds
    roi.SetAndObserveTransformNodeID(add_warp(scene, 1.0).GetID())
    bent = regionOf(roi, volume).bounds
    assert bent != plain
    assert np.abs(np.subtract(bent, plain)).max() <= 6


def test_voxels_on_the_border_belong_to_it(scene) -> None:
    volume = add_volume(scene, np.zeros(SHAPE, np.int16), np.eye(4))
    roi = add_roi(scene, shift(5, 4, 3), (4, 2, 2))
    assert regionOf(roi, volume).bounds == ((3, 8), (3, 6), (2, 5))


def test_it_is_clipped_to_the_image_and_a_film_has_no_depth(scene) -> None:
    volume = add_volume(scene, np.zeros(SHAPE, np.int16), np.eye(4))
    assert regionOf(add_roi(scene, shift(0, 0, 0), (8, 400, 8)), volume).bounds == ((0, 5), (0, 10), (0, 5))
    film = add_volume(scene, np.zeros((40, 30, 1), np.int16), np.eye(4))
    far_behind = add_roi(scene, shift(10, 10, 99), (4, 4, 2))
    assert regionOf(far_behind, film).bounds == ((8, 13), (8, 13), (0, 1))


def test_none_is_the_whole_image(scene) -> None:
    assert regionOf(None, add_volume(scene, np.zeros(SHAPE, np.int16), np.eye(4))) is None


def test_a_region_beside_the_image_or_not_placed_is_refused(scene) -> None:
    volume = add_volume(scene, np.zeros(SHAPE, np.int16), np.eye(4))
    with pytest.raises(ImageError, match="no voxel of film lies in the region region; move or enlarge it"):
        regionOf(add_roi(scene, shift(50, 0, 0)), volume)
    with pytest.raises(ImageError, match="no voxel"):  # between two voxels
        regionOf(add_roi(scene, shift(5.5, 4, 3), (0.4, 4, 4)), volume)
    with pytest.raises(ImageError, match="has not been placed"):
        regionOf(scene.AddNewNodeByClass("vtkMRMLMarkupsROINode"), volume)
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    with pytest.raises(ImageError, match="has no voxels"):
        regionOf(add_roi(scene, shift(5, 4, 3)), empty)


@pytest.mark.parametrize("parents", PARENTS)
@pytest.mark.parametrize("number", [0, 11, 30, 47])
def test_a_new_region_is_the_middle_of_the_image(scene, parents: str, number: int) -> None:
    affine = orientations()[number] @ rotation(10, 20, 30)
    volume = add_volume(scene, np.zeros((20, 10, 10), np.int16), affine, parents=PARENTS[parents])
    roi = newRegion(volume)
    assert regionOf(roi, volume).bounds == ((4, 16), (2, 8), (2, 8))
    assert roi.GetDisplayNode() is not None
    assert newRegion(volume).GetName() != roi.GetName()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 1.3, 9.0), (2.0, 3.0, 30.0)])
@pytest.mark.parametrize("largest", [80.0, 17.0, 1.0])
def test_a_new_region_is_no_larger_than_a_model_expects(scene, spacing, largest: float) -> None:
    shape = tuple(int(200 / size) for size in spacing)
    volume = add_volume(scene, np.zeros(shape, np.int16), np.diag([*spacing, 1.0]))
    region = regionOf(newRegion(volume, largest), volume)
    for (low, high), size, count in zip(region.bounds, spacing, shape, strict=True):
        assert (high - low) * size <= max(largest, 2 * size)  # one layer of voxels at least, two around the middle
        assert abs((low + high) / 2 - count / 2) <= 1
    assert regionOf(newRegion(volume, 1000.0), volume).bounds == regionOf(newRegion(volume), volume).bounds


def test_the_part_of_a_ct_without_air_is_still_a_ct(scene) -> None:
    values = np.random.default_rng(0).integers(0, 99, SHAPE).astype(np.int16)
    values[0] = -1024
    volume = add_volume(scene, values, np.eye(4))
    image = imageFromVolume(volume)
    seen = RunRegion(BOUNDS, image.geometry).seen(image)
    assert (image.modality, seen.modality) == (None, "CT")
    assert seen.array.min() >= 0


def test_a_new_region_of_a_film_is_seen_from_the_side_too(scene) -> None:
    film = add_volume(scene, np.zeros((40, 30, 1), np.int16), np.diag([0.2, 0.2, 0.2, 1]))
    roi = newRegion(film)
    assert regionOf(roi, film).bounds == ((8, 32), (6, 24), (0, 1))
    assert max(roi.GetSize()) >= 20


def answered(image: Image, probability: np.ndarray, **changes) -> PhraseResult:
    """What a model that saw this image says."""
    values = {
        "requestId": 1, "phraseIndex": 0, "phrase": "heart", "answer": "found", "model": "m", "device": "cpu",
        "presence": 0.9, "threshold": 0.5, "warnings": ("one",), "seconds": 0.1,
        "tags": {"TextGuidedSeg.Answer": "found", "TextGuidedSeg.Phrase": "heart"},
        "geometry": image.geometry, "probability": tight_crop(probability, 0.005),
        "pseudoImage": uncropped(np.ones(image.geometry.shape, np.float32)),
    }  # fmt: skip
    return PhraseResult(**(values | changes))


BOUNDS = ((2, 9), (1, 10), (3, 7))


def test_of_a_volume_the_model_sees_the_box_at_its_place_and_the_result_comes_back_there(scene) -> None:
    values = np.random.default_rng(0).integers(0, 99, SHAPE).astype(np.int16)
    volume = add_volume(scene, values, orientations()[23])
    image = imageFromVolume(volume)
    region = RunRegion(BOUNDS, image.geometry)
    seen = region.seen(image)
    assert np.array_equal(seen.array, values[2:9, 1:10, 3:7])
    assert not np.shares_memory(seen.array, image.array)
    assert seen.axis_codes == image.axis_codes
    corner = seen.geometry.ijk_to_ras_mm([[0, 0, 0]])
    assert np.allclose(corner, image.geometry.ijk_to_ras_mm([[2, 1, 3]]))
    probability = np.zeros(seen.geometry.shape, np.float32)
    probability[1:3, 2:5, 0:2] = 0.8
    limited = region.limited(answered(seen, probability))
    expected = np.zeros(SHAPE, np.float32)
    expected[3:5, 3:6, 3:5] = 0.8
    assert np.array_equal(limited.probability.whole(), expected)
    pseudo_image = limited.pseudoImage.whole()
    assert pseudo_image[2:9, 1:10, 3:7].all()
    assert np.count_nonzero(pseudo_image) == 7 * 9 * 4
    assert limited.geometry.close_to(image.geometry)
    assert limited.answer == "found"
    assert limited.tags["TextGuidedSeg.Region"] == "2:9,1:10,3:7"
    assert limited.tags["TextGuidedSeg.Phrase"] == "heart"


def test_what_lies_on_the_other_side_than_the_phrase_says_is_told(scene) -> None:
    image = imageFromVolume(add_volume(scene, np.zeros((40, 30, 20), np.int16), np.eye(4)))
    region = RunRegion(((2, 12), (5, 20), (4, 16)), image.geometry)  # the first axis runs to the right
    seen = region.seen(image)
    probability = np.full(seen.geometry.shape, 0.8, np.float32)
    sentence = "The phrase says right, but 100% of the result lies in the left half"
    limited = region.limited(answered(seen, probability, phrase="right hippocampus"))
    assert limited.warnings[1].startswith(sentence)
    assert json.loads(limited.tags["TextGuidedSeg.Warnings"])[1].startswith(sentence)
    for phrase, codes in (("left hippocampus", None), ("hippocampus", None), ("right hippocampus", ("L", "A", "S"))):
        assert region.limited(answered(seen, probability, phrase=phrase), codes).warnings == ("one",)
    assert region.limited(answered(seen, probability, phrase="right ventricle")).warnings == ("one",), "a name"
    nothing = answered(seen, np.zeros_like(probability), phrase="right hippocampus", answer="not_found")
    assert region.limited(nothing).warnings == ("one",)


def test_a_slab_of_one_slice_is_still_a_volume(scene) -> None:
    image = imageFromVolume(add_volume(scene, np.zeros((40, 30, 9), np.int16), np.eye(4)))
    assert RunRegion(((0, 40), (0, 30), (4, 5)), image.geometry).seen(image).kind == "volume"


def a_film() -> Image:
    return Image.from_array(np.random.default_rng(0).random((30, 40)))


def test_a_film_is_seen_whole_and_its_result_is_cut() -> None:
    film = a_film()
    region = RunRegion(((10, 25), (5, 20), (0, 1)), film.geometry)
    assert region.seen(film) is film
    probability = np.zeros(film.geometry.shape, np.float32)
    probability[5:15, 8:28] = 0.8
    limited = region.limited(answered(film, probability))
    expected = np.zeros_like(probability)
    expected[10:15, 8:20] = 0.8
    assert np.array_equal(limited.probability.whole(), expected)
    pseudo_image = limited.pseudoImage.whole()
    assert pseudo_image[10:25, 5:20].all()
    assert np.count_nonzero(pseudo_image) == 15 * 15
    assert (limited.answer, limited.warnings) == ("found", ("one",))


def test_a_result_that_lies_outside_is_not_found_and_says_so() -> None:
    film = a_film()
    region = RunRegion(((30, 40), (0, 5), (0, 1)), film.geometry)
    probability = np.zeros(film.geometry.shape, np.float32)
    probability[5:15, 8:28] = 0.8
    limited = region.limited(answered(film, probability))
    assert not limited.probability.whole().any()
    assert (limited.answer, limited.warnings) == ("not_found", ("one", OUTSIDE))
    assert limited.tags["TextGuidedSeg.Answer"] == "not_found"
    assert json.loads(limited.tags["TextGuidedSeg.Warnings"]) == ["one", OUTSIDE]


def test_an_answer_without_a_segment_stays_what_it_was() -> None:
    film = a_film()
    region = RunRegion(((30, 40), (0, 5), (0, 1)), film.geometry)
    limited = region.limited(answered(film, np.zeros(film.geometry.shape, np.float32), answer="negated"))
    assert (limited.answer, limited.warnings) == ("negated", ("one",))


def test_the_grid_of_a_volume_is_read_without_its_transform(scene) -> None:
    volume = add_volume(scene, np.zeros(SHAPE, np.int16), orientations()[9], parents=PARENTS["linear"])
    assert geometryOf(volume).close_to(Geometry(SHAPE, orientations()[9]))
