"""Volumes with label maps: hippocampus, heart and left atrium in MR, or anything else; a phrase names joined labels."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.preprocessing import PreparedFilm, PreprocessingConfig
from TextGuidedSegLib.volume_preprocessing import PreparedVolume, prepare_volume
from training import grammar_volume
from training.datasets.index import Row, read_index
from training.datasets.label_maps import joined_labels
from training.datasets.volume_sample import VolumeSample

NOMINAL_SPACING_MM = {"ACDC training set": (1.5, 1.5, 10.0)}
"""Voxel size of files whose own was lost, by the column `source`: about right, and better than 1 x 1 x 1 mm."""

SYNTHETIC = "synthetic heads"
WHOLE_HEADS = "whole synthetic heads"

# Of the samples: no phrase, a phrase for what is not there, the caption; the rest are paraphrases.
_NO_PHRASE, _NOT_THERE, _CAPTION = 0.05, 0.15, 0.2
# Crops around a voxel of what the phrase names; the others lie anywhere.
_AROUND_TARGET = 0.6
Shape = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class VolumeSet:
    """One kind of volume of an index.

    Attributes:
        source: Value of the column `source`, empty for an index without it; `SYNTHETIC` for crops that
            `synthetic_heads` draws, and `WHOLE_HEADS` for those of `whole_heads`, without an index.
        share: Probability that a batch is drawn from it.
        patch: Voxels of a training crop along each axis, at most: crops are as small as the volumes of their batch.
        oriented: The files say how the patient lies.
        never_shown: Phrases for what none of its volumes shows, labelled or not; empty for the grammar's own, which
            knows the structures of MR only.
        only_absent: It is asked for nothing else.
    """

    source: str
    share: float
    patch: tuple[int, ...]
    oriented: bool = True
    never_shown: tuple[str, ...] = ()
    only_absent: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledVolume:
    """One volume on the network's grid.

    Attributes:
        array: `(I, J, K)` float16, normalized.
        labels: `(I, J, K)` uint8.
        spacing_mm: `(3,)` size of a voxel.
        targets: Key of each caption and the labels that are joined for it.
    """

    array: np.ndarray
    labels: np.ndarray
    spacing_mm: np.ndarray
    targets: dict[str, tuple[int, ...]]

    def mask(self, key: str | None) -> np.ndarray:
        """`(I, J, K)` bool of one caption; None for everything that is labelled."""
        return self.labels > 0 if key is None else np.isin(self.labels, self.targets[key])


class Said(NamedTuple):
    """A phrase and the labels it names.

    Attributes:
        phrase: Normalized words; empty when `absent`.
        labels: Labels that are joined for it, none for what is not there; None for everything that is labelled.
        absent: There is no phrase.
    """

    phrase: str
    labels: tuple[int, ...] | None
    absent: bool = False

    @property
    def pointed(self) -> bool:
        """The words name something that is labelled."""
        return bool(self.labels)

    def target(self, labels: np.ndarray) -> np.ndarray:
        """Where in a label map of any shape the named labels are, bool."""
        return labels > 0 if self.labels is None else np.isin(labels, self.labels)


def drawn_phrase(
    targets: Mapping[str, tuple[int, ...]],
    rng: random.Random,
    never_shown: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    *,
    only_absent: bool = False,
) -> Said:
    """Draw what a volume is asked: a caption, a paraphrase, a phrase for what is not there, or nothing.

    Args:
        targets: Of the volume, see `LabelledVolume`.
        rng: Source of the choice.
        never_shown: See `VolumeSet`.
        weights: How often captions are drawn, by key; 1 where it is not said.
        only_absent: Draw a phrase for what is not there.
    """
    kind = rng.random()
    if kind < _NO_PHRASE and not only_absent:
        return Said("", None, absent=True)
    if kind < _NO_PHRASE + _NOT_THERE or only_absent:
        if never_shown:
            return Said(grammar_volume.structure_phrase(rng.choice(never_shown), rng), ())
        return Said(grammar_volume.absent_phrase(frozenset(targets), rng), ())
    keys = sorted(targets)
    key = rng.choices(keys, [weights.get(each, 1.0) for each in keys])[0] if weights else rng.choice(keys)
    as_published = kind < _NO_PHRASE + _NOT_THERE + _CAPTION
    return Said(f"{key}." if as_published else grammar_volume.structure_phrase(key, rng), targets[key])


class LabelledVolumes:
    """Draws crops and phrases from volumes of one kind.

    Args:
        chosen: The kind.
        volumes: At least one.

    Raises:
        ValueError: The patch is not three numbers.
    """

    def __init__(self, chosen: VolumeSet, volumes: Sequence[LabelledVolume]) -> None:
        self.chosen = chosen
        if len(chosen.patch) != 3 or min(chosen.patch) < 1:
            msg = f"the patch of {chosen.source!r} must be three sizes, got {list(chosen.patch)}"
            raise ValueError(msg)
        self.volumes = volumes

    def draw(self, rng: random.Random, count: int) -> list[VolumeSample]:
        """Crops of one size, each with a caption, a paraphrase, a phrase for what is not there, or none.

        They are no larger than the largest of their volumes: in use a volume is padded to what the network needs and no
        further, and a normalization over the whole of it sees the difference.
        """
        volumes = [rng.choice(self.volumes) for _ in range(count)]
        first, second, third = (
            min(side, max(volume.labels.shape[axis] for volume in volumes))
            for axis, side in enumerate(self.chosen.patch)
        )
        return [self._drawn(volume, (first, second, third), rng) for volume in volumes]

    def _drawn(self, volume: LabelledVolume, patch: Shape, rng: random.Random) -> VolumeSample:
        said = drawn_phrase(volume.targets, rng, self.chosen.never_shown, only_absent=self.chosen.only_absent)
        target = said.target(volume.labels)
        start = _start(volume.mask(None), patch, rng)
        shape = np.array(target.shape)
        borders = np.stack([start, np.array(start) + patch], axis=1)
        return VolumeSample(
            array=_crop(volume.array, start, patch),
            mask=_crop(target.astype(np.uint8), start, patch),
            frame_mask=_resized(target, patch),
            window=2 * borders / shape[:, None] - 1,
            spacing_mm=volume.spacing_mm,
            phrase=said.phrase,
            absent=said.absent,
            pointed=said.pointed,
            oriented=self.chosen.oriented,
        )


class MrVolumes(LabelledVolumes):
    """Volumes of one set and split of an index.

    Args:
        index: Path of `index.csv`.
        chosen: The set.
        split: Value of the column `split`.
        config: Preprocessing.

    Raises:
        ValueError: The set has no volume in that split, or its patch is not three numbers.
    """

    def __init__(self, index: str | Path, chosen: VolumeSet, split: str, config: PreprocessingConfig) -> None:
        super().__init__(chosen, [load_volume(rows, config) for rows in rows_by_image(index, chosen.source, split)])


def rows_by_image(index: str | Path, source: str, split: str) -> list[list[Row]]:
    """The rows of each volume of one kind and split.

    Raises:
        ValueError: There are none.
    """
    by_image: dict[Path, list[Row]] = {}
    for row in read_index(index, ("text",)):
        if row.columns["split"] == split and (row.columns.get("source") or "") == source:
            by_image.setdefault(row.image, []).append(row)
    if not by_image:
        msg = f"{index} has no row with split={split!r} and source={source!r}"
        raise ValueError(msg)
    return list(by_image.values())


def load_volume(rows: Sequence[Row], config: PreprocessingConfig) -> LabelledVolume:
    """A volume and its labels on the network's grid.

    Args:
        rows: All rows of one image, see `label_maps.joined_labels`.
        config: Preprocessing.
    """
    image = open_volume(rows[0])
    labels, targets = joined_labels(rows, image)
    prepared = prepare_volume(image, config)
    return LabelledVolume(
        array=prepared.whole().astype(np.float16),
        labels=resampled_labels(labels, prepared),
        spacing_mm=prepared.spacing_mm,
        targets=targets,
    )


def open_volume(row: Row) -> Image:
    """The image of a row, with the nominal spacing where its own was lost."""
    image = read_image(row.image)
    nominal = NOMINAL_SPACING_MM.get(row.columns.get("source", ""))
    if nominal is None or not row.columns.get("spacing", "").startswith("unknown"):
        return image
    affine = image.geometry.affine_ijk_to_ras.copy()
    affine[:3, :3] *= np.array(nominal) / image.geometry.spacing_mm
    return dataclasses.replace(image, geometry=Geometry(image.geometry.shape, affine), spacing_known=False)


def resampled_labels(labels: np.ndarray, prepared: PreparedVolume | PreparedFilm) -> np.ndarray:
    """Labels `(I, J, K)` uint8 on an image's own grid to the network's: of each voxel the label most of it has."""
    canonical = prepared.reorientation.apply(labels)
    if prepared.plan.shape == prepared.plan.model_shape:
        return canonical
    values = np.unique(canonical)
    shares = [prepared.plan.apply((canonical == value).astype(np.float32)) for value in values]
    most: np.ndarray = values[np.argmax(shares, axis=0)]
    return most


def _start(labelled: np.ndarray, patch: Shape, rng: random.Random) -> Shape:
    """First voxel of a crop; a volume that is smaller than the crop is padded at its end, as in use."""
    places = np.argwhere(labelled) if rng.random() < _AROUND_TARGET and labelled.any() else None
    middle = None if places is None else places[rng.randrange(len(places))]
    start = []
    for axis, (size, side) in enumerate(zip(labelled.shape, patch, strict=True)):
        last = max(0, size - side)
        place = rng.randint(0, last)
        start.append(place if middle is None else int(np.clip(middle[axis] - side // 2, 0, last)))
    return start[0], start[1], start[2]


def _crop(array: np.ndarray, start: Shape, patch: Shape) -> np.ndarray:
    """Part of an array, with zeros after its end."""
    cut = np.zeros(patch, dtype=array.dtype)
    part = array[tuple(slice(first, first + side) for first, side in zip(start, patch, strict=True))]
    cut[tuple(slice(0, size) for size in part.shape)] = part
    return cut


def _resized(mask: np.ndarray, patch: Shape) -> np.ndarray:
    """The whole mask at the size of the crop, float16 shares."""
    whole = torch.from_numpy(mask.astype(np.float32))[None, None]
    return functional.adaptive_avg_pool3d(whole, patch)[0, 0].numpy().astype(np.float16)
