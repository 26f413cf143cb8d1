"""Whole lungs are heard by the network in one wording, however they are said; everything else as it was said."""

from __future__ import annotations

import pytest

from TextGuidedSegLib.phrase import parse, swap_sides

LEFT = (
    "left lung", "the left lung", "all of the left lung", "the complete left lung", "every part of the left lung",
    "left lung in its entirety", "the lung to the left", "lung of the left side", "left-sided lung", "lung, left",
    "Left LUNG.", "please show the left lung", "lefft lung",
)  # fmt: skip
BOTH = (
    "both lungs", "lungs", "the two lungs", "left and right lung", "right lung plus left lung", "each of the two lungs",
    "the lungs, bilaterally", "bilateral lungs", "lung",
)  # fmt: skip
MORE = (
    "left lung opacity", "left upper lung", "half of the left lung", "left half of the lung", "peripheral left lung",
    "no left lung", "left lung without the heart", "left lung volume", "aerated left lung", "left lung and heart",
    "left hilum", "one nodule, left lung",
)  # fmt: skip


@pytest.mark.parametrize("text", LEFT)
def test_one_lung_has_one_wording_on_each_side(text: str) -> None:
    assert parse(text).heard == "left lung"
    assert parse(swap_sides(parse(text).normalized)).heard == "right lung"


@pytest.mark.parametrize("text", BOTH)
def test_both_lungs_have_one_wording(text: str) -> None:
    assert parse(text).heard == "both lungs"


@pytest.mark.parametrize("text", MORE)
def test_what_says_more_or_something_else_is_heard_as_it_was_said(text: str) -> None:
    assert parse(text).heard == parse(text).normalized


@pytest.mark.parametrize("text", [*LEFT, *BOTH, *MORE])
def test_what_is_heard_means_what_was_said(text: str) -> None:
    said, heard = parse(text), parse(parse(text).heard)
    assert heard.heard == said.heard
    assert (heard.finding, heard.negated, heard.contradictory) == (said.finding, said.negated, said.contradictory)
    if said.side != "none":
        assert heard.side == said.side
