"""Turns of phrase that deny, or only seem to: *not clearly seen*, *not fully excluded*, *heart normal*.

They are named before the reach of negations is settled (`language.negation`). So are exceptions that a phrase begins
with, asides (*right, not left, upper lobe*) and a *both* that counts what follows (*both left lobes*).
"""

from __future__ import annotations

from itertools import zip_longest

from TextGuidedSegLib.language.items import NAMED_PLACE_KINDS, Item
from TextGuidedSegLib.language.vocabulary import Term

NORMAL = frozenset(
    {"normal", "unremarkable", "central", "midline", "unaffected", "uninvolved", "free", "sharp", "intact", "preserved"}
)
# Of a bare side, too: "left normal"; a free or central left is no such statement.
_NORMAL_SIDE = frozenset({"normal", "unremarkable", "unaffected", "uninvolved"})
_DENYING = frozenset({"not", "never", "isn't", "isnt", "aren't", "arent", "wasn't", "wasnt", "weren't", "werent"})
_UNABLE = frozenset({"cannot", "can't", "cant", "couldn't", "couldnt"})
_EXCLUDED = frozenset({"excluded", "ruled out"})
_TOUCHED = frozenset({"involved", "affected", "enlarged", "deviated", "shifted", "displaced"})
_BEFORE_PLACES = frozenset({"normal", "unremarkable", "sharp", "intact", "midline"})
_NOUNS = frozenset({"structure", "region"})
_ASIDES = frozenset({"not", "but not", "and not"})
_ADJECTIVE_ENDS = ("ic", "ed", "ous", "ive", "ory", "ary", "lar", "bleeding")
_HELPING = frozenset({"be", "been", "well", "yet"})
_SIDES = frozenset({"left", "right"})
_REST_BEGINS = frozenset({"the", "both", "all"})
_NO_PASSIVE = frozenset({"only"})
# What may stand between a place and the word that calls it normal: verbs, adverbs, what of it is meant.
_BETWEEN = frozenset(
    {"is", "are", "was", "were", "looks", "look", "appears", "appear", "remains", "remain", "otherwise", "grossly"}
    | {"essentially", "completely", "entirely", "size", "volumes", "vasculature", "vascularity", "vessels"}
)


def without_asides(items: list[Item]) -> list[Item]:
    """Leave out the other side of *right (not left) upper lobe*: who is told the right one needs no more.

    So does *left but not right pleural effusion*, which denies no effusion.
    """
    kept: list[Item] = []
    position = 0
    while position < len(items):
        end = _end_of_aside(items, position)
        if end > position:
            items[end].first.before = " "
        else:
            kept.append(items[position])
        position = max(end, position + 1)
    return kept


def _end_of_aside(items: list[Item], position: int) -> int:
    """End of *not left* or *not the left lung* between the other side and what it is a side of; 0 if it is none."""
    if items[position].text not in _ASIDES:
        return 0
    names = position + 1 + ([item.text for item in items[position + 1 : position + 2]] == ["the"])
    start, end = _start_of_places(items, position), _end_of_aside_places(items, names)
    before, behind = items[start:position], items[names:end]
    denied = start > 0 and items[start - 1].kind in ("negation", "conjunctions")
    if denied or not _are_opposite(before, behind):
        return 0
    nouns = [at for at in range(names, end) if items[at].kind in _NOUNS]
    if nouns and not any(item.kind in _NOUNS for item in before):
        return nouns[0]  # both sides are sides of it
    return end if _precedes_finding(items, end) else 0


def _start_of_places(items: list[Item], end: int) -> int:
    start = end
    while start > 0 and items[start - 1].kind in NAMED_PLACE_KINDS:
        if start < end and items[start].first.before != " ":
            break
        start -= 1
    return start


def _end_of_aside_places(items: list[Item], start: int) -> int:
    """End of one side with what it is a side of; a pause may stand inside: *right, not left, upper lobe*."""
    end = start
    while end < len(items) and items[end].kind in NAMED_PLACE_KINDS:
        if end > start and (items[end].kind == "side" or items[end].first.starts_sentence):
            break
        end += 1
    return end


def _are_opposite(before: list[Item], behind: list[Item]) -> bool:
    """*Right* and *left lower lobe*: one side each, and not the same."""
    sides = [[item.term.name for item in part if item.kind == "side"] for part in (before, behind)]
    return all(len(side) == 1 for side in sides) and {sides[0][0], sides[1][0]} == _SIDES


def _precedes_finding(items: list[Item], position: int) -> bool:
    for item in items[position:]:
        if item.first.starts_sentence or item.first.follows_pause or item.first.is_joined:
            return False
        if item.kind not in ("description", "number"):
            return item.kind == "finding"
    return False


def find_idioms(items: list[Item]) -> None:
    """Name the words of such turns by what they do together."""
    for position in range(len(items)):
        _name_counted(items, position)
        _part_from_exception(items, position)
        _name_passive(items, position)
        _name_rest(items, position)
        _name_counted_none(items, position)
        _name_quality(items, position)
        _name_describing(items, position)
    _name_normal(items)


def _name_counted(items: list[Item], position: int) -> None:
    """*Both left lobes*, *both left upper and lower zones*: two of them on one side; *both left lung* is a slip."""
    following = next((item for item in items[position + 1 :] if item.text not in ("of", "the")), None)
    if items[position].text not in ("both", "both of") or following is None or following.kind != "side":
        return
    behind = items[position + 1 :]
    sides = {item.term.name for item in behind if item.kind == "side"}
    parts = {item.term.name for item in behind if item.kind in ("level", "region")}
    others = items if behind[-1].kind == "side" else behind  # "two nodules, both left"
    several = len(parts) > 1 or any(item.term.plural and item.kind != "structure" for item in others)
    if len(sides) == 1 and sides <= _SIDES and several:
        items[position].term = Term("other", "counting")


def _part_from_exception(items: list[Item], position: int) -> None:
    """*Except for the right apex the lungs are normal* gets the comma that it lacks."""
    starts = position == 0 or items[position].first.starts_sentence
    if not starts or items[position].term.name != "except":
        return
    behind = items[position + 1 :]
    if any(item.first.follows_pause for item in behind):
        return
    for earlier, item, following in zip(behind, behind[1:], behind[2:], strict=False):
        is_named = earlier.kind in ("structure", "region", "finding")
        begins = item.text in ("there", "no") or (item.text in _REST_BEGINS and following.kind in NAMED_PLACE_KINDS)
        if is_named and begins:
            item.first.before = ", "
            return


def _name_passive(items: list[Item], position: int) -> None:
    """*Effusion not clearly visualized* denies what stands before; *not fully excluded*, *not normal* deny nothing."""
    start = items[position].text
    if start not in _DENYING | _UNABLE:
        return
    end = position + 1
    while end < len(items) and _is_adverb(items[end]):
        end += 1
    run = items[position + 1 : end + 1]
    if end == len(items) or any(item.first.starts_sentence or item.first.follows_pause for item in run):
        return
    if start in _UNABLE and run[0].text != "be":
        return
    if items[end].text in _EXCLUDED | _NORMAL_SIDE:
        items[position].term = Term("other", "not_a_negation")
    elif items[end].text in _TOUCHED or (items[end].term.name == "statements" and items[end].text not in _NO_PASSIVE):
        items[position].term = Term("negation", "after")
    else:
        return
    for item in run:
        item.term = Term("other", "passive")


def _is_adverb(item: Item) -> bool:
    return item.text in _HELPING or (item.text.endswith("ly") and item.kind not in NAMED_PLACE_KINDS)


def _name_counted_none(items: list[Item], position: int) -> None:
    """*0 polyps*, *polyp-free* and *infection free* deny them; *grade 0*, *0.5 cm*, *effusion, free fluid* do not."""
    item, earlier = items[position], items[position - 1] if position else None
    is_grade = earlier is not None and earlier.kind == "unknown"
    if item.kind == "number" and item.text == "0" and not is_grade and _precedes_finding(items, position + 1):
        item.term = Term("negation", "before")
    elif item.text == "free" and earlier is not None and earlier.kind == "finding":
        later = items[position + 1] if position + 1 < len(items) else None
        ends = later is None or later.first.before not in (" ", "-") or later.kind in NAMED_PLACE_KINDS
        if item.first.before == "-" or (item.first.before == " " and ends):
            item.term = Term("negation", "after")


def _name_quality(items: list[Item], position: int) -> None:
    """*HER2 negative breast cancer* and *triple negative tumor* are there; *effusion negative* is not."""
    earlier = items[position - 1] if position else None
    if earlier is None or earlier.kind != "unknown" or items[position].text != "negative":
        return
    for item in items[position + 1 :]:
        if item.first.starts_sentence or item.first.follows_pause or item.kind == "terminators":
            return
        if item.kind == "finding":
            items[position].term = Term("other", "quality")
            return


def _name_describing(items: list[Item], position: int) -> None:
    """*Bleeding polyp*, *inflammatory breast cancer*: the last one is the finding, the first says of what kind."""
    item = items[position]
    if item.kind != "finding" or item.term.plural or not item.words[-1].text.endswith(_ADJECTIVE_ENDS):
        return
    for later in items[position + 1 :]:
        if later.first.before != " ":
            return
        if later.kind == "finding":
            item.term = Term("description", "description")
            return
        if later.kind not in NAMED_PLACE_KINDS | {"description"}:
            return


def _name_rest(items: list[Item], position: int) -> None:
    """*Opacity in an otherwise clear lung*: the rest takes nothing from what is named."""
    following = items[position + 1 : position + 2]
    if items[position].text != "otherwise" or not following or not any(item.kind == "finding" for item in items):
        return
    end = _end_of_places(items, position + 2)
    if (following[0].term.name == "clear" or following[0].text in NORMAL) and end > position + 2:
        for item in items[position:end]:
            item.term = Term("other", "rest")


def _name_normal(items: list[Item]) -> None:
    """*Heart normal* says that nothing is wrong there; *normal heart* is a heart, but beside a finding it has none."""
    for position, (earlier, item, following) in enumerate(zip_longest(items, items[1:], items[2:])):
        if item is None or item.text not in NORMAL or item.kind not in ("description", "level", "unknown"):
            continue
        ends = following is None or following.first.starts_sentence or following.first.follows_pause
        ends = ends or following.kind == "terminators" or following.text == "in"  # "normal in size"
        ends = ends or (following.kind == "conjunctions" and _is_statement(items[position + 3 :]))
        named = earlier.kind in ("structure", "region") or earlier.text in _BETWEEN
        if ends and (named or (earlier.kind == "side" and item.text in _NORMAL_SIDE)) and _is_said_of(item):
            item.term = Term("negation", "clear")
    if any(item.kind == "finding" for item in items):
        for position, item in enumerate(items):
            if item.text in _BEFORE_PLACES and _is_of_its_own(items, position):
                item.term = Term("negation", "clear")


def _is_statement(items: list[Item]) -> bool:
    """*And right lung has apical opacity*: a finding with its place before the next pause."""
    kinds: set[str] = set()
    for item in items:
        if item.first.starts_sentence or item.first.follows_pause or item.kind in ("terminators", "negation"):
            break
        kinds.add(item.kind)
    return "finding" in kinds and not NAMED_PLACE_KINDS.isdisjoint(kinds)


def _is_said_of(item: Item) -> bool:
    return item.first.before in (" ", ": ", " - ")


def _is_of_its_own(items: list[Item], position: int) -> bool:
    """*Right basal opacity, normal left lung*: a clause of its own, with nothing but a place in it."""
    before = items[position - 1] if position else None
    first = items[position].first
    starts = before is None or first.starts_sentence or first.follows_pause or first.is_joined
    if not starts and before is not None and before.kind not in ("conjunctions", "terminators"):
        return False
    end = _end_of_places(items, position + 1)
    nouns = any(item.kind in ("structure", "region") for item in items[position + 1 : end])
    if not nouns or end == len(items):
        return nouns
    behind = items[end]
    pauses = behind.first.starts_sentence or behind.first.follows_pause or behind.first.is_joined
    return pauses or behind.kind in ("conjunctions", "terminators")


def _end_of_places(items: list[Item], start: int) -> int:
    """End of the words for one place, with no pause inside."""
    end = start
    while end < len(items) and items[end].kind in NAMED_PLACE_KINDS:
        if items[end].first.starts_sentence or items[end].first.follows_pause or items[end].first.is_joined:
            break
        end += 1
    return end
