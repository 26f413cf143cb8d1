"""A segment remembers its phrase and model through files and scenes, whatever the phrase was made of."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import vtk
from TextGuidedSegPanel.provenance import (
    Provenance,
    provenanceFromTags,
    readProvenance,
    tagsOf,
    writeProvenance,
)
from TextGuidedSegPanel.segments import addSegment, newSegmentation

from Testing.slicer.mrml import (
    add_volume,
    blob,
    mask_points,
    orientations,
    read_segmentation,
    same_points,
    segment_points,
    write_segmentation_node,
)
from TextGuidedSegLib.export import write_segmentation
from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.provenance import provenance_tags
from TextGuidedSegLib.tags import decode_tag, encode_tag

pytestmark = pytest.mark.slicer

SHAPE = (9, 8, 6)
HARD_TEXTS = [
    "left lower lung opacity",
    "a|b||c|",
    "TextGuidedSeg.Model:other|TextGuidedSeg.Answer:found",
    "50% of 7%7C",
    "quote \" and ' and <tag attribute='x'/> & more",
    "Verschattung links, Größe ungefähr 3 cm – 肺炎 🫁",
    "two\nlines\r\nand\ta tab",
    "  outer blanks  ",
    "back\\slash ; semicolon ~ tilde ^ caret",
    "",
]


def made(phrase: str) -> Provenance:
    return Provenance(
        phrase=phrase,
        normalizedPhrase=phrase.lower(),
        answer="unsure",
        presence=0.4321,
        threshold=0.35,
        model="chest | x-ray",
        weightsSha256="ab" * 32,
        version="0.1.0",
        device="cpu",
        date="2026-01-02T03:04:05+00:00",
        warnings=(phrase, "Second sentence: 50 % | more."),
    )


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_an_encoded_tag_is_plain_ascii_without_a_separator_and_comes_back(text: str) -> None:
    encoded = encode_tag(text)
    assert encoded.isascii()
    assert encoded == encoded.strip()
    assert not set(encoded) & set("|\n\r\t")
    assert decode_tag(encoded) == text


def test_ordinary_text_stays_readable_in_the_file() -> None:
    assert encode_tag("left lower lung: opacity (2)") == "left lower lung: opacity (2)"


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_tags_come_back_from_a_segment(text: str) -> None:
    segment = slicer.vtkSegment()
    writeProvenance(segment, made(text))
    assert readProvenance(segment) == made(text)


@pytest.mark.parametrize("text", HARD_TEXTS[:-1])
def test_tags_survive_a_segmentation_file(scene, tmp_path: Path, text: str) -> None:
    volume = add_volume(scene, np.zeros(SHAPE, np.float32), np.eye(4))
    node = newSegmentation(volume)
    segment_id = addSegment(blob(SHAPE), volume, node, made(text))
    write_segmentation_node(node, tmp_path / "one.seg.nrrd")
    segment = read_segmentation(scene, tmp_path / "one.seg.nrrd").GetSegmentation().GetSegment(segment_id)
    assert readProvenance(segment) == made(text)
    assert segment.GetName() == " ".join(text.split())


@pytest.mark.parametrize("kind", ["mrml", "mrb"])
def test_tags_survive_a_saved_scene(scene, mrml_application, tmp_path: Path, kind: str) -> None:
    volume = add_volume(scene, np.zeros(SHAPE, np.float32), np.eye(4))
    node = newSegmentation(volume)
    for text in HARD_TEXTS[:-1]:
        addSegment(blob(SHAPE), volume, node, made(text))
    if kind == "mrb":
        assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    else:
        assert mrml_application.logic.SaveSceneToSlicerDataBundleDirectory(str(tmp_path), None)
    scene.Clear(0)
    if kind == "mrb":
        assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    else:
        scene.SetURL(str(next(tmp_path.glob("*.mrml"))))
        assert scene.Connect()
    again = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode").GetSegmentation()
    found = [readProvenance(again.GetNthSegment(number)) for number in range(again.GetNumberOfSegments())]
    assert found == [made(text) for text in HARD_TEXTS[:-1]]


def test_all_tags_of_the_specification_are_there() -> None:
    segment = slicer.vtkSegment()
    writeProvenance(segment, made("left lung"))
    required = {
        "Phrase", "Model", "WeightsSha256", "Threshold", "Version", "Date", "Answer", "Presence", "Warnings",
        "ResearchUseOnly",
    }  # fmt: skip
    assert [name for name in required if not segment.HasTag(f"TextGuidedSeg.{name}")] == []
    value = vtk.reference("")
    segment.GetTag("TextGuidedSeg.ResearchUseOnly", value)
    assert str(value) == "true"


def result(phrase: str) -> SimpleNamespace:
    """What `provenance_tags` looks at."""
    return SimpleNamespace(
        phrase=SimpleNamespace(text=phrase, heard=phrase.lower()),
        answer="found",
        presence=0.81239,
        threshold=0.5,
        model="chest",
        weights_sha256="cd" * 32,
        device="cuda:0",
        warnings=("One.", "Zwei: ü | %"),
    )


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_the_librarys_tags_are_the_panels(text: str) -> None:
    tags = provenance_tags(result(text))
    assert tagsOf(provenanceFromTags(tags)) == tags
    read = provenanceFromTags(tags)
    assert (read.phrase, read.threshold, read.presence) == (text, 0.5, 0.8124)
    assert read.warnings == ("One.", "Zwei: ü | %")


@pytest.mark.parametrize("number", range(0, 48, 5))
def test_a_file_of_the_library_opens_with_name_tags_color_and_place(scene, tmp_path: Path, number: int) -> None:
    mask, affine, phrase = blob(SHAPE), orientations()[number], HARD_TEXTS[number % (len(HARD_TEXTS) - 1)]
    tags = provenance_tags(result(phrase))
    path = tmp_path / "library.seg.nrrd"
    name = " ".join(phrase.split())
    write_segmentation(path, mask, Geometry(SHAPE, affine), name=name, color=(0.1, 0.5, 0.9), tags=tags)

    node = read_segmentation(scene, path)

    assert node.GetSegmentation().GetNumberOfSegments() == 1
    segment_id = node.GetSegmentation().GetNthSegmentID(0)
    segment = node.GetSegmentation().GetSegment(segment_id)
    assert segment.GetName() == name
    assert np.allclose(segment.GetColor(), (0.1, 0.5, 0.9), atol=1e-3)
    assert readProvenance(segment) == provenanceFromTags(tags)
    assert same_points(segment_points(node, segment_id), mask_points(mask, affine), 1e-3)


def test_an_empty_film_of_the_library_opens_as_an_empty_segment(scene, tmp_path: Path) -> None:
    shape = (20, 17, 1)
    geometry = Geometry(shape, np.array([[-1.0, 0, 0, 9], [0, 0, -1, -7], [0, -1, 0, 30], [0, 0, 0, 1]]))
    write_segmentation(tmp_path / "empty.seg.nrrd", np.zeros(shape, np.uint8), geometry, name="nothing")
    node = read_segmentation(scene, tmp_path / "empty.seg.nrrd")
    assert node.GetSegmentation().GetNthSegment(0).GetName() == "nothing"
    assert len(segment_points(node, node.GetSegmentation().GetNthSegmentID(0))) == 0


def test_a_segment_of_someone_else_has_no_provenance() -> None:
    segment = slicer.vtkSegment()
    segment.SetTag("Segmentation.Status", "inprogress")
    assert readProvenance(segment) is None


def test_damaged_values_are_read_as_far_as_they_go() -> None:
    segment = slicer.vtkSegment()
    for name, value in (("Phrase", "left lung"), ("Threshold", "half"), ("Warnings", "no list")):
        segment.SetTag(f"TextGuidedSeg.{name}", value)
    read = readProvenance(segment)
    assert (read.phrase, read.model, read.warnings) == ("left lung", "", ("no list",))
    assert math.isnan(read.threshold)
    assert math.isnan(read.presence)
    segment.SetTag("TextGuidedSeg.Warnings", '"one"')
    assert readProvenance(segment).warnings == ('"one"',)
