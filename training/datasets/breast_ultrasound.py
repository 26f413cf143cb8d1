"""Breast ultrasound with tumors and without: the normal films of the same hospital are what a phrase does not find."""

from __future__ import annotations

import random
from pathlib import Path

from TextGuidedSegLib.preprocessing import PreprocessingConfig
from training import grammar_picture
from training.datasets.index import Row, rows_of_split
from training.datasets.pictures import PictureFilm, picture_film, with_words_of_others
from training.datasets.sample import Sample
from training.grammar_picture import Description

COLUMNS = ("text", "prompts", "loc_mask", "klass")
"""Columns that the set needs besides those of every index."""

# p3 adds the count, p4 the size, p5 the place, p6 the shape.
_WITHOUT_COUNT = ("p1", "p2")
# What a normal film is drawn with; what is left goes to phrases for a tumor.
_OWN_CAPTION, _NO_PHRASE, _OTHER_STRUCTURE = 0.15, 0.1, 0.1
_SHAPES = frozenset({"circle", "square", "oval", "rectangle", "star", "heart", "diamond", "triangle", "triangular"})


class BreastUltrasound:
    """Draws film and phrase pairs from one split.

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
            picture_film(row, config, "breast_ultrasound", known=_look(row), without_count=_WITHOUT_COUNT)
            for row in rows
        ]
        if shuffle_seed is not None:
            self.films = with_words_of_others(self.films, rows, shuffle_seed)
        self._with_tumor = [film for film in self.films if film.mask.any()]

    def draw(self, rng: random.Random) -> Sample:
        """A film with a tumor as `PictureFilm.draw` has it, or a normal one with a phrase that finds nothing."""
        film = rng.choice(self.films)
        return film.draw(rng) if film.mask.any() else self._nothing(film, rng)

    def _nothing(self, film: PictureFilm, rng: random.Random) -> Sample:
        draw = rng.random()
        if draw < _OWN_CAPTION or not self._with_tumor:
            return film.denied(rng.choice(film.prompts))
        if draw < _OWN_CAPTION + _NO_PHRASE:
            return film.unworded()
        if draw < _OWN_CAPTION + _NO_PHRASE + _OTHER_STRUCTURE:
            return film.denied(rng.choice(grammar_picture.ABSENT["breast_ultrasound"]))
        return film.denied(rng.choice(self._with_tumor).phrase(rng))


def _look(row: Row) -> Description:
    """What kind of tumor it is, and the shape that the caption names."""
    before = row.columns["text"].lower().partition("-shaped")[0].split()
    kind = row.columns["klass"]
    return Description(
        shape=before[-1] if before[-1] in _SHAPES else None, kind=kind if kind in grammar_picture.KINDS else None
    )
