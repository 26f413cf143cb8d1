"""Several processes take the step that one takes: the whole command under torchrun, with gloo."""

from __future__ import annotations

import copy
import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed as dist
from torch import nn

from TextGuidedSegLib.config import ContrastiveAlignmentConfig, SymmetricAlignmentConfig, TextEncoderConfig
from training.checkpoint import load_checkpoint
from training.config import TrainConfig, save_config
from training.distributed import ALONE, SharedBatchNorm, Workers, share_batch_statistics
from training.train import train

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def combined(config: TrainConfig) -> TrainConfig:
    """All methods as they are shipped, with batch normalization; but no dropout, which each process draws by itself."""
    assert config.network.backbone.norm == "batch"
    network = dataclasses.replace(
        config.network,
        text=TextEncoderConfig(embedding_size=32, layers=1, heads=2, feedforward_size=64, dropout=0.0),
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
        statistics = [name for name in one["network"] if name.endswith(("running_mean", "running_var"))]
        assert statistics
        for name in statistics:
            torch.testing.assert_close(two["network"][name], one["network"][name], rtol=1e-3, atol=1e-5)
            assert not torch.equal(one["network"][name], torch.full_like(one["network"][name], name.endswith("var")))
        assert one["network"].keys() == two["network"].keys()

    @pytest.mark.slow  # two processes load torch to refuse what `TestWorkers` sees refused
    def test_a_batch_that_cannot_be_split_is_refused(self, combined: TrainConfig, tmp_path: Path) -> None:
        folder = tmp_path / combined.name
        finished = train_with_torchrun(dataclasses.replace(combined, batch_size=3), folder, 2)
        assert finished.returncode != 0
        assert "batch_size must be a multiple of the 2 processes, got 3" in finished.stderr


@pytest.fixture
def group_of_one(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group_of_one")
class TestBatchStatistics:
    @pytest.mark.parametrize(("kind", "shape"), [(nn.BatchNorm2d, (4, 3, 5, 6)), (nn.BatchNorm3d, (2, 3, 4, 5, 6))])
    def test_a_group_of_one_normalizes_as_torch_does(self, kind: type[nn.Module], shape: tuple[int, ...]) -> None:
        torch.manual_seed(0)
        own = nn.Sequential(kind(3))
        nn.init.uniform_(own[0].weight)
        shared = share_batch_statistics(copy.deepcopy(own))
        assert isinstance(shared[0], SharedBatchNorm)
        for step in range(3):
            results = []
            image = torch.randn(shape) * (step + 1) + step
            for network in (own, shared):
                tensor = image.clone().requires_grad_()
                output = network(tensor)
                (output**3).mean().backward()
                results.append((output, tensor.grad, *(parameter.grad for parameter in network.parameters())))
            for one, other in zip(*results, strict=True):
                torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(shared.state_dict(), own.state_dict())
        image = torch.randn(shape)
        torch.testing.assert_close(shared.eval()(image), own.eval()(image), rtol=1e-4, atol=1e-5)

    def test_weights_keep_their_names_and_are_the_same_tensors(self) -> None:
        own = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Sequential(nn.BatchNorm2d(3)))
        before = {name: value.data_ptr() for name, value in own.state_dict().items()}
        shared = share_batch_statistics(own)
        assert {name: value.data_ptr() for name, value in shared.state_dict().items()} == before


class TestWorkers:
    def test_shares_cover_the_batch_once(self) -> None:
        rows = [row for rank in range(4) for row in range(12)[Workers(rank, 4).share(12)]]
        assert rows == list(range(12))

    def test_a_batch_that_cannot_be_split_is_refused(self) -> None:
        with pytest.raises(ValueError, match="batch_size must be a multiple of the 2 processes, got 3"):
            Workers(1, 2).share(3)

    def test_no_two_processes_draw_the_same_dropout_in_any_step(self) -> None:
        drawn = []
        for step in range(50):
            for rank in range(8):
                torch.manual_seed(Workers(rank, 8).own_seed(7 * 1_000_003 + step))
                drawn.append(tuple((torch.rand(64) < 0.1).tolist()))
        assert len(set(drawn)) == len(drawn)

    def test_after_dropout_all_processes_draw_the_same_pixels(self) -> None:
        drawn, luck = [], []
        for rank, count in ((0, 1), (0, 2), (1, 2)):
            torch.manual_seed(11)
            with Workers(rank, count).own_dropout(11):
                drawn.extend(torch.rand(3).tolist() if count > 1 else [])
            luck.append(torch.rand(5))
        assert len(set(drawn)) == 6
        assert torch.equal(luck[0], luck[1])
        assert torch.equal(luck[0], luck[2])

    def test_the_first_process_draws_what_one_process_draws(self) -> None:
        assert [Workers(0, count).own_seed(2**40 + 3) for count in (1, 2, 8)] == [ALONE.own_seed(2**40 + 3)] * 3

    def test_one_process_keeps_its_network_as_it_is(self) -> None:
        network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        assert ALONE.wrapped(network) is network
        assert type(network[1]) is nn.BatchNorm2d

    def test_one_process_changes_nothing(self) -> None:
        tensor = torch.randn(3, 2, requires_grad=True)
        assert ALONE.gather(tensor) is tensor
        assert ALONE.gather_objects(("a", "b")) == ("a", "b")
        assert ALONE.averaged({"loss": 0.5}) == {"loss": 0.5}
        assert ALONE.mean_count(torch.tensor([True, False, True])) == 2
        assert ALONE.mean_count(torch.tensor([False])) == 1
