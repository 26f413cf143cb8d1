"""Phrase units: which words of a phrase form one expression, of what kind, and which way it points.

    >>> [(unit.kind, unit.directions) for unit in read_units("left lower lung opacity")]
    [('diagnosis', ()), ('location', ('left', 'lower'))]

A location unit stands for one place that the parser understood, so *lower left and right lung* gives two units although
its words stand in one row; words may belong to several units, and what belongs to none is description.

Directions are the patient's. A picture without a patient's side (endoscopy, an ultrasound image of a breast) lies in
the array as a film does, so its left is where a film has the patient's right. The left ventricle and the right atrium
are names: they point nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from TextGuidedSegLib.language.image_side import Frame
from TextGuidedSegLib.language.items import PLACE_KINDS, Item, read_items
from TextGuidedSegLib.language.places import Place
from TextGuidedSegLib.language.vocabulary import Vocabulary

UnitKind = Literal["diagnosis", "description", "location"]
UNIT_KINDS: tuple[UnitKind, ...] = ("diagnosis", "description", "location")
# In the order of the columns of `text_encoder.PhraseUnits.directions`.
DIRECTIONS = ("left", "right", "upper", "middle", "lower", "anterior", "posterior")
_DEPTHS = frozenset({"anterior", "posterior"})
_OPPOSITE = {"left": "right", "right": "left"}
_WITHOUT_CONTENT = frozenset(
    {"conjunctions", "alternatives", "prepositions", "comparisons", "other", "image", "halves"}
)
# Too many units would make every plan of a batch as wide as its longest list of places.
MAX_LOCATIONS = 6

Span = tuple[int, int]


@dataclass(frozen=True)
class Unit:
    """One expression of a phrase.

    Attributes:
        kind: What it speaks of.
        spans: Start and end of its words in the text, as offsets of characters.
        directions: Where it points, the patient's, from `DIRECTIONS`; empty unless it is a location, and for a side
            that is no place in the picture (*left breast*, *left ventricle*).
    """

    kind: UnitKind
    spans: tuple[Span, ...]
    directions: tuple[str, ...] = ()


def make_units(text: str, places: Sequence[Place], frame: Frame, vocabulary: Vocabulary) -> tuple[Unit, ...]:
    """Group the words of a normalized phrase.

    Args:
        text: `Phrase.normalized`.
        places: `Phrase.places`.
        frame: `Phrase.frame`.
        vocabulary: The words it was understood with.

    Returns:
        At least one unit unless the text has no word: the diagnosis (a finding, or the structure itself when no finding
        is named), the description (words with content that are in no other unit), one location for each place with a
        side, a level or a depth.
    """
    items = read_items(text, vocabulary).items
    spans = _spans(text, items)
    if spans is None:
        whole = (0, len(text))
        return (Unit("description", (whole,)),) if text.strip() else ()
    found = [(place, _location(place, items, spans, vocabulary)) for place in places[:MAX_LOCATIONS]]
    locations = [_in_patient(unit, place, frame, vocabulary) for place, unit in found if unit]
    has_finding = any(item.kind == "finding" for item in items)
    diagnosis_kinds = {"finding"} if has_finding else {"structure", "region"}
    diagnosis = _collect(items, spans, lambda item: item.kind in diagnosis_kinds)
    taken = {span for unit in locations for span in unit.spans} | set(diagnosis)
    words = _collect(items, spans, lambda item: item.kind not in _WITHOUT_CONTENT)
    description = tuple(span for span in words if span not in taken)
    units = [Unit("diagnosis", diagnosis)] if diagnosis else []
    units += [Unit("description", description)] if description else []
    return (*units, *locations)


def _spans(text: str, items: Iterable[Item]) -> list[tuple[Span, ...]] | None:
    """Where the words of each item stand in the text; None when the text is not in its normalized form."""
    found: list[tuple[Span, ...]] = []
    position = 0
    for item in items:
        group: list[Span] = []
        for word in item.words:
            start = text.find(word.text, position)
            if start < 0:
                return None
            position = start + len(word.text)
            group.append((start, position))
        found.append(tuple(group))
    return found


def _collect(
    items: Sequence[Item], spans: Sequence[tuple[Span, ...]], belongs: Callable[[Item], bool]
) -> tuple[Span, ...]:
    return tuple(span for item, group in zip(items, spans, strict=True) if belongs(item) for span in group)


def _location(
    place: Place, items: Sequence[Item], spans: Sequence[tuple[Span, ...]], vocabulary: Vocabulary
) -> Unit | None:
    depths = {word for word in place.structure.split() if word in _DEPTHS}
    sides = {"left", "right"} if place.side == "both" else {place.side} - {"none"}
    named = sides | set(place.levels) | depths
    if not named:
        return None

    def belongs(item: Item) -> bool:
        return item.kind in PLACE_KINDS and _speaks_of(item, place, named, vocabulary)

    words = _collect(items, spans, belongs)
    return Unit("location", words, tuple(name for name in DIRECTIONS if name in named)) if words else None


def _in_patient(unit: Unit, place: Place, frame: Frame, vocabulary: Vocabulary) -> Unit:
    """The unit with directions that hold in the canonical array, see the module's first lines."""
    structure = vocabulary.structure(place.structure)
    if structure.named_by_side:
        named = set(unit.directions) - set(_OPPOSITE)
    elif frame == "image":
        named = {_OPPOSITE.get(name, name) for name in unit.directions}
    elif structure.frame == "image":
        named = set(unit.directions) - set(_OPPOSITE)
    else:
        return unit
    return replace(unit, directions=tuple(name for name in DIRECTIONS if name in named))


def _speaks_of(item: Item, place: Place, named: set[str], vocabulary: Vocabulary) -> bool:
    name = item.term.name
    if item.kind == "side":
        return name in named or name in ("both", "unilateral")
    if item.kind == "level":
        return name in named
    if item.kind == "structure":
        return name == place.structure
    if item.kind == "region":
        entry = vocabulary.entry(item.term)
        return entry.structure == place.structure and (not entry.levels or not named.isdisjoint(entry.levels))
    return True  # "all", "whole"
