"""From a folder of labelled volumes to a model: training, export, calibration, evaluation, and the same for CT."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from Testing.training.evaluation import Evaluation
from Testing.training.tiny import assert_equal, steps
from Testing.training.volume_sets import HEADS, PATCH, crop, volume_config, write_set
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.inference import Segmenter, choose_model
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.weights import FieldOfView, read_model
from training import grammar_volume
from training.augment_volume import VolumeAugmentationConfig
from training.calibrate import Films, calibrate
from training.config import TrainConfig, read_config
from training.datasets.mr_volumes import VolumeSet
from training.evaluate import main
from training.export import export
from training.metrics import overlap, surface_dice
from training.sources import build_sources, training_texts
from training.tokenizer import train_tokenizer
from training.train import Run, draw_batch, train

ROOT = Path(__file__).resolve().parents[2]
ABOUT = {
    "name": "tiny-volumes", "version": "0.0.1", "summary": "A network for tests.", "kinds": ["volume"],
    "modalities": ["MR"], "image_channels": 1, "phrases": ["hippocampus"], "license": "none, for tests only",
    "fields_of_view": [{"structures": ["hippocampus", "anterior hippocampus"], "largest_mm": 80.0}],
    "decision": {"mirror_average": False, "evidence_mm3": 300.0, "not_found_below": 0.0, "found_above": 0.0},
}  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("volumes"))


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("words") / "tokenizer.json"
    train_tokenizer(grammar_volume.corpus(300), 300).save(str(path))
    return path


@pytest.fixture
def folder(tmp_path: Path, words: Path) -> Path:
    """An empty run folder that has its tokenizer already."""
    (tmp_path / "run").mkdir()
    shutil.copy(words, tmp_path / "run")
    return tmp_path / "run"


def about(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "LICENSE.txt").write_text("For tests only.\n", encoding="utf-8")
    (folder / "about.json").write_text(json.dumps(ABOUT | changes), encoding="utf-8")
    return folder / "about.json"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, index: Path, words: Path) -> Path:
    """A model trained for some seconds; read it only."""
    base = tmp_path_factory.mktemp("trained")
    (base / "run").mkdir()
    shutil.copy(words, base / "run")
    train(volume_config(index, steps=12), base / "run")
    export(base / "run", about(base / "about"), base / "tiny-volumes")
    return base / "tiny-volumes"


class TestTraining:
    def test_steps_lower_the_loss(self, index: Path, folder: Path) -> None:
        still = VolumeAugmentationConfig(mirror=0, cowarp=0, pose=0, photometric=0)
        config = volume_config(index, steps=30, learning_rate=1e-2, volume_augmentation=still)
        data = dataclasses.replace(config.data, volume_sets=(VolumeSet(HEADS, 1.0, PATCH),))
        config = dataclasses.replace(config, data=data)
        losses = [parts["loss"] for parts in steps(Run(config, folder), build_sources(config), 30)]
        assert np.mean(losses[-8:]) < 0.85 * np.mean(losses[:8])

    def test_a_batch_is_of_one_set(self, index: Path) -> None:
        config = volume_config(index, batch_size=3)
        sources = build_sources(config)
        batches = [draw_batch(sources, config, step) for step in range(20)]
        shapes = {tuple(batch.image.shape[2:]) for batch in batches}
        for shape in shapes:
            assert any(np.all(np.array(shape) <= patch) for patch in (PATCH, (16, 24, 8)))
        assert {shape[2] for shape in shapes} > {5}  # stacks of five slices are a batch of their own
        for batch in batches:
            assert len(set(batch.oriented.tolist())) == 1
            assert len(batch.phrases) == 3

    def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(
        self, index: Path, folder: Path, tmp_path: Path
    ) -> None:
        config = volume_config(index)
        sources = build_sources(config)
        whole = Run(config, folder)
        steps(whole, sources, 5)
        other = Path(shutil.copytree(folder, tmp_path / "other"))
        first = Run(config, other)
        steps(first, sources, 2)
        first.save()
        second = Run(config, other)
        second.resume()
        steps(second, sources, 3)
        assert_equal(second.network.state_dict(), whole.network.state_dict())

    def test_every_weight_learns(self, index: Path, folder: Path) -> None:
        config = volume_config(index)
        run = Run(config, folder)
        before = {name: weight.detach().clone() for name, weight in run.network.named_parameters()}
        steps(run, build_sources(config), 8)
        assert [name for name, weight in run.network.named_parameters() if torch.equal(weight, before[name])] == []

    @pytest.mark.parametrize(
        "sets", [(), (VolumeSet(HEADS, 0.0, PATCH),), (VolumeSet(HEADS, -1.0, PATCH),)], ids=["none", "zero", "less"]
    )
    def test_sets_without_a_share_are_refused(self, sets: Sequence[VolumeSet], index: Path) -> None:
        config = volume_config(index)
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, volume_sets=tuple(sets)))
        with pytest.raises(ValueError, match="each with a share above 0"):
            build_sources(config)

    def test_mixed_precision_takes_nearly_the_same_step(self, index: Path, folder: Path) -> None:
        config = volume_config(index)
        losses = []
        for mixed in (False, True):
            chosen = dataclasses.replace(config, mixed_precision=mixed)
            losses.append([parts["loss"] for parts in steps(Run(chosen, folder), build_sources(chosen), 3)])
        assert losses[0] == pytest.approx(losses[1], rel=0.02)

    def test_the_tokenizer_learns_captions_and_grammar(self, index: Path) -> None:
        texts = training_texts(volume_config(index).data)
        assert {"Anterior hippocampus.", "left kidney"} <= set(texts)
        assert not any("opacity, two infected" in text for text in texts)


class TestTheModel:
    def test_it_segments_with_the_plan_of_its_card(self, model: Path, index: Path) -> None:
        card = read_model(model).card
        assert card.kinds == ("volume",)
        assert card.fields_of_view == (FieldOfView(("hippocampus", "anterior hippocampus"), 80.0),)
        assert (card.decision.evidence_mm3, card.decision.mirror_average) == (300.0, False)
        image = read_image(index.parent / "heads0.nii.gz")
        chosen, _ = choose_model(image, [read_model(model)])
        segmenter = Segmenter(chosen, device="cpu")
        segmenter.set_image(image)
        result = segmenter.segment("anterior hippocampus")
        assert result.plan is not None
        assert result.plan.shape == (16, 24, 16)
        assert result.probability.shape == image.geometry.shape

    def test_calibration_asks_for_what_is_not_there(self, model: Path, index: Path, tmp_path: Path) -> None:
        own = Path(shutil.copytree(model, tmp_path / "own"))
        before = read_model(own).card.decision
        decision = calibrate(str(own), Films(index, "val"))
        assert decision == read_model(own).card.decision
        assert decision.presence_scale != before.presence_scale
        assert (decision.evidence_mm3, decision.mirror_average) == (300.0, False)

    def test_evaluation_by_text(self, model: Path, index: Path, tmp_path: Path) -> None:
        report = Evaluation(model, index, tmp_path).report("--by", "text", split="val")
        assert set(report["groups"]) == {"Anterior hippocampus.", "Posterior hippocampus.", "Hippocampus."}
        assert report["n"] == 6
        assert report["groups"]["Hippocampus."]["n"] == 2
        segmenter = Segmenter(read_model(model), device="cpu")
        image = read_image(index.parent / "heads4.nii.gz")
        segmenter.set_image(image)
        mask = segmenter.segment("Hippocampus.").mask
        truth = crop(4).mask()
        dice = [overlap(mask, truth).dice]
        surfaces = [surface_dice(mask, truth, image.geometry.spacing_mm.tolist(), 1.0)]
        segmenter.set_image(read_image(index.parent / "heads5.nii.gz"))
        dice.append(overlap(segmenter.segment("Hippocampus.").mask, crop(5).mask()).dice)
        assert report["groups"]["Hippocampus."]["dice_per_image"] == pytest.approx(np.mean(dice))
        spacing, misses = image.geometry.spacing_mm.tolist(), report["groups"]["Hippocampus."]
        surfaces.append(surface_dice(segmenter.segment("Hippocampus.").mask, crop(5).mask(), spacing, 1.0))
        assert misses["surface_dice"] == pytest.approx(np.mean(surfaces))
        assert (misses["surface_dice_n"], report["surface_dice_n"]) == (2, 6)
        assert report["hd95_unit"] == "mm"

    def test_poses_are_for_films(
        self, model: Path, index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = Evaluation(model, index, tmp_path).arguments("--pose", "shifted_left", split="val")
        assert main(arguments) == 2
        assert "is a volume" in capsys.readouterr().err


def test_a_folder_of_ct_becomes_a_model_that_reads_ct(tmp_path: Path, words: Path, model: Path) -> None:
    index = write_set(tmp_path / "ct", splits=("train", "val"), offset=-1024.0)
    (tmp_path / "run").mkdir()
    shutil.copy(words, tmp_path / "run")
    train(volume_config(index, steps=2), tmp_path / "run")
    export(tmp_path / "run", about(tmp_path / "about", name="own-ct", modalities=["CT"]), tmp_path / "own-ct")
    image = read_image(index.parent / "heads1.nii.gz")
    with pytest.raises(ImageError, match="No CT model is shipped"):
        Segmenter(read_model(model), device="cpu").set_image(image)
    own, reason = choose_model(image, [read_model(model), read_model(tmp_path / "own-ct")])
    assert own.card.name == "own-ct"
    assert "own-ct" in reason
    report = Evaluation(tmp_path / "own-ct", index, tmp_path).report("--by", "text", split="val")
    assert report["n"] == 3


def test_the_shipped_configuration_reads_and_fits_the_grammar() -> None:
    config: TrainConfig = read_config(ROOT / "training/models/mr-structures/train.json")
    assert config.network.spatial_dims == 3
    multiple = config.network.backbone.stem_stride * 2 ** (len(config.network.backbone.filters) - 1)
    for chosen in config.data.volume_sets:
        assert all(side % multiple == 0 for side in chosen.patch)
    assert sum(chosen.share for chosen in config.data.volume_sets) == pytest.approx(1)
    assert config.preprocessing.keep_coarse_axes


def test_surface_dice() -> None:
    one, other = np.zeros((12, 12, 12), dtype=bool), np.zeros((12, 12, 12), dtype=bool)
    one[3:8, 3:8, 3:8] = True
    other[3:8, 3:8, 4:9] = True
    assert surface_dice(one, one, (1.0, 1.0, 1.0), 0.5) == 1
    assert surface_dice(one, other, (1.0, 1.0, 2.0), 2.0) == 1
    assert surface_dice(one, other, (1.0, 1.0, 2.0), 1.0) < 1
    empty = np.zeros_like(one)
    assert surface_dice(empty, one, (1.0, 1.0, 1.0), 1.0) == 0, "what was missed is not left out of a mean"
    assert surface_dice(one, empty, (1.0, 1.0, 1.0), 1.0) == 0
    assert np.isnan(surface_dice(empty, empty, (1.0, 1.0, 1.0), 1.0))
