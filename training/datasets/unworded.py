"""Films with their whole masks and no phrase: what a network that does not read is taught with.

Phrases for one side, or for what is not there, have other targets on the same film. To a network that cannot hear them
these are false: a comparison with such a network is fair only if it is spared them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from training.datasets.sample import Sample


class Film(Protocol):
    """What the sets of findings keep of a film."""

    @property
    def array(self) -> np.ndarray:
        """`(I, J)` or `(C, I, J)` float16, normalized."""

    @property
    def mask(self) -> np.ndarray:
        """`(I, J)` uint8, all findings."""


class Unworded:
    """Draws films, all equally often.

    Args:
        films: Of a set of findings.
        picture: See `sample.Sample`.
    """

    def __init__(self, films: Sequence[Film], *, picture: bool = False) -> None:
        self.films = films
        self.picture = picture

    def draw(self, rng: random.Random) -> Sample:
        """A film with everything that is drawn on it."""
        film = rng.choice(self.films)
        return Sample(film.array, film.mask, "", absent=True, pointed=False, picture=self.picture)
