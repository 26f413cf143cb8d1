"""Whole synthetic heads, asked for what no head shows: a model of hearts should see that there is none."""

from __future__ import annotations

import random

import numpy as np

from TextGuidedSegLib.image import Image
from TextGuidedSegLib.phantom_volume import head_volume
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from TextGuidedSegLib.volume_preprocessing import prepare_volume
from training.datasets.mr_volumes import LabelledVolume, LabelledVolumes, VolumeSet
from training.datasets.synthetic_heads import HIPPOCAMPUS
from training.datasets.volume_slices import LabelledSlice, LabelledSlices, SliceSet, slices_of

VOLUMES, STACKS = 10, 30
_FIRST_SEED = 200_000  # others than those of the crops, of tests and of demonstrations
_LEAST_MM, _MOST_MM = (140, 170, 140), (230, 250, 230)
_SHIFT_MM = 15.0
_THIN_MM, _THICK_MM = (0.9, 1.6), (4.0, 9.0)
# As T2-weighted scans have it: what is bright in others is dark, except for the air around.
_INVERTED, _AIR = 0.4, 30.0


def whole_heads(chosen: VolumeSet, config: PreprocessingConfig) -> LabelledVolumes:
    """Draw `VOLUMES` heads of thin slices; equal every time.

    Args:
        chosen: Share and patch.
        config: Preprocessing.

    Raises:
        ValueError: The set is not asked for what is absent only: nobody labelled these.
    """
    _check(chosen)
    heads = []
    for number in range(VOLUMES):
        rng = random.Random(number)
        prepared = prepare_volume(_head(rng, number, (rng.uniform(*_THIN_MM),) * 3), config)
        array = prepared.whole().astype(np.float16)
        labels = np.zeros(array.shape, dtype=np.uint8)
        heads.append(LabelledVolume(array, labels, prepared.spacing_mm, HIPPOCAMPUS))
    return LabelledVolumes(chosen, heads)


def head_slices(chosen: SliceSet, config: PreprocessingConfig) -> LabelledSlices:
    """Draw the slices of `STACKS` heads, scanned in any direction; equal every time.

    Args:
        chosen: Share.
        config: Preprocessing.

    Raises:
        ValueError: As of `whole_heads`.
    """
    _check(chosen)
    found: list[LabelledSlice] = []
    for number in range(VOLUMES, VOLUMES + STACKS):
        rng = random.Random(number)
        spacing = [rng.uniform(*_THIN_MM)] * 3
        spacing[number % 3] = rng.uniform(*_THICK_MM)
        image = _head(rng, number, spacing)
        found += slices_of(image, np.zeros(image.array.shape, dtype=np.uint8), HIPPOCAMPUS, config)
    return LabelledSlices(chosen, found)


def _head(rng: random.Random, number: int, spacing_mm: tuple[float, ...] | list[float]) -> Image:
    size = [rng.uniform(least, most) for least, most in zip(_LEAST_MM, _MOST_MM, strict=True)]
    center = [rng.uniform(-_SHIFT_MM, _SHIFT_MM) for _ in range(3)]
    volume = head_volume(_FIRST_SEED + number, size_mm=size, spacing_mm=spacing_mm, center_ras_mm=center)
    array = volume.array
    if rng.random() < _INVERTED:
        array = np.where(array > _AIR, 255 - array, array)
    return Image.from_array(array, volume.geometry.affine_ijk_to_ras, "MR")


def _check(chosen: VolumeSet | SliceSet) -> None:
    if not chosen.only_absent:
        msg = f"{chosen.source!r} need only_absent: true, got {chosen.only_absent}: they have no labels to learn"
        raise ValueError(msg)
