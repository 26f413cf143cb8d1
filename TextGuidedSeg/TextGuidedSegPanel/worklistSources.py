"""Where a worklist comes from: a folder of images, a CSV file, or the loaded volumes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.files.file_formats import identify

from .worklist import Case, CasePhrase, WorklistError

IMAGE_SUFFIXES = (
    ".dcm", ".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff",
)  # fmt: skip
STATE_NAME = "TextGuidedSeg.worklist.json"
"""Name of the state file of a folder, inside the folder."""

# The first that a file has is taken; `text` is what the index of a training set calls it.
_PHRASE_COLUMNS = ("phrases", "phrase", "text")
_DELIMITERS = (",", ";", "\t")
_EMPTY_IMAGE = "(no image)"


def stateFileOf(source: str | Path) -> Path:
    """Where the state of a list is kept: inside a folder, or beside a CSV file under its name."""
    source = Path(source)
    return source / STATE_NAME if source.is_dir() else source.with_name(f"{source.stem}.worklist.json")


def casesInFolder(folder: str | Path) -> list[Case]:
    """One case for each image directly in a folder, in the order people count (`film_2` before `film_10`).

    Args:
        folder: Folder with images of any format the library reads; segmentations and other files are left out.

    Returns:
        Cases without phrases; see `withPhrases`.

    Raises:
        WorklistError: The folder cannot be listed, or has no image.
    """
    folder = Path(folder)
    try:
        files = sorted((one for one in folder.iterdir() if _isImage(one)), key=_countingOrder)
    except OSError as error:
        msg = f"{folder}: the folder cannot be listed ({error}); choose another"
        raise WorklistError(msg) from error
    if not files:
        msg = f"{folder}: no image in this folder; expected files such as {', '.join(IMAGE_SUFFIXES[:6])} or .png"
        raise WorklistError(msg)
    return [Case(one.name) for one in files]


def casesInCsv(path: str | Path) -> list[Case]:
    """One case for each image that a CSV file names; rows with the same image are one case with several phrases.

    Columns: `image` (paths are relative to the file); `phrases`, `phrase` or `text` (several, separated by ";" or
    lines); and, if wanted, `mask` with a file to correct, which belongs to the first phrase of its row. So the index of
    a training set is a list, too. All other columns are kept for the export. Comma, semicolon or tab separate columns.

    Args:
        path: The file.

    Returns:
        Cases with the phrases of the list; those without get theirs by `withPhrases`.

    Raises:
        WorklistError: The file cannot be read, has no column `image`, or no row. A row without an image is a case that
            fails when it is opened, and stops nothing.
    """
    path = Path(path)
    found: dict[str, dict[str, CasePhrase]] = {}
    for number, row in enumerate(_rows(path), start=2):
        image = row.pop("image", "").strip() or f"{_EMPTY_IMAGE} line {number}"
        mask = row.pop("mask", "").strip()
        texts = _split(next((row.pop(name) for name in _PHRASE_COLUMNS if row.get(name)), ""))
        known = found.setdefault(image, {})
        for text in texts or ([Path(mask).stem] if mask else []):
            known.setdefault(text, CasePhrase(text, mask, row))
            mask = ""
    return [Case(image, tuple(rows.values())) for image, rows in found.items()]


def casesOfVolumes(names: Iterable[str], known: Sequence[Case] = ()) -> list[Case]:
    """One case for each loaded volume, and for those of an earlier session, which come back with their scene or file.

    Args:
        names: Files of the volumes, or their names where they have none.
        known: The list as it was.

    Returns:
        Cases without phrases; see `withPhrases`.

    Raises:
        WorklistError: There is none, or two have the same name.
    """
    names = list(names)
    if not names and not known:
        msg = "no volume is loaded; load images first, or choose a folder"
        raise WorklistError(msg)
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        msg = f"two volumes are named {twice.pop()}; rename one, so that the list can tell them apart later"
        raise WorklistError(msg)
    return [Case(name) for name in dict.fromkeys([*(case.image for case in known), *names])]


def withPhrases(cases: Sequence[Case], known: Sequence[Case], typed: Iterable[str]) -> list[Case]:
    """Give phrases to the cases for which the list names none.

    Args:
        cases: From one of the functions above.
        known: The list as it was: an image keeps its phrases, whatever is typed now, and new ones get the same.
        typed: What the panel's line says, for a list that begins.
    """
    asked = tuple(CasePhrase(text) for text in dict.fromkeys(typed))
    if not any(case.phrases for case in cases):
        asked = next((case.phrases for case in known if case.phrases), asked)
    before: dict[str, Case] = {}
    for case in sorted(known, key=lambda one: one.decided, reverse=True):
        before.setdefault(case.image, case)
    return [case if case.phrases else replace(case, phrases=_usual(before.get(case.image), asked)) for case in cases]


def _usual(before: Case | None, asked: tuple[CasePhrase, ...]) -> tuple[CasePhrase, ...]:
    return before.phrases if before is not None and (before.decided or before.phrases) else asked


def _isImage(path: Path) -> bool:
    name = path.name.lower()
    if name.startswith(".") or name.endswith(".seg.nrrd") or not path.is_file():
        return False
    return name.endswith(IMAGE_SUFFIXES) or (not path.suffix and _isDicom(path))


def _isDicom(path: Path) -> bool:
    # DICOM files often have names without an ending.
    try:
        return identify(path) == "dicom"
    except ImageError:
        return False


def _countingOrder(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts] + [(-1, path.name)]


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark before the first column
    except (OSError, ValueError) as error:
        msg = f"{path}: cannot be read ({error}); save it as CSV in UTF-8"
        raise WorklistError(msg) from error
    header = text.partition("\n")[0].rstrip("\r")
    fitting = [one for one in _DELIMITERS if "image" in next(csv.reader([header], delimiter=one), [])]
    if not fitting:
        msg = f"{path}: the first line is {header[:80]!r}; expected columns named image and phrase (and mask)"
        raise WorklistError(msg)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=fitting[0], restval="", restkey="")
    try:
        rows = [{name: value for name, value in row.items() if name} for row in reader]
    except csv.Error as error:
        msg = f"{path}: line {reader.line_num} is no CSV ({error}); save the file again"
        raise WorklistError(msg) from error
    if not rows:
        msg = f"{path}: the file has no rows; expected one for each image and phrase"
        raise WorklistError(msg)
    return rows


def _split(cell: str) -> list[str]:
    texts = (" ".join(one.split()) for one in re.split(r"[;\n]", cell))
    return [one for one in texts if one]
