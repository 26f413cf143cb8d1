"""Several processes take the step that one takes: the whole command under torchrun, with gloo."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from TextGuidedSegLib.config import ContrastiveAlignmentConfig, SymmetricAlignmentConfig, TextEncoderConfig
from training.checkpoint import load_checkpoint
from training.config import TrainConfig, save_config
from training.distributed import ALONE, Workers
from training.train import train

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def combined(config: TrainConfig) -> TrainConfig:
    """All methods; nothing whose result depends on how the batch is split: no batch statistics, no dropout."""
    network = dataclasses.replace(
        config.network,
        text=TextEncoderConfig(embedding_size=32, layers=1, heads=2, feedforward_size=64, dropout=0.0),
        backbone=dataclasses.replace(config.network.backbone, norm="instance"),
        alignment=SymmetricAlignmentConfig(levels=(1, 2), width=16, iterations=5),
        contrast=ContrastiveAlignmentConfig(levels=(0, 1, 2), enhanced_levels=(0, 1), width=16),
    )
    return dataclasses.replace(config, network=network, steps=1, mixed_precision=False)


def train_with_torchrun(config: TrainConfig, folder: Path, processes: int) -> subprocess.CompletedProcess[str]:
    """Run the command in several processes of one thread each."""
    save_config(config, folder.parent / "run.json")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}",
        "-m", "training.train", "--config", str(folder.parent / "run.json"), "--runs", str(folder.parent),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)


class TestTwoProcesses:
    def test_equal_one(self, combined: TrainConfig, tokenizer_file: Path, tmp_path: Path) -> None:
        folders = [tmp_path / runs / combined.name for runs in ("one", "two")]
        for folder in folders:
            folder.mkdir(parents=True)
            shutil.copy(tokenizer_file, folder)
        train(combined, folders[0])
        finished = train_with_torchrun(combined, folders[1], 2)
        assert finished.returncode == 0, finished.stderr
        one, two = (load_checkpoint(folder / "checkpoint.pt") for folder in folders)
        assert two["step"] == combined.steps
        # Adam divides by the gradient's size, which makes noise of what is nearly zero: compare the gradients.
        states = [checkpoint["optimizer"]["state"] for checkpoint in (one, two)]
        assert states[0].keys() == states[1].keys()
        for number, state in states[0].items():
            expected, found = state["exp_avg"], states[1][number]["exp_avg"]
            assert (found - expected).norm() <= 1e-3 * expected.norm() + 1e-7, number
        assert max(float(state["exp_avg"].norm()) for state in states[0].values()) > 1e-4

    def test_a_batch_that_cannot_be_split_is_refused(self, combined: TrainConfig, tmp_path: Path) -> None:
        folder = tmp_path / combined.name
        finished = train_with_torchrun(dataclasses.replace(combined, batch_size=3), folder, 2)
        assert finished.returncode != 0
        assert "batch_size must be a multiple of the 2 processes, got 3" in finished.stderr


class TestWorkers:
    def test_shares_cover_the_batch_once(self) -> None:
        rows = [row for rank in range(4) for row in range(12)[Workers(rank, 4).share(12)]]
        assert rows == list(range(12))

    def test_one_process_changes_nothing(self) -> None:
        tensor = torch.randn(3, 2, requires_grad=True)
        assert ALONE.gather(tensor) is tensor
        assert ALONE.gather_objects(("a", "b")) == ("a", "b")
        assert ALONE.averaged({"loss": 0.5}) == {"loss": 0.5}
        assert ALONE.mean_count(torch.tensor([True, False, True])) == 2
        assert ALONE.mean_count(torch.tensor([False])) == 1
