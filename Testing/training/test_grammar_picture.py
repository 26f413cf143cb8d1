"""Paraphrases for pictures: they say only what is known, are understood, and name sides of the picture."""

from __future__ import annotations

import random
from typing import get_args

import pytest

from TextGuidedSegLib.phrase import Phrase, parse, swap_sides
from training import grammar
from training.grammar_picture import ABSENT, KINDS, PLACES, Description, Picture, corpus, finding_phrase, noun, placed

PICTURES: tuple[Picture, ...] = get_args(Picture)
FINDINGS = {"polyp": "polyp", "breast_ultrasound": "tumor"}
LEVELS = {"top": ("upper",), "bottom": ("lower",), "": ()}


def phrases(picture: Picture, known: Description, count: int = 300) -> list[str]:
    rng = random.Random(0)
    return [finding_phrase(picture, known, rng) for _ in range(count)]


def check_understood(picture: Picture, phrase: str) -> Phrase:
    parsed = parse(phrase)
    assert parsed.finding == FINDINGS[picture], phrase
    faults = (parsed.negated, parsed.contradictory, parsed.unknown, parsed.corrections)
    assert faults == (False, False, (), ()), phrase
    said = phrase.removeprefix("find ").removeprefix("the ") if phrase.startswith("find ") else phrase
    assert parsed.normalized.rstrip(".") == said.rstrip("."), phrase
    return parsed


def test_there_are_eight_places_around_the_center() -> None:
    assert len(set(PLACES)) == 8
    assert {swap_sides(place) for place in PLACES} == set(PLACES)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("picture", PICTURES)
def test_a_named_place_is_understood_as_one_of_the_picture(picture: Picture, place: str) -> None:
    rng = random.Random(1)
    side = place.split()[-1] if place.split()[-1] in ("left", "right") else "none"
    row = place.split()[0] if place.split()[0] in LEVELS else ""
    for _ in range(60):
        parsed = check_understood(picture, placed(picture, noun(picture, rng), place, rng))
        assert {one.side for one in parsed.places} == {side}
        assert {one.levels for one in parsed.places} <= {LEVELS[row], ()}
        assert side == "none" or parsed.frame == "image"


@pytest.mark.parametrize("picture", PICTURES)
def test_a_phrase_says_only_what_is_known(picture: Picture) -> None:
    for phrase in phrases(picture, Description()):
        parsed = check_understood(picture, phrase)
        assert parsed.count is None
        assert parsed.side == "none"
        assert not set(phrase.split()) & {"small", "large", "benign", "malignant", "yellow", "top", "bottom"}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("picture", PICTURES)
def test_everything_known_is_said_at_times(picture: Picture, count: int) -> None:
    known = Description("small", "yellow", "round", "benign", ("top left",), count)
    said = phrases(picture, known)
    for word in ("small", "yellow", "round", "benign", "left"):
        assert 0.1 < sum(word in phrase for phrase in said) / len(said) < 0.8
    for phrase in said:
        parsed = check_understood(picture, phrase)
        assert parsed.count in (None, count)
        assert parsed.side in ("none", "left")
        plural = phrase.partition(" at ")[0].partition(",")[0]
        assert parsed.count != 2 or any(f"{word}s" in plural for word in ("polyp", "tumor", "tumour"))


@pytest.mark.parametrize("picture", PICTURES)
def test_swapped_sides_come_back(picture: Picture) -> None:
    known = Description(places=("top right",))
    for phrase in phrases(picture, known):
        swapped = swap_sides(phrase)
        assert swap_sides(swapped) == phrase
        assert ("right" in phrase) == ("left" in swapped)
        assert "bottom" not in swapped


def test_what_is_absent_is_not_what_the_picture_shows() -> None:
    assert set(grammar.STRUCTURES) <= set(ABSENT["polyp"]) & set(ABSENT["breast_ultrasound"])
    assert not [words for words in ABSENT["polyp"] if "polyp" in words or "colon" in words]
    assert not [words for words in ABSENT["breast_ultrasound"] if "tumor" in words or "breast" in words]
    assert "polyp" in ABSENT["breast_ultrasound"]


@pytest.mark.parametrize("picture", PICTURES)
def test_the_corpus_has_every_word_and_depends_on_its_seed(picture: Picture) -> None:
    text = corpus(picture, 1500)
    words = {word.strip(".,") for phrase in text for word in phrase.split()}
    assert {"center", "upper", "bottom", "six", "tiny", "big"} <= words
    assert picture == "polyp" or set(KINDS) <= words
    assert text == corpus(picture, 1500)
    assert text != corpus(picture, 1500, seed=1)
