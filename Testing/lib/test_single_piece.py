"""Of several pieces the largest is kept, and nothing of the others comes back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from Testing.lib import tiny_volumes
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.phrase import parse
from TextGuidedSegLib.readers import Reading
from TextGuidedSegLib.running import Maps, Reporter
from TextGuidedSegLib.single_piece import largest_piece, names_one_piece
from TextGuidedSegLib.weights import DecisionConfig


def two_pieces() -> np.ndarray:
    """A large and a small piece, each with a rim of a third."""
    probability = np.zeros((20, 20, 6), dtype=np.float32)
    for start, size in ((2, 7), (13, 4)):
        probability[start - 1 : start + size + 1, start - 1 : start + size + 1, 1:5] = 0.35
        probability[start : start + size, start : start + size, 1:5] = 0.9
    return probability


def test_only_the_largest_is_kept_whatever_threshold_follows() -> None:
    before = two_pieces()
    after = largest_piece(before.copy(), 0.5)
    large = np.zeros(before.shape, dtype=bool)
    large[1:10, 1:10] = True
    np.testing.assert_array_equal(after[large], before[large])
    assert not after[~large].any()


def test_one_piece_or_none_is_untouched() -> None:
    single = two_pieces()
    single[12:] = 0
    np.testing.assert_array_equal(largest_piece(single.copy(), 0.5), single)
    faint = two_pieces() / 3
    np.testing.assert_array_equal(largest_piece(faint.copy(), 0.5), faint)


def test_what_lies_around_changes_nothing() -> None:
    probability = np.random.default_rng(0).random((12, 11, 5)).astype(np.float32) ** 4
    wide = np.pad(probability, ((30, 4), (0, 9), (2, 17)), constant_values=0.2)
    np.testing.assert_array_equal(largest_piece(wide, 0.5)[30:42, :11, 2:7], largest_piece(probability, 0.5))
    assert (wide == np.float32(0.2)).sum() >= wide.size - probability.size
    nothing = np.zeros((4, 4, 4), dtype=np.float32)
    assert not largest_piece(nothing, 0.5).any()


def test_pieces_that_a_bridge_joins_below_the_threshold_are_parted() -> None:
    bridged = two_pieces()
    bridged[9:13, 9:13, 2] = 0.3
    after = largest_piece(bridged.copy(), 0.5)
    assert (after >= 0.5).sum() == 7 * 7 * 4
    np.testing.assert_array_equal(after[1:10, 1:10], bridged[1:10, 1:10])


def test_mirrored_maps_have_mirrored_pieces() -> None:
    probability = np.random.default_rng(0).random((12, 11, 5)).astype(np.float32) ** 4
    mirrored = largest_piece(probability[::-1].copy(), 0.5)
    np.testing.assert_array_equal(mirrored[::-1], largest_piece(probability.copy(), 0.5))


@pytest.mark.parametrize(
    ("phrase", "one"),
    [
        ("LV cavity", True), ("right ventricle", True), ("heart muscle", True), ("ventricles", False),
        ("left and right ventricle", False), ("LV cavity and myocardium and RV", False), (None, False), ("xqzt", False),
    ],
)  # fmt: skip
def test_phrases_that_name_one_piece(phrase: str | None, one: bool) -> None:
    assert names_one_piece(None if phrase is None else parse(phrase)) is one


@pytest.mark.parametrize("single", [True, False])
def test_the_card_decides(single: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = DecisionConfig(single_piece=single, not_found_below=0.0, found_above=0.0)
    segmenter = Segmenter(str(tiny_volumes.write_model(tmp_path / "volumes", decision=decision)), device="cpu")
    segmenter.set_image(tiny_volumes.volume_image(np.zeros((20, 20, 6)), spacing_mm=(2.0, 2.0, 2.0)))

    def maps(_words: str | None, _report: Reporter) -> Maps:
        return Maps(5.0, two_pieces(), np.zeros((20, 20, 6), dtype=np.float32))

    reading: Reading = segmenter._readings.own
    monkeypatch.setattr(reading.runner, "maps", maps)
    voxels = {phrase: segmenter.segment(phrase).voxels for phrase in ("right ventricle", "ventricles")}
    assert voxels["ventricles"] == 4 * (7 * 7 + 4 * 4)
    assert voxels["right ventricle"] == 4 * 7 * 7 + (0 if single else 4 * 4 * 4)
    assert dataclasses.asdict(segmenter.card.decision)["single_piece"] is single
