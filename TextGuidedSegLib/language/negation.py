"""What a phrase says is not there: *no effusion*, *left lung clear*, *both lungs except the left apex*."""

from __future__ import annotations

from TextGuidedSegLib.language.items import NAMED_PLACE_KINDS, Item

_STATED = NAMED_PLACE_KINDS | {"finding"}
_OF_A_PLACE = NAMED_PLACE_KINDS | {"whole", "halves", "prepositions", "other", "image"}
_TRANSPARENT = frozenset({"other", "description", "prepositions"})


def mark_negation(items: list[Item]) -> None:
    """Set `negated`, `excepted` and `restored` of every item.

    A negation holds to the end of its sentence, to *but* and its like, and to a comma or *and* behind which a finding
    with a place of its own stands: *no effusion, left lower opacity* has an opacity, *no effusion, opacity or nodule*
    has nothing. What follows its finding reaches to the place behind it: *opacity absent on the left, present on the
    right* is on the right.
    """
    negated = excepted = restored = False
    reach = 0  # of a negation that looks back: items before this position are its place
    for position, item in enumerate(items):
        if _ends_negation(items, position) or (negated and _starts_statement(items, position)):
            negated = excepted = restored = False
        if _restores(items, position, is_end_of_reach=position == reach):
            negated, excepted, restored = False, False, True
        if item.kind == "negation" and item.term.name == "except":
            negated, excepted, restored = not negated, not negated, negated
        elif item.kind == "negation" and not _cancels(items, position):
            if _looks_back(items, position):
                _negate_back(items, position)
                reach = _reach(items, position)
            elif not _is_description(items, position):
                negated, excepted, restored = True, False, False
        elif item.kind == "negation":
            negated = False
        item.negated, item.excepted, item.restored = negated or position < reach, excepted, restored


def _ends_negation(items: list[Item], position: int) -> bool:
    item = items[position]
    ends = item.first.starts_sentence or item.kind == "terminators" or item.term.name == "questions"
    return position > 0 and ends


def _restores(items: list[Item], position: int, *, is_end_of_reach: bool) -> bool:
    """*No opacity on the left, but on the right*; *absent on the left, present on the right*."""
    item = items[position]
    if item.kind == "terminators":
        starts = position + 1 < len(items) and items[position + 1].kind == "prepositions"
    elif item.term.name == "statements":
        earlier = next((one.kind for one in reversed(items[:position]) if one.kind != "other"), "")
        starts = is_end_of_reach or item.first.follows_pause or earlier in ("conjunctions", "terminators")
    else:
        return False
    return starts and _is_denied_at_a_place(items[:position]) and _names_only_a_place(items, position)


def _is_denied_at_a_place(items: list[Item]) -> bool:
    denied = {item.kind for item in items if item.negated}
    return "finding" in denied and not NAMED_PLACE_KINDS.isdisjoint(denied)


def _names_only_a_place(items: list[Item], position: int) -> bool:
    kinds = _kinds_behind(items, position)
    return "finding" not in kinds and not NAMED_PLACE_KINDS.isdisjoint(kinds)


def _kinds_behind(items: list[Item], position: int) -> set[str]:
    """Kinds of the items from a position on, up to a comma, a full stop, *but* or a negation."""
    kinds: set[str] = set()
    for item in items[position + 1 :]:
        if item.first.starts_sentence or item.first.follows_pause or item.kind in ("terminators", "negation"):
            break
        kinds.add(item.kind)
    return kinds


def _reach(items: list[Item], position: int) -> int:
    """End of the place behind a negation that looks back: *effusion absent on the left*."""
    end = position + 1
    if items[position].term.name != "after" or "finding" in _kinds_behind(items, position):
        return end  # "effusion absent left opacity": the place of the other finding
    while (
        end < len(items)
        and items[end].kind in _OF_A_PLACE
        and items[end].term.name != "statements"
        and not (items[end].first.follows_pause or _ends_negation(items, end))
    ):
        end += 1
    return end


def _starts_statement(items: list[Item], position: int) -> bool:
    """A comma or *and*, then a finding together with a place before the next comma or *and*."""
    item = items[position]
    if item.kind != "conjunctions" and not (item.first.follows_pause or item.first.is_joined):
        return False
    kinds: set[str] = set()
    for offset, later in enumerate(items[position:]):
        separate = later.kind in ("conjunctions", "alternatives", "negation") or later.first.follows_pause
        if offset and (separate or _ends_negation(items, position + offset)):
            break
        kinds.add(later.kind)
    return "finding" in kinds and not NAMED_PLACE_KINDS.isdisjoint(kinds)


def _cancels(items: list[Item], position: int) -> bool:
    """*Not absent*, *not without*: two negations with nothing named between them."""
    for earlier in reversed(items[:position]):
        if earlier.kind == "negation":
            return earlier.negated and earlier.term.name != "except" and earlier.text != items[position].text
        if earlier.kind not in _TRANSPARENT:
            return False
    return False


def _looks_back(items: list[Item], position: int) -> bool:
    """*Effusion absent*, *left lung clear*: the negation follows what it negates."""
    if items[position].term.name not in ("after", "clear", "either"):
        return False
    if items[position].term.name == "either" and _STATED.intersection(_kinds_behind(items, position)):
        return False
    if items[position].first.follows_pause and any(item.kind in _STATED for item in items[position + 1 :]):
        return False
    return any(items[earlier].kind in _STATED for earlier in _clause_before(items, position))


def _negate_back(items: list[Item], position: int) -> None:
    items[position].negated = True
    for earlier in _clause_before(items, position):
        items[earlier].negated = True


def _clause_before(items: list[Item], position: int) -> list[int]:
    """Positions of the items from the last comma, full stop, *but* or negation on."""
    start = position
    while start > 0 and items[start - 1].kind != "negation" and not _ends_negation(items, start):
        start -= 1
        if items[start].first.follows_pause or _starts_statement(items, start):
            break
    return list(range(start, position))


def _is_description(items: list[Item], position: int) -> bool:
    """*Clear opacity*: one that is easily seen."""
    if items[position].term.name != "clear":
        return False
    following = (item.kind for item in items[position + 1 :] if item.kind not in ("description", "number"))
    return next(following, "") == "finding"
