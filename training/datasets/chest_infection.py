"""Lesion films with captions: what each phrase names on them, and phrases that name what is not there."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import ndimage

from TextGuidedSegLib.phrase import swap_sides
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from training import grammar
from training.conditions import derangement
from training.datasets.films import load_pair
from training.datasets.index import Row, rows_of_split
from training.datasets.sample import Sample
from training.levels import LEVELS
from training.lung_zones import (
    EMPTY_MARGIN,
    LEAST_PART,
    SIDES,
    Box,
    LungZones,
    lung_box,
    tissue_levels,
    zone_bit,
)

Zone = tuple[str, str]

COLUMNS = ("text", "zones_patient", "n_areas_text", "published_side", "flag", "patient")
"""Columns that the set needs besides those of every index; `flag` and `patient` may be empty."""

# Share of phrase kinds; what is left goes to the published caption. One-sided films, a quarter of the set, carry the
# phrases that name the empty side, so their share is higher there.
_PARAPHRASE, _NO_PHRASE, _OTHER_STRUCTURE = 0.2, 0.06, 0.04
_SWAPPED_ON_ONE_SIDED, _WRONG_LEVEL, _ONE_SIDE = 0.3, 0.05, 0.25
# The same where the lungs of the films are known: parts can then be cut out and empty levels be told.
_EMPTY_ZONE, _PART = 0.1, 0.35


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
        zone_map: `(I, J)` uint8, the zones of the lungs that each pixel lies in, see `LungZones.zones`; None where the
            lungs are not known for sure.
        boxes: The box of each lung by side, where the lungs are known for sure.
        levels: Brightness of aerated lung and of the mediastinum, likewise.
        empty: Zones, as side and level, that the caption does not name and that keep a distance from every lesion.
    """

    array: np.ndarray
    mask: np.ndarray
    sides: dict[str, np.ndarray]
    caption: str
    zones: dict[str, tuple[str, ...]]
    count: int
    zone_map: np.ndarray | None = None
    boxes: Mapping[str, Box] = dataclasses.field(default_factory=dict)
    levels: tuple[float, float] | None = None
    empty: tuple[Zone, ...] = ()

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
        lungs: Lungs by image name, as `training.lung_zones` writes them: targets are then cut to the part that a phrase
            names, and zones without a lesion are asked for. Empty: only parts that caption and mask tell apart.
        captions_share: Probability that nothing is drawn but the caption or, rarely, no phrase.

    Raises:
        ValueError: The index lacks one of `COLUMNS`, or has no film of that split.
    """

    def __init__(
        self,
        index: str | Path,
        split: str,
        config: PreprocessingConfig,
        *,
        shuffle_seed: int | None = None,
        lungs: Mapping[str, LungZones] | None = None,
        captions_share: float = 0.0,
    ) -> None:
        self.captions_share = captions_share
        rows = rows_of_split(index, [split], COLUMNS)
        if shuffle_seed is None:
            self.films = [_lesion_film(row.image, row.mask, row.columns, config) for row in rows]
            if lungs:
                self.films = [_with_lungs(film, row, lungs) for film, row in zip(self.films, rows, strict=True)]
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
        if _happens(self.captions_share, rng):
            return _without_phrase(film) if rng.random() < _NO_PHRASE else _with_caption(film)
        draw = rng.random()
        if draw < _OTHER_STRUCTURE:
            return Sample(film.array, np.zeros_like(film.mask), rng.choice(grammar.ABSENT_STRUCTURES), pointed=False)
        if draw < _OTHER_STRUCTURE + _NO_PHRASE:
            return _without_phrase(film)
        if film.only_side and rng.random() < _SWAPPED_ON_ONE_SIDED:
            return _empty_side(film, rng)
        if film.zone_map is not None:
            part = _empty_zone(film, rng) if rng.random() < _EMPTY_ZONE else None
            part = _named_part(film, rng) if part is None and rng.random() < _PART else part
            if part is not None:
                return part
        elif rng.random() < _WRONG_LEVEL:
            return _empty_level(film, rng)
        if len(film.sides) == 2 and rng.random() < _ONE_SIDE:
            side = rng.choice(("left", "right"))
            phrase = grammar.finding_phrase(_vague({side: film.zones[side]}, rng), None, rng)
            return Sample(film.array, film.sides[side], phrase)
        if rng.random() < _PARAPHRASE:
            count = film.count if rng.random() < 0.5 else None
            return Sample(film.array, film.mask, grammar.finding_phrase(_vague(film.zones, rng), count, rng))
        return _with_caption(film)


def _happens(share: float, rng: random.Random) -> bool:
    """Without a draw where the answer is sure: runs with and without captions alone stay what they were."""
    return share > 0 and (share >= 1 or rng.random() < share)


def _with_caption(film: LesionFilm) -> Sample:
    return Sample(film.array, film.mask, film.caption.lower())


def _without_phrase(film: LesionFilm) -> Sample:
    return Sample(film.array, film.mask, "", absent=True, pointed=False)


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


def _named_part(film: LesionFilm, rng: random.Random) -> Sample | None:
    """A phrase for some of the places that the caption names, and that part of the lesions; None if there is none.

    The caption says where lesions are; that they reach a little into the next zone does not make it false. So a place
    that it does not name is never asked for here.
    """
    named = [(side, level) for side in ("left", "right") for level in film.zones[side]]
    if film.zone_map is None or len(named) < 2:
        return None
    sides = [side for side in ("left", "right") if film.zones[side]]
    if len(sides) == 2 and rng.random() < 0.5:  # all of one side
        side = rng.choice(sides)
        chosen = {side: film.zones[side]}
        asked = [(side, level) for level in LEVELS]
    else:  # one level, on one side or on both
        level = rng.choice(named)[1]
        of_level = [side for side in sides if level in film.zones[side]]
        chosen = {side: (level,) for side in rng.sample(of_level, rng.randint(1, len(of_level)))}
        asked = [(side, level) for side in chosen]
    target = film.mask * ((film.zone_map & sum(zone_bit(*zone) for zone in asked)) != 0)
    if target.mean() < LEAST_PART:
        return None
    return Sample(film.array, target, grammar.finding_phrase(_vague_levels(chosen, rng), None, rng))


def _vague_levels(zones: dict[str, tuple[str, ...]], rng: random.Random) -> dict[str, tuple[str, ...]]:
    """A whole side is as well named without its levels."""
    whole = len(zones) == 1 and len(next(iter(zones.values()))) > 1 and rng.random() < 0.5
    return {side: grammar.LEVELS for side in zones} if whole else zones


def _empty_zone(film: LesionFilm, rng: random.Random) -> Sample | None:
    """A phrase for a zone without a lesion; None if there is none."""
    if not film.empty:
        return None
    side, level = rng.choice(film.empty)
    phrase = grammar.finding_phrase({side: (level,)}, None, rng)
    return Sample(film.array, np.zeros_like(film.mask), phrase, pointed=False)


def _with_lungs(film: LesionFilm, row: Row, lungs: Mapping[str, LungZones]) -> LesionFilm:
    """The film with its lungs, unless they are unsound or its caption's side is in doubt."""
    known = lungs.get(row.columns["image"])
    doubtful = bool(row.columns["flag"]) or row.columns["published_side"] != "image"
    if known is None or not known.is_sound or doubtful:
        return film
    lungs_here = known.resized(film.mask.shape)
    zones = lungs_here.zones()
    near = ndimage.distance_transform_edt(film.mask == 0) <= EMPTY_MARGIN * len(film.mask)
    touched = int(np.bitwise_or.reduce(zones[near], initial=0))
    empty = tuple(
        (side, level)
        for side in SIDES
        for level in LEVELS
        if level not in film.zones[side] and not zone_bit(side, level) & touched
    )
    boxes = {"left": lung_box(lungs_here.left), "right": lung_box(lungs_here.right)}
    levels = tissue_levels(film.array.astype(np.float32), lungs_here, film.mask.astype(bool))
    return dataclasses.replace(film, zone_map=zones, boxes=boxes, levels=levels, empty=empty)


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
