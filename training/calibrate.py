"""Fix every threshold of a model on the development split, and write them into its card.

python -m training.calibrate --weights TextGuidedSegLib/data/models/chest-xray \\
    --data ../shared/data/chest_infection/index.csv --split dev --presence-split val

Segmentation and pseudo-image thresholds maximize the mean of per-image and micro Dice. Presence is compared between
phrases for what is there and for what is not, on the same films, so that no hospital tells the answer: captions and, on
films whose lungs are known (`--lungs`, by default those of `training/truth`), the questions of `training.questions`; on
one-sided films of other sets the captions with swapped sides. Volumes are asked for a structure of another part of the
body instead, or for what `--never-shown` names. A set without a development split can lend `--split train --every 10`:
what `val` then says stays untouched. Films like those of training make a network look surer than harder ones bear out,
so the scale of presence, and nothing else, may be fitted to a further split beside the first (`--presence-split`).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import math
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from TextGuidedSegLib.errors import RegionNeededError, TextGuidedSegError
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.phrase import parse, swap_sides
from TextGuidedSegLib.weights import DecisionConfig, find_model, write_card
from training import grammar_volume
from training.cut_truth import is_doubtful, known_lungs
from training.datasets.index import Row, add_where, read_index, select
from training.datasets.label_maps import load_truth
from training.datasets.mr_volumes import open_volume
from training.lung_zones import LungZones
from training.metrics import Overlap, overlap, pooled
from training.questions import questions
from training.scoring import Scorer

logger = logging.getLogger(__name__)

THRESHOLDS = tuple(round(0.2 + 0.05 * step, 2) for step in range(13))
ASKED = ("one_side", "one_level", "part_level", "empty_side", "empty_level", "other_structure")
"""Questions that presence is fitted to; of the last, the easiest, one in three films is asked."""

# Mean Dice per image that *not found*, whose mask is empty, may cost where something is there.
_DICE_COST = 0.003


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """What the segmenter says on the development films.

    Attributes:
        probability: Overlap of mask and truth at each of `THRESHOLDS`, one tuple a caption.
        pseudo_image: The same of the pseudo-image.
        present: Evidence for presence of each caption.
        parts: Evidence of each phrase for a part of what is there.
        empty: Evidence of each phrase for what is not.
    """

    probability: list[tuple[Overlap, ...]]
    pseudo_image: list[tuple[Overlap, ...]]
    present: list[float]
    parts: list[float]
    empty: list[float]


def measure(
    segmenter: Segmenter,
    rows: Sequence[Row],
    lungs: Mapping[str, LungZones] | None = None,
    *,
    swapped: bool = True,
    never_shown: Sequence[str] = (),
) -> Measured:
    """Run every caption and, if `swapped`, phrases for parts of it and for nothing.

    Args:
        segmenter: The model.
        rows: Development images.
        lungs: By image name; films that are among them are asked `ASKED`.
        swapped: False for captions only.
        never_shown: Phrases for what no volume shows; empty for those of `grammar_volume`.
    """
    measured, decision = Measured([], [], [], [], []), segmenter.card.decision
    for number, row in enumerate(rows):
        image, text = open_volume(row), row.columns["text"]
        segmenter.set_image(image)
        truth = load_truth(row, image)
        if segmenter.card_for(text) is segmenter.card:  # a part for thick slices has limits of its own
            result = segmenter.segment(text)
            measured.probability.append(overlaps(result.probability, truth))
            measured.pseudo_image.append(overlaps(result.pseudo_image, truth))
            measured.present.append(_evidence(result.presence, decision))
        known = (lungs or {}).get(row.columns["image"])
        if swapped and known is not None:
            scorer = Scorer(image, truth, known, decision.pseudo_threshold)
            for question in questions(row, ASKED if number % 3 == 0 else ASKED[:-1], 1, 0):
                if scorer.target(question) is not None:
                    found = measured.parts if question.expected == "present" else measured.empty
                    found.append(_evidence(segmenter.segment(question.phrase).presence, decision))
            continue
        nothing = _phrase_for_nothing(row, image, number, never_shown) if swapped else None
        if nothing is not None and segmenter.card_for(nothing) is segmenter.card:
            with contextlib.suppress(RegionNeededError):  # refused with advice: the network was not asked
                measured.empty.append(_evidence(segmenter.segment(nothing).presence, decision))
    return measured


def overlaps(probability: np.ndarray, truth: np.ndarray) -> tuple[Overlap, ...]:
    """Overlap of mask and truth at each of `THRESHOLDS`; the maps of whole volumes would fill the memory.

    Args:
        probability: Any shape, in [0, 1].
        truth: Bool, same shape.
    """
    return tuple(overlap(probability >= threshold, truth) for threshold in THRESHOLDS)


def _phrase_for_nothing(row: Row, image: Image, number: int, never_shown: Sequence[str]) -> str | None:
    """A phrase for what is not there for sure, or None; `number` chooses among several."""
    text = row.columns["text"]
    if image.kind == "volume":
        if never_shown:
            return never_shown[number % len(never_shown)]
        return grammar_volume.absent_phrase(frozenset({grammar_volume.caption_key(text)}), random.Random(number))
    return swap_sides(text) if parse(text).side in ("left", "right") and not is_doubtful(row.columns) else None


def _evidence(presence: float, decision: DecisionConfig) -> float:
    """Undo the present calibration of a presence score."""
    clipped = min(max(presence, 1e-12), 1 - 1e-12)
    return (math.log(clipped / (1 - clipped)) - decision.presence_offset) / decision.presence_scale


def best_threshold(images: Sequence[tuple[Overlap, ...]]) -> float:
    """The threshold with the highest mean of per-image and micro Dice.

    Args:
        images: What `overlaps` says of each.
    """

    def score(threshold: float) -> float:
        here = [each[THRESHOLDS.index(threshold)] for each in images]
        return float(np.mean([one.dice for one in here])) + pooled(here).dice

    return max(THRESHOLDS, key=score)


def fit_presence(present: Sequence[float], empty: Sequence[float]) -> tuple[float, float]:
    """Logistic calibration of the evidence for presence (Platt), both classes weighing the same.

    Args:
        present: Evidence where something is there.
        empty: Evidence where nothing is there.

    Returns:
        Scale, > 0, and offset of the sigmoid's argument.
    """
    there, absent = np.asarray(present), np.asarray(empty)

    def loss(parameters: np.ndarray) -> float:
        scale, offset = np.exp(parameters[0]), parameters[1]
        return float(
            np.logaddexp(0, -(scale * there + offset)).mean() + np.logaddexp(0, scale * absent + offset).mean()
        )

    log_scale, offset = minimize(loss, np.array([0.0, 0.0]), bounds=[(-5, 3), (-50, 50)]).x
    return round(float(np.exp(log_scale)), 4), round(float(offset), 4)


def presence_limit(presence: Sequence[float], dice: Sequence[float]) -> float:
    """The limit of *not found*: as high as 0.3 Dice points allow, because its mask is empty; at most one half.

    Lesions that are hardly seen are mostly drawn badly too, so a miss costs less than its share of the films.

    Args:
        presence: Calibrated presence of captions, where something is there.
        dice: Dice of each of these masks.
    """
    order = np.argsort(presence)
    lost = np.cumsum(np.asarray(dice, dtype=float)[order]) / len(order)
    allowed = int(np.searchsorted(lost, _DICE_COST, side="right"))
    if allowed == len(order):
        return 0.5
    # Rounded down, so that the first film that may not be lost is kept.
    return min(0.5, math.floor(1000 * float(presence[order[allowed]])) / 1000)


def calibrate(
    weights: str,
    data: Path,
    split: str,
    lungs: Path | None = None,
    *,
    every: int = 1,
    never_shown: Sequence[str] = (),
    where: Sequence[str] = (),
    presence_split: str = "",
) -> DecisionConfig:
    """Measure, choose, and rewrite the card of the model.

    Args:
        weights: Model name or folder.
        data: Index.
        split: The development split.
        lungs: File of lungs; None for those that come with this package.
        every: Of the images, in the order of the index, only each that many.
        never_shown: See `measure`.
        where: Conditions on the rows, see `datasets.index.select`.
        presence_split: A further split that scale and offset of presence are fitted to; empty for none.

    Raises:
        ValueError: No row is left of a split, or none whose caption names one side.
    """
    model = find_model(weights)
    index = read_index(data)
    known, known_from = known_lungs(index, lungs)
    segmenter = Segmenter(model)
    rows_of: dict[str, list[Row]] = {}
    for name in filter(None, (split, presence_split)):  # all of them before minutes of work
        rows = select(index, [f"split={name}", *where])
        if not rows:
            msg = f"no row of {data} has split={name!r} and meets {list(where)}"
            raise ValueError(msg)
        chosen = set(list(dict.fromkeys(row.image for row in rows))[::every])
        rows_of[name] = [row for row in rows if row.image in chosen]
    splits = []
    for name, rows in rows_of.items():
        splits.append(measure(segmenter, rows, known if known_from == "file" else None, never_shown=never_shown))
        if not splits[-1].empty:
            msg = f"no caption of {data} with split={name!r} names one side; the limits of presence need such films"
            raise ValueError(msg)
    measured = splits[0]
    there = [evidence for each in splits for evidence in (*each.present, *each.parts)]
    scale, offset = fit_presence(there, [evidence for each in splits for evidence in each.empty])
    presence = 1 / (1 + np.exp(-(scale * np.array(measured.present) + offset)))
    threshold = best_threshold(measured.probability)
    decision = dataclasses.replace(
        model.card.decision,
        threshold=threshold,
        pseudo_threshold=best_threshold(measured.pseudo_image),
        presence_scale=scale,
        presence_offset=offset,
        not_found_below=presence_limit(
            presence.tolist(), [each[THRESHOLDS.index(threshold)].dice for each in measured.probability]
        ),
        found_above=0.5,
    )
    # Figures of other decisions would not be this model's any more.
    trained = {name: figure for name, figure in model.card.figures.items() if name == "trained"}
    write_card(model.folder, dataclasses.replace(model.card, decision=decision, figures=trained))
    return decision


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 2 for bad input."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(prog="python -m training.calibrate", description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--split", required=True)
    parser.add_argument("--presence-split", default="", metavar="SPLIT", help="also fit the scale of presence to it")
    add_where(parser)
    parser.add_argument("--lungs", type=Path, metavar="FILE.npz", help="from training.lung_zones, if not in truth/")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the images only each N-th")
    parser.add_argument("--never-shown", default="", metavar="NAME,NAME", help="structures that no volume shows")
    options = parser.parse_args(arguments)
    if options.every < 1:
        parser.error(f"--every must be 1 or more, got {options.every}")
    names = tuple(name.strip() for name in options.never_shown.split(",") if name.strip())
    try:
        decision = calibrate(
            options.weights,
            options.data,
            options.split,
            options.lungs,
            every=options.every,
            never_shown=names,
            where=options.where,
            presence_split=options.presence_split,
        )
    except (TextGuidedSegError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logger.info("%s", decision)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
