"""Lesions of one hospital's films laid into the normal films of another one.

Every normal film of the data comes from one hospital and every lesion from others, so a network can tell *nothing
there* by the look of the hospital. On these films it cannot: the lesion, its absence on the other side, and a patch of
healthy lung laid in the same way all stand on a normal film. The healthy patch keeps the seam from telling the answer.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import random
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from training import grammar
from training.datasets.chest_infection import LesionFilm
from training.datasets.chest_structures import StructureFilm
from training.datasets.sample import Sample
from training.levels import LEVELS
from training.lung_zones import (
    EMPTY_MARGIN,
    LEAST_PART,
    SIDES,
    Box,
    LungZones,
    lung_box,
    side_bits,
    tissue_levels,
    zone_bit,
)

# Shares of what is asked of a film: the lesion, a place beside it, the patch of healthy lung that looks laid in too.
_LESION, _BESIDE = 0.45, 0.25
_SOFTNESS = 0.012
"""Standard deviation of the patch's border, as a share of the film's width."""

_REACH = 0.03
"""How far a patch may reach over the border of the lung, as a share of the film's width."""

_LEAST_CONTRAST = 0.2
"""Between lung and mediastinum, in standard deviations of the film; as much brighter a lesion must make its place."""

_TRIES = 8

# As few levels are named as hold this part of the lesion.
_NAMED = 0.8


@dataclasses.dataclass(frozen=True, eq=False)
class Laid:
    """A normal film with a patch of another film in one of its lungs.

    Attributes:
        array: `(I, J)` float32, the film.
        patch: `(I, J)` bool, what was laid in: the lesion, or the place of one on a healthy lung.
        side: The patient's side it lies on.
        lungs: Both lungs of the normal film.
        brighter: How much brighter the patch made its place, in the film's scale.
    """

    array: np.ndarray
    patch: np.ndarray
    side: str
    lungs: LungZones
    brighter: float


class BlendedFilms:
    """Draws phrases for lesions on films that had none, and for places of them that have none.

    Args:
        normal: Films called normal, with both lungs drawn; others are left out.
        lesions: Films with lesions; those whose lungs are not known are left out.

    Raises:
        ValueError: One of the two has no film that can be used.
    """

    def __init__(self, normal: Sequence[StructureFilm], lesions: Sequence[LesionFilm]) -> None:
        self._normal = [film for film in normal if film.normal and {"left lung", "right lung"} <= film.masks.keys()]
        self._lesions = [film for film in lesions if film.boxes and any(_part(film, side).any() for side in SIDES)]
        self._one_sided = [film for film in self._lesions if film.only_side]
        if not self._normal or not self._one_sided:
            msg = (
                f"blending lesions into normal films needs both: {len(self._normal)} normal films with two lungs, "
                f"{len(self._one_sided)} one-sided lesion films whose lungs are known (data.lungs)"
            )
            raise ValueError(msg)

    def draw(self, rng: random.Random) -> Sample:
        """A lesion on a normal film with a phrase that names it, or a phrase for a place without one."""
        film, draw = rng.choice(self._normal), rng.random()
        if draw >= _LESION + _BESIDE:
            laid = lay(film, rng.choice(self._one_sided), rng, healthy=True)
            return _empty(laid, laid.side, LEVELS, rng)
        laid = self._lesion(film, rng)
        if draw < _LESION and laid.brighter >= _LEAST_CONTRAST and laid.patch.mean() >= LEAST_PART:
            named = _named_levels(laid) if rng.random() < 0.75 else LEVELS
            return _sample(laid, laid.patch, grammar.finding_phrase({laid.side: named}, None, rng), pointed=True)
        clear = _clear_levels(laid)
        if clear and rng.random() < 0.4:
            return _empty(laid, laid.side, (rng.choice(clear),), rng)
        asked = tuple(level for level in LEVELS if rng.random() < 0.5) or LEVELS
        return _empty(laid, _other(laid.side), asked, rng)

    def _lesion(self, film: StructureFilm, rng: random.Random) -> Laid:
        """A lesion that shows: some are drawn where the film is no brighter than a healthy lung of another film."""
        for _ in range(_TRIES):
            laid = lay(film, rng.choice(self._lesions), rng)
            if laid.brighter >= _LEAST_CONTRAST:
                break
        return laid


def lay(film: StructureFilm, donor: LesionFilm, rng: random.Random, *, healthy: bool = False) -> Laid:
    """Lay a part of one film into the lung of another, moved and stretched from lung to lung, of the same brightness.

    Args:
        film: A normal film with both lungs.
        donor: A film with lesions and known lungs; with `healthy` a one-sided one.
        rng: Chooses the sides.
        healthy: Lay the healthy lung in, at the place that mirrors the lesion.
    """
    lungs = LungZones(film.masks["left lung"].astype(bool), film.masks["right lung"].astype(bool))
    side = rng.choice(SIDES)
    own = lungs.left if side == "left" else lungs.right
    if healthy:
        source = _other(donor.only_side or "left")
        patch = _moved(donor.mask, donor.boxes[_other(source)], donor.boxes[source], mirrored=True) > 0.5
    else:
        source = rng.choice([side for side in SIDES if _part(donor, side).any()])
        patch = _part(donor, source)
    move = functools.partial(_moved, source=donor.boxes[source], goal=lung_box(own), mirrored=side != source)
    reach = ndimage.binary_dilation(own, iterations=max(1, round(_REACH * len(own))))
    place = (move(patch) > 0.5) & reach
    array = film.array.astype(np.float32)
    moved = _as_bright(move(donor.array), donor, tissue_levels(array, lungs, np.zeros_like(own)))
    weight = ndimage.gaussian_filter(place.astype(np.float32), _SOFTNESS * len(place))
    laid = np.asarray(array + weight * (moved - array), dtype=np.float32)
    return Laid(laid, place, side, lungs, brighter=float((laid - array)[place].mean()) if place.any() else 0.0)


def _as_bright(patch: np.ndarray, donor: LesionFilm, goal: tuple[float, float]) -> np.ndarray:
    """The patch in the grey values of a film whose aerated lung and mediastinum are as bright as `goal`."""
    air, tissue = donor.levels or goal
    return (patch - air) * (goal[1] - goal[0]) / max(tissue - air, _LEAST_CONTRAST) + goal[0]


def _moved(array: np.ndarray, source: Box, goal: Box, *, mirrored: bool) -> np.ndarray:
    """`(I, J)` moved so that one box comes to lie on the other, float32; mirrored, the boxes' sides change places."""
    scale = [(source[1] - source[0]) / (goal[1] - goal[0]), (source[3] - source[2]) / (goal[3] - goal[2])]
    offset = [source[0] - scale[0] * goal[0], source[2] - scale[1] * goal[2]]
    if mirrored:
        scale[0], offset[0] = -scale[0], source[1] - 1 + scale[0] * goal[0]
    moved: np.ndarray = ndimage.affine_transform(
        array.astype(np.float32), np.array(scale), np.array(offset), order=1, mode="nearest"
    )
    return moved


def _part(film: LesionFilm, side: str) -> np.ndarray:
    """Lesions of one side, `(I, J)` bool."""
    part: np.ndarray = film.mask.astype(bool) & ((np.asarray(film.zone_map) & side_bits(side)) != 0)
    return part


def _other(side: str) -> str:
    return "right" if side == "left" else "left"


def _named_levels(laid: Laid) -> tuple[str, ...]:
    if not laid.patch.any():
        return ()
    zones = laid.lungs.zones()[laid.patch]

    def share(levels: tuple[str, ...]) -> float:
        return float(((zones & sum(zone_bit(laid.side, level) for level in levels)) != 0).mean())

    for number in range(1, len(LEVELS)):
        best = max(itertools.combinations(LEVELS, number), key=share)
        if share(best) >= _NAMED:
            return best
    return LEVELS


def _clear_levels(laid: Laid) -> tuple[str, ...]:
    """Levels of the same lung that keep a distance from the patch."""
    near = ndimage.binary_dilation(laid.patch, iterations=max(1, round(EMPTY_MARGIN * len(laid.patch))))
    touched = int(np.bitwise_or.reduce(laid.lungs.zones()[near], initial=0))
    return tuple(level for level in LEVELS if not zone_bit(laid.side, level) & touched)


def _empty(laid: Laid, side: str, levels: tuple[str, ...], rng: random.Random) -> Sample:
    phrase = grammar.finding_phrase({side: levels}, None, rng)
    return _sample(laid, np.zeros_like(laid.patch), phrase, pointed=False)


def _sample(laid: Laid, target: np.ndarray, phrase: str, *, pointed: bool) -> Sample:
    return Sample(laid.array.astype(np.float16), target.astype(np.uint8), phrase, pointed=pointed)
