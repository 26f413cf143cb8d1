"""A volume node becomes an image of the library: same voxels, same world, the right left and right."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from TextGuidedSegPanel.scene import TURNED, imageFromVolume, putVoxels

from Testing.slicer.mrml import (
    PARENTS,
    add_volume,
    add_warp,
    axis_letters,
    from_matrix4x4,
    mask_points,
    moved,
    orientations,
    put_below,
    rotation,
)
from TextGuidedSegLib.errors import GeometryError, ImageError
from TextGuidedSegLib.image import ORIENTATION_ASSUMED

pytestmark = pytest.mark.slicer

SHAPE = (5, 4, 3)
FILM = (20, 17, 1)
# How Slicer loads a picture without an orientation: LPS identity, whose rows run backwards through the patient.
PICTURE = np.diag([-1.0, -1.0, 1.0, 1.0])
CORONAL = np.array([[-1.0, 0, 0, 9], [0, 0, 1.0, -7], [0, -1.0, 0, 30], [0, 0, 0, 1]])


def counting(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


@pytest.mark.parametrize("number", range(48))
def test_voxels_and_world_are_those_of_the_node(scene, number: int) -> None:
    affine, array = orientations()[number], counting(SHAPE)
    image = imageFromVolume(add_volume(scene, array, affine, parents=PARENTS["linear"]))
    assert image.array.dtype == np.int16
    assert np.array_equal(image.array, array)
    assert np.allclose(image.geometry.affine_ijk_to_ras, affine)
    assert image.axis_codes == axis_letters(affine)
    assert (image.kind, image.modality, image.warnings, image.source) == ("volume", None, (), "film")


@pytest.mark.parametrize("number", range(48))
def test_the_patients_left_in_the_canonical_frame_is_left_in_the_world(scene, number: int) -> None:
    affine, parents = orientations()[number], (rotation(8, -11, 14),)
    image = imageFromVolume(add_volume(scene, counting(SHAPE), affine, parents=parents))
    canonical, step = image.canonical()
    left = np.zeros(canonical.shape, np.uint8)
    left[0] = 1  # the first axis runs from left to right
    points, everything = (mask_points(step.undo(part), affine, parents) for part in (left, np.ones_like(left)))
    assert points[:, 0].mean() < everything[:, 0].mean()


def test_the_image_is_a_copy(scene) -> None:
    volume = add_volume(scene, counting(SHAPE), np.eye(4))
    image = imageFromVolume(volume)
    slicer.util.arrayFromVolume(volume)[:] = 0
    assert np.array_equal(image.array, counting(SHAPE))


def test_a_transform_that_mirrors_or_turns_the_volume_counts_for_left_and_right(scene) -> None:
    volume = add_volume(scene, counting(SHAPE), np.eye(4), parents=(np.diag([-1.0, 1, 1, 1]),))
    mirrored = imageFromVolume(volume)
    put_below(volume, (rotation(0, 0, 90),))
    turned = imageFromVolume(volume)
    assert (mirrored.axis_codes, mirrored.warnings) == (("L", "A", "S"), (TURNED,))
    assert (turned.axis_codes, turned.warnings) == (("A", "L", "S"), (TURNED,))
    assert np.allclose(turned.geometry.affine_ijk_to_ras, np.eye(4))


def test_a_small_warp_leaves_the_directions_as_they_are(scene) -> None:
    volume = add_volume(scene, counting((30, 30, 20)), np.diag([2.0, 2.0, 3.0, 1.0]))
    volume.SetAndObserveTransformNodeID(add_warp(scene).GetID())
    image = imageFromVolume(volume)
    assert (image.axis_codes, image.warnings) == (("R", "A", "S"), ())


def test_a_transform_that_flattens_space_is_refused(scene) -> None:
    volume = add_volume(scene, counting(SHAPE), np.eye(4), parents=(np.diag([1.0, 0, 1, 1]),))
    with pytest.raises(GeometryError, match="invertible"):
        imageFromVolume(volume)


@pytest.mark.parametrize("singleton", range(3))
def test_a_picture_without_orientation_is_taken_as_displayed(scene, singleton: int) -> None:
    order = [0, 1]
    order.insert(singleton, 2)
    film = add_volume(scene, counting(FILM).transpose(order), PICTURE[:, [*order, 3]])
    image = imageFromVolume(film)
    assert image.axis_codes == tuple(("L", "I", "P")[axis] for axis in order)
    assert image.warnings == (ORIENTATION_ASSUMED,)
    assert image.kind == "film"


def test_a_coronal_film_is_believed(scene) -> None:
    image = imageFromVolume(add_volume(scene, counting(FILM), CORONAL))
    assert (image.axis_codes, image.warnings) == (("L", "I", "A"), ())


def test_a_picture_that_the_user_turned_upright_is_believed(scene) -> None:
    film = add_volume(scene, counting(FILM), PICTURE, parents=(CORONAL @ np.linalg.inv(PICTURE),))
    image = imageFromVolume(film)
    assert (image.axis_codes, image.warnings) == (("L", "I", "A"), (TURNED,))
    assert np.allclose(image.geometry.affine_ijk_to_ras, PICTURE)


def test_spacing_of_a_picture_file_is_not_believed(scene, tmp_path) -> None:
    film = add_volume(scene, counting(FILM).astype(np.uint8), PICTURE)
    assert imageFromVolume(film).spacing_known
    film.AddDefaultStorageNode()
    for name, is_known in (("film.PNG", False), ("film.nrrd", True)):
        film.GetStorageNode().SetFileName(str(tmp_path / name))
        assert imageFromVolume(film).spacing_known is is_known


def test_one_slice_of_a_ct_is_a_volume_and_of_a_radiograph_a_film(scene) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    volume = add_volume(scene, counting(FILM), CORONAL)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume)
    for modality, kind in (("CT", "volume"), ("CR", "film")):
        hierarchy.SetItemAttribute(item, "DICOM.Modality", modality)
        image = imageFromVolume(volume)
        assert (image.modality, image.kind) == (modality, kind)


class Database:
    """Stands in for Slicer's DICOM database: knows one film and answers "" for what it does not have."""

    def __init__(self, tags: dict[str, str]) -> None:
        self._tags = tags

    def instanceValue(self, instance: str, tag: str) -> str:  # noqa: N802 - the application's name
        return self._tags.get(tag, "") if instance == "1.2.3" else ""


def test_a_film_from_the_dicom_database_follows_its_tags(scene, monkeypatch: pytest.MonkeyPatch) -> None:
    # Stored as seen from behind: columns run to the patient's right.
    tags = {"0008,0060": "DX", "0020,0020": "R\\F", "0028,0030": "0.2\\0.2", "0028,1050": "100", "0028,1051": "50"}
    monkeypatch.setattr(slicer, "dicomDatabase", Database(tags), raising=False)
    film = add_volume(scene, counting(FILM), PICTURE)
    film.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    image = imageFromVolume(film)
    assert image.axis_codes[:2] == ("R", "I")
    assert (image.modality, image.warnings, image.spacing_known) == ("DX", (), True)
    assert (image.array.min(), image.array.max()) == pytest.approx((75.0, 124.0), abs=0.6)
    assert np.allclose(image.geometry.affine_ijk_to_ras, PICTURE)

    film.SetAttribute("DICOM.instanceUIDs", "9.9.9")  # another database
    assert imageFromVolume(film).axis_codes == ("L", "I", "P")


def test_a_lone_slice_of_a_scanner_is_a_thin_volume_and_a_centered_picture_a_film(scene) -> None:
    lying = np.diag([-0.7, -0.7, 5.0, 1.0])
    scanned = add_volume(scene, counting(FILM), lying)
    assert imageFromVolume(scanned).kind == "volume"
    centered = PICTURE.copy()
    centered[:2, 3] = [10.0, 8.5]
    picture = add_volume(scene, counting(FILM), centered)
    assert imageFromVolume(picture).kind == "volume"
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName("film.png")
    picture.SetAndObserveStorageNodeID(storage.GetID())
    assert imageFromVolume(picture).kind == "film"


def test_gray_stored_as_color_becomes_scalar_and_color_stays(scene) -> None:
    gray = counting(FILM).astype(np.uint8)
    color = np.stack([gray, gray, 255 - gray], axis=-1)
    opaque = np.full_like(gray, 255)
    for channels in ([gray] * 3, [gray] * 3 + [opaque], [gray, opaque]):
        image = imageFromVolume(add_volume(scene, np.stack(channels, axis=-1), PICTURE))
        assert np.array_equal(image.array, gray)
    assert np.array_equal(imageFromVolume(add_volume(scene, color, PICTURE)).array, color)
    with_alpha = np.concatenate([color, opaque[..., None]], axis=-1)
    assert np.array_equal(imageFromVolume(add_volume(scene, with_alpha, PICTURE)).array, color)


def test_a_label_map_and_an_empty_node_are_refused(scene) -> None:
    labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    with pytest.raises(ImageError, match="labels is a label map; choose the image"):
        imageFromVolume(labels)
    with pytest.raises(ImageError, match="empty has no voxels"):
        imageFromVolume(empty)


def test_an_image_too_small_is_refused_with_its_name(scene) -> None:
    with pytest.raises(ImageError, match=r"film: .*2 x 2"):
        imageFromVolume(add_volume(scene, counting((2, 2, 1)), CORONAL))


@pytest.mark.parametrize("number", range(0, 48, 7))
def test_voxels_put_into_a_node_come_back_at_the_same_place(scene, number: int) -> None:
    affine, values = orientations()[number], counting(SHAPE).astype(np.float32) / 60
    volume = add_volume(scene, counting(SHAPE), affine, parents=PARENTS["nested"])
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    putVoxels(node, values, volume)
    assert np.array_equal(imageFromVolume(node).array, values)
    assert node.GetParentTransformNode() is volume.GetParentTransformNode()
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    assert np.allclose(from_matrix4x4(matrix), affine)


def test_voxels_of_another_size_are_refused(scene) -> None:
    volume = add_volume(scene, counting(SHAPE), np.eye(4))
    with pytest.raises(ImageError, match=r"\(5, 4, 2\) voxels but film has \(5, 4, 3\)"):
        putVoxels(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode"), np.zeros((5, 4, 2), np.float32), volume)


def test_letters_of_an_affine_are_read_off_its_columns() -> None:
    assert axis_letters(CORONAL) == ("L", "I", "A")
    assert np.allclose(moved(CORONAL, np.zeros((1, 3))), [[9, -7, 30]])
