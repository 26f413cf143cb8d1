"""The training command: what it leaves behind, and how it ends when something is wrong."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from Testing.training.tiny import Sources, assert_equal, steps
from TextGuidedSegLib.errors import ImageError
from training import train as train_module
from training.checkpoint import load_checkpoint
from training.config import TrainConfig, read_config, save_config
from training.train import Run, main, train


class TestDivergence:
    def test_a_loss_that_is_not_finite_stops_before_any_weight_changes(
        self, config: TrainConfig, run_folder: Path, sources: Sources
    ) -> None:
        run = Run(config, run_folder)
        steps(run, sources, 1)
        with torch.no_grad():
            run.network.generator.head.bias[0] = torch.nan
        before = {name: weight.detach().clone() for name, weight in run.network.named_parameters()}
        with pytest.raises(FloatingPointError, match=r"the loss is not finite at step 1: .*nan.*checkpoint is kept"):
            steps(run, sources, 1)
        assert run.step == 1
        assert all(torch.equal(w.nan_to_num(), before[n].nan_to_num()) for n, w in run.network.named_parameters())

    def test_a_gradient_that_is_not_finite_stops_before_any_weight_changes(
        self, config: TrainConfig, run_folder: Path, sources: Sources
    ) -> None:
        run = Run(config, run_folder)
        run.network.generator.head.bias.register_hook(lambda gradient: gradient * torch.inf)
        before = {name: weight.detach().clone() for name, weight in run.network.named_parameters()}
        with pytest.raises(FloatingPointError, match="the gradient is not finite at step 0"):
            steps(run, sources, 1)
        assert_equal({name: weight.detach() for name, weight in run.network.named_parameters()}, before)

    def test_the_command_keeps_the_checkpoint_and_says_one_line(
        self, config: TrainConfig, run_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        train(dataclasses.replace(config, steps=2), run_folder)
        checkpoint = (run_folder / "checkpoint.pt").read_bytes()
        monkeypatch.setattr(train_module, "parts_are_finite", lambda parts: False)
        assert main(command(config, run_folder)) == 3
        assert one_line(capsys.readouterr().err).startswith("the loss is not finite at step 2")
        assert (run_folder / "checkpoint.pt").read_bytes() == checkpoint


def command(config: TrainConfig, run_folder: Path, *more: str) -> list[str]:
    """Arguments that run a configuration in a folder."""
    save_config(config, run_folder.parent / "run.json")
    assert run_folder.name == config.name
    return ["--config", str(run_folder.parent / "run.json"), "--runs", str(run_folder.parent), *more]


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    return line


class _Tokenizer:
    def to_str(self, *, pretty: bool) -> str:
        return "{}" if pretty else ""


def _full(path: Path, content: bytes) -> int:
    path.touch()
    raise OSError(28, "No space left on device")


class TestCommand:
    def test_a_run_leaves_everything_that_resuming_and_exporting_need(
        self, config: TrainConfig, run_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(train_module, "_LOG_EVERY", 5)
        assert main(command(config, run_folder)) == 0
        assert {path.name for path in run_folder.iterdir()} == {
            "checkpoint.pt", "config.json", "log.jsonl", "tokenizer.json",
        }  # fmt: skip
        assert read_config(run_folder / "config.json") == config
        assert load_checkpoint(run_folder / "checkpoint.pt")["step"] == 12
        log = [json.loads(line) for line in (run_folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        assert [entry["step"] for entry in log] == [5, 10]
        assert set(log[0]) == {"step", "images_per_second", "dice", "cross_entropy", "pseudo", "loss"}

    def test_the_log_holds_means_also_of_the_rest_of_an_interval_after_a_resume(
        self, config: TrainConfig, run_folder: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(train_module, "_LOG_EVERY", 5)
        run = Run(config, run_folder)
        steps(run, sources, 3)
        run.save()
        expected = np.mean([parts["loss"] for parts in steps(run, sources, 2)])
        train(dataclasses.replace(config, steps=5), run_folder)
        (entry,) = (json.loads(line) for line in (run_folder / "log.jsonl").read_text(encoding="utf-8").splitlines())
        # The schedule has another end, but the warm-up of the first steps is the same.
        assert entry["step"] == 5
        assert entry["loss"] == pytest.approx(expected, abs=1e-5)

    def test_a_finished_run_stays_as_it_is(self, config: TrainConfig, run_folder: Path) -> None:
        arguments = command(dataclasses.replace(config, steps=2), run_folder)
        assert main(arguments) == main(arguments) == 0
        assert load_checkpoint(run_folder / "checkpoint.pt")["step"] == 2

    def test_another_network_in_the_folder_of_a_run_is_refused_and_changes_nothing(
        self, config: TrainConfig, run_folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(command(dataclasses.replace(config, steps=1), run_folder)) == 0
        before = {path.name: path.read_bytes() for path in run_folder.iterdir()}
        capsys.readouterr()
        assert main(command(config, run_folder, "--network.backbone.filters", "[4, 8, 16]")) == 2
        assert "backbone.filters was [8, 16, 32] and is now [4, 8, 16]; give" in one_line(capsys.readouterr().err)
        assert {path.name: path.read_bytes() for path in run_folder.iterdir()} == before
        (run_folder / "config.json").unlink()  # then only the weights can tell
        assert main(command(config, run_folder, "--network.backbone.filters", "[4, 8, 16]")) == 2
        assert "is of a run with another network or vocabulary; give this run another --name" in one_line(
            capsys.readouterr().err
        )

    def test_another_configuration_in_the_folder_of_a_run_is_refused_and_changes_nothing(
        self, config: TrainConfig, run_folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(command(dataclasses.replace(config, steps=1), run_folder)) == 0
        before = {path.name: path.read_bytes() for path in run_folder.iterdir()}
        capsys.readouterr()
        assert main(command(config, run_folder, "--loss.pseudo", "0.1", "--seed", "4")) == 2
        said = one_line(capsys.readouterr().err)
        assert "tiny has a run of another configuration: seed was 0 and is now 4, loss.pseudo was" in said
        assert said.endswith("and is now 0.1; give this run another --name, or delete that folder to start again")
        assert {path.name: path.read_bytes() for path in run_folder.iterdir()} == before

    def test_a_run_may_be_made_longer_and_computed_elsewhere(self, config: TrainConfig, run_folder: Path) -> None:
        assert main(command(dataclasses.replace(config, steps=1), run_folder)) == 0
        changes = ("--steps", "2", "--checkpoint_minutes", "7", "--device", "auto")
        assert main(command(config, run_folder, *changes)) == 0
        assert load_checkpoint(run_folder / "checkpoint.pt")["step"] == 2
        assert read_config(run_folder / "config.json").steps == 2

    def test_a_run_without_a_checkpoint_has_nothing_to_keep(self, config: TrainConfig, run_folder: Path) -> None:
        save_config(dataclasses.replace(config, seed=9), run_folder / "config.json")
        assert main(command(dataclasses.replace(config, steps=1), run_folder)) == 0
        assert read_config(run_folder / "config.json").seed == 0

    def test_a_damaged_checkpoint_is_told_in_one_line(
        self, config: TrainConfig, run_folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(command(dataclasses.replace(config, steps=1), run_folder)) == 0
        capsys.readouterr()
        checkpoint = run_folder / "checkpoint.pt"
        checkpoint.write_bytes(checkpoint.read_bytes()[:2000])
        assert main(command(config, run_folder)) == 2
        assert "is damaged" in one_line(capsys.readouterr().err)

    def test_a_full_disk_is_told_in_one_line_and_keeps_the_checkpoint(
        self,
        config: TrainConfig,
        run_folder: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        assert main(command(dataclasses.replace(config, steps=1), run_folder)) == 0
        capsys.readouterr()

        def half(state: object, file: Path) -> None:
            Path(file).write_bytes(b"half")
            msg = "PytorchStreamWriter failed writing file data/3"
            raise RuntimeError(msg)

        monkeypatch.setattr(torch, "save", half)
        assert main(command(dataclasses.replace(config, steps=2), run_folder)) == 2
        assert "checkpoint.pt: could not be written (PytorchStreamWriter" in one_line(capsys.readouterr().err)
        assert load_checkpoint(run_folder / "checkpoint.pt")["step"] == 1
        assert not list(run_folder.glob("*.partial"))

    def test_a_tokenizer_is_written_whole_or_not_at_all(
        self, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(train_module, "train_tokenizer", lambda *_: _Tokenizer())
        monkeypatch.setattr(Path, "write_bytes", _full)
        with pytest.raises(ImageError, match=r"tokenizer\.json: could not be written .*No space left"):
            Run(config, tmp_path / "tiny")
        assert not list((tmp_path / "tiny").iterdir())

    @pytest.mark.parametrize(
        ("override", "code", "message"),
        [
            (("--stepz", "3"), 2, "did you mean 'steps'"),
            (("--data.chest_infection", "nowhere.csv"), 2, "index file nowhere.csv does not exist"),
            (("--device", "tpu"), 2, "device must be auto, cpu or cuda, got 'tpu'"),
            (("--network.backbone.name", "vnet"), 2, "unet, unetplusplus, got 'vnet'"),
        ],
    )
    def test_a_mistake_is_told_in_one_line(
        self,
        config: TrainConfig,
        run_folder: Path,
        capsys: pytest.CaptureFixture[str],
        override: tuple[str, str],
        code: int,
        message: str,
    ) -> None:
        assert main(command(config, run_folder, *override)) == code
        assert message in one_line(capsys.readouterr().err)

    def test_a_missing_device_could_not_run(
        self, config: TrainConfig, run_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert main(command(config, run_folder, "--device", "cuda")) == 3
        assert "torch finds no CUDA device" in one_line(capsys.readouterr().err)

    def test_a_missing_configuration_file_is_bad_input(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--config", "nowhere.json"]) == 2
        assert "nowhere.json" in one_line(capsys.readouterr().err)
