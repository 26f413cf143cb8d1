"""One phrase on one image: its scores, and what is summed up of many."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from TextGuidedSegLib.export import atomic_path
from training.metrics import Overlap, mean, pooled
from training.obedience import Share, figures
from training.questions import Expected

CASE_COLUMNS = (
    "image", "group", "phrase", "answer", "presence", "dice", "iou", "hd95", "pseudo_dice", "voxels", "intersection",
    "true_voxels", "kind", "wording", "expected", "source", "wrong_side_voxels",
)  # fmt: skip
"""Columns of the file that `--cases` writes."""

SURFACE_TOLERANCE_MM = 1.0
"""Surfaces so near to each other agree, as two people who draw the same border do."""


@dataclasses.dataclass(frozen=True)
class Case:
    """Scores of one phrase on one image.

    Attributes:
        group: Value of the grouping column.
        image: Image file name.
        phrase: Phrase given, or None.
        answer: The segmenter's answer.
        presence: The segmenter's presence score.
        overlap: Segmentation against truth.
        hd95: In `hd95_unit`; nan when a mask is empty.
        pseudo: Thresholded pseudo-image against truth.
        peak: Whether the pseudo-image peaks inside the truth; nan for an empty truth.
        side_mass: Share of its mass on the named side; nan unless the phrase names one side.
        surface_dice: Of volumes whose spacing is known, at `SURFACE_TOLERANCE_MM`; 0 when only one mask is empty, nan
            when both are, and for other images.
        hd95_unit: `mm` for volumes, whose spacing may be a nominal one, and for films of known spacing; otherwise `px`.
        kind: What was asked: `caption`, or one of `questions.ASKS`.
        subject: Equal for wordings of one meaning on one image.
        wording: Number of the wording.
        source: Where the image comes from, by the index.
        expected: Whether the phrase names something that is there.
        wrong_side: Predicted pixels on the side that the phrase excludes, of all; None where no side is excluded.
        outside: Pixels outside the named places, of the prediction and of the truth; None unless levels are named.
        errors: `(2, BINS)` counts of right and wrong pixels by their uncertainty, see `obedience.error_counts`; None
            where the truth is not what the words name.
    """

    group: str
    image: str
    phrase: str | None
    answer: str
    presence: float
    overlap: Overlap
    hd95: float
    pseudo: Overlap
    peak: float
    side_mass: float
    surface_dice: float = math.nan
    hd95_unit: Literal["mm", "px"] = "px"
    kind: str = "caption"
    subject: str = ""
    wording: int = 0
    source: str = ""
    expected: Expected = "unknown"
    wrong_side: Share | None = None
    outside: tuple[Share, Share] | None = None
    errors: np.ndarray | None = dataclasses.field(default=None, compare=False)


def summarize(cases: Sequence[Case]) -> dict[str, Any]:
    """All figures of a set of cases, as fractions of one."""
    total, pseudo = pooled([case.overlap for case in cases]), pooled([case.pseudo for case in cases])
    answers = [case.answer for case in cases]
    units = {case.hd95_unit for case in cases}
    return {
        "n": len(cases),
        "dice_per_image": mean([case.overlap.dice for case in cases]),
        "iou_per_image": mean([case.overlap.iou for case in cases]),
        "dice_micro": total.dice,
        "iou_micro": total.iou,
        "hd95": mean([case.hd95 for case in cases]) if len(units) == 1 else None,
        "hd95_n": _count([case.hd95 for case in cases]),
        "hd95_unit": units.pop() if len(units) == 1 else "mixed",
        "pseudo": {
            "dice_per_image": mean([case.pseudo.dice for case in cases]),
            "dice_micro": pseudo.dice,
            "peak_in_target": mean([case.peak for case in cases]),
            "named_side_mass": mean([case.side_mass for case in cases]),
        },
        **_surface([case.surface_dice for case in cases]),
        "answers": {answer: answers.count(answer) for answer in sorted(set(answers))},
        **figures(cases),
    }


def _surface(scores: Sequence[float]) -> dict[str, Any]:
    """Nothing where no image has a surface in millimeters."""
    if not _count(scores):
        return {}
    return {
        "surface_dice": mean(scores), "surface_dice_n": _count(scores), "surface_tolerance_mm": SURFACE_TOLERANCE_MM
    }  # fmt: skip


def _count(scores: Sequence[float]) -> int:
    return sum(not math.isnan(score) for score in scores)


def write_cases(path: Path, cases: Sequence[Case]) -> None:
    """Write one line a case, in the order of the rows."""
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(CASE_COLUMNS)
        for case in cases:
            scores = (case.presence, case.overlap.dice, case.overlap.iou, case.hd95, case.pseudo.dice)
            numbers = [f"{score:.4f}" for score in scores]
            counts = (case.overlap.predicted, case.overlap.intersection, case.overlap.true)
            asked = (case.kind, case.wording, case.expected, case.source, case.wrong_side and case.wrong_side.part)
            writer.writerow([case.image, case.group, case.phrase or "", case.answer, *numbers, *counts, *asked])
