"""What a set of volumes yields, and the batches the loop trains on: the same protocol as films, in three dimensions."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class VolumeSample:
    """A crop of one volume with one phrase.

    The pseudo-image is made over the whole volume and seen through the crop, as at inference: hence the frame.

    Attributes:
        array: `(I, J, K)` float16 crop, normalized, canonical frame; zeros where it leaves the volume.
        mask: `(I, J, K)` uint8 in {0, 1}: what the phrase names there, empty when it is not there.
        frame_mask: `(I, J, K)` float16 in [0, 1]: what the phrase names in the whole volume, at the crop's size.
        window: `(3, 2)` borders of the crop along each axis, where the whole volume reaches from -1 to 1.
        spacing_mm: `(3,)` size of a voxel.
        phrase: Normalized words; empty when `absent`.
        absent: There is no phrase: the learned null stands in.
        pointed: The words point at the mask, so the pseudo-image can learn from it.
        oriented: The file says how the patient lies; otherwise any turn of the volume is as true.
    """

    array: np.ndarray
    mask: np.ndarray
    frame_mask: np.ndarray
    window: np.ndarray
    spacing_mm: np.ndarray
    phrase: str
    absent: bool = False
    pointed: bool = True
    oriented: bool = True


class VolumeSource(Protocol):
    """A set of volumes from which the loop draws with a seeded generator."""

    def draw(self, rng: random.Random, count: int) -> list[VolumeSample]:
        """Samples of one size; equal generator states give equal samples."""


@dataclasses.dataclass(frozen=True, eq=False)
class VolumeBatch:
    """B samples of one size as tensors.

    Attributes:
        image: `(B, 1, I, J, K)` float32.
        mask: `(B, 1, I, J, K)` float32 in {0, 1}.
        frame_mask: `(B, 1, I, J, K)` float32 in [0, 1].
        window: `(B, 3, 2)` float32.
        spacing_mm: `(B, 3)` float32.
        phrases: B phrases.
        absent: `(B,)` bool.
        pointed: `(B,)` bool.
        oriented: `(B,)` bool.
    """

    image: Tensor
    mask: Tensor
    frame_mask: Tensor
    window: Tensor
    spacing_mm: Tensor
    phrases: tuple[str, ...]
    absent: Tensor
    pointed: Tensor
    oriented: Tensor


def collate_volumes(samples: Sequence[VolumeSample]) -> VolumeBatch:
    """Stack samples of equal size.

    Args:
        samples: At least one; those of one set have one size.
    """

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(sample, name) for sample in samples]).astype(np.float32))

    return VolumeBatch(
        image=stacked("array")[:, None],
        mask=stacked("mask")[:, None],
        frame_mask=stacked("frame_mask")[:, None],
        window=stacked("window"),
        spacing_mm=stacked("spacing_mm"),
        phrases=tuple(sample.phrase for sample in samples),
        absent=torch.tensor([sample.absent for sample in samples]),
        pointed=torch.tensor([sample.pointed for sample in samples]),
        oriented=torch.tensor([sample.oriented for sample in samples]),
    )
