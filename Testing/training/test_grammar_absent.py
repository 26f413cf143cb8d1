"""What no chest film shows, among words that chest films are asked with: taught names are no measured ones."""

from __future__ import annotations

import json
import random
import re

import pytest

from TextGuidedSegLib.mirroring import mirrored_words
from TextGuidedSegLib.phrase import parse
from training import grammar
from training.grammar_absent import NOWHERE, absent_phrase
from training.heldout import FILE
from training.questions import UNSEEN_STRUCTURES

# Words that a name shares with what films are asked for, or with another name.
_OF_MANY = {"lobe", "tumor", "of", "the"}


def drawn(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [absent_phrase(rng) for _ in range(count)]


def words_of(texts: tuple[str, ...]) -> set[str]:
    return {word for text in texts for word in text.split()} - _OF_MANY


def test_no_word_of_a_taught_name_is_measured_as_one_that_was_never_heard() -> None:
    taught = words_of(NOWHERE)
    assert not taught & words_of(UNSEEN_STRUCTURES)
    assert not taught & words_of(grammar.FINDINGS)
    assert not any(re.search(rf"\\b{word}\\b", FILE.read_text(encoding="utf-8")) for word in NOWHERE)


def test_no_description_is_among_the_held_out_words_for_findings() -> None:
    held_out = json.loads(FILE.read_text(encoding="utf-8"))["lung"]
    words = set(re.findall(r"[a-z-]+", json.dumps(held_out).lower()))
    assert not words & set(grammar.DESCRIPTIONS)


@pytest.mark.parametrize("name", NOWHERE)
def test_the_network_hears_a_name_as_it_was_taught(name: str) -> None:
    for text in (name, f"opacity of the {name}", f"left {name}"):
        phrase = parse(text)
        assert phrase.heard == text
        assert (phrase.negated, phrase.contradictory, phrase.corrections) == (False, False, ()), text


def test_every_phrase_names_something_that_is_not_there() -> None:
    names = (*NOWHERE, *grammar.ABSENT_STRUCTURES)
    assert [text for text in drawn(3000) if not any(name in text for name in names)] == []


def test_a_name_stands_alone_beside_a_side_a_place_and_a_finding() -> None:
    texts = drawn(8000)
    assert set(NOWHERE) <= set(texts)
    readings = [parse(text) for text in texts]
    assert {"left", "right"} <= {reading.side for reading in readings}
    assert any(reading.finding for reading in readings)
    assert any(place.levels for reading in readings for place in reading.places)


def test_sides_of_a_mirrored_phrase_are_swapped_and_come_back() -> None:
    for text in drawn(500):
        assert mirrored_words(mirrored_words(text)) == text


def test_phrases_depend_on_the_generator_alone() -> None:
    assert drawn(50, seed=3) == drawn(50, seed=3) != drawn(50, seed=4)


def test_a_described_finding_means_what_it_means_without_the_description() -> None:
    zones = {"left": ("lower",), "right": ()}
    described = 0
    for seed in range(400):
        plain = grammar.finding_phrase(zones, None, random.Random(seed))
        text = grammar.described_phrase(zones, None, random.Random(seed))
        assert text.endswith(plain)
        described += text != plain
        reading, expected = parse(text), parse(plain)
        assert (reading.finding, reading.places, reading.negated) == (expected.finding, expected.places, False), text
    assert 40 < described < 160
