"""Paraphrases of a chest finding: the published captions are 63 fixed sentences, people type something else each time.

Every function takes a `random.Random`, so a phrase depends on the seed and the step alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

FINDINGS = (
    "opacity", "opacities", "infection", "pulmonary infection", "infiltrate", "infiltrates", "consolidation",
    "consolidations", "pneumonia", "covid-19 pneumonia", "ground-glass opacity", "ground glass opacities",
    "airspace opacity", "airspace disease", "infected area", "infected areas", "lesion", "lesions", "lung opacity",
    "shadow", "patchy opacity", "haze", "inflammation", "abnormality", "abnormalities", "abnormal finding",
    "abnormal changes", "abnormal area", "abnormal areas", "disease", "lung disease",
)  # fmt: skip
STRUCTURES: dict[str, tuple[str, ...]] = {
    "left lung": ("left lung", "the left lung", "left lung field", "left pulmonary field", "lung on the left",
                  "whole left lung", "left lung parenchyma", "lung, left", "left side lung", "entire left lung"),
    "right lung": ("right lung", "the right lung", "right lung field", "right pulmonary field", "lung on the right",
                   "whole right lung", "right lung parenchyma", "lung, right", "right side lung", "entire right lung"),
    "both lungs": ("both lungs", "lungs", "the lungs", "left and right lung", "right and left lungs", "bilateral lungs",
                   "both lung fields", "lung fields", "all lung tissue", "whole lungs", "lung"),
    "cardiomediastinum": ("heart and mediastinum", "heart", "mediastinum", "cardiac silhouette", "heart shadow",
                          "cardiomediastinum", "cardiomediastinal silhouette"),
    "airways": ("trachea and main bronchi", "trachea", "airways", "main bronchi", "windpipe"),
}  # fmt: skip
ABSENT_STRUCTURES = (
    "left kidney", "right kidney", "liver", "spleen", "brain", "hippocampus", "anterior hippocampus", "polyp",
    "one small polyp", "breast mass", "benign tumor", "left ventricle", "left atrium", "myocardium", "urinary bladder",
    "prostate", "femur", "knee joint", "thyroid", "pancreas", "stomach wall", "tooth", "optic nerve", "skin lesion",
    "colon", "uterus", "bicycle", "traffic light", "cat", "teapot", "apple tree", "sailing boat",
)  # fmt: skip
_LEVEL_WORDS = {
    "upper": ("upper", "upper", "superior", "apical"),
    "middle": ("middle", "middle", "mid"),
    "lower": ("lower", "lower", "basal", "inferior", "basilar"),
}
_AREA_WORDS = ("lung", "lung", "lung", "lung zone", "lobe", "zone", "lung field")
LEVELS = ("upper", "middle", "lower")
_COUNT_WORDS = ("zero", "one", "two", "three", "four", "five", "six")
Zones = Mapping[str, Sequence[str]]


def place_words(zones: Zones, rng: random.Random) -> str:
    """Words for places: `{"left": ("lower",), "right": ()}` gives for example *left lower lung*.

    Args:
        zones: Levels of each side, from `upper`, `middle`, `lower`; a side without levels is not named, all three
            levels may be called *all left lung*.
        rng: Source of the choice.
    """
    sides = [side for side in ("left", "right") if zones.get(side)]
    if len(sides) == 2 and tuple(zones["left"]) == tuple(zones["right"]) and rng.random() < 0.6:
        return _both_sides(tuple(zones["left"]), rng)
    rng.shuffle(sides)
    return rng.choice((" and ", ", ", " and ")).join(_one_side(side, tuple(zones[side]), rng) for side in sides)


def _both_sides(levels: tuple[str, ...], rng: random.Random) -> str:
    if len(levels) == 3:
        return rng.choice(("both lungs", "bilateral lungs", "all left lung and all right lung", "left and right lung"))
    level = " and ".join(rng.choice(_LEVEL_WORDS[level]) for level in levels)
    area = rng.choice(("lungs", "lung zones", "zones", "lobes", "lung fields"))
    return f"{rng.choice(('both', 'bilateral'))} {level} {area}"


def _one_side(side: str, levels: tuple[str, ...], rng: random.Random) -> str:
    if len(levels) == 3 and rng.random() < 0.8:
        return rng.choice((f"{side} lung", f"all {side} lung", f"whole {side} lung", f"entire {side} lung"))
    joint = rng.choice((" ", " and ", "/"))
    level = joint.join(rng.choice(_LEVEL_WORDS[level]) for level in levels)
    area = rng.choice(_AREA_WORDS)
    forms = [f"{side} {level} {area}", f"{level} {side} {area}", f"{level} {area} of the {side} lung"]
    if levels == ("lower",):
        forms += [f"{side} base", f"{side} lung base", f"base of the {side} lung"]
    if levels == ("upper",):
        forms += [f"{side} apex", f"{side} lung apex"]
    return rng.choice(forms)


def finding_phrase(zones: Zones, count: int | None, rng: random.Random) -> str:
    """A phrase for a finding at places, with or without count and kind, in varying word order.

    Args:
        zones: Places, see `place_words`; empty for a phrase without a place.
        count: Number of areas to mention, or None.
        rng: Source of the choice.

    Returns:
        Lower-case phrase, with or without a full stop.
    """
    finding = rng.choice(FINDINGS)
    places = place_words(zones, rng) if any(zones.values()) else ""
    if not places:
        return _finish(rng.choice((finding, f"all {finding}", f"any {finding}", f"find the {finding}")), rng)
    forms = [f"{places} {finding}", f"{finding} in the {places}", f"{finding}, {places}", f"{finding} {places}"]
    if count is not None and count < len(_COUNT_WORDS):
        area = "area" if count == 1 else "areas"
        forms += [
            f"{finding}, {_COUNT_WORDS[count]} {area}, {places}",
            f"{_COUNT_WORDS[count]} infected {area}, {places}",
        ]
        lateral = "bilateral" if zones.get("left") and zones.get("right") else "unilateral"
        forms += [f"{lateral} {finding}, {_COUNT_WORDS[count]} infected {area}, {places}"]
    return _finish(rng.choice(forms), rng)


def structure_phrase(kind: str, rng: random.Random) -> str:
    """A wording of a structure; `kind` is a key of `STRUCTURES`."""
    return _finish(rng.choice(STRUCTURES[kind]), rng)


def _finish(phrase: str, rng: random.Random) -> str:
    return phrase + rng.choice(("", "", "."))


def corpus(count: int, seed: int = 0) -> list[str]:
    """Phrases for training the subword tokenizer: every word of the grammar, many orders."""
    rng = random.Random(seed)
    phrases = [*ABSENT_STRUCTURES]
    for kind in STRUCTURES:
        phrases += STRUCTURES[kind]
    for _ in range(count):
        zones = {side: tuple(level for level in LEVELS if rng.random() < 0.5) for side in ("left", "right")}
        phrases.append(finding_phrase(zones, rng.randint(1, 6), rng))
    return phrases
