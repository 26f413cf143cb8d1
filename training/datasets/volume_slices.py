"""Slices of volumes with label maps as films: what a network of films learns that reads stacks of thick slices."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import NamedTuple

import numpy as np

from TextGuidedSegLib.image import Image
from TextGuidedSegLib.preprocessing import PreprocessingConfig, prepare_film
from TextGuidedSegLib.slice_runner import Slices
from training import grammar_volume
from training.datasets.films import pad_to_square
from training.datasets.index import Row
from training.datasets.label_maps import joined_labels
from training.datasets.mr_volumes import drawn_phrase, open_volume, resampled_labels, rows_by_image
from training.datasets.sample import Sample


@dataclasses.dataclass(frozen=True)
class SliceSet:
    """One kind of volume of an index, read slice by slice.

    Attributes:
        source: Value of the column `source`, empty for an index without it; `WHOLE_HEADS` for those of `whole_heads`,
            without an index.
        share: Probability that a sample is drawn from it.
        half_turn: Probability that a slice is turned by half, for files that do not say how the patient lies: the two
            usual orders of the axes differ by that.
        reversed_order: Probability that the neighbors of a slice change places: not every file begins at the same end.
        weights: How often captions are drawn, by key, where it is not 1: harder structures may come more often.
        only_absent: It is asked for what its volumes do not show, and for nothing else.
    """

    source: str
    share: float
    half_turn: float = 0.0
    reversed_order: float = 0.0
    weights: dict[str, float] = dataclasses.field(default_factory=dict)
    only_absent: bool = False


class LabelledSlice(NamedTuple):
    """One slice on the network's grid.

    Attributes:
        array: `(I, J)` float16, normalized, canonical film frame; padded to a square with its lowest value. With
            neighbors `(3, I, J)`.
        labels: `(I, J)` uint8.
        targets: Key of each caption of the volume and the labels that are joined for it.
    """

    array: np.ndarray
    labels: np.ndarray
    targets: dict[str, tuple[int, ...]]


class LabelledSlices:
    """Draws slices with phrases; what a phrase names may reach into other slices only, then nothing is there.

    Args:
        chosen: The kind of volume.
        slices: At least one.
    """

    def __init__(self, chosen: SliceSet, slices: list[LabelledSlice]) -> None:
        self.chosen, self.slices = chosen, slices

    def draw(self, rng: random.Random) -> Sample:
        """A slice, any as often as any other, with a caption, a paraphrase, a phrase for what is not there, or none."""
        chosen = rng.choice(self.slices)
        said = drawn_phrase(chosen.targets, rng, weights=self.chosen.weights, only_absent=self.chosen.only_absent)
        turned = rng.random() < self.chosen.half_turn
        array, mask = chosen.array, said.target(chosen.labels).astype(np.uint8)
        if array.ndim == 3 and rng.random() < self.chosen.reversed_order:
            array = array[::-1]
        if turned:
            array, mask = (np.rot90(each, 2, axes=(-2, -1)) for each in (array, mask))
        # What is turned is not where it is in patients.
        return Sample(array, mask, said.phrase, absent=said.absent, pointed=said.pointed and not turned)


class VolumeSlices(LabelledSlices):
    """Slices of volumes of an index.

    Args:
        index: Path of `index.csv`.
        chosen: The kind of volume.
        split: Value of the column `split`.
        config: Preprocessing.

    Raises:
        ValueError: There is no such volume in that split, or none has a caption that is given a weight.
    """

    def __init__(self, index: str | Path, chosen: SliceSet, split: str, config: PreprocessingConfig) -> None:
        groups = rows_by_image(index, chosen.source, split)
        keys = {grammar_volume.caption_key(row.columns["text"]) for rows in groups for row in rows}
        if unknown := sorted(set(chosen.weights) - keys):
            msg = f"weights of {chosen.source!r} name captions {unknown}, which no volume has; there are {sorted(keys)}"
            raise ValueError(msg)
        super().__init__(chosen, [each for rows in groups for each in labelled_slices(rows, config)])


def labelled_slices(rows: list[Row], config: PreprocessingConfig) -> list[LabelledSlice]:
    """Every slice of a volume of an index.

    Args:
        rows: All rows of one image, see `label_maps.joined_labels`.
        config: Preprocessing.
    """
    image = open_volume(rows[0])
    return slices_of(image, *joined_labels(rows, image), config)


def slices_of(
    image: Image, labels: np.ndarray, targets: dict[str, tuple[int, ...]], config: PreprocessingConfig
) -> list[LabelledSlice]:
    """Every slice of a volume.

    Args:
        image: The volume.
        labels: `(I, J, K)` uint8 on its grid.
        targets: See `LabelledSlice`.
        config: Preprocessing.
    """
    slices = Slices(image, neighbors=config.neighbor_slices)
    stack = slices.view(labels)
    found = []
    for number in range(len(slices)):
        film = prepare_film(slices.film(number), config, channels=3 if config.neighbor_slices else 1)
        array = pad_to_square(film.array, config.size, film.array.min())
        drawn = resampled_labels(stack[:, :, number : number + 1], film)[:, :, 0]
        squared = pad_to_square(drawn, config.size, 0)
        found.append(LabelledSlice(array.astype(np.float16), squared, targets))
    return found
