"""Measure a model on one split of a data set, through the very path the product runs.

python -m training.evaluate --weights chest-xray --data ../shared/data/chest_infection/index.csv --split dev \\
    --out dev.json
python -m training.evaluate --weights chest-xray --data ../shared/data/chest_structures/index.csv --split val \\
    --where "kind=left lung,right lung" --by kind --out lungs.json
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from TextGuidedSegLib.errors import DeviceError, TextGuidedSegError
from TextGuidedSegLib.export import atomic_path, check_output
from TextGuidedSegLib.geometry import FILM_CODES, AxisCodes, reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Result, Segmenter
from TextGuidedSegLib.phrase import swap_sides
from training.conditions import CONDITIONS, under_condition
from training.datasets.films import load_mask
from training.datasets.index import Row, read_index, select
from training.datasets.mr_volumes import load_truth, open_volume
from training.metrics import Overlap, hd95, mean, named_side_mass, overlap, peak_in_target, pooled, surface_dice
from training.poses import MIRRORED, POSES, posed

logger = logging.getLogger(__name__)

CASE_COLUMNS = (
    "image", "group", "phrase", "answer", "presence", "dice", "iou", "hd95", "pseudo_dice", "voxels", "intersection",
    "true_voxels",
)  # fmt: skip
"""Columns of the file that `--cases` writes."""

SURFACE_TOLERANCE_MM = 1.0
"""Surfaces so near to each other agree, as two people who draw the same border do."""


@dataclasses.dataclass(frozen=True)
class Case:
    """Scores of one row.

    Attributes:
        group: Value of the grouping column.
        image: Image file name.
        phrase: Phrase given, or None.
        answer: The segmenter's answer.
        presence: The segmenter's presence score.
        overlap: Segmentation against truth.
        hd95: In mm, or pixels when the spacing is unknown; nan when a mask is empty.
        pseudo: Thresholded pseudo-image against truth.
        peak: Whether the pseudo-image peaks inside the truth; nan for an empty truth.
        side_mass: Share of its mass on the named side; nan unless the phrase names one side.
        surface_dice: Of volumes whose spacing is known, at `SURFACE_TOLERANCE_MM`; nan for others and for empty masks.
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


def phrases_for(rows: Sequence[Row], options: argparse.Namespace) -> list[str | None]:
    """The phrase of each row under the condition asked for.

    Raises:
        ValueError: All rows have the same phrase, so that there is nothing to shuffle.
    """
    own = [options.phrase or row.columns[options.text_column] for row in rows]
    phrases = under_condition(own, options.condition, options.seed)
    if options.pose == MIRRORED:
        return [None if phrase is None else swap_sides(phrase) for phrase in phrases]
    return phrases


def evaluate_case(segmenter: Segmenter, row: Row, phrase: str | None, options: argparse.Namespace) -> Case:
    """Segment one row and score it. The mask is read for scoring only, after the result is there."""
    image, truth = open_volume(row), None
    if options.pose != "original":
        if image.kind == "volume":
            message = f"--pose {options.pose} moves films; {row.image} is a volume"
            raise ValueError(message)
        image, truth = posed(image, load_mask(row.mask, image), options.pose)
    segmenter.set_image(image)
    result = segmenter.segment(phrase)
    truth = load_truth(row, image) if truth is None else truth
    pseudo = result.pseudo_image
    return Case(
        group=row.columns[options.by] if options.by else "",
        image=row.columns["image"],
        phrase=phrase,
        answer=result.answer,
        presence=result.presence,
        overlap=overlap(result.mask, truth),
        hd95=hd95(*_without_single_slices(image, result.mask, truth)),
        pseudo=overlap(pseudo >= segmenter.card.decision.pseudo_threshold, truth),
        peak=float(peak_in_target(pseudo, truth)) if truth.any() else math.nan,
        side_mass=_side_mass(result, image.axis_codes),
        surface_dice=surface_dice(result.mask, truth, image.geometry.spacing_mm.tolist(), SURFACE_TOLERANCE_MM)
        if image.kind == "volume" and image.spacing_known
        else math.nan,
    )


def _side_mass(result: Result, axis_codes: AxisCodes) -> float:
    if result.phrase is None or result.phrase.side not in ("left", "right"):
        return math.nan
    # The first axis runs to the patient's left, and to the right of a picture.
    side = result.phrase.side if result.phrase.frame == "patient" else swap_sides(result.phrase.side)
    shown = reorientation(axis_codes, FILM_CODES).apply(result.pseudo_image)
    return named_side_mass(shown.sum(axis=2), side)


def _without_single_slices(
    image: Image, prediction: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Masks and voxel sizes as `hd95` reads them: a film has two axes."""
    long = [axis for axis, size in enumerate(prediction.shape) if size > 1]
    shape = [prediction.shape[axis] for axis in long]
    return prediction.reshape(shape), truth.reshape(shape), image.geometry.spacing_mm[long].tolist()


def summarize(cases: Sequence[Case]) -> dict[str, Any]:
    """All figures of a set of cases, as fractions of one."""
    total, pseudo = pooled([case.overlap for case in cases]), pooled([case.pseudo for case in cases])
    answers = [case.answer for case in cases]
    surface = mean([case.surface_dice for case in cases])
    return {
        "n": len(cases),
        "dice_per_image": mean([case.overlap.dice for case in cases]),
        "iou_per_image": mean([case.overlap.iou for case in cases]),
        "dice_micro": total.dice,
        "iou_micro": total.iou,
        "hd95": mean([case.hd95 for case in cases]),
        "hd95_n": sum(not math.isnan(case.hd95) for case in cases),
        "pseudo": {
            "dice_per_image": mean([case.pseudo.dice for case in cases]),
            "dice_micro": pseudo.dice,
            "peak_in_target": mean([case.peak for case in cases]),
            "named_side_mass": mean([case.side_mass for case in cases]),
        },
        **({} if surface is None else {"surface_dice": surface, "surface_tolerance_mm": SURFACE_TOLERANCE_MM}),
        "answers": {answer: answers.count(answer) for answer in sorted(set(answers))},
    }


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Everything the command does, without its files.

    Raises:
        ValueError: The index or a condition is wrong, or no row is left.
    """
    rows = select(read_index(options.data), [f"split={options.split}", *options.where])
    if not rows:
        message = f"no row of {options.data} has split={options.split!r} and meets {options.where}"
        raise ValueError(message)
    needed = [column for column in (options.by, options.text_column if not options.phrase else None) if column]
    missing = [column for column in needed if column not in rows[0].columns]
    if missing:
        message = f"the index has no column {missing[0]!r}; it has {', '.join(rows[0].columns)}"
        raise ValueError(message)
    segmenter = Segmenter(options.weights, device=options.device)
    cases = []
    for number, (row, phrase) in enumerate(zip(rows, phrases_for(rows, options), strict=True), start=1):
        cases.append(evaluate_case(segmenter, row, phrase, options))
        if number % 100 == 0:
            logger.info("%d of %d", number, len(rows))
    report = summarize(cases)
    report["groups"] = {
        group: summarize([case for case in cases if case.group == group]) for group in sorted({c.group for c in cases})
    } if options.by else {}  # fmt: skip
    report["settings"] = {
        "weights": str(options.weights), "weights_sha256": segmenter.card.sha256["weights.safetensors"],
        "data": str(options.data), "split": options.split, "where": options.where, "by": options.by,
        "text_column": options.text_column, "phrase": options.phrase, "condition": options.condition,
        "pose": options.pose, "seed": options.seed, "device": segmenter.device,
        "decision": dataclasses.asdict(segmenter.card.decision),
    }  # fmt: skip
    if options.cases:
        write_cases(options.cases, cases)
    return report


def write_cases(path: Path, cases: Sequence[Case]) -> None:
    """Write one line a case, in the order of the rows."""
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(CASE_COLUMNS)
        for case in cases:
            scores = (case.presence, case.overlap.dice, case.overlap.iou, case.hd95, case.pseudo.dice)
            numbers = [f"{score:.4f}" for score in scores]
            counts = (case.overlap.predicted, case.overlap.intersection, case.overlap.true)
            writer.writerow([case.image, case.group, case.phrase or "", case.answer, *numbers, *counts])


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, help="model name, model folder, or weights file beside its card")
    parser.add_argument("--data", required=True, type=Path, help="index.csv")
    parser.add_argument("--split", required=True)
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--phrase", help="one phrase for every row instead of the column")
    parser.add_argument("--where", action="append", default=[], metavar="COLUMN=VALUE[,VALUE]")
    parser.add_argument("--by", metavar="COLUMN", help="also report each value of this column")
    parser.add_argument("--condition", choices=CONDITIONS, default="original")
    parser.add_argument("--pose", choices=[*POSES, MIRRORED], default="original", help="move every film first")
    parser.add_argument("--seed", type=int, default=0, help="seed of the shuffled condition")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.json")
    parser.add_argument("--cases", type=Path, metavar="FILE.csv", help="also write one line a case")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 2 for bad input, 3 for a missing device."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = parse_options(arguments)
    try:
        for path in filter(None, (options.out, options.cases)):
            check_output(path, ("",))  # before minutes of work
        report = evaluate(options)
        with atomic_path(options.out) as part:
            part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except DeviceError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except (TextGuidedSegError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logger.info("%s", json.dumps({key: value for key, value in report.items() if key not in ("groups", "settings")}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
