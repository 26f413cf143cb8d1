"""Every phrase of the grammar means to the parser what it was made from."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain, combinations, product

import pytest

from TextGuidedSegLib.phrase import Phrase, parse, swap_sides
from training import grammar

SIDES = ("left", "right")
SOME_LEVELS = tuple(chain.from_iterable(combinations(grammar.LEVELS, count) for count in range(4)))
EVERYWHERE = {"left": set(grammar.LEVELS), "right": set(grammar.LEVELS)}
Zones = dict[str, set[str]]


def named_zones(phrase: Phrase) -> Zones:
    """Levels of each side that a parsed phrase names; everywhere if it names no place."""
    if not phrase.places:
        return EVERYWHERE
    zones: Zones = {"left": set(), "right": set()}
    for place in phrase.places:
        for side in SIDES if place.side in ("both", "none") else (place.side,):
            zones[side] |= set(place.levels or grammar.LEVELS)
    return zones


def mirrored(zones: Zones) -> Zones:
    return {"left": zones["right"], "right": zones["left"]}


@pytest.mark.parametrize("left", SOME_LEVELS, ids=lambda levels: "+".join(levels) or "nothing")
class TestFindingPhrases:
    """All choices of levels on both sides, twenty phrases each, with and without a count."""

    def phrases(self, left: tuple[str, ...]) -> Iterator[tuple[str, Zones]]:
        """Phrases, and the levels of each side that they were made from."""
        rng = random.Random(" ".join(left))
        for right, number in product(SOME_LEVELS, range(20)):
            areas = bool(left) + bool(right)
            count = areas if number % 2 and areas else None
            zones = {"left": set(left), "right": set(right)} if areas else EVERYWHERE
            yield grammar.finding_phrase({"left": left, "right": right}, count, rng), zones

    def test_sides_and_levels_are_read_back(self, left: tuple[str, ...]) -> None:
        assert [text for text, zones in self.phrases(left) if named_zones(parse(text)) != zones] == []

    def test_a_finding_is_read_and_nothing_is_in_doubt(self, left: tuple[str, ...]) -> None:
        for text, _ in self.phrases(left):
            phrase = parse(text)
            assert phrase.finding is not None, text
            assert phrase.known, text
            assert (phrase.negated, phrase.contradictory) == (False, False), text
            assert (phrase.unknown, phrase.corrections) == ((), ()), text

    def test_the_network_sees_the_words_it_was_trained_on(self, left: tuple[str, ...]) -> None:
        # Words that only ask are left out before the network reads the rest, which it was trained on as well.
        seen = [(parse(text).normalized, text.removeprefix("find the ")) for text, _ in self.phrases(left)]
        assert [read for read, said in seen if read != said] == []

    def test_swapped_sides_name_the_mirrored_places(self, left: tuple[str, ...]) -> None:
        for text, _ in self.phrases(left):
            swapped = swap_sides(text)
            assert swap_sides(swapped) == text
            assert named_zones(parse(swapped)) == mirrored(named_zones(parse(text))), text


@pytest.mark.parametrize("kind", ["left lung", "right lung", "both lungs"])
def test_a_lung_is_read_back_as_that_lung(kind: str) -> None:
    expected = {"left lung": {"left"}, "right lung": {"right"}, "both lungs": set(SIDES)}[kind]
    for wording in grammar.STRUCTURES[kind]:
        phrase = parse(wording)
        assert phrase.finding is None, wording
        assert {place.structure for place in phrase.places} == {"lung"}, wording
        assert {side for side, levels in named_zones(phrase).items() if levels} == expected, wording
        assert named_zones(parse(swap_sides(wording))) == mirrored(named_zones(phrase)), wording


@pytest.mark.parametrize("kind", sorted(grammar.STRUCTURES))
def test_every_wording_of_a_structure_reaches_the_network_as_it_was_trained(kind: str) -> None:
    for wording in grammar.STRUCTURES[kind]:
        phrase = parse(wording)
        assert phrase.normalized == wording
        assert phrase.known, wording
        assert (phrase.negated, phrase.contradictory) == (False, False), wording


@pytest.mark.parametrize("kind", sorted(grammar.STRUCTURES))
def test_every_wording_of_a_structure_is_drawn(kind: str) -> None:
    rng = random.Random(0)
    drawn = {grammar.structure_phrase(kind, rng).removesuffix(".") for _ in range(400)}
    assert drawn == set(grammar.STRUCTURES[kind])


def test_wordings_belong_to_one_structure_only() -> None:
    wordings = [wording for wordings in grammar.STRUCTURES.values() for wording in wordings]
    assert len(set(wordings)) == len(wordings)
    assert not set(wordings) & set(grammar.ABSENT_STRUCTURES)


def test_what_is_absent_from_every_chest_film_names_no_lung() -> None:
    for text in grammar.ABSENT_STRUCTURES:
        assert "lung" not in {place.structure for place in parse(text).places}, text


@pytest.mark.parametrize(("count", "word"), [(1, "one"), (2, "two"), (6, "six"), (7, None), (None, None)], ids=str)
def test_a_count_is_said_in_words_or_not_at_all(count: int | None, word: str | None) -> None:
    rng = random.Random(1)
    phrases = [grammar.finding_phrase({"left": ("lower",), "right": ()}, count, rng) for _ in range(200)]
    said = [set(text.split()) & {"zero", "one", "two", "three", "four", "five", "six", "seven"} for text in phrases]
    assert set(chain.from_iterable(said)) == ({word} if word else set())
    assert set() in said  # a count is never the rule


def test_phrases_depend_on_the_generator_alone() -> None:
    zones = {"left": ("upper", "lower"), "right": ("middle",)}

    def drawn(seed: int) -> list[str]:
        rng = random.Random(seed)
        return [grammar.finding_phrase(zones, 2, rng) for _ in range(30)]

    assert drawn(5) == drawn(5) != drawn(6)
    assert grammar.corpus(50, seed=5) == grammar.corpus(50, seed=5) != grammar.corpus(50, seed=6)


def test_phrases_vary_in_words_and_order() -> None:
    rng = random.Random(0)
    phrases = {grammar.finding_phrase({"left": ("lower",), "right": ()}, None, rng) for _ in range(300)}
    assert len(phrases) > 150
    assert any(text.startswith("left") for text in phrases)
    assert any(" in the " in text for text in phrases)
    assert any(text.endswith(".") for text in phrases)
    assert any(not text.endswith(".") for text in phrases)


def test_the_corpus_knows_every_word_of_the_grammar() -> None:
    words = {
        word for text in grammar.corpus(2000) for word in text.replace(",", " ").replace("/", " ").strip(".").split()
    }
    for text in (*grammar.FINDINGS, *chain.from_iterable(grammar.STRUCTURES.values()), *grammar.ABSENT_STRUCTURES):
        assert set(text.replace(",", " ").split()) <= words, text
