"""The configuration of a run: frozen, JSON in and out, `--name value` on the command line."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from TextGuidedSegLib.config import NetworkConfig, from_json_dict, to_json_dict
from TextGuidedSegLib.export import atomic_path
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from training.augment import AugmentationConfig
from training.augment_volume import VolumeAugmentationConfig
from training.datasets.mr_volumes import VolumeSet
from training.datasets.volume_slices import SliceSet
from training.losses import LossConfig
from training.presets import PRESETS, apply_preset

OPERATIONAL = frozenset({"checkpoint_minutes", "device"})
"""Keys that change when and where a run is computed, not what."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which films, and how often each set is drawn from.

    Attributes:
        chest_infection: Index of the lesion films.
        chest_structures: Index of the films with lungs drawn.
        infection_share: Probability that a sample is a lesion film.
        structures_share: Probability that it shows drawn lungs.
        blended_share: Probability that it is a normal film with a patch of a lesion film laid in, which needs `lungs`.
        unlike_share: Probability that it is an endoscopy or ultrasound picture that is asked for what chest films show.
        polyp: Index of the endoscopy pictures.
        breast_ultrasound: Index of the breast ultrasound pictures.
        polyp_share: Probability that a sample is an endoscopy picture.
        breast_ultrasound_share: Probability that it is a breast ultrasound picture; what all shares leave are phantoms.
            An index without a share is not read.
        phantoms: Number of phantoms.
        shuffle_captions: Give every lesion film, polyp and breast ultrasound picture another one's caption, fixed by
            the seed: what a network learns from words that say nothing about their film.
        captions_share: Probability that a lesion film comes with its own caption or, rarely, with no phrase, as
            published methods are trained; else a paraphrase, a phrase for a part or one for what is not there is also
            drawn. 1: captions alone.
        lungs: File of both lungs of the lesion films, made by `training.lung_zones`: targets are cut to the part that a
            phrase names. Empty: only parts that caption and mask tell apart.
        mr_volumes: Index of the MR volumes.
        volume_sets: Kinds of volumes in it, for a network of three dimensions, which reads nothing else.
        slice_sets: Kinds of volumes in it whose slices a network of films learns, which then reads nothing else.
        own_films: Index of films of one's own, with the columns image, mask, text and split.
        own_films_share: Probability that a sample is one of them.
    """

    chest_infection: str = "../shared/data/chest_infection/index.csv"
    chest_structures: str = "../shared/data/chest_structures/index.csv"
    infection_share: float = 0.68
    structures_share: float = 0.24
    blended_share: float = 0.0
    unlike_share: float = 0.0
    polyp: str = "../shared/data/polyp/index.csv"
    breast_ultrasound: str = "../shared/data/breast_ultrasound/index.csv"
    polyp_share: float = 0.0
    breast_ultrasound_share: float = 0.0
    phantoms: int = 300
    shuffle_captions: bool = False
    captions_share: float = 0.0
    lungs: str = ""
    mr_volumes: str = "../shared/data/mr_volumes/index.csv"
    volume_sets: tuple[VolumeSet, ...] = ()
    slice_sets: tuple[SliceSet, ...] = ()
    own_films: str = ""
    own_films_share: float = 0.0


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """One run.

    Attributes:
        name: Model name; also the run folder's name.
        steps: Optimizer steps.
        coarse_steps: Steps at the start that see films at `coarse_size`; the network reads any size.
        coarse_size: Pixels of a film's side in those steps.
        batch_size: Samples a step.
        learning_rate: Peak of AdamW's rate after a linear warm-up; falls to zero as a half cosine.
        weight_decay: AdamW's.
        warmup_steps: Length of the warm-up.
        gradient_clip: Largest norm of the gradient.
        ema_decay: Decay per step of the averaged weights that are evaluated and shipped.
        vocabulary_size: Subwords of the text encoder.
        start_from: Checkpoint of another run, or folder of a model of the weights store, whose weights the first step
            begins with; empty for random ones.
        train_parts: Beginnings of the names of the parameters that change, such as `text_encoder.`; all others stay as
            `start_from` left them, and so do running means and dropout there. Empty: all change.
        encoder_from: File of weights that the encoder of the backbone `efficientnet_lite` begins with, or the name of
            an installed package that has such a file; `start_from` comes after it. Empty for random ones.
        seed: Seed of everything.
        checkpoint_minutes: Wall-clock minutes between checkpoints.
        device: auto, cpu or cuda.
        mixed_precision: Forward pass in bfloat16 where that is safe; the weights stay float32.
        network: Network.
        preprocessing: Preprocessing, stored with the weights.
        augmentation: Augmentation of films.
        volume_augmentation: Augmentation of volumes.
        loss: Loss.
        data: Data.
    """

    name: str = "chest-xray"
    steps: int = 20000
    coarse_steps: int = 0
    coarse_size: int = 128
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 500
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    vocabulary_size: int = 1000
    start_from: str = ""
    train_parts: tuple[str, ...] = ()
    encoder_from: str = ""
    seed: int = 0
    checkpoint_minutes: float = 5.0
    device: str = "auto"
    mixed_precision: bool = True
    network: NetworkConfig = NetworkConfig()
    preprocessing: PreprocessingConfig = PreprocessingConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    volume_augmentation: VolumeAugmentationConfig = dataclasses.field(default_factory=VolumeAugmentationConfig)
    loss: LossConfig = LossConfig()
    data: DataConfig = DataConfig()


def parse_command_line(arguments: Sequence[str] | None = None) -> tuple[TrainConfig, argparse.Namespace]:
    """Read `--config FILE [--preset NAME] [--NAME VALUE ...]`; nested names take a dot: `--data.phantoms 50`.

    Returns:
        The configuration, and the options that belong to the command and not to the run (`runs`).

    Raises:
        ValueError: An unknown name or a value of the wrong type.
    """
    # An abbreviated option would swallow a value of the configuration: `--run` is no `--runs`.
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__, allow_abbrev=False)
    parser.add_argument("--config", type=Path, help="JSON file; keys left out keep their defaults")
    parser.add_argument("--preset", help=f"methods of the network, before overrides: {', '.join(PRESETS)}")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: %(default)s)")
    options, overrides = parser.parse_known_args(arguments)
    values = _read_json(options.config) if options.config else {}
    where = str(options.config or "command line")
    return make_config(values, options.preset, dict(_pairs(overrides)), where=where), options


def make_config(
    values: Mapping[str, Any], preset: str | None, overrides: Mapping[str, Any], *, where: str
) -> TrainConfig:
    """A configuration from a JSON object, then a preset, then overrides.

    Args:
        values: Keys left out keep their defaults.
        preset: A key of `presets.PRESETS`, or None to keep the parts that the network has.
        overrides: Dotted name to value: `{"data.phantoms": 50}`.
        where: What is being read, for error messages.

    Raises:
        ValueError: An unknown name or a value of the wrong type.
    """
    config = from_json_dict(TrainConfig, values, where=where)
    if preset is not None:
        config = dataclasses.replace(config, network=apply_preset(config.network, preset))
    changed = to_json_dict(config)
    for name, value in overrides.items():
        _set_nested(changed, name.split("."), value)
    return from_json_dict(TrainConfig, changed, where=where)


def read_config(path: Path) -> TrainConfig:
    """Read what `save_config` wrote.

    Raises:
        ValueError: The file is not JSON or not a configuration.
    """
    return from_json_dict(TrainConfig, _read_json(path), where=str(path))


def save_config(config: TrainConfig, path: Path) -> None:
    """Write a run's configuration as JSON, whole or not at all.

    Raises:
        ImageError: It could not be written.
    """
    with atomic_path(path) as part:
        part.write_text(json.dumps(to_json_dict(config), indent=2) + "\n", encoding="utf-8")


def differences(
    one: TrainConfig, other: TrainConfig, besides: frozenset[str] = OPERATIONAL
) -> dict[str, tuple[Any, Any]]:
    """Dotted names of everything in which two configurations differ, with both values.

    Args:
        one: A configuration.
        other: Another.
        besides: Keys of `TrainConfig` that may differ.
    """
    found: dict[str, tuple[Any, Any]] = {}

    def compare(mine: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str) -> None:
        for key in mine:
            pair = mine[key], theirs[key]
            if all(isinstance(each, dict) for each in pair) and mine[key].keys() == theirs[key].keys():
                compare(*pair, f"{prefix}{key}.")
            elif mine[key] != theirs[key] and prefix + key not in besides:
                found[prefix + key] = pair

    compare(to_json_dict(one), to_json_dict(other), "")
    return found


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{path} is not JSON: {error}"
        raise ValueError(msg) from error
    if not isinstance(values, dict):
        msg = f"{path} must hold a JSON object with the keys of the configuration, got {values!r}"
        raise ValueError(msg)
    return values


def _pairs(overrides: Sequence[str]) -> list[tuple[str, Any]]:
    if len(overrides) % 2 or any(not name.startswith("--") for name in overrides[::2]):
        msg = f"overrides must come as --NAME VALUE pairs, got {' '.join(overrides)!r}"
        raise ValueError(msg)
    return [(name[2:], _literal(value)) for name, value in zip(overrides[::2], overrides[1::2], strict=True)]


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _set_nested(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for depth, key in enumerate(path[:-1], start=1):
        if values.get(key) is None:  # a part that is off: naming one of its numbers switches it on
            values[key] = {}
        inner = values[key]
        if not isinstance(inner, dict):
            msg = f"--{'.'.join(path)}: {'.'.join(path[:depth])} is a single value, it has no {path[depth]!r}"
            raise ValueError(msg)
        values = inner
    values[path[-1]] = value
