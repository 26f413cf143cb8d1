"""Accepted cases as training data: an `index.csv` with images and masks, or the folders that nnU-Net reads.

Both are written into a new folder that gets its name when the last case is in it, so an export that was cancelled or
failed leaves nothing behind. Masks lie on the image's own grid; nothing is resampled.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.export import write_image
from TextGuidedSegLib.geometry import Geometry, coded_geometry, film_axis_codes
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.io import read_image

from .worklist import WorklistError
from .worklistFolder import ExportFolder, bitPicture
from .worklistLabels import LabelMap, areConsecutive

# Files that are whole by themselves, say no name of a patient, and read the same elsewhere.
_COPIED_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".nrrd", ".nii", ".nii.gz", ".mha")
_COLUMNS = ("image", "mask", "label", "text", "split", "kind", "area", "edited", "seconds")
_DEFAULT_SPLIT = "train"


@dataclass(frozen=True, eq=False)
class ExportRow:
    """One phrase on an image.

    Attributes:
        text: The phrase.
        mask: `(I, J, K)` uint8 in {0, 1} on the image's grid; all zero says that it is not there.
        columns: Further columns for the index.
    """

    text: str
    mask: np.ndarray
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ExportCase:
    """An accepted case.

    Attributes:
        name: Names its files; made unique.
        image: The image.
        rows: What was accepted.
        source: The file the image was loaded from; None for none.
        seconds: Time it took.
        isEdited: Whether a person changed what was proposed.
    """

    name: str
    image: Image
    rows: tuple[ExportRow, ...]
    source: Path | None = None
    seconds: float = 0.0
    isEdited: bool = False


class Writer(Protocol):
    """What both layouts have in common."""

    def add(self, case: ExportCase) -> None:
        """Write one case, or raise and leave it out."""

    def finish(self) -> Path:
        """Complete the folder and give it its name."""

    def abandon(self) -> None:
        """Remove everything that was written."""


class IndexWriter:
    """An `index.csv` with the columns image, mask, label, text, split, kind, area and those of the list.

    Films get 1-bit PNG masks, volumes one NIfTI label map for each phrase, in which the label's fixed value marks the
    inside, so segments may overlap. Column `label` says which value of the mask's file is meant, `kind` the label.

    Args:
        folder: New or empty folder.
        labelMap: The fixed label map; holds all phrases.
    """

    def __init__(self, folder: str | Path, labelMap: LabelMap) -> None:
        self._folder, self._labels = ExportFolder(Path(folder)), labelMap
        self._rows: list[dict[str, str]] = []

    def add(self, case: ExportCase) -> None:
        """Write image and masks of one case.

        Raises:
            ImageError: There is nothing to write, a file cannot be written, or the grid is one that NIfTI cannot hold.
        """
        with self._folder.case():
            _requireRows(case)
            name, geometry = self._folder.uniqueName(case.name), _storedGeometry(case.image)
            image = self._writeImage(case, name, geometry)
            rows = [self._row(case, row, name, geometry) for row in case.rows]
        self._rows += [{**row, "image": f"images/{image}"} for row in rows]

    def finish(self) -> Path:
        """Write the index and give the folder its name."""
        extra = sorted({name for row in self._rows for name in row} - set(_COLUMNS))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, [*_COLUMNS, *extra], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        return self._folder.finish("index.csv", text.getvalue())

    def abandon(self) -> None:
        """Remove everything that was written."""
        self._folder.abandon()

    def _writeImage(self, case: ExportCase, name: str, geometry: Geometry) -> str:
        suffix = _copiedSuffix(case)
        if suffix:
            shutil.copyfile(case.source, self._folder.file("images", f"{name}{suffix}"))
            return f"{name}{suffix}"
        if case.image.channels > 1:
            msg = f"{case.name} is in color and has no picture file; save it as PNG and list that"
            raise ImageError(msg)
        write_image(self._folder.file("images", f"{name}.nrrd"), case.image.array, geometry)
        return f"{name}.nrrd"

    def _row(self, case: ExportCase, row: ExportRow, name: str, geometry: Geometry) -> dict[str, str]:
        label = self._labels.of(row.text)
        maskName = self._folder.uniqueName(f"{name}__{label.name}")
        isPicture = case.image.kind == "film" and row.mask.shape[2] == 1
        value, suffix = (1, ".png") if isPicture else (label.value, ".nii.gz")
        path = self._folder.file("masks", f"{maskName}{suffix}")
        if isPicture:
            path.write_bytes(bitPicture(row.mask[:, :, 0].T))
        else:
            write_image(path, row.mask * np.uint8(value), geometry)
        return {
            **row.columns,
            "mask": f"masks/{path.name}",
            "label": str(value),
            "text": row.text,
            "split": row.columns.get("split") or _DEFAULT_SPLIT,
            "kind": label.name,
            "area": f"{row.mask.mean():.4f}",
            "edited": "1" if case.isEdited else "0",
            "seconds": f"{case.seconds:.1f}",
        }


class NnunetWriter:
    """nnU-Net's layout: `imagesTr/NAME_0000.nii.gz`, `labelsTr/NAME.nii.gz`, `dataset.json`.

    One label map a case with the values of the fixed label map. Where segments overlap, the higher value wins, so give
    what lies on top (an opacity) a higher value than what it lies on (the lung).

    Args:
        folder: New or empty folder, named like `Dataset001_Chest`.
        labelMap: The fixed label map; holds all phrases.

    Raises:
        WorklistError: The values are not 1, 2, 3 and so on, or the folder cannot be used.
    """

    def __init__(self, folder: str | Path, labelMap: LabelMap) -> None:
        if not areConsecutive(labelMap.labels):
            values = ", ".join(str(one.value) for one in labelMap.labels)
            msg = f"nnU-Net needs the label values 1, 2, 3 ... without gaps, the label map has {values}; renumber it"
            raise WorklistError(msg)
        self._folder, self._labels = ExportFolder(Path(folder)), labelMap
        self._channels: tuple[str, ...] | None = None
        self._modalities: set[str] = set()
        self._count = 0

    def add(self, case: ExportCase) -> None:
        """Write image and label map of one case.

        Raises:
            ImageError: It has more or fewer channels than the others, a grid that NIfTI cannot hold, or no room.
        """
        channels = _channelsOf(case.image)
        if self._channels not in (None, tuple(channels)):
            found, expected = ", ".join(channels), ", ".join(self._channels or ())
            msg = f"{case.name} has the channels {found}; nnU-Net wants those of the first case on all: {expected}"
            raise ImageError(msg)
        with self._folder.case():
            _requireRows(case)
            name, geometry = self._folder.uniqueName(case.name), _storedGeometry(case.image)
            for index, array in enumerate(channels.values()):
                write_image(self._folder.file("imagesTr", f"{name}_{index:04}.nii.gz"), array, geometry)
            write_image(self._folder.file("labelsTr", f"{name}.nii.gz"), self._merged(case), geometry)
        self._channels = tuple(channels)
        self._modalities.add(case.image.modality or ("X-ray" if case.image.kind == "film" else "image"))
        self._count += 1

    def finish(self) -> Path:
        """Write `dataset.json` and give the folder its name."""
        names = self._channels or ("image",)
        # The name decides how nnU-Net normalizes: "CT" by the whole set, any other by each image.
        single = self._modalities.pop() if len(self._modalities) == 1 and len(names) == 1 else None
        content = {
            "channel_names": {str(index): single or name for index, name in enumerate(names)},
            "labels": {"background": 0, **{one.name: one.value for one in self._labels.labels}},
            "numTraining": self._count,
            "file_ending": ".nii.gz",
        }
        return self._folder.finish("dataset.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def abandon(self) -> None:
        """Remove everything that was written."""
        self._folder.abandon()

    def _merged(self, case: ExportCase) -> np.ndarray:
        merged = np.zeros(case.image.geometry.shape, np.uint8)
        for row in case.rows:
            np.maximum(merged, row.mask * np.uint8(self._labels.of(row.text).value), out=merged)
        return merged


def _storedGeometry(image: Image) -> Geometry:
    """The grid to write, in which a reader finds the same left and right.

    A film's directions may come from its DICOM tags or a transform in the scene and not from its grid.
    """
    isFilm = image.kind == "film"
    codes = film_axis_codes(image.geometry)[0] if isFilm else image.geometry.axis_codes
    if codes == image.axis_codes:
        return image.geometry
    return coded_geometry(image.geometry.shape, image.axis_codes, image.geometry.spacing_mm.tolist())


def _copiedSuffix(case: ExportCase) -> str:
    """The ending of a source file that reads as the very image that was annotated; empty if there is none."""
    if case.source is None:
        return ""
    name = case.source.name.lower()
    suffix = next((one for one in sorted(_COPIED_SUFFIXES, key=len, reverse=True) if name.endswith(one)), "")
    if not suffix or not case.source.is_file():
        return ""
    stored = read_image(case.source)
    # Pictures have no grid of their own.
    isInPlace = not stored.spacing_known or stored.geometry.close_to(case.image.geometry)
    isSame = np.array_equal(stored.array, case.image.array) and stored.axis_codes == case.image.axis_codes
    return suffix if isSame and isInPlace else ""


def _requireRows(case: ExportCase) -> None:
    if not case.rows:
        msg = f"{case.name} has neither a phrase nor a segment; there is nothing to export"
        raise ImageError(msg)


def _channelsOf(image: Image) -> dict[str, Any]:
    if image.array.ndim == 3:
        return {"image": image.array}
    return {name: image.array[..., index] for index, name in enumerate(("red", "green", "blue"))}
