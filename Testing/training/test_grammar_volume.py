"""Wordings of the structures of MR volumes mean what the captions mean, and absent structures are truly absent."""

from __future__ import annotations

import random

import pytest

from TextGuidedSegLib.phrase import parse
from training import grammar_volume
from training.grammar_volume import STRUCTURES, absent_phrase, absent_structures, caption_key, structure_phrase

HEART = frozenset(key for key in STRUCTURES if "ventric" in key)
HIPPOCAMPUS = frozenset(key for key in STRUCTURES if "hippocampus" in key)
ATRIUM = frozenset({"left atrium"})


def named(text: str) -> set[tuple[str, str]]:
    """Structures of a phrase with their sides."""
    return {(place.structure, place.side) for place in parse(text).places}


def test_captions_are_keys() -> None:
    assert caption_key("Left ventricular cavity.") == "left ventricular cavity"
    assert caption_key(" Hippocampus ") == "hippocampus"
    assert set(STRUCTURES) == HEART | HIPPOCAMPUS | ATRIUM


@pytest.mark.parametrize("key", STRUCTURES)
def test_every_wording_is_understood(key: str) -> None:
    for wording in STRUCTURES[key]:
        phrase = parse(wording)
        assert phrase.known, wording
        assert not phrase.unknown, wording
        assert not phrase.contradictory, wording
        assert phrase.side in (parse(key).side, "none"), wording


@pytest.mark.parametrize("key", ["anterior hippocampus", "posterior hippocampus", "left ventricular cavity"])
def test_wordings_name_what_the_caption_names(key: str) -> None:
    for wording in STRUCTURES[key]:
        assert named(wording) == named(key), wording


def test_no_two_structures_share_a_wording() -> None:
    owner: dict[str, str] = {}
    for key, wordings in STRUCTURES.items():
        for wording in wordings:
            assert owner.setdefault(parse(wording).normalized, key) == key, wording


def test_phrases_come_as_the_network_hears_them() -> None:
    rng = random.Random(0)
    seen = {structure_phrase("left ventricular cavity", rng) for _ in range(200)}
    assert "left ventricular cavity" in seen
    assert not any("lv" in phrase.split() for phrase in seen), "abbreviations are written out"
    assert structure_phrase("some caption", random.Random(1)).startswith("some caption")


def test_of_volumes_it_does_not_know_no_part_of_a_body_is_denied() -> None:
    for shown in (frozenset({"liver"}), frozenset({"left kidney", "spleen"}), frozenset[str]()):
        assert {"teapot", "bicycle"} <= set(absent_structures(shown))
        assert not any(parse(words).known for words in absent_structures(shown))


@pytest.mark.parametrize("shown", [HEART, HIPPOCAMPUS, ATRIUM], ids=["heart", "hippocampus", "atrium"])
def test_what_is_shown_or_may_be_is_never_called_absent(shown: frozenset[str]) -> None:
    absent = absent_structures(shown)
    texts = {parse(words).normalized for words in absent}
    for key in shown:
        assert not texts & {parse(wording).normalized for wording in STRUCTURES[key]}
    if shown == HEART:
        assert not any("atri" in text for text in texts), "a film of the heart shows atria"
        assert any("hippocamp" in text for text in texts)
    if shown == ATRIUM:
        assert not any("ventric" in text or "myocard" in text for text in texts)
    if shown == HIPPOCAMPUS:
        assert any("atrium" in text for text in texts)
        assert "liver" in texts
        assert "brain" not in texts
    else:
        assert not {"liver", "left lung", "aorta", "heart"} & texts, "beside the heart, and not labelled"


def test_the_same_seed_gives_the_same_phrase() -> None:
    one, two = ([absent_phrase(HEART, random.Random(seed)) for seed in range(20)] for _ in range(2))
    assert one == two
    assert len(set(one)) > 10


def test_the_corpus_has_every_word() -> None:
    words = {word for phrase in grammar_volume.corpus(2000) for word in phrase.replace(".", "").split()}
    for each in (*STRUCTURES.values(), absent_structures(HEART), absent_structures(HIPPOCAMPUS)):
        for wording in each:
            assert set(parse(wording).normalized.split()) <= words, wording
