"""The segmentation networks offered, all MONAI's and none of them modified, behind one contract.

Contract: `build_backbone(config, in_channels, spatial_dims)` returns a module that maps `(B, in_channels, *shape)`,
each size a multiple of `backbone_multiple(config)`, to logits `(B, 1, *shape')`; `shape'` may be smaller than `shape`
by the stem's stride.
"""

from __future__ import annotations

from collections.abc import Callable

from monai.networks.nets import DynUNet
from torch import nn

from TextGuidedSegLib.config import BackboneConfig

_FEWEST_LEVELS = 3  # DynUNet's own limit, which it checks too late to say so


def _dynunet(config: BackboneConfig, in_channels: int, spatial_dims: int) -> nn.Module:
    """nnU-Net's network with residual blocks (Isensee et al. 2021)."""
    levels = len(config.filters)
    if levels < _FEWEST_LEVELS:
        msg = f"filters must have at least {_FEWEST_LEVELS} levels, got {list(config.filters)}"
        raise ValueError(msg)
    strides = [config.stem_stride, *[2] * (levels - 1)]
    network: nn.Module = DynUNet(
        spatial_dims=spatial_dims,
        in_channels=in_channels,
        out_channels=1,
        kernel_size=[3] * levels,
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=list(config.filters),
        norm_name=config.norm,
        res_block=True,
    )
    return network


BACKBONES: dict[str, Callable[[BackboneConfig, int, int], nn.Module]] = {"dynunet": _dynunet}


def build_backbone(config: BackboneConfig, in_channels: int, spatial_dims: int) -> nn.Module:
    """Build the network that `config` names.

    Args:
        config: Name and sizes.
        in_channels: Image plus pseudo-image channels.
        spatial_dims: 2 or 3.

    Returns:
        The network, randomly initialized.

    Raises:
        ValueError: The name is not one of `BACKBONES`, or there are too few filters.
    """
    if config.name not in BACKBONES:
        msg = f"backbone must be one of {', '.join(sorted(BACKBONES))}, got {config.name!r}"
        raise ValueError(msg)
    return BACKBONES[config.name](config, in_channels, spatial_dims)


def backbone_multiple(config: BackboneConfig) -> int:
    """Every spatial size given to the backbone must be a multiple of this number of pixels."""
    return int(config.stem_stride * 2 ** (len(config.filters) - 1))
