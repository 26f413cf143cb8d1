"""Slices of labelled volumes as films: every pixel where the volume has it, phrases with their labels, a whole run."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pytest

from Testing.training.tiny import steps
from Testing.training.volume_sets import CAPTIONS, STACKS, volume_config, write_set
from TextGuidedSegLib.config import BackboneConfig
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from TextGuidedSegLib.slice_runner import Slices
from TextGuidedSegLib.weights import read_model
from training import grammar_volume
from training.calibrate import main as calibrate
from training.config import TrainConfig
from training.datasets.volume_slices import LabelledSlice, SliceSet, VolumeSlices
from training.export import export
from training.sources import build_sources, training_texts
from training.train import Run, draw_batch, train

SIZE = 24  # pixels of the long side of a stack's slices: no resampling
SET = SliceSet(STACKS, 1.0, half_turn=0.5)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("volumes"))


@pytest.fixture(scope="module")
def slices(index: Path) -> VolumeSlices:
    return VolumeSlices(index, SET, "train", PreprocessingConfig(size=SIZE))


def test_every_slice_is_there_as_it_is_shown_in_use(index: Path, slices: VolumeSlices) -> None:
    labels = read_image(index.parent / "stacks90_label.nii.gz")
    shown = Slices(labels)
    assert len(slices.slices) == 2 * len(shown)
    for number in range(len(shown)):
        film = shown.film(number).canonical()[0][:, :, 0]
        padded = np.zeros((SIZE, SIZE))
        padded[: film.shape[0], : film.shape[1]] = film
        np.testing.assert_array_equal(slices.slices[number].labels, padded)


def test_a_mask_is_what_the_phrase_names_turned_with_its_slice(slices: VolumeSlices) -> None:
    by_key = {grammar_volume.caption_key(text): tuple(map(int, label.split(","))) for text, label in CAPTIONS.items()}
    wordings = {wording: by_key[key] for key in by_key for wording in grammar_volume.STRUCTURES[key]}
    turned = straight = empty = 0
    for seed in range(400):
        sample = slices.draw(random.Random(seed))
        found, is_turned = original(slices.slices, sample.array)
        mask = np.rot90(sample.mask, 2) if is_turned else sample.mask
        turned, straight = turned + is_turned, straight + (not is_turned)
        values = wordings.get(sample.phrase.rstrip("."))
        if sample.absent:
            np.testing.assert_array_equal(mask, found.labels > 0)
        elif values is None:
            empty += 1
            assert not mask.any(), sample.phrase
        else:
            np.testing.assert_array_equal(mask, np.isin(found.labels, values))
        assert sample.pointed == (values is not None and not sample.absent and not is_turned)
    assert min(turned, straight) > 150
    assert 20 < empty < 120


def original(slices: list[LabelledSlice], array: np.ndarray) -> tuple[LabelledSlice, bool]:
    for each in slices:
        for is_turned in (False, True):
            if np.array_equal(np.rot90(each.array, 2) if is_turned else each.array, array):
                return each, is_turned
    raise AssertionError


def test_neighbors_are_the_slices_beside_it_turned_with_it_and_at_times_in_the_other_order(
    index: Path, slices: VolumeSlices
) -> None:
    config = PreprocessingConfig(size=SIZE, neighbor_slices=True)
    seeing = VolumeSlices(index, dataclasses.replace(SET, reversed_order=0.5), "train", config)
    assert len(seeing.slices) == len(slices.slices)
    for one, other in zip(seeing.slices, slices.slices, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        # The same picture up to what is clipped: slices that are seen together share one scale.
        assert np.corrcoef(one.array[1].ravel().astype(float), other.array.ravel().astype(float))[0, 1] > 0.75
    np.testing.assert_array_equal(*seeing.slices[0].array[:2])
    assert not np.array_equal(*seeing.slices[1].array[:2])
    as_stored = in_other_order = 0
    for seed in range(60):
        array = seeing.draw(random.Random(seed)).array
        upright = [np.rot90(array, turn, axes=(1, 2)) for turn in (0, 2)]
        as_stored += any(np.array_equal(each.array, one) for each in seeing.slices for one in upright)
        in_other_order += any(np.array_equal(each.array[::-1], one) for each in seeing.slices for one in upright)
    assert as_stored + in_other_order >= 60
    assert min(as_stored, in_other_order) > 15


def test_harder_structures_come_as_often_as_they_are_weighted(index: Path, slices: VolumeSlices) -> None:
    weighted = VolumeSlices(
        index, dataclasses.replace(SET, weights={"anterior hippocampus": 8.0}), "train", PreprocessingConfig(size=SIZE)
    )
    wordings = set(grammar_volume.STRUCTURES["anterior hippocampus"])

    def share(drawn: VolumeSlices) -> float:
        phrases = [drawn.draw(random.Random(seed)).phrase.rstrip(".") for seed in range(500)]
        return sum(phrase in wordings for phrase in phrases) / 500

    assert share(slices) == pytest.approx(0.8 / 3, abs=0.06)
    assert share(weighted) == pytest.approx(0.8 * 8 / 10, abs=0.06)
    with pytest.raises(ValueError, match=r"weights of 'synthetic stacks' name captions \['kidney'\]"):
        VolumeSlices(index, dataclasses.replace(SET, weights={"kidney": 2.0}), "train", PreprocessingConfig(size=SIZE))


def slice_config(index: Path) -> TrainConfig:
    config = volume_config(index, steps=6)
    network = dataclasses.replace(
        config.network, spatial_dims=2, backbone=BackboneConfig(filters=(8, 16, 16), stem_stride=1)
    )
    data = dataclasses.replace(config.data, volume_sets=(), slice_sets=(SET,))
    return dataclasses.replace(
        config, name="tiny-slices", network=network, preprocessing=PreprocessingConfig(size=SIZE), data=data
    )


@pytest.mark.parametrize("neighbors", [False, True])
def test_a_part_for_thick_slices_is_trained_exported_and_calibrated(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], neighbors: bool
) -> None:
    config = slice_config(index)
    if neighbors:
        network = dataclasses.replace(config.network, image_channels=3)
        preprocessing = dataclasses.replace(config.preprocessing, neighbor_slices=True)
        config = dataclasses.replace(config, network=network, preprocessing=preprocessing)
    train(config, tmp_path / "run")
    (tmp_path / "about").mkdir()
    (tmp_path / "about" / "LICENSE.txt").write_text("For tests only.\n", encoding="utf-8")
    about = {
        "name": "tiny-slices", "version": "0.0.1", "summary": "A network for tests.", "kinds": ["volume"],
        "modalities": ["MR"], "image_channels": 1, "phrases": ["hippocampus"], "license": "none, for tests only",
    }  # fmt: skip
    (tmp_path / "about" / "about.json").write_text(json.dumps(about), encoding="utf-8")
    folder = tmp_path / "tiny-slices"
    export(tmp_path / "run", tmp_path / "about" / "about.json", folder)
    before = read_model(folder).card.decision
    arguments = ["--weights", str(folder), "--data", str(index), "--split", "train"]
    assert calibrate([*arguments, "--where", f"source={STACKS}"]) == 0
    assert read_model(folder).card.decision != before
    assert calibrate([*arguments, "--where", "source=nowhere"]) == 2
    assert "meets ['source=nowhere']" in capsys.readouterr().err
    segmenter = Segmenter(str(folder), device="cpu")
    image = read_image(index.parent / "stacks90.nii.gz")
    segmenter.set_image(image)
    stages: list[str] = []
    result = segmenter.segment("anterior hippocampus", progress=lambda _, stage: stages.append(stage))
    assert result.mask.shape == image.geometry.shape
    assert f"slice 1 of {image.geometry.shape[2]}" in stages


def test_batches_depend_on_seed_and_step_alone_and_words_are_those_of_volumes(index: Path, tmp_path: Path) -> None:
    config = slice_config(index)
    assert set(training_texts(config.data)) == set(training_texts(volume_config(index).data))
    run = Run(config, tmp_path / "run")
    sources = build_sources(config)
    assert all(np.isfinite(parts["loss"]) for parts in steps(run, sources, 2))
    one, other = (draw_batch(sources, config, 5) for _ in range(2))
    assert one.phrases == other.phrases
    assert one.image.shape == (config.batch_size, 1, SIZE, SIZE)


def test_a_share_of_nothing_is_refused(index: Path) -> None:
    config = slice_config(index)
    data = dataclasses.replace(config.data, slice_sets=(dataclasses.replace(SET, share=0.0),))
    with pytest.raises(ValueError, match=r"slice_sets needs a share above 0, got \[0.0\]"):
        build_sources(dataclasses.replace(config, data=data))
    nowhere = dataclasses.replace(config.data, slice_sets=(SliceSet("nowhere", 1.0),))
    with pytest.raises(ValueError, match="source='nowhere'"):
        build_sources(dataclasses.replace(config, data=nowhere))
