"""Reading, checking and selecting the rows of an index file."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.datasets.index import Row, check_files, check_splits, read_index, rows_of_split, select


def index_of(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "index.csv"
    path.write_text(text, encoding=encoding)
    return path


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    text = "image,mask,split,kind,flag\n" + "".join(
        f"i/{number}.png,m/{number}.png,{split},{kind},{flag}\n"
        for number, (split, kind, flag) in enumerate(
            [("train", "left lung", ""), ("train", "right lung", "doubt"), ("val", "left lung", ""), ("val", "a=b", "")]
        )
    )
    return read_index(index_of(tmp_path, text))


def names(rows: list[Row]) -> list[str]:
    return [row.image.stem for row in rows]


def test_paths_are_relative_to_the_index(rows: list[Row], tmp_path: Path) -> None:
    assert rows[1].image == tmp_path / "i" / "1.png"
    assert rows[1].mask == tmp_path / "m" / "1.png"
    assert rows[1].columns["kind"] == "right lung"


def test_a_comma_inside_a_text_and_the_mark_of_a_spreadsheet_are_read(tmp_path: Path) -> None:
    path = index_of(tmp_path, 'image,mask,text,split\na.png,b.png,"one, two",dev\n', encoding="utf-8-sig")
    (row,) = read_index(path)
    assert (row.image.name, row.columns["text"]) == ("a.png", "one, two")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], "0123"),
        (["split=val"], "23"),
        (["split=train,val", "kind=left lung"], "02"),
        (["kind=left lung,right lung"], "012"),
        (["flag="], "023"),
        (["kind=a=b"], "3"),
        (["split=test"], ""),
        (["split=test", "kind=left lung"], ""),
        (["kind!=left lung"], "13"),
        (["split!=train,val"], ""),
        (["flag!="], "1"),
        (["split=val", "kind!=a=b"], "2"),
    ],
)
def test_conditions_select_rows_in_their_order(rows: list[Row], conditions: list[str], expected: str) -> None:
    assert "".join(names(select(rows, conditions))) == expected


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("split", r"'split' is not of the form COLUMN=VALUE"),
        ("side=left", "no column 'side'; it has image, mask, split, kind, flag"),
        ("side!=left", "no column 'side'; it has image, mask, split, kind, flag"),
    ],
)
def test_a_wrong_condition_says_what_is_wrong(rows: list[Row], condition: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        select(rows, [condition])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("image,mask,split\n", "has no rows"),
        ("image,text\na,b\n", "lacks the columns mask, split; it has image, text"),
        ("image,mask,split,text\na,b,train,c\na,b,train\n", r"line 3 of .*index\.csv has only 3 cells; expected 4"),
        ("image,mask,split,text\na,b,train,one, two\n", r"line 2 of .* has more cells; expected 4, .* put quotes"),
        ('image,mask,split,text\na,b,dev,"c\nd"\na,,dev,c\n', r"line 4 of .* names no mask; every row needs both"),
        ("image,mask,split\n,,dev\n", r"line 2 of .* names no image and no mask"),
    ],
)
def test_an_unfit_index_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_index(index_of(tmp_path, text))


def test_a_set_names_the_columns_that_it_needs(tmp_path: Path) -> None:
    path = index_of(tmp_path, "image,mask,text,split\na,b,c,train\n")
    with pytest.raises(ValueError, match=r"index\.csv lacks the columns kind, note; it has image, mask, text, split"):
        read_index(path, ("text", "kind", "note"))


def test_a_split_without_rows_is_told(tmp_path: Path) -> None:
    path = index_of(tmp_path, "image,mask,split\na,b,dev\n")
    assert len(rows_of_split(path, ["dev"])) == 1
    with pytest.raises(ValueError, match=r"index\.csv has no row with the split train or train_multi"):
        rows_of_split(path, ["train", "train_multi"])


def test_missing_files_are_counted_and_the_first_ones_named(tmp_path: Path) -> None:
    path = index_of(tmp_path, "image,mask,split\n" + "".join(f"image,m{number},dev\n" for number in range(6)))
    for name in ("image", "m0"):
        (tmp_path / name).touch()
    rows = read_index(path)
    check_files(rows[:1])
    with pytest.raises(ValueError, match=r"^5 of 7 images and masks do not exist: .*m1, .*m2, .*m3 and 2 more; put"):
        check_files(rows)
    with pytest.raises(ValueError, match=r"^1 of 3 images and masks do not exist: \S*m1; put"):
        check_files(rows[:2])


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.csv does not exist; expected a CSV with the columns image, mask"):
        read_index(tmp_path / "nowhere.csv")


def test_the_tiny_sets_keep_patients_and_images_in_one_split(lesion_index: Path, structure_index: Path) -> None:
    check_splits(read_index(lesion_index))
    check_splits(read_index(structure_index))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.png,x,train,p\na.png,y,val,q\n", "image 'a.png' stands in the splits 'train' and 'val'"),
        ("a.png,x,train,p\nb.png,y,dev,p\n", "patient 'p' stands in the splits 'train' and 'dev'"),
    ],
)
def test_an_image_or_patient_in_two_splits_is_refused(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_splits(read_index(index_of(tmp_path, "image,mask,split,patient\n" + rows)))


def test_rows_of_one_image_and_unnamed_patients_are_no_crossing(tmp_path: Path) -> None:
    rows = "a.png,left,train,\na.png,right,train,\nb.png,left,val,\n"
    check_splits(read_index(index_of(tmp_path, "image,mask,split,patient\n" + rows)))
    check_splits(read_index(index_of(tmp_path, "image,mask,split\na.png,left,train\nb.png,left,val\n")))
