"""Right words on a wrong image: pictures that are no chest films, asked for what chest films show. Nothing is there."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from TextGuidedSegLib.preprocessing import PreprocessingConfig
from training import grammar
from training.datasets.films import load_pair
from training.datasets.index import read_index
from training.datasets.sample import Sample

_MOST = 400  # of an index: enough to be no chest film
_STRUCTURE = 0.4  # share of phrases for an organ of the chest; the others name findings


class UnlikeImages:
    """Draws pictures of other kinds, in grey, with phrases of the chest.

    Args:
        indexes: Paths of `index.csv` of sets of pictures without chest films.
        split: Value of the column `split`.
        config: Preprocessing.

    Raises:
        ValueError: There is no picture.
    """

    def __init__(self, indexes: Sequence[str | Path], split: str, config: PreprocessingConfig) -> None:
        paths: list[Path] = []
        for index in indexes:
            found = sorted({row.image for row in read_index(index) if row.columns["split"] == split})
            paths += random.Random(0).sample(found, min(_MOST, len(found)))
        if not paths:
            msg = f"no picture with split={split!r} in {', '.join(map(str, indexes)) or 'no index'}"
            raise ValueError(msg)
        self.films = [_grey(path, config) for path in paths]

    def draw(self, rng: random.Random) -> Sample:
        """A picture with a phrase for a finding of the lung or an organ of the chest, and an empty mask."""
        film = rng.choice(self.films)
        if rng.random() < _STRUCTURE:
            phrase = grammar.structure_phrase(rng.choice(sorted(grammar.STRUCTURES)), rng)
        else:
            zones = {side: tuple(level for level in grammar.LEVELS if rng.random() < 0.5) for side in ("left", "right")}
            phrase = grammar.finding_phrase(zones, None, rng)
        return Sample(film, np.zeros(film.shape, dtype=np.uint8), phrase, pointed=False)


def _grey(path: Path, config: PreprocessingConfig) -> np.ndarray:
    array, _ = load_pair(path, [], config)
    return array if array.ndim == 2 else array.mean(axis=0, dtype=np.float32).astype(np.float16)
