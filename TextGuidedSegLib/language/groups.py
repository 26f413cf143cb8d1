"""Which words belong together: *upper left and lower right lung* is two places, *base of the left lung* is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from TextGuidedSegLib.language.items import PLACE_KINDS, Item
from TextGuidedSegLib.language.vocabulary import Level, Vocabulary

# What may stand between two groups of place words.
BREAK, AND, COMMA, FINDING, FAR, PREPOSITION, COMPARISON = (
    "break",
    "and",
    "comma",
    "finding",
    "far",
    "preposition",
    "more",
)
ONE_SIDE: tuple[Literal["left"], Literal["right"]] = ("left", "right")
_LINK_OF_KIND = {
    "conjunctions": AND, "alternatives": AND, "prepositions": PREPOSITION, "comparisons": COMPARISON,
    "finding": FINDING, "other": None, "halves": None, "description": None, "number": None, "units": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """What one word or term adds to a group.

    Attributes:
        code: S, L or W for words that describe (side, level, whole), H for the noun; empty for what neighbors share.
        sides: `left`, `right` or `both`.
        levels: Each with the structure it holds in, or None where it holds in all: a base is low in a lung only.
        implied_side: Side that follows from a region (*lingula*).
        structure: Structure said.
        region_structure: Structure of which a region is part.
        is_plural: *lungs*, *bases*.
        may_join: *both*, which may join two levels (*both upper and lower left lung*) where *bilateral* cannot.
    """

    code: str
    sides: tuple[str, ...] = ()
    levels: tuple[tuple[Level, str | None], ...] = ()
    implied_side: str | None = None
    structure: str | None = None
    region_structure: str | None = None
    is_plural: bool = False
    may_join: bool = False


@dataclass(slots=True, eq=False)
class Group:
    """Place words that belong together.

    Attributes:
        links: What stands between the previous group and this one.
        mark: Negated, excepted, restored.
        parts: In order.
    """

    links: set[str]
    mark: tuple[bool, bool, bool]
    parts: list[Part] = field(default_factory=list)

    @property
    def order(self) -> str:
        """Codes of the parts."""
        return "".join(part.code for part in self.parts)

    @property
    def sides(self) -> tuple[str, ...]:
        """Sides said, without repeats."""
        return tuple(dict.fromkeys(side for part in self.parts for side in part.sides))

    @property
    def levels(self) -> tuple[tuple[Level, str | None], ...]:
        """Levels said, each with the structure it holds in."""
        return tuple(level for part in self.parts for level in part.levels)

    @property
    def implied_side(self) -> str | None:
        """Side that follows from a region."""
        return next((part.implied_side for part in self.parts if part.implied_side), None)

    @property
    def structure(self) -> str | None:
        """Structure said."""
        return next((part.structure for part in self.parts if part.structure), None)

    @property
    def region_structure(self) -> str | None:
        """Structure of which the region is part."""
        return next((part.region_structure for part in self.parts if part.region_structure), None)

    @property
    def has_noun(self) -> bool:
        """A structure or region was said, so that describing words after it begin a new group."""
        return "H" in self.order

    @property
    def is_open(self) -> bool:
        """No noun closes the group: what it lacks may follow."""
        return not self.order.endswith("H")

    @property
    def is_plural(self) -> bool:
        """*Lungs*, *bases*."""
        return any(part.is_plural for part in self.parts)

    @property
    def is_bare(self) -> bool:
        """Neither a side nor a level is said."""
        return not (self.sides or self.levels or self.implied_side)

    def make_singular(self) -> None:
        """The plural does not mean both sides."""
        self.parts = [replace(part, is_plural=False) for part in self.parts]

    def drop_both(self) -> None:
        """*Both* was said of something else."""
        self.parts = [replace(part, sides=tuple(side for side in part.sides if side != "both")) for part in self.parts]


def make_groups(items: list[Item], vocabulary: Vocabulary, *, separate: bool, several_findings: bool) -> list[Group]:
    """Groups of place words, in order, each as complete as the words around make it.

    Args:
        items: The phrase.
        vocabulary: Its words.
        separate: A comma parts two places (*top left, center of the image*); otherwise it may join what belongs
            together (*left lung, lower zone*).
        several_findings: Another finding parts two places, the only one does not (*left opacity in the lower zone*).
    """
    groups = [part for group in _runs(items, vocabulary) for part in _divided(group)]
    # What stands closer belongs together first.
    groups = _merge(_merge(groups, {PREPOSITION}), {PREPOSITION, FAR})
    if not separate:
        groups = _merge(groups, {PREPOSITION, FAR, COMMA})
    if not (separate or several_findings):
        groups = _merge(groups, {PREPOSITION, FAR, COMMA, FINDING})
    return [group for group in groups if group.order.strip("W")]


def _runs(items: list[Item], vocabulary: Vocabulary) -> Iterator[Group]:
    """Place words that stand side by side; a noun ends a run unless another noun follows (*lung base*)."""
    group: Group | None = None
    links: set[str] = {BREAK}
    follows_number = False
    for item in items:
        links |= _links(item)
        if item.kind in PLACE_KINDS and item.term.name != "unilateral":
            part = _part(item, vocabulary, is_counted=follows_number)
            if group is None or links or not _continues(group, item, part):
                if group is not None:
                    yield group
                group = Group(links, (item.negated, item.excepted, item.restored))
                links = set()
            group.parts.append(part)
        follows_number = item.kind == "number" or (follows_number and item.kind in ("description", "level"))
    if group is not None:
        if group.order == "S":
            group.links |= links & {COMPARISON}  # "left worse" at the end is said of the left
        yield group


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
    return [Group(group.links, group.mark, group.parts[:cut]), Group({COMMA}, group.mark, group.parts[cut:])]


def _merge(groups: list[Group], allowed: set[str]) -> list[Group]:
    """Join neighbors that complete each other, if nothing else than what is allowed stands between them."""
    merged: list[Group] = []
    for position, group in enumerate(groups):
        if (
            merged
            and group.links <= allowed
            and _complete_each_other(merged[-1], group)
            and not (COMMA in group.links and (_is_end_of_list(merged) or _is_start_of_list(groups, position)))
        ):
            merged[-1].parts += group.parts
        else:
            merged.append(group)
    return merged


def _is_end_of_list(groups: list[Group]) -> bool:
    """*Right upper and lower lobe, left lung*: *lower lobe* belongs to the side that was."""
    for later, earlier in pairwise(reversed(groups)):
        if later.sides or AND not in later.links or later.links & {BREAK, FINDING}:
            return False
        if earlier.sides:
            return True
    return False


def _is_start_of_list(groups: list[Group], position: int) -> bool:
    """*Right lung, upper and lower left lung*: *upper* belongs to the side that comes."""
    if not groups[position].is_open or groups[position].sides:
        return False
    for later in groups[position + 1 :]:
        if AND not in later.links or later.links & {BREAK, FINDING}:
            return False
        if later.sides:
            return True
    return False


def _complete_each_other(first: Group, second: Group) -> bool:
    if first.mark != second.mark:
        return False
    if first.structure and second.structure and first.structure != second.structure:
        return False
    if FINDING in second.links and first.sides == second.sides and not first.levels:
        return True  # the second place says the first more exactly
    if (first.sides and second.sides) or (first.levels and second.levels):
        return False
    if COMMA not in second.links or FINDING in second.links:
        return True
    # "Lower lung, left lung" and "left lung, lingula" are lists.
    nouns = first.structure and second.structure and not (first.is_bare or second.is_bare)
    return not (nouns or (first.implied_side and second.sides) or (first.sides and second.implied_side))
