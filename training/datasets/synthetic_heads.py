"""Crops of synthetic heads around one organ, labelled as the hippocampus is: what demonstrations show was learnt."""

from __future__ import annotations

import random

import numpy as np

from TextGuidedSegLib.phantom_volume import SIDES, head_volume, organ_center_ras_mm
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from TextGuidedSegLib.volume_preprocessing import prepare_volume
from training.datasets.mr_volumes import LabelledVolume, LabelledVolumes, VolumeSet, resampled_labels

COUNT = 24
_FIRST_SEED = 100_000  # test and demonstration phantoms have small seeds
_LEAST_MM, _MOST_MM = (34, 58, 34), (48, 76, 56)  # tight crops such as the real ones, and regions drawn by hand
_SHIFT_MM = 2.0
HIPPOCAMPUS = {"anterior hippocampus": (1,), "posterior hippocampus": (2,), "hippocampus": (1, 2)}


def synthetic_heads(chosen: VolumeSet, config: PreprocessingConfig) -> LabelledVolumes:
    """Draw `COUNT` crops of different patients, sides and sizes; equal every time.

    Args:
        chosen: Share and patch.
        config: Preprocessing.
    """
    return LabelledVolumes(chosen, [_crop(number, config) for number in range(COUNT)])


def _crop(number: int, config: PreprocessingConfig) -> LabelledVolume:
    rng = random.Random(number)
    seed, side = _FIRST_SEED + number, SIDES[number % 2]
    center = [middle + rng.uniform(-_SHIFT_MM, _SHIFT_MM) for middle in organ_center_ras_mm(seed, side)]
    size = [rng.randint(least, most) for least, most in zip(_LEAST_MM, _MOST_MM, strict=True)]
    volume = head_volume(seed, size_mm=size, spacing_mm=(1.0, 1.0, 1.0), center_ras_mm=center)
    prepared = prepare_volume(volume.image(), config)
    labels = volume.mask(side, "anterior") + 2 * volume.mask(side, "posterior").astype(np.uint8)
    return LabelledVolume(
        array=prepared.whole().astype(np.float16),
        labels=resampled_labels(labels, prepared),
        spacing_mm=prepared.spacing_mm,
        targets=HIPPOCAMPUS,
    )
