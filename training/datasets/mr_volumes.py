"""Volumes with label maps: hippocampus, heart and left atrium in MR, or anything else; a phrase names joined labels."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from TextGuidedSegLib.volume_preprocessing import PreparedVolume, prepare_volume
from training import grammar_volume
from training.datasets.films import load_mask
from training.datasets.index import Row, read_index
from training.datasets.volume_sample import VolumeSample

NOMINAL_SPACING_MM = {"ACDC training set": (1.5, 1.5, 10.0)}
"""Voxel size of files whose own was lost, by the column `source`: about right, and better than 1 x 1 x 1 mm."""

SYNTHETIC = "synthetic heads"

# Of the samples: no phrase, a phrase for what is not there, the caption; the rest are paraphrases.
_NO_PHRASE, _NOT_THERE, _CAPTION = 0.05, 0.15, 0.2
# Crops around a voxel of what the phrase names; the others lie anywhere.
_AROUND_TARGET = 0.6
Shape = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class VolumeSet:
    """One kind of volume of an index.

    Attributes:
        source: Value of the column `source`; `SYNTHETIC` for heads that `synthetic_heads` draws, without an index.
        share: Probability that a batch is drawn from it.
        patch: Voxels of a training crop along each axis, at most: crops are as small as the volumes of their batch.
        oriented: The files say how the patient lies.
        never_shown: Phrases for what none of its volumes shows, labelled or not; empty for the grammar's own, which
            knows the structures of MR only.
    """

    source: str
    share: float
    patch: tuple[int, ...]
    oriented: bool = True
    never_shown: tuple[str, ...] = ()


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
        kind = rng.random()
        if kind < _NO_PHRASE:
            return self._sample(volume, volume.mask(None), "", patch, rng, absent=True, pointed=False)
        shown = frozenset(volume.targets)
        if kind < _NO_PHRASE + _NOT_THERE:
            phrase, nothing = self._absent_phrase(shown, rng), np.zeros(volume.labels.shape, dtype=bool)
            return self._sample(volume, nothing, phrase, patch, rng, pointed=False)
        key = rng.choice(sorted(shown))
        as_published = kind < _NO_PHRASE + _NOT_THERE + _CAPTION
        phrase = f"{key}." if as_published else grammar_volume.structure_phrase(key, rng)
        return self._sample(volume, volume.mask(key), phrase, patch, rng)

    def _absent_phrase(self, shown: frozenset[str], rng: random.Random) -> str:
        if self.chosen.never_shown:
            return grammar_volume.structure_phrase(rng.choice(self.chosen.never_shown), rng)
        return grammar_volume.absent_phrase(shown, rng)

    def _sample(
        self, volume: LabelledVolume, target: np.ndarray, phrase: str, patch: Shape, rng: random.Random, *,
        absent: bool = False, pointed: bool = True,
    ) -> VolumeSample:  # fmt: skip
        start = _start(volume.mask(None), patch, rng)
        shape = np.array(target.shape)
        borders = np.stack([start, np.array(start) + patch], axis=1)
        return VolumeSample(
            array=_crop(volume.array, start, patch),
            mask=_crop(target.astype(np.uint8), start, patch),
            frame_mask=_resized(target, patch),
            window=2 * borders / shape[:, None] - 1,
            spacing_mm=volume.spacing_mm,
            phrase=phrase,
            absent=absent,
            pointed=pointed,
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
        rows = [row for row in read_index(index) if row.columns["split"] == split]
        rows = [row for row in rows if row.columns.get("source") == chosen.source]
        if not rows:
            msg = f"{index} has no row with split={split!r} and source={chosen.source!r}"
            raise ValueError(msg)
        by_image: dict[Path, list[Row]] = {}
        for row in rows:
            by_image.setdefault(row.image, []).append(row)
        super().__init__(chosen, [load_volume(group, config) for group in by_image.values()])


def load_volume(rows: Sequence[Row], config: PreprocessingConfig) -> LabelledVolume:
    """A volume and its labels on the network's grid.

    Args:
        rows: All rows of one image; they have one label map.
        config: Preprocessing.
    """
    image = open_volume(rows[0])
    prepared = prepare_volume(image, config)
    targets = {grammar_volume.caption_key(row.columns["text"]): label_values(row) for row in rows}
    return LabelledVolume(
        array=prepared.whole().astype(np.float16),
        labels=resampled_labels(read_labels(rows[0], image), prepared),
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


def label_values(row: Row) -> tuple[int, ...]:
    """Labels that are joined for a row's text; the column `label` holds them with commas between.

    Raises:
        ValueError: The cell holds no whole numbers.
    """
    cell = row.columns["label"]
    try:
        return tuple(int(value) for value in cell.split(","))
    except ValueError as error:
        msg = f"the column label of {row.mask} must hold whole numbers with commas between, got {cell!r}"
        raise ValueError(msg) from error


def read_labels(row: Row, image: Image) -> np.ndarray:
    """Label map `(I, J, K)` on the image's own grid.

    Raises:
        ImageError: The file cannot be read.
        ValueError: It has another size than the image.
    """
    stored = read_image(row.mask).array
    if stored.shape != image.geometry.shape:
        msg = f"label map {row.mask} has {stored.shape} voxels, its image {image.geometry.shape}; expected the same"
        raise ValueError(msg)
    return stored


def load_truth(row: Row, image: Image) -> np.ndarray:
    """The mask of a row as bool on the image's own grid `(I, J, K)`: joined labels of a volume, or a film's mask.

    Raises:
        ImageError: The mask cannot be read.
        ValueError: The mask has another size than the image.
    """
    if image.kind == "volume" and row.columns.get("label"):
        return np.isin(read_labels(row, image), label_values(row))
    return load_mask(row.mask, image)


def resampled_labels(labels: np.ndarray, prepared: PreparedVolume) -> np.ndarray:
    """Labels `(I, J, K)` on an image's own grid to uint8 on the network's: of each voxel the label most of it has."""
    canonical = prepared.reorientation.apply(labels).astype(np.uint8)
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
