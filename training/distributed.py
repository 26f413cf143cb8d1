"""Training by several processes, started by torchrun; a process that is alone takes the same way with a group of one.

torchrun --nproc-per-node 2 -m training.train --config training/models/chest-xray/train.json

Every process draws and warps the whole batch, which is a function of the seed and the step, and works on its share of
it. What N processes compute is what one would compute, up to rounding:

* the loss and its gradient: losses divide by counts over the whole batch, the contrastive loss sees all of its pairs;
* batch normalization: means and variances are those of the whole batch, in training and in what is stored;
* a resumed run with the same number of processes.

What differs: **dropout**, whose masks each process draws for its own samples, by seed, step and rank. They are as
random as those of one process and not the same, so with dropout (the text encoder has 0.1) runs of one and of two
processes are two draws of one experiment, like two seeds. Half precision rounds the sums of shares another way, too.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm  # of any number of dimensions

Item = TypeVar("Item")

_SEED_STRIDE = 0x9E3779B1  # odd and large: no two ranks meet at neighboring steps


@dataclass(frozen=True)
class Workers:
    """The processes of a training, seen from one of them.

    Attributes:
        rank: Which one this is, from 0.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def own_seed(self, seed: int) -> int:
        """A seed of this process's own: `seed` itself in the first one, so that one process is a group of one.

        The generator of a CPU reads no more than 32 bits of it.
        """
        return seed if self.is_first else (seed + self.rank * _SEED_STRIDE) % 2**32

    def share(self, size: int) -> slice:
        """This process's part of a batch.

        Raises:
            ValueError: The batch cannot be split evenly.
        """
        if size % self.count:
            msg = f"batch_size must be a multiple of the {self.count} processes, got {size}"
            raise ValueError(msg)
        part = size // self.count
        return slice(self.rank * part, (self.rank + 1) * part)

    @contextlib.contextmanager
    def own_dropout(self, seed: int) -> Iterator[None]:
        """Random numbers of this process's own inside, those of `seed`, the same in all processes, after it.

        The pixels that the contrastive loss draws are the whole batch's: all processes must draw the same ones.
        """
        if self.count == 1:
            yield
            return
        torch.manual_seed(self.own_seed(seed))
        yield
        torch.manual_seed(seed)

    def mean_count(self, chosen: Tensor) -> Tensor:
        """Number of chosen samples of the whole batch, divided by the number of processes, at least 1 in all.

        A sum over this process's samples divided by it has a mean over processes that is the mean over the batch.
        """
        total = chosen.sum().float()
        if self.count > 1:
            dist.all_reduce(total)
        return total.clamp_min(1) / self.count

    def largest(self, number: int) -> int:
        """Largest of the processes' numbers."""
        return max(self.gather_objects((number,)))

    def gather(self, tensor: Tensor) -> Tensor:
        """Samples of all processes, in order; gradients flow to this process's own, see `with_all_gradients`."""
        if self.count == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.count)]
        dist.all_gather(parts, tensor.detach().contiguous())
        parts[self.rank] = tensor
        return torch.cat(parts, dim=0)

    def with_all_gradients(self, loss: Tensor) -> Tensor:
        """A loss over gathered samples, equal in all processes, of which each one has the gradient of its own samples.

        The gradients are averaged over the processes but should be summed: the value stays, the gradient is multiplied.
        """
        return loss * self.count - loss.detach() * (self.count - 1)

    def gather_objects(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """Items of all processes, in order."""
        if self.count == 1:
            return items
        parts: list[tuple[Item, ...] | None] = [None] * self.count
        dist.all_gather_object(parts, items)
        return tuple(item for part in parts if part for item in part)

    def averaged(self, numbers: dict[str, float]) -> dict[str, float]:
        """Mean of each number over the processes."""
        if self.count == 1:
            return numbers
        values = torch.tensor(list(numbers.values()), dtype=torch.float64)
        if dist.get_backend() == "nccl":
            values = values.cuda()
        dist.all_reduce(values)
        return dict(zip(numbers, (values / self.count).tolist(), strict=True))

    @contextlib.contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process does something before the others, who then find it done."""
        if self.count > 1 and not self.is_first:
            dist.barrier()
        yield
        if self.count > 1 and self.is_first:
            dist.barrier()

    def wrapped(self, network: nn.Module) -> nn.Module:
        """The network with gradients that are averaged over the processes; itself when alone.

        Its batch normalizations are changed in place to such over the whole batch.
        """
        if self.count == 1:
            return network
        network = share_batch_statistics(network)
        # A batch may lack what a part learns from (no phrase points anywhere): its gradient is then zero, not missing.
        return nn.parallel.DistributedDataParallel(network, find_unused_parameters=True)


class SharedBatchNorm(BatchNorm):
    """Batch normalization over the shares of all processes, for CPUs: torch's own needs GPUs.

    Every process has as many samples, which `Workers.share` sees to.

    Args:
        like: The normalization of one process, whose weights and statistics it takes over.
    """

    def __init__(self, like: BatchNorm) -> None:
        super().__init__(like.num_features, like.eps, like.momentum)
        self.weight, self.bias = like.weight, like.bias
        self.running_mean, self.running_var = like.running_mean, like.running_var
        self.num_batches_tracked = like.num_batches_tracked

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - the name is torch's
        """Any number of axes after batch and channel."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name is torch's
        """`(B, C, *shape)` to the same shape."""
        if not self.training:
            normalized: Tensor = super().forward(input)
            return normalized
        image, axes = input.float(), [0, *range(2, input.ndim)]
        each = [1, -1, *[1] * (input.ndim - 2)]
        mean = _averaged_with_gradient(image.mean(axes))
        centered = image - mean.view(each)
        variance = _averaged_with_gradient(centered.square().mean(axes))
        self._remember(mean.detach(), variance.detach(), image.numel() // image.shape[1] * dist.get_world_size())
        scale = self.weight * (variance + self.eps).rsqrt()
        shared: Tensor = (centered * scale.view(each) + self.bias.view(each)).to(input.dtype)
        return shared

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the statistics for inference, as `nn.BatchNorm2d` does: with the variance of a population's sample."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)


class _Sum(torch.autograd.Function):
    """Sum over the processes; what each of them does with it is part of every process's gradient."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def _averaged_with_gradient(tensor: Tensor) -> Tensor:
    """Mean over the processes, whose gradient reaches all of them."""
    total: Tensor = _Sum.apply(tensor)  # type: ignore[no-untyped-call]
    return total / dist.get_world_size()


def share_batch_statistics(network: nn.Module) -> nn.Module:
    """Change batch normalizations to ones over the batch of all processes, in place; weights and names stay.

    On GPUs these are torch's `SyncBatchNorm`, on CPUs `SharedBatchNorm`.
    """
    if any(parameter.is_cuda for parameter in network.parameters()):
        synchronized: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return synchronized
    for name, part in network.named_children():
        setattr(network, name, SharedBatchNorm(part) if isinstance(part, BatchNorm) else share_batch_statistics(part))
    return network


ALONE = Workers()


def join_workers(device: str) -> tuple[Workers, torch.device]:
    """Meet the other processes that torchrun started; alone if it did not.

    Args:
        device: `cpu` or `cuda`.

    Returns:
        The group and this process's device.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ALONE, torch.device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    place = torch.device(device, int(os.environ.get("LOCAL_RANK", "0"))) if device == "cuda" else torch.device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    return Workers(dist.get_rank(), count), place


def leave_workers() -> None:
    """Part from the other processes, if there are any."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
