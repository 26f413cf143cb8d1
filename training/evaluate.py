"""Measure a model on one split of a data set, through the very path the product runs.

python -m training.evaluate --weights chest-xray --data ../shared/data/chest_infection/index.csv --split dev \\
    --out dev.json
python -m training.evaluate --weights chest-xray --data ../shared/data/chest_structures/index.csv --split val \\
    --where "kind=left lung,right lung" --by kind --wordings 10 --out lungs.json
python -m training.evaluate --weights chest-xray --data ../shared/data/chest_infection/index.csv --split val \\
    --condition paraphrased --wordings-from training --out paraphrased.json
python -m training.evaluate --weights chest-xray --data ../shared/data/chest_infection/index.csv --split val \\
    --ask one_side,one_level,part_level,empty_side,empty_level,other_structure,unseen_structure --out obedience.json
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from TextGuidedSegLib.errors import DeviceError, RegionNeededError, TextGuidedSegError
from TextGuidedSegLib.export import atomic_path, check_output
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Result, Segmenter
from TextGuidedSegLib.phrase import Phrase, parse, swap_sides
from TextGuidedSegLib.weights import WEIGHTS_FILE, ModelCard
from training import heldout, rewording
from training.cases import Case, summarize, write_cases
from training.conditions import CONDITIONS, UNTRUE, Reword, under_condition
from training.cut_truth import ceiling, known_lungs, posed_lungs
from training.datasets.films import load_mask
from training.datasets.index import Row, add_where, check_files, read_index, select
from training.datasets.label_maps import load_truth
from training.datasets.mr_volumes import open_volume
from training.lung_zones import LungZones
from training.poses import MIRRORED, POSES, posed
from training.questions import ASKS, BY_LESIONS, Expected, Question, questions
from training.rewording import MOST_WORDINGS, plain_input
from training.scoring import Label, Scorer

logger = logging.getLogger(__name__)

Lungs = Mapping[str, LungZones]

_WORDINGS: dict[str, Reword] = {"training": rewording.wordings, "heldout": heldout.wordings}


def phrases_for(rows: Sequence[Row], options: argparse.Namespace) -> list[str | None]:
    """The phrase of each row under the condition asked for.

    Raises:
        ValueError: All rows have the same phrase, so that there is nothing to shuffle, or there is no other wording.
    """
    own = [_own_phrase(row, options) for row in rows]
    phrases = under_condition(own, options.condition, options.seed, reword=_reword(options))
    if options.pose == MIRRORED:
        return [None if phrase is None else swap_sides(phrase) for phrase in phrases]
    return phrases


def _own_phrase(row: Row, options: argparse.Namespace) -> str:
    return str(options.phrase or row.columns[options.text_column])


def _reword(options: argparse.Namespace) -> Reword:
    return _WORDINGS[options.wordings_from or "heldout"]


def asked(rows: Sequence[Row], lungs: Lungs, options: argparse.Namespace) -> list[list[Question]]:
    """What each row is asked: its own phrase, or the questions of `--ask`, once an image."""
    if not options.ask:
        said = zip(rows, phrases_for(rows, options), strict=True)
        return [_caption_questions(number, row, phrase, options) for number, (row, phrase) in enumerate(said)]
    seen: set[str] = set()
    found = []
    for row in rows:
        name = row.columns["image"]
        asks = [ask for ask in options.ask if name in lungs or ask not in BY_LESIONS]
        found.append([] if name in seen else questions(row, asks, options.wordings, options.seed))
        seen.add(name)
    return found


def _caption_questions(number: int, row: Row, phrase: str | None, options: argparse.Namespace) -> list[Question]:
    """The row's own phrase, and other wordings of it where they are asked for."""
    names_the_mask = (
        options.condition not in UNTRUE and not options.phrase and not _lost_its_place(row, phrase, options)
    )
    own = Question("caption", phrase, expected="present" if names_the_mask else "unknown", subject=str(number))
    if options.condition == "contradictory":
        own = dataclasses.replace(own, expected="empty")
    if phrase is None or options.wordings == 1:
        return [own]
    said = _reword(options)(phrase, options.wordings, options.seed)
    return [dataclasses.replace(own, phrase=each, wording=place) for place, each in enumerate(said)]


def _lost_its_place(row: Row, phrase: str | None, options: argparse.Namespace) -> bool:
    """Without its place the phrase names more than the mask shows: *left lung* became *lung*.

    A caption that names all findings of its image names them without places too; masks of an index with kinds show one
    structure, or the findings of one side.
    """
    if options.condition != "location_removed" or phrase is None:
        return False
    before, after = parse(_own_phrase(row, options)), parse(phrase)
    names_a_part = before.finding is None or "kind" in row.columns
    return names_a_part and (before.side, _levels(before)) != (after.side, _levels(after))


def _levels(phrase: Phrase) -> set[str]:
    return {level for place in phrase.places for level in place.levels}


def changed(rows: Sequence[Row], every: Sequence[Sequence[Question]], options: argparse.Namespace) -> int | None:
    """How many phrases are another input of the network than the row's own words; None for questions."""
    if options.ask:
        return None
    own = [_own_phrase(row, options) for row in rows]
    if options.pose == MIRRORED:
        own = [swap_sides(text) for text in own]
    pairs = [(text, question.phrase) for text, asked in zip(own, every, strict=True) for question in asked]
    return sum(phrase is None or plain_input(phrase) != plain_input(text) for text, phrase in pairs)


def evaluate_row(
    segmenter: Segmenter, row: Row, row_questions: Sequence[Question], lungs: LungZones | None, *,
    options: argparse.Namespace,
) -> list[Case]:  # fmt: skip
    """Answer all questions of one image and score them. The mask is read for scoring only, after the results."""
    image, truth = _opened(row, options), None
    if options.pose != "original":
        if image.kind == "volume":
            message = f"--pose {options.pose} moves films; {row.image} is a volume"
            raise ValueError(message)
        lungs = None if lungs is None else posed_lungs(lungs, image, options.pose)
        image, truth = posed(image, load_mask(row.mask, image), options.pose)
    segmenter.set_image(image)
    answered = [
        (question, result) for question in row_questions if (result := _answer(segmenter, question)) is not None
    ]
    truth = load_truth(row, image) if truth is None else truth
    decision = segmenter.card_for(row_questions[0].phrase).decision
    scorer = Scorer(image, truth, lungs, decision.pseudo_threshold)
    cases = []
    for question, result in answered:
        group = question.kind if options.ask and not options.by else row.columns[options.by] if options.by else ""
        label = Label(group, row.columns["image"], row.columns.get("source", ""))
        cases.append(scorer.case(_settled(question, empty=not truth.any()), result, label))
    return [case for case in cases if case is not None]


def _answer(segmenter: Segmenter, question: Question) -> Result | None:
    """None where a question for what is not there is refused with advice: the network was not asked."""
    try:
        return segmenter.segment(question.phrase)
    except RegionNeededError:
        if question.kind == "caption":
            raise
        return None


def _settled(question: Question, *, empty: bool) -> Question:
    """A caption of a film whose mask is empty says that nothing is there."""
    if question.kind == "caption" and question.expected == "present" and empty:
        expected: Expected = "empty"
        return dataclasses.replace(question, expected=expected)
    return question


def _opened(row: Row, options: argparse.Namespace) -> Image:
    image = open_volume(row)
    if "wrong_image" in options.ask and image.channels > 1:
        return dataclasses.replace(
            image, array=image.array.mean(axis=-1)
        )  # models of films refuse colors by themselves
    return image


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Everything the command does, without its files.

    Raises:
        ValueError: The index or a condition is wrong, or no row is left.
    """
    index = read_index(options.data)
    rows = select(index, [f"split={options.split}", *options.where])
    _check(rows, options)
    lungs, lungs_from = known_lungs(index, options.lungs)
    every = asked(rows, lungs, options)  # before the model, as words may be wrong
    segmenter = Segmenter(options.weights, device=options.device)
    cases: list[Case] = []
    for number, (row, row_questions) in enumerate(zip(rows, every, strict=True), start=1):
        if row_questions:
            known = lungs.get(row.columns["image"])
            cases += evaluate_row(segmenter, row, row_questions, known, options=options)
        if number % 100 == 0:
            logger.info("%d of %d", number, len(rows))
    if not cases:
        message = (
            f"none of the {len(rows)} rows can be asked {', '.join(options.ask)}; the index must fit the questions"
        )
        raise ValueError(message)
    report = summarize(cases)
    report["groups"] = {
        group: summarize([case for case in cases if case.group == group]) for group in sorted({c.group for c in cases})
    } if options.by or options.ask else {}  # fmt: skip
    if BY_LESIONS & set(options.ask):
        report["cut_truth"] = ceiling(rows, lungs)
    part = segmenter.model.for_thick_slices
    report["settings"] = {
        "weights": str(options.weights), **_identity(segmenter.card),
        "thick_slices": None if part is None else _identity(part.card),
        "data": str(options.data), "split": options.split, "where": options.where, "by": options.by,
        "text_column": options.text_column, "phrase": options.phrase, "condition": options.condition,
        "changed": changed(rows, every, options), "ask": options.ask, "wordings": options.wordings,
        "wordings_from": _source(options), "lungs_from": lungs_from,
        "left_out": sum(map(len, every)) - len(cases), "pose": options.pose, "seed": options.seed,
        "device": segmenter.device,
    }  # fmt: skip
    if options.cases:
        write_cases(options.cases, cases)
    return report


def _identity(card: ModelCard) -> dict[str, Any]:
    """What the answers of a network depend on."""
    return {"weights_sha256": card.sha256[WEIGHTS_FILE], "decision": dataclasses.asdict(card.decision)}


def _check(rows: Sequence[Row], options: argparse.Namespace) -> None:
    """Refuse what cannot be measured before minutes of work."""
    if not rows:
        message = f"no row of {options.data} has split={options.split!r} and meets {options.where}"
        raise ValueError(message)
    if options.ask and (options.phrase or options.condition != "original" or options.pose == MIRRORED):
        message = "--ask has phrases of its own: leave out --phrase, --condition and --pose mirrored"
        raise ValueError(message)
    if options.wordings_from and _source(options) is None:
        message = (
            f"--wordings-from {options.wordings_from} would change nothing: it is for captions and phrases with "
            "--wordings of 2 or more or --condition paraphrased; leave it out"
        )
        raise ValueError(message)
    if options.condition == "none" and options.wordings > 1:
        message = f"--condition none says nothing, which has no {options.wordings} wordings; leave out --wordings"
        raise ValueError(message)
    words = [] if options.phrase or options.ask else [options.text_column]
    places = ["zones_patient"] if BY_LESIONS & set(options.ask) else []
    missing = [column for column in (options.by, *words, *places) if column and column not in rows[0].columns]
    if missing:
        message = f"the index has no column {missing[0]!r}; it has {', '.join(rows[0].columns)}"
        raise ValueError(message)
    check_files(rows)


def _source(options: argparse.Namespace) -> dict[str, Any] | None:
    """Where other wordings come from; None where none are said. Figures of two versions of a file do not compare."""
    if options.ask or (options.wordings == 1 and options.condition != "paraphrased"):
        return None
    source = options.wordings_from or "heldout"
    return {"source": source, **({"version": heldout.content()["version"]} if source == "heldout" else {})}


def _asks(text: str) -> list[str]:
    chosen = text.split(",")
    unknown = [ask for ask in chosen if ask not in ASKS]
    if unknown:
        message = f"there is no question {unknown[0]!r}; choose from {', '.join(ASKS)}"
        raise argparse.ArgumentTypeError(message)
    return chosen


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, help="model name, model folder, or weights file beside its card")
    parser.add_argument("--data", required=True, type=Path, help="index.csv")
    parser.add_argument("--split", required=True)
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--phrase", help="one phrase for every row instead of the column")
    add_where(parser)
    parser.add_argument("--by", metavar="COLUMN", help="also report each value of this column")
    parser.add_argument("--condition", choices=CONDITIONS, default="original")
    parser.add_argument("--ask", type=_asks, default=[], metavar="KIND[,KIND]", help=f"instead: {', '.join(ASKS)}")
    parser.add_argument("--wordings", type=int, choices=range(1, MOST_WORDINGS + 1), default=1, metavar="N",
                        help="say every phrase in so many ways")  # fmt: skip
    parser.add_argument("--wordings-from", choices=tuple(_WORDINGS), help="words that training says, or has never said")
    parser.add_argument("--lungs", type=Path, metavar="FILE.npz", help="from training.lung_zones, if not in truth/")
    parser.add_argument("--pose", choices=[*POSES, MIRRORED], default="original", help="move every film first")
    parser.add_argument("--seed", type=int, default=0, help="seed of shuffled, paraphrased, wordings, asks")
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
