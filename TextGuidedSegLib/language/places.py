"""From groups of place words to places: what neighbors leave out is shared, and contradicting sides are noticed.

*Left and right lower lung* is lower on both sides, *upper and lower left lung* left at both levels, *lower zones* on
both sides; *bilateral opacity, left lung* contradicts itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Literal

from TextGuidedSegLib.language.group import (
    AND,
    BREAK,
    COMMA,
    COMPARED,
    COMPARISON,
    FINDING,
    ONE_SIDE,
    PREPOSITION,
    Group,
    Part,
)
from TextGuidedSegLib.language.vocabulary import DEFAULT_STRUCTURE, LEVELS, Level, Vocabulary

Side = Literal["left", "right", "both", "none"]

_Mark = tuple[bool, bool, bool]
_ZONES = tuple((side, level) for side in ONE_SIDE for level in LEVELS)


@dataclass(frozen=True)
class Place:
    """A part of a structure.

    Attributes:
        structure: Name in the vocabulary; `lung` if nothing in the phrase says otherwise.
        side: `both` if the phrase says so, `none` if it names no side. Of a ventricle or an atrium it is part of the
            name: the left ventricle.
        levels: From top to bottom; empty for the whole height.
    """

    structure: str
    side: Side
    levels: tuple[Level, ...] = ()

    def overlaps(self, other: Place) -> bool:
        """The two have something in common; no side and no level mean all of them."""
        return self.structure == other.structure and not _zones(self).isdisjoint(_zones(other))


@dataclass(frozen=True)
class PlacedGroup:
    """A place with what the phrase says about it: negated, excepted, restored."""

    place: Place
    mark: _Mark


@dataclass(frozen=True)
class Context:
    """What the places of a phrase are read with.

    Attributes:
        home: Structure in which the finding lies if the phrase names none.
        separate: Places share nothing (*top left, center of the image*).
        several_findings: The sides of one finding say nothing about those of another.
        is_unilateral: The phrase says *unilateral*.
    """

    home: str | None
    separate: bool
    several_findings: bool
    is_unilateral: bool


def make_places(groups: list[Group], context: Context, vocabulary: Vocabulary) -> tuple[list[PlacedGroup], bool]:
    """Places of all groups, which are changed, and whether their sides contradict each other."""
    sided = {side for group in groups if not group.is_counting for side in group.sides}
    if sided & set(ONE_SIDE):  # "both nodules are in the left lung"
        groups = [group for group in groups if not (group.is_counting and group.order == "S")]
    contradictory = any(set(group.sides) >= set(ONE_SIDE) for group in groups) or any(
        not second.links and second.is_open and first.sides and second.sides and first.mark == second.mark
        for first, second in pairwise(groups)
    )
    contradictory |= any(_excludes(first, second) for first, second in pairwise(groups))
    groups = _without_organs(_without_comparisons(groups), vocabulary)
    for chain in _chains(groups):
        if context.separate:
            _share_last_side(chain)
        else:
            _share_levels(chain)
            _share_sides(chain, vocabulary)
        _share_structure(chain, vocabulary)
    if context.home is None:
        _share_with_exceptions(groups, vocabulary)
    groups, both_said = _without_claims(groups, context)
    placed = [PlacedGroup(_place(group, context, vocabulary), group.mark) for group in groups]
    # "Chest" and the like name the picture rather than a place as soon as another place is named.
    exact = [
        item for item in placed if not (_is_whole(item.place) and vocabulary.structure(item.place.structure).generic)
    ]
    named = [item.place for item in placed if item.place.side != "none" and not item.mark[0]]
    sides = {side for place in named for side, _ in _zones(place)}
    contradictory |= (both_said and len(sides) == 1) or (context.is_unilateral and len(sides) == 2)
    if context.separate:  # "breast tumor, top of the image": the picture's part says where in the breast
        exact = [item for item in exact if not (_is_whole(item.place) and _is_said_closer(item, exact))] or exact
    return exact or placed, contradictory


def _excludes(first: Group, second: Group) -> bool:
    """*Left lower lobe of the right lung*."""
    within = second.links == {PREPOSITION} and first.has_noun and second.has_noun and first.mark == second.mark
    return within and {*first.sides, *second.sides} == set(ONE_SIDE)


def _is_said_closer(item: PlacedGroup, others: Sequence[PlacedGroup]) -> bool:
    return any(
        other.place.structure == item.place.structure and other.mark == item.mark and not _is_whole(other.place)
        for other in others
    )


def _is_whole(place: Place) -> bool:
    return place.side == "none" and not place.levels


def unite(places: Iterable[Place]) -> tuple[Place, ...]:
    """Each structure and side once, with the levels of all; one without side and level adds nothing to exact ones."""
    united: dict[tuple[str, Side], set[Level]] = {}
    whole: set[tuple[str, Side]] = set()
    for place in places:
        key = place.structure, place.side
        united.setdefault(key, set()).update(place.levels)
        if not place.levels:
            whole.add(key)
    exact = {structure for structure, side in united if side != "none" or (structure, side) not in whole}
    return tuple(
        Place(structure, side, () if (structure, side) in whole else _ordered(levels))
        for (structure, side), levels in united.items()
        if (structure, side) not in whole or side != "none" or structure not in exact
    )


def subtract(places: Sequence[Place], excluded: Sequence[Place]) -> tuple[Place, ...]:
    """What is left of places without others: *both lungs except the left apex*."""
    result: list[Place] = []
    for place in places:
        taken = {zone for other in excluded if other.structure == place.structure for zone in _zones(other)}
        if taken.isdisjoint(_zones(place)):
            result.append(place)
            continue
        for side in ONE_SIDE:
            levels = [level for level in LEVELS if (side, level) in _zones(place) - taken]
            if levels:
                result.append(Place(place.structure, side, () if len(levels) == len(LEVELS) else tuple(levels)))
    return unite(result)


def _zones(place: Place) -> set[tuple[str, Level]]:
    sides = (place.side,) if place.side in ONE_SIDE else ONE_SIDE
    return {(side, level) for side, level in _ZONES if side in sides and level in (place.levels or LEVELS)}


def _ordered(levels: Iterable[str]) -> tuple[Level, ...]:
    chosen = set(levels)
    return tuple(level for level in LEVELS if level in chosen)


def _without_comparisons(groups: list[Group]) -> list[Group]:
    """*Bilateral opacities, worse on the left*: the left is compared, not named, if other words name sides.

    What is compared with *bilateral* may be any place: *bilateral opacities, worst in the right base*.
    """
    has_claim = any(_is_claim(group) for group in groups)
    names_both = any("both" in group.sides for group in groups)
    rest = [
        group
        for group, following in zip_longest(groups, groups[1:])
        if not (group.order == "S" or (has_claim and group.sides))
        or group.sides == ("both",)
        or not (group.links & {COMPARISON, COMPARED} or (following and COMPARISON in following.links))
        or (BREAK in group.links and following and AND in following.links and not names_both)
        or (AND in group.links and not names_both)
    ]
    return rest if any(group.sides or group.levels for group in rest) else groups


def _without_organs(groups: list[Group], vocabulary: Vocabulary) -> list[Group]:
    """*Left ventricle of the heart*, *cardiac MRI, LV cavity*: the organ only says where.

    It is one of several in *heart and left ventricle* and *lung, heart, left ventricle*.
    """
    kept: list[Group] = []
    for position, group in enumerate(groups):
        before = groups[position - 1] if position else None
        behind = groups[position + 1] if position + 1 < len(groups) else None
        names_before = before is not None and _is_within(before, group, vocabulary) and PREPOSITION in group.links
        names_behind = behind is not None and _is_within(behind, group, vocabulary) and AND not in behind.links
        if not (names_before or (names_behind and before is None)):
            kept.append(group)
    return kept


def _is_within(part: Group, organ: Group, vocabulary: Vocabulary) -> bool:
    inner = part.structure and vocabulary.structure(part.structure).within
    return inner is not None and inner == organ.structure and organ.is_bare and part.mark == organ.mark


def _chains(groups: list[Group]) -> list[list[Group]]:
    """Lists: groups with only commas, *and* and prepositions between them."""
    chains: list[list[Group]] = []
    for group in groups:
        joined = group.links & {AND, COMMA} and not group.links & {BREAK, FINDING}
        if chains and joined and chains[-1][-1].mark == group.mark:
            chains[-1].append(group)
        else:
            chains.append([group])
    return chains


def _share_levels(chain: list[Group]) -> None:
    for first, second in pairwise(chain):
        if AND not in second.links or not (first.sides and second.sides and second.order.startswith("S")):
            continue
        if first.is_open and not (first.levels or "W" in first.order):  # left and right lower lung
            first.parts.append(_shared_levels(second))
        elif first.order.endswith("S") and not (second.levels or "W" in second.order):  # lower left and right lung
            second.parts.append(_shared_levels(first))


def _shared_levels(source: Group) -> Part:
    return Part("", levels=source.levels, region_structure=source.region_structure)


def _share_sides(chain: list[Group], vocabulary: Vocabulary) -> None:
    """A level without a side belongs to the side named before it if that waits for more, else to the next one."""
    said: set[str] = {side for group in chain for side in group.sides if side in ONE_SIDE}
    for position, group in enumerate(chain):
        if _joins_levels(group, chain[position + 1 :]):
            group.drop_both()
    donor: Group | None = None
    for position, group in enumerate(chain):
        if position and _shares_name(chain[position - 1], group, vocabulary):
            group.parts.append(Part("", sides=chain[position - 1].sides))
        if not group.sides and group.levels and _is_paired(group, vocabulary):
            following = next((later for later in chain[position + 1 :] if later.sides), None)
            group.parts.append(Part("", sides=_shared_sides(group, donor, following, said)))
            if position and not group.sides and _waits(chain[position - 1]):
                group.make_singular()  # "upper and lower lobes": two levels, not two sides
        donor = group if group.sides else donor


def _share_last_side(chain: list[Group]) -> None:
    """*Polyps at the upper and lower left*: both at the left; *top, bottom left* is a list."""
    for first, second in pairwise(chain):
        opposite = {level for group in (first, second) for level, _ in group.levels} == {"upper", "lower"}
        if second.links == {AND} and opposite and (first.order, second.order) == ("L", "LS"):
            first.parts.append(Part("", sides=second.sides))


def _shares_name(first: Group, second: Group, vocabulary: Vocabulary) -> bool:
    """*Left ventricle and atrium*: a side that is part of the name is said once; *left lung and kidney* may be any."""
    if second.links != {AND} or not (first.structure and second.structure) or second.is_plural:
        return False
    named = all(vocabulary.structure(name).named_by_side for name in (first.structure, second.structure))
    is_one = len(first.sides) == 1 and first.sides[0] in ONE_SIDE and first.order == "SH"
    return named and is_one and second.is_bare and vocabulary.structure(second.structure).paired


def _joins_levels(group: Group, following: Sequence[Group]) -> bool:
    """*Both upper and lower left lung* has two levels and one side, *both upper and left lower lung* two sides."""
    if not (group.parts[0].may_join and group.sides == ("both",) and group.is_open and group.levels):
        return False
    owner = next((later for later in following if later.sides), None)
    return owner is not None and owner.sides != ("both",) and owner.order.startswith("L")


def _shared_sides(group: Group, before: Group | None, following: Group | None, said: set[str]) -> tuple[str, ...]:
    """The side for a group that names none.

    Args:
        group: The group.
        before: The last group with a side before it.
        following: The next group with a side.
        said: All sides said in the list, of left and right.
    """
    if before is not None and before.is_open:
        return before.sides
    if group.implied_side:
        return ()
    if group.is_open:
        return following.sides if following else before.sides if before else ()
    return tuple(said) if len(said) == 1 and not group.is_plural else ()


def _waits(group: Group) -> bool:
    return group.is_open and bool(group.levels) and not group.sides


def _is_paired(group: Group, vocabulary: Vocabulary) -> bool:
    return group.structure is None or vocabulary.structure(group.structure).paired


def _share_structure(chain: list[Group], vocabulary: Vocabulary) -> None:
    """*Upper left and lower right lung*: the noun comes once, last; *left lung, upper and lower*: once, first.

    *Heart enlarged, left basal opacity* shares nothing: no heart has a base as lungs have.
    """
    for towards in (reversed(chain), iter(chain)):
        shared: Part | None = None
        for group in towards:
            if group.has_noun:
                shared = Part("", structure=group.structure, region_structure=group.region_structure)
            elif shared and not group.structure and not _is_elsewhere(group, shared, vocabulary):
                group.parts.append(shared)


def _share_with_exceptions(groups: list[Group], vocabulary: Vocabulary) -> None:
    """*Both hippocampi except the right one*, *not the left hippocampus but the right one*: the only noun is meant."""
    named = {group.structure for group in groups if group.structure}
    name = next(iter(named), None)
    if name is None or len(named) > 1 or not vocabulary.structure(name).paired or len({g.mark for g in groups}) == 1:
        return
    for group in groups:
        if not (group.structure or group.region_structure) and group.sides:
            group.parts.append(Part("", structure=name))


def _is_elsewhere(group: Group, shared: Part, vocabulary: Vocabulary) -> bool:
    named = shared.structure
    if named is None or vocabulary.structure(named).generic:
        return False
    return group.region_structure not in (None, named)


def _without_claims(groups: list[Group], context: Context) -> tuple[list[Group], bool]:
    """*Bilateral infection, lower left lung*: *bilateral* says how many sides, the other words say where.

    Returns:
        The groups that say where, and whether *bilateral* was said of what they name.
    """
    both_said = False
    for group in groups:
        if "both" in group.sides and len(group.sides) > 1:
            both_said = True
            group.drop_both()
    exact = [group for group in groups if not _is_claim(group)]
    sides = {side for group in exact for side in group.sides if not group.mark[0]}
    if len(exact) == len(groups) or not sides:
        return groups, both_said
    if context.several_findings and len(sides) == 1 and "both" not in sides:
        return groups, both_said
    return exact, True


def _is_claim(group: Group) -> bool:
    # "Both lungs" is a place, "bilateral pulmonary" and "bilateral lung" describe what follows.
    return group.sides == ("both",) and not (group.levels or group.is_plural)


def _place(group: Group, context: Context, vocabulary: Vocabulary) -> Place:
    structure = group.structure
    home = group.home or context.home
    is_whole_chest = structure is not None and vocabulary.structure(structure).generic
    if structure is None or (is_whole_chest and (home or group.region_structure)):  # "chest film, left base"
        is_picture = home is not None and vocabulary.structure(home).frame == "image"
        # A polyp's base is no base of a lung.
        structure = (None if is_picture else group.region_structure) or home or DEFAULT_STRUCTURE
    paired = vocabulary.structure(structure).paired
    levels = (level for level, limit in group.levels if limit in (None, structure))
    return Place(structure, _side(group, paired=paired), _ordered(levels))


def _side(group: Group, *, paired: bool) -> Side:
    sides = set(group.sides)
    if sides >= set(ONE_SIDE):
        return "both"
    if sides:
        return "left" if "left" in sides else "right" if "right" in sides else "both" if paired else "none"
    if group.implied_side:
        return "left" if group.implied_side == "left" else "right"
    return "both" if group.is_plural and paired else "none"
