"""The part of a mask that lies where a phrase says, and how far such a cut can be trusted.

Lungs come from a versioned file (`training/truth`, made by `training.lung_zones` with another model than the one under
test), or from an index whose rows draw both lungs of a film.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from TextGuidedSegLib.geometry import FILM_CODES, reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.io import read_image
from training.datasets.chest_infection import split_sides
from training.datasets.films import load_mask
from training.datasets.index import Row
from training.levels import LEVELS
from training.lung_zones import SIDES, LungZones, load_zones, side_bits, zone_bit
from training.metrics import mean, overlap
from training.poses import MIRRORED, posed

DEFAULT_LUNGS = Path(__file__).parent / "truth" / "chest_infection_lungs.npz"
"""Lungs of the evaluation films of the lesion set."""

Places = tuple[tuple[str, tuple[str, ...]], ...]
"""Pairs of a side and levels of it; no levels mean the whole side."""


def named_pixels(zones: np.ndarray, places: Places) -> np.ndarray:
    """Pixels that lie in the named places, `(I, J)` bool.

    Args:
        zones: From `LungZones.zones`.
        places: Where; empty for nowhere.
    """
    bits = 0
    for side, levels in places:
        for level in levels or LEVELS:
            bits |= zone_bit(side, level)
    named: np.ndarray = (zones & bits) != 0
    return named


def half_zones(width: int, height: int) -> np.ndarray:
    """Zones of a picture without lungs: its halves, each at every level; the middle column goes to the right.

    Args:
        width: Pixels from one side to the other.
        height: Pixels from top to bottom.
    """
    zones = np.full((width, height), side_bits("right"), dtype=np.uint8)
    zones[(width + 1) // 2 :] = side_bits("left")
    return zones


def known_lungs(rows: Sequence[Row], file: Path | None) -> tuple[dict[str, LungZones], str]:
    """Lungs of films by image name, and where they come from.

    Args:
        rows: Rows of the whole index.
        file: From `training.lung_zones`; None for the default file where it has any of the films.

    Returns:
        Lungs that are sound, and one of `file`, `index`, `nowhere`.

    Raises:
        ValueError: The named file is missing, is no such file, or has none of the films.
    """
    names = {row.columns["image"] for row in rows}
    if file is not None or DEFAULT_LUNGS.is_file():
        stored = load_zones(file or DEFAULT_LUNGS, names)
        lungs = {name: each for name, each in stored.items() if each.is_sound}
        if lungs:
            return lungs, "file"
        if file is not None:
            msg = f"{file} has lungs of none of the {len(names)} films; make it with python -m training.lung_zones"
            raise ValueError(msg)
    lungs = _drawn_lungs(rows)
    return lungs, "index" if lungs else "nowhere"


def posed_lungs(lungs: LungZones, image: Image, pose: str) -> LungZones:
    """Lungs of a film that was moved or mirrored, see `training.poses`."""
    moved = [posed(image, each[:, :, None], pose)[1][:, :, 0] for each in (lungs.left, lungs.right)]
    left, right = reversed(moved) if pose == MIRRORED else moved
    return dataclasses.replace(lungs, left=left, right=right)


def caption_places(columns: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Levels that the caption of a lesion film names on each side; a side that it does not name is left out."""
    bits = columns["zones_patient"]
    named = {
        side: tuple(level for level, bit in zip(LEVELS, bits[start : start + 3], strict=True) if bit == "1")
        for side, start in (("left", 0), ("right", 3))
    }
    return {side: levels for side, levels in named.items() if levels}


def is_doubtful(columns: Mapping[str, str]) -> bool:
    """The caption's side is in doubt, so no part of the film's truth can be told by it."""
    return bool(columns.get("flag")) or columns.get("published_side", "image") != "image"


def ceiling(rows: Iterable[Row], lungs: Mapping[str, LungZones]) -> dict[str, Any]:
    """What a perfect answer scores against the cut truth: Dice between the cut and what is known without lungs.

    Sides: lesions that caption and mask alone tell apart (all of a one-sided film, the two components of a film with
    one on each side). Levels: everything drawn on a side of which the caption names one level only, which shows how far
    the captions' levels and the bands agree; nobody can be better than that on these films.

    Args:
        rows: Rows of lesion films.
        lungs: By image name.

    Returns:
        Mean Dice and number of sides for `side` and `level`; None where there is no such film.
    """
    sides, levels = [], []
    for row in rows:
        known, places = lungs.get(row.columns["image"]), caption_places(row.columns)
        if known is None or is_doubtful(row.columns):
            continue
        image = read_image(row.image)
        mask, zones = canonical(load_mask(row.mask, image), image), known.zones()
        parts = split_sides(mask.astype(np.uint8), {side: places.get(side, ()) for side in SIDES})
        for side, drawn in parts.items():
            sides.append(overlap(mask & named_pixels(zones, ((side, ()),)), drawn).dice)
            if len(places[side]) == 1:
                levels.append(overlap(mask & named_pixels(zones, ((side, places[side]),)), drawn).dice)
    return {
        "side": {"dice_per_image": mean(sides), "n": len(sides)},
        "level": {"dice_per_image": mean(levels), "n": len(levels)},
    }


def canonical(mask: np.ndarray, image: Image) -> np.ndarray:
    """A film's mask `(I, J, K)` as `(I, J)` bool in the canonical film frame."""
    turned: np.ndarray = reorientation(image.axis_codes, FILM_CODES).apply(mask)[:, :, 0] > 0
    return turned


def _drawn_lungs(rows: Sequence[Row]) -> dict[str, LungZones]:
    drawn: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.columns.get("kind") in ("left lung", "right lung"):
            drawn.setdefault(row.columns["image"], {})[row.columns["kind"]] = row
    lungs = {}
    for name, kinds in drawn.items():
        if len(kinds) == 2:
            masks = [_mask(kinds[kind]) for kind in ("left lung", "right lung")]
            lungs[name] = LungZones(*masks)
    return {name: each for name, each in lungs.items() if each.is_sound}


def _mask(row: Row) -> np.ndarray:
    image = read_image(row.mask)
    return canonical(image.array, image)
