"""What a phrase says is not there: *no effusion*, *left lung clear*, *both lungs except the left apex*."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from TextGuidedSegLib.language.idioms import NORMAL, find_idioms
from TextGuidedSegLib.language.items import NAMED_PLACE_KINDS, PLACE_KINDS, Item
from TextGuidedSegLib.language.vocabulary import Term

_REST = frozenset({"otherwise", "rest", "remainder", "remaining", "elsewhere"})
_ASIDE = frozenset({"without", "not", "rather than", "instead of"})
_OF_A_VERB = frozenset({"not", "without", "never", "doesn't", "doesnt", "don't", "dont", "didn't", "didnt"})
_STATED = NAMED_PLACE_KINDS | {"finding"}
_OF_A_PLACE = NAMED_PLACE_KINDS | {"whole", "halves", "prepositions", "other", "image"}
_ARTICLES = frozenset({"the", "a", "an"})
_PRONOUNS = frozenset({"one", "ones"})
_DONT = frozenset({"not", "don't", "dont"})
_SIZES = frozenset({"small", "large", "tiny", "big", "huge", "little", "giant"})
_CONTRASTING = frozenset({"just", "only"})
_TRANSPARENT = frozenset({"other", "description", "prepositions"})


def mark_negation(items: list[Item]) -> None:
    """Set `negated`, `excepted` and `restored` of every item.

    A negation holds to the end of its sentence, to *but* and its like, and to a comma or *and* behind which a finding
    with a place of its own stands: *no effusion, left lower opacity* has an opacity, *no effusion, opacity or nodule*
    has nothing. What follows its finding reaches to the place behind it: *opacity absent on the left, present on the
    right* is on the right.
    """
    find_idioms(items)
    _find_appearances(items)
    scope = _Scope()
    for position, item in enumerate(items):
        if position == scope.until or (scope.negated and _names_the_other(items, position)):
            scope.set()
        if _ends_negation(items, position) or (scope.negated and _starts_statement(items, position)):
            scope = _Scope(reach=scope.reach)
        if scope.negated and _belongs_to_the_first(items, position):
            scope.set()
        if _restores(items, position, is_end_of_reach=position == scope.reach):
            scope.set(restored=True)
        if _takes_out(items, position):
            scope.set(negated=True, excepted=True)
        if item.kind == "negation":
            _deny(items, position, scope)
        item.negated = scope.negated or position < scope.reach
        item.excepted, item.restored = scope.excepted, scope.restored
    _keep_named_places(items)


@dataclass(slots=True)
class _Scope:
    """What holds for the next words.

    Attributes:
        negated: They are not there.
        excepted: They are taken out of what is named.
        restored: They are taken out of what is negated.
        looked_back: The sentence said that what stands before is not there.
        reach: End of the place of a negation that looked back.
        until: End of an exception that the phrase begins with.
    """

    negated: bool = False
    excepted: bool = False
    restored: bool = False
    looked_back: bool = False
    reach: int = 0
    until: int = 0

    def set(self, *, negated: bool = False, excepted: bool = False, restored: bool = False) -> None:
        """Forget the old ones."""
        self.negated, self.excepted, self.restored = negated, excepted, restored


def _keep_named_places(items: list[Item]) -> None:
    """*LV dilated. No LV thrombus*: what is not known is denied there, not the ventricle."""
    if not any(item.kind == "structure" and not item.negated for item in items):
        return
    for position, item in enumerate(items):
        if item.kind != "structure" or not item.negated or item.excepted:
            continue
        following = items[position + 1] if position + 1 < len(items) else None
        if following is None or following.kind != "unknown" or following.first.before not in (" ", "-"):
            continue
        start = position
        while start > 0 and items[start - 1].kind in NAMED_PLACE_KINDS and items[start - 1].negated:
            start -= 1
        for denied in items[start : position + 1]:
            denied.term = Term("other", "denied")


def _deny(items: list[Item], position: int, scope: _Scope) -> None:
    """What a word that negates does to the words before and behind it."""
    item = items[position]
    behind = items[position + 1] if position + 1 < len(items) else None
    is_last = behind is None or behind.first.follows_pause or behind.first.starts_sentence
    if item.term.name == "except" and not is_last:
        _except(items, position, scope)
    elif _cancels(items, position):
        scope.negated = False
    elif item.term.name in ("spared", "except"):  # "with apical sparing"
        for earlier in _clause_before(items, position):
            items[earlier].excepted = True
    elif _looks_back(items, position):
        _negate_back(items, position)
        scope.reach, scope.looked_back = _reach(items, position), True
    elif not _is_description(items, position):
        scope.set(negated=True)
        names_another = any(_is_contrasted(items, later) for later in range(position + 1, len(items)))
        if not names_another and (":" in item.first.before or _stands_between(items, position)):
            _negate_back(items, position)


def _except(items: list[Item], position: int, scope: _Scope) -> None:
    """What follows is taken out of what is named, or out of what is not there: *lungs clear except the left base*."""
    scope.until = _end_of_exception(items, position)
    rest = items[scope.until :] if scope.until else []
    denied = scope.negated or scope.looked_back
    denied = denied or any(later.kind == "negation" or later.text in NORMAL for later in rest)
    if any(items[earlier].text in NORMAL for earlier in _clause_before(items, position)):
        _negate_back(items, position)  # "normal chest except the left base"
        denied = True
    scope.set(negated=not denied, excepted=not denied, restored=denied)


def _end_of_exception(items: list[Item], position: int) -> int:
    """*Except for the left base, lungs are clear*: the end of an exception that begins a sentence; 0 for another."""
    if position and not items[position].first.starts_sentence:
        return 0
    ends = (end for end, item in enumerate(items) if end > position and item.first.follows_pause)
    return next(ends, 0)


def _names_the_other(items: list[Item], position: int) -> bool:
    """*Not the left lung, the right lung*, *don't segment the left, segment the right lung*: what is meant is last."""
    earlier = [item for item in items[:position] if item.text not in _ARTICLES | {"do"}]
    if not (earlier and earlier[0].text in _DONT and items[position].first.follows_pause):
        return False
    behind = [item for item in items[position:] if item.text not in _ARTICLES]
    sides = [{item.term.name for item in part if item.kind == "side"} for part in (earlier, behind)]
    kinds = {item.kind for item in items}
    return "finding" not in kinds and all(len(side) == 1 for side in sides) and sides[0] != sides[1]


def _stands_between(items: list[Item], position: int) -> bool:
    """*Right lung no opacity, left lung opacity*: the place in front and the finding behind belong together."""
    before = {items[earlier].kind for earlier in _clause_before(items, position)}
    behind = range(position + 1, len(items))
    ends = next((end for end in behind if _starts_statement(items, end)), None)
    if (
        ends is None
        or "finding" in before
        or NAMED_PLACE_KINDS.isdisjoint(before)
        or items[position].first.follows_pause
    ):
        return False
    denied = {item.kind for item in items[position + 1 : ends]}
    return "finding" in denied and NAMED_PLACE_KINDS.isdisjoint(denied) and items[ends].kind in NAMED_PLACE_KINDS


def _ends_negation(items: list[Item], position: int) -> bool:
    item = items[position]
    ends = item.first.starts_sentence or item.kind == "terminators" or item.term.name == "questions"
    return position > 0 and ends


def _restores(items: list[Item], position: int, *, is_end_of_reach: bool) -> bool:
    """*No opacity on the left, but on the right*; *absent on the left, present on the right*."""
    item = items[position]
    if item.kind == "terminators":
        behind = items[position + 1 :]
        later = (one for one in behind if one.kind != "other" and one.text != "one")  # "there is one on"
        first = next((one.kind for one in later), "")
        starts = first == "prepositions" or (first == "side" and behind[-1].text in _PRONOUNS)  # "but the right one"
    elif item.term.name == "statements":
        earlier = next((one.kind for one in reversed(items[:position]) if one.kind != "other"), "")
        starts = is_end_of_reach or item.first.follows_pause or earlier in ("conjunctions", "terminators")
    else:
        return False
    return starts and _is_denied_at_a_place(items[:position]) and _names_only_a_place(items, position)


def _belongs_to_the_first(items: list[Item], position: int) -> bool:
    """*Mass without calcification in the left base*, *mass, no effusion, left base*: the place is that of the mass."""
    denied_from = max((earlier for earlier in range(position) if items[earlier].kind == "negation"), default=0)
    before = {item.kind for item in items[:denied_from] if not item.negated}
    denied = {item.kind for item in items[denied_from:position]}
    # "Tumor without enhancement in the left breast"
    begins = items[position].kind == "prepositions" or items[position].first.follows_pause
    is_unknown = begins and "unknown" in denied and items[denied_from].text in _ASIDE
    if "finding" not in before or not ("finding" in denied or is_unknown):
        return False
    if not NAMED_PLACE_KINDS.isdisjoint(before | denied):
        return False
    is_with_no = denied_from > 0 and items[denied_from - 1].text == "with"
    is_aside = is_with_no or items[denied_from].text in _ASIDE
    kinds = {items[position].kind, *_kinds_behind(items, position)}
    is_place = "finding" not in kinds and not NAMED_PLACE_KINDS.isdisjoint(kinds)
    return is_place and (is_aside or items[position].first.follows_pause)


def _takes_out(items: list[Item], position: int) -> bool:
    """*All of the left lung but the apex*, with the exception between two places and no pause before it.

    *All polyps but the one on the left* names what is taken out by *one*.
    """
    item = items[position]
    if item.kind != "terminators" or item.first.follows_pause or not 0 < position < len(items) - 1:
        return False
    before = [items[earlier] for earlier in (*_clause_before(items, position - 1), position - 1)]
    is_whole = any(one.kind == "whole" or one.term.name == "both" for one in before)
    is_whole = is_whole and not any(one.negated or one.excepted for one in before)
    behind = [one for one in items[position + 1 :] if one.text != "the"]
    following = behind[0].kind if behind else ""
    between_places = {items[position - 1].kind, following} <= NAMED_PLACE_KINDS
    names_one = items[position - 1].kind in _STATED and any(one.text in _PRONOUNS for one in behind[:2])
    return is_whole and (between_places or names_one) and _names_only_a_place(items, position)


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
    if "finding" in _kinds_behind(items, position):
        return end  # "effusion absent left opacity": the place of the other finding
    if items[position].term.name == "clear":  # "clear bilaterally"
        behind = next((item for item in items[end:] if item.kind != "prepositions"), None)
        if behind is None or behind.kind != "side" or behind.term.name != "both":
            return end
    elif items[position].term.name != "after":
        return end
    while (
        end < len(items)
        and items[end].kind in _OF_A_PLACE
        and items[end].term.name != "statements"
        and not (items[end].first.follows_pause or _ends_negation(items, end))
    ):
        end += 1
    return end


def _starts_statement(items: list[Item], position: int) -> bool:
    """A comma or *and*, then a finding together with a place, with a colon between or not, before the next one."""
    item = items[position]
    if item.kind != "conjunctions" and not (item.first.follows_pause or item.first.is_joined):
        return False
    if _is_contrasted(items, position):
        return True
    kinds: set[str] = set()
    for offset, later in enumerate(items[position:]):
        pauses = later.first.follows_pause and not later.first.follows_colon  # "left lung: opacity"
        separate = later.kind in ("conjunctions", "alternatives", "negation") or pauses
        if offset and (separate or _ends_negation(items, position + offset)):
            break
        kinds.add(later.kind)
    return "finding" in kinds and not NAMED_PLACE_KINDS.isdisjoint(kinds)


def _is_contrasted(items: list[Item], position: int) -> bool:
    """*No mass, just a polyp*, *no cancer, small polyp*: the second is there, but not that of a list of three."""
    behind = items[position + 1 :]
    is_second = items[position].first.follows_pause and items[position].text in _SIZES | _CONTRASTING
    if not is_second or not any(item.kind == "finding" for item in behind):
        return False
    if items[position].text in _CONTRASTING:
        return True
    listed = any(item.kind in ("conjunctions", "alternatives", "negation") for item in behind)
    pauses = sum(item.first.follows_pause for item in items)
    return not listed and pauses == 1 and all(item.kind in ("description", "finding") for item in behind)


def _cancels(items: list[Item], position: int) -> bool:
    """*Not absent*, *not without*: two negations with nothing named and no pause between them.

    What looks back (*left lung clear, no effusion*) denies something else.
    """
    for following, earlier in zip(reversed(items[: position + 1]), reversed(items[:position]), strict=False):
        if following.first.starts_sentence or following.first.follows_pause:
            return False
        if earlier.kind == "negation":
            is_other = earlier.text != items[position].text and not _is_description(items, position)
            return earlier.negated and earlier.term.name == "before" and is_other
        if earlier.kind not in _TRANSPARENT:
            return False
    return False


def _looks_back(items: list[Item], position: int) -> bool:
    """*Effusion absent*, *left lung clear*, *effusion: no*: the negation follows what it negates."""
    item = items[position]
    if item.term.name not in ("after", "clear", "either") and not _is_answer(items, position):
        return False
    stated_behind = not _STATED.isdisjoint(_kinds_behind(items, position))
    if item.term.name == "either" and stated_behind:
        return False
    # "Opacity on the left, none on the right", "left opacity and clear right lung"
    is_joined = position > 0 and (items[position - 1].kind == "conjunctions" or item.first.is_joined)
    is_listed = item.first.follows_pause and not item.first.follows_colon
    if (is_joined and stated_behind) or (is_listed and any(one.kind in _STATED for one in items[position + 1 :])):
        return False
    return any(items[earlier].kind in _STATED for earlier in _clause_before(items, position))


def _is_listed(items: list[Item], position: int) -> bool:
    """Behind a pause that is no colon: *left lung: clear* says something of the lung."""
    return items[position].first.follows_pause and ":" not in items[position].first.before


def _is_answer(items: list[Item], position: int) -> bool:
    """*Effusion: no*, *effusion - no*: a word that else stands before what it negates."""
    item = items[position]
    if item.term.name != "before" or not item.first.follows_colon:
        return False
    following = items[position + 1] if position + 1 < len(items) else None
    return following is None or following.first.starts_sentence or following.first.follows_pause


def _negate_back(items: list[Item], position: int) -> None:
    items[position].negated = True
    clause = _clause_before(items, position)
    is_rest = any(items[earlier].text in _REST for earlier in clause)
    for earlier in clause:
        items[earlier].negated = True
        if is_rest and items[earlier].kind in PLACE_KINDS:  # "lungs otherwise clear" takes nothing from what was named
            items[earlier].term = Term("other", "rest")


def _find_appearances(items: list[Item]) -> None:
    """*Not obscuring the heart* says how a finding looks, neither that it is not there nor where it is.

    *Left lower lobe opacity obscuring the diaphragm* has said where; *opacity obscuring the left diaphragm* says it so.
    """
    for position, (item, following) in enumerate(pairwise(items)):
        has_place = any(earlier.kind in ("structure", "region") for earlier in items[:position])
        if item.text in _OF_A_VERB and following.term.name == "appearances":
            start = position + 2
        elif item.term.name == "appearances" and has_place:
            start = position + 1
        else:  # "no blurring of the left diaphragm" denies something
            continue
        for end, later in enumerate(items[position:], start=position):
            pauses = later.first.follows_pause or _ends_negation(items, end) or _starts_statement(items, end)
            is_elsewhere = later.kind == "finding" or (later.kind == "prepositions" and later.text != "of")
            if end >= start and (pauses or is_elsewhere):
                break
            later.term = Term("other", "appearances")


def _clause_before(items: list[Item], position: int) -> list[int]:
    """Positions of the items from the last comma, full stop, *but* or negation on."""
    start = position
    while start > 0 and items[start - 1].kind != "negation" and not _ends_negation(items, start):
        start -= 1
        if _is_listed(items, start) or _starts_statement(items, start) or _parts_clear(items, start, position):
            break
    return list(range(start, position))


def _parts_clear(items: list[Item], start: int, position: int) -> bool:
    """*Opacity in the right base and left lung clear*: only places are clear, so what comes before them is not."""
    if items[position].term.name != "clear" or not (
        items[start].kind == "conjunctions" or items[start].first.is_joined
    ):
        return False
    between = {item.kind for item in items[start:position]}
    before = {item.kind for item in items[:start]}
    return not NAMED_PLACE_KINDS.isdisjoint(between) and "finding" not in between and "finding" in before


def _is_description(items: list[Item], position: int) -> bool:
    """*Clear opacity*: one that is easily seen."""
    if items[position].term.name != "clear":
        return False
    following = (item.kind for item in items[position + 1 :] if item.kind not in ("description", "number"))
    return next(following, "") == "finding"
