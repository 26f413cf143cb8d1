"""Configuration: JSON there and back, and errors that name the key."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from TextGuidedSegLib.config import (
    BackboneConfig,
    ContrastiveAlignmentConfig,
    NetworkConfig,
    PseudoImageConfig,
    SymmetricAlignmentConfig,
    from_json_dict,
    to_json_dict,
)


@dataclasses.dataclass(frozen=True)
class Record:
    """One field of every kind that the project's records have."""

    needed: int
    share: float = 0.5
    name: str | None = None
    switch: bool = False
    levels: tuple[int, ...] = (1,)
    words: tuple[str, ...] = ()
    table: dict[str, Any] = dataclasses.field(default_factory=dict)
    inner: BackboneConfig = BackboneConfig()


def through_json(record: Any) -> Any:
    return from_json_dict(type(record), json.loads(json.dumps(to_json_dict(record))))


@pytest.mark.parametrize(
    "record",
    [
        NetworkConfig(),
        NetworkConfig(
            spatial_dims=3, pseudo_image=PseudoImageConfig(channels=1), backbone=BackboneConfig(norm="group")
        ),
        NetworkConfig(pseudo_image=None),
        NetworkConfig(alignment=SymmetricAlignmentConfig(levels=(2,), guidance=False)),
        NetworkConfig(contrast=ContrastiveAlignmentConfig(enhanced_levels=(0,), prompting=False)),
        Record(3),
        Record(3, 1.0, "a", True, (), ("x", "y"), {"a": [1, {"b": None}]}, BackboneConfig(filters=(1, 2, 3))),
    ],
)
def test_json_and_back_gives_the_same_record(record: Any) -> None:
    back = through_json(record)
    assert back == record
    assert to_json_dict(back) == to_json_dict(record)


def test_keys_that_are_left_out_keep_their_defaults() -> None:
    config = from_json_dict(NetworkConfig, {"backbone": {"stem_stride": 1}})
    assert config == NetworkConfig(backbone=BackboneConfig(stem_stride=1))
    assert from_json_dict(NetworkConfig, {}) == NetworkConfig()


def test_a_part_is_switched_on_by_naming_it_and_off_by_null() -> None:
    config = from_json_dict(NetworkConfig, {"pseudo_image": None, "alignment": {}, "contrast": {"width": 32}})
    assert config.pseudo_image is None
    assert config.alignment == SymmetricAlignmentConfig()
    assert config.contrast == ContrastiveAlignmentConfig(width=32)


@pytest.mark.parametrize(
    ("values", "reads"),
    [
        ({}, True),
        ({"pseudo_image": None}, False),
        ({"pseudo_image": None, "alignment": {}}, True),
        ({"pseudo_image": None, "contrast": {}}, True),
    ],
)
def test_words_are_read_when_a_part_needs_them(values: dict[str, Any], reads: bool) -> None:
    assert from_json_dict(NetworkConfig, values).reads_words == reads


def test_a_whole_number_is_a_float_but_not_the_other_way_round() -> None:
    record = from_json_dict(Record, {"needed": 1, "share": 1})
    assert (record.share, type(record.share)) == (1.0, float)
    with pytest.raises(ValueError, match=r"configuration\.needed must be int, got 1\.0"):
        from_json_dict(Record, {"needed": 1.0})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"spatial_dim": 3}, r"unknown key 'spatial_dim' in here; did you mean 'spatial_dims'\?.*image_channels"),
        ({"text": {"layer": 3}}, r"unknown key 'layer' in here\.text; did you mean 'layers'\?"),
        ({"zzz": 3}, r"unknown key 'zzz' in here; did you mean '.+'\? Legal keys: spatial_dims, "),
    ],
)
def test_an_unknown_key_names_the_nearest_legal_one(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json_dict(NetworkConfig, values, where="here")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("needed", "3", "int, got '3'"),
        ("needed", True, "int, got True"),
        ("needed", None, "int, got None"),
        ("share", "half", "float, got 'half'"),
        ("share", False, "float, got False"),
        ("name", 5, "str, got 5"),
        ("switch", 1, "bool, got 1"),
        ("levels", 3, "a list, got 3"),
        ("levels", [1, "2"], "int, got '2'"),
        ("words", "film", "a list, got 'film'"),
        ("table", ["a"], r"a JSON object, got \['a'\]"),
        ("inner", "dynunet", "a JSON object, got 'dynunet'"),
        ("inner", None, "a JSON object, got None"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(key: str, value: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=rf"here\.{key} must be {expected}"):
        from_json_dict(Record, {"needed": 1, key: value}, where="here")


@pytest.mark.parametrize("values", [[], "text", 3, None])
def test_only_a_json_object_is_a_record(values: Any) -> None:
    with pytest.raises(ValueError, match="here must be a JSON object"):
        from_json_dict(NetworkConfig, values, where="here")


def test_a_missing_key_without_a_default_is_named() -> None:
    with pytest.raises(ValueError, match="here lacks needed"):
        from_json_dict(Record, {"share": 0.1}, where="here")


def test_records_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        NetworkConfig().spatial_dims = 3  # type: ignore[misc]
