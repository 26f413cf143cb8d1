"""Save, resume and export a run; a kill between two instructions leaves the previous checkpoint whole."""

from __future__ import annotations

import copy
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

STATE = ("network", "average", "optimizer", "step", "seconds")
"""What the checkpoint of a run holds."""

# What torch and pickle raise of bytes that are not theirs.
_DAMAGED = (
    RuntimeError, EOFError, pickle.UnpicklingError, LookupError, ValueError, TypeError, AttributeError, struct.error
)  # fmt: skip


class ExponentialMovingAverage:
    """Averaged weights, which generalize better than the last ones; buffers are copied.

    Args:
        network: The network whose weights are averaged.
        decay: Weight of the past in each step; smaller at the start, when the past is random.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network's present weights; `step` counts from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averaged: list[torch.Tensor] = [
            parameter for parameter in self.network.parameters() if parameter.is_floating_point()
        ]
        present = [parameter.detach() for parameter in network.parameters() if parameter.is_floating_point()]
        torch._foreach_lerp_(averaged, present, 1 - decay)
        for buffer, source in zip(self.network.buffers(), network.buffers(), strict=True):
            buffer.copy_(source)


class DamagedCheckpointError(ValueError):
    """A checkpoint cannot be read: cut off, changed, or something else under its name."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values atomically.

    Raises:
        OSError: It could not be written; the one before it is as it was.
    """
    temporary = path.with_suffix(".partial")
    try:
        torch.save(state, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch says with RuntimeError that the disk is full
        temporary.unlink(missing_ok=True)
        msg = f"{path}: could not be written ({_reason(error)}), the one before is kept; check the free space"
        raise OSError(msg) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote; only tensors and plain values are accepted, never code.

    Raises:
        DamagedCheckpointError: It is no whole checkpoint of a run.
        OSError: There is no such file.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except _DAMAGED as error:
        if "allocate memory" in str(error):  # nothing is wrong with the file, and nobody should delete it
            raise
        raise _damaged(path, _reason(error)) from error
    missing = [key for key in STATE if key not in state] if isinstance(state, dict) else list(STATE)
    if missing:
        raise _damaged(path, f"it lacks {', '.join(missing)}")
    return state


def _damaged(path: Path, why: str) -> DamagedCheckpointError:
    return DamagedCheckpointError(f"{path} is damaged ({why}): delete it to start again")


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def with_neighbors(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a network of single slices for one that sees neighbors: at first it does not look at them.

    Args:
        theirs: Of a network whose image has one channel.
        ours: Of the same network, but that its image has three channels, the slice itself in the middle.

    Returns:
        Theirs, with the kernels that read the image widened by zeros.
    """

    def widened(tensor: Tensor, like: Tensor) -> Tensor:
        if tensor.ndim < 2 or like.shape != (tensor.shape[0], tensor.shape[1] + 2, *tensor.shape[2:]):
            return tensor
        wide = torch.zeros_like(like)
        wide[:, 1] = tensor[:, 0]
        wide[:, 3:] = tensor[:, 1:]
        return wide

    return {name: widened(tensor, ours[name]) if name in ours else tensor for name, tensor in theirs.items()}


def half_precision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Floating-point tensors as float16, contiguous, for shipping: half the size.

    Those with a number that float16 cannot hold, which running variances may have, stay as they are.
    """

    def halved(tensor: Tensor) -> Tensor:
        half = tensor.half()
        return half if torch.equal(half.isfinite(), tensor.isfinite()) else tensor

    return {
        name: (halved(tensor) if tensor.is_floating_point() else tensor).contiguous() for name, tensor in state.items()
    }
