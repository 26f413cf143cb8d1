"""Wordings that no training grammar makes: the same said in words that the network was not taught.

`heldout_wordings.json` has them. For measuring only: a word that training draws is held out no longer, so nothing that
draws training samples imports this file.
"""

from __future__ import annotations

import functools
import itertools
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from TextGuidedSegLib.language.items import read_items
from TextGuidedSegLib.language.vocabulary import default_vocabulary
from TextGuidedSegLib.language.words import Word
from TextGuidedSegLib.phrase import Phrase, Place, parse
from training import grammar, grammar_volume
from training.rewording import (
    MOST_WORDINGS,
    first_different,
    says_the_same,
    shuffled_texts,
    text_of,
    whole_lungs,
    without_location,
    zones_of,
)

FILE = Path(__file__).with_name("heldout_wordings.json")
"""The wordings; the first entries of the file explain them."""

_TRIES = 20 * MOST_WORDINGS


@functools.cache
def content() -> dict[str, Any]:
    """What the file holds."""
    read: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return read


def wordings(phrase: str, count: int, seed: int | str) -> list[str]:
    """Other wordings of a phrase, of the lungs and structures of MR volumes, of findings in lungs and pictures.

    Args:
        phrase: What is to be said otherwise.
        count: At most `rewording.MOST_WORDINGS`.
        seed: Equal seeds give equal wordings of equal phrases.

    Returns:
        As many wordings as asked for, see `rewording.first_different`. Those of findings name a kind of finding that a
        reader of the film would take for the same, and leave out or keep a count.

    Raises:
        PhraseError: The phrase is empty or too long.
        ValueError: Too many are asked for, or more than there are.
    """
    found = parse(phrase)
    rng = random.Random(f"{seed} {found.normalized}")
    name = whole_lungs(found) or grammar_volume.caption_key(found.normalized)
    if name in content()["structures"]:
        return first_different(found, shuffled_texts(content()["structures"][name], rng), count)
    made = itertools.islice(_composed(found, rng), _TRIES)
    return first_different(found, (text for text in made if says_the_same(parse(text), found)), count)


def _composed(found: Phrase, rng: random.Random) -> Iterator[str]:
    """Sentences without end; none for a phrase of which the file knows nothing."""
    zones = zones_of(found)
    if found.finding in ("polyp", "tumor"):
        while True:
            yield _picture_sentence(found, content()["pictures"], rng)
    if zones is not None or (found.finding is not None and not found.places):
        while True:
            yield _lung_sentence(found, zones, content()["lung"], rng)


def _lung_sentence(
    found: Phrase, zones: dict[str, tuple[str, ...]] | None, lung: dict[str, Any], rng: random.Random
) -> str:
    place = "" if zones is None else _lung_places(zones, lung, rng)
    if found.finding is None:
        return place
    finding = rng.choice(lung["findings"].get(found.finding, [found.finding]))
    return str(rng.choice(lung["sentences" if place else "sentences_without_place"])).format(
        finding=finding, place=place
    )


def _lung_places(zones: dict[str, tuple[str, ...]], lung: dict[str, Any], rng: random.Random) -> str:
    sides = [side for side in zones if zones[side]]
    if len(sides) == 2 and zones["left"] == zones["right"] and rng.random() < 0.5:
        return _lung_place(lung["both_sides"], "", zones["left"], rng)
    rng.shuffle(sides)
    return " and ".join(_lung_place(lung["one_side"], side, zones[side], rng) for side in sides)


def _lung_place(forms: dict[str, list[str]], side: str, levels: Sequence[str], rng: random.Random) -> str:
    kind = "all" if len(levels) == len(grammar.LEVELS) else "several" if len(levels) > 1 else levels[0]
    return rng.choice(forms[kind]).format(side=side, levels=" and ".join(levels))


def _picture_sentence(found: Phrase, pictures: dict[str, Any], rng: random.Random) -> str:
    kind = pictures[found.finding or ""]
    what = _with_noun(without_location(found.normalized), rng.choice(kind["nouns"]))
    spots = [spot for place in found.places for spot in _spots(place)]
    if not spots:
        return str(rng.choice(kind["sentences_without_place"])).format(what=what)
    where = " and ".join(_picture_place(side, row, pictures["places"], rng) for side, row in spots)
    return str(rng.choice(kind["sentences"])).format(what=what, place=where)


def _spots(place: Place) -> list[tuple[str, str]]:
    """Side and row of each place that is named; empty where all of them are."""
    sides = {"none": ("",), "both": ("left", "right")}.get(place.side, (place.side,))
    return [(side, row) for side in sides for row in (place.levels or ("",)) if side or row]


def _picture_place(side: str, row: str, forms: dict[str, list[str]], rng: random.Random) -> str:
    kind = "row_and_side" if side and row else "side" if side else "center" if row == "middle" else "row"
    return rng.choice(forms[kind]).format(row=row, side=side)


def _with_noun(what: str, noun: str) -> str:
    """A finding by another noun, with its description and number: *two small polyps* by *polypoid lesion*."""
    reading = read_items(what, default_vocabulary())
    for item in reading.items:
        if item.kind == "finding":
            words = noun.split()
            # "Tumor of the breast": the first word is the one that has a plural.
            many = 0 if "of" in words else -1
            words[many] += "s" if item.text.endswith("s") else ""
            item.words = [Word(words[0], item.first.before), *(Word(word, " ") for word in words[1:])]
    return text_of(reading.items).rstrip(" .")
