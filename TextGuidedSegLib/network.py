"""Early fusion: the pseudo-image is stacked on the image, and one warp moves both. The only place parts are wired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from TextGuidedSegLib.backbones import backbone_multiple, build_backbone
from TextGuidedSegLib.config import NetworkConfig
from TextGuidedSegLib.pseudo_image import PseudoImageGenerator
from TextGuidedSegLib.text_encoder import TextEncoder, Tokens


class NetworkOutput(NamedTuple):
    """What one pass returns; everything as logits.

    Attributes:
        logits: `(B, 1, *shape)` segmentation, in the frame of the given image.
        pseudo_logits: `(B, P, *shape)` pseudo-image in the canonical frame, before any warp; channel 0 is occupancy.
    """

    logits: Tensor
    pseudo_logits: Tensor


class FusedNetwork(nn.Module):
    """Image and phrase to segmentation logits by early fusion (methods of arXiv:2510.12482, its known faults mended).

    Ground truth never enters: `forward(image, tokens)`. The augmentation's warp is an argument because the
    pseudo-image is born inside: the loader warps image and mask, and passes the same grid for the pseudo-image.

    Args:
        config: Parts and sizes.
        text_encoder: Phrases to token states.
    """

    def __init__(self, config: NetworkConfig, text_encoder: TextEncoder) -> None:
        super().__init__()
        self.config = config
        self.text_encoder = text_encoder
        self.generator = PseudoImageGenerator(config.pseudo_image, text_encoder.embedding_size, config.spatial_dims)
        channels = config.image_channels + config.pseudo_image.channels
        self.backbone = build_backbone(config.backbone, channels, config.spatial_dims)
        self.multiple = backbone_multiple(config.backbone)

    def forward(
        self, image: Tensor, tokens: Tokens, *, absent: Tensor | None = None, warp: Tensor | None = None
    ) -> NetworkOutput:
        """One pass.

        Args:
            image: `(B, C, *shape)` float32, normalized, canonical frame (already warped when `warp` is given).
            tokens: B phrases.
            absent: `(B,)` bool, True where there is no phrase.
            warp: `(B, *shape, D)` sampling grid as `torch.nn.functional.grid_sample` reads it, applied to the
                pseudo-image only; None at inference.

        Returns:
            Logits and the pseudo-image before the warp.
        """
        pseudo_logits = self.pseudo_image(tokens, image.shape[2:], absent=absent)
        return NetworkOutput(self.segment(image, pseudo_logits, warp=warp), pseudo_logits)

    def pseudo_image(self, tokens: Tokens, shape: Sequence[int], *, absent: Tensor | None = None) -> Tensor:
        """Pseudo-image logits `(B, P, *shape)` of B phrases over a whole image of that shape."""
        states = self.text_encoder(tokens, absent)
        logits: Tensor = self.generator(states, tokens.mask, shape)
        return logits

    def segment(self, image: Tensor, pseudo_logits: Tensor, *, warp: Tensor | None = None) -> Tensor:
        """Fuse and segment.

        Args:
            image: `(B, C, *shape)`.
            pseudo_logits: `(B, P, *shape)`, the whole image's or the same window of it.
            warp: Sampling grid for the pseudo-image, see `forward`.

        Returns:
            `(B, 1, *shape)` float32 logits.
        """
        pseudo = pseudo_logits.sigmoid()
        if warp is not None:
            pseudo = functional.grid_sample(pseudo, warp, align_corners=False)
        fused = torch.cat([image, pseudo], dim=1)
        shape = fused.shape[2:]
        if self.config.spatial_dims == 2:
            fused = fused.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.backbone(_pad_to_multiple(fused, self.multiple))
        mode = "bilinear" if self.config.spatial_dims == 2 else "trilinear"
        padded = [_round_up(size, self.multiple) for size in shape]
        if list(logits.shape[2:]) != padded:
            logits = functional.interpolate(logits.float(), size=padded, mode=mode, align_corners=False)
        window = (slice(None), slice(None), *(slice(0, size) for size in shape))
        return logits[window].float()


def second_names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Names under which a state dictionary repeats a tensor, each with the tensor's first name.

    MONAI's DynUNet registers its blocks twice; a weights file that holds each tensor once is half the size.

    Args:
        state: What `state_dict()` returned, or a checkpoint of it; copies of its tensors no longer show the repetition.
    """
    first: dict[tuple[int, torch.Size], str] = {}
    names = {name: first.setdefault((tensor.data_ptr(), tensor.shape), name) for name, tensor in state.items()}
    return {name: original for name, original in names.items() if name != original}


def _round_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Zeros after the end of each axis; zero is the mean of a normalized image and 'no word points here'."""
    pads: list[int] = []
    for size in reversed(image.shape[2:]):
        pads += [0, _round_up(size, multiple) - size]
    return functional.pad(image, pads) if any(pads) else image
