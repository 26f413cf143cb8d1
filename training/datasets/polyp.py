"""Endoscopy pictures with polyps: captions from one word to all, paraphrases, places, and what no colon shows."""

from __future__ import annotations

import random
from pathlib import Path

from TextGuidedSegLib.preprocessing import PreprocessingConfig
from training.datasets.index import Row, rows_of_split
from training.datasets.pictures import PictureFilm, picture_film, with_words_of_others
from training.datasets.sample import Sample
from training.grammar_picture import Description

COLUMNS = ("text", "prompts", "loc_mask")
"""Columns that the set needs besides those of every index."""

# p2 adds the shape, p3 the color, p4 the size, p5 the count, p6 the place.
_WITHOUT_COUNT = ("p1", "p2", "p3", "p4")
# Some shapes are whole sentences, others are guesses of a model that nobody types ("middle of donut").
_SHAPES = frozenset({"round", "circle", "oval", "triangular", "flat", "ovoid"})


class Polyps:
    """Draws film and phrase pairs from one split.

    Every film shows a polyp: what is not there is another structure, or a polyp at a place that is free for sure.

    Args:
        index: Path of `index.csv`.
        split: Value of the column `split`.
        config: Preprocessing.
        shuffle_seed: Give every film another one's captions; which one is fixed by this seed. None: its own.

    Raises:
        ValueError: The index lacks one of `COLUMNS`, or has no film of that split.
    """

    def __init__(
        self, index: str | Path, split: str, config: PreprocessingConfig, *, shuffle_seed: int | None = None
    ) -> None:
        rows = rows_of_split(index, [split], COLUMNS)
        self.films: list[PictureFilm] = [
            picture_film(row, config, "polyp", known=_look(row), without_count=_WITHOUT_COUNT) for row in rows
        ]
        if shuffle_seed is not None:
            self.films = with_words_of_others(self.films, rows, shuffle_seed)

    def draw(self, rng: random.Random) -> Sample:
        """A film with a caption, a paraphrase, a phrase for one place, for what is not there, or with none."""
        return rng.choice(self.films).draw(rng)


def _look(row: Row) -> Description:
    """Shape and color, the words that the second and the third prompt add."""
    words = row.columns["text"].lower().partition(" polyp")[0].split()
    shape = words[-1] if words[-1] in _SHAPES else None
    return Description(shape=shape, color=words[-2] if shape and words[-2].isalpha() else None)
