"""Upper, middle and lower of a lung: bands of its height, as people say these words of lesions."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path

LEVELS = ("upper", "middle", "lower")

BANDS_FILE = Path(__file__).parent / "truth" / "level_bands.json"
"""Made by `training.level_bands`."""

Bands = dict[str, tuple[float, float]]
"""First and last height of each level, as shares of the lung's own: 0 is its top, 1 its bottom."""


@functools.cache
def level_bands(file: Path = BANDS_FILE) -> Bands:
    """The bands of a file; the outer ones have no end, and together they leave no height out.

    Raises:
        ValueError: The file is missing, no such file, or its bands are out of order.
    """
    again = "make it with python -m training.level_bands"
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))["bands"]
        (_, upper), (first, last), (lower, _) = (stored[level] for level in LEVELS)
        bands = {"upper": (-math.inf, upper), "middle": (first, last), "lower": (lower, math.inf)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{file} is no file of level bands ({type(error).__name__}: {error}); {again}"
        raise ValueError(msg) from error
    if not 0 < first <= upper < 1 or not 0 < lower <= last < 1 or not (first <= lower and upper <= last):
        msg = f"the level bands of {file} leave a gap or are out of order: {stored}; {again}"
        raise ValueError(msg)
    return bands
