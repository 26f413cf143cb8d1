"""The evidence for presence in a map, and its calibration."""

from __future__ import annotations

import numpy as np
import pytest

from TextGuidedSegLib.inference import presence_evidence, presence_score
from TextGuidedSegLib.weights import DecisionConfig


def test_known_values() -> None:
    empty, lesion = np.zeros((50, 50), np.float32), np.zeros((50, 50), np.float32)
    lesion[10:18, 20:28] = 1
    assert presence_evidence(empty) == pytest.approx(-12)
    assert presence_evidence(lesion) == presence_evidence(1 - empty) == pytest.approx(12)
    assert presence_score(np.full((2, 3), 0.25), DecisionConfig()) == pytest.approx(0.25)


def test_the_card_calibrates_it() -> None:
    values = np.full((9, 9), 0.5)
    assert presence_score(values, DecisionConfig(presence_scale=3.0)) == pytest.approx(0.5)
    assert presence_score(values, DecisionConfig(presence_offset=1.0)) == pytest.approx(1 / (1 + np.exp(-1)))


def test_it_does_not_depend_on_the_place() -> None:
    values = np.random.default_rng(2).random((30, 20))
    assert presence_evidence(values) == pytest.approx(presence_evidence(values[::-1].T))
