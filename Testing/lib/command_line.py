"""The command in this process: how it ended, its outputs, and what must hold of every fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK

PHRASE = "left lower lung opacity"
OUTPUTS = {
    "--out": "segment.seg.nrrd",
    "--pseudo": "pseudo.nrrd",
    "--probability": "probability.nii.gz",
    "--uncertainty": "uncertainty.nrrd",
    "--overlay": "overlay.png",
    "--film": "film.mha",
}


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


def options(paths: dict[str, Path]) -> list[object]:
    """Arguments that ask for every output."""
    return [part for pair in paths.items() for part in pair]


def assert_one_line(done: Done, code: int, words: str = "") -> None:
    """The command ended with that code and said why in one line."""
    assert done.code == code, done
    assert done.out == ""
    assert done.err.startswith("textguidedseg: ")
    assert done.err.count("\n") == 1
    assert done.err.endswith("\n")
    assert "Traceback" not in done.err
    assert words in done.err


def assert_untouched(paths: dict[str, Path]) -> None:
    """The folder of the outputs holds the old files and nothing else."""
    folders = {path.parent for path in paths.values()}
    assert sorted(file for folder in folders for file in folder.iterdir()) == sorted(paths.values())
    for path in paths.values():
        assert path.read_bytes() == f"old {path.name}".encode()


def save(path: Path, array: np.ndarray) -> Path:
    """Write an array as SimpleITK does."""
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))
    return path


def noise(*shape: int) -> np.ndarray:
    """Values in [0, 1)."""
    return np.random.default_rng(0).random(shape)
