"""Synthetic heads for training: labelled as real crops are, the same every time, without reading an index."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from Testing.training.volume_sets import PREPROCESSING, volume_config
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from training.datasets.mr_volumes import SYNTHETIC, LabelledVolumes, VolumeSet
from training.datasets.synthetic_heads import COUNT, synthetic_heads
from training.sources import build_sources

SET = VolumeSet(SYNTHETIC, 1.0, (48, 64, 48))


@pytest.fixture(scope="module")
def heads() -> LabelledVolumes:
    return synthetic_heads(SET, PreprocessingConfig(spacing_mm=(1.0, 1.0, 1.0), keep_coarse_axes=True))


def test_every_crop_shows_one_whole_organ_of_two_parts(heads: LabelledVolumes) -> None:
    assert len(heads.volumes) == COUNT
    for volume in heads.volumes:
        front, back, whole = (volume.mask(f"{part}hippocampus") for part in ("anterior ", "posterior ", ""))
        assert np.array_equal(front | back, whole)
        assert not (front & back).any()
        assert min(front.sum(), back.sum()) > 800
        # Canonical frame: the second axis runs to anterior.
        assert np.argwhere(front)[:, 1].min() > np.argwhere(back)[:, 1].max()
        border = np.ones(whole.shape, dtype=bool)
        border[1:-1, 1:-1, 1:-1] = False
        assert not (whole & border).any()


def test_they_are_the_same_every_time(heads: LabelledVolumes) -> None:
    again = synthetic_heads(SET, PreprocessingConfig(spacing_mm=(1.0, 1.0, 1.0), keep_coarse_axes=True))
    assert all(
        np.array_equal(one.array, other.array) and np.array_equal(one.labels, other.labels)
        for one, other in zip(heads.volumes, again.volumes, strict=True)
    )


def test_a_run_of_synthetic_heads_alone_reads_no_index(tmp_path: Path) -> None:
    config = volume_config(tmp_path / "missing.csv", preprocessing=PREPROCESSING)
    data = dataclasses.replace(config.data, volume_sets=(VolumeSet(SYNTHETIC, 0.5, (16, 16, 16)),))
    ((share, source),) = build_sources(dataclasses.replace(config, data=data))
    assert share == 0.5
    assert isinstance(source, LabelledVolumes)
