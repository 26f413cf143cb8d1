"""The segmentation networks offered, behind one contract: MONAI's, none modified, and one with a trained encoder.

Contract: `build_backbone(config, in_channels, spatial_dims)` returns a module that maps `(B, in_channels, *shape)`,
each size a multiple of `backbone_multiple(config)`, to logits `(B, 1, *shape')`; `shape'` may be smaller than `shape`
by the stem's stride. Training needs more than one position at the deepest level, so at least one size of twice the
multiple: over a single position a normalization has no variance.

Networks that also open their levels do so in `backbone_levels`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from monai.networks.nets import BasicUNetPlusPlus, DynUNet, SegResNet, SwinUNETR, UNet
from monai.networks.utils import pixelunshuffle
from torch import Tensor, nn

from TextGuidedSegLib.config import BackboneConfig
from TextGuidedSegLib.efficientnet_lite import LEVEL_STRIDES, EfficientNetLiteUNet

DEFAULT_FILTERS: dict[int, dict[str, tuple[int, ...]]] = {
    2: {
        "dynunet": (32, 64, 128, 256, 288),
        "efficientnet_lite": (32, 64, 128, 256, 288),
        "residual_unet": (32, 64, 128, 256, 512),
        "segresnet": (32, 64, 128, 256),
        "swinunetr": (24, 24, 48, 96, 192, 384),
        "unet": (64, 128, 256, 384, 512),
        "unetplusplus": (32, 64, 128, 192, 256, 32),
    },
    3: {
        "dynunet": (16, 32, 64, 128, 160),
        "residual_unet": (16, 32, 64, 128, 256),
        "segresnet": (16, 32, 64, 128),
        "swinunetr": (12, 12, 24, 48, 96, 192),
        "unet": (32, 64, 128, 256, 288),
        "unetplusplus": (16, 32, 64, 128, 256, 16),
    },
}
"""By spatial dimensions and name: compact sizes, 4 to 7 million parameters each with 5 input channels."""

_GROUPS = 8
_NORMS: dict[str, Any] = {"batch": "batch", "instance": "instance", "group": ("group", {"num_groups": _GROUPS})}
_SWIN_SCALES = (1, 1, 2, 4, 8, 16)  # of SwinUNETR's `feature_size`, level by level
_SWIN_UNIT = 12  # `feature_size` is a multiple of it


class StemmedNetwork(nn.Module):
    """A network without a stem of its own behind the contract.

    A stride above 1 moves each cell of `stem_stride` pixels along every axis into channels, which loses no detail and
    costs as much as a strided convolution.

    Args:
        network: Maps `(B, C * stem_stride**D, *shape)` to logits `(B, 1, *shape)`, or to a list of them, best last.
        stem_stride: 1 or more.
    """

    def __init__(self, network: nn.Module, stem_stride: int) -> None:
        super().__init__()
        self.network = network
        self.stem_stride = stem_stride

    def stem(self, image: Tensor) -> Tensor:
        """`(B, C, *shape)` to `(B, C * stem_stride**D, *(shape / stem_stride))`."""
        if self.stem_stride == 1:
            return image
        cells: Tensor = pixelunshuffle(image, image.ndim - 2, self.stem_stride)
        return cells

    def forward(self, image: Tensor) -> Tensor:
        """`(B, C, *shape)`, sizes multiples of `backbone_multiple`, to logits `(B, 1, *(shape / stem_stride))`."""
        logits: Tensor | list[Tensor] = self.network(self.stem(image))
        return logits[-1] if isinstance(logits, list) else logits


def _wrong_filters(config: BackboneConfig, expected: str) -> str:
    return f"filters of {config.name} must {expected}, got {list(config.filters)}"


def _dynunet(config: BackboneConfig, in_channels: int, spatial_dims: int) -> nn.Module:
    """nnU-Net's network with residual blocks (Isensee et al. 2021)."""
    levels = len(config.filters)
    if levels < 3:
        raise ValueError(_wrong_filters(config, "have at least 3 levels"))
    strides = [config.stem_stride, *[2] * (levels - 1)]
    network: nn.Module = DynUNet(
        spatial_dims=spatial_dims,
        in_channels=in_channels,
        out_channels=1,
        kernel_size=[3] * levels,
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=list(config.filters),
        norm_name=_NORMS[config.norm],
        res_block=True,
    )
    return network


def _unet(config: BackboneConfig, in_channels: int, spatial_dims: int, *, residual_units: int) -> nn.Module:
    """U-Net (Ronneberger et al. 2015) with strided convolutions; with residual units that of Kerfoot et al. 2018.

    Its first convolution is its stem and its last one undoes the stride, so its logits are as large as the image. The
    bottleneck has the resolution of the level above it.
    """
    if len(config.filters) < 2:
        raise ValueError(_wrong_filters(config, "have at least 2 levels"))
    if config.stem_stride > 2:
        msg = f"stem_stride of {config.name} must be 1 or 2, as large as its kernel covers, got {config.stem_stride}"
        raise ValueError(msg)
    if residual_units and config.norm != "batch":
        # The last residual unit normalizes its only channel: over one image that would fix how much is segmented.
        msg = f"norm of {config.name} must be batch, got {config.norm!r}"
        raise ValueError(msg)
    network: nn.Module = UNet(
        spatial_dims=spatial_dims,
        in_channels=in_channels,
        out_channels=1,
        channels=config.filters,
        strides=(config.stem_stride, *[2] * (len(config.filters) - 2)),
        num_res_units=residual_units,
        norm=_NORMS[config.norm],
    )
    return network


def _unetplusplus(config: BackboneConfig, in_channels: int, spatial_dims: int) -> nn.Module:
    """U-Net++ with nested skip connections (Zhou et al. 2018)."""
    if len(config.filters) != 6:
        raise ValueError(_wrong_filters(config, "be those of 5 levels and of the last up-block"))
    network = BasicUNetPlusPlus(
        spatial_dims=spatial_dims,
        in_channels=in_channels * config.stem_stride**spatial_dims,
        out_channels=1,
        features=config.filters,
        norm=_NORMS[config.norm],
        bias=False,  # the normalization that follows would take it away
    )
    # Heads of the shallower nests, which only deep supervision trains: distributed training waits for their gradients.
    for head in (network.final_conv_0_1, network.final_conv_0_2, network.final_conv_0_3):
        head.requires_grad_(False)
    return StemmedNetwork(network, config.stem_stride)


def _segresnet(config: BackboneConfig, in_channels: int, spatial_dims: int) -> nn.Module:
    """Residual encoder and light decoder (Myronenko 2018)."""
    levels = len(config.filters)
    doubled = tuple(config.filters[0] * 2**level for level in range(levels))
    if levels < 2 or tuple(config.filters) != doubled:
        raise ValueError(_wrong_filters(config, "have at least 2 levels, each twice the one before"))
    network = SegResNet(
        spatial_dims=spatial_dims,
        init_filters=config.filters[0],
        in_channels=in_channels * config.stem_stride**spatial_dims,
        out_channels=1,
        norm=_NORMS[config.norm],
        blocks_down=(1, *[2] * (levels - 2), 4),
        blocks_up=(1,) * (levels - 1),
    )
    return StemmedNetwork(network, config.stem_stride)


def _swinunetr(config: BackboneConfig, in_channels: int, spatial_dims: int) -> nn.Module:
    """Shifted-window transformer encoder, convolutional decoder (Hatamizadeh et al. 2022)."""
    size = config.filters[0]
    if size % _SWIN_UNIT or tuple(config.filters) != tuple(size * scale for scale in _SWIN_SCALES):
        raise ValueError(_wrong_filters(config, f"be {list(_SWIN_SCALES)} times a multiple of {_SWIN_UNIT}"))
    network = SwinUNETR(
        spatial_dims=spatial_dims,
        in_channels=in_channels * config.stem_stride**spatial_dims,
        out_channels=1,
        feature_size=size,
        norm_name=_NORMS[config.norm],
    )
    return StemmedNetwork(network, config.stem_stride)


def _efficientnet_lite(config: BackboneConfig, in_channels: int, spatial_dims: int) -> nn.Module:
    """Encoder of EfficientNet-Lite0 (Tan & Le 2019), for films: its weights are those of pictures."""
    if spatial_dims != 2:
        msg = f"{config.name} reads films (spatial_dims 2), got spatial_dims {spatial_dims}"
        raise ValueError(msg)
    if len(config.filters) != len(LEVEL_STRIDES):
        raise ValueError(_wrong_filters(config, f"be those of {len(LEVEL_STRIDES)} levels"))
    if config.stem_stride != LEVEL_STRIDES[0]:
        msg = f"stem_stride of {config.name} must be {LEVEL_STRIDES[0]}, got {config.stem_stride}"
        raise ValueError(msg)
    return EfficientNetLiteUNet(in_channels, config.filters, _NORMS[config.norm])


BACKBONES: dict[str, Callable[[BackboneConfig, int, int], nn.Module]] = {
    "dynunet": _dynunet,
    "efficientnet_lite": _efficientnet_lite,
    "residual_unet": functools.partial(_unet, residual_units=2),
    "segresnet": _segresnet,
    "swinunetr": _swinunetr,
    "unet": functools.partial(_unet, residual_units=0),
    "unetplusplus": _unetplusplus,
}

# The last filter is no level of its own: the bottleneck keeps the resolution, or the last up-block's width is given.
_WITHOUT_LAST_LEVEL = ("residual_unet", "unet", "unetplusplus")


def build_backbone(config: BackboneConfig, in_channels: int, spatial_dims: int) -> nn.Module:
    """Build the network that `config` names.

    Args:
        config: Name and sizes.
        in_channels: Image plus pseudo-image channels.
        spatial_dims: 2 or 3.

    Returns:
        The network, randomly initialized.

    Raises:
        ValueError: The name is not one of `BACKBONES`, or that network cannot have these filters, stride or norm.
    """
    _check(config)
    if spatial_dims not in DEFAULT_FILTERS:
        msg = f"spatial_dims must be 2 or 3, got {spatial_dims}"
        raise ValueError(msg)
    return BACKBONES[config.name](config, in_channels, spatial_dims)


def backbone_multiple(config: BackboneConfig) -> int:
    """Every spatial size given to the backbone must be a multiple of this number of pixels.

    Args:
        config: One that `build_backbone` accepts.

    Raises:
        ValueError: The name is not one of `BACKBONES`, or no network can have these filters, stride or norm.
    """
    _check(config)
    halvings = len(config.filters) - (2 if config.name in _WITHOUT_LAST_LEVEL else 1)
    return int(config.stem_stride * 2**halvings)


def _check(config: BackboneConfig) -> None:
    """What holds for every network."""
    if config.name not in BACKBONES:
        msg = f"backbone must be one of {', '.join(sorted(BACKBONES))}, got {config.name!r}"
        raise ValueError(msg)
    if not config.filters or min(config.filters) < 1:
        raise ValueError(_wrong_filters(config, "be positive, one for each level"))
    if config.stem_stride < 1:
        msg = f"stem_stride must be 1 or more, got {config.stem_stride}"
        raise ValueError(msg)
    if config.norm not in _NORMS:
        msg = f"norm must be one of {', '.join(sorted(_NORMS))}, got {config.norm!r}"
        raise ValueError(msg)
    if config.norm == "group" and any(channels % _GROUPS for channels in config.filters):
        raise ValueError(_wrong_filters(config, f"be multiples of {_GROUPS}, the number of groups"))
