"""Second half of the backbones' contract: the levels of a network, for parts that work on features.

A view holds a reference to a network that `backbones.build_backbone` built and calls its own blocks in its own order.
It is no `nn.Module`, so a state dictionary looks the same whether or not the levels are used.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from monai.networks.nets import DynUNet, SegResNet
from torch import Tensor, nn

from TextGuidedSegLib.backbones import StemmedNetwork
from TextGuidedSegLib.efficientnet_lite import LEVEL_STRIDES, EfficientNetLiteUNet

Refine = Callable[[int, Tensor], Tensor]
"""`refine(level, features)`: what the decoder goes on with at a level; its result has the shape of `features`."""


class LevelledBackbone(Protocol):
    """A network seen as an encoder and a decoder. `decode(encode(x), identity)` is the network's own forward pass.

    Attributes:
        level_channels: Channels of each encoder level, finest first, the bottleneck last.
        level_strides: Image pixels (voxels) per feature along each axis, level by level.
    """

    level_channels: tuple[int, ...]
    level_strides: tuple[int, ...]

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features of every level.

        Args:
            image: `(B, C, *shape)`, each size a multiple of `backbone_multiple` of the network's configuration.

        Returns:
            For each level `(B, level_channels[level], *(shape / level_strides[level]))`, finest first.
        """
        ...

    def decode(self, features: Sequence[Tensor], refine: Refine) -> Tensor:
        """Logits from the features of every level.

        Args:
            features: As `encode` returns them, or replacements of the same shapes. They are not changed.
            refine: Called after each up-block with that block's level, deepest first: `len(level_channels) - 2`
                down to 0. The decoder's features at a level have the channels of the encoder's.

        Returns:
            `(B, 1, *(shape / level_strides[0]))`.
        """
        ...


class _UpBlockLevels:
    """Decoder of both networks that have MONAI's up-blocks."""

    def __init__(self, network: DynUNet | EfficientNetLiteUNet) -> None:
        self._network: Any = network
        self.level_channels = tuple(network.filters)

    def decode(self, features: Sequence[Tensor], refine: Refine) -> Tensor:
        decoded = features[-1]
        for level, block in zip(reversed(range(len(features) - 1)), self._network.upsamples, strict=True):
            decoded = refine(level, block(decoded, features[level]))
        logits: Tensor = self._network.output_block(decoded)
        return logits


class _DynUNetLevels(_UpBlockLevels):
    def __init__(self, network: DynUNet) -> None:
        super().__init__(network)
        self.level_strides = tuple(itertools.accumulate(network.strides, operator.mul))

    def encode(self, image: Tensor) -> list[Tensor]:
        network = self._network
        features = []
        for block in (network.input_block, *network.downsamples, network.bottleneck):
            image = block(image)
            features.append(image)
        return features


class _EfficientNetLiteLevels(_UpBlockLevels):
    def __init__(self, network: EfficientNetLiteUNet) -> None:
        super().__init__(network)
        self.level_strides = LEVEL_STRIDES

    def encode(self, image: Tensor) -> list[Tensor]:
        features: list[Tensor] = self._network.encode(image)
        return features


class _SegResNetLevels:
    def __init__(self, stemmed: StemmedNetwork, network: SegResNet) -> None:
        self._stem, self._network = stemmed.stem, network
        scales = tuple(2**level for level in range(len(network.blocks_down)))
        self.level_channels = tuple(network.init_filters * scale for scale in scales)
        self.level_strides = tuple(stemmed.stem_stride * scale for scale in scales)

    def encode(self, image: Tensor) -> list[Tensor]:
        features: list[Tensor] = self._network.encode(self._stem(image))[1]
        return features

    def decode(self, features: Sequence[Tensor], refine: Refine) -> Tensor:
        decoded = features[-1]
        blocks = zip(self._network.up_samples, self._network.up_layers, strict=True)
        for level, (upsample, block) in zip(reversed(range(len(features) - 1)), blocks, strict=True):
            decoded = refine(level, block(upsample(decoded) + features[level]))
        logits: Tensor = self._network.conv_final(decoded)
        return logits


def levels(backbone: nn.Module) -> LevelledBackbone:
    """The levels of a network built by `backbones.build_backbone`.

    Args:
        backbone: Kept by reference: training either trains both.

    Returns:
        Its encoder and decoder.

    Raises:
        ValueError: The network's levels cannot be reached without changing it.
    """
    if isinstance(backbone, DynUNet):
        return _DynUNetLevels(backbone)
    if isinstance(backbone, EfficientNetLiteUNet):
        return _EfficientNetLiteLevels(backbone)
    if isinstance(backbone, StemmedNetwork) and isinstance(backbone.network, SegResNet):
        return _SegResNetLevels(backbone, backbone.network)
    name = type(backbone.network if isinstance(backbone, StemmedNetwork) else backbone).__name__
    msg = f"only the backbones dynunet, efficientnet_lite and segresnet have levels, got a {name}"
    raise ValueError(msg)
