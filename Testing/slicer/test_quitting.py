"""Slicer is quit while a phrase runs: when that was told, neither a process nor an image of a patient is left."""

from __future__ import annotations

import sys

import pytest
import slicer

from Testing.slicer.panel_fixtures import wait_until
from Testing.slicer.process_bench import CHILD, Bench
from TextGuidedSegLib.image import Image

# Told in a real Slicer, all modules would be unloaded.
pytestmark = [pytest.mark.slicer, pytest.mark.standins]


def test_nothing_is_left_when_slicer_is_about_to_quit(module, bench: Bench, chest: Image) -> None:
    from TextGuidedSegPanel.warmClient import WarmClient

    client = WarmClient(bench.settings((sys.executable, str(CHILD), "deaf")))
    client.segment(chest, ["opacity"])
    wait_until(lambda: client.state == "running")
    (private,) = (bench.folder / name for name in bench.left_folders())
    slicer.app.aboutToQuit()
    assert not private.exists()  # at once: the threads that tidy up may not run any more
    assert bench.is_clean()
