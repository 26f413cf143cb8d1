"""What can be done to the words of a phrase: parts left out, more said than needed, the same said otherwise.

All functions read a phrase as the product does and give it back in its normalized form, so that what they change is
what the parser understands and nothing else.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from TextGuidedSegLib.language.items import PLACE_KINDS, Item, read_items
from TextGuidedSegLib.language.vocabulary import default_vocabulary
from TextGuidedSegLib.language.words import Word, join_words
from TextGuidedSegLib.phrase import MAX_PHRASE_LENGTH, Phrase, parse
from training import grammar, grammar_volume

MOST_WORDINGS = 10
"""Wordings of one meaning that can be asked for."""

# Words that the vocabulary gives no place and no finding.
_PREAMBLE = "the present examination shows "
_ADDITION = ", of moderate contrast, with hazy and slightly irregular margins, as described by an experienced reader"


def text_of(items: Sequence[Item], tail: str = "") -> str:
    """Items as text, without the punctuation that led to the first of them."""
    words = [word for item in items for word in item.words]
    return re.sub(r"^[\s,;.]+", "", join_words(words, tail))


def without_location(phrase: str) -> str:
    """The phrase without places: *pulmonary infection, two infected areas* and no more.

    Where there is no finding the structure is what the phrase is about: its side and levels go, *left lung* becomes
    *lung*. Nothing goes where a side is part of a name (*left ventricle*), or where nothing would be left.

    Raises:
        PhraseError: The phrase is empty or too long.
    """
    vocabulary = default_vocabulary()
    about_finding = parse(phrase).finding is not None

    def is_place(item: Item) -> bool:
        if item.kind == "structure":
            return about_finding and not item.term.adjective
        return item.kind in PLACE_KINDS or (about_finding and item.kind == "image")

    items = read_items(phrase, vocabulary).items
    by_side = (item.kind == "structure" and vocabulary.entry(item.term).named_by_side for item in items)
    return parse(phrase).normalized if not about_finding and any(by_side) else _dropped(phrase, is_place)


def without_description(phrase: str) -> str:
    """The phrase without words for size, color, shape and kind: *small pink round polyp* becomes *polyp*.

    Raises:
        PhraseError: The phrase is empty or too long.
    """
    return _dropped(phrase, lambda item: item.kind == "description")


def without_diagnosis(phrase: str) -> str:
    """The phrase with *abnormality* instead of each finding, so that a place stays the place of something.

    Raises:
        PhraseError: The phrase is empty or too long.
    """
    parse(phrase)  # refuses what is no phrase
    reading, named = read_items(phrase, default_vocabulary()), False
    for item in reading.items:
        if item.kind == "finding":
            item.words = [Word(_general(item, areas=named), item.first.before)]
            named = True
    return text_of(reading.items, reading.tail)


def overdescribed(phrase: str) -> str:
    """The phrase with many words around it that say neither where nor what; as it is where there is no room for them.

    Raises:
        PhraseError: The phrase is empty or too long.
    """
    normalized = parse(phrase).normalized
    text = _PREAMBLE + normalized.rstrip(" .?!") + _ADDITION
    return text if len(text) <= MAX_PHRASE_LENGTH else normalized


def contradicted(phrase: str) -> str:
    """A phrase that says and denies the same, or a side and the other one: the only right answer is *contradictory*.

    Raises:
        ValueError: None of these ways makes the phrase contradict itself.
    """
    found = parse(phrase)
    core = found.normalized.rstrip(" .?!")
    for text in (f"{core}, no {found.finding}", f"{core}, but no {core}", f"left right {core}"):
        if len(text) <= MAX_PHRASE_LENGTH and parse(text).contradictory:
            return text
    msg = f"the phrase {phrase!r} cannot be made to contradict itself; leave it out of this condition"
    raise ValueError(msg)


def wordings(phrase: str, count: int, seed: int | str) -> list[str]:
    """Other wordings with the same meaning, from the training grammars: such as the network was taught.

    Args:
        phrase: What is to be said otherwise.
        count: At most `MOST_WORDINGS`.
        seed: Equal seeds give equal wordings of equal phrases.

    Returns:
        As many wordings as asked for, see `first_different`. A count that the phrase names is kept or left out.

    Raises:
        PhraseError: The phrase is empty or too long.
        ValueError: Too many are asked for, or more than the grammars have.
    """
    found = parse(phrase)
    candidates = _from_grammar(found, random.Random(f"{seed} {found.normalized}"))
    return first_different(found, filter(lambda text: says_the_same(parse(text), found), candidates), count)


def first_different(found: Phrase, texts: Iterable[str], count: int) -> list[str]:
    """The first texts that are different inputs of the network: from each other and from the phrase itself.

    What only asks (*please find*) the parser leaves out, and abbreviations it expands: such texts are one input.

    Args:
        found: The phrase.
        texts: What it could be said in.
        count: How many, at most `MOST_WORDINGS`.

    Raises:
        ValueError: Too many are asked for, or there are fewer.
    """
    if not 0 <= count <= MOST_WORDINGS:
        msg = f"there are up to {MOST_WORDINGS} wordings of a phrase, got {count}"
        raise ValueError(msg)
    chosen = {plain_input(found.text): ""}
    for text in texts:
        if len(chosen) > count:
            break
        chosen.setdefault(plain_input(text), text)
    if len(chosen) <= count:
        msg = (
            f"the phrase {found.text!r} has {len(chosen) - 1} other wordings that the network can tell apart, {count} "
            "were asked for; ask for fewer, choose other rows (--where) or the other source (--wordings-from)"
        )
        raise ValueError(msg)
    return list(chosen.values())[1:]


def plain_input(phrase: str) -> str:
    """What the network sees of a phrase, without punctuation at its end.

    Raises:
        PhraseError: The phrase is empty or too long.
    """
    return parse(phrase).normalized.strip(" .?!")


def zones_of(phrase: Phrase) -> dict[str, tuple[str, ...]] | None:
    """Levels named on each side of the lungs; None for a phrase that names another structure or no side at all."""
    zones: dict[str, set[str]] = {"left": set(), "right": set()}
    if not phrase.places:
        return None
    for place in phrase.places:
        if place.structure != "lung" or place.side == "none":
            return None
        for side in zones if place.side == "both" else (place.side,):
            zones[side] |= set(place.levels or grammar.LEVELS)
    return {side: tuple(level for level in grammar.LEVELS if level in named) for side, named in zones.items()}


def whole_lungs(phrase: Phrase) -> str | None:
    """Name in `grammar.STRUCTURES` of the lungs that a phrase names as a whole, without a finding."""
    zones = zones_of(phrase)
    named = [side for side, levels in (zones or {}).items() if levels]
    if phrase.finding or zones is None or any(len(zones[side]) != len(grammar.LEVELS) for side in named):
        return None
    return "both lungs" if len(named) == 2 else f"{named[0]} lung"


def says_the_same(one: Phrase, other: Phrase) -> bool:
    """Whether both are about a finding or neither, at the same places; a count may be left out of the first one."""
    sides = [one.frame, other.frame] if other.side != "none" else []  # without a side there is nothing to be meant
    flags = [(each.finding is None, each.negated, each.contradictory) for each in (one, other)]
    is_same = flags[0] == flags[1] and len(set(sides)) < 2 and _zoned(one) == _zoned(other)
    return is_same and one.count in (None, other.count)


def shuffled_texts(texts: Iterable[str], rng: random.Random) -> list[str]:
    """Different texts in random order."""
    different = list(dict.fromkeys(texts))
    rng.shuffle(different)
    return different


def _from_grammar(found: Phrase, rng: random.Random) -> Iterator[str]:
    """Wordings from the grammar that knows the phrase."""
    key, zones, whole = grammar_volume.caption_key(found.normalized), zones_of(found), whole_lungs(found)
    if key in grammar_volume.STRUCTURES:
        yield from shuffled_texts(grammar_volume.STRUCTURES[key], rng)
    if whole is not None:
        yield from shuffled_texts(grammar.STRUCTURES[whole], rng)
    if zones is not None and found.frame == "patient":
        for _ in range(8 * MOST_WORDINGS):
            if found.finding is None:
                yield grammar.place_words(zones, rng)
            else:
                yield grammar.finding_phrase(zones, found.count, rng)


def _general(finding: Item, *, areas: bool) -> str:
    """A word for a finding that does not say which; after the first one *infected areas* are only areas."""
    area = re.search(r"areas?$", finding.text)
    if area and areas:
        return area.group()
    return "abnormalities" if finding.term.plural or finding.text.endswith("s") else "abnormality"


def _zoned(phrase: Phrase) -> frozenset[tuple[str, str, str]]:
    """Places taken apart into single sides and levels."""
    return frozenset(
        (place.structure, side, level)
        for place in phrase.places
        for side in (("left", "right") if place.side == "both" else (place.side,))
        for level in (place.levels or grammar.LEVELS)
    )


def _dropped(phrase: str, is_dropped: Callable[[Item], bool]) -> str:
    """The phrase without some items and the words that lead to them; as it is where nothing else would be left."""
    parse(phrase)  # refuses what is no phrase
    reading = read_items(phrase, default_vocabulary())
    kept: list[Item] = []
    for item in reading.items:
        if not is_dropped(item):
            kept.append(item)
            continue
        while kept and _leads(kept[-1]) and not item.first.follows_pause:
            kept.pop()
    while kept and kept[-1].kind in ("prepositions", "conjunctions"):
        kept.pop()
    while kept and kept[0].kind in ("prepositions", "conjunctions"):
        kept.pop(0)
    says_something = any(not _leads(item) for item in kept)
    return text_of(kept, reading.tail) if says_something else reading.normalized


def _leads(item: Item) -> bool:
    """A word such as *in the*, which means nothing without what follows."""
    return item.kind in ("prepositions", "conjunctions", "other") and item.term.name != "areas"
