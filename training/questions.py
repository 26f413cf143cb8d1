"""What a film is asked besides its own caption: phrases for a part of what is there, and for what is not there.

Whether something is there is always told within one film or one hospital (`ASKS`), never by comparing hospitals. The
words of a question come from the index alone; its truth is cut after the answer is there.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from training import grammar, grammar_volume
from training.cut_truth import Places, caption_places, is_doubtful
from training.datasets.index import Row
from training.levels import LEVELS
from training.lung_zones import SIDES

Expected = Literal["present", "empty", "unknown"]

_UNKNOWN = (
    "gallbladder", "meniscus", "ovary", "cochlea", "achilles tendon", "wrist", "retina", "rectum", "duodenum", "fetus",
    "umbrella", "piano", "giraffe", "violin", "coffee cup", "steam engine", "pumpkin", "lighthouse",
)  # fmt: skip
_LISTED = (
    "frontal lobe", "temporal lobe", "occipital lobe", "parietal lobe", "cerebral hemorrhage", "cerebral metastasis",
    "renal cyst", "renal carcinoma", "prostatic calcification", "prostatic abscess",
)  # fmt: skip
UNSEEN_STRUCTURES = (*_UNKNOWN, *_LISTED)
"""What no chest film shows, in words of no training grammar; the vocabulary lists the last ten of them.

What a film does show, such as ribs, the aorta or the air of the stomach, is not among them.
"""

# Words that the vocabulary does not list are answered without the network. Every other time something that it does
# list goes with them, so that the network has to tell them from a lung.
_BESIDE_UNKNOWN: tuple[Callable[[str, random.Random], str], ...] = (
    lambda noun, rng: f"{rng.choice(SIDES)} {noun}",
    lambda noun, rng: f"{noun} in the {rng.choice(LEVELS)} {rng.choice(SIDES)} lung zone",
    lambda noun, rng: f"{rng.choice(('opacity', 'consolidation', 'lesion', 'inflammation'))} of the {noun}",
)

# Not denied of volumes of the head or of the trunk, where nobody labelled what lies around.
_IN_A_HEAD = frozenset({"cochlea", "retina", *_LISTED[:6]})
_IN_A_TRUNK = frozenset({"gallbladder", "duodenum"})


@dataclasses.dataclass(frozen=True)
class Question:
    """One phrase for one row.

    Attributes:
        kind: One of `ASKS`, or `caption`.
        phrase: What is said; None for no phrase.
        places: Where the truth is cut to; None for the whole mask, empty for an empty truth.
        expected: Whether the words name something that is there.
        doubt: Places that must have no lesion near them, else the question is left out.
        subject: Equal for wordings of one meaning on one image, and for nothing else.
        wording: Number of the wording.
    """

    kind: str
    phrase: str | None
    places: Places | None = None
    expected: Expected = "unknown"
    doubt: Places = ()
    subject: str = ""
    wording: int = 0


# Places of the truth, places that must be clear, and how the phrase is made.
_Asked = tuple[Places, Places, Callable[[random.Random], str]]


def _one_side(row: Row, _rng: random.Random) -> Iterator[_Asked]:
    places = caption_places(row.columns)
    if len(places) == 2:
        for side in SIDES:
            yield ((side, ()),), (), _finding({side: LEVELS})


def _one_level(row: Row, _rng: random.Random) -> Iterator[_Asked]:
    for side, levels in caption_places(row.columns).items():
        if len(levels) == 1:
            yield ((side, ()),), (), _finding({side: levels})


def _part_level(row: Row, rng: random.Random) -> Iterator[_Asked]:
    for side, levels in caption_places(row.columns).items():
        if len(levels) > 1:
            level = rng.choice(levels)
            yield ((side, (level,)),), (), _finding({side: (level,)})


def _empty_side(row: Row, rng: random.Random) -> Iterator[_Asked]:
    places = caption_places(row.columns)
    for side in SIDES:
        if len(places) == 1 and side not in places:
            levels = rng.choice((LEVELS, tuple(level for level in LEVELS if rng.random() < 0.5) or LEVELS))
            yield (), ((side, ()),), _finding({side: levels})


def _empty_level(row: Row, rng: random.Random) -> Iterator[_Asked]:
    for side, levels in caption_places(row.columns).items():
        clear = [level for level in LEVELS if level not in levels]
        if clear:
            level = rng.choice(clear)
            yield (), ((side, (level,)),), _finding({side: (level,)})


def _other_structure(row: Row, _rng: random.Random) -> Iterator[_Asked]:
    shown = grammar_volume.caption_key(row.columns.get("text", ""))
    if shown in grammar_volume.STRUCTURES:
        yield (), (), lambda rng: grammar_volume.absent_phrase(frozenset({shown}), rng)
    else:
        yield (), (), lambda rng: rng.choice(grammar.ABSENT_STRUCTURES)


def _unseen_structure(row: Row, _rng: random.Random) -> Iterator[_Asked]:
    shown = grammar_volume.caption_key(row.columns.get("text", ""))
    doubtful: frozenset[str] = frozenset()
    if shown in grammar_volume.STRUCTURES:
        doubtful = _IN_A_HEAD if "hippocampus" in shown else _IN_A_TRUNK
    yield (), (), lambda rng: _unseen_phrase([name for name in UNSEEN_STRUCTURES if name not in doubtful], rng)


def _unseen_phrase(nowhere: Sequence[str], rng: random.Random) -> str:
    noun = rng.choice(nowhere)
    return rng.choice(_BESIDE_UNKNOWN)(noun, rng) if noun in _UNKNOWN and rng.random() < 0.5 else noun


def _finding_on_normal(row: Row, _rng: random.Random) -> Iterator[_Asked]:
    if row.columns.get("note") == "normal":
        for zones in PLACES_ON_NORMAL:
            yield (), (), _finding(zones)


def _every_place() -> Iterator[grammar.Zones]:
    sets = [levels for size in (1, 2, 3) for levels in itertools.combinations(LEVELS, size)]
    yield from ({side: levels} for side in SIDES for levels in sets)
    yield from (dict.fromkeys(SIDES, levels) for levels in sets if len(levels) != 2)


PLACES_ON_NORMAL = tuple(_every_place())
"""Where a finding is looked for on a normal film: all sets of levels of one lung, and four of both, 18 in all."""


def _wrong_image(_row: Row, _rng: random.Random) -> Iterator[_Asked]:
    yield (), (), lambda rng: _finding({rng.choice(SIDES): (rng.choice(LEVELS),)})(rng)


def _finding(zones: grammar.Zones) -> Callable[[random.Random], str]:
    return lambda rng: grammar.finding_phrase(zones, None, rng)


_MAKERS: dict[str, Callable[[Row, random.Random], Iterator[_Asked]]] = {
    "one_side": _one_side,
    "one_level": _one_level,
    "part_level": _part_level,
    "empty_side": _empty_side,
    "empty_level": _empty_level,
    "other_structure": _other_structure,
    "unseen_structure": _unseen_structure,
    "finding_on_normal": _finding_on_normal,
    "wrong_image": _wrong_image,
}
ASKS = tuple(_MAKERS)
"""one_side: one lung of a film with lesions in both; one_level: a level that is the only one of its side, the truth is
all of that side; part_level: one of several levels of a side, the truth is cut to it; empty_side: the lesion-free side;
empty_level: a level without lesions of a side that has some; other_structure, unseen_structure: something that no chest
film shows, in words of the training grammar and in others; finding_on_normal: a finding at each of `PLACES_ON_NORMAL`
of a film called normal; wrong_image: a lung finding on an image that is no chest film."""

BY_LESIONS = frozenset({"one_side", "one_level", "part_level", "empty_side", "empty_level"})
"""Questions that need captions with places, and the lungs of the film."""

CUT_BY_LEVEL = frozenset({"part_level"})
"""Questions whose truth ends where the level does; nothing of it lies outside by construction."""

# These name something else each time, so that no two of them are wordings of one meaning.
_ALWAYS_ELSE = frozenset({"other_structure", "unseen_structure", "wrong_image"})


def questions(row: Row, asks: Sequence[str], wordings: int, seed: int) -> list[Question]:
    """What is asked of one row.

    Args:
        row: A row; lesion films need the column `zones_patient`.
        asks: Kinds of questions, from `ASKS`.
        wordings: How many phrases are said for each meaning; of kinds that name something else each time, how many
            things are named.
        seed: With the image's name, decides about words and places.
    """
    found = []
    for kind in asks:
        if kind in BY_LESIONS and is_doubtful(row.columns):
            continue
        rng = random.Random(f"{seed} {kind} {row.columns['image']}")
        for number, (places, doubt, phrase) in enumerate(_MAKERS[kind](row, rng)):
            expected: Expected = "present" if places else "empty"
            subject = f"{row.columns['image']} {kind} {number}"
            for wording in range(wordings):
                what, how = (f"{subject} {wording}", 0) if kind in _ALWAYS_ELSE else (subject, wording)
                found.append(Question(kind, phrase(rng), places, expected, doubt, what, how))
    return found
