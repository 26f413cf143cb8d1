"""The module loaded as Slicer loads it, with a scene, a film, and a real inference process on a tiny model."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from Testing.slicer.mrml import add_volume
from TextGuidedSegLib.phantom import chest_film

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "TextGuidedSeg"
# A coronal film: columns to the patient's left, rows down, as the canonical film frame has it.
FILM_AFFINE = np.array([[-1.0, 0, 0, 100], [0, 0, -1, 50], [0, -1, 0, 200], [0, 0, 0, 1]])


def add_film(scene: Any, *, size: tuple[int, int] = (96, 80), name: str = "film") -> Any:
    """A synthetic chest film as a volume node."""
    film = chest_film(size=size)
    return add_volume(scene, film.array.T[:, :, None], FILM_AFFINE, name=name)


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 240.0) -> None:
    """Let Qt work until something is true."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        slicer.app.processEvents()
        time.sleep(0.005)
