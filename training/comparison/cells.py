"""One cell of a comparison: a row with one seed. Train it, make a model of it, fix its threshold, measure it.

Each of the four leaves a file, and is left out when that file is there and belongs to the same input: a call that was
interrupted goes on where it stood, and nothing is trained or measured twice.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from TextGuidedSegLib.config import to_json_dict
from TextGuidedSegLib.export import atomic_path
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.weights import (
    CARD_FILE,
    LICENSE_FILE,
    WEIGHTS_FILE,
    DecisionConfig,
    file_sha256,
    load_network,
    read_model,
    write_card,
)
from training import baselines, calibrate
from training.cases import summarize, write_cases
from training.checkpoint import load_checkpoint
from training.comparison.grid import EvaluationSet, Grid, RowConfig
from training.config import TrainConfig, read_config
from training.datasets.index import Row, read_index, select
from training.evaluate import evaluate, parse_options
from training.export import export
from training.train import train

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Cell:
    """A row with one seed.

    Attributes:
        grid: What it belongs to.
        row: The row.
        seed: The seed; 0 for a baseline, which has none.
        runs: Folder of all runs of the comparison.
        out: Folder of results.
    """

    grid: Grid
    row: RowConfig
    seed: int
    runs: Path
    out: Path

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


def cells(grid: Grid, runs: Path, out: Path) -> list[Cell]:
    """All cells in the order of the rows."""
    return [
        Cell(grid, row, seed, runs, out) for row in grid.rows for seed in ((0,) if row.baseline else sorted(row.seeds))
    ]


def steps_left(cell: Cell) -> int:
    """Optimizer steps that are still to be trained.

    Raises:
        ValueError: The run folder is of another configuration.
    """
    if cell.row.baseline:
        return 0
    done = 0
    if (cell.run / "config.json").is_file():
        _check_same(cell)
        if (cell.model / CARD_FILE).is_file():
            done = read_model(cell.model).card.figures["trained"]["steps"]
        elif (cell.run / "checkpoint.pt").is_file():
            done = load_checkpoint(cell.run / "checkpoint.pt")["step"]
    return cell.config.steps - done


def missing(cell: Cell) -> list[tuple[EvaluationSet, str]]:
    """Evaluations without a result that belongs to the present weights, threshold and films."""
    return [(where, condition) for where, condition in cell.evaluations() if result_of(cell, where, condition) is None]


def finish(cell: Cell) -> None:
    """Do what is missing of a cell.

    Raises:
        ValueError: A configuration or an index is wrong.
        FloatingPointError: The run diverged.
    """
    cell.out.mkdir(parents=True, exist_ok=True)
    if cell.row.baseline:
        if missing(cell):
            _measure_baseline(cell)
        return
    if steps_left(cell):
        train(cell.config, cell.run)
    if not (cell.model / CARD_FILE).is_file() or _trained_steps(cell) != cell.config.steps:
        _make_model(cell)
    if read_model(cell.model).card.figures.get("tuned") != _tuning_key(cell):
        _tune(cell)
    for where, condition in missing(cell):
        logger.info("%s: %s, %s", cell.name, where.name, condition)
        path = cell.result(where, condition)
        words = ["--weights", str(cell.model), *_words(where), "--condition", condition, "--device", cell.config.device]
        report = evaluate(parse_options([*words, "--cases", str(path.with_suffix(".csv")), "--out", str(path)]))
        _write_result(cell, where, condition, {key: report[key] for key in report if key not in ("groups", "settings")})


def result_of(cell: Cell, where: EvaluationSet, condition: str) -> dict[str, Any] | None:
    """Scores of one evaluation, or None if they are missing or of other weights, threshold or films."""
    path, key = cell.result(where, condition), _key(cell, where, condition)
    if key is None or not path.is_file() or not path.with_suffix(".csv").is_file():
        return None
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored["scores"] if stored["key"] == key else None


def facts(cell: Cell) -> dict[str, Any]:
    """Number of parameters, seconds of training and threshold of a measured cell."""
    if cell.row.baseline:
        return {"parameters": 0, "seconds": 0.0}
    card = read_model(cell.model).card
    return {**card.figures["run"], "threshold": card.decision.threshold}


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


def _make_model(cell: Cell) -> None:
    """Export the averaged weights as they would ship."""
    about = cell.run / "about.json"
    about.write_text(
        json.dumps(
            {
                "name": f"{cell.row.name}-{cell.seed}", "version": "0", "summary": "One row of a comparison.",
                "kinds": ["film"], "modalities": ["CR", "DX", "RG", "OT", "US", "ES"], "phrases": [],
                "image_channels": cell.config.network.image_channels, "reads_grey": True,
                "license": "not for distribution",
            }
        )
    )  # fmt: skip
    (cell.run / LICENSE_FILE).write_text("Weights of a comparison, not for distribution.\n", encoding="utf-8")
    export(cell.run, about, cell.model)


def _tune(cell: Cell) -> None:
    """Choose the threshold on the tuning films, by the rule and from the thresholds of `training.calibrate`.

    Presence decides nothing here: every row gives its mask wherever a voxel reaches the threshold.
    """
    model = read_model(cell.model)
    base = DecisionConfig(not_found_below=0.0, found_above=0.0, mirror_average=cell.grid.mirror_average)
    model = dataclasses.replace(model, card=dataclasses.replace(model.card, decision=base))
    segmenter = Segmenter(model, device=cell.config.device)
    measured = calibrate.measure(segmenter, rows_of(cell.grid.tuning), swapped=False)
    threshold = calibrate.best_threshold(measured.probability, measured.truth)
    network, _ = load_network(model)
    figures = {
        "trained": {"steps": cell.config.steps, "seed": cell.seed},
        "tuned": _tuning_key(cell),
        "run": {
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "seconds": load_checkpoint(cell.run / "checkpoint.pt")["seconds"],
        },
    }
    decision = dataclasses.replace(base, threshold=threshold)
    write_card(cell.model, dataclasses.replace(model.card, decision=decision, figures=figures))


def _measure_baseline(cell: Cell) -> None:
    prior = baselines.MaskPrior(select(read_index(cell.grid.tuning.index), ["split=train"]), cell.row.baseline or "")
    threshold = baselines.choose_threshold(prior, rows_of(cell.grid.tuning))
    for where, condition in missing(cell):
        cases = baselines.prior_cases(prior, rows_of(where), threshold)
        write_cases(cell.result(where, condition).with_suffix(".csv"), cases)
        _write_result(cell, where, condition, summarize(cases))


def _write_result(cell: Cell, where: EvaluationSet, condition: str, scores: dict[str, Any]) -> None:
    stored = {"key": _key(cell, where, condition), "scores": scores}
    with atomic_path(cell.result(where, condition)) as part:
        part.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")


def _check_same(cell: Cell) -> None:
    theirs, ours = to_json_dict(read_config(cell.run / "config.json")), to_json_dict(cell.config)
    differing = [key for key in ours if theirs[key] != ours[key]]
    if differing:
        msg = (
            f"{cell.run} was trained with another {', '.join(differing)} than row {cell.row.name!r} of the grid has; "
            "give the row a new name, or delete that folder"
        )
        raise ValueError(msg)


def _trained_steps(cell: Cell) -> int:
    return int(read_model(cell.model).card.figures["trained"]["steps"])


def _words(where: EvaluationSet) -> list[str]:
    conditions = [word for each in where.where for word in ("--where", each)]
    return ["--data", where.index, "--split", where.split, *conditions]


def _tuning_key(cell: Cell) -> str:
    tuning = cell.grid.tuning
    return _hash([_index_hash(tuning.index), tuning.split, tuning.where, cell.grid.mirror_average])


def _key(cell: Cell, where: EvaluationSet, condition: str) -> str | None:
    """What a result depends on; None while there is nothing to measure."""
    films = [_index_hash(where.index), where.split, where.where, condition]
    if cell.row.baseline:
        return _hash([cell.row.baseline, _index_hash(cell.grid.tuning.index), _tuning_key(cell), *films])
    if not (cell.model / WEIGHTS_FILE).is_file() or _trained_steps(cell) != cell.config.steps:
        return None
    card = read_model(cell.model).card
    return _hash([card.sha256[WEIGHTS_FILE], to_json_dict(card.decision), *films])


@functools.cache
def _index_hash(path: str) -> str:
    return file_sha256(Path(path))


def _hash(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _slug(name: str) -> str:
    return "-".join(name.lower().split())
