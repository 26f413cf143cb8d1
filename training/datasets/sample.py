"""What every data set yields, and the batches the loop trains on."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """One image with one phrase.

    Attributes:
        array: `(I, J)` float16, normalized, canonical film frame.
        mask: `(I, J)` uint8 in {0, 1}: what the phrase names, empty when it is not there.
        phrase: Normalized words; empty when `absent`.
        absent: There is no phrase: the learned null stands in.
        pointed: The words point at the mask, so the pseudo-image can learn from it.
    """

    array: np.ndarray
    mask: np.ndarray
    phrase: str
    absent: bool = False
    pointed: bool = True


class SampleSource(Protocol):
    """A data set from which the loop draws with a seeded generator."""

    def draw(self, rng: random.Random) -> Sample:
        """One sample; equal generator states give equal samples."""


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """B samples as tensors.

    Attributes:
        image: `(B, 1, I, J)` float32.
        mask: `(B, 1, I, J)` float32 in {0, 1}.
        phrases: B phrases.
        absent: `(B,)` bool.
        pointed: `(B,)` bool.
    """

    image: Tensor
    mask: Tensor
    phrases: tuple[str, ...]
    absent: Tensor
    pointed: Tensor


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples of equal shape."""
    return Batch(
        image=torch.from_numpy(np.stack([sample.array for sample in samples])[:, None].astype(np.float32)),
        mask=torch.from_numpy(np.stack([sample.mask for sample in samples])[:, None].astype(np.float32)),
        phrases=tuple(sample.phrase for sample in samples),
        absent=torch.tensor([sample.absent for sample in samples]),
        pointed=torch.tensor([sample.pointed for sample in samples]),
    )
