"""How the evaluation ends when something is wrong: one line, an exit code, and the old report untouched."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from Testing.training.evaluation import Evaluation
from training.evaluate import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--where", "side=left"], "the index has no column 'side'; it has image, mask"),
        (["--where", "flag"], "'flag' is not of the form COLUMN=VALUE"),
        (["--where", "patient=z"], "no row of"),
        (["--by", "side"], "the index has no column 'side'"),
        (["--text-column", "words"], "the index has no column 'words'"),
        (["--split", "test"], "no row of"),
        (["--data", "nowhere.csv"], "index file nowhere.csv does not exist"),
        (["--weights", "no-such-model"], "there is no model 'no-such-model'"),
        (["--phrase", " "], "phrase"),
        (["--phrase", "left lung " * 500], "phrase"),
        (["--phrase", "left lung", "--condition", "shuffled"], "needs rows with different phrases"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_the_old_report(
    evaluation: Evaluation, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = evaluation.folder / "report.json"
    report.write_text("old", encoding="utf-8")
    assert main(evaluation.arguments(*more)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert [path.name for path in evaluation.folder.iterdir()] == ["report.json"]
    assert report.read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize("option", ["--out", "--cases"])
def test_a_folder_that_cannot_be_written_is_told_before_any_work(
    evaluation: Evaluation,
    option: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.evaluate.Segmenter", None)  # whoever starts to work fails otherwise
    assert main(evaluation.arguments(option, str(evaluation.folder / "missing" / "file"))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "missing: no such folder" in line


@pytest.mark.parametrize("part", ["images", "masks"])
def test_a_missing_file_of_a_row_is_named_before_any_work(
    evaluation: Evaluation,
    part: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.evaluate.Segmenter", None)  # it is told before a model is loaded
    copy = Path(shutil.copytree(evaluation.index.parent, tmp_path / "other"))
    (copy / part / "dev_both.png").unlink()
    assert main(dataclasses.replace(evaluation, index=copy / "index.csv").arguments()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("1 of 8 images and masks do not exist: ")
    assert f"{part}/dev_both.png; put them there" in line
    assert not (tmp_path / "report.json").exists()


def test_a_missing_device_could_not_run(
    evaluation: Evaluation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([*evaluation.arguments(), "--device", "cuda"]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_command_itself_ends_with_its_code_and_one_line(evaluation: Evaluation) -> None:
    command = [sys.executable, "-m", "training.evaluate", *evaluation.arguments("--split", "test")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_a_condition_that_does_not_exist_is_refused(evaluation: Evaluation) -> None:
    with pytest.raises(SystemExit) as ended:
        main(evaluation.arguments("--condition", "reversed"))
    assert ended.value.code == 2
