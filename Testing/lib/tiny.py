"""The smallest network that still has every part of the real one, as a model folder, and films in any orientation."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from TextGuidedSegLib.config import (
    BackboneConfig,
    ContrastiveAlignmentConfig,
    NetworkConfig,
    PseudoImageConfig,
    SymmetricAlignmentConfig,
    TextEncoderConfig,
)
from TextGuidedSegLib.geometry import FILM_CODES, AxisCodes, coded_geometry, reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.network import FusedNetwork, second_names
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from TextGuidedSegLib.text_encoder import PhraseTokenizer, TextEncoder, Tokens
from TextGuidedSegLib.weights import (
    LICENSE_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    DecisionConfig,
    ModelCard,
    hashes,
    write_card,
)
from training.tokenizer import train_tokenizer

PREPROCESSING = PreprocessingConfig(size=48)
FILM_NETWORK = NetworkConfig(
    text=TextEncoderConfig(embedding_size=16, layers=1, heads=2, feedforward_size=32),
    pseudo_image=PseudoImageConfig(channels=2, width=16, layers=2, heads=2, frequencies=3, cell_px=8),
    backbone=BackboneConfig(filters=(8, 16, 16)),
)
VOLUME_NETWORK = NetworkConfig(
    spatial_dims=3,
    text=FILM_NETWORK.text,
    pseudo_image=FILM_NETWORK.pseudo_image,
    backbone=BackboneConfig(filters=(4, 8, 8), norm="instance"),
)

# The methods of each preset, for a backbone of three levels.
METHODS: dict[str, frozenset[str]] = {
    "no text": frozenset(),
    "early fusion": frozenset({"pseudo_image"}),
    "symmetric alignment": frozenset({"alignment"}),
    "contrastive alignment": frozenset({"contrast"}),
    "all": frozenset({"pseudo_image", "alignment", "contrast"}),
}
_PARTS = {
    "pseudo_image": FILM_NETWORK.pseudo_image,
    "alignment": SymmetricAlignmentConfig(levels=(1, 2), width=16),
    "contrast": ContrastiveAlignmentConfig(levels=(0, 1, 2), width=16, enhanced_levels=(0, 1)),
}

PHRASES = tuple(
    " ".join(words)
    for words in itertools.product(("left", "right"), ("upper", "middle", "lower"), ("lung",), ("opacity", "infection"))
)
ORIENTATIONS: tuple[AxisCodes, ...] = tuple(
    (codes[0], codes[1], codes[2])
    for order in itertools.permutations(("RL", "AP", "SI"))
    for codes in itertools.product(*order)
)


def tokenizer() -> Tokenizer:
    """A tokenizer of the kind that is shipped, trained on a dozen phrases."""
    return train_tokenizer(PHRASES, 2000)


def phrase_tokenizer(folder: Path, max_tokens: int = 512) -> PhraseTokenizer:
    """The same as the library reads it from a model folder."""
    return PhraseTokenizer.from_file(folder / TOKENIZER_FILE, max_tokens)


def with_methods(config: NetworkConfig, methods: str) -> NetworkConfig:
    """The same sizes with the parts of `METHODS[methods]`."""
    parts = {name: part if name in METHODS[methods] else None for name, part in _PARTS.items()}
    return dataclasses.replace(config, **parts)


@functools.cache
def _phrase_reader() -> PhraseTokenizer:
    words = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(), pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    return PhraseTokenizer(words, 512)


def tokens(*phrases: str) -> Tokens:
    """Tokens of phrases, with their units."""
    return _phrase_reader()(phrases)


def network(config: NetworkConfig = FILM_NETWORK, *, seed: int = 0) -> FusedNetwork:
    """A randomly initialized network, ready for inference; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FusedNetwork(config, TextEncoder.compact(config.text, tokenizer().get_vocab_size())).eval()


def answering(probability: float) -> FusedNetwork:
    """A network that says the same of every pixel of every image, through the weights of its last layer alone."""
    net = network()
    with torch.no_grad():
        net.backbone.output_block.conv.conv.weight.zero_()
        net.backbone.output_block.conv.conv.bias.fill_(math.log(probability / (1 - probability)))
    return net


def marking(image: np.ndarray) -> FusedNetwork:
    """A network that marks what is bright in films like this one, whatever the words say.

    Args:
        image: `(I, J)` network input that is positive where it is bright. The last layer is fitted to it.
    """
    net = network()
    features: list[torch.Tensor] = []
    last = net.backbone.output_block
    handle = last.register_forward_pre_hook(lambda _module, inputs: features.append(inputs[0]))
    values = torch.from_numpy(image)[None, None]
    with torch.no_grad():
        net(values, random_tokens(1, 6))
        handle.remove()
        known = features[0][0].flatten(1).T  # pixels x features
        wanted = torch.nn.functional.interpolate(values, size=features[0].shape[2:], mode="area").sign().reshape(-1, 1)
        known = torch.cat([known, torch.ones(len(known), 1)], dim=1)
        weights = 6 * torch.linalg.lstsq(known, wanted).solution[:, 0]
        last.conv.conv.weight.copy_(weights[:-1].reshape(1, -1, 1, 1))
        last.conv.conv.bias.copy_(weights[-1:])
    return net


def write_model(folder: Path, net: FusedNetwork | None = None, **card: Any) -> Path:
    """Write a whole model folder.

    Args:
        folder: The model's name is the folder's; must not exist.
        net: The network; None for random weights.
        card: Replaces entries of its card.
    """
    folder.mkdir(parents=True)
    tokenizer().save(str(folder / TOKENIZER_FILE))
    net = net or network()
    state = net.state_dict()
    repeated = second_names(state)
    save_file({name: one.contiguous() for name, one in state.items() if name not in repeated}, folder / WEIGHTS_FILE)
    (folder / LICENSE_FILE).write_text("Made for a test: do what you like.\n", encoding="utf-8")
    values: dict[str, Any] = {
        "name": folder.name,
        "version": "0.0",
        "summary": "A random network for tests.",
        "kinds": ("film",),
        "modalities": ("CR", "DX"),
        "image_channels": 1,
        "phrases": PHRASES[:2],
        "network": net.config,
        "preprocessing": PREPROCESSING,
        "decision": DecisionConfig(),
        "sha256": dict(hashes(folder)),
        "license": "test only",
    }
    write_card(folder, ModelCard(**values | card))
    return folder


def random_tokens(batch: int, length: int, *, seed: int = 0) -> Tokens:
    """Tokens without padding; the first five ids are marks."""
    ids = torch.randint(5, 1000, (batch, length), generator=torch.Generator().manual_seed(seed))
    return Tokens(ids, torch.ones_like(ids, dtype=torch.bool))


def film_image(displayed: np.ndarray, codes: AxisCodes = FILM_CODES) -> Image:
    """The film displayed as `(rows, columns)`, stored with array axes that run to `codes`."""
    array = reorientation(FILM_CODES, codes).apply(displayed.T[:, :, None])
    shape = (array.shape[0], array.shape[1], array.shape[2])
    return Image.from_array(array, coded_geometry(shape, codes, (0.5, 0.5, 0.5)).affine_ijk_to_ras)
