"""Averaged weights, and checkpoints that are whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from Testing.training.tiny import assert_equal
from training.checkpoint import ExponentialMovingAverage, half_precision, load_checkpoint, save_checkpoint

STATE = {"network": {}, "average": {}, "optimizer": {}, "step": 0, "seconds": 0.0}


class TestAverage:
    def test_the_average_of_constant_weights_is_those_weights(self) -> None:
        network = torch.nn.Linear(3, 2)
        average = ExponentialMovingAverage(network, 0.9)
        for step in range(5):
            average.update(network, step)
        assert_equal(average.network.state_dict(), network.state_dict())

    def test_the_average_moves_by_the_decay_and_faster_at_the_start(self) -> None:
        network = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(network.weight)
        average = ExponentialMovingAverage(network, 0.9)
        torch.nn.init.ones_(network.weight)
        average.update(network, 0)
        assert average.network.weight.item() == pytest.approx(0.9)  # (1 + 0) / (10 + 0) of the past
        average.update(network, 1000)
        assert average.network.weight.item() == pytest.approx(0.9 * 0.9 + 0.1)

    def test_buffers_are_copied_and_the_average_never_trains(self) -> None:
        network = torch.nn.BatchNorm1d(2)
        average = ExponentialMovingAverage(network, 0.9)
        network(torch.tensor([[1.0, 2.0], [3.0, 8.0]]))
        average.update(network, 0)
        assert torch.equal(average.network.running_mean, network.running_mean)
        assert not average.network.training
        assert not any(weight.requires_grad for weight in average.network.parameters())


class TestCheckpoint:
    def test_a_failed_write_keeps_the_old_checkpoint(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "checkpoint.pt"
        save_checkpoint(path, {**STATE, "step": 1})

        def half(state: Any, file: Path) -> None:
            Path(file).write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(torch, "save", half)
        with pytest.raises(OSError, match=r"checkpoint\.pt: could not be written \(.*No space left.*the one before is"):
            save_checkpoint(path, {**STATE, "step": 2})
        assert load_checkpoint(path)["step"] == 1
        assert [each.name for each in tmp_path.iterdir()] == ["checkpoint.pt"], "nothing takes up the last space"

    def test_what_torch_says_of_a_full_disk_is_an_error_of_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(state: Any, file: Path) -> None:
            msg = "PytorchStreamWriter failed writing file data/3\nC++ frames"
            raise RuntimeError(msg)

        monkeypatch.setattr(torch, "save", fails)
        with pytest.raises(OSError, match=r"\(PytorchStreamWriter failed writing file data/3\)"):
            save_checkpoint(tmp_path / "checkpoint.pt", STATE)

    @pytest.mark.parametrize("kept", [0.0, 0.3, 0.9], ids=["empty", "cut", "nearly whole"])
    def test_a_cut_checkpoint_is_told_in_one_sentence(self, kept: float, tmp_path: Path) -> None:
        path = tmp_path / "checkpoint.pt"
        save_checkpoint(path, {**STATE, "network": {"weight": torch.rand(500)}})
        content = path.read_bytes()
        path.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(ValueError, match=r"checkpoint\.pt is damaged \(.*\): delete it to start again$"):
            load_checkpoint(path)

    @pytest.mark.parametrize("content", [b"\x80\x02\x8a", b"no checkpoint at all", bytes(range(256))])
    def test_other_bytes_under_its_name_are_told_likewise(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "checkpoint.pt").write_bytes(content)
        with pytest.raises(ValueError, match="is damaged"):
            load_checkpoint(tmp_path / "checkpoint.pt")

    def test_a_file_of_torch_that_is_no_checkpoint_is_told_likewise(self, tmp_path: Path) -> None:
        for state, lacking in (({"step": 1}, "network, average, optimizer, seconds"), ([1], "network, average")):
            torch.save(state, tmp_path / "checkpoint.pt")
            with pytest.raises(ValueError, match=f"is damaged .it lacks {lacking}"):
                load_checkpoint(tmp_path / "checkpoint.pt")

    def test_a_missing_one_is_not_damaged(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            load_checkpoint(tmp_path / "checkpoint.pt")

    def test_a_checkpoint_with_code_in_it_is_refused(self, tmp_path: Path) -> None:
        save_checkpoint(tmp_path / "evil.pt", {"path": Path("x")})
        with pytest.raises(Exception, match="Weights only load failed"):
            load_checkpoint(tmp_path / "evil.pt")


class TestHalfPrecision:
    def test_numbers_are_halved_and_counters_are_not(self) -> None:
        shipped = half_precision({"kernel": torch.tensor([0.5, -65504.0]), "steps": torch.tensor(70_000)})
        assert shipped["kernel"].dtype == torch.float16
        assert shipped["steps"].item() == 70_000

    def test_a_running_variance_too_large_for_half_precision_stays_what_it_is(self) -> None:
        variance = torch.tensor([1.0, 77_186.2])  # as infinity it would silence its channel
        assert torch.equal(half_precision({"running_var": variance})["running_var"], variance)
