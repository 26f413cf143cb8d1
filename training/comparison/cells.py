"""What is done to a cell of a comparison: train it, make a model of it, fix its threshold, measure it.

Each of the four leaves a file, and is left out when that file is there and belongs to the same input: a call that was
interrupted goes on where it stood, and nothing is trained or measured twice.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import Any

import torch

from TextGuidedSegLib.export import atomic_path
from TextGuidedSegLib.inference import Segmenter, choose_device
from TextGuidedSegLib.weights import (
    CARD_FILE,
    LICENSE_FILE,
    DecisionConfig,
    load_network,
    read_model,
    write_card,
)
from training import baselines, calibrate, evidence
from training.cases import summarize, write_cases
from training.checkpoint import load_checkpoint
from training.comparison.cell import Cell, result_key, rows_of, trained_steps, tuning_key, tuning_of
from training.comparison.grid import FIXED_THRESHOLD, EvaluationSet
from training.config import differences, read_config
from training.datasets.index import read_index, select
from training.evaluate import evaluate, parse_options
from training.export import export
from training.train import train

logger = logging.getLogger(__name__)

_MACHINE_FILE = "machine.json"


def steps_left(cell: Cell) -> int:
    """Optimizer steps that are still to be trained.

    Raises:
        ValueError: The run folder is of another configuration.
        DamagedCheckpointError: The checkpoint cannot be read.
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
        _note_machine(cell)
    if not (cell.model / CARD_FILE).is_file() or trained_steps(cell) != cell.config.steps:
        _make_model(cell)
    if read_model(cell.model).card.figures.get("tuned") != tuning_key(cell):
        _tune(cell)
    for where, condition in missing(cell):
        logger.info("%s: %s, %s", cell.name, where.name, condition)
        path = cell.result(where, condition)
        words = ["--weights", str(cell.model), *_words(where), "--condition", condition, "--device", cell.config.device]
        report = evaluate(parse_options([*words, "--cases", str(path.with_suffix(".csv")), "--out", str(path)]))
        _write_result(cell, where, condition, {key: report[key] for key in report if key not in ("groups", "settings")})


def result_of(cell: Cell, where: EvaluationSet, condition: str) -> dict[str, Any] | None:
    """Scores of one evaluation, or None if they are missing or of other weights, threshold or films."""
    path, key = cell.result(where, condition), result_key(cell, where, condition)
    if key is None or not path.is_file() or not path.with_suffix(".csv").is_file():
        return None
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored["scores"] if stored["key"] == key else None


def facts(cell: Cell) -> dict[str, Any]:
    """Parameters, seconds of training and threshold of a measured cell, and on what it was trained if that is known."""
    if cell.row.baseline:
        return {"parameters": 0, "seconds": 0.0}
    card, note = read_model(cell.model).card, cell.run / _MACHINE_FILE
    machine = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else None
    return {**card.figures["run"], "threshold": card.decision.threshold, "machine": machine}


def _note_machine(cell: Cell) -> None:
    """Write down what a time of training is worth: where the run was finished, and beside how many others."""
    device = choose_device(cell.config.device)
    processor = f"CPU ({torch.backends.cpu.get_cpu_capability()}, threads: {torch.get_num_threads()})"
    name = torch.cuda.get_device_name() if device == "cuda" else processor
    with atomic_path(cell.run / _MACHINE_FILE) as part:
        part.write_text(json.dumps({"device": name, "jobs": cell.jobs}) + "\n", encoding="utf-8")


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

    Without such films it is `FIXED_THRESHOLD`.

    Presence decides nothing here: every row gives its mask wherever a voxel reaches the threshold.
    """
    model = read_model(cell.model)
    base = DecisionConfig(not_found_below=0.0, found_above=0.0, mirror_average=cell.grid.mirror_average)
    model = dataclasses.replace(model, card=dataclasses.replace(model.card, decision=base))
    threshold = FIXED_THRESHOLD
    if cell.grid.tuning is not None:
        segmenter = Segmenter(model, device=cell.config.device)
        measured = evidence.measure(segmenter, rows_of(cell.grid.tuning), asking=evidence.Asking(swapped=False))
        threshold = calibrate.best_threshold(measured.probability)
    network, _ = load_network(model)
    figures = {
        "trained": {"steps": cell.config.steps, "seed": cell.seed},
        "tuned": tuning_key(cell),
        "run": {
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "seconds": load_checkpoint(cell.run / "checkpoint.pt")["seconds"],
        },
    }
    decision = dataclasses.replace(base, threshold=threshold)
    write_card(cell.model, dataclasses.replace(model.card, decision=decision, figures=figures))


def _measure_baseline(cell: Cell) -> None:
    tuning = tuning_of(cell)
    prior = baselines.MaskPrior(select(read_index(tuning.index), ["split=train"]), cell.row.baseline or "")
    threshold = baselines.choose_threshold(prior, rows_of(tuning))
    for where, condition in missing(cell):
        cases = baselines.prior_cases(prior, rows_of(where), threshold)
        write_cases(cell.result(where, condition).with_suffix(".csv"), cases)
        _write_result(cell, where, condition, summarize(cases))


def _write_result(cell: Cell, where: EvaluationSet, condition: str, scores: dict[str, Any]) -> None:
    stored = {"key": result_key(cell, where, condition), "scores": scores}
    with atomic_path(cell.result(where, condition)) as part:
        part.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")


def _check_same(cell: Cell) -> None:
    differing = differences(read_config(cell.run / "config.json"), cell.config)
    if differing:
        msg = (
            f"{cell.run} was trained with another {', '.join(differing)} than row {cell.row.name!r} of the grid has; "
            "give the row a new name, or delete that folder"
        )
        raise ValueError(msg)


def _words(where: EvaluationSet) -> list[str]:
    conditions = [word for each in where.where for word in ("--where", each)]
    phrase = [] if where.phrase is None else ["--phrase", where.phrase]
    asked = ["--ask", ",".join(where.ask)] if where.ask else []
    return ["--data", where.index, "--split", where.split, *conditions, *phrase, *asked]
