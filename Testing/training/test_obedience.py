"""Figures of obedience and honesty: answers known by hand, and a reason wherever there is none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from training.cases import Case, summarize
from training.metrics import Overlap
from training.obedience import BINS, Share, auroc, error_auroc, error_counts, figures

NAMES = {
    "wrong_side_leakage", "outside_level_excess", "outside_cut_level", "empty_accuracy", "answered_by_words",
    "empty_accuracy_by_network", "found_recall", "unsure_rate", "presence_auroc", "ece", "error_auroc",
    "paraphrase_spread", "paraphrase_spread_per_subject",
}  # fmt: skip


def case(dice: tuple[int, int, int] = (1, 1, 1), answer: str = "found", presence: float = 0.5, **more: Any) -> Case:
    return Case(
        group="", image="a", phrase="p", answer=answer, presence=presence, overlap=Overlap(*dice), hd95=math.nan,
        pseudo=Overlap(0, 0, 0), peak=math.nan, side_mass=math.nan, **more,
    )  # fmt: skip


def told(present: str, empty: str, source: str = "") -> list[Case]:
    """Cases by letters: f(ound), u(nsure), n(ot found)."""
    words = {"f": "found", "u": "unsure", "n": "not_found", "x": "not_understood", "c": "contradictory", "o": "negated"}
    made = [case(answer=words[letter], expected="present", source=source) for letter in present]
    return made + [case(answer=words[letter], expected="empty", source=source) for letter in empty]


def test_every_figure_is_there_or_says_why_not() -> None:
    report = summarize([case()])
    assert {name for name in NAMES if report[name] is None} == NAMES == set(report["not_applicable"])
    assert all(reason for reason in report["not_applicable"].values())


def test_pixels_on_the_excluded_side_are_a_share_of_all_predicted_ones() -> None:
    cases = [case(wrong_side=Share(1, 10)), case(wrong_side=Share(0, 90)), case(wrong_side=Share(0, 0)), case()]
    assert figures(cases)["wrong_side_leakage"] == pytest.approx(0.01)


def test_a_level_is_left_only_as_far_as_the_truth_leaves_it() -> None:
    same = case(outside=(Share(25, 100), Share(50, 200)))
    assert figures([same])["outside_level_excess"] == 0
    more = case(outside=(Share(35, 100), Share(0, 200)))
    assert figures([same, more])["outside_level_excess"] == pytest.approx(60 / 200 - 50 / 400)


def test_a_truth_that_was_cut_to_the_level_and_one_that_was_not_never_meet_in_one_figure() -> None:
    whole = case(outside=(Share(10, 100), Share(30, 100)), kind="one_level")
    caption = case(outside=(Share(20, 100), Share(30, 100)))
    cut = case(outside=(Share(40, 100), Share(0, 100)), kind="part_level")
    report = figures([whole, caption, cut])
    assert report["outside_level_excess"] == pytest.approx(-0.15)
    assert report["outside_cut_level"] == pytest.approx(0.4)
    assert figures([cut])["outside_level_excess"] is figures([whole])["outside_cut_level"] is None


def test_what_words_alone_decide_is_no_merit_of_the_network() -> None:
    report = figures(told("", "xxcofun"))
    assert report["empty_accuracy"] == pytest.approx(5 / 7)
    assert report["answered_by_words"] == pytest.approx(4 / 7)
    assert report["empty_accuracy_by_network"] == pytest.approx(1 / 3)
    by_words, by_network = figures(told("x", "xo")), figures(told("x", "fn"))
    assert (by_words["answered_by_words"], by_words["empty_accuracy_by_network"]) == (1, None)
    assert by_network["answered_by_words"] == 0
    assert by_network["empty_accuracy_by_network"] == by_network["empty_accuracy"] == 0.5


def test_unsure_counts_as_wrong_on_both_sides() -> None:
    report = figures(told("fffu", "nnxuf"))
    assert (report["found_recall"], report["empty_accuracy"], report["unsure_rate"]) == (0.75, 0.6, 2 / 9)
    assert (report["asked_present"], report["asked_empty"]) == (4, 5)
    assert figures([*told("fffu", "nnxuf"), case(answer="unsure")])["unsure_rate"] == 2 / 9


@pytest.mark.parametrize(
    ("present", "empty", "expected"),
    [([0.9, 0.8], [0.1], 1.0), ([0.1], [0.9], 0.0), ([0.5], [0.5], 0.5), ([0.2, 0.6], [0.4], 0.5), ([3], [1, 3], 0.75)],
)
def test_auroc_by_hand(present: list[float], empty: list[float], expected: float) -> None:
    assert auroc(present, empty) == pytest.approx(expected)
    assert auroc(empty, present) == pytest.approx(1 - expected)


def test_presence_is_ranked_within_each_source_and_the_worst_one_counts() -> None:
    def of(source: str, expected: str, presence: float) -> Case:
        return case(presence=presence, expected=expected, source=source)

    # Between the sources presence would only tell the hospital.
    cases = [of("a", "present", 0.9), of("a", "empty", 0.8), of("b", "present", 0.2), of("b", "empty", 0.1)]
    assert figures(cases)["presence_auroc"] == 1.0
    cases += [of("b", "empty", 0.3), of("c", "present", 0.0)]
    report = figures(cases)
    assert report["presence_auroc_by_source"] == {"a": 1.0, "b": 0.5}
    assert report["presence_auroc"] == 0.5


def test_calibration_error_by_hand() -> None:
    # One bin, mean presence 0.75, half of the weight is there: off by a quarter.
    cases = [case(presence=0.75, expected=expected) for expected in ("present", "empty", "empty")]
    assert figures(cases)["ece"] == pytest.approx(0.25)
    sure = [case(presence=1.0, expected="present"), case(presence=0.0, expected="empty")]
    assert figures(sure)["ece"] == 0
    assert figures(sure[:1])["ece"] is None


def test_presence_that_tells_the_truth_has_no_calibration_error_whatever_the_mixture() -> None:
    rng = np.random.default_rng(0)
    presence = rng.uniform(size=40_000)
    there = rng.random(len(presence)) < presence
    for share in (1.0, 0.2):  # what is not there asked for less often
        keep = there | (rng.random(len(presence)) < share)
        cases = [
            case(presence=float(score), expected="present" if is_there else "empty")
            for score, is_there in zip(presence[keep], there[keep], strict=True)
        ]
        assert figures(cases)["ece"] < 0.02


def test_errors_are_ranked_over_all_pixels() -> None:
    rng = np.random.default_rng(0)
    uncertainty, wrong = rng.random((2, 30, 30)), rng.random((2, 30, 30)) < 0.1
    cases = [case(errors=error_counts(one, other)) for one, other in zip(uncertainty, wrong, strict=True)]
    assert error_auroc(cases) == pytest.approx(auroc(uncertainty[wrong], uncertainty[~wrong]), abs=2e-3)
    perfect = [case(errors=error_counts(wrong[0] * 0.5, wrong[0]))]
    assert error_auroc(perfect) == 1
    assert figures([case(errors=error_counts(wrong[0] * 0.5, wrong[0] & False))])["error_auroc"] is None


def test_counts_of_pixels_lose_none() -> None:
    counts = error_counts(np.array([0.0, 1e-9, 0.5, 1.0]), np.array([False, False, True, True]))
    assert counts.shape == (2, BINS)
    assert counts.sum(axis=1).tolist() == [2, 2]


def test_the_spread_is_between_wordings_and_not_between_films() -> None:
    easy, hard = (10, 10, 10), (1, 2, 2)
    cases = [case(dice, wording=wording) for wording in range(3) for dice in (easy, hard)]
    assert figures(cases)["paraphrase_spread"] == pytest.approx(0)
    worse = [*cases, case((0, 1, 1), wording=1), case(easy, wording=0), case(easy, wording=2)]
    assert figures(worse)["paraphrase_spread"] == pytest.approx(1 / 3)


def test_differences_that_cancel_between_subjects_still_spread_each_of_them() -> None:
    right, wrong = (1, 1, 1), (0, 1, 1)
    cases = [case(right, subject="a"), case(wrong, subject="a", wording=1)]
    cases += [case(wrong, subject="b"), case(right, subject="b", wording=1)]
    report = figures(cases)
    assert (report["paraphrase_spread"], report["paraphrase_spread_per_subject"]) == (0, 1)
    steady = [case((1, 2, 2), subject="c", wording=wording) for wording in range(2)]
    assert figures([*cases, *steady])["paraphrase_spread_per_subject"] == pytest.approx(2 / 3)


def test_what_was_said_once_has_no_spread_and_changes_none() -> None:
    once = [case((0, 1, 1), subject="once")]
    assert figures(once)["paraphrase_spread_per_subject"] is figures(once)["paraphrase_spread"] is None
    twice = [case((1, 2, 2), subject="twice", wording=wording) for wording in range(2)]
    report = figures([*once, *twice])
    assert (report["paraphrase_spread"], report["paraphrase_spread_per_subject"]) == (0, 0)
