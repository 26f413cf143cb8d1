"""The recipe for CT, from a folder of volumes with label maps to a model that answers phrases, command by command."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from Testing.training.evaluation import Evaluation
from Testing.training.volume_sets import crop, labels, write_volume
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.inference import Segmenter, choose_model
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.weights import read_model
from training import calibrate, export, train
from training.config import read_config
from training.datasets.index import check_splits, read_index
from training.datasets.label_maps import load_truth
from training.datasets.mr_volumes import MrVolumes, VolumeSet
from training.volume_index import COLUMNS, index_volumes, main

RECIPE = Path(__file__).resolve().parents[2] / "training" / "models" / "own-ct"
NAMES = {"background": 0, "front_part": 1, "back part": 2, "spleen": [1, 2], "left kidney": 3}


def write_folder(folder: Path, cases: int = 3, *, names: dict[str, object] | None = None) -> Path:
    """Synthetic heads in Hounsfield units in the form of nnU-Net."""
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for number in range(cases):
        volume = crop(number)
        write_volume(folder / "imagesTr" / f"ct{number}_0000.nii.gz", (volume.array - 1024).astype(np.int16), volume)
        write_volume(folder / "labelsTr" / f"ct{number}.nii.gz", labels(volume), volume)
    (folder / "dataset.json").write_text(json.dumps({"labels": names or NAMES}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("ct") / "Dataset001")


@pytest.fixture(scope="module")
def index(folder: Path) -> Path:
    assert main([str(folder), "--source", "own CT", "--out", str(folder / "index.csv")]) == 0
    return folder / "index.csv"


class TestIndex:
    def test_a_row_for_each_case_and_name_that_it_shows(self, index: Path) -> None:
        rows = read_index(index)
        check_splits(rows)
        assert len(rows) == 9, "nothing is labelled as the left kidney"
        assert tuple(rows[0].columns) == COLUMNS
        assert {row.columns["text"]: row.columns["label"] for row in rows} == {
            "Front part.": "1", "Back part.": "2", "Spleen.": "1,2",
        }  # fmt: skip
        assert {row.columns["split"] for row in rows} == {"train", "val"}
        assert {row.columns["spacing"] for row in rows} == {"2.5 x 2.5 x 2.5"}
        truth = load_truth(rows[2], read_image(rows[2].image))
        np.testing.assert_array_equal(truth, labels(crop(0)) > 0)

    def test_the_labels_of_the_decathlon_and_the_files_of_a_mac(self, tmp_path: Path) -> None:
        names = {"0": "background", "1": "front_part", "2": "back part"}
        other = write_folder(tmp_path / "Task01", names=names)
        for name in ("imagesTr/._ct0_0000.nii.gz", "labelsTr/._ct0.nii.gz"):
            (other / name).write_bytes(b"\0\5\26\7")
        assert index_volumes(other, tmp_path / "index.csv", source="ct") == 6
        rows = read_index(tmp_path / "index.csv")
        assert {row.columns["text"]: row.columns["label"] for row in rows} == {"Front part.": "1", "Back part.": "2"}

    @pytest.mark.parametrize(("cases", "share", "kept"), [(2, 0.2, 1), (5, 0.2, 1), (10, 0.2, 2), (6, 0.5, 3)])
    def test_the_share_for_validation(self, cases: int, share: float, kept: int, tmp_path: Path) -> None:
        index_volumes(write_folder(tmp_path / "d", cases), tmp_path / "index.csv", source="ct", val_share=share)
        splits = {row.columns["case"]: row.columns["split"] for row in read_index(tmp_path / "index.csv")}
        assert list(splits.values()).count("val") == kept

    @pytest.mark.parametrize(
        ("damage", "said"),
        [
            (lambda one: (one / "dataset.json").unlink(), "does not name the labels"),
            (lambda one: (one / "dataset.json").write_text('{"labels": {"a": "liver"}}'), "does not name the labels"),
            (lambda one: (one / "dataset.json").write_text('{"labels": {"0": "background"}}'), "but the background"),
            (lambda one: (one / "dataset.json").write_text('{"labels": {"background": 0}}'), "but the background"),
            (lambda one: (one / "imagesTr" / "ct1_0000.nii.gz").unlink(), "case 'ct1' has no image"),
            (lambda one: (one / "labelsTr" / "ct1.nii.gz").unlink(), "has 1 label maps"),
        ],
        ids=["no names", "no numbers", "older form", "background", "no image", "one case"],
    )
    def test_what_is_missing_is_said_and_nothing_written(
        self, damage, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        damaged = write_folder(tmp_path / "d", 2)
        damage(damaged)
        assert main([str(damaged), "--source", "ct", "--out", str(tmp_path / "index.csv")]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "index.csv").exists()

    @pytest.mark.parametrize("share", ["0", "0.9", "-1"])
    def test_a_share_that_leaves_nothing(
        self, share: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = [str(folder), "--source", "ct", "--out", str(tmp_path / "i.csv"), "--val-share", share]
        assert main(arguments) == 2
        assert "at most 0.5" in capsys.readouterr().err


class TestRecipe:
    def test_its_configuration_fits_its_network(self) -> None:
        config = read_config(RECIPE / "train.json")
        (chosen,) = config.data.volume_sets
        multiple = config.network.backbone.stem_stride * 2 ** (len(config.network.backbone.filters) - 1)
        assert all(side % multiple == 0 for side in (*chosen.patch, *config.preprocessing.window))

    def test_what_is_never_shown_can_be_named(self, index: Path) -> None:
        config = read_config(RECIPE / "train.json")
        for never_shown in ((), ("Femur", "left atrium")):
            chosen = VolumeSet("own CT", 1.0, (16, 24, 16), never_shown=never_shown)
            source = MrVolumes(index, chosen, "train", config.preprocessing)
            drawn = source.draw(random.Random(0), 150)
            phrases = {one.phrase.rstrip(".") for one in drawn if not one.pointed and not one.absent}
            denied = {"femur", "left atrium"} if never_shown else {"teapot", "bicycle"}
            assert denied <= phrases
            assert "left kidney" not in phrases, "nobody said that it is not there"

    def test_from_the_folder_to_answers(self, index: Path, tmp_path: Path) -> None:
        values = json.loads((RECIPE / "train.json").read_text(encoding="utf-8"))
        values |= {"steps": 2, "warmup_steps": 1, "vocabulary_size": 300, "device": "cpu"}
        values["network"]["backbone"]["filters"] = [4, 8, 8]
        values["preprocessing"]["window"] = [16, 16, 16]
        values["data"]["volume_sets"][0]["patch"] = [16, 16, 16]
        (tmp_path / "train.json").write_text(json.dumps(values), encoding="utf-8")
        model = tmp_path / "own-ct"
        commands = (
            (train.main, "--config", tmp_path / "train.json", "--runs", tmp_path, "--data.mr_volumes", index,
             "--name", "run"),
            (export.main, "--run", tmp_path / "run", "--about", RECIPE / "about.json", "--out", model),
            (calibrate.main, "--weights", model, "--data", index, "--split", "train", "--every", "10",
             "--never-shown", "femur, left atrium"),
        )  # fmt: skip
        for command, *arguments in commands:
            assert command([str(one) for one in arguments]) == 0
        report = Evaluation(model, index, tmp_path).report("--by", "text", split="val")
        assert set(report["groups"]) == {"Front part.", "Back part.", "Spleen."}
        image = read_image(index.parent / "imagesTr" / "ct2_0000.nii.gz")
        chosen, reason = choose_model(image, [read_model(model)])
        assert "'own-ct' is for it" in reason
        segmenter = Segmenter(chosen, device="cpu")
        segmenter.set_image(image)
        assert segmenter.segment("spleen").answer in ("found", "unsure", "not_found")

    def test_without_such_a_model_a_ct_is_answered_with_one_sentence(self, index: Path) -> None:
        image = read_image(index.parent / "imagesTr" / "ct2_0000.nii.gz")
        with pytest.raises(ImageError, match=r"is a CT\. No CT model is shipped: no CT data was at hand"):
            choose_model(image)
