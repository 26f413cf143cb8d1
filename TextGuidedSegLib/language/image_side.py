"""Side words that mean a side of the picture: *left of the image*, *viewer's left*. The patient's is the other one.

A film shows the patient's left on the image's right, so such words are turned to the patient's side and the picture is
no longer named. Pictures without a patient's side (endoscopy, an ultrasound image of a breast) keep their words. What
may be meant either way (*right image lower zone*) is read one way and said.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Literal

from TextGuidedSegLib.language.items import Item, Reading
from TextGuidedSegLib.language.vocabulary import Term, Vocabulary
from TextGuidedSegLib.language.words import Word

Frame = Literal["patient", "image"]

_OPPOSITE = {"left": "right", "right": "left"}
_POSITIONS = frozenset({"side", "level", "halves"})
_HEADS = frozenset({"structure", "region"})
# Their pictures have no patient's side, whatever they show.
_WITHOUT_PATIENT = frozenset(
    {"ultrasound", "sonogram", "ultrasonography", "endoscopy", "endoscopic", "colonoscopy", "colonoscopic"}
)
# Words that do nothing but say whose left is meant.
_ADDED = frozenset({"viewers", "as_seen"})
_JOINING = frozenset({"conjunctions", "alternatives", "other"})
# "In the image" may only say where the words apply; behind "top left" it says where top and left are.
_IMAGE_ONLY_WORDS = frozenset({"top", "bottom", "center", "centre", "corner", "topmost"})
_READ_AS_IMAGE = (
    "\"{words}\" was read as the {side} of the {picture}, which is the patient's {other}: if the patient's {side} is "
    'meant, leave "{picture}" out.'
)
_READ_AS_PATIENT = (
    '"{words}" was read as the patient\'s {side}: if the {side} of the {picture} is meant, say "{side} of the '
    '{picture}".'
)


def settle_frame(reading: Reading, vocabulary: Vocabulary) -> tuple[Frame, Frame]:
    """Turn side words of the picture into the patient's, in place.

    Args:
        reading: The phrase; items and words change where a side is turned, doubts are added.
        vocabulary: Its words.

    Returns:
        How the side words were meant, and what they mean now; the second is `image` only for pictures without a
        patient's side.
    """
    items = reading.items
    has_image_frame = _has_image_frame(items, vocabulary)
    found = (_stretch(items, position, always=has_image_frame) for position in range(len(items)))
    stretches = [stretch for stretch in found if stretch]
    if has_image_frame:
        meant: Frame = "image" if stretches or _has_free_side(items, vocabulary) else "patient"
        return meant, meant
    reading.doubts += _doubts(items, stretches)
    if not stretches:
        return "patient", "patient"
    # The same word may be referred to twice ("viewer's left of the image") and is turned once.
    for position in {position for positions, _ in stretches for position in positions}:
        _turn(items[position], vocabulary)
    dropped = {position for position, item in enumerate(items) if item.kind == "image" and item.term.name in _ADDED}
    for positions, picture in stretches:
        if picture[0] < positions[0]:
            items[positions[0]].first.before = items[picture[0]].first.before
        # "in the left of the image" would end without a noun.
        if picture[0] > positions[-1] and _lacks_noun(items, positions):
            items[positions[-1]].words.append(Word("side", " "))
        dropped.update(picture)
    kept = [item for position, item in enumerate(items) if position not in dropped]
    if kept and 0 in dropped:
        kept[0].first.before = ""
    reading.items = kept
    return "image", "patient"


def _lacks_noun(items: list[Item], positions: list[int]) -> bool:
    introduced = positions[0] > 0 and items[positions[0] - 1].kind in ("prepositions", "other")
    return introduced and items[positions[-1]].kind == "side" and items[positions[-1]].words[-1].text != "side"


def _has_image_frame(items: list[Item], vocabulary: Vocabulary) -> bool:
    if any(item.kind == "image" and any(word.text in _WITHOUT_PATIENT for word in item.words) for item in items):
        return True
    return any(item.kind in ("finding", "structure") and vocabulary.entry(item.term).frame == "image" for item in items)


def _has_free_side(items: list[Item], vocabulary: Vocabulary) -> bool:
    """A side of a finding seen in an image frame, and not of an organ: *left polyp*, but not *left breast*."""
    if not any(item.kind == "finding" and vocabulary.entry(item.term).frame == "image" for item in items):
        return False
    return any(
        item.kind == "side" and item.term.name in _OPPOSITE and (after is None or after.kind != "structure")
        for item, after in zip_longest(items, items[1:])
    )


def _stretch(items: list[Item], position: int, *, always: bool) -> tuple[list[int], list[int]] | None:
    """Positions of the side and level words that an image word refers to, and of the words that name the picture.

    Args:
        items: The phrase.
        position: Of a word that may name the picture.
        always: *At the right in the ultrasound image* is a side of the image too.
    """
    item = items[position]
    if item.kind != "image" or item.term.name == "patients":
        return None
    forward = _forward(items, position, introduced=item.term.name in _ADDED)
    if item.term.name == "as_seen":
        back = _back(items, position, _POSITIONS | _HEADS)
        return _found(items, back or (forward if _side_in(items, forward) is not None else []), [position])
    if forward and _says_whose(items, position, forward):
        return _found(items, forward, _viewers(items, position))
    if item.term.name == "viewers":
        return _found(items, [position - 1], [position]) if _follows_side(items, position, (" ", "-")) else None
    return _located(items, position, always=always)


def _says_whose(items: list[Item], position: int, forward: list[int]) -> bool:
    """*Image-left lung* and *image right lower zone*, but not *chest image left lung* nor *CT-left lung*."""
    item = items[position]
    if item.term.name == "viewers":
        return True
    if _side_in(items, forward) is None:
        return False
    is_picture = item.term.name == "pictures"
    if _is_hyphened(items, position):
        return (is_picture or item.text == "film") and not _is_described(items, position)
    return is_picture and (
        not _has_head(items, forward) or (item.text == "image" and not _is_described(items, position))
    )


def _is_hyphened(items: list[Item], position: int) -> bool:
    return position + 1 < len(items) and items[position + 1].first.before == "-"


def _side_in(items: list[Item], positions: Iterable[int]) -> int | None:
    """Where *left* or *right* stands."""
    return next((at for at in positions if items[at].kind == "side" and items[at].term.name in _OPPOSITE), None)


def _has_head(items: list[Item], positions: list[int]) -> bool:
    following = positions[-1] + 1
    return following < len(items) and items[following].kind in _HEADS and not items[following].first.follows_pause


def _is_described(items: list[Item], position: int) -> bool:
    before = items[position - 1] if position > 0 and not items[position].first.follows_pause else None
    if before is None or before.term.name in _ADDED:
        return False
    return before.kind in ("structure", "description", "image", "unknown") or (
        before.kind == "other" and before.text != "the"
    )


def _follows_side(items: list[Item], position: int, joints: tuple[str, ...]) -> bool:
    return position > 0 and items[position].first.before in joints and _side_in(items, [position - 1]) is not None


def _doubts(items: list[Item], stretches: list[tuple[list[int], list[int]]]) -> list[str]:
    """Sentences about sides beside a picture that may be meant the other way, before they are turned."""
    if any(item.kind == "image" and item.term.name == "patients" for item in items):
        return []
    turned = {position for positions, _ in stretches for position in positions}
    doubts: list[str] = []
    for position, item in enumerate(items):
        span = _doubtful(items, position) if item.kind == "image" else None
        side = None if span is None else _side_in(items, span)
        if span is None or side is None:
            continue
        words, name = " ".join(items[at].text for at in span), items[side].term.name
        if side not in turned:
            doubts.append(_READ_AS_PATIENT.format(words=words, side=name, picture=item.text))
        elif span[0] == position and not _is_hyphened(items, position):
            doubts.append(_READ_AS_IMAGE.format(words=words, side=name, other=_OPPOSITE[name], picture=item.text))
    return doubts


def _doubtful(items: list[Item], position: int) -> range | None:
    """Positions of a side beside a picture: *image right lower zone*, *right image*, *right zone of the image*."""
    item, forward = items[position], _forward(items, position)
    is_picture = item.term.name == "pictures" and item.text != "view"  # "frontal view left lung" is the patient's
    if _side_in(items, forward) is not None and item.term.name in ("pictures", "recordings"):
        if _is_hyphened(items, position):
            return range(position, forward[-1] + 1)
        if is_picture and _has_head(items, forward):
            return range(position, forward[-1] + 2)
    if not (is_picture or item.term.name == "viewers"):
        return None
    if _follows_side(items, position, (" ", "-", " (")):
        return range(position - 1, position + 1)
    start = position
    while start > 0 and items[start - 1].kind == "other":
        start -= 1
    if start < 2 or items[start - 1].text != "of" or items[start - 2].kind != "region":
        return None
    first = start - 2
    while first > 0 and items[first - 1].kind in _POSITIONS:
        first -= 1
    return range(first, position + 1)


def _viewers(items: list[Item], position: int) -> list[int]:
    start = position
    while start > 0 and items[start - 1].kind == "image":
        start -= 1
    return list(range(start, position + 1))


def _located(items: list[Item], position: int, *, always: bool) -> tuple[list[int], list[int]] | None:
    """*Left side of the chest x-ray*: back over what kind of picture it is to the preposition."""
    start = position
    while start > 0 and items[start - 1].kind in ("structure", "description", "other", "image"):
        start -= 1
    if start == 0 or items[start - 1].kind != "prepositions":
        return None
    preposition = items[start - 1].text
    before = _back(items, start - 1, _POSITIONS)
    names_picture = always or items[position].term.name == "pictures"
    names_picture = names_picture or any(items[earlier].text in _IMAGE_ONLY_WORDS for earlier in before)
    if preposition.split()[-1] != "of" and not names_picture:
        return None
    return _found(items, before, list(range(start - 1, position + 1)))


def _found(items: list[Item], positions: list[int], picture: list[int]) -> tuple[list[int], list[int]] | None:
    if not positions:
        return None
    before = items[positions[0] - 1] if positions[0] > 0 else None
    # "The patient's left side of the image" says whose left it is.
    return None if before and before.kind == "image" and before.term.name == "patients" else (positions, picture)


def _back(items: list[Item], end: int, kinds: frozenset[str]) -> list[int]:
    """The unbroken run of position words before an item, without words that only join."""
    start = end
    while start > 0 and items[start - 1].kind in kinds | _JOINING and not items[start].first.starts_sentence:
        start -= 1
    return _trimmed(items, range(start, end), kinds)


def _forward(items: list[Item], start: int, *, introduced: bool = False) -> list[int]:
    """Position words behind an item; *as displayed, the left base* may have a comma and an article between."""
    end = start + 1
    if introduced and end < len(items) and items[end].first.before in (" ", ", "):
        end += items[end].text == "the"
        if end < len(items) and items[end].kind in _POSITIONS and items[end].first.before in (" ", ", "):
            end += 1
    while end < len(items) and items[end].kind in _POSITIONS and items[end].first.before in (" ", "-"):
        end += 1
    return _trimmed(items, range(start + 1, end), _POSITIONS)


def _trimmed(items: list[Item], run: range, kinds: frozenset[str]) -> list[int]:
    named = [position for position in run if items[position].kind in kinds]
    if not any(items[position].kind in ("side", "level") for position in named):
        return []
    return list(range(named[0], named[-1] + 1))


def _turn(item: Item, vocabulary: Vocabulary) -> None:
    if item.kind == "side" and item.term.name in _OPPOSITE:
        item.term = Term("side", _OPPOSITE[item.term.name])
        for word in item.words:
            word.text = vocabulary.mirror(word.text)
