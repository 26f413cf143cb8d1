"""One cell of a comparison: a row with one seed, the files it has, and what each of its results depends on."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from TextGuidedSegLib.config import to_json_dict
from TextGuidedSegLib.weights import WEIGHTS_FILE, file_sha256, read_model
from training.comparison.grid import FIXED_THRESHOLD, EvaluationSet, Grid, RowConfig
from training.config import TrainConfig
from training.datasets.index import Row, read_index, select


@dataclasses.dataclass(frozen=True)
class Cell:
    """A row with one seed.

    Attributes:
        grid: What it belongs to.
        row: The row.
        seed: The seed; 0 for a baseline, which has none.
        runs: Folder of all runs of the comparison.
        out: Folder of results.
        jobs: How many cells are worked on at once, which the time of a run depends on.
    """

    grid: Grid
    row: RowConfig
    seed: int
    runs: Path
    out: Path
    jobs: int = 1

    @property
    def name(self) -> str:
        """For people."""
        return self.row.name if self.row.baseline else f"{self.row.name}, seed {self.seed}"

    @property
    def run(self) -> Path:
        """Folder of the run."""
        return self.runs / self.row.name / f"seed-{self.seed}"

    @property
    def model(self) -> Path:
        """Folder of the model that is made of it."""
        return self.run / "model"

    @functools.cached_property
    def config(self) -> TrainConfig:
        """Configuration of the run."""
        return self.grid.run_config(self.row, self.seed)

    def result(self, where: EvaluationSet, condition: str) -> Path:
        """The file with the scores of one evaluation; a CSV with its cases lies beside it."""
        return self.out / f"{self.row.name}.seed-{self.seed}.{_slug(where.name)}.{condition}.json"

    def evaluations(self) -> Iterator[tuple[EvaluationSet, str]]:
        """Sets and conditions that the row is measured under."""
        for where in self.grid.sets_of(self.row):
            yield from ((where, condition) for condition in self.row.conditions if condition in where.conditions)


def cells(grid: Grid, runs: Path, out: Path, jobs: int = 1) -> list[Cell]:
    """All cells in the order of the rows."""
    return [
        Cell(grid, row, seed, runs, out, jobs)
        for row in grid.rows
        for seed in ((0,) if row.baseline else sorted(row.seeds))
    ]


def rows_of(where: EvaluationSet) -> list[Row]:
    """The films of a set.

    Raises:
        ValueError: The index is wrong or no row is left.
    """
    rows = select(read_index(where.index), [f"split={where.split}", *where.where])
    if not rows:
        msg = f"no row of {where.index} has split={where.split!r} and meets {list(where.where)}"
        raise ValueError(msg)
    return rows


def trained_steps(cell: Cell) -> int:
    """Steps that the weights of the exported model have seen."""
    return int(read_model(cell.model).card.figures["trained"]["steps"])


def tuning_key(cell: Cell) -> str:
    """What a threshold depends on besides the weights."""
    tuning = cell.grid.tuning
    if tuning is None:
        return _hash([FIXED_THRESHOLD, cell.grid.mirror_average])
    return _hash([_index_hash(tuning.index), tuning.split, tuning.where, cell.grid.mirror_average])


def tuning_of(cell: Cell) -> EvaluationSet:
    """The tuning films of a baseline; a grid without them is refused when it is read."""
    assert cell.grid.tuning is not None
    return cell.grid.tuning


def result_key(cell: Cell, where: EvaluationSet, condition: str) -> str | None:
    """What a result depends on; None while there is nothing to measure."""
    # Phrase and questions only where there are any: keys of results from before sets could have them stay as they are.
    said: list[Any] = [] if where.phrase is None else [where.phrase]
    said += [where.ask] if where.ask else []
    films = [_index_hash(where.index), where.split, where.where, condition, *said]
    if cell.row.baseline:
        return _hash([cell.row.baseline, _index_hash(tuning_of(cell).index), tuning_key(cell), *films])
    if not (cell.model / WEIGHTS_FILE).is_file() or trained_steps(cell) != cell.config.steps:
        return None
    card = read_model(cell.model).card
    decision = to_json_dict(card.decision)
    if not card.decision.single_piece:  # likewise for results from before pieces were counted
        del decision["single_piece"]
    return _hash([card.sha256[WEIGHTS_FILE], decision, *films])


@functools.cache
def _index_hash(path: str) -> str:
    return file_sha256(Path(path))


def _hash(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _slug(name: str) -> str:
    return "-".join(name.lower().split())
