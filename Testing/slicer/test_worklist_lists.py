"""Where lists come from, and the fixed label map: order, phrases, masks, columns; a label means one thing for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from TextGuidedSegPanel.worklist import Case, CasePhrase, WorklistError
from TextGuidedSegPanel.worklistLabels import Label, LabelMap, phrasesOf, readLabelMap, writeLabelMap
from TextGuidedSegPanel.worklistSources import casesInCsv, casesInFolder, casesOfVolumes, stateFileOf, withPhrases

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


def test_a_folder_lists_its_images_as_people_count(tmp_path: Path) -> None:
    for name in ("film_10.PNG", "film_2.png", "film_2.seg.nrrd", "Film_1.nii.gz", ".hidden.png", "notes.txt", "b.dcm"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM" + bytes(300))
    (tmp_path / "README").write_bytes(b"no image")
    (tmp_path / "masks.png").mkdir()
    names = [case.image for case in casesInFolder(tmp_path)]
    assert names == ["b.dcm", "Film_1.nii.gz", "film_2.png", "film_10.PNG", "IM0001"]


def test_a_folder_without_images_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorklistError, match="no image in this folder"):
        casesInFolder(tmp_path)
    with pytest.raises(WorklistError, match="cannot be listed"):
        casesInFolder(tmp_path / "missing")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_gives_images_phrases_masks_and_its_other_columns(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "list.csv"
    rows = [
        ["image", "phrases", "mask", "split"],
        ["a.png", '"left lung; right  lung"', "", "val"],
        ["b.png", '"opacity"', "b_mask.png", "train"],
        ["b.png", "left lung", "", "train"],
        ["", "left lung", "", ""],
        ["c.png", "", "c_old.png", ""],
        ["d.png", "", "", ""],
    ]
    path.write_text("\ufeff" + "\r\n".join(delimiter.join(row) for row in rows), encoding="utf-8")
    cases = casesInCsv(path)
    assert [(case.image, [(one.text, one.mask) for one in case.phrases]) for case in cases] == [
        ("a.png", [("left lung", ""), ("right lung", "")]),
        ("b.png", [("opacity", "b_mask.png"), ("left lung", "")]),
        ("(no image) line 5", [("left lung", "")]),
        ("c.png", [("c_old", "c_old.png")]),
        ("d.png", []),
    ]
    assert cases[0].phrases[0].columns == {"split": "val"}


@pytest.mark.parametrize(
    ("content", "message"),
    [("name,phrase\na,b\n", "expected columns named image"), ("image,phrase\n", "no rows"), ("", "expected columns")],
)
def test_a_csv_that_is_no_list_says_what_is_missing(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(WorklistError, match=message):
        casesInCsv(path)


def test_loaded_volumes_come_back_with_an_earlier_session() -> None:
    assert [case.image for case in casesOfVolumes(["b", "/a.png"], [Case("/a.png"), Case("gone")])] == [
        "/a.png",
        "gone",
        "b",
    ]
    with pytest.raises(WorklistError, match="two volumes are named film"):
        casesOfVolumes(["film", "film"])
    with pytest.raises(WorklistError, match="no volume is loaded"):
        casesOfVolumes([])


def test_a_list_keeps_its_phrases_whatever_is_typed_when_it_is_opened_again() -> None:
    lung, heart = (CasePhrase("left lung"),), (CasePhrase("heart"),)
    listed = [Case("a.png"), Case("b.png")]
    begun = withPhrases(listed, [], ["left lung", "left lung"])
    assert [case.phrases for case in begun] == [lung, lung]
    again = withPhrases([*listed, Case("new.png")], begun, ["heart"])
    assert [case.phrases for case in again] == [lung] * 3
    mixed = withPhrases([Case("a.png", heart), Case("new.png")], [], ["left lung"])
    assert [case.phrases for case in mixed] == [heart, lung]
    drawn_by_hand = [Case("a.png", state="accepted", decided="2026")]
    assert withPhrases(listed, drawn_by_hand, ["heart"])[0].phrases == ()


def test_the_state_lies_beside_the_list_or_in_the_folder(tmp_path: Path) -> None:
    assert stateFileOf(tmp_path) == tmp_path / "TextGuidedSeg.worklist.json"
    assert stateFileOf(tmp_path / "a.b.csv") == tmp_path / "a.b.worklist.json"


def test_a_label_keeps_value_and_color_whatever_comes_later() -> None:
    labels = LabelMap([Label(3, "Opacity", "#112233", ("LLL opacity",))])
    grown = labels.including(["left lung", "lll  OPACITY.", "Left Lung"])
    assert [(one.value, one.name) for one in grown.labels] == [(3, "Opacity"), (4, "left lung")]
    assert grown.including(["heart"]).labels[:2] == grown.labels
    assert grown.find("opacity") == labels.labels[0]
    assert labels.labels[0].rgb == pytest.approx((0x11 / 255, 0x22 / 255, 0x33 / 255))
    with pytest.raises(WorklistError, match="“heart” has no label"):
        labels.of("heart")


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXT.filter(lambda one: one.strip().rstrip(".").strip()), max_size=6, unique=True))
def test_a_label_map_is_read_back_as_written(tmp_path_factory: pytest.TempPathFactory, phrases: list[str]) -> None:
    path = tmp_path_factory.mktemp("labels") / "a.labels.json"
    labels = LabelMap().including(phrases)
    writeLabelMap(path, labels)
    assert readLabelMap(path).labels == labels.labels
    assert all(labels.find(phrase) is not None for phrase in phrases)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([Label(0, "a", "#000000")], "from 1 to 255"),
        ([Label(256, "a", "#000000")], "from 1 to 255"),
        ([Label(1, "a", "#000000"), Label(1, "b", "#000000")], "two labels have the value 1"),
        ([Label(1, "a", "red")], "written like #e69f00"),
        ([Label(1, " ", "#000000")], "has no name"),
        ([Label(1, "a", "#000000"), Label(2, "b", "#000000", ("A.",))], "stands for the labels 1 and 2"),
    ],
)
def test_a_label_map_that_means_two_things_is_refused(labels: list[Label], message: str) -> None:
    with pytest.raises(WorklistError, match=message):
        LabelMap(labels)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "TextGuidedSeg label map", "version": 1}'])
def test_what_is_no_label_map_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(WorklistError, match="no label map could be read"):
        readLabelMap(path)


def test_phrases_of_a_cell_are_separated_by_semicolons() -> None:
    assert phrasesOf(" left  lung ;; LLL; left lung") == ("left lung", "LLL")
