"""Paraphrases for pictures without a patient's side: polyps in endoscopy, tumors in breast ultrasound.

The published captions name count, size, color, shape and place in one fixed order; people leave most of it out. Every
function takes a `random.Random`, so a phrase depends on the seed and the step alone. Where a side is named, the phrase
says that it is a side of the picture in words that `TextGuidedSegLib.phrase.parse` understands so: *polyp* does by
itself, a tumor needs *in the breast ultrasound image*.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Literal

from training import grammar

Picture = Literal["polyp", "breast_ultrasound"]

COLUMNS, ROWS = ("left", "", "right"), ("top", "", "bottom")
PLACES = tuple(f"{row} {column}".strip() for row in ROWS for column in COLUMNS if row or column)
"""The eight places around the center: `top left`, `top`, ..., `bottom right`."""

_NOUNS: dict[Picture, tuple[str, ...]] = {
    "polyp": ("polyp", "polyp", "polyp", "colon polyp", "colorectal polyp", "colonic polyp"),
    "breast_ultrasound": ("tumor", "tumor", "tumor", "breast tumor", "tumour"),
}
_ENDINGS: dict[Picture, tuple[str, ...]] = {
    "polyp": ("", "", " in the image", " of the image", " in the picture"),
    "breast_ultrasound": (" in the breast ultrasound image", " in the breast ultrasound image", " of the breast image"),
}
_SIZE_WORDS = {
    "small": ("small", "small", "little", "tiny"),
    "medium": ("medium",),
    "large": ("large", "large", "big"),
}
_KIND_WORDS = {
    "benign": ("benign", "benign", "regular", "regular-shaped"),
    "malignant": ("malignant", "malignant", "irregular", "irregular-shaped"),
}
KINDS = tuple(_KIND_WORDS)
"""Kinds of tumor that can be named."""

_ROW_WORDS = {"top": ("top", "top", "upper"), "bottom": ("bottom", "bottom", "lower")}
_COUNT_WORDS = ("no", "one", "two", "three", "four", "five", "six")
# What a colonoscopy shows cannot be absent from it for sure.
_ABSENT_FROM: dict[Picture, tuple[str, ...]] = {
    "polyp": ("polyp", "one small polyp", "colon"),
    "breast_ultrasound": ("breast mass", "benign tumor"),
}
_LUNG_FINDINGS = ("lung opacity", "left lower lung opacity", "pneumonia", "opacity in both lungs", "pleural effusion")


@dataclasses.dataclass(frozen=True)
class Description:
    """What is known for sure about the findings of a picture; None and empty for what is not.

    Attributes:
        size: `small`, `medium` or `large`.
        color: Any word of the captions, such as *yellow*.
        shape: Any word of the captions, such as *round*.
        kind: `benign` or `malignant`.
        places: Names of the place, each of them true: `center` or of `PLACES`.
        count: Number of findings.
    """

    size: str | None = None
    color: str | None = None
    shape: str | None = None
    kind: str | None = None
    places: tuple[str, ...] = ()
    count: int | None = None


def finding_phrase(picture: Picture, known: Description, rng: random.Random) -> str:
    """A phrase for the findings of a picture that says a random part of what is known.

    Args:
        picture: Which kind of picture.
        known: What may be said.
        rng: Source of the choice.

    Returns:
        Lower-case phrase, with or without a full stop.
    """
    count = known.count if known.count is not None and rng.random() < 0.4 else None
    words = [_COUNT_WORDS[count]] if count is not None and count < len(_COUNT_WORDS) else []
    words += [rng.choice(_SIZE_WORDS[known.size])] if known.size and rng.random() < 0.4 else []
    words += [known.color] if known.color and rng.random() < 0.4 else []
    if known.shape and rng.random() < 0.3:
        words.append(known.shape if picture == "polyp" else f"{known.shape}-shaped")
    words += [rng.choice(_KIND_WORDS[known.kind])] if known.kind and rng.random() < 0.4 else []
    finding = " ".join([*words, noun(picture, rng) + ("s" if count is not None and count > 1 else "")])
    if known.places and rng.random() < 0.6:
        return placed(picture, finding, rng.choice(known.places), rng)
    start = rng.choice(("", "", "", "find the ", "the ")) if not words else ""
    return _finish(start + finding + rng.choice(("", rng.choice(_ENDINGS[picture]))), rng)


def noun(picture: Picture, rng: random.Random) -> str:
    """A word for the finding that a kind of picture shows, singular."""
    return rng.choice(_NOUNS[picture])


def placed(picture: Picture, finding: str, place: str, rng: random.Random) -> str:
    """A finding with its place: *polyp at the top left*, *tumor in the upper left of the breast ultrasound image*.

    Args:
        picture: Which kind of picture.
        finding: Words for the finding; for a polyp they say that it is one.
        place: `center` or one of `PLACES`.
        rng: Source of the choice.
    """
    row, _, column = place.partition(" ")
    where = f"{rng.choice(_ROW_WORDS[row])} {column}" if column else place
    ending = rng.choice(_ENDINGS[picture])
    forms = [f"{finding} at the {where}{ending}", f"{finding}, located in {where}{ending or ' of the image'}"]
    forms += [f"{finding} in the {where}{ending}", f"{finding} at {where}{ending}"]
    if picture == "polyp":
        forms += [f"{finding} {where}", f"{finding}, {where}"]
    return _finish(rng.choice(forms), rng)


def _absent(picture: Picture) -> tuple[str, ...]:
    organs: Sequence[str] = [words for words in grammar.ABSENT_STRUCTURES if words not in _ABSENT_FROM[picture]]
    return (*organs, *grammar.STRUCTURES, *_LUNG_FINDINGS)


ABSENT: dict[Picture, tuple[str, ...]] = {"polyp": _absent("polyp"), "breast_ultrasound": _absent("breast_ultrasound")}
"""Organs and findings that a kind of picture does not show."""


def _finish(phrase: str, rng: random.Random) -> str:
    return phrase + rng.choice(("", "", "."))


def corpus(picture: Picture, count: int, seed: int = 0) -> list[str]:
    """Phrases for training the subword tokenizer: every word of the grammar, many orders."""
    rng = random.Random(seed)
    phrases = [*ABSENT[picture]]
    for _ in range(count):
        known = Description(
            size=rng.choice(tuple(_SIZE_WORDS)), places=("center", *PLACES), count=rng.randint(1, 6),
            kind=rng.choice(KINDS) if picture == "breast_ultrasound" else None,
        )  # fmt: skip
        phrases.append(finding_phrase(picture, known, rng))
    return phrases
