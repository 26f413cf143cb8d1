"""What a phrase means: finding, places, count, negation, and the words as the text encoder sees them.

    >>> parse("LLL consolidation, rigth base").places
    (Place(structure='lung', side='left', levels=('lower',)), Place(structure='lung', side='right', levels=('lower',)))

The way of a phrase: words (`language.words`), spelling (`language.spelling`), meaning of each word (`language.items`,
`vocabulary`), negation (`language.negation`), sides of the picture (`language.image_side`), what belongs together
(`language.groups`), places (`language.places`). Nothing here needs torch; parsing takes less than a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, takewhile
from typing import Any

from TextGuidedSegLib.errors import PhraseError
from TextGuidedSegLib.language.groups import make_groups
from TextGuidedSegLib.language.idioms import without_asides
from TextGuidedSegLib.language.image_side import Frame, settle_frame
from TextGuidedSegLib.language.items import NAMED_PLACE_KINDS, PLACE_KINDS, Item, read_items
from TextGuidedSegLib.language.negation import mark_negation
from TextGuidedSegLib.language.places import Context, Place, PlacedGroup, Side, make_places, subtract, unite
from TextGuidedSegLib.language.plain import plain_wording
from TextGuidedSegLib.language.units import Unit, make_units
from TextGuidedSegLib.language.vocabulary import DEFAULT_STRUCTURE, Level, Vocabulary, default_vocabulary

__all__ = ["MAX_PHRASE_LENGTH", "Level", "Phrase", "Place", "Side", "Unit", "parse", "read_units", "swap_sides"]

MAX_PHRASE_LENGTH = 500

# What a number behind them counts is no finding.
_SCALES = frozenset({"grade", "stage", "type", "class", "category", "rads", "birads", "day", "rib", "paris"})
_ALL = frozenset({"all", "everything", "everywhere", "anywhere"})
# Parts that have no name of their own where nothing says of what.
_PARTS = frozenset({"wall", "walls", "muscle"})
_NOT_TAKEN_OUT = '"{part}" was not taken out, as only sides and levels can be: name what is left instead.'
_KNOWN_KINDS = NAMED_PLACE_KINDS | {"finding"}


@dataclass(frozen=True)
class Phrase:
    """What was understood of a phrase.

    Attributes:
        text: As typed.
        normalized: Lower case, single spaces, abbreviations expanded, misspelled words corrected, sides of the picture
            turned to the patient's. Findings keep the wording of the phrase.
        heard: What the text encoder sees: `normalized`, or *left lung*, *right lung* or *both lungs* if the phrase
            says just that in other words.
        finding: Its name in the vocabulary.
        places: Where; empty if the phrase does not say, several for a union.
        count: Number of findings the phrase speaks of.
        negated: It says that something is not there, and names nothing that is.
        contradictory: Its sides exclude each other, or it names and negates the same.
        known: At least one finding, structure, region, side or level is in the vocabulary.
        corrections: Misspelled words and what they were read as.
        expansions: Abbreviations and their full words.
        unknown: Words that are not in the vocabulary; they are in `normalized`.
        laterality: How the side words were meant.
        frame: What they mean in `normalized` and `places`: always the patient's side, except in pictures that have none
            (a polyp at the left of an endoscopy image).
        doubts: Sentences about what was read one way and may be meant another.
    """

    text: str
    normalized: str
    heard: str
    finding: str | None
    places: tuple[Place, ...]
    count: int | None
    negated: bool
    contradictory: bool
    known: bool
    corrections: tuple[tuple[str, str], ...]
    expansions: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]
    laterality: Frame
    frame: Frame
    doubts: tuple[str, ...] = ()

    @property
    def side(self) -> Side:
        """Side of all places together."""
        sides = {place.side for place in self.places} - {"none"}
        if not sides:
            return "none"
        return next(iter(sides)) if len(sides) == 1 else "both"

    def chips(self) -> tuple[tuple[str, str], ...]:
        """Pairs of kind and word for the panel: each place as side, levels, structure, in this order."""
        chips: list[tuple[str, str]] = []
        if self.negated:
            chips.append(("negated", "no"))
        if self.count is not None:
            chips.append(("count", str(self.count)))
        if self.finding is not None:
            chips.append(("finding", self.finding))
        for place in self.places:
            if place.side != "none":
                chips.append(("side", place.side))
            chips += [("level", level) for level in place.levels]
            chips.append(("structure", place.structure))
        if self.laterality == "image":
            chips.append(("laterality", "side of the image"))
        if self.contradictory:
            chips.append(("contradictory", "contradicts itself"))
        chips += [("expanded", f"{short} → {full}") for short, full in self.expansions]
        chips += [("corrected", f"{typed} → {read}") for typed, read in self.corrections]
        chips += [("unknown", word) for word in self.unknown]
        return tuple(chips)

    def to_dict(self) -> dict[str, Any]:
        """All attributes and `side`, ready for JSON."""
        return {**asdict(self), "side": self.side}


@dataclass(frozen=True)
class _Statement:
    """What is left of a phrase when negation is settled."""

    finding: str | None
    places: tuple[Place, ...]
    negated: bool
    contradictory: bool


def parse(text: str, vocabulary: Vocabulary | None = None) -> Phrase:
    """Understand a phrase.

    Args:
        text: What was typed, 1 to 500 characters.
        vocabulary: Words to understand it with; None for the library's own.

    Raises:
        PhraseError: The phrase is empty or too long, or no text.
    """
    _check(text)
    return _understand(text, vocabulary or default_vocabulary())


def _understand(text: str, vocabulary: Vocabulary) -> Phrase:
    reading = read_items(text, vocabulary)
    reading.items = without_asides(reading.items)
    laterality, frame = settle_frame(reading, vocabulary)
    items = reading.items
    mark_negation(items)
    findings = list(dict.fromkeys(item.term.name for item in items if item.kind == "finding"))
    separate, several = frame == "image", len(findings) > 1
    groups = make_groups(items, vocabulary, separate=separate, several_findings=several)
    is_unilateral = any(item.kind == "side" and item.term.name == "unilateral" for item in items)
    placed, contradictory = make_places(
        groups, Context(_home(items, vocabulary), separate, several, is_unilateral), vocabulary
    )
    reading.doubts += _not_taken_out(items, placed, vocabulary)
    statement = _statement(items, placed, names_part=_names_part(items, vocabulary))
    is_plain = frame == "patient" and not (contradictory or statement.contradictory or statement.negated)
    plain = plain_wording(items, statement.places) if is_plain else None
    return Phrase(
        text=text,
        normalized=reading.normalized,
        heard=plain or reading.normalized,
        finding=statement.finding,
        places=statement.places,
        count=_count(items, vocabulary),
        negated=statement.negated,
        contradictory=contradictory or statement.contradictory,
        known=any(item.kind in _KNOWN_KINDS for item in items),
        corrections=tuple(reading.corrections),
        expansions=tuple(reading.expansions),
        unknown=tuple(item.text for item in items if item.kind == "unknown"),
        laterality=laterality,
        frame=frame,
        doubts=tuple(dict.fromkeys(reading.doubts)),
    )


def read_units(normalized: str, vocabulary: Vocabulary | None = None) -> tuple[Unit, ...]:
    """Expressions of a normalized phrase, for a network that aligns each of them with the image.

    Args:
        normalized: `Phrase.normalized`, or a caption in lower case; may be empty, and of any length, as abbreviations
            have been expanded.
        vocabulary: Words to understand it with; None for the library's own.
    """
    if not normalized.strip():
        return ()
    vocabulary = vocabulary or default_vocabulary()
    phrase = _understand(normalized, vocabulary)
    return make_units(normalized, phrase.places, phrase.frame, vocabulary)


def is_named_by_side(text: str, vocabulary: Vocabulary | None = None) -> bool:
    """Whether the side words of a phrase belong to the names of its structures, as in *left ventricle*.

    Args:
        text: Normalized or not, of any length; may be empty.
        vocabulary: Words to understand it with; None for the library's own.
    """
    if not text.strip():
        return False
    vocabulary = vocabulary or default_vocabulary()
    places = _understand(text, vocabulary).places
    return bool(places) and all(vocabulary.structure(place.structure).named_by_side for place in places)


def swap_sides(text: str, vocabulary: Vocabulary | None = None) -> str:
    """The phrase for the mirrored image: left for right and right for left, abbreviations too.

    *RUL* becomes *LUL*, *LV* *RV*, *lingula* *middle lobe*; *RML* becomes *LML*, which no lung has but which is
    understood. Twice gives the text again, in lower case, UPPER CASE and with a Capital (a side word in another mixture
    of letters becomes lower case). Misspelled side words stay: swap the normalized phrase instead.

    Args:
        text: Any text.
        vocabulary: Words with a side; None for the library's own.
    """
    return (vocabulary or default_vocabulary()).mirror(text)


def _check(text: object) -> None:
    if not isinstance(text, str):
        msg = f"a phrase must be text, got {type(text).__name__}; type for example 'left lower lung opacity'"
        raise PhraseError(msg)
    if not text.strip():
        msg = "the phrase is empty; type for example 'left lower lung opacity'"
        raise PhraseError(msg)
    if len(text) > MAX_PHRASE_LENGTH:
        msg = f"the phrase has {len(text)} characters, at most {MAX_PHRASE_LENGTH} are read; shorten it"
        raise PhraseError(msg)


def _home(items: Sequence[Item], vocabulary: Vocabulary) -> str | None:
    """Structure of the finding that the phrase is about."""
    findings = sorted((item for item in items if item.kind == "finding"), key=lambda item: item.negated)
    home = vocabulary.entry(findings[0].term).structure if findings else None
    if home in (None, DEFAULT_STRUCTURE):  # "breast nodule, top left of the image"
        named = (item.term.name for item in items if item.kind == "structure")
        home = next((name for name in named if vocabulary.structure(name).frame == "image"), home)
    return home


def _names_part(items: Sequence[Item], vocabulary: Vocabulary) -> bool:
    """*LV and RV. No pericardial effusion*: a sentence names parts of an organ, and another one denies a finding."""
    if not any(item.negated for item in items):
        return False
    sentences: list[list[Item]] = [[]]
    for item in items:
        if item.first.starts_sentence:
            sentences.append([])
        sentences[-1].append(item)
    named = [
        any(item.kind == "structure" and vocabulary.entry(item.term).within for item in sentence)
        for sentence in sentences
        if not any(item.negated or item.kind == "negation" for item in sentence)
    ]
    return any(named)


def _statement(items: Sequence[Item], placed: Sequence[PlacedGroup], *, names_part: bool) -> _Statement:
    found = [item.term.name for item in items if item.kind == "finding" and not item.negated]
    denied = [item.term.name for item in items if item.kind == "finding" and item.negated]
    if _is_named_by_exception(items):  # "all but the left polyp"
        found, denied = [], []
    named = unite(group.place for group in placed if not (group.mark[0] or group.mark[1]))
    restored = unite(group.place for group in placed if group.mark[2])
    without = unite(group.place for group in placed if group.mark[0])
    if found or (named and (names_part or not denied)):
        # "Lungs clear except the left base": the base is what the rest is not.
        cleared = not (denied or restored)
        excepted = [group.place for group in placed if group.mark[1] or (group.mark[0] and cleared)]
        if excepted and not named:
            named = tuple(Place(place.structure, "none") for place in excepted)  # "opacity, not on the left"
        both_said = not set(found).isdisjoint(denied) and _overlap(named, without)
        # "Lungs are clear. Left basal nodule": what is clear takes nothing from where a finding is.
        spared = [group.place for group in placed if group.mark[1]]
        left_over = subtract(named, excepted) or (subtract(named, spared) if found else ())
        denied_all = bool(named) and not left_over  # "left lung, no left lung"
        return _Statement(found[0] if found else None, left_over, negated=False, contradictory=both_said or denied_all)
    spared = [group.place for group in placed if group.mark[1]]
    if spared and not (named or denied):  # "all but the right upper lobe"
        left_over = subtract([Place(place.structure, "none") for place in spared], spared)
        finding = next((item.term.name for item in items if item.kind == "finding"), None)
        return _Statement(finding, left_over, negated=False, contradictory=not left_over)
    if denied and restored:
        return _Statement(denied[0], restored, negated=False, contradictory=False)
    is_negated = any(item.negated for item in items)
    everywhere = unite(group.place for group in placed)
    return _Statement(denied[0] if denied else None, everywhere, negated=is_negated, contradictory=False)


def _is_named_by_exception(items: Sequence[Item]) -> bool:
    """*Everything but the left polyp*: the rest is named by what is taken out of it."""
    begins = any(item.term.name == "except" and item.text.split()[0] in _ALL for item in items[:1])
    takes_place = any(item.excepted and item.kind in NAMED_PLACE_KINDS for item in items)
    return begins and takes_place and all(item.excepted for item in items if item.kind == "finding")


def _not_taken_out(items: Sequence[Item], placed: Sequence[PlacedGroup], vocabulary: Vocabulary) -> list[str]:
    """*Hippocampus minus anterior hippocampus*, *left ventricle without its wall*: said, as no part is taken out."""
    named = {group.place.structure for group in placed if not any(group.mark)}
    organs = {name for name in named if vocabulary.structure(name).within}
    for position, item in enumerate(items):
        if not (organs and (item.term.name == "except" or item.text == "without")):
            continue
        behind = list(takewhile(lambda one: one.first.before in (" ", "-"), items[position + 1 :]))
        other = next((one for one in behind if one.kind == "structure" and one.term.name not in named), None)
        part = other or next((one for one in behind if one.text in _PARTS), None)
        if part is not None:
            return [_NOT_TAKEN_OUT.format(part=part.text)]
    return []


def _overlap(first: Sequence[Place], second: Sequence[Place]) -> bool:
    if not first or not second:
        return True
    return any(one.overlaps(other) for one in first for other in second)


def _count(items: Sequence[Item], vocabulary: Vocabulary) -> int | None:
    """The first number that counts a finding or an area: *two small nodules*, not *2 cm* nor *grade 2*."""
    for position, item in enumerate(items):
        if item.kind != "number" or (position and items[position - 1].text in _SCALES):
            continue
        for earlier, later in pairwise(items[position:]):
            # "Two small, round nodules"
            is_listed = later.first.before == ", " and earlier.kind == later.kind == "description"
            if later.first.before.startswith("%"):
                break
            if later.first.starts_sentence or (later.first.follows_pause and not is_listed) or later.first.is_joined:
                break
            if later.kind == "finding" or later.text in vocabulary.areas:
                return vocabulary.numbers.get(item.text) or int(item.text) or None
            if later.kind not in PLACE_KINDS | {"description", "other", "unknown"}:
                break
    return None
