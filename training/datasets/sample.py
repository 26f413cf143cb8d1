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
        array: `(I, J)` float16, normalized, canonical film frame; `(C, I, J)` for a color film.
        mask: `(I, J)` uint8 in {0, 1}: what the phrase names, empty when it is not there.
        phrase: Normalized words; empty when `absent`.
        absent: There is no phrase: the learned null stands in.
        pointed: The words point at the mask, so the pseudo-image can learn from it.
        picture: Places in the phrase are places of the picture and not of a patient, so moving the image alone would
            make the words false (`augment.without_pose`).
    """

    array: np.ndarray
    mask: np.ndarray
    phrase: str
    absent: bool = False
    pointed: bool = True
    picture: bool = False


class SampleSource(Protocol):
    """A data set from which the loop draws with a seeded generator."""

    def draw(self, rng: random.Random) -> Sample:
        """One sample; equal generator states give equal samples."""


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """B samples as tensors.

    Attributes:
        image: `(B, C, I, J)` float32.
        mask: `(B, 1, I, J)` float32 in {0, 1}.
        phrases: B phrases.
        absent: `(B,)` bool.
        pointed: `(B,)` bool.
        picture: `(B,)` bool.
    """

    image: Tensor
    mask: Tensor
    phrases: tuple[str, ...]
    absent: Tensor
    pointed: Tensor
    picture: Tensor


def collate(samples: Sequence[Sample], channels: int = 1) -> Batch:
    """Stack samples of equal size.

    Args:
        samples: At least one.
        channels: Channels the network reads; grey films are repeated, as `preprocessing.prepare_film` does.

    Raises:
        ValueError: A sample has another number of channels, such as a color film for a grey network.
    """
    images = [_channels_first(sample.array, channels) for sample in samples]
    return Batch(
        image=torch.from_numpy(np.stack(images).astype(np.float32)),
        mask=torch.from_numpy(np.stack([sample.mask for sample in samples])[:, None].astype(np.float32)),
        phrases=tuple(sample.phrase for sample in samples),
        absent=torch.tensor([sample.absent for sample in samples]),
        pointed=torch.tensor([sample.pointed for sample in samples]),
        picture=torch.tensor([sample.picture for sample in samples]),
    )


def _channels_first(array: np.ndarray, channels: int) -> np.ndarray:
    if array.ndim == 2:
        return np.broadcast_to(array, (channels, *array.shape))
    if len(array) != channels:
        msg = f"a film has {len(array)} channels, the network reads {channels}; set network.image_channels to fit"
        raise ValueError(msg)
    return array
