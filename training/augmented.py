"""A batch after augmentation, of films or of volumes: what one training step sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from TextGuidedSegLib.mirroring import mirrored_words
from training.augment import apply_warps, fused_after, photometric, sample_warps, without_pose
from training.augment_volume import Augmented, augmented_volumes
from training.datasets.sample import Batch
from training.datasets.volume_sample import VolumeBatch
from training.style import restyled

if TYPE_CHECKING:
    from training.config import TrainConfig


def augmented(batch: Batch | VolumeBatch, config: TrainConfig, step: int, generator: torch.Generator) -> Augmented:
    """Draw and apply the changes of a batch; equal generator states make equal changes."""
    if isinstance(batch, VolumeBatch):
        return augmented_volumes(batch, config.volume_augmentation, generator)
    params = without_pose(sample_warps(len(batch.phrases), config.augmentation, generator), batch.picture)
    if not config.augmentation.fuse_before:
        params = fused_after(params)
    image, mask = (_resize(array, film_size(step, config)) for array in (batch.image, batch.mask))
    image, target, pseudo_target, warp = apply_warps(image, mask, params)
    image = photometric(image, config.augmentation, generator, colors=not config.preprocessing.neighbor_slices)
    if config.augmentation.style:
        image = restyled(image, config.augmentation.style, generator)
    sides = zip(batch.phrases, params.mirrored.tolist(), strict=True)
    words = [mirrored_words(text) if flip else text for text, flip in sides]
    # Mirrored films put the heart on the wrong side: the pseudo-image learns where things are from true ones only.
    # A picture without a patient's side is as true mirrored as not.
    painted = batch.pointed & (~params.mirrored | batch.picture)
    return Augmented(image, target, pseudo_target, warp, words, painted)


def film_size(step: int, config: TrainConfig) -> int:
    """Pixels of a film's side: small ones first, so that most of the films are seen at a third of the cost."""
    return config.coarse_size if step < config.coarse_steps else config.preprocessing.size


def _resize(array: Tensor, size: int) -> Tensor:
    return array if array.shape[-1] == size else functional.interpolate(array, size=(size, size), mode="area")
