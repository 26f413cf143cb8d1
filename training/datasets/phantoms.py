"""Synthetic chest films with every lesion known by side and level: the obedience that captions cannot teach."""

from __future__ import annotations

import itertools
import random
from typing import get_args

import numpy as np

from TextGuidedSegLib.phantom import Level, PhantomFilm, chest_film
from TextGuidedSegLib.phantom_anatomy import Side
from TextGuidedSegLib.preprocessing import PreprocessingConfig, normalize
from training import grammar
from training.datasets.sample import Sample

_PLACES = tuple(itertools.product(get_args(Side), get_args(Level)))


class PhantomFilms:
    """A fixed set of phantoms, each with none to three lesions.

    Args:
        count: Number of films.
        config: Preprocessing; phantoms are drawn at `config.size`, square.
        seed: Seed of the first film; the others count up, so that test phantoms can use seeds of their own.
    """

    def __init__(self, count: int, config: PreprocessingConfig, *, seed: int) -> None:
        self.films: list[tuple[np.ndarray, PhantomFilm]] = []
        for number in range(seed, seed + count):
            rng = random.Random(number)
            lesions = rng.sample(_PLACES, rng.choice((0, 1, 1, 2, 3)))
            film = chest_film(number, size=(config.size, config.size), lesions=lesions)
            self.films.append((normalize(film.array.T, config).astype(np.float16), film))

    def draw(self, rng: random.Random) -> Sample:
        """A lung, both, or a finding at places that may or may not have one."""
        array, film = rng.choice(self.films)
        if rng.random() < 0.3:
            return _structure(array, film, rng)
        zones = {side: tuple(level for level in grammar.LEVELS if rng.random() < 0.4) for side in ("left", "right")}
        if film.lesion_places and rng.random() < 0.6:
            side, level, _ = rng.choice(film.lesion_places)
            zones = {side: (level,) if rng.random() < 0.6 else grammar.LEVELS}
        named = [
            mask for side, level, mask in film.lesion_places
            if level in zones.get(side, ()) or not any(zones.values())
        ]  # fmt: skip
        mask = np.any(named, axis=0) if named else np.zeros(film.lesions.shape, dtype=bool)
        phrase = grammar.finding_phrase(zones, None, rng)
        return Sample(array, mask.T.astype(np.uint8), phrase, pointed=bool(named))


def _structure(array: np.ndarray, film: PhantomFilm, rng: random.Random) -> Sample:
    masks = {
        "left lung": film.lungs["left"],
        "right lung": film.lungs["right"],
        "both lungs": film.lungs["left"] | film.lungs["right"],
    }
    kind = rng.choice(sorted(masks))
    return Sample(array, masks[kind].T.astype(np.uint8), grammar.structure_phrase(kind, rng))
