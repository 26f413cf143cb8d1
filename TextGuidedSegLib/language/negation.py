"""What a phrase says is not there: *no effusion*, *left lung clear*, *both lungs except the left apex*."""

from __future__ import annotations

from TextGuidedSegLib.language.items import NAMED_PLACE_KINDS, Item

_STATED = NAMED_PLACE_KINDS | {"finding"}
_TRANSPARENT = frozenset({"other", "description", "prepositions"})


def mark_negation(items: list[Item]) -> None:
    """Set `negated`, `excepted` and `restored` of every item.

    A negation holds to the end of its sentence, to *but* and its like, and to a comma or *and* behind which a finding
    with a place of its own stands: *no effusion, left lower opacity* has an opacity, *no effusion, opacity or nodule*
    has nothing.
    """
    negated = excepted = restored = False
    for position, item in enumerate(items):
        if _ends_negation(items, position) or (negated and _starts_statement(items, position)):
            negated = excepted = restored = False
        if item.kind == "negation" and item.term.name == "except":
            negated, excepted, restored = not negated, not negated, negated
        elif item.kind == "negation" and not _cancels(items, position):
            if _looks_back(items, position):
                _negate_back(items, position)
            elif not _is_description(items, position):
                negated, excepted, restored = True, False, False
        elif item.kind == "negation":
            negated = False
        item.negated, item.excepted, item.restored = negated, excepted, restored


def _ends_negation(items: list[Item], position: int) -> bool:
    return position > 0 and (items[position].first.starts_sentence or items[position].kind == "terminators")


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
    if items[position].term.name not in ("after", "clear"):
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
