"""`index.csv`: one row per image, mask and text, with a split; read and checked in one place."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REQUIRED_COLUMNS = ("image", "mask", "split")


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


def read_index(path: str | Path) -> list[Row]:
    """Read an index file; paths in it are relative to its folder.

    Raises:
        ValueError: The file is missing, empty, or lacks a required column.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"index file {path} does not exist; expected a CSV with the columns {', '.join(REQUIRED_COLUMNS)}"
        raise ValueError(msg)
    with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets put a mark before the first column
        lines = list(csv.DictReader(file))
    if not lines:
        msg = f"index file {path} has no rows"
        raise ValueError(msg)
    missing = [column for column in REQUIRED_COLUMNS if column not in lines[0]]
    if missing:
        msg = f"index file {path} lacks the columns {', '.join(missing)}; it has {', '.join(lines[0])}"
        raise ValueError(msg)
    return [Row(path.parent / line["image"], path.parent / line["mask"], line) for line in lines]


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


def select(rows: Sequence[Row], conditions: Sequence[str]) -> list[Row]:
    """Rows that meet every condition of the form `COLUMN=VALUE[,VALUE]` (an empty value matches an empty cell).

    Raises:
        ValueError: A condition is malformed or names a column that the index does not have.
    """
    chosen = list(rows)
    for condition in conditions:
        column, equals, values = condition.partition("=")
        if not equals:
            msg = f"condition {condition!r} is not of the form COLUMN=VALUE[,VALUE]"
            raise ValueError(msg)
        if chosen and column not in chosen[0].columns:
            msg = f"the index has no column {column!r}; it has {', '.join(chosen[0].columns)}"
            raise ValueError(msg)
        allowed = set(values.split(","))
        chosen = [row for row in chosen if row.columns[column] in allowed]
    return chosen
