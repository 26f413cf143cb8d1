"""Lesion films with captions: what each phrase names on them, and phrases that name what is not there."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np
from scipy import ndimage

from TextGuidedSegLib.phrase import swap_sides
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from training import grammar
from training.conditions import derangement
from training.datasets.films import load_pair
from training.datasets.index import read_index
from training.datasets.sample import Sample

# Share of phrase kinds; what is left goes to the published caption. One-sided films, a quarter of the set, carry the
# phrases that name the empty side, so their share is higher there.
_PARAPHRASE, _NO_PHRASE, _OTHER_STRUCTURE = 0.2, 0.06, 0.04
_SWAPPED_ON_ONE_SIDED, _WRONG_LEVEL, _ONE_SIDE = 0.25, 0.05, 0.25


@dataclasses.dataclass(frozen=True, eq=False)
class LesionFilm:
    """A film, its lesion mask, and where its caption says the lesions are.

    Attributes:
        array: `(I, J)` float16, normalized.
        mask: `(I, J)` uint8, all lesions.
        sides: The part of the mask on each side of the patient, or empty when it cannot be told apart.
        caption: The caption, patient's side.
        zones: Levels named on each side.
        count: Number of areas the caption mentions.
    """

    array: np.ndarray
    mask: np.ndarray
    sides: dict[str, np.ndarray]
    caption: str
    zones: dict[str, tuple[str, ...]]
    count: int

    @property
    def only_side(self) -> str | None:
        """The side that has all lesions, if the caption and the mask agree on one."""
        return next(iter(self.sides)) if len(self.sides) == 1 else None


class ChestInfection:
    """Draws film and phrase pairs from one split.

    Args:
        index: Path of `index.csv`.
        split: Value of the column `split`.
        config: Preprocessing.
        shuffle_seed: Give every film another one's caption and places; which one is fixed by this seed. None: its own.
    """

    def __init__(
        self, index: str | Path, split: str, config: PreprocessingConfig, *, shuffle_seed: int | None = None
    ) -> None:
        rows = [row for row in read_index(index) if row.columns["split"] == split]
        if shuffle_seed is None:
            self.films = [_lesion_film(row.image, row.mask, row.columns, config) for row in rows]
            return
        givers = derangement([row.columns["text"] for row in rows], shuffle_seed)
        films = [
            _lesion_film(row.image, row.mask, rows[giver].columns, config)
            for row, giver in zip(rows, givers, strict=True)
        ]
        # Another film's words tell no side of this one apart.
        self.films = [dataclasses.replace(film, sides={}) for film in films]

    def draw(self, rng: random.Random) -> Sample:
        """A film with its caption, a paraphrase, a phrase for one side, or a phrase for what is not there."""
        film = rng.choice(self.films)
        draw = rng.random()
        if draw < _OTHER_STRUCTURE:
            return Sample(film.array, np.zeros_like(film.mask), rng.choice(grammar.ABSENT_STRUCTURES), pointed=False)
        if draw < _OTHER_STRUCTURE + _NO_PHRASE:
            return Sample(film.array, film.mask, "", absent=True, pointed=False)
        if film.only_side and rng.random() < _SWAPPED_ON_ONE_SIDED:
            return _empty_side(film, rng)
        if rng.random() < _WRONG_LEVEL:
            return _empty_level(film, rng)
        if len(film.sides) == 2 and rng.random() < _ONE_SIDE:
            side = rng.choice(("left", "right"))
            phrase = grammar.finding_phrase(_vague({side: film.zones[side]}, rng), None, rng)
            return Sample(film.array, film.sides[side], phrase)
        if rng.random() < _PARAPHRASE:
            count = film.count if rng.random() < 0.5 else None
            return Sample(film.array, film.mask, grammar.finding_phrase(_vague(film.zones, rng), count, rng))
        return Sample(film.array, film.mask, film.caption.lower())


def _vague(zones: dict[str, tuple[str, ...]], rng: random.Random) -> dict[str, tuple[str, ...]]:
    """Now and then leave the level out (*left lung opacity*) or, rarely, the side too."""
    if rng.random() < 0.25:
        return {side: grammar.LEVELS for side in zones if zones[side]}
    if rng.random() < 0.1:
        sides = [side for side in zones if zones[side]]
        return {} if len(sides) == 2 else zones
    return zones


def _empty_side(film: LesionFilm, rng: random.Random) -> Sample:
    """A phrase that names the side without a lesion: same film, same hospital, nothing there."""
    side = "right" if film.only_side == "left" else "left"
    if rng.random() < 0.5:
        phrase = swap_sides(film.caption).lower()
    else:
        levels = tuple(level for level in grammar.LEVELS if rng.random() < 0.5) or grammar.LEVELS
        phrase = grammar.finding_phrase({side: levels}, None, rng)
    return Sample(film.array, np.zeros_like(film.mask), phrase, pointed=False)


def _empty_level(film: LesionFilm, rng: random.Random) -> Sample:
    """A phrase that names a level far from every lesion of that side: upper against lower only."""
    for side in rng.sample(("left", "right"), 2):
        levels = film.zones[side]
        far = "upper" if levels == ("lower",) else "lower" if levels == ("upper",) else None
        if far is not None and film.sides:
            return Sample(
                film.array, np.zeros_like(film.mask), grammar.finding_phrase({side: (far,)}, None, rng), pointed=False
            )
    return Sample(film.array, film.mask, film.caption.lower())


def _lesion_film(image: Path, mask: Path, columns: dict[str, str], config: PreprocessingConfig) -> LesionFilm:
    array, (lesions,) = load_pair(image, [mask], config)
    bits = columns["zones_patient"]
    zones = {
        "left": tuple(level for level, bit in zip(grammar.LEVELS, bits[:3], strict=True) if bit == "1"),
        "right": tuple(level for level, bit in zip(grammar.LEVELS, bits[3:], strict=True) if bit == "1"),
    }
    doubtful = bool(columns["flag"]) or columns["published_side"] != "image"
    sides = {} if doubtful else split_sides(lesions, zones)
    return LesionFilm(array, lesions, sides, columns["text"], zones, int(columns["n_areas_text"]))


def split_sides(lesions: np.ndarray, zones: dict[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
    """Lesions of each side, where caption and mask leave no doubt.

    Args:
        lesions: `(I, J)` mask in the canonical film frame, I towards the patient's left.
        zones: Levels named on each side.

    Returns:
        The whole mask under its side when the caption names one side; both parts when the caption names two sides and
        the mask has two components, ordered by their centers; else nothing.
    """
    named = [side for side in ("left", "right") if zones[side]]
    if len(named) == 1:
        return {named[0]: lesions}
    parts, count = ndimage.label(lesions)
    if len(named) != 2 or count != 2:
        return {}
    centers = ndimage.center_of_mass(lesions, parts, (1, 2))
    left_label = 1 if centers[0][0] > centers[1][0] else 2
    return {"left": (parts == left_label).astype(np.uint8), "right": (parts == 3 - left_label).astype(np.uint8)}
