"""Volumes in any orientation, and the smallest models that read them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from Testing.lib import tiny
from TextGuidedSegLib.geometry import VOLUME_CODES, AxisCodes, coded_geometry, reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from TextGuidedSegLib.volume_runner import VolumeRunner
from TextGuidedSegLib.weights import DecisionConfig, ModelCard, read_model

SPACING_MM = (1.0, 1.5, 2.0)
PREPROCESSING = PreprocessingConfig(spacing_mm=(2.0, 2.0, 2.0), window=(16, 16, 16))
CARD = {"kinds": ("volume",), "modalities": ("MR",), "preprocessing": PREPROCESSING}


def values(shape: tuple[int, int, int] = (30, 26, 22), seed: int = 0) -> np.ndarray:
    """`(I, J, K)` uint16 without any symmetry, smooth and with noise."""
    rng = np.random.default_rng(seed)
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    smooth = 900 + 300 * i + 200 * j * k + 250 * np.exp(-8 * ((i - 0.3) ** 2 + (j + 0.2) ** 2 + k**2))
    return (smooth + rng.normal(0, 30, shape)).astype(np.uint16)


def volume_image(
    array: np.ndarray,
    codes: AxisCodes = VOLUME_CODES,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
    modality: str | None = "MR",
) -> Image:
    """The volume with axes along R, A and S, stored with axes that run to `codes`."""
    step = reorientation(VOLUME_CODES, codes)
    canonical = coded_geometry((array.shape[0], array.shape[1], array.shape[2]), VOLUME_CODES, spacing_mm)
    geometry = step.apply_to_geometry(canonical)
    return Image.from_array(step.apply(array), geometry.affine_ijk_to_ras, modality)


def write_model(folder: Path, net: FusedNetwork | None = None, **card: Any) -> Path:
    """A model folder of the smallest volume network, or of `net`."""
    return tiny.write_model(folder, net or tiny.network(tiny.VOLUME_NETWORK), **CARD | card)


def assert_orientation_changes_nothing(segmenter: Segmenter, phrase: str, stored: Callable[[AxisCodes], Image]) -> None:
    """One volume, stored in each of the 48 orientations, is answered with the same voxels.

    Args:
        segmenter: With any model.
        phrase: What it is asked.
        stored: The volume with axes that run to given codes.
    """
    upright = None
    for codes in tiny.ORIENTATIONS:
        image = stored(codes)
        segmenter.set_image(image)
        found = reorientation(image.axis_codes, VOLUME_CODES).apply(segmenter.segment(phrase).probability)
        upright = found if upright is None else upright
        np.testing.assert_array_equal(found, upright, str(codes))


class Pointwise(nn.Module):
    """A backbone that says something about each voxel alone."""

    def __init__(self, says: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.says = says

    def forward(self, image: Tensor) -> Tensor:
        """`(B, C, *shape)` to `(B, 1, *shape)`; channel 0 is the image, the others are the pseudo-image."""
        return self.says(image)


def pointwise_runner(
    image: Image,
    says: Callable[[Tensor], Tensor],
    folder: Path,
    *,
    preprocessing: PreprocessingConfig = PREPROCESSING,
    decision: DecisionConfig = DecisionConfig(mirror_average=False),  # noqa: B008 - a frozen record
) -> VolumeRunner:
    """A runner of a network whose backbone is replaced by a `Pointwise` one."""
    net = tiny.network(tiny.VOLUME_NETWORK)
    net.backbone = Pointwise(says)
    return runner(net, image, folder, preprocessing=preprocessing, decision=decision)


def runner(net: FusedNetwork, image: Image, folder: Path, **card: Any) -> VolumeRunner:
    """A runner of a network as it is."""
    if not folder.exists():
        write_model(folder)
    values = dataclasses.replace(read_model(folder).card, network=net.config, **card)
    return VolumeRunner(net, tiny.phrase_tokenizer(folder), card=values, image=image)


def canonical(image: Image, array: np.ndarray) -> np.ndarray:
    """A map on the image's grid with axes along R, A and S."""
    return reorientation(image.axis_codes, VOLUME_CODES).apply(array)


def card_of(folder: Path) -> ModelCard:
    """The card of a model folder."""
    return read_model(folder).card


def sigmoid(values: np.ndarray) -> np.ndarray:
    """In float32, as the runner does."""
    result: np.ndarray = torch.from_numpy(values.astype(np.float32)).sigmoid().numpy()
    return result


def aligned_network(methods: str = "symmetric alignment") -> FusedNetwork:
    """A network whose directions are measured in an organ that it finds, and whose decoder listens to them."""
    net = tiny.network(tiny.with_methods(tiny.VOLUME_NETWORK, methods))
    assert net.alignment is not None
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        net.alignment.organ.head.weight.normal_(generator=generator)
        for gain in net.alignment.pointing.values():
            gain.normal_(generator=generator)
    return net
