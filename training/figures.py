"""Measure everything a model card reports, and write it into the card: one command for all figures.

python -m training.figures --weights TextGuidedSegLib/data/models/chest-xray \\
    --figures training/models/chest-xray/figures.json --page Resources/Models/chest-xray.md

`figures.json` names each figure and gives the arguments of `training.evaluate` that make it; a name that starts with @
is an abbreviation used by others. The page is the part of the model card between two marks; its other text stays.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from TextGuidedSegLib.errors import TextGuidedSegError
from TextGuidedSegLib.export import atomic_path
from TextGuidedSegLib.weights import find_model, write_card
from training.cases import SURFACE_TOLERANCE_MM
from training.evaluate import evaluate, parse_options

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
# Columns that stay empty in all rows are left out. Millimeters may be nominal ones, which the page has to say; the
# tolerance of the surface Dice would mean nothing in those.
_COLUMNS = {
    "films": lambda figure: str(figure["n"]),
    "Dice per image": lambda figure: _percent(figure["dice_per_image"]),
    "Dice micro": lambda figure: _percent(figure["dice_micro"]),
    "IoU per image": lambda figure: _percent(figure["iou_per_image"]),
    "HD95 px": lambda figure: _length(figure["hd95"]) if _unit(figure) == "px" else "",
    "HD95 mm": lambda figure: _length(figure["hd95"]) if _unit(figure) == "mm" else "",
    f"surface Dice at {SURFACE_TOLERANCE_MM:g} mm": lambda figure: _percent(figure.get("surface_dice")),
    "pseudo-image alone, per image / micro": lambda figure: (
        f"{_percent(figure['pseudo']['dice_per_image'])} / {_percent(figure['pseudo']['dice_micro'])}"
    ),
    "its mass on the named side": lambda figure: _percent(figure["pseudo"]["named_side_mass"]),
}
# Of questions (`--ask`), contradictions and wordings: what is obeyed and how honest the answers are.
_OBEDIENCE = {
    "cases": lambda figure: str(figure["n"]),
    "Dice per image": lambda figure: _percent(figure["dice_per_image"] if figure["asked_present"] else None),
    "wrong side": lambda figure: _percent(figure["wrong_side_leakage"]),
    "outside the level, over the truth": lambda figure: _percent(figure["outside_level_excess"]),
    "outside one level of several": lambda figure: _percent(figure.get("outside_cut_level")),
    "found": lambda figure: _percent(figure["found_recall"]),
    "empty told": lambda figure: _percent(figure["empty_accuracy"]),
    "of these by words alone": lambda figure: _percent(figure.get("answered_by_words") or None),
    "empty told by the network": lambda figure: _percent(figure.get("empty_accuracy_by_network")),
    "unsure": lambda figure: _percent(figure["unsure_rate"]),
    "presence AUROC": lambda figure: _percent(figure["presence_auroc"]),
    "ECE": lambda figure: _percent(figure["ece"]),
    "error AUROC": lambda figure: _percent(figure["error_auroc"]),
    "spread of wordings": lambda figure: _percent(figure["paraphrase_spread"]),
    "spread within a subject": lambda figure: _percent(figure.get("paraphrase_spread_per_subject")),
}
# Reasons and counts that a reader of the card can have from the command.
_LEFT_OUT = ("groups", "settings", "not_applicable", "presence_auroc_by_source")


def expand(arguments: Sequence[str], abbreviations: Mapping[str, Sequence[str]]) -> list[str]:
    """Replace every word that starts with @ by what it stands for, also inside another."""
    words: list[str] = []
    for word in arguments:
        words += expand(abbreviations[word], abbreviations) if word.startswith("@") else [word]
    return words


def measure(weights: str, plan: Mapping[str, Sequence[str]], jobs: int = 1) -> dict[str, Any]:
    """Run every evaluation of a plan.

    Args:
        weights: Model name or folder.
        plan: What `figures.json` holds.
        jobs: Evaluations at once, each in a process of one thread: on a CPU two outpace one of two threads.

    Returns:
        Name to scores, with the command that gives them.
    """
    asked = {
        name: ["--weights", weights, *expand(arguments, plan)]
        for name, arguments in plan.items()
        if not name.startswith("@")
    }
    if jobs == 1:
        return _joined({name: _measured(name, words) for name, words in asked.items()})
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        # Questions take longest: whoever starts last should have little to do.
        order = sorted(asked, key=lambda name: "--ask" not in asked[name])
        running = {name: pool.submit(_measured, name, asked[name]) for name in order}
        return _joined({name: running[name].result() for name in asked})


def chosen(plan: Mapping[str, Sequence[str]], only: Sequence[str]) -> dict[str, Sequence[str]]:
    """The part of a plan with the named figures.

    Raises:
        ValueError: The plan has no such figure.
    """
    legal = [name for name in plan if not name.startswith("@")]
    if unknown := [name for name in only if name not in legal]:
        message = f"the plan has no figure {unknown[0]!r}; it has {', '.join(map(repr, legal))}"
        raise ValueError(message)
    return {name: words for name, words in plan.items() if name.startswith("@") or name in only}


def renewed(plan: Mapping[str, Sequence[str]], kept: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of a card with some of them measured again, in the order of the plan.

    Raises:
        ValueError: A figure was never measured.
    """
    figures: dict[str, Any] = {}
    for name in (name for name in plan if not name.startswith("@")):
        source = measured if name in measured else kept
        found = {key: figure for key, figure in source.items() if key == name or key.startswith(f"{name}: ")}
        if not found:
            message = f"the figure {name!r} was never measured for these weights; measure it, or all of them"
            raise ValueError(message)
        figures |= found
    return figures


def _measured(name: str, words: Sequence[str]) -> dict[str, Any]:
    """The figures of one evaluation by their names: its own, and those of its questions."""
    report = evaluate(parse_options([*words, "--out", "unused.json"]))
    command = {"command": f"python -m training.evaluate {shlex.join(words)} --out FILE.json"}
    figures = {name: _scores(report) | command}
    if "--ask" in words:
        figures |= {f"{name}: {kind}": _scores(group) | command for kind, group in report["groups"].items()}
    sys.stderr.write(f"{name}: {report['dice_per_image']} per image, {report['dice_micro']} micro\n")
    return figures


def _joined(parts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: figure for part in parts.values() for name, figure in part.items()}


def _scores(report: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in _LEFT_OUT}


def table(figures: Mapping[str, Any]) -> str:
    """The figures as Markdown, in percent: a table of overlaps, and one of obedience and honesty if there are any."""
    asked = {name: figure for name, figure in figures.items() if _is_asked(figure)}
    tables = [_table({name: figure for name, figure in figures.items() if name not in asked}, _COLUMNS)]
    return "\n\n".join([*tables, *([_table(asked, _OBEDIENCE)] if asked else [])])


def _is_asked(figure: Mapping[str, Any]) -> bool:
    """The command of a figure asks questions, contradicts, or says the same in several ways."""
    words = shlex.split(figure.get("command", ""))
    return any(word in words for word in ("--ask", "--wordings", "contradictory"))


def _table(figures: Mapping[str, Any], columns: Mapping[str, Callable[[Any], str]]) -> str:
    columns = {name: cell for name, cell in columns.items() if any(map(cell, figures.values()))}
    lines = [f"| what | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    lines += [
        f"| {name} | {' | '.join(cell(figure) for cell in columns.values())} |" for name, figure in figures.items()
    ]
    return "\n".join(lines)


def insert(page: str, text: str) -> str:
    """Put text between the two marks of a page.

    Raises:
        ValueError: The page lacks a mark.
    """
    if BEGIN not in page or END not in page:
        message = f"the page has no place for the figures; it needs the lines {BEGIN} and {END}"
        raise ValueError(message)
    return f"{page.split(BEGIN)[0]}{BEGIN}\n\n{text}\n\n{END}{page.split(END)[1]}"


def _unit(figure: Mapping[str, Any]) -> str:
    unit: str = figure.get("hd95_unit", "px")  # figures of older cards are those of films
    return unit


def _length(length: float | None) -> str:
    return "" if length is None else f"{length:.1f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m training.figures", description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--figures", required=True, type=Path, metavar="FILE.json")
    parser.add_argument("--page", required=True, type=Path, metavar="FILE.md")
    parser.add_argument("--jobs", type=int, choices=range(1, 65), default=1, metavar="N", help="evaluations at once")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="figures to measure again; others stay as the card has them",
    )
    options = parser.parse_args(arguments)
    try:
        page = options.page.read_text(encoding="utf-8")
        insert(page, "")  # before minutes of work
        model = find_model(options.weights)
        plan, known = json.loads(options.figures.read_text(encoding="utf-8")), model.card.figures
        if options.only:
            part = chosen(plan, options.only)
            renewed(plan, known, dict.fromkeys(options.only))
            figures = renewed(plan, known, measure(options.weights, part, options.jobs))
        else:
            figures = measure(options.weights, plan, options.jobs)
        trained = {key: value for key, value in known.items() if key == "trained"}
        write_card(model.folder, dataclasses.replace(model.card, figures=trained | figures))
        with atomic_path(options.page) as staged:
            staged.write_text(insert(page, table(figures)), encoding="utf-8")
    except (TextGuidedSegError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
