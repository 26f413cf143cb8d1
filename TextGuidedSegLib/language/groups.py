"""Which words belong together: *upper left and lower right lung* is two places, *base of the left lung* is one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

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
)
from TextGuidedSegLib.language.items import Item
from TextGuidedSegLib.language.runs import find_runs
from TextGuidedSegLib.language.vocabulary import Vocabulary


def make_groups(items: list[Item], vocabulary: Vocabulary, *, separate: bool, several_findings: bool) -> list[Group]:
    """Groups of place words, in order, each as complete as the words around make it.

    Args:
        items: The phrase.
        vocabulary: Its words.
        separate: A comma parts two places (*top left, center of the image*); otherwise it may join what belongs
            together (*left lung, lower zone*).
        several_findings: Another finding parts two places, the only one does not (*left opacity in the lower zone*).
    """
    groups = _with_compared_sides(find_runs(items, vocabulary, several_findings=several_findings))
    # What stands closer belongs together first.
    groups = _merge(_merge(groups, {PREPOSITION}, vocabulary), {PREPOSITION, FAR}, vocabulary)
    if not separate:
        groups = _merge(groups, {PREPOSITION, FAR, COMMA}, vocabulary)
    if not (separate or several_findings):
        groups = _merge(groups, {PREPOSITION, FAR, COMMA, FINDING}, vocabulary)
    return [group for group in groups if group.order.strip("W")]


def _with_compared_sides(groups: list[Group]) -> list[Group]:
    """*Left more than right lower zone*: what is compared is on both sides."""
    if {group.order for group in groups} == {"S"}:
        return groups  # there is nothing to share
    result: list[Group] = []
    for group in groups:
        earlier = result[-1] if result else None
        if earlier is None or not _are_compared(earlier, group):
            result.append(group)
        elif earlier.order == "S":
            group.links = earlier.links
            group.parts[0] = replace(group.parts[0], sides=("both",))
            result[-1] = group
        else:
            earlier.parts = [replace(part, sides=("both",)) if part.sides else part for part in earlier.parts]
    return result


def _are_compared(first: Group, second: Group) -> bool:
    if COMPARISON not in second.links or second.links & {BREAK, COMMA} or first.mark != second.mark:
        return False
    if not (second.order == "S" or (first.order == "S" and second.order.startswith("S"))):
        return False
    return len(first.sides) == 1 and {first.sides[0], second.sides[0]} == set(ONE_SIDE)


def _merge(groups: list[Group], allowed: set[str], vocabulary: Vocabulary) -> list[Group]:
    """Join neighbors that complete each other, if nothing else than what is allowed stands between them."""
    merged: list[Group] = []
    for position, group in enumerate(groups):
        if (
            merged
            and group.links - {COMPARED} <= allowed
            and (_complete_each_other(merged[-1], group, vocabulary) or _takes_part_of(merged[-1], group))
            and not (COMMA in group.links and (_is_end_of_list(merged) or _is_start_of_list(groups, position)))
        ):
            if _takes_part_of(merged[-1], group):
                merged[-1].parts = []
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


def _takes_part_of(first: Group, second: Group) -> bool:
    """*Base of the right lower lobe* is in the right lower lobe, and levels are not told apart inside of it."""
    is_inside = second.links == {PREPOSITION}
    is_again = (
        second.links == {PREPOSITION, FINDING} and first.levels == second.levels
    )  # "basal opacity in the left base"
    if first.mark != second.mark or not (is_inside or is_again):
        return False
    within = first.structure is None and first.region_structure in (None, second.region_structure)
    return bool(within and first.levels and second.levels and second.has_noun and not first.sides)


def _complete_each_other(first: Group, second: Group, vocabulary: Vocabulary) -> bool:
    if first.mark != second.mark:
        return False
    if first.structure and second.structure and first.structure != second.structure:
        return False
    elsewhere = second.region_structure not in (None, first.structure) and second.links & {COMMA, FINDING}
    if first.structure and elsewhere and not vocabulary.structure(first.structure).generic:
        return False  # "heart normal, left base"
    if FINDING in second.links and first.sides == second.sides and not first.levels:
        return True  # the second place says the first more exactly
    if (first.sides and second.sides) or (first.levels and second.levels):
        return False
    if COMMA not in second.links or FINDING in second.links:
        return True
    # "Lower lung, left lung" and "left lung, lingula" are lists.
    nouns = first.structure and second.structure and not (first.is_bare or second.is_bare)
    return not (nouns or (first.implied_side and second.sides) or (first.sides and second.implied_side))
