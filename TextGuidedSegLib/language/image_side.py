"""Side words that mean a side of the picture: *left of the image*, *viewer's left*. The patient's is the other one.

A film shows the patient's left on the image's right, so such words are turned to the patient's side and the picture is
no longer named. Pictures without a patient's side (endoscopy, an ultrasound image of a breast) keep their words.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Literal

from TextGuidedSegLib.language.items import Item, Reading
from TextGuidedSegLib.language.vocabulary import Term, Vocabulary
from TextGuidedSegLib.language.words import Word

Frame = Literal["patient", "image"]

_OPPOSITE = {"left": "right", "right": "left"}
_POSITIONS = frozenset({"side", "level", "halves"})
_HEADS = frozenset({"structure", "region"})
# Words that do nothing but say whose left is meant.
_ADDED = frozenset({"viewers", "as_seen"})
_JOINING = frozenset({"conjunctions", "alternatives", "other"})
# "In the image" may only say where the words apply; behind "top left" it says where top and left are.
_IMAGE_ONLY_WORDS = frozenset({"top", "bottom", "center", "centre", "corner", "topmost"})


def settle_frame(reading: Reading, vocabulary: Vocabulary) -> tuple[Frame, Frame]:
    """Turn side words of the picture into the patient's, in place.

    Args:
        reading: The phrase; items and words change where a side is turned.
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
    if item.term.name == "as_seen":
        return _found(items, _back(items, position, _POSITIONS | _HEADS), [position])
    if item.term.name in ("viewers", "pictures"):
        forward = _forward(items, position)
        headed = bool(forward) and forward[-1] + 1 < len(items) and items[forward[-1] + 1].kind in _HEADS
        if forward and (item.term.name == "viewers" or not headed):
            return _found(items, forward, _viewers(items, position))
    return _located(items, position, always=always) if item.term.name != "viewers" else None


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


def _forward(items: list[Item], start: int) -> list[int]:
    end = start + 1
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
