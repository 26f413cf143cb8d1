"""The command without `--model`: the image says which model reads it, and the command says which and why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from Testing.lib import tiny, tiny_volumes
from TextGuidedSegLib import cli
from TextGuidedSegLib.home import HOME_VARIABLE
from TextGuidedSegLib.weights import FieldOfView

PHRASE = "left lower lung opacity"
FIELDS = (FieldOfView(("hippocampus",), 25.0), FieldOfView((), 60.0))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model of films and one of volumes, under the names of the shipped ones."""
    home = tmp_path_factory.mktemp("home")
    tiny.write_model(home / "models" / "chest-xray", modalities=("CR", "DX", "OT"))
    tiny_volumes.write_model(home / "models" / "mr-structures", modalities=("MR", "OT"), fields_of_view=FIELDS)
    return home


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(home))


def volume(path: Path, shape: tuple[int, int, int] = (20, 24, 16), lowest: int = 0) -> Path:
    """A file of 1 mm voxels with axes along R, A and S."""
    values = tiny_volumes.values(shape).astype(np.int16)
    values[0, 0, 0] = lowest
    stored = sitk.GetImageFromArray(values.transpose(2, 1, 0))
    stored.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(stored, str(path))
    return path


def film(path: Path) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(tiny_volumes.values((40, 50, 2))[:, :, 0].astype(np.uint8)), str(path))
    return path


def test_a_broken_card_is_told_and_stops_no_other_model(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    home = tmp_path / "home"
    tiny.write_model(home / "models" / "chest-xray", modalities=("CR", "DX", "OT"))
    (home / "models" / "bad").mkdir()
    (home / "models" / "bad" / "card.json").write_text("{")
    monkeypatch.setenv(HOME_VARIABLE, str(home))
    assert cli.main(["segment", str(film(tmp_path / "film.png")), PHRASE]) == 0
    assert "not a readable model card" in caplog.text
    assert cli.main(["models"]) == 0
    told = capsys.readouterr()
    assert "chest-xray" in told.out
    assert "not a readable model card" in told.err


def test_a_volume_goes_to_the_model_of_volumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = volume(tmp_path / "scan.nii.gz")
    assert cli.main(["segment", str(image), PHRASE]) == 0
    told = capsys.readouterr().out
    assert "model: " in told
    assert "scan.nii.gz is a volume: the model 'mr-structures' is for it" in told
    assert cli.main(["segment", str(image), PHRASE, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["model"] == "mr-structures"
    assert "is for it" in summary["model_chosen_because"]


def test_a_film_goes_to_the_model_of_films(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["segment", str(film(tmp_path / "film.png")), PHRASE, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["model"] == "chest-xray"
    assert "film.png is a grey film" in summary["model_chosen_because"]


def test_a_named_model_is_not_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = str(film(tmp_path / "film.png"))
    assert cli.main(["segment", image, PHRASE, "--json", "--model", "chest-xray"]) == 0
    assert json.loads(capsys.readouterr().out)["model_chosen_because"] is None
    assert cli.main(["segment", image, PHRASE, "--model", "chest-xray"]) == 0
    assert "\nmodel:" not in capsys.readouterr().out


def test_a_ct_is_answered_with_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["segment", str(volume(tmp_path / "ct.nii.gz", lowest=-1024)), PHRASE]) == 2
    told = capsys.readouterr().err
    assert "is a CT. No CT model is shipped" in told
    assert told.count("\n") == 1


class TestRegion:
    @pytest.mark.parametrize(("phrase", "size"), [("hippocampus", 40), ("left kidney", 70)])
    def test_too_large_a_part_of_the_patient_asks_for_one(
        self, phrase: str, size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        image = volume(tmp_path / "head.nii.gz", (size, 24, 16))
        assert cli.main(["segment", str(image), phrase]) == 2
        assert "Give a region of interest" in capsys.readouterr().err

    @pytest.mark.parametrize("size", [40, 70])
    def test_with_one_the_model_is_chosen_for_it(
        self, size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        image = volume(tmp_path / "head.nii.gz", (size, 24, 16))
        box = ["--region", "1", "1", "1", "20", "20", "14"]
        assert cli.main(["segment", str(image), "hippocampus", *box, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["model"] == "mr-structures"

    @pytest.mark.parametrize("corner", ["-1e1", "-35.", "-5.7e-14", "-2.5E+1"])
    def test_its_corners_may_be_written_like_any_number(
        self, corner: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        image = volume(tmp_path / "head.nii.gz", (40, 24, 16))
        box = ["--region", corner, "1", "1", "20", "20", "14"]
        assert cli.main(["segment", str(image), "hippocampus", *box, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["model"] == "mr-structures"


class TestSlices:
    def test_a_model_of_films_reads_them_when_asked_to(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        image = str(volume(tmp_path / "scan.nii.gz"))
        named = ["segment", image, PHRASE, "--model", "chest-xray", "--json"]
        assert cli.main(named) == 2
        assert "--slices" in capsys.readouterr().err
        assert cli.main([*named, "--slices"]) == 0
        summary = json.loads(capsys.readouterr().out)
        assert any("each slice of this volume was read as a film" in one for one in summary["warnings"])

    def test_only_the_user_knows_which_model_can(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["segment", str(volume(tmp_path / "scan.nii.gz")), PHRASE, "--slices"]) == 2
        assert "--slices needs --model" in capsys.readouterr().err
