"""The evaluation with questions, wordings and conditions, end to end on the tiny set."""

from __future__ import annotations

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
from training.cases import CASE_COLUMNS
from training.evaluate import main
from training.lung_zones import LungZones, save_zones
from training.rewording import wordings

BY_LESIONS = "one_side,one_level,part_level,empty_side,empty_level"
FIGURES = (
    "wrong_side_leakage", "outside_level_excess", "empty_accuracy", "found_recall", "unsure_rate", "presence_auroc",
    "ece", "error_auroc", "paraphrase_spread",
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
        "finding_on_normal": 1, "other_structure": 2,
    }  # fmt: skip


def test_lungs_in_ten_wordings(structure_evaluation: Evaluation) -> None:
    arguments = ("--where", "kind=left lung,right lung", "--by", "kind", "--wordings", "10")
    report = structure_evaluation.report(*arguments, split="val")
    assert report["n"] == 4 * 10
    assert report["settings"]["lungs_from"] == "index"
    for group in report["groups"].values():
        assert 0 <= group["paraphrase_spread"] <= 1
        assert group["wrong_side_leakage"] is not None
    cases = dataclasses.replace(structure_evaluation).cases(*arguments, "--split", "val")
    assert {case["phrase"] for case in cases if case["group"] == "left lung"} == set(wordings("Left lung.", 10, 0))


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
    pairs = result.uncertainty[wrong][:, None] - result.uncertainty[~wrong][None]
    assert report["error_auroc"] == pytest.approx(float(((pairs > 0) + 0.5 * (pairs == 0)).mean()), abs=2e-3)
    assert np.isfinite(report["error_auroc"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--ask", "one_side", "--phrase", "left lung"], "--ask has phrases of its own"),
        (["--ask", "one_side", "--condition", "swapped"], "--ask has phrases of its own"),
        (["--ask", "one_side"], "none of the 4 rows can be asked one_side"),
        (["--ask", "one_side", "--lungs", "no.npz"], "no.npz is no file of lung zones"),
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
