"""`index.csv`: one row per image, mask and text, with a split; read and checked in one place."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REQUIRED_COLUMNS = ("image", "mask", "split")
_NAMED = 3  # files that a message names


@dataclass(frozen=True)
class Row:
    """One line of an index.

    Attributes:
        image: Image file.
        mask: Mask file on the image's own grid.
        columns: Every column as it stands in the file.
    """

    image: Path
    mask: Path
    columns: dict[str, str]


def read_index(path: str | Path, columns: Sequence[str] = ()) -> list[Row]:
    """Read an index file; paths in it are relative to its folder.

    Args:
        path: The file.
        columns: Columns that it must have besides `REQUIRED_COLUMNS`.

    Raises:
        ValueError: The file is missing, empty, or lacks a required column; a line has more or fewer cells than the
            first one, or names no image or no mask.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"index file {path} does not exist; expected a CSV with the columns {', '.join(REQUIRED_COLUMNS)}"
        raise ValueError(msg)
    with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets put a mark before the first column
        reader = csv.DictReader(file)
        lines = [(reader.line_num, line) for line in reader]
    if not lines:
        msg = f"index file {path} has no rows"
        raise ValueError(msg)
    names = reader.fieldnames or []
    missing = [column for column in (*REQUIRED_COLUMNS, *columns) if column not in names]
    if missing:
        msg = f"index file {path} lacks the columns {', '.join(missing)}; it has {', '.join(names)}"
        raise ValueError(msg)
    return [_row(path, number, line) for number, line in lines]


def rows_of_split(path: str | Path, splits: Sequence[str], columns: Sequence[str] = ()) -> list[Row]:
    """Rows of some splits of an index, see `read_index`.

    Raises:
        ValueError: There are none, or the index is wrong.
    """
    rows = [row for row in read_index(path, columns) if row.columns["split"] in splits]
    if not rows:
        msg = f"index file {path} has no row with the split {' or '.join(splits)}, so there is nothing to learn"
        raise ValueError(msg)
    return rows


def check_files(rows: Sequence[Row]) -> None:
    """Check that images and masks are there, before minutes of work are lost for one.

    Raises:
        ValueError: Names the first files that are missing, and says how many are.
    """
    files = dict.fromkeys(file for row in rows for file in (row.image, row.mask))
    missing = [str(file) for file in files if not file.exists()]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        msg = (
            f"{len(missing)} of {len(files)} images and masks do not exist: {', '.join(missing[:_NAMED])}{more}; "
            "put them there, or take their rows out of the index"
        )
        raise ValueError(msg)


def _row(path: Path, number: int, line: dict[str, str]) -> Row:
    """One line, checked: a comma in a text without quotes shifts all cells behind it."""
    if None in line or None in line.values():
        given = sum(value is not None for key, value in line.items() if key is not None)
        count = len(line) - (None in line)
        found = "more" if None in line else f"only {given}"
        msg = (
            f"line {number} of index file {path} has {found} cells; expected {count}, as its first line has: put "
            "quotes around a text with commas"
        )
        raise ValueError(msg)
    empty = [column for column in ("image", "mask") if not line[column]]
    if empty:
        msg = f"line {number} of index file {path} names no {' and no '.join(empty)}; every row needs both files"
        raise ValueError(msg)
    return Row(path.parent / line["image"], path.parent / line["mask"], line)


def check_splits(rows: Sequence[Row]) -> None:
    """Refuse an index in which an image or a named patient stands in two splits.

    Raises:
        ValueError: Names the image or patient and its splits; figures measured on such splits mean nothing.
    """
    for column in ("image", "patient"):
        splits: dict[str, str] = {}
        for row in rows:
            name, split = row.columns.get(column), row.columns["split"]
            if name and splits.setdefault(name, split) != split:
                msg = f"{column} {name!r} stands in the splits {splits[name]!r} and {split!r}; expected only one"
                raise ValueError(msg)


def add_where(parser: argparse.ArgumentParser) -> None:
    """Give a command the option `--where`, whose values `select` takes."""
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE[,VALUE]",
        help="only rows whose column has one of these values; COLUMN!=VALUE for all others",
    )


def select(rows: Sequence[Row], conditions: Sequence[str]) -> list[Row]:
    """Rows that meet every condition of the form `COLUMN=VALUE[,VALUE]`, or `COLUMN!=VALUE[,VALUE]` for all others.

    An empty value matches an empty cell.

    Raises:
        ValueError: A condition is malformed or names a column that the index does not have.
    """
    chosen = list(rows)
    for condition in conditions:
        column, equals, values = condition.partition("=")
        if not equals:
            msg = f"condition {condition!r} is not of the form COLUMN=VALUE[,VALUE] or COLUMN!=VALUE[,VALUE]"
            raise ValueError(msg)
        column, others = column.removesuffix("!"), column.endswith("!")
        if chosen and column not in chosen[0].columns:
            msg = f"the index has no column {column!r}; it has {', '.join(chosen[0].columns)}"
            raise ValueError(msg)
        named = set(values.split(","))
        chosen = [row for row in chosen if (row.columns[column] in named) != others]
    return chosen
