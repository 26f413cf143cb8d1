"""Films with lungs (and on some heart and airways) drawn: which structure each phrase names."""

from __future__ import annotations

import dataclasses
import random
from collections import defaultdict
from pathlib import Path

import numpy as np

from TextGuidedSegLib.preprocessing import PreprocessingConfig
from training import grammar
from training.datasets.films import load_pair
from training.datasets.index import Row, rows_of_split
from training.datasets.sample import Sample

COLUMNS = ("text", "kind", "patient", "note", "chest_infection_twin")
"""Columns that the set needs besides those of every index."""

# Films drawn by radiologists have several structures and real lesions; they are few, so they are drawn more often.
_MULTI_SHARE = 0.2
_LESION_PHRASE_ON_NORMAL, _OTHER_STRUCTURE = 0.25, 0.08


@dataclasses.dataclass(frozen=True, eq=False)
class StructureFilm:
    """A film and its structures.

    Attributes:
        array: `(I, J)` float16, normalized.
        masks: Mask of each kind, a key of `grammar.STRUCTURES`.
        captions: The index's own text of each kind.
        normal: The film is called normal, so a phrase for a finding names nothing. Tuberculosis films are not: nobody
            looked for opacities on them.
    """

    array: np.ndarray
    masks: dict[str, np.ndarray]
    captions: dict[str, str]
    normal: bool


class ChestStructures:
    """Draws film and phrase pairs.

    Args:
        index: Path of `index.csv`.
        splits: Values of the column `split` to use.
        config: Preprocessing.
        held_out: Names of images and patients of the lesion set that are not in its training split; films that show
            the same patient are left out here, so that no patient crosses splits.

    Raises:
        ValueError: The index lacks one of `COLUMNS`, or no film is left.
    """

    def __init__(
        self, index: str | Path, splits: tuple[str, ...], config: PreprocessingConfig, held_out: frozenset[str]
    ):
        groups: dict[Path, list[Row]] = defaultdict(list)
        for row in rows_of_split(index, splits, COLUMNS):
            usable = row.columns["kind"] in grammar.STRUCTURES
            if usable and not held_out & {row.columns["chest_infection_twin"], row.columns["patient"]}:
                groups[row.image].append(row)
        self.films = {"plain": [], "multi": []}  # type: dict[str, list[StructureFilm]]
        for rows in groups.values():
            multi = rows[0].columns["split"] == "train_multi"
            self.films["multi" if multi else "plain"].append(_structure_film(rows, config))
        if not self.films["plain"]:
            msg = (
                f"index file {index} has no film to learn structures from: expected rows with a split of "
                f"{', '.join(splits)} other than train_multi, and one of {', '.join(grammar.STRUCTURES)} as kind"
            )
            raise ValueError(msg)

    def draw(self, rng: random.Random) -> Sample:
        """A structure of a film, a finding on a normal film (empty), or something that no chest film shows (empty)."""
        group = "multi" if self.films["multi"] and rng.random() < _MULTI_SHARE else "plain"
        film = rng.choice(self.films[group])
        empty = np.zeros_like(next(iter(film.masks.values())))
        if rng.random() < _OTHER_STRUCTURE:
            return Sample(film.array, empty, rng.choice(grammar.ABSENT_STRUCTURES), pointed=False)
        if film.normal and rng.random() < _LESION_PHRASE_ON_NORMAL:
            zones = {side: tuple(level for level in grammar.LEVELS if rng.random() < 0.5) for side in ("left", "right")}
            return Sample(film.array, empty, grammar.finding_phrase(zones, None, rng), pointed=False)
        kind = rng.choice(sorted(film.masks))
        phrase = film.captions[kind].lower() if rng.random() < 0.3 else grammar.structure_phrase(kind, rng)
        return Sample(film.array, film.masks[kind], phrase)


def _structure_film(rows: list[Row], config: PreprocessingConfig) -> StructureFilm:
    array, masks = load_pair(rows[0].image, [row.mask for row in rows], config)
    kinds = [row.columns["kind"] for row in rows]
    captions = {kind: row.columns["text"] for kind, row in zip(kinds, rows, strict=True)}
    normal = rows[0].columns["note"] == "normal"
    return StructureFilm(array, dict(zip(kinds, masks, strict=True)), captions, normal)
