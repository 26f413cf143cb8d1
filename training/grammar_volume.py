"""Paraphrases of the structures in MR volumes, and names of structures that such volumes do not show.

The captions are eight fixed sentences; people write *LV*, *head of the hippocampus* or *blood pool of the right
ventricle*. Every function takes a `random.Random`, so a phrase depends on the seed and the step alone.
"""

from __future__ import annotations

import random

from TextGuidedSegLib.phrase import parse
from training import grammar

_HIPPOCAMPUS: dict[str, tuple[str, ...]] = {
    "hippocampus": ("hippocampus", "hippocampus", "whole hippocampus", "entire hippocampus", "hippocampal formation",
                    "the hippocampus", "anterior and posterior hippocampus"),
    "anterior hippocampus": ("anterior hippocampus", "anterior hippocampus", "hippocampal head", "hippocampus head",
                             "head of the hippocampus", "anterior part of the hippocampus", "hippocampus anterior",
                             "anterior portion of the hippocampus", "anterior hippocampal formation"),
    "posterior hippocampus": ("posterior hippocampus", "posterior hippocampus", "hippocampal body and tail",
                              "body and tail of the hippocampus", "posterior part of the hippocampus",
                              "hippocampus posterior", "posterior portion of the hippocampus",
                              "posterior hippocampal formation"),
}  # fmt: skip
_HEART: dict[str, tuple[str, ...]] = {
    "left ventricular cavity": ("left ventricular cavity", "LV cavity", "LV blood pool", "left ventricular blood pool",
                                "cavity of the left ventricle", "lumen of the left ventricle", "LVC", "LV lumen",
                                "left ventricular lumen", "blood pool of the left ventricle"),
    "left ventricular myocardium": ("left ventricular myocardium", "LV myocardium", "myocardium", "LV wall", "LV myo",
                                    "left ventricular wall", "heart muscle", "wall of the left ventricle",
                                    "myocardium of the left ventricle", "cardiac muscle"),
    "left ventricle with its wall": ("left ventricle with its wall", "left ventricle and its wall",
                                     "left ventricle including the wall", "LV with its wall",
                                     "left ventricular cavity and myocardium", "left ventricular cavity and wall"),
    "right ventricular cavity": ("right ventricular cavity", "RV cavity", "RV", "right ventricle", "RV blood pool",
                                 "right ventricular blood pool", "cavity of the right ventricle", "RVC", "RV lumen",
                                 "lumen of the right ventricle"),
}  # fmt: skip
_ATRIUM: dict[str, tuple[str, ...]] = {
    "left atrium": ("left atrium", "LA", "left atrial cavity", "cavity of the left atrium", "the left atrium"),
}
STRUCTURES = _HIPPOCAMPUS | _HEART | _ATRIUM
"""Wordings of each caption, by the caption in lower case without its full stop."""

_FAMILIES = (_HIPPOCAMPUS, _HEART, _ATRIUM)
# What may lie in a volume unlabelled: a film of the heart shows atria, a scan of the atrium ventricles.
_MAY_SHOW = ({"brain"}, {"left atrium"}, set(_HEART))
_NO_PART_OF_A_BODY = ("bicycle", "traffic light", "teapot", "cat", "apple tree", "sailing boat")
# Organs beside the heart lie in its volumes without anybody having drawn them.
_NEVER_SHOWN = (
    "left kidney", "right kidney", "kidneys", "urinary bladder", "prostate", "femur", "knee joint", "uterus", "colon",
    "pancreas", "tooth", "left hip", "appendix", "lumbar spine", "polyp", "left ankle", *_NO_PART_OF_A_BODY,
)  # fmt: skip
_BRAIN = ("brain", "cerebellum", "optic nerve", "pituitary gland")
_OUTSIDE_THE_HEAD = (
    "liver", "spleen", "left lung", "right lung", "aorta", "stomach wall", "left lung opacity", "pneumonia", "heart",
    "cardiac silhouette", "trachea", "pleural effusion",
)  # fmt: skip


def caption_key(text: str) -> str:
    """The caption as `STRUCTURES` knows it: lower case, no full stop."""
    return text.strip().rstrip(".").lower()


def structure_phrase(key: str, rng: random.Random) -> str:
    """A wording of a structure, normalized as at inference; captions without wordings stay as they are.

    Args:
        key: From `caption_key`.
        rng: Source of the choice.
    """
    wording = rng.choice(STRUCTURES.get(key, (key,)))
    return parse(wording).normalized + rng.choice(("", "", "."))


def absent_phrase(shown: frozenset[str], rng: random.Random) -> str:
    """A phrase for a structure that a volume does not show for sure.

    Args:
        shown: Keys of the captions of the volume.
        rng: Source of the choice.
    """
    words = rng.choice(absent_structures(shown))
    return parse(words).normalized + rng.choice(("", "", "."))


def absent_structures(shown: frozenset[str]) -> tuple[str, ...]:
    """What `absent_phrase` chooses from: other families as often as everything else together.

    Of volumes with none of these families nobody here knows what they show unlabelled: no part of a body is denied.
    """
    own = [number for number, family in enumerate(_FAMILIES) if shown & set(family)]
    if not own:
        return _NO_PART_OF_A_BODY
    unsure = {name for number in own for name in _MAY_SHOW[number]} | shown
    others: list[str] = []
    for number, family in enumerate(_FAMILIES):
        if number not in own:
            others += [wording for key, wordings in family.items() if key not in unsure for wording in wordings]
    other_organs = list(_NEVER_SHOWN)
    if 0 in own:
        other_organs += _OUTSIDE_THE_HEAD
    elif own:
        other_organs += _BRAIN
    repeats = max(1, round(len(other_organs) / max(1, len(others))))
    return (*others * repeats, *other_organs)


def corpus(count: int, seed: int = 0) -> list[str]:
    """Phrases for training the subword tokenizer: every word of the grammar, and those of other models' grammars."""
    rng = random.Random(seed)
    phrases = [*_NEVER_SHOWN, *_BRAIN, *_OUTSIDE_THE_HEAD, *grammar.ABSENT_STRUCTURES]
    for side in ("left", "right"):
        phrases += [f"{side} {key}" for key in _HIPPOCAMPUS]
    for _ in range(count):
        phrases.append(structure_phrase(rng.choice(tuple(STRUCTURES)), rng))
    return phrases
