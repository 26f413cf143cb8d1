"""The fixed label map: which label, value and color a phrase has, the same on every case of a list."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from TextGuidedSegLib.export import atomic_path

from .worklist import WorklistError

FORMAT, VERSION = "TextGuidedSeg label map", 1
HIGHEST_VALUE = 255
"""Label maps are stored as 8-bit integers; 0 is the background."""

# Told apart with any color vision (Okabe and Ito, 2008); more labels repeat them.
_COLORS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7", "#0072b2")


@dataclass(frozen=True)
class Label:
    """One line of the table.

    Attributes:
        value: 1 to `HIGHEST_VALUE`, unique.
        name: Unique; also a phrase of this label.
        color: "#rrggbb".
        phrases: Other phrases of this label.
    """

    value: int
    name: str
    color: str
    phrases: tuple[str, ...] = ()

    @property
    def rgb(self) -> tuple[float, float, float]:
        """The color as Slicer wants it, each part in [0, 1]."""
        parts = [int(self.color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        return parts[0], parts[1], parts[2]


class LabelMap:
    """Labels in the order of their values; never changed, only replaced by another.

    Args:
        labels: In any order.

    Raises:
        WorklistError: A value, name or color is impossible, or stands for two things.
    """

    def __init__(self, labels: Iterable[Label] = ()) -> None:
        self.labels: tuple[Label, ...] = tuple(sorted(labels, key=lambda one: one.value))
        self._byPhrase: dict[str, Label] = {}
        values: set[int] = set()
        for label in self.labels:
            _check(label, values)
            values.add(label.value)
            for phrase in (label.name, *label.phrases):
                other = self._byPhrase.setdefault(_key(phrase), label)
                if other is not label:
                    msg = f"“{phrase}” stands for the labels {other.value} and {label.value}; keep it in one of them"
                    raise WorklistError(msg)

    def find(self, phrase: str) -> Label | None:
        """The label of a phrase or name, whatever its capitals and blanks and a final full stop."""
        return self._byPhrase.get(_key(phrase))

    def of(self, phrase: str) -> Label:
        """The label of a phrase that has one.

        Raises:
            WorklistError: It has none.
        """
        found = self.find(phrase)
        if found is None:
            msg = f"“{phrase}” has no label; add it to the label map"
            raise WorklistError(msg)
        return found

    def including(self, phrases: Iterable[str]) -> LabelMap:
        """This map, with a new label at the end for each phrase that has none.

        Raises:
            WorklistError: No value is free.
        """
        result = self
        for phrase in phrases:
            if result.find(phrase) is None:
                value = max((one.value for one in result.labels), default=0) + 1
                name = " ".join(phrase.split()).rstrip(".")
                result = LabelMap([*result.labels, Label(value, name, _COLORS[(value - 1) % len(_COLORS)])])
        return result

    def withLabel(self, index: int, **changes: Any) -> LabelMap:
        """This map with one line changed; the index counts `labels`.

        Raises:
            WorklistError: As for the class.
        """
        labels = list(self.labels)
        labels[index] = replace(labels[index], **changes)
        return LabelMap(labels)

    def without(self, index: int) -> LabelMap:
        """This map without one line."""
        return LabelMap([*self.labels[:index], *self.labels[index + 1 :]])


def readLabelMap(path: str | Path) -> LabelMap:
    """Read what `writeLabelMap` wrote.

    Raises:
        WorklistError: The file cannot be read or is no label map; the message says why.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["format"] != FORMAT or content["version"] > VERSION:
            raise ValueError(content["format"], content["version"])
        return LabelMap(
            Label(one["value"], one["name"], one["color"], tuple(one.get("phrases", ()))) for one in content["labels"]
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path}: no label map could be read ({error!r}); expected a JSON file saved by the worklist"
        raise WorklistError(msg) from error


def writeLabelMap(path: str | Path, labelMap: LabelMap) -> None:
    """Save a label map as JSON, one label a line.

    Raises:
        ImageError: The file cannot be written; an old one is as it was.
    """
    records = [
        {"value": one.value, "name": one.name, "color": one.color, "phrases": list(one.phrases)}
        for one in labelMap.labels
    ]
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in records)
    head = f'{{"format": {json.dumps(FORMAT)}, "version": {VERSION}, "labels": [\n'
    with atomic_path(path) as part:
        part.write_text(f"{head}{lines}\n]}}\n", encoding="utf-8", newline="\n")


def phrasesOf(cell: str) -> tuple[str, ...]:
    """The phrases of a cell of the table, separated by semicolons."""
    return tuple(dict.fromkeys(one for one in (" ".join(part.split()) for part in cell.split(";")) if one))


def areConsecutive(labels: Sequence[Label]) -> bool:
    """True if the values are 1, 2, 3 and so on, as some formats want it."""
    return [one.value for one in labels] == list(range(1, len(labels) + 1))


def _check(label: Label, taken: set[int]) -> None:
    if isinstance(label.value, bool) or not isinstance(label.value, int) or not 1 <= label.value <= HIGHEST_VALUE:
        msg = f"a label's value is a whole number from 1 to {HIGHEST_VALUE}, got {label.value!r} for “{label.name}”"
        raise WorklistError(msg)
    if label.value in taken:
        msg = f"two labels have the value {label.value}; give “{label.name}” another"
        raise WorklistError(msg)
    if not isinstance(label.name, str) or not _key(label.name):
        msg = f"the label {label.value} has no name; type one"
        raise WorklistError(msg)
    if not isinstance(label.color, str) or not re.fullmatch("#[0-9a-fA-F]{6}", label.color):
        msg = f"a color is written like #e69f00, got {label.color!r} for “{label.name}”"
        raise WorklistError(msg)


def _key(phrase: str) -> str:
    return " ".join(phrase.casefold().split()).rstrip(".")
