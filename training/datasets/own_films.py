"""Films of one's own with captions in any words: each caption with its mask, as the index says."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np

from TextGuidedSegLib.errors import PhraseError
from TextGuidedSegLib.phrase import parse
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from training.datasets.films import load_pair
from training.datasets.index import Row, rows_of_split
from training.datasets.sample import Sample

COLUMNS = ("text",)
"""Columns that the set needs besides those of every index."""

# Share of samples without a phrase; all others have a caption. Phrases for what is not there are rows with empty masks.
_NO_PHRASE = 0.05


@dataclasses.dataclass(frozen=True, eq=False)
class OwnFilm:
    """A film and what its rows say.

    Attributes:
        array: `(I, J)` float16, normalized; `(C, I, J)` for a color film.
        mask: `(I, J)` uint8 in {0, 1}, everything that one of its rows marks.
        captions: Words, as the text encoder sees them in use, and their mask.
    """

    array: np.ndarray
    mask: np.ndarray
    captions: tuple[tuple[str, np.ndarray], ...]


class OwnFilms:
    """Draws film and phrase pairs from one split.

    Texts speak of the patient's sides. A film that is mirrored gets its caption with the sides swapped, so that both
    sides are learned from either.

    Args:
        index: Path of `index.csv`; one row for each text of an image.
        split: Value of the column `split`.
        config: Preprocessing.

    Raises:
        ValueError: The index lacks one of `COLUMNS`, has no film of that split, or a text that is no phrase.
        ImageError: A file cannot be read, or is no film.
    """

    def __init__(self, index: str | Path, split: str, config: PreprocessingConfig) -> None:
        groups: dict[Path, list[Row]] = {}
        for row in rows_of_split(index, [split], COLUMNS):
            groups.setdefault(row.image, []).append(row)
        words = [[_heard(row, index) for row in rows] for rows in groups.values()]  # all of them before a film is read
        self.films = [_film(rows, said, config) for rows, said in zip(groups.values(), words, strict=True)]

    def draw(self, rng: random.Random) -> Sample:
        """A film, any as often as any other, with one of its captions or, rarely, without a phrase."""
        film = rng.choice(self.films)
        if rng.random() < _NO_PHRASE:
            return Sample(film.array, film.mask, "", absent=True, pointed=False)
        words, mask = rng.choice(film.captions)
        return Sample(film.array, mask, words, pointed=bool(mask.any()))


def _heard(row: Row, index: str | Path) -> str:
    try:
        return parse(row.columns["text"]).heard
    except PhraseError as error:
        msg = f"the text of {row.mask.name} in {index} is no phrase: {error}"
        raise ValueError(msg) from error


def _film(rows: list[Row], words: list[str], config: PreprocessingConfig) -> OwnFilm:
    array, masks = load_pair(rows[0].image, [row.mask for row in rows], config)
    return OwnFilm(array, np.maximum.reduce(masks), tuple(zip(words, masks, strict=True)))
