"""Training by several processes, started by torchrun; a process that is alone takes the same way with a group of one.

torchrun --nproc-per-node 2 -m training.train --config training/models/chest-xray/train.json

Every process draws and warps the whole batch, which is a function of the seed and the step, and works on its share of
it. Losses divide by counts over the whole batch and the contrastive loss sees all of its pairs, so that N processes
take the very step that one would take.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

Item = TypeVar("Item")


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
        """The network with gradients that are averaged over the processes; itself when alone."""
        if self.count == 1:
            return network
        # A batch may lack what a part learns from (no phrase points anywhere): its gradient is then zero, not missing.
        return nn.parallel.DistributedDataParallel(network, find_unused_parameters=True)


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
