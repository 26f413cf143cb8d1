"""Several phrases on one volume in the inference process: read together, answered or refused each for itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Testing.lib import tiny_volumes
from Testing.lib.child import Child
from Testing.lib.test_worker import LOAD_S
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.weights import FieldOfView
from TextGuidedSegLib.worker_protocol import read_array, write_image

PHRASES = ("left lung", "hippocampus", "right lower lung opacity")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fields = (FieldOfView(("hippocampus",), 35.0), FieldOfView((), 300.0))
    return tiny_volumes.write_model(tmp_path_factory.mktemp("crops") / "crops", fields_of_view=fields)


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A process that was asked for all phrases at once."""
    process = Child(tmp_path_factory.mktemp("private"))
    yield process
    assert process.end() == 0


@pytest.fixture(scope="module")
def told(child: Child, model: Path) -> list[dict[str, Any]]:
    """All that was said about them."""
    entry = {"key": "volume", **write_image(child.folder, "image", tiny_volumes.volume_image(tiny_volumes.values()))}
    child.say(cmd="segment", id=1, image=entry, phrases=PHRASES, threshold=None, model=str(model), device="cpu")
    child.wait_for("done", LOAD_S, id=1)
    return child.about(1)


def test_a_phrase_that_needs_a_region_keeps_no_other_from_its_answer(told: list[dict[str, Any]]) -> None:
    answers = [(one["event"], one["index"]) for one in told if one["event"] in ("result", "error")]
    assert answers == [("result", 0), ("error", 1), ("result", 2)]
    (refused,) = (one for one in told if one["event"] == "error")
    assert refused["kind"] == "RegionNeededError"
    assert "Give a region of interest" in refused["sentence"]


def test_the_windows_are_read_once_for_all_and_told_of(told: list[dict[str, Any]]) -> None:
    events = [one["stage"] if one["event"] == "progress" else one["event"] for one in told]
    windows = [number for number, event in enumerate(events) if event.startswith("window ")]
    assert len(windows) > 1
    assert max(windows) < events.index("result"), "no window is read for a single phrase"
    shares = [one["share"] for one in told if one["event"] == "progress"]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, pytest.approx(1.0))


def test_each_answer_is_that_of_the_phrase_alone(child: Child, told: list[dict[str, Any]], model: Path) -> None:
    segmenter = Segmenter(str(model), device="cpu")
    segmenter.set_image(tiny_volumes.volume_image(tiny_volumes.values()))
    for result in (one for one in told if one["event"] == "result"):
        alone = segmenter.segment(result["phrase"])
        assert (result["answer"], result["presence"]) == (alone.answer, pytest.approx(alone.presence, abs=1e-6))
        found = read_array(child.folder, result["probability"]).whole()
        np.testing.assert_allclose(found, alone.probability, atol=1e-5)
