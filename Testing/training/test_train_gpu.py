"""Training on a CUDA device: the steps of a CPU, taken there."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path

import pytest
import torch

from Testing.training.tiny import Sources, steps
from TextGuidedSegLib.config import TextEncoderConfig
from training.checkpoint import load_checkpoint
from training.config import TrainConfig
from training.distributed import share_batch_statistics
from training.presets import apply_preset
from training.train import Run


@pytest.fixture
def combined(config: TrainConfig) -> TrainConfig:
    """All three methods, without dropout: two devices draw different random numbers."""
    text = TextEncoderConfig(embedding_size=32, layers=1, heads=2, feedforward_size=64, dropout=0.0)
    network = apply_preset(dataclasses.replace(config.network, text=text), "combined")
    assert network.alignment is not None
    assert network.contrast is not None
    alignment = dataclasses.replace(network.alignment, levels=(1, 2), width=16)
    contrast = dataclasses.replace(network.contrast, levels=(0, 1, 2), enhanced_levels=(0, 1), width=16)
    return dataclasses.replace(config, network=dataclasses.replace(network, alignment=alignment, contrast=contrast))


@pytest.mark.gpu
@pytest.mark.parametrize("mixed_precision", [False, True])
def test_two_steps_are_taken_there_and_saved(
    combined: TrainConfig, run_folder: Path, sources: Sources, *, mixed_precision: bool
) -> None:
    run = Run(dataclasses.replace(combined, device="cuda", mixed_precision=mixed_precision), run_folder)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    assert all(parameter.is_cuda for parameter in run.network.parameters())
    losses = steps(run, sources, 2)
    assert all(math.isfinite(part) for parts in losses for part in parts.values())
    moved = [name for name, value in run.network.state_dict().items() if not torch.equal(value, before[name])]
    assert len(moved) > len(before) / 2
    run.save()
    assert load_checkpoint(run_folder / "checkpoint.pt")["step"] == 2


@pytest.mark.gpu
def test_the_first_loss_is_that_of_a_cpu(
    combined: TrainConfig, run_folder: Path, tmp_path: Path, sources: Sources
) -> None:
    losses = []
    for device in ("cpu", "cuda"):
        folder = Path(shutil.copytree(run_folder, tmp_path / device))
        (parts,) = steps(Run(dataclasses.replace(combined, device=device, mixed_precision=False), folder), sources, 1)
        losses.append(parts)
    for name in ("dice", "cross_entropy", "pseudo", "plan", "outside"):
        assert losses[1][name] == pytest.approx(losses[0][name], rel=0.02), name


@pytest.mark.gpu
def test_batch_statistics_of_several_devices_are_torchs_own(combined: TrainConfig, run_folder: Path) -> None:
    network = share_batch_statistics(Run(dataclasses.replace(combined, device="cuda"), run_folder).network)
    assert any(isinstance(part, torch.nn.SyncBatchNorm) for part in network.modules())
    assert not any(type(part) is torch.nn.BatchNorm2d for part in network.modules())
