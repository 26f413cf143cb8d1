"""Pictures in a run: grey and color in one batch, words that stay true when the image moves, colors to the end."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from Testing.training.picture_sets import (
    POLYPS,
    disks,
    write_polyp_set,
    write_ultrasound_set,
)
from Testing.training.tiny import NETWORK, PREPROCESSING, SIZE, Sources, steps, tiny_config
from TextGuidedSegLib.io import read_image
from training.augment import AugmentationConfig, photometric, sample_warps, without_pose
from training.config import DataConfig, TrainConfig, save_config
from training.datasets.breast_ultrasound import BreastUltrasound
from training.datasets.polyp import Polyps
from training.datasets.sample import collate
from training.evaluate import main as evaluate
from training.export import export
from training.poses import posed
from training.sources import build_sources, training_texts
from training.train import Run, draw_batch


@pytest.fixture(scope="module")
def polyp_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_polyp_set(tmp_path_factory.mktemp("polyp"))


@pytest.fixture(scope="module")
def ultrasound_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ultrasound_set(tmp_path_factory.mktemp("ultrasound"))


@pytest.fixture(scope="module")
def polyps(polyp_index: Path) -> Polyps:
    return Polyps(polyp_index, "train", PREPROCESSING)


@pytest.fixture(scope="module")
def ultrasound(ultrasound_index: Path) -> BreastUltrasound:
    return BreastUltrasound(ultrasound_index, "train", PREPROCESSING)


class TestBatches:
    def test_grey_and_color_films_share_a_batch_of_three_channels(
        self, polyps: Polyps, ultrasound: BreastUltrasound
    ) -> None:
        color, grey = polyps.films[0].unworded(), ultrasound.films[0].unworded()
        batch = collate([color, grey, dataclasses.replace(grey, picture=False)], 3)
        assert batch.image.shape == (3, 3, SIZE, SIZE)
        assert torch.equal(batch.image[1], torch.from_numpy(grey.array.astype(np.float32)).expand(3, -1, -1))
        assert batch.picture.tolist() == [True, True, False]

    def test_a_color_film_for_a_grey_network_is_refused(self, polyps: Polyps) -> None:
        with pytest.raises(
            ValueError, match=r"a film has 3 channels, the network reads 1; set network\.image_channels"
        ):
            collate([polyps.films[0].unworded()])

    def test_the_picture_keeps_its_pose_and_the_patient_does_not(self) -> None:
        params = sample_warps(4, AugmentationConfig(pose=1.0), torch.Generator().manual_seed(0))
        picture = torch.tensor([True, False, True, False])
        kept = without_pose(params, picture)
        assert torch.equal(kept.pose[picture], torch.eye(2, 3).expand(2, 2, 3))
        assert torch.equal(kept.pose[~picture], params.pose[~picture])
        assert torch.equal(kept.cowarp, params.cowarp)
        assert not torch.equal(kept.pose, params.pose)

    def test_a_training_step_moves_no_picture_away_from_its_words(
        self, polyps: Polyps, polyp_index: Path, ultrasound_index: Path, run_folder: Path
    ) -> None:
        config = picture_config(polyp_index, ultrasound_index, polyp_share=1.0)
        losses = {}
        for picture in (True, False):
            for pose in (0.0, 1.0):
                samples = [dataclasses.replace(film.unworded(), picture=picture) for film in polyps.films]
                posing = dataclasses.replace(config, augmentation=AugmentationConfig(pose=pose))
                losses[picture, pose] = Run(posing, run_folder).train_step(collate(samples, 3))["loss"]
        assert losses[True, 0.0] == losses[True, 1.0] == losses[False, 0.0]
        assert losses[False, 1.0] != losses[False, 0.0]


class TestPhotometric:
    def test_a_grey_film_stays_grey_in_all_channels_and_a_color_film_changes_its_colors(self) -> None:
        color = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
        image = torch.cat([color, color[:, :1].expand(-1, 3, -1, -1)])
        changed = photometric(image, AugmentationConfig(photometric=1.0), torch.Generator().manual_seed(2))
        assert torch.equal(changed[4:], changed[4:, :1].expand(-1, 3, -1, -1))
        assert not torch.equal(changed[4:], image[4:])
        ratio = changed[:4].mean(dim=(2, 3))
        assert (ratio - ratio.mean(dim=1, keepdim=True)).abs().max() > 0.02

    def test_one_channel_is_changed_as_it_was_before_there_were_colors(self) -> None:
        image = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(1))
        config = AugmentationConfig(photometric=1.0)
        alone = photometric(image, config, torch.Generator().manual_seed(2))
        assert alone.double().sum().item() == pytest.approx(2381.55217, rel=1e-6)


def picture_config(polyp: Path, ultrasound: Path, **shares: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "chest_infection": "missing.csv", "chest_structures": "missing.csv", "infection_share": 0.0,
        "structures_share": 0.0, "phantoms": 0, "polyp": str(polyp), "breast_ultrasound": str(ultrasound),
    }  # fmt: skip
    data = DataConfig(**values | shares)
    network = dataclasses.replace(NETWORK, image_channels=3 if data.polyp_share else 1)
    return dataclasses.replace(tiny_config(Path(), Path()), network=network, data=data)


class TestSources:
    def test_a_set_without_a_share_is_not_read(self, polyp_index: Path, ultrasound_index: Path) -> None:
        for share, kind in (("polyp_share", Polyps), ("breast_ultrasound_share", BreastUltrasound)):
            config = picture_config(polyp_index, ultrasound_index, **{share: 1.0})
            ((weight, source),) = build_sources(config)
            assert isinstance(source, kind)
            assert weight == 1.0

    def test_the_words_of_the_sets_in_use_are_learnt_and_those_of_val_are_not(
        self, polyp_index: Path, ultrasound_index: Path
    ) -> None:
        config = picture_config(polyp_index, ultrasound_index, polyp_share=1.0)
        texts = training_texts(config.data)
        assert POLYPS[0][3] in texts
        assert POLYPS[-1][3] not in texts
        assert not any("tumor" in text and "breast" in text for text in texts)

    def test_the_default_shares_are_those_of_the_chest_sets(self) -> None:
        data = DataConfig()
        assert (data.polyp_share, data.breast_ultrasound_share) == (0.0, 0.0)
        assert (data.infection_share, data.structures_share) == (0.68, 0.24)

    @pytest.mark.parametrize(
        ("shares", "message"),
        [
            (
                {"polyp_share": 0.7, "breast_ultrasound_share": 0.5},
                r"add up to 1 at most, got \(0\.0, 0\.0, 0\.0, 0\.0, 0\.7, 0\.5, 0\.0\)",
            ),
            ({"polyp_share": -0.1, "breast_ultrasound_share": 1.1}, "must be 0 or more"),
            ({"polyp_share": 0.75}, r"leave 0\.25 for phantoms, but data\.phantoms is 0"),
        ],
    )
    def test_shares_that_do_not_add_up_are_refused(
        self, shares: dict[str, float], message: str, polyp_index: Path, ultrasound_index: Path
    ) -> None:
        with pytest.raises(ValueError, match=message):
            build_sources(picture_config(polyp_index, ultrasound_index, **shares))

    def test_one_network_learns_from_grey_and_color_sets(
        self, polyp_index: Path, ultrasound_index: Path, lesion_index: Path, structure_index: Path, run_folder: Path
    ) -> None:
        joint = picture_config(
            polyp_index, ultrasound_index, polyp_share=0.3, breast_ultrasound_share=0.3, infection_share=0.2,
            structures_share=0.1, phantoms=4, chest_infection=str(lesion_index), chest_structures=str(structure_index),
        )  # fmt: skip
        sources = build_sources(joint)
        assert [weight for weight, _ in sources] == pytest.approx([0.2, 0.1, 0.3, 0.3, 0.1])
        batches = [draw_batch(sources, joint, step) for step in range(8)]
        assert {batch.image.shape for batch in batches} == {(4, 3, SIZE, SIZE)}
        assert {bool(flag) for batch in batches for flag in batch.picture} == {True, False}
        parts = steps(Run(joint, run_folder), sources, 2)
        assert all(np.isfinite(list(part.values())).all() for part in parts)


@pytest.fixture(scope="module")
def color_model(
    tmp_path_factory: pytest.TempPathFactory,
    tokenizer_file: Path,
    about_file: Path,
    polyp_index: Path,
    ultrasound_index: Path,
) -> tuple[Path, list[float]]:
    """A color model that learned for some seconds, and its losses."""
    folder = tmp_path_factory.mktemp("run")
    shutil.copy(tokenizer_file, folder)
    config = picture_config(polyp_index, ultrasound_index, polyp_share=1.0)
    still = AugmentationConfig(cowarp=0.3, photometric=0.5)
    config = dataclasses.replace(config, steps=60, augmentation=still)
    sources: Sources = build_sources(config)
    run = Run(config, folder)
    losses = [part["loss"] for part in steps(run, sources, config.steps)]
    run.save()
    save_config(config, folder / "config.json")
    about = json.loads(about_file.read_text(encoding="utf-8")) | {"image_channels": 3, "modalities": ["ES"]}
    place = tmp_path_factory.mktemp("about_color")
    (place / "about.json").write_text(json.dumps(about), encoding="utf-8")
    shutil.copy(about_file.parent / "LICENSE.txt", place)
    export(folder, place / "about.json", folder / "model")
    return folder / "model", losses


class TestTrained:
    def test_the_loss_falls(self, color_model: tuple[Path, list[float]]) -> None:
        _, losses = color_model
        assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:5])

    @pytest.mark.parametrize("pose", ["original", "shifted_left", "mirrored"])
    def test_the_command_measures_a_color_model(
        self, pose: str, color_model: tuple[Path, list[float]], polyp_index: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "report.json"
        options = ["--weights", str(color_model[0]), "--data", str(polyp_index), "--split", "val", "--pose", pose]
        assert evaluate([*options, "--device", "cpu", "--out", str(out)]) == 0
        report = json.loads(out.read_text(encoding="utf-8"))
        assert report["n"] == 2
        assert 0 <= report["dice_micro"] <= 1
        assert 0 <= report["pseudo"]["named_side_mass"] <= 1

    def test_lesion_and_normal_films_are_measured_apart(
        self, loose_model: Path, ultrasound_index: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "report.json"
        options = ["--weights", str(loose_model), "--data", str(ultrasound_index), "--split", "val", "--device", "cpu"]
        assert evaluate([*options, "--by", "klass", "--out", str(out)]) == 0
        report = json.loads(out.read_text(encoding="utf-8"))
        assert {group: part["n"] for group, part in report["groups"].items()} == {"benign": 1, "normal": 1}
        assert report["groups"]["normal"]["answers"] == {"negated": 1}
        assert report["groups"]["normal"]["dice_per_image"] == 1
        assert evaluate([*options, "--where", "klass=benign,malignant", "--out", str(out)]) == 0
        report = json.loads(out.read_text(encoding="utf-8"))
        assert (report["n"], report["settings"]["where"]) == (1, ["klass=benign,malignant"])


def test_a_color_picture_is_moved_channel_by_channel(polyp_index: Path) -> None:
    image = read_image(polyp_index.parent / "left.png")
    truth = disks(POLYPS[0][2]).T[:, :, None]
    moved, _ = posed(image, truth, "shifted_left")
    assert moved.array.shape == image.array.shape
    for channel in range(3):
        grey = dataclasses.replace(image, array=image.array[..., channel])
        assert np.array_equal(moved.array[..., channel], posed(grey, truth, "shifted_left")[0].array)
