"""Runs of place words, each with what it says and with the finding that stands beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest

from TextGuidedSegLib.language.group import (
    AND,
    BREAK,
    COMMA,
    COMPARED,
    COMPARISON,
    FAR,
    FINDING,
    ONE_SIDE,
    PREPOSITION,
    Group,
    Part,
)
from TextGuidedSegLib.language.items import PLACE_KINDS, Item
from TextGuidedSegLib.language.vocabulary import Level, Vocabulary

_LINK_OF_KIND = {
    "conjunctions": AND, "alternatives": AND, "prepositions": PREPOSITION, "comparisons": COMPARISON,
    "finding": FINDING, "other": None, "halves": None, "description": None, "number": None, "units": None,
}  # fmt: skip


def find_runs(items: list[Item], vocabulary: Vocabulary, *, several_findings: bool) -> list[Group]:
    """Place words that stand side by side, in order.

    Args:
        items: The phrase.
        vocabulary: Its words.
        several_findings: Each has its own structure.
    """
    runs = list(_runs(items, vocabulary))
    if several_findings:
        _set_homes(items, runs, vocabulary)
    return [part for group in runs for part in _divided(group)]


def _set_homes(items: list[Item], groups: list[Group], vocabulary: Vocabulary) -> None:
    """Of several findings each has its places: *right lower lobe consolidation with left effusion*."""
    for group in groups:
        first, last = group.span
        behind = _beside(items, range(last + 1, len(items)), {"description", "number"})
        before = _beside(items, range(first - 1, -1, -1), {"description", "number", "prepositions", "other", "halves"})
        finding = behind or before
        if finding is not None:
            group.home = vocabulary.entry(finding.term).structure


def _beside(items: list[Item], positions: range, transparent: set[str]) -> Item | None:
    """The finding beside a place, without a pause between them."""
    for position in positions:
        word = items[position if positions.step > 0 else position + 1].first
        if word.starts_sentence or word.follows_pause or word.is_joined:
            return None
        if items[position].kind not in transparent:
            return items[position] if items[position].kind == "finding" else None
    return None


def _runs(items: list[Item], vocabulary: Vocabulary) -> Iterator[Group]:
    """Place words that stand side by side; a noun ends a run unless another noun follows (*lung base*)."""
    group: Group | None = None
    links: set[str] = {BREAK}
    follows_number = False
    for position, (item, following) in enumerate(zip_longest(items, items[1:])):
        links |= _links(item)
        if item.kind in PLACE_KINDS and item.term.name != "unilateral":
            part = _part(item, vocabulary, is_counted=follows_number)
            if group is None or links or not _continues(group, item, part):
                if group is not None:
                    yield group
                mark = (item.negated, item.excepted, item.restored)
                group = Group(links, mark, is_counting=_is_counting(item, following))
                links = set()
                group.span = (position, position)
            group.parts.append(part)
            group.span = (group.span[0], position)
        follows_number = item.kind == "number" or (follows_number and item.kind in ("description", "level"))
    if group is not None:
        if COMPARISON in links:
            group.links.add(COMPARED)  # "left worse" at the end is said of the left
        yield group


def _is_counting(item: Item, following: Item | None) -> bool:
    """*Both nodules*, *two nodules, both on the right*."""
    if item.text not in ("both", "each", "either") or following is None:
        return False
    return following.kind in ("finding", "description", "prepositions") or following.term.name == "areas"


def _part(item: Item, vocabulary: Vocabulary, *, is_counted: bool) -> Part:
    term = item.term
    if item.kind == "side":
        return Part("S", sides=(term.name,), may_join=item.text == "both")
    if item.kind == "level":
        return Part("L", levels=((_level(term.name), None),))
    if item.kind == "whole":
        return Part("W")
    entry = vocabulary.entry(term)
    if item.kind == "structure":
        return Part("H", structure=term.name, is_plural=term.plural)
    return Part(
        # "Apical" describes like "upper", "apex" is a noun.
        "L" if term.adjective and entry.levels and not entry.side else "H",
        sides=("both",) if entry.side == "both" else (),
        levels=tuple((level, entry.structure) for level in entry.levels),
        implied_side=entry.side if entry.side in ONE_SIDE else None,
        region_structure=entry.structure,
        # The plural of a counted region ("two zones") does not mean both sides.
        is_plural=term.plural and not is_counted,
    )


def _level(name: str) -> Level:
    return "upper" if name == "upper" else "middle" if name == "middle" else "lower"


def _links(item: Item) -> set[str]:
    links = set()
    if item.first.starts_sentence:
        links.add(BREAK)
    if item.first.is_joined:
        links.add(AND)
    if item.first.is_compared:
        links.add(COMPARISON)
    if item.first.follows_pause:
        links.add(COMMA)
    if item.kind not in PLACE_KINDS and (link := _LINK_OF_KIND.get(item.kind, FAR)):
        links.add(link)
    return links


def _continues(group: Group, item: Item, part: Part) -> bool:
    if group.mark != (item.negated, item.excepted, item.restored):
        return False
    if not group.has_noun:
        return True
    if item.kind == "structure":
        return group.structure in (None, item.term.name)
    return part.code == "H"


def _divided(group: Group) -> list[Group]:
    """*Upper left lower right* is two places although nothing stands between them."""
    pattern = [
        "S" if set(part.sides) & set(ONE_SIDE) else "L" if part.levels else ""
        for part in group.parts
        if part.code != "W"
    ]
    kinds = "".join(pattern)
    different = len(set(group.sides) & set(ONE_SIDE)) == 2 and kinds.count("S") == 2
    if not different or "SS" in kinds or kinds[0] == kinds[-1]:
        return [group]
    sides = [position for position, part in enumerate(group.parts) if part.code == "S"]
    cut = sides[0] + 1 if kinds[0] == "L" else sides[1]
    return [
        replace(group, parts=group.parts[:cut]),
        replace(group, links={COMMA}, parts=group.parts[cut:]),
    ]
