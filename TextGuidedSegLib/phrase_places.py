"""Which words of a phrase belong to one place: *upper left lung and lower right lung* is two, *base of the left lung* one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from TextGuidedSegLib.phrase_items import PLACE_KINDS, Item
from TextGuidedSegLib.vocabulary import LEVELS, Vocabulary

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
_SIDES = ("left", "right")
_LINK_OF_KIND = {
    "conjunctions": AND, "alternatives": AND, "prepositions": PREPOSITION, "comparisons": COMPARISON, "finding": FINDING,
    "other": None, "halves": None, "description": None, "number": None, "units": None,
}  # fmt: skip


@dataclass(slots=True)
class Group:
    """Place words that belong together.

    Attributes:
        links: What stands between the previous group and this one.
        sides: Sides said, `left`, `right`, `both`, without repeats.
        levels: Levels said by themselves (*upper*).
        region_levels: Levels that follow from a region (*base*), in `region_structure` only.
        implied_side: Side that follows from a region (*lingula*).
        structure: Structure said.
        region_structure: Structure the region is part of.
        has_head: A structure or region was said, so that the words after it begin a new group.
        is_adjective: The structure was said by an adjective (*pulmonary*).
        is_plural: *lungs*, *bases*.
        is_whole: *all*, *whole*.
        order: Kinds of the words, in order: S, L, W and H for side, level, whole and head.
        mark: Negated, excepted, restored.
    """

    links: set[str]
    mark: tuple[bool, bool, bool]
    sides: list[str] = field(default_factory=list)
    levels: list[str] = field(default_factory=list)
    region_levels: list[str] = field(default_factory=list)
    implied_side: str | None = None
    structure: str | None = None
    region_structure: str | None = None
    has_head: bool = False
    is_adjective: bool = False
    is_plural: bool = False
    is_whole: bool = False
    order: str = ""

    @property
    def all_levels(self) -> list[str]:
        """Levels of both origins."""
        return [*self.levels, *self.region_levels]

    @property
    def is_bare(self) -> bool:
        """Neither a side nor a level is said."""
        return not (self.sides or self.all_levels or self.implied_side)

    @property
    def is_open(self) -> bool:
        """No noun closes the group: what it lacks may follow."""
        return not self.order.endswith("H")

    def add(self, item: Item, vocabulary: Vocabulary) -> None:
        """Take one more item of a place kind."""
        name = item.term.name
        if item.kind == "side":
            _append(self.sides, name)
        elif item.kind == "level":
            _append(self.levels, name)
        elif item.kind == "whole":
            self.is_whole = True
        else:
            self.has_head = True
            self.is_plural = self.is_plural or item.term.plural
            if item.kind == "structure":
                self.structure, self.is_adjective = name, item.term.adjective
            else:
                self._add_region(item, vocabulary)
        self.order += {"side": "S", "level": "L", "whole": "W"}.get(item.kind, "H")

    def _add_region(self, item: Item, vocabulary: Vocabulary) -> None:
        entry = vocabulary.entry(item.term)
        self.region_structure = entry.structure or self.region_structure
        for level in entry.levels:
            _append(self.region_levels, level)
        if entry.side == "both":
            _append(self.sides, "both")
        self.implied_side = entry.side if entry.side in _SIDES else self.implied_side

    def absorb(self, other: Group) -> None:
        """Become one group with the next one."""
        for name in ("sides", "levels", "region_levels"):
            for value in getattr(other, name):
                _append(getattr(self, name), value)
        self.implied_side = self.implied_side or other.implied_side
        self.structure = self.structure or other.structure
        self.region_structure = self.region_structure or other.region_structure
        self.has_head = self.has_head or other.has_head
        self.is_adjective = self.is_adjective and other.is_adjective
        self.is_plural = self.is_plural or other.is_plural
        self.is_whole = self.is_whole or other.is_whole
        self.order += other.order


def make_groups(items: list[Item], vocabulary: Vocabulary) -> list[Group]:
    """Groups of place words, in order, each as complete as its own words make it."""
    several_findings = len({item.term.name for item in items if item.kind == "finding"}) > 1
    groups = [part for group in _runs(items, vocabulary) for part in _divided(group)]
    groups = _merge(groups, {PREPOSITION})
    groups = _merge(groups, {PREPOSITION, COMMA, FAR} if several_findings else {PREPOSITION, COMMA, FAR, FINDING})
    return [group for group in groups if group.order.strip("W") or group.has_head]


def _append(values: list[str], value: str) -> None:
    if value not in values:
        values.append(value)


def _runs(items: list[Item], vocabulary: Vocabulary) -> Iterator[Group]:
    """Place words that stand side by side; a noun ends a run unless another noun follows (*lung base*)."""
    group: Group | None = None
    links: set[str] = {BREAK}
    for item in items:
        links |= _links(item)
        if item.kind not in PLACE_KINDS or item.term.name == "one":
            continue
        if group is not None and not links and _continues(group, item):
            group.add(item, vocabulary)
            continue
        if group is not None:
            yield group
        group = Group(set(links), (item.negated, item.excepted, item.restored))
        group.add(item, vocabulary)
        links = set()
    if group is not None:
        yield group


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


def _continues(group: Group, item: Item) -> bool:
    if group.mark != (item.negated, item.excepted, item.restored):
        return False
    if not group.has_head:
        return True
    if item.kind == "structure":
        return group.structure in (None, item.term.name)
    return item.kind == "region"


def _divided(group: Group) -> list[Group]:
    """*Upper left lower right* is two places although nothing stands between them."""
    sides = [side for side in group.sides if side in _SIDES]
    pattern = group.order.rstrip("H")
    if len(sides) < 2 or len(group.levels) < 2:
        return [group]
    if pattern.count("S") != 2 or not (
        (pattern[0] == "L" and pattern[-1] == "S") or (pattern[0] == "S" and pattern[-1] == "L")
    ):
        return [group]
    middle = pattern.index("S") + 1 if pattern[0] == "L" else pattern.rindex("S")
    if "SS" in pattern:
        return [group]
    count = pattern[:middle].count("L")
    first = Group(group.links, group.mark, sides=sides[:1], levels=group.levels[:count], order=pattern[:middle])
    group.links, group.sides, group.levels = {COMMA}, sides[1:], group.levels[count:]
    group.order = group.order[middle:]
    return [first, group]


def _merge(groups: list[Group], allowed: set[str]) -> list[Group]:
    """Join neighbors that complete each other, if nothing else than what is allowed stands between them."""
    merged: list[Group] = []
    for group in groups:
        if merged and group.links <= allowed and _complete_each_other(merged[-1], group):
            merged[-1].absorb(group)
        else:
            merged.append(group)
    return merged


def _complete_each_other(first: Group, second: Group) -> bool:
    if first.mark != second.mark:
        return False
    if first.structure and second.structure and first.structure != second.structure:
        return False
    if FINDING in second.links and first.sides == second.sides and not first.all_levels:
        return True  # the second place says the first more exactly
    if (first.sides and second.sides) or (first.all_levels and second.all_levels):
        return False
    nouns = first.structure and second.structure and not (first.is_bare or second.is_bare)
    return not (nouns and COMMA in second.links and FINDING not in second.links)


def ordered_levels(levels: list[str]) -> tuple[str, ...]:
    """Levels from top to bottom."""
    return tuple(level for level in LEVELS if level in levels)
