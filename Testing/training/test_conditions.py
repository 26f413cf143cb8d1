"""What an evaluation says instead of a film's own caption."""

from __future__ import annotations

import random

import pytest

from Testing.training.tiny import LESIONS
from TextGuidedSegLib.errors import PhraseError
from TextGuidedSegLib.phrase import parse, swap_sides
from training import grammar
from training.conditions import CONDITIONS, derangement, under_condition, without_count

CAPTIONS = [row.caption for row in LESIONS]


def counted_phrases(count: int) -> list[str]:
    """Paraphrases that mostly count."""
    rng = random.Random(0)
    phrases = []
    for _ in range(count):
        zones = {side: tuple(level for level in grammar.LEVELS if rng.random() < 0.5) for side in ("left", "right")}
        phrases.append(grammar.finding_phrase(zones, rng.randint(1, 6), rng))
    return phrases


class TestWithoutCount:
    def test_the_count_goes_and_everything_else_stays(self) -> None:
        phrases = [*CAPTIONS, *counted_phrases(400)]
        assert sum(parse(phrase).count is not None for phrase in phrases) > 100
        for phrase in phrases:
            before, after = parse(phrase), parse(without_count(phrase))
            assert after.count is None, phrase
            assert (after.places, after.finding, after.negated) == (before.places, before.finding, before.negated)

    def test_a_phrase_without_a_count_stays(self) -> None:
        for phrase in counted_phrases(100):
            once = without_count(phrase)
            assert without_count(once) == once
            if parse(phrase).count is None:
                assert once == parse(phrase).normalized

    @pytest.mark.parametrize(
        ("phrase", "expected"),
        [
            (
                "Bilateral pulmonary infection, two infected areas, lower left lung and upper right lung.",
                "bilateral pulmonary infection, lower left lung and upper right lung.",
            ),
            ("three infected areas, left lung", "infected areas, left lung"),
            ("Three opacities in the left lung", "opacities in the left lung"),
            ("two two areas in the left lung", "areas in the left lung"),
            ("One small pink round polyp, located in top left of the image.",
             "small pink round polyp, located in top left of the image."),
            ("Two small, medium polyps, located in center of the image.",
             "small, medium polyps, located in center of the image."),
            ("3 cm nodule", "3 cm nodule"),
        ],
    )  # fmt: skip
    def test_examples(self, phrase: str, expected: str) -> None:
        assert without_count(phrase) == expected

    def test_nothing_is_no_phrase(self) -> None:
        with pytest.raises(PhraseError):
            without_count(" ")


class TestUnderCondition:
    def test_each_condition(self) -> None:
        given = {condition: under_condition(CAPTIONS, condition, seed=0) for condition in CONDITIONS}
        assert given["original"] == CAPTIONS
        assert given["none"] == [None] * len(CAPTIONS)
        assert given["swapped"] == [swap_sides(caption) for caption in CAPTIONS]
        assert sorted(map(str, given["shuffled"])) == sorted(CAPTIONS)
        assert given["count_removed"] == [without_count(caption) for caption in CAPTIONS]

    def test_an_unknown_one_lists_them(self) -> None:
        with pytest.raises(ValueError, match=r"one of original, none, .*got 'silent'"):
            under_condition(CAPTIONS, "silent", seed=0)

    @pytest.mark.parametrize("seed", range(4))
    def test_a_derangement_is_an_order_in_which_nobody_hears_their_own(self, seed: int) -> None:
        phrases = ["a", "a", "b", "b", "c", "c"]
        order = derangement(phrases, seed)
        assert sorted(order) == list(range(6))
        assert all(phrases[giver] != own for giver, own in zip(order, phrases, strict=True))
        assert derangement(phrases, seed) == order
