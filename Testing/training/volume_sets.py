"""Synthetic heads as a set of volumes in the form of the real ones, and a network small enough to train in a test."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from Testing.training.tiny import write_index
from TextGuidedSegLib.config import BackboneConfig, NetworkConfig, PseudoImageConfig, TextEncoderConfig
from TextGuidedSegLib.phantom_volume import PhantomVolume, head_volume, organ_center_ras_mm
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from training.config import DataConfig, TrainConfig
from training.datasets.mr_volumes import VolumeSet

COLUMNS = ("image", "mask", "label", "text", "split", "case", "patient", "spacing", "source", "licence")
CAPTIONS = {"Anterior hippocampus.": "1", "Posterior hippocampus.": "2", "Hippocampus.": "1,2"}
HEADS, STACKS = "synthetic heads", "synthetic stacks"
PATCH = (16, 24, 16)
PREPROCESSING = PreprocessingConfig(spacing_mm=(2.5, 2.5, 2.5), keep_coarse_axes=True, window=(24, 24, 24))
NETWORK = NetworkConfig(
    spatial_dims=3,
    text=TextEncoderConfig(embedding_size=32, layers=1, heads=2, feedforward_size=64),
    pseudo_image=PseudoImageConfig(channels=2, width=32, layers=1, heads=2, frequencies=3, cell_px=6),
    backbone=BackboneConfig(filters=(8, 16, 16), stem_stride=1, norm="instance"),
)


def crop(number: int, *, spacing_mm: tuple[float, float, float] = (2.5, 2.5, 2.5)) -> PhantomVolume:
    """A crop around the left organ of one patient."""
    center = organ_center_ras_mm(number, "left")
    return head_volume(number, size_mm=(40.0, 60.0, 40.0), spacing_mm=spacing_mm, center_ras_mm=center)


def labels(volume: PhantomVolume) -> np.ndarray:
    """1 anterior, 2 posterior."""
    return (volume.mask(depth="anterior") + 2 * volume.mask(depth="posterior")).astype(np.uint8)


def write_volume(path: Path, array: np.ndarray, volume: PhantomVolume) -> None:
    """Write an array on a phantom's grid."""
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    affine = volume.geometry.affine_ijk_to_ras
    image.SetSpacing(volume.geometry.spacing_mm.tolist())
    image.SetOrigin((-affine[0, 3], -affine[1, 3], affine[2, 3]))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(path))


def write_set(folder: Path, *, splits: tuple[str, ...] = ("train",) * 4 + ("val",) * 2, offset: float = 0.0) -> Path:
    """Heads, one a split entry, and two stacks of thick slices for training; returns the index.

    Args:
        folder: Where to; made if missing.
        splits: Split of each head.
        offset: Added to the values: -1024 makes a CT of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    heads = [(HEADS, split, number, crop(number)) for number, split in enumerate(splits)]
    stacks = [(STACKS, "train", number, crop(number, spacing_mm=(2.5, 2.5, 8.0))) for number in (90, 91)]
    for source, split, number, volume in heads + stacks:
        name = f"{source.split()[1]}{number}"
        write_volume(folder / f"{name}.nii.gz", (volume.array + offset).astype(np.int16), volume)
        write_volume(folder / f"{name}_label.nii.gz", labels(volume), volume)
        common = {"image": f"{name}.nii.gz", "mask": f"{name}_label.nii.gz", "split": split, "case": name,
                  "patient": name, "source": source, "spacing": "2.5"}  # fmt: skip
        rows += [common | {"text": text, "label": label} for text, label in CAPTIONS.items()]
    return write_index(folder / "index.csv", COLUMNS, rows)


def volume_config(index: Path, **changes: Any) -> TrainConfig:
    """A run of some seconds on one processor core."""
    sets = (VolumeSet(HEADS, 0.8, PATCH), VolumeSet(STACKS, 0.2, (16, 24, 8), oriented=False))
    config = TrainConfig(
        name="tiny-volumes", steps=8, batch_size=2, learning_rate=5e-3, warmup_steps=4, ema_decay=0.9,
        vocabulary_size=300, device="cpu", mixed_precision=False, network=NETWORK, preprocessing=PREPROCESSING,
        data=DataConfig(mr_volumes=str(index), volume_sets=sets),
    )  # fmt: skip
    return dataclasses.replace(config, **changes)
