"""What a comparison has measured so far, read back case by case, and differences between rows with their intervals."""

from __future__ import annotations

import csv
import dataclasses
import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.comparison.cell import Cell, rows_of
from training.comparison.cells import facts, result_of
from training.comparison.grid import EvaluationSet
from training.metrics import Overlap
from training.statistics import (
    Interval,
    Ratio,
    clusters,
    image_mean,
    micro_dice,
    micro_iou,
    paired_bootstrap,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """One row on one set under one condition.

    Attributes:
        name: The row.
        where: The set.
        seeds: Seeds that were measured, at least one; of a baseline, which has none, a placeholder.
        is_seeded: Whether they are seeds of networks.
        planned: Number of seeds that the grid asks for.
        scores: What `training.evaluate.summarize` gave, one a seed.
        overlaps: Counts of every case in the order of the set's rows, one list a seed.
        facts: Parameters and seconds of training, one a seed.
    """

    name: str
    where: EvaluationSet
    seeds: tuple[int, ...]
    is_seeded: bool
    planned: int
    scores: list[dict[str, Any]]
    overlaps: list[list[Overlap]]
    facts: list[dict[str, Any]]

    def mean(self, key: str) -> float:
        """Mean of a score over seeds; nan if no seed has it."""
        values = [seed[key] for seed in self.scores if seed[key] is not None]
        return float(np.mean(values)) if values else math.nan

    def spread(self, key: str) -> float:
        """Half the range of a score over seeds."""
        values = [seed[key] for seed in self.scores if seed[key] is not None]
        return (max(values) - min(values)) / 2 if values else math.nan

    def dice(self, chosen: np.ndarray | None = None) -> Ratio:
        """Per-image Dice of all cases, or of those where `chosen`, `(N,)` bool, is true."""
        ratio = image_mean([[each.dice for each in seed] for seed in self.overlaps])
        return ratio if chosen is None else ratio.of(chosen)

    def ratios(self) -> dict[str, Ratio]:
        """Every score that differences are given of, by the name of its column."""
        return {
            "per image": self.dice(),
            "micro": micro_dice(self.overlaps),
            "IoU per image": image_mean([[each.iou for each in seed] for seed in self.overlaps]),
            "IoU micro": micro_iou(self.overlaps),
        }

    def of_seeds(self, seeds: Sequence[int]) -> Measured:
        """The same of some of its seeds."""
        places = [self.seeds.index(seed) for seed in seeds]
        return dataclasses.replace(
            self,
            seeds=tuple(seeds),
            scores=[self.scores[place] for place in places],
            overlaps=[self.overlaps[place] for place in places],
            facts=[self.facts[place] for place in places],
        )


@dataclasses.dataclass(frozen=True)
class Paired:
    """Two rows on the seeds that both have: a mean of two seeds minus one of them would not be equal terms.

    Attributes:
        ours: One row; all of it if the other is a baseline.
        theirs: The other.
        is_complete: Both rows have these seeds and no others.
    """

    ours: Measured
    theirs: Measured
    is_complete: bool

    @property
    def seeds(self) -> int:
        """Number of seeds; 0 for two baselines."""
        return max((len(each.seeds) for each in (self.ours, self.theirs) if each.is_seeded), default=0)


def paired(ours: Measured, theirs: Measured) -> Paired | None:
    """Two rows on the seeds that both have; None if there are none. A baseline goes with any seeds."""
    if not (ours.is_seeded and theirs.is_seeded):
        return Paired(ours, theirs, is_complete=True)
    common = [seed for seed in ours.seeds if seed in theirs.seeds]
    if not common:
        return None
    return Paired(ours.of_seeds(common), theirs.of_seeds(common), is_complete=set(ours.seeds) == set(theirs.seeds))


class Results:
    """Everything that is measured of a comparison.

    Args:
        cells: All its cells.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = list(cells)
        self._found: dict[tuple[str, str, str], Measured | None] = {}
        self._names: dict[str, list[str]] = {}

    def get(self, row: str, where: EvaluationSet, condition: str = "original") -> Measured | None:
        """A row's scores over the seeds that are there; None if there are none."""
        key = (row, where.name, condition)
        if key not in self._found:
            self._found[key] = self._read(row, where, condition)
        return self._found[key]

    def machines(self) -> list[dict[str, Any] | None]:
        """On what each measured network was trained, one entry a run; None where that was not noted."""
        done = [cell for cell in self.cells if cell.row.baseline is None and self._is_measured(cell)]
        return [facts(cell).get("machine") for cell in done]

    def _is_measured(self, cell: Cell) -> bool:
        found = (self.get(cell.row.name, where, condition) for where, condition in cell.evaluations())
        return any(each is not None and cell.seed in each.seeds for each in found)

    def clusters(self, where: EvaluationSet) -> list[str]:
        """Cluster of each case of a set."""
        if where.name not in self._names:
            columns = [row.columns for row in rows_of(where)]
            images = [each["image"] for each in columns]
            patient_of = dict(zip(images, [each.get("patient", "") for each in columns], strict=True))
            if where.ask:  # several questions of a film, or none
                images = self._asked_images(where)
            self._names[where.name] = clusters([patient_of[image] for image in images], images)
        return self._names[where.name]

    def _asked_images(self, where: EvaluationSet) -> list[str]:
        """Image of each question: they depend on the film alone, so any measured row tells them."""
        cell = next(
            cell for cell in self.cells if where in cell.grid.sets_of(cell.row) and result_of(cell, where, "original")
        )
        with cell.result(where, "original").with_suffix(".csv").open(newline="", encoding="utf-8") as file:
            return [line["image"] for line in csv.DictReader(file)]

    def differences(self, pair: Paired) -> dict[str, Interval]:
        """Ours minus theirs on the same set, by the name of the score."""
        names, theirs = self.clusters(pair.ours.where), pair.theirs.ratios()
        return {score: paired_bootstrap(ratio, theirs[score], names) for score, ratio in pair.ours.ratios().items()}

    def _read(self, row: str, where: EvaluationSet, condition: str) -> Measured | None:
        planned = [
            cell for cell in self.cells if cell.row.name == row and (where, condition) in list(cell.evaluations())
        ]
        found = [(cell, scores) for cell in planned if (scores := result_of(cell, where, condition)) is not None]
        if not found:
            return None
        return Measured(
            name=row,
            where=where,
            seeds=tuple(cell.seed for cell, _ in found),
            is_seeded=found[0][0].row.baseline is None,
            planned=len(planned),
            scores=[scores for _, scores in found],
            overlaps=[read_overlaps(cell.result(where, condition).with_suffix(".csv")) for cell, _ in found],
            facts=[facts(cell) for cell, _ in found],
        )


@functools.lru_cache(maxsize=256)
def _lines(path: Path, changed: float) -> list[Overlap]:
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Overlap(int(line["intersection"]), int(line["voxels"]), int(line["true_voxels"]))
            for line in csv.DictReader(file)
        ]


def read_overlaps(path: Path) -> list[Overlap]:
    """Counts of every case of a file that `training.evaluate --cases` wrote."""
    return _lines(path, path.stat().st_mtime)
