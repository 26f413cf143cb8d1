"""Whole synthetic heads for training: the same every time, and asked for nothing that a head shows."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest

from Testing.training.volume_sets import PREPROCESSING, volume_config
from TextGuidedSegLib.phrase import parse
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from training.datasets.mr_volumes import WHOLE_HEADS, LabelledVolumes, VolumeSet
from training.datasets.volume_slices import LabelledSlices, SliceSet
from training.datasets.whole_heads import STACKS, VOLUMES, head_slices, whole_heads
from training.sources import build_sources

SET = VolumeSet(WHOLE_HEADS, 0.5, (16, 16, 16), only_absent=True)
SLICES = SliceSet(WHOLE_HEADS, 0.5, half_turn=0.5, only_absent=True)
SMALL = PreprocessingConfig(size=24, neighbor_slices=True)


@pytest.fixture(scope="module")
def slices() -> LabelledSlices:
    return head_slices(SLICES, SMALL)


def test_no_head_is_asked_for_what_it_shows(slices: LabelledSlices) -> None:
    volumes = whole_heads(SET, PREPROCESSING)
    assert len(volumes.volumes) == VOLUMES
    rng = random.Random(0)
    drawn = [*(slices.draw(rng) for _ in range(300)), *volumes.draw(rng, 300)]
    heart = 0
    for sample in drawn:
        assert not sample.mask.any()
        assert not sample.absent
        assert not sample.pointed
        structures = {place.structure for place in parse(sample.phrase).places}
        assert not structures & {"brain", "hippocampus", "anterior hippocampus", "posterior hippocampus"}
        heart += bool(structures & {"ventricle", "ventricular cavity", "myocardium", "atrium"})
    assert heart > 0.3 * len(drawn)


def test_they_are_scanned_in_every_direction_and_the_same_every_time(slices: LabelledSlices) -> None:
    again = head_slices(SLICES, SMALL)
    assert len(slices.slices) == len(again.slices) > 10 * STACKS
    for one, other in zip(slices.slices, again.slices, strict=True):
        assert one.array.shape == (3, 24, 24)
        np.testing.assert_array_equal(one.array, other.array)
    first, second = (whole_heads(SET, PREPROCESSING).volumes for _ in range(2))
    for volume, same in zip(first, second, strict=True):
        np.testing.assert_array_equal(volume.array, same.array)


@pytest.mark.parametrize("make", [whole_heads, head_slices])
def test_they_have_no_labels_to_ask_for(make: object) -> None:
    chosen = SET if make is whole_heads else SLICES
    with pytest.raises(ValueError, match="only_absent"):
        make(dataclasses.replace(chosen, only_absent=False), SMALL)  # type: ignore[operator]


@pytest.mark.parametrize("dims", [2, 3])
def test_a_run_of_them_alone_reads_no_index(dims: int, tmp_path: Path) -> None:
    config = volume_config(tmp_path / "missing.csv", preprocessing=PREPROCESSING if dims == 3 else SMALL)
    if dims == 3:
        data = dataclasses.replace(config.data, volume_sets=(SET,))
    else:
        data = dataclasses.replace(config.data, volume_sets=(), slice_sets=(SLICES,))
        config = dataclasses.replace(config, network=dataclasses.replace(config.network, spatial_dims=2))
    ((share, source),) = build_sources(dataclasses.replace(config, data=data))
    assert share == 0.5
    assert isinstance(source, LabelledVolumes if dims == 3 else LabelledSlices)
