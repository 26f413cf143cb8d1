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

from training.comparison.cells import Cell, facts, result_of, rows_of
from training.comparison.grid import EvaluationSet
from training.metrics import Overlap
from training.statistics import Interval, Ratio, clusters, image_mean, micro_dice, paired_bootstrap


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """One row on one set under one condition.

    Attributes:
        name: The row.
        where: The set.
        seeds: Seeds that were measured, at least one.
        planned: Number of seeds that the grid asks for.
        scores: What `training.evaluate.summarize` gave, one a seed.
        overlaps: Counts of every case in the order of the set's rows, one list a seed.
        facts: Parameters and seconds of training, one a seed.
    """

    name: str
    where: EvaluationSet
    seeds: tuple[int, ...]
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

    def micro(self) -> Ratio:
        """Micro Dice."""
        return micro_dice(self.overlaps)


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

    def clusters(self, where: EvaluationSet) -> list[str]:
        """Cluster of each case of a set."""
        if where.name not in self._names:
            columns = [row.columns for row in rows_of(where)]
            patients = [each.get("patient", "") for each in columns]
            self._names[where.name] = clusters(patients, [each["image"] for each in columns])
        return self._names[where.name]

    def differences(self, ours: Measured, theirs: Measured) -> tuple[Interval, Interval]:
        """Per-image and micro Dice, ours minus theirs, on the same set."""
        names = self.clusters(ours.where)
        return (
            paired_bootstrap(ours.dice(), theirs.dice(), names),
            paired_bootstrap(ours.micro(), theirs.micro(), names),
        )

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
