"""Accepted cases as training data: what is written is read back by `training`, voxel for voxel, on the image's grid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import slicer

from Testing.slicer import mrml
from Testing.slicer.panel_fixtures import FILM_AFFINE
from Testing.slicer.worklist_cases import (
    accept,
    by_text,
    case,
    draw,
    export,
    open_list,
    random_mask,
    write_film,
    write_volume,
)
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.phantom import chest_film
from training.datasets.films import load_mask
from training.datasets.index import check_splits

pytestmark = pytest.mark.slicer


@pytest.fixture(autouse=True)
def application(slicer_application) -> None:
    """`slicer.app` and the panel's package."""


def is_one_bit(path: Path) -> bool:
    """Depth and color type in the header of a PNG."""
    return path.read_bytes()[24:26] == b"\x01\x00"


@pytest.mark.parametrize("name", ["film.png", "film.nrrd", "film.nii.gz", "film.bmp"])
def test_a_films_masks_are_read_back_by_training_as_they_were_drawn(tmp_path, name: str) -> None:
    shape = write_film(tmp_path / name)
    session = open_list(tmp_path, [case(name, "left lung", "opacity", "heart", split="val", patient="p 1")])
    masks = {"left_lung": random_mask(shape, 1), "opacity": random_mask(shape, 2)}
    accept(session, 0, **masks)
    folder = export(session, "index", tmp_path / "out")
    rows = by_text(folder)
    assert set(rows) == {"left lung", "opacity", "heart"}
    image = read_image(rows["opacity"].image)
    assert np.array_equal(image.array, read_image(tmp_path / name).array)
    for text, expected in (
        *((name.replace("_", " "), mask) for name, mask in masks.items()),
        ("heart", 0 * image.array),
    ):
        assert np.array_equal(load_mask(rows[text].mask, image), expected > 0)
        assert is_one_bit(rows[text].mask)
    columns = rows["opacity"].columns
    assert (columns["split"], columns["kind"], columns["patient"], columns["label"]) == ("val", "opacity", "p 1", "1")
    assert float(columns["area"]) == pytest.approx(masks["opacity"].mean(), abs=1e-4)
    assert columns["edited"] == "1"  # nothing was proposed: a person drew it
    check_splits(list(rows.values()))


@pytest.mark.parametrize("parents", ["none", "linear", "oblique"])
@pytest.mark.parametrize("orientation", [0, 13, 40])
def test_a_volumes_masks_keep_every_voxel_and_its_place(scene, tmp_path, orientation, parents) -> None:
    affine = mrml.rotation(10, 20, 30) @ mrml.orientations()[orientation]
    shape = (20, 18, 12)
    write_volume(tmp_path / "a.nii.gz", affine, shape)
    session = open_list(tmp_path, [case("a.nii.gz", "left lung", "opacity")])
    session.open(0)
    mrml.put_below(session.opened.volumeNode, mrml.PARENTS[parents])
    session.opened.segmentationNode.SetAndObserveTransformNodeID(session.opened.volumeNode.GetTransformNodeID())
    masks = {"left lung": mrml.blob(shape), "opacity": random_mask(shape)}
    for text, mask in masks.items():
        draw(session, text, mask)
    session.accept()
    rows = by_text(export(session, "index", tmp_path / "out"))
    for text, expected in masks.items():
        image = read_image(rows[text].image)
        assert np.array_equal(load_mask(rows[text].mask, image), expected > 0)
        stored = read_image(rows[text].mask)
        assert stored.geometry.close_to(image.geometry)
        assert set(np.unique(stored.array)) == {0, int(rows[text].columns["label"])}
        assert rows[text].columns["label"] == str(session.labels.of(text).value)


def test_a_loaded_film_without_a_file_keeps_its_left_and_right(scene, tmp_path) -> None:
    film = chest_film(size=(72, 66)).array.T[:, :, None]
    turned = mrml.rotation(0, 0, 180)  # head down in its own frame, upright in the views
    mrml.add_volume(scene, film, turned @ FILM_AFFINE, name="my film", parents=(turned,))
    session = open_list(tmp_path, [case("my film", "left lung")])
    mask = np.zeros(film.shape, np.uint8)
    mask[20:, :5] = 1
    accept(session, 0, left_lung=mask)
    (row,) = by_text(export(session, "index", tmp_path / "out")).values()
    image = read_image(row.image)
    canonical, turn = image.canonical()
    assert np.array_equal(load_mask(row.mask, image), mask > 0)
    # As the slice views show it: the patient's left on the right of the picture.
    assert np.array_equal(canonical[:, :, 0].T, chest_film(size=(72, 66)).array.astype(canonical.dtype))
    assert np.array_equal(turn.apply(load_mask(row.mask, image)), mask > 0)


def test_what_was_edited_on_a_finer_grid_is_sampled_on_the_images_own(scene, tmp_path) -> None:
    from TextGuidedSegPanel.segments import addSegment

    write_volume(tmp_path / "a.nrrd", np.diag([2.0, 2.0, 2.0, 1.0]), (10, 10, 10))
    session = open_list(tmp_path, [case("a.nrrd", "left lung")])
    session.open(0)
    fine_affine = np.diag([1.0, 1.0, 1.0, 1.0])
    fine_affine[:3, 3] = -0.5
    fine = mrml.add_volume(scene, np.zeros((20, 20, 20), np.uint8), fine_affine, name="fine")
    from TextGuidedSegPanel.provenance import provenanceFromTags

    mask = np.zeros((20, 20, 20), np.uint8)
    mask[4:10, 6:12, 2:8] = 1
    provenance = provenanceFromTags({"TextGuidedSeg.Phrase": "left lung"})
    addSegment(mask, fine, session.opened.segmentationNode, provenance)
    session.accept()
    (row,) = by_text(export(session, "index", tmp_path / "out")).values()
    expected = np.zeros((10, 10, 10), bool)
    expected[2:5, 3:6, 1:4] = True
    assert np.array_equal(load_mask(row.mask, read_image(row.image)), expected)


@pytest.mark.parametrize("of_volume", mrml.PARENTS)
@pytest.mark.parametrize("of_segmentation", ["none", "oblique"])
def test_a_segment_is_read_on_the_images_grid_wherever_the_two_are_moved(scene, of_volume, of_segmentation) -> None:
    from TextGuidedSegPanel.provenance import provenanceFromTags
    from TextGuidedSegPanel.scene import maskOfSegment
    from TextGuidedSegPanel.segments import addSegment

    shape = (12, 15, 9)
    affine = mrml.rotation(10, 20, 30) @ mrml.orientations()[13]
    volume = mrml.add_volume(scene, np.zeros(shape, np.uint8), affine, parents=mrml.PARENTS[of_volume])
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    mrml.put_below(node, mrml.PARENTS[of_segmentation])
    provenance = provenanceFromTags({"TextGuidedSeg.Phrase": "left lung"})
    for mask in (mrml.blob(shape), np.zeros(shape, np.uint8)):
        segment_id = addSegment(mask, volume, node, provenance)
        assert np.array_equal(maskOfSegment(node, segment_id, volume), mask)


def test_nnunet_gets_its_layout_with_the_fixed_values_and_the_higher_label_on_top(tmp_path) -> None:
    from TextGuidedSegPanel.worklistLabels import Label, LabelMap

    affine = mrml.rotation(5, 0, 10) @ mrml.orientations()[7]
    for name in ("a.nii.gz", "b_0000.nii.gz", "c.nii.gz"):
        write_volume(tmp_path / name, affine)
    session = open_list(
        tmp_path, [case(name, "opacity", "left lung") for name in ("a.nii.gz", "b_0000.nii.gz", "c.nii.gz")]
    )
    session.labels = LabelMap(
        [Label(1, "lung", "#112233", ("left lung",)), Label(2, "opacity", "#445566"), Label(3, "heart", "#778899")]
    )
    shape = (20, 18, 12)
    lung, opacity = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    lung[2:12, 3:12, 2:9], opacity[8:15, 6:14, 4:10] = 1, 1
    accept(session, 0, opacity=opacity, left_lung=lung)
    accept(session, 1, left_lung=lung)
    session.open(2)
    session.reject()
    folder = export(session, "nnunet", tmp_path / "Dataset001_Chest")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
        "dataset.json",
        "imagesTr/a_0000.nii.gz",
        "imagesTr/b_0000_0000.nii.gz",
        "labelsTr/a.nii.gz",
        "labelsTr/b_0000.nii.gz",
    ]
    assert json.loads((folder / "dataset.json").read_text(encoding="utf-8")) == {
        "channel_names": {"0": "image"},
        "labels": {"background": 0, "lung": 1, "opacity": 2, "heart": 3},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    image, labels = read_image(folder / "imagesTr" / "a_0000.nii.gz"), read_image(folder / "labelsTr" / "a.nii.gz")
    assert np.array_equal(labels.array, np.where(opacity, 2, lung))
    assert labels.geometry.close_to(image.geometry)
    assert np.array_equal(image.canonical()[0], read_image(tmp_path / "a.nii.gz").canonical()[0])
    assert np.array_equal(read_image(folder / "labelsTr" / "b_0000.nii.gz").array, lung)


def test_the_index_that_is_written_is_a_worklist_again(scene, tmp_path) -> None:
    from TextGuidedSegPanel.worklistMasks import addMasks
    from TextGuidedSegPanel.worklistScene import masks, openCase
    from TextGuidedSegPanel.worklistSources import casesInCsv

    shape = write_film(tmp_path / "a.png")
    session = open_list(tmp_path, [case("a.png", "left lung", "heart", split="dev")])
    mask = random_mask(shape)
    accept(session, 0, left_lung=mask)
    session.close()
    folder = export(session, "index", tmp_path / "out")
    (again,) = casesInCsv(folder / "index.csv")
    assert [(one.text, bool(one.mask)) for one in again.phrases] == [("left lung", True), ("heart", True)]
    opened = openCase(again, folder)
    addMasks(again, folder, opened)
    drawn = dict(masks(opened))
    assert np.array_equal(drawn["left lung"], mask)
    assert not drawn["heart"].any()


def test_an_export_leaves_the_scene_as_it_was(scene, tmp_path) -> None:
    shape = write_film(tmp_path / "a.png")
    session = open_list(tmp_path, [case("a.png", "left lung")])
    accept(session, 0, left_lung=random_mask(shape))
    before = scene.GetNumberOfNodes()
    export(session, "index", tmp_path / "out")
    assert scene.GetNumberOfNodes() == before
    session.close()
    names = {node.GetClassName() for node in slicer.util.getNodesByClass("vtkMRMLNode")}
    assert not names & {"vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLSegmentationDisplayNode"}
