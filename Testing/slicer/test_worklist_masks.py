"""Masks that a list gives, and exports that cannot be completed: in their place, or not there at all."""

from __future__ import annotations

import numpy as np
import pytest

from Testing.slicer import mrml
from Testing.slicer.worklist_cases import accept, case, open_list, random_mask, write_film, write_volume
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.export import write_image
from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.io import read_image

pytestmark = pytest.mark.slicer


@pytest.fixture(autouse=True)
def application(slicer_application) -> None:
    """`slicer.app` and the panel's package."""


@pytest.mark.parametrize("orientation", [7, 13, 40])
def test_a_mask_of_the_list_is_seen_where_its_file_says(scene, tmp_path, orientation: int) -> None:
    from TextGuidedSegPanel.worklist import Case, CasePhrase

    affine, shape = mrml.rotation(10, 20, 30) @ mrml.orientations()[orientation], (20, 18, 12)
    write_volume(tmp_path / "a.nii.gz", affine, shape)
    labels = mrml.blob(shape) + 2 * mrml.blob(shape)[::-1]
    write_image(tmp_path / "a_mask.nii.gz", labels, Geometry(shape, affine))
    columns = {"label": "2"}
    session = open_list(tmp_path, [Case("a.nii.gz", (CasePhrase("heart", "a_mask.nii.gz", columns),))])
    session.open(0)
    node = session.opened.segmentationNode
    (segment_id,) = node.GetSegmentation().GetSegmentIDs()
    expected = mrml.mask_points((labels == 2).astype(np.uint8), affine)
    assert mrml.same_points(mrml.segment_points(node, segment_id), expected, 1e-3)
    assert session.worklist.cases[0].state == "proposed"


def test_a_mask_that_does_not_fit_fails_its_case(scene, tmp_path) -> None:
    from TextGuidedSegPanel.worklist import Case, CasePhrase

    write_film(tmp_path / "a.png")
    write_film(tmp_path / "b.png", size=(80, 66))
    cases = [Case("a.png", (CasePhrase("heart", mask),)) for mask in ("b.png", "gone.png")]
    session = open_list(tmp_path, cases)
    session.open(0)
    assert "expected the same grid" in session.worklist.cases[0].sentence
    session.open(1)
    assert "no such file" in session.worklist.cases[1].sentence
    assert [one.state for one in session.worklist.cases] == ["failed", "failed"]


def test_nnunet_refuses_label_values_with_gaps_before_anything_is_written(tmp_path) -> None:
    from TextGuidedSegPanel.worklist import WorklistError
    from TextGuidedSegPanel.worklistExport import NnunetWriter
    from TextGuidedSegPanel.worklistLabels import Label, LabelMap

    with pytest.raises(WorklistError, match="without gaps, the label map has 1, 3"):
        NnunetWriter(tmp_path / "out", LabelMap([Label(1, "a", "#000000"), Label(3, "b", "#000000")]))
    assert list(tmp_path.iterdir()) == []


def test_a_case_that_cannot_be_written_is_left_out_whole_and_the_rest_goes_on(tmp_path) -> None:
    from TextGuidedSegPanel.worklistExport import IndexWriter
    from TextGuidedSegPanel.worklistExportRun import ExportRun

    shape = write_film(tmp_path / "a.png")
    write_film(tmp_path / "b.png")
    session = open_list(tmp_path, [case("a.png", "left lung"), case("b.png", "left lung")])
    accept(session, 0, left_lung=random_mask(shape))
    accept(session, 1, left_lung=random_mask(shape))
    session.close()
    (tmp_path / "a.png").unlink()
    run = ExportRun(session, IndexWriter(tmp_path / "out", session.labels))
    while (folder := run.step()) is None:
        pass
    assert [one.partition(":")[0] for one in run.skipped] == ["a.png"]
    assert sorted(path.name for path in folder.rglob("*.png")) == ["b.png", "b__left_lung.png"]


def test_a_failure_within_a_case_takes_its_files_away(tmp_path) -> None:
    from TextGuidedSegPanel.worklist import WorklistError
    from TextGuidedSegPanel.worklistExport import ExportCase, ExportRow, IndexWriter
    from TextGuidedSegPanel.worklistLabels import LabelMap

    write_film(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    rows = tuple(ExportRow(text, random_mask(image.geometry.shape)) for text in ("left lung", "unknown"))
    writer = IndexWriter(tmp_path / "out", LabelMap().including(["left lung"]))
    with pytest.raises(WorklistError, match="“unknown” has no label"):
        writer.add(ExportCase("a", image, rows, tmp_path / "a.png"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "a.png"]
    with pytest.raises(ImageError, match="nothing to export"):
        writer.add(ExportCase("a", image, (), tmp_path / "a.png"))
    writer.abandon()
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]


def test_a_cancelled_export_leaves_nothing_and_a_used_folder_is_not_touched(tmp_path) -> None:
    from TextGuidedSegPanel.worklist import WorklistError
    from TextGuidedSegPanel.worklistExport import IndexWriter
    from TextGuidedSegPanel.worklistExportRun import ExportRun

    shape = write_film(tmp_path / "a.png")
    session = open_list(tmp_path, [case("a.png", "left lung")])
    used = tmp_path / "used"
    used.mkdir()
    (used / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(WorklistError, match="no case is accepted yet"):
        ExportRun(session, IndexWriter(tmp_path / "out", session.labels))
    accept(session, 0, left_lung=random_mask(shape))
    before = sorted(tmp_path.iterdir())
    run = ExportRun(session, IndexWriter(tmp_path / "out", session.labels))
    run.step()
    run.cancel()
    with pytest.raises(WorklistError, match="something already"):
        IndexWriter(used, session.labels)
    assert sorted(tmp_path.iterdir()) == before
    assert [path.name for path in used.iterdir()] == ["mine.txt"]
