"""Frozen configuration records that travel as JSON: one reader that names the nearest legal key."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

Record = TypeVar("Record")

# Share of the network's grid whose highest logits are the evidence for presence: the area of the smallest lesions of
# the training data. Logits, because the probabilities of anything the words point at are all near one.
EVIDENCE_SHARE = 0.01


@dataclasses.dataclass(frozen=True)
class TextEncoderConfig:
    """A compact BERT; the numbers are those of `transformers.BertConfig`.

    Attributes:
        kind: `compact`, or `table`: no BERT but one learned vector for each set of zones that the phrase names; of the
            numbers only `embedding_size` and `max_tokens` count then.
        embedding_size: Width of a token state.
        layers: Transformer layers.
        heads: Attention heads; divides `embedding_size`.
        feedforward_size: Width inside a layer.
        max_tokens: Longest token sequence. A phrase has at most 500 characters and a token at least one, so 512
            never truncates.
        dropout: Dropout inside the encoder while training.
    """

    kind: str = "compact"
    embedding_size: int = 128
    layers: int = 3
    heads: int = 4
    feedforward_size: int = 256
    max_tokens: int = 512
    dropout: float = 0.1


@dataclasses.dataclass(frozen=True)
class PseudoImageConfig:
    """The generator that paints token states into pixels.

    Attributes:
        channels: Pseudo-image channels. Channel 0 is the occupancy that is supervised and shown; the others are free.
        width: Width of a position query.
        layers: Cross-attention layers from positions to tokens.
        heads: Attention heads; divides `width`.
        frequencies: Octaves of the sine and cosine coding of a position.
        cell_px: Image pixels (voxels) per generator cell along each axis.
    """

    channels: int = 4
    width: int = 128
    layers: int = 2
    heads: int = 4
    frequencies: int = 5
    cell_px: int = 14


@dataclasses.dataclass(frozen=True)
class BackboneConfig:
    """The segmentation network: MONAI's, used unmodified, or `efficientnet_lite` with MONAI's decoder.

    Attributes:
        name: A key of `backbones.BACKBONES`.
        filters: Channels of each resolution level, finest first. `backbones.DEFAULT_FILTERS` has a set for each name,
            `backbones.build_backbone` says which others that network can have.
        stem_stride: 2 computes the finest level at half resolution, four times cheaper; logits are interpolated back.
        norm: Normalization layer: `batch`, `instance`, or `group` with eight groups; the encoder of
            `efficientnet_lite` has `batch` whatever is asked for.
    """

    name: str = "dynunet"
    filters: tuple[int, ...] = (32, 64, 128, 256, 288)
    stem_stride: int = 2
    norm: str = "batch"


@dataclasses.dataclass(frozen=True)
class SymmetricAlignmentConfig:
    """Spatial-aware symmetric alignment (SSA) of image regions and phrase units.

    Attributes:
        levels: Levels of the backbone that are aligned, finest first, 0 the finest; the deepest ones, where a region is
            as large as what a word speaks of.
        width: Width of the common space.
        epsilon: Entropy of the plan, in standard deviations of the cost.
        iterations: Sinkhorn iterations; in a trained network a hundred leave the mass of a region wrong by 3e-4 at
            most, two hundred by 5e-5, and more change no mask.
        guidance: Directional guidance in organ coordinates; without it only the words' states align.
    """

    levels: tuple[int, ...] = (3, 4)
    width: int = 64
    epsilon: float = 0.1
    iterations: int = 100
    guidance: bool = True


@dataclasses.dataclass(frozen=True)
class ContrastiveAlignmentConfig:
    """Target-informed multi-level contrastive alignment (TMCA).

    Attributes:
        levels: Levels of the backbone whose features are pulled towards their words, while training.
        width: Width of the common space.
        enhanced_levels: Levels whose decoder features are enhanced by the words.
        prompting: Tokens first look at the finest of `enhanced_levels`, for borders, before they enhance it.
        places: Octaves of the code by which a pixel also says where on the film it lies, so that words of place can
            match it; 0 for none, as a network for volumes must have: its windows do not know where they lie.
    """

    levels: tuple[int, ...] = (1, 2, 3, 4)
    width: int = 64
    enhanced_levels: tuple[int, ...] = (1, 2, 3)
    prompting: bool = True
    places: int = 0


@dataclasses.dataclass(frozen=True)
class PresenceConfig:
    """A head that says whether what the phrase names is on a film.

    Attributes:
        level: Level of the decoder that it reads, 0 the finest.
        width: Width of its layers.
    """

    level: int = 2
    width: int = 64


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Everything that is needed to build a `FusedNetwork` before its weights are loaded.

    Each of the three methods is a part that is there or not; with none of them the words are not read.

    Attributes:
        spatial_dims: 2 for films, 3 for volumes.
        image_channels: Channels of the measured image.
        text: The text encoder.
        pseudo_image: Early fusion, or None.
        alignment: Symmetric alignment, or None.
        contrast: Contrastive alignment, or None.
        presence: The head for presence, or None: then the mask itself is the evidence. Films only, and only for a
            network that reads: a volume is seen in parts.
        backbone: The segmentation network.
    """

    spatial_dims: int = 2
    image_channels: int = 1
    text: TextEncoderConfig = TextEncoderConfig()
    pseudo_image: PseudoImageConfig | None = PseudoImageConfig()
    alignment: SymmetricAlignmentConfig | None = None
    contrast: ContrastiveAlignmentConfig | None = None
    presence: PresenceConfig | None = None
    backbone: BackboneConfig = BackboneConfig()

    @property
    def reads_words(self) -> bool:
        """Whether any part listens to the phrase."""
        return any(part is not None for part in (self.pseudo_image, self.alignment, self.contrast))


def to_json_dict(record: Any) -> dict[str, Any]:
    """The record as nested dictionaries that `json.dump` accepts; `from_json_dict` reads them back."""
    return dataclasses.asdict(record)


def from_json_dict(record_type: type[Record], values: Mapping[str, Any], *, where: str = "configuration") -> Record:
    """Build a frozen record from a JSON object.

    Args:
        record_type: The dataclass to build.
        values: Key-value pairs; keys that are left out keep their defaults.
        where: What is being read, for the error message.

    Returns:
        The record.

    Raises:
        ValueError: An unknown key (the nearest legal one is named), a missing one, or a value of the wrong type.
    """
    hints = typing.get_type_hints(record_type)
    built: dict[str, Any] = {}
    for key, value in _checked(values, Mapping, "a JSON object", where).items():
        if key not in hints:
            raise ValueError(_unknown_key(key, tuple(hints), where))
        built[key] = _convert(hints[key], value, f"{where}.{key}")
    missing = [field.name for field in dataclasses.fields(typing.cast(Any, record_type)) if _is_missing(field, built)]
    if missing:
        msg = f"{where} lacks {', '.join(missing)}"
        raise ValueError(msg)
    return record_type(**built)


def _is_missing(field: dataclasses.Field[Any], built: Mapping[str, Any]) -> bool:
    no_default = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    return no_default and field.name not in built


def _unknown_key(key: str, legal: tuple[str, ...], where: str) -> str:
    nearest = difflib.get_close_matches(key, legal, n=1, cutoff=0.0)
    return f"unknown key {key!r} in {where}; did you mean {nearest[0]!r}? Legal keys: {', '.join(legal)}"


def _convert(expected: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(expected)
    if origin is typing.Union or origin is types.UnionType:
        if value is None:
            return None
        expected = next(option for option in typing.get_args(expected) if option is not type(None))
        origin = typing.get_origin(expected)
    if dataclasses.is_dataclass(expected):
        return from_json_dict(typing.cast(Any, expected), value, where=where)
    if origin is tuple:
        item = typing.get_args(expected)[0]
        return tuple(_convert(item, entry, where) for entry in _checked(value, list | tuple, "a list", where))
    if origin is dict:
        return dict(_checked(value, Mapping, "a JSON object", where))
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _checked(value, expected, expected.__name__, where)


def _checked(value: Any, legal: Any, name: str, where: str) -> Any:
    is_bool_as_number = isinstance(value, bool) and legal is int  # Python counts True as an int, JSON does not
    if not isinstance(value, legal) or is_bool_as_number:
        msg = f"{where} must be {name}, got {value!r}"
        raise ValueError(msg)
    return value
