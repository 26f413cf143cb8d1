"""What every run shares: progress, cancelling, and the device it runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from TextGuidedSegLib.errors import Cancelled, DeviceError
from TextGuidedSegLib.windows import WindowPlan

Progress = Callable[[float, str], None]
IsCancelled = Callable[[], bool]


class Maps(NamedTuple):
    """What the network said about one phrase, on the image's own grid `(I, J, K)`.

    Attributes:
        evidence: For presence, in [-12, 12].
        probability: float32 in [0, 1]; the caller's own.
        pseudo_image: float32 in [0, 1]; the caller's own.
        plan: Windows of a volume; None otherwise.
    """

    evidence: float
    probability: np.ndarray
    pseudo_image: np.ndarray
    plan: WindowPlan | None = None


class Reporter:
    """Tells progress and raises `Cancelled`.

    Args:
        progress: Called with the share done in [0, 1] and the name of the stage.
        is_cancelled: Asked before every stage, and within long ones.
        span: Part of the whole that this reporter's shares cover.
    """

    def __init__(
        self, progress: Progress | None, is_cancelled: IsCancelled | None, span: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        self._progress, self._is_cancelled, self._span = progress, is_cancelled, span

    def __call__(self, share: float, stage: str) -> None:
        """Tell that a stage begins.

        Raises:
            Cancelled: The caller said so.
        """
        self.ask(stage)
        if self._progress is not None:
            start, end = self._span
            self._progress(start + share * (end - start), stage)

    def ask(self, stage: str) -> None:
        """Ask whether to go on, within a stage that takes long, without telling of any progress.

        Raises:
            Cancelled: The caller said so.
        """
        if self._is_cancelled is not None and self._is_cancelled():
            msg = f"cancelled before the stage {stage!r}"
            raise Cancelled(msg)

    def within(self, start: float, end: float) -> Reporter:
        """A reporter for a part of the work, whose shares run from 0 to 1."""
        low, high = self._span
        span = (low + start * (high - low), low + end * (high - low))
        return Reporter(self._progress, self._is_cancelled, span)


def choose_device(device: str) -> str:
    """`cpu` or `cuda` for `auto`, `cpu` or `cuda`.

    Raises:
        ValueError: Another word.
        DeviceError: `cuda` was asked for and is not there; nothing falls back silently.
    """
    if device not in ("auto", "cpu", "cuda"):
        msg = f"device must be auto, cpu or cuda, got {device!r}"
        raise ValueError(msg)
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        msg = "device cuda was asked for, but torch finds no CUDA device; use --device cpu or auto"
        raise DeviceError(msg)
    return device


def device_of(network: nn.Module) -> torch.device:
    """Where the weights of a network lie, and so what it is to be given."""
    return next(network.parameters()).device


@contextmanager
def memory_said(device: str) -> Iterator[None]:
    """Say in a sentence that a device ran out of memory.

    Raises:
        DeviceError: It did.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        msg = f"the device {device} ran out of memory; close what else uses it, or use --device cpu"
        raise DeviceError(msg) from error
