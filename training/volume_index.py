"""A folder of volumes with label maps, as nnU-Net keeps them, becomes an `index.csv` that `training.train` reads.

    python -m training.volume_index FOLDER --source "abdomen CT" --out FOLDER/index.csv

`FOLDER/dataset.json` names the labels (`"labels": {"background": 0, "left kidney": 1, "kidneys": [1, 2]}`, or the other
way round as the Medical Segmentation Decathlon has them: `{"0": "background", "1": "liver"}`), images lie
in `imagesTr` as `CASE_0000.nii.gz` or `CASE.nii.gz`, label maps in `labelsTr` as `CASE.nii.gz`. The panel's *Export for
nnU-Net* writes such a folder.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from TextGuidedSegLib.errors import TextGuidedSegError
from TextGuidedSegLib.export import atomic_path
from TextGuidedSegLib.io import read_image

COLUMNS = ("image", "mask", "label", "text", "split", "case", "patient", "spacing", "source")


def index_volumes(folder: Path, out: Path, *, source: str, val_share: float = 0.2) -> int:
    """Write the index of a folder; cases are taken for patients.

    Args:
        folder: With `dataset.json`, `imagesTr` and `labelsTr`.
        out: CSV file to write; paths in it are relative to its folder.
        source: Name of this kind of volume, by which `data.volume_sets` chooses it.
        val_share: Share of the cases that are kept for validation, at least one, evenly spread over their names.

    Returns:
        Number of rows: one for each case and each name of which it has a voxel.

    Raises:
        ValueError: A file is missing, names no labels, or `val_share` leaves nothing to train on.
        ImageError: A volume cannot be read.
    """
    labels, ending = _labels(folder / "dataset.json")
    # macOS puts a file `._NAME` beside every file on a foreign disk or in an archive.
    maps = sorted(path for path in (folder / "labelsTr").glob(f"*{ending}") if not path.name.startswith("."))
    every = round(1 / val_share) if 0 < val_share <= 0.5 else 0
    if len(maps) < 2 or not every:
        msg = (
            f"{folder / 'labelsTr'} has {len(maps)} label maps (*{ending}) of which a share of {val_share:g} is for "
            "validation; expected at least two maps and a share above 0, at most 0.5"
        )
        raise ValueError(msg)
    rows = []
    for number, mask in enumerate(maps):
        case = mask.name.removesuffix(ending)
        # The last of each group, so that two cases make one of each split.
        split = "val" if number % every == every - 1 or (len(maps) < every and mask == maps[-1]) else "train"
        rows += _rows(_image_of(folder / "imagesTr", case, ending), mask, labels, {"split": split, "case": case})
    for row in rows:
        row |= {name: os.path.relpath(row[name], out.parent) for name in ("image", "mask")} | {"source": source}
    with atomic_path(out) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def _labels(path: Path) -> tuple[dict[str, list[int]], str]:
    """Values of each name without the background, and the ending of the files."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        named = _by_name(values["labels"])
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        msg = (
            f'{path} does not name the labels ({type(error).__name__}: {error}); expected JSON with "labels": '
            '{"background": 0, "liver": 1}'
        )
        raise ValueError(msg) from error
    labels = {name.replace("_", " "): one for name, one in named.items() if one != [0]}
    if not labels:
        msg = f"{path} names no label but the background; expected a name for each structure"
        raise ValueError(msg)
    return labels, str(values.get("file_ending", ".nii.gz"))


def _by_name(labels: dict[str, Any]) -> dict[str, list[int]]:
    """Values by name, whichever of the two comes first in the file; two values of one name are joined.

    Raises:
        ValueError: Neither order gives a number for each name.
    """
    if not all(isinstance(name, str) and name and not name.isdecimal() for name in labels.values()):
        return {name: np.atleast_1d(one).astype(int).tolist() for name, one in labels.items()}
    named: dict[str, list[int]] = {}
    for value, name in labels.items():
        named.setdefault(name, []).append(int(value))
    return named


def _image_of(folder: Path, case: str, ending: str) -> Path:
    candidates = [folder / f"{case}_0000{ending}", folder / f"{case}{ending}"]
    for path in candidates:
        if path.is_file():
            return path
    msg = f"the label map of case {case!r} has no image; expected {candidates[0]} or {candidates[1].name}"
    raise ValueError(msg)


def _rows(image: Path, mask: Path, labels: dict[str, list[int]], columns: dict[str, str]) -> list[dict[str, str]]:
    """One row for each name of which the label map has a voxel."""
    stored = read_image(mask)
    present = set(np.unique(stored.array).astype(int).tolist())
    spacing = " x ".join(f"{size:g}" for size in stored.geometry.spacing_mm)
    common = columns | {"image": str(image), "mask": str(mask), "patient": columns["case"], "spacing": spacing}
    return [
        common | {"text": f"{name[0].upper()}{name[1:]}.", "label": ",".join(map(str, values))}
        for name, values in labels.items()
        if present & set(values)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m training.volume_index", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", required=True, help="name of this kind of volume, for data.volume_sets")
    parser.add_argument("--out", required=True, type=Path, metavar="X.csv")
    parser.add_argument("--val-share", type=float, default=0.2, help="share of the cases (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        count = index_volumes(options.folder, options.out, source=options.source, val_share=options.val_share)
    except (TextGuidedSegError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{count} rows written to {options.out}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
