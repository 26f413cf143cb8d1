"""The evaluation with questions, wordings and conditions, end to end on the tiny set."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Testing.training.evaluation import Evaluation
from Testing.training.picture_sets import write_polyp_set
from Testing.training.tiny import LESIONS, lesion_film
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.phrase import parse
from training import heldout
from training.cases import CASE_COLUMNS
from training.datasets.index import read_index
from training.evaluate import asked as asked_of
from training.evaluate import changed, main, parse_options
from training.lung_zones import LungZones, save_zones
from training.obedience import BINS
from training.questions import Question
from training.rewording import plain_input, wordings

BY_LESIONS = "one_side,one_level,part_level,empty_side,empty_level"
FIGURES = (
    "wrong_side_leakage", "outside_level_excess", "empty_accuracy", "answered_by_words", "empty_accuracy_by_network",
    "found_recall", "unsure_rate", "presence_auroc", "ece", "error_auroc", "paraphrase_spread",
    "paraphrase_spread_per_subject",
)  # fmt: skip


@pytest.fixture(scope="module")
def lungs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn lungs of the phantoms."""
    lungs = {}
    for number, row in enumerate(LESIONS):
        film = lesion_film(number)
        lungs[f"images/{row.name}.png"] = LungZones(film.lungs["left"].T, film.lungs["right"].T)
    path = tmp_path_factory.mktemp("truth") / "lungs.npz"
    save_zones(path, lungs, "drawn")
    return path


@pytest.fixture
def asked(evaluation: Evaluation, lungs_file: Path) -> dict[str, Any]:
    """All questions about the lesions of the development films, two wordings each."""
    arguments = ("--ask", f"{BY_LESIONS},other_structure,unseen_structure", "--wordings", "2")
    return evaluation.report(*arguments, "--lungs", str(lungs_file))


def test_each_kind_of_question_is_a_group_with_all_figures(asked: dict[str, Any]) -> None:
    groups = asked["groups"]
    assert {"one_side", "one_level", "empty_side", "other_structure", "unseen_structure"} <= set(groups)
    assert groups["other_structure"]["n"] == groups["unseen_structure"]["n"] == 2 * 4
    assert groups["one_side"]["asked_present"] == groups["one_side"]["n"] == 2 * 2
    assert groups["empty_side"]["asked_empty"] == groups["empty_side"]["n"] == 2 * 2
    for report in (asked, *groups.values()):
        assert set(FIGURES) <= set(report)
        for name in FIGURES:
            assert (report[name] is None) == (name in report["not_applicable"]), name
    assert all(asked[name] is not None for name in FIGURES)
    assert groups["one_level"]["outside_cut_level"] is None
    assert asked["outside_level_excess"] == groups["one_level"]["outside_level_excess"]
    assert asked["settings"]["lungs_from"] == "file"
    assert asked["cut_truth"]["side"]["dice_per_image"] == pytest.approx(1)


def test_the_figures_are_those_of_the_results(evaluation: Evaluation, lungs_file: Path) -> None:
    cases = evaluation.cases("--ask", "one_side", "--lungs", str(lungs_file))
    report = evaluation.report("--ask", "one_side", "--lungs", str(lungs_file))
    segmenter = Segmenter(str(evaluation.model), device="cpu")
    segmenter.set_image(read_image(evaluation.index.parent / "images" / "dev_both.png"))
    film, dice, wrong, whole = lesion_film(8), [], 0, 0
    lungs = LungZones(film.lungs["left"].T, film.lungs["right"].T)
    drawn = {side: lesion.T for side, _, lesion in film.lesion_places}
    for case in cases:
        side = parse(case["phrase"]).side
        mask = segmenter.segment(case["phrase"]).mask[:, :, 0] > 0
        dice.append(2 * (mask & drawn[side]).sum() / (mask.sum() + drawn[side].sum()))
        wrong += int((mask & ~lungs.side(side)).sum())
        whole += int(mask.sum())
    assert [float(case["dice"]) for case in cases] == pytest.approx(dice, abs=1e-4)
    assert report["wrong_side_leakage"] == pytest.approx(wrong / whole)
    assert sum(int(case["wrong_side_voxels"]) for case in cases) == wrong
    assert tuple(cases[0]) == CASE_COLUMNS


def test_films_without_known_lungs_are_asked_only_what_needs_none(evaluation: Evaluation) -> None:
    report = evaluation.report("--ask", f"{BY_LESIONS},other_structure")
    assert set(report["groups"]) == {"other_structure"}
    assert report["settings"]["lungs_from"] == "nowhere"


def test_a_film_of_several_rows_is_asked_once(structure_evaluation: Evaluation) -> None:
    report = structure_evaluation.report("--ask", "finding_on_normal,other_structure", split="val")
    assert {name: group["n"] for name, group in report["groups"].items()} == {
        "finding_on_normal": 18, "other_structure": 2,
    }  # fmt: skip


def test_lungs_in_ten_wordings(structure_evaluation: Evaluation) -> None:
    arguments = ("--where", "kind=left lung,right lung", "--by", "kind", "--wordings", "10")
    report = structure_evaluation.report(*arguments, split="val")
    assert report["n"] == 4 * 10
    assert report["settings"]["lungs_from"] == "index"
    for group in report["groups"].values():
        assert 0 <= group["paraphrase_spread"] <= 1
        assert group["wrong_side_leakage"] is not None
        assert group["paraphrase_spread"] <= group["paraphrase_spread_per_subject"] <= 1
    assert report["settings"]["wordings_from"] == {"source": "heldout", "version": heldout.content()["version"]}
    cases = dataclasses.replace(structure_evaluation).cases(*arguments, "--split", "val")
    said = {case["phrase"] for case in cases if case["group"] == "left lung"}
    assert said == set(heldout.wordings("Left lung.", 10, 0))


def options_for(*more: str) -> argparse.Namespace:
    return parse_options(["--weights", "w", "--data", "d", "--split", "val", "--out", "o.json", *more])


def said(index: Path, *more: str) -> tuple[list[Question], int | None]:
    """What the rows of an index are asked, and how much of that is changed."""
    rows, options = read_index(index), options_for(*more)
    every = asked_of(rows, {}, options)
    return [question for each in every for question in each], changed(rows, every, options)


@pytest.mark.parametrize("more", [("--wordings", "4"), ("--condition", "paraphrased")])
def test_wordings_are_held_out_ones_unless_those_of_training_are_asked_for(
    lesion_index: Path, more: tuple[str, ...]
) -> None:
    held_out, training = said(lesion_index, *more), said(lesion_index, *more, "--wordings-from", "training")
    assert held_out == said(lesion_index, *more, "--wordings-from", "heldout") != training
    for questions, number in (held_out, training):
        assert number == len(questions)
        assert len({plain_input(each.phrase or "") for each in questions}) > len(LESIONS) / 2
    first = wordings(LESIONS[0].caption, 4, 0)
    assert [each.phrase for each in training[0] if each.subject == "0"] == first or "paraphrased" in more


def test_the_report_counts_the_phrases_that_were_really_changed(lesion_index: Path) -> None:
    everything = len(LESIONS)
    for more, expected in {
        (): 0,
        ("--condition", "swapped"): everything,
        ("--condition", "none"): everything,
        ("--condition", "count_removed"): everything,
        ("--condition", "description_removed"): 0,  # no caption of these describes anything
        ("--pose", "mirrored"): 0,  # other words for another film
        ("--phrase", "opacity", "--condition", "location_removed"): 0,
    }.items():
        assert said(lesion_index, *more)[1] == expected, more
    shuffled, number = said(lesion_index, "--condition", "shuffled")
    captions = [row.caption for row in LESIONS]
    same = sum(each.phrase == caption for each, caption in zip(shuffled, captions, strict=True))
    assert number == everything - same
    assert said(lesion_index, "--ask", "other_structure")[1] is None


def test_words_that_lost_their_place_name_more_than_the_mask_of_a_part(
    structure_index: Path, lesion_index: Path, tmp_path: Path
) -> None:
    lungs, _ = said(structure_index, "--condition", "location_removed")
    told = {str(each.phrase): each.expected for each in lungs}
    assert told["lung."] == "unknown"
    assert told["lungs."] == "present"  # still both of them
    assert {each.expected for each in said(structure_index)[0]} == {"present"}
    lesions, _ = said(lesion_index, "--condition", "location_removed")
    assert {each.expected for each in lesions} == {"present"}  # they name all that is drawn, and so does the caption
    pictures, _ = said(write_polyp_set(tmp_path), "--condition", "location_removed")
    assert {each.expected for each in pictures} == {"present"}


def test_a_contradiction_is_right_only_when_nothing_is_marked(evaluation: Evaluation) -> None:
    report = evaluation.report("--condition", "contradictory")
    assert report["answers"] == {"contradictory": 4}
    assert (report["empty_accuracy"], report["found_recall"], report["dice_per_image"]) == (1.0, None, 0.0)


@pytest.mark.parametrize("condition", ["swapped", "none", "shuffled"])
def test_words_that_do_not_name_the_mask_count_neither_as_there_nor_as_not(
    evaluation: Evaluation, condition: str
) -> None:
    report = evaluation.report("--condition", condition)
    assert (report["asked_present"], report["asked_empty"]) == (0, 0)
    assert report["found_recall"] is report["error_auroc"] is None


def test_right_words_on_a_wrong_image(evaluation: Evaluation, tmp_path: Path) -> None:
    pictures = dataclasses.replace(evaluation, index=write_polyp_set(tmp_path))
    report = pictures.report("--ask", "wrong_image", split="val")
    assert report["asked_empty"] == report["n"] > 0
    assert report["groups"]["wrong_image"]["empty_accuracy"] is not None


def test_the_uncertainty_is_that_of_the_result(evaluation: Evaluation) -> None:
    report = evaluation.report("--where", "patient=d")
    segmenter = Segmenter(str(evaluation.model), device="cpu")
    segmenter.set_image(read_image(evaluation.index.parent / "images" / "dev_left.png"))
    result = segmenter.segment(LESIONS[6].caption)
    truth = lesion_film(6).lesions.T[:, :, None]
    wrong = (result.mask > 0) != truth
    # An untrained network is equally unsure nearly everywhere, so even fine bins hold ties.
    level = np.floor(BINS * np.sqrt(np.sqrt(result.uncertainty)))
    pairs = level[wrong][:, None] - level[~wrong][None]
    assert report["error_auroc"] == pytest.approx(float(((pairs > 0) + 0.5 * (pairs == 0)).mean()), abs=2e-3)
    assert np.isfinite(report["error_auroc"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--ask", "one_side", "--phrase", "left lung"], "--ask has phrases of its own"),
        (["--ask", "one_side", "--condition", "swapped"], "--ask has phrases of its own"),
        (["--ask", "one_side"], "none of the 4 rows can be asked one_side"),
        (["--ask", "one_side", "--lungs", "no.npz"], "no.npz is no file of lung zones"),
        (["--wordings-from", "training"], "--wordings-from training would change nothing"),
        (["--ask", "other_structure", "--wordings", "2", "--wordings-from", "heldout"], "would change nothing"),
        (["--condition", "none", "--wordings", "3"], "--condition none says nothing, which has no 3 wordings"),
        (["--phrase", "aorta", "--wordings", "2"], "'aorta' has 0 other wordings that the network can tell apart, 2"),
    ],
)
def test_a_mistake_is_one_line(
    evaluation: Evaluation, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(evaluation.arguments(*more)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_questions_about_lesions_need_captions_with_places(
    structure_evaluation: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(structure_evaluation.arguments("--ask", "one_side", split="val")) == 2
    assert "the index has no column 'zones_patient'" in capsys.readouterr().err


def test_an_unknown_question_lists_them(evaluation: Evaluation, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(evaluation.arguments("--ask", "why"))
    assert "there is no question 'why'; choose from one_side" in capsys.readouterr().err
