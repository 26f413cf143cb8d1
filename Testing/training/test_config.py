"""The configuration of a run: frozen, JSON in and out, and every mistake named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from TextGuidedSegLib.config import BackboneConfig, NetworkConfig
from TextGuidedSegLib.errors import ImageError
from training.augment import AugmentationConfig
from training.config import DataConfig, TrainConfig, differences, parse_command_line, read_config, save_config


def test_a_configuration_comes_back_from_its_file(tmp_path: Path) -> None:
    config = TrainConfig(
        name="other", steps=7, learning_rate=0.5, network=NetworkConfig(backbone=BackboneConfig(filters=(4, 8)))
    )
    save_config(config, tmp_path / "config.json")
    assert read_config(tmp_path / "config.json") == config


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.json"
    save_config(TrainConfig(name="first"), path)

    def half(self: Path, text: str, **_: object) -> int:
        self.write_bytes(text.encode()[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(ImageError, match=r"config\.json: could not be written .*No space left"):
        save_config(TrainConfig(name="second"), path)
    assert read_config(path).name == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_differs_is_named_with_both_values() -> None:
    one = TrainConfig(device="cuda", checkpoint_minutes=9.0, network=NetworkConfig(pseudo_image=None))
    other = TrainConfig(batch_size=3, data=dataclasses.replace(DataConfig(), phantoms=5))
    found = differences(one, other)
    assert found.keys() == {"batch_size", "network.pseudo_image", "data.phantoms"}
    assert found["data.phantoms"] == (300, 5)
    assert found["network.pseudo_image"][0] is None
    assert differences(one, one) == {}
    assert "batch_size" not in differences(one, other, frozenset({"batch_size"}))


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().steps = 3


def test_overrides_beat_the_file_and_the_file_beats_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text('{"steps": 5, "batch_size": 3, "data": {"phantoms": 9}}', encoding="utf-8")
    arguments = [
        *("--config", str(path), "--runs", "elsewhere", "--steps", "7", "--name", "a try", "--learning_rate", "1"),
        *("--augmentation.mirror", "0", "--data.infection_share", "0.25", "--network.backbone.filters", "[4, 8]"),
    ]
    config, options = parse_command_line(arguments)
    assert (config.steps, config.batch_size, config.seed) == (7, 3, 0)
    assert (config.name, config.learning_rate) == ("a try", 1.0)
    assert config.augmentation == AugmentationConfig(mirror=0.0)
    assert (config.data.phantoms, config.data.infection_share) == (9, 0.25)
    assert config.network.backbone.filters == (4, 8)
    assert options.runs == Path("elsewhere")


def test_without_arguments_everything_keeps_its_default() -> None:
    config, options = parse_command_line([])
    assert config == TrainConfig()
    assert options.runs == Path("runs")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stepz", "5"], "unknown key 'stepz' in command line; did you mean 'steps'"),
        (["--augmentation.miror", "1"], r"unknown key 'miror' in command line.augmentation; did you mean 'mirror'"),
        (["--steps", "many"], r"command line.steps must be int, got 'many'"),
        (["--steps"], "must come as --NAME VALUE pairs, got '--steps'"),
        (["steps", "5"], "must come as --NAME VALUE pairs, got 'steps 5'"),
        (["--steps", "5", "--steps.more", "1"], "--steps.more: steps is a single value, it has no 'more'"),
        (["--network.backbone.filters", "8"], "filters must be a list, got 8"),
        (["--data", "5"], "data must be a JSON object, got 5"),
        (["--run", "x"], "unknown key 'run'"),
    ],
)
def test_a_wrong_override_says_what_is_wrong(arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_command_line(arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"steps": 5', r"run\.json is not JSON"),
        ("[1]", r"run\.json must hold a JSON object"),
        ('{"sed": 1}', r"unknown key 'sed' in .*run\.json; did you mean 'seed'"),
        ('{"data": {"phantom": 1}}', r"did you mean 'phantoms'"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        parse_command_line(["--config", str(path)])


@pytest.mark.parametrize(
    "path",
    sorted((Path(__file__).parents[2] / "training").glob("models/**/train.json")),
    ids=lambda path: path.parent.name,
)
def test_the_configurations_that_ship_are_legal(path: Path) -> None:
    config, _ = parse_command_line(["--config", str(path)])
    assert config.name.endswith(path.parent.name), "a part's folder lies in that of its model"
    assert json.loads(path.read_text(encoding="utf-8"))["seed"] == config.seed
