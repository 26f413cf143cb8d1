"""Presets: exactly the parts they name, sizes kept, nothing of them stored."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from Testing.training.tiny import NETWORK
from TextGuidedSegLib.config import ContrastiveAlignmentConfig, NetworkConfig
from training.config import parse_command_line
from training.presets import PRESETS, apply_preset

PARTS = ("pseudo_image", "alignment", "contrast")
FULL = dataclasses.replace(NETWORK, contrast=ContrastiveAlignmentConfig(width=16))


def parts(config: NetworkConfig) -> set[str]:
    return {part for part in PARTS if getattr(config, part) is not None}


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("start", [NetworkConfig(), NETWORK, FULL])
def test_a_preset_has_exactly_its_parts_and_changes_nothing_else(name: str, start: NetworkConfig) -> None:
    preset = apply_preset(start, name)
    assert parts(preset) == PRESETS[name]
    assert preset.reads_words == (name != "no-text")
    for part in PRESETS[name]:
        assert getattr(start, part) in (None, getattr(preset, part)), "sizes that were given are kept"
    assert dataclasses.replace(preset, **{part: getattr(start, part) for part in PARTS}) == start


def test_the_five_presets_of_the_tables() -> None:
    assert list(PRESETS) == ["no-text", "early-fusion", "ssa", "tmca", "combined"]
    assert set.union(*(set(PRESETS[name]) for name in ("early-fusion", "ssa", "tmca"))) == PRESETS["combined"]


@pytest.mark.parametrize("first", PRESETS)
@pytest.mark.parametrize("last", PRESETS)
def test_the_last_preset_counts(first: str, last: str) -> None:
    assert parts(apply_preset(apply_preset(FULL, first), last)) == PRESETS[last]


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="no preset 'combinde'; did you mean 'combined'"):
        apply_preset(NETWORK, "combinde")


class TestCommandLine:
    def test_a_preset_comes_after_the_file_and_before_overrides(self, tmp_path: Path) -> None:
        file = tmp_path / "run.json"
        file.write_text(json.dumps({"network": {"pseudo_image": {"width": 16, "heads": 2}}}), encoding="utf-8")
        config, _ = parse_command_line(["--config", str(file), "--preset", "combined", "--network.contrast", "null"])
        assert parts(config.network) == {"pseudo_image", "alignment"}
        assert config.network.pseudo_image is not None
        assert config.network.pseudo_image.width == 16

    def test_an_override_of_a_part_that_is_off_switches_it_on(self) -> None:
        config, _ = parse_command_line(["--preset", "no-text", "--network.alignment.width", "24"])
        assert parts(config.network) == {"alignment"}
        assert config.network.alignment is not None
        assert config.network.alignment.width == 24

    def test_without_a_preset_the_parts_stay(self) -> None:
        config, _ = parse_command_line([])
        assert parts(config.network) == parts(NetworkConfig())

    def test_it_is_no_key_of_the_configuration(self, tmp_path: Path) -> None:
        file = tmp_path / "run.json"
        file.write_text(json.dumps({"preset": "ssa"}), encoding="utf-8")
        with pytest.raises(ValueError, match="unknown key 'preset'"):
            parse_command_line(["--config", str(file)])
