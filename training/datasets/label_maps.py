"""What the masks of an index say: the truth of one row, and all rows of a volume joined to one label map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from TextGuidedSegLib.image import Image
from training import grammar_volume
from training.datasets.films import load_mask, stored_mask
from training.datasets.index import Row

_MOST_LABELS = 255  # a label map is uint8, and 0 is the background


def label_values(row: Row) -> tuple[int, ...]:
    """Labels that are joined for a row's text; the column `label` holds them with commas between.

    Raises:
        ValueError: The cell holds no whole numbers.
    """
    cell = row.columns["label"]
    try:
        return tuple(int(value) for value in cell.split(","))
    except ValueError as error:
        msg = f"the column label of {row.mask} must hold whole numbers with commas between, got {cell!r}"
        raise ValueError(msg) from error


def load_truth(row: Row, image: Image) -> np.ndarray:
    """The mask of a row as bool on the image's own grid `(I, J, K)`: joined labels of a volume, or a film's mask.

    Raises:
        ImageError: The mask cannot be read.
        ValueError: The mask has another size than the image or lies elsewhere, or the labels are no numbers.
    """
    if image.kind == "volume":
        return _named(row, stored_mask(row.mask, image))
    return load_mask(row.mask, image)


def joined_labels(rows: Sequence[Row], image: Image) -> tuple[np.ndarray, dict[str, tuple[int, ...]]]:
    """All rows of a volume as one label map, whatever files and values theirs have.

    Each label is one combination of the captions that hold for its voxels, so masks may overlap. What a file marks and
    no caption names gets labels of its own.

    Args:
        rows: All rows of one volume; each file is read once.
        image: The volume.

    Returns:
        Labels `(I, J, K)` uint8 on the volume's own grid, 0 outside, and for the key of each caption those it names:
        none where its masks are empty. Rows of one caption are joined.

    Raises:
        ImageError: A mask cannot be read.
        ValueError: A mask has another size than the volume or lies elsewhere, the column `label` holds no numbers, or
            the masks overlap in more than 255 ways.
    """
    files: dict[Path, list[Row]] = {}
    for row in rows:
        files.setdefault(row.mask, []).append(row)
    joined = _Joined(image)
    for path, of_file in files.items():
        stored = stored_mask(path, image)
        for row in sorted(of_file, key=_values):  # where shares are equal, resampling takes the lower label
            joined.add(_named(row, stored), grammar_volume.caption_key(row.columns["text"]))
        joined.add(stored > 0, None)
    keys = dict.fromkeys(grammar_volume.caption_key(row.columns["text"]) for row in rows)
    return joined.labels.astype(np.uint8), {key: joined.labels_of(key) for key in keys}


def _named(row: Row, stored: np.ndarray) -> np.ndarray:
    """What a row names in its mask file, bool; without labels everything that the file marks."""
    values = _values(row)
    marked: np.ndarray = np.isin(stored, values) if values else stored > 0
    return marked


def _values(row: Row) -> tuple[int, ...]:
    """The labels of a row, none for all."""
    return label_values(row) if row.columns.get("label") else ()


class _Joined:
    """Voxels by the captions that hold for them; numbers are given in the order of the captions.

    Args:
        image: Whose grid it is.
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self.labels = np.zeros(image.geometry.shape, dtype=np.uint16)
        self._sizes: list[int] = [self.labels.size]
        self._captions: list[frozenset[str | None]] = [frozenset()]

    def add(self, mask: np.ndarray, caption: str | None) -> None:
        """Part the labels into what lies in a mask and what does not; only what lies in it can change."""
        inside = np.bincount(self.labels[mask], minlength=len(self._sizes))
        numbers = np.arange(len(inside), dtype=np.uint16)
        for label in np.flatnonzero(inside).tolist():
            captions, count = self._captions[label] | {caption}, int(inside[label])
            if label and count == self._sizes[label]:
                self._captions[label] = captions
            elif captions != self._captions[label]:
                numbers[label] = len(self._sizes)
                self._sizes[label] -= count
                self._sizes.append(count)
                self._captions.append(captions)
        if len(self._sizes) - 1 > _MOST_LABELS:
            msg = (
                f"the masks of {self._image.source} overlap in {len(self._sizes) - 1} ways; expected {_MOST_LABELS} at "
                "most: give it fewer rows, or masks that overlap less"
            )
            raise ValueError(msg)
        self.labels[mask] = numbers[self.labels[mask]]

    def labels_of(self, caption: str) -> tuple[int, ...]:
        """The labels that a caption holds for."""
        return tuple(number for number, captions in enumerate(self._captions) if caption in captions)
