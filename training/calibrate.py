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
import dataclasses
import logging
import math
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from TextGuidedSegLib.errors import TextGuidedSegError
from TextGuidedSegLib.weights import DecisionConfig, find_model, write_card
from training.cut_truth import known_lungs
from training.datasets.index import Row, add_where, read_index, select
from training.evidence import EVERYTHING, THRESHOLDS, Asking, Measured, measure_by
from training.metrics import Overlap, pooled

logger = logging.getLogger(__name__)

# Mean Dice per image that *not found*, whose mask is empty, may cost where something is there.
_DICE_COST = 0.003

_FOUND_ABOVE = 0.5
# Of 5 % that may be asked of a user to judge, some room is left for other hospitals.
_MOST_UNSURE, _AT_LEAST = 0.04, 0.25


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


def unsure_limit(there: Sequence[float], absent: Sequence[float]) -> float:
    """The lowest limit of *not found* with at most 4 % of the answers *unsure*; both classes weigh the same.

    It is a quarter at least: what is three times as likely not there is *not found*, however few answers that leaves.

    Args:
        there: Calibrated presence of what is there, captions and parts.
        absent: Of what is not.
    """
    limits = np.arange(1000 * _AT_LEAST, 501) / 1000
    unsure = np.zeros(len(limits))
    for presence in (np.asarray(there), np.asarray(absent)):
        unsure += ((presence[:, None] >= limits) & (presence[:, None] < _FOUND_ABOVE)).mean(axis=0) / 2
    return float(limits[int(np.argmax(unsure <= _MOST_UNSURE))])


@dataclasses.dataclass(frozen=True)
class Films:
    """Rows of an index to calibrate on.

    Attributes:
        data: The index.
        split: The development split.
        presence_split: A further split that scale and offset of presence are fitted to; empty for none.
        where: Conditions on the rows, see `datasets.index.select`.
        every: Of the images, in the order of the index, only each that many.
    """

    data: Path
    split: str
    presence_split: str = ""
    where: tuple[str, ...] = ()
    every: int = 1

    def rows(self, index: Sequence[Row]) -> list[list[Row]]:
        """Rows of each split.

        Raises:
            ValueError: No row is left of a split.
        """
        found = []
        for name in filter(None, (self.split, self.presence_split)):
            rows = select(index, [f"split={name}", *self.where])
            if not rows:
                msg = f"no row of {self.data} has split={name!r} and meets {list(self.where)}"
                raise ValueError(msg)
            chosen = set(list(dict.fromkeys(row.image for row in rows))[:: self.every])
            found.append([row for row in rows if row.image in chosen])
        return found


def calibrate(
    weights: str, films: Films, lungs: Path | None = None, asking: Asking = EVERYTHING, *, jobs: int = 1
) -> DecisionConfig:
    """Measure, choose, and rewrite the card of the model.

    Args:
        weights: Model name or folder.
        films: What it is calibrated on.
        lungs: File of lungs; None for those that come with this package.
        asking: What is asked besides the captions.
        jobs: Processes of one thread each.

    Raises:
        ValueError: No row is left of a split, or none whose caption names one side.
    """
    model = find_model(weights)
    index = read_index(films.data)
    known, known_from = known_lungs(index, lungs)
    splits = []
    for rows in films.rows(index):
        splits.append(measure_by(model, rows, known if known_from == "file" else None, asking, jobs))
        if not splits[-1].empty:
            split = rows[0].columns["split"]
            msg = f"no caption of {films.data} with split={split!r} names one side; presence needs such films"
            raise ValueError(msg)
    decision = chosen(splits, model.card.decision)
    # Figures of other decisions would not be this model's any more.
    trained = {name: figure for name, figure in model.card.figures.items() if name == "trained"}
    write_card(model.folder, dataclasses.replace(model.card, decision=decision, figures=trained))
    return decision


def chosen(splits: Sequence[Measured], before: DecisionConfig) -> DecisionConfig:
    """The decision that follows from what was measured: scale and offset of presence from all splits, all else from
    the first."""
    there = [evidence for each in splits for evidence in (*each.present, *each.parts)]
    absent = [evidence for each in splits for evidence in each.empty]
    scale, offset = fit_presence(there, absent)

    def presence(evidence: Sequence[float]) -> list[float]:
        calibrated: list[float] = (1 / (1 + np.exp(-(scale * np.array(evidence) + offset)))).tolist()
        return calibrated

    first = splits[0]
    threshold = best_threshold(first.probability)
    dice = [each[THRESHOLDS.index(threshold)].dice for each in first.probability]
    return dataclasses.replace(
        before,
        threshold=threshold,
        pseudo_threshold=best_threshold(first.pseudo_image),
        presence_scale=scale,
        presence_offset=offset,
        not_found_below=min(
            presence_limit(presence(first.present), dice),
            unsure_limit(presence([*first.present, *first.parts]), presence(first.empty)),
        ),
        found_above=_FOUND_ABOVE,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 2 for bad input, 1 when a process was killed."""
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
    parser.add_argument("--jobs", type=int, choices=range(1, 65), default=1, metavar="N", help="processes at once")
    options = parser.parse_args(arguments)
    if options.every < 1:
        parser.error(f"--every must be 1 or more, got {options.every}")
    names = tuple(name.strip() for name in options.never_shown.split(",") if name.strip())
    films = Films(options.data, options.split, options.presence_split, tuple(options.where), options.every)
    try:
        decision = calibrate(options.weights, films, options.lungs, Asking(never_shown=names), jobs=options.jobs)
    except (TextGuidedSegError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except BrokenProcessPool:
        sys.stderr.write("a process was killed, perhaps for memory; the card stays: call again with fewer --jobs\n")
        return 1
    logger.info("%s", decision)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
