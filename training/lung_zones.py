"""Lungs and their zones on lesion films, so that a truth can be cut to the side and level that a phrase names.

python -m training.lung_zones --weights MODEL --data ../shared/data/chest_infection/index.csv --split dev,val \\
    --out training/truth/chest_infection_lungs.npz --sheets sheets

The data sets have one mask a film for all lesions; a phrase such as *left lower lung opacity* names a part of them.
The file keeps both lungs of every film as a model drew them, packed, with the model's hash. The model must not be the
one whose figures the file serves. `--sheets` writes contact sheets to look at; they show real films: keep them private.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
import zipfile
import zlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from TextGuidedSegLib.errors import DeviceError, TextGuidedSegError
from TextGuidedSegLib.export import atomic_path, check_output
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.io import read_image
from training.datasets.index import read_index
from training.levels import LEVELS, level_bands

logger = logging.getLogger(__name__)

SIDES = ("left", "right")

Box = tuple[int, int, int, int]
"""First pixel and end along I, then along J."""

LEAST_PART = 2e-3
"""Share of a film under which a part of the lesions is too small to say that it is there."""

EMPTY_MARGIN = 0.04
"""Share of a film's width that an empty place keeps from every lesion: nearer ones are a matter of a border."""

# Below this share of the film a lung was missed; the film then has no zones and is left out where they are needed.
_SMALLEST_LUNG = 0.02


@dataclasses.dataclass(frozen=True, eq=False)
class LungZones:
    """Both lungs of one film and what follows from them.

    Attributes:
        left: `(I, J)` bool in the canonical film frame, the patient's left lung.
        right: The other one.
    """

    left: np.ndarray
    right: np.ndarray

    @property
    def is_sound(self) -> bool:
        """Both lungs are there, the left one to the left."""
        smallest = _SMALLEST_LUNG * self.left.size
        if min(self.left.sum(), self.right.sum()) < smallest:
            return False
        return bool(np.argwhere(self.left)[:, 0].mean() > np.argwhere(self.right)[:, 0].mean())

    def side(self, name: str) -> np.ndarray:
        """Pixels that are nearer to the named lung than to the other one, `(I, J)` bool; the two sides share none."""
        to_left = ndimage.distance_transform_edt(~self.left)
        to_right = ndimage.distance_transform_edt(~self.right)
        nearer_left = to_left < to_right
        nearer: np.ndarray = nearer_left if name == "left" else ~nearer_left
        return nearer

    def zone(self, side: str, levels: Collection[str]) -> np.ndarray:
        """Pixels of a side at the named levels: bands of that lung's height, see `training.levels`; they overlap.

        They are no pixel rows: a lung that is low on the film has low zones.
        """
        named: np.ndarray = (self.zones() & sum(zone_bit(side, level) for level in levels)) != 0
        return named

    def zones(self) -> np.ndarray:
        """The zones that each pixel lies in, `(I, J)` uint8, one bit for each: see `zone_bit`."""
        nearer = self.side("left")
        left, right = (_level_bits(lung) for lung in (self.left, self.right))
        zones: np.ndarray = np.where(nearer, left << _shift("left"), right << _shift("right")).astype(np.uint8)
        return zones

    def resized(self, shape: tuple[int, int]) -> LungZones:
        """The same lungs on a grid of another size, by the nearest pixel."""
        if shape == self.left.shape:
            return self
        rows, columns = (
            np.floor((np.arange(new) + 0.5) * old / new).astype(int)
            for new, old in zip(shape, self.left.shape, strict=True)
        )
        return LungZones(self.left[np.ix_(rows, columns)], self.right[np.ix_(rows, columns)])

    def cut(self, mask: np.ndarray, zones: Iterable[tuple[str, Collection[str]]]) -> np.ndarray:
        """The part of a mask that lies in the named zones.

        Args:
            mask: `(I, J)`.
            zones: Pairs of side and levels; no levels mean the whole side.
        """
        named = np.zeros(mask.shape, dtype=bool)
        for side, levels in zones:
            named |= self.zone(side, levels) if levels else self.side(side)
        return mask.astype(bool) & named


def zone_bit(side: str, level: str) -> int:
    """The bit of a side's level in `LungZones.zones`."""
    return 1 << (_shift(side) + LEVELS.index(level))


def side_bits(side: str) -> int:
    """The bits of all levels of a side."""
    return sum(zone_bit(side, level) for level in LEVELS)


def _shift(side: str) -> int:
    return len(LEVELS) * SIDES.index(side)


def lung_box(lung: np.ndarray) -> Box:
    """The smallest box that holds a lung, `(I, J)` bool with at least one pixel."""
    columns, rows = (np.flatnonzero(lung.any(axis=axis)) for axis in (1, 0))
    return int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1


def tissue_levels(film: np.ndarray, lungs: LungZones, lesions: np.ndarray) -> tuple[float, float]:
    """Median brightness of aerated lung and of the mediastinum: two points that make films of all makers comparable.

    Args:
        film: `(I, J)`, any scale.
        lungs: Both lungs of it.
        lesions: `(I, J)` bool, left out of the lung; if that leaves almost none of it, its darkest tenth counts.
    """
    inside = lungs.left | lungs.right
    air = film[inside & ~lesions]
    if air.size < 0.1 * inside.sum():
        darkest = film[inside]
        air = darkest[darkest <= np.quantile(darkest, 0.1)]
    left, right = lung_box(lungs.left), lung_box(lungs.right)
    between = np.zeros_like(inside)
    middle = slice(min(right[1], left[0]) - 1, max(right[1], left[0]) + 1)
    between[middle, max(left[2], right[2]) : min(left[3], right[3])] = True
    between &= ~inside
    tissue = film[between] if between.any() else film[~inside]
    return float(np.median(air)), float(np.median(tissue))


def _level_bits(lung: np.ndarray) -> np.ndarray:
    """`(J,)` uint8: the levels that each row of pixels lies in, bit `n` for level `n`."""
    top, bottom = lung_box(lung)[2:]
    height = (np.arange(lung.shape[1]) + 0.5 - top) / (bottom - top)
    bits = np.zeros(lung.shape[1], dtype=np.uint8)
    for number, level in enumerate(LEVELS):
        first, last = level_bands()[level]
        bits |= ((height >= first) & (height <= last)).astype(np.uint8) << number
    return bits


def draw_lungs(segmenter: Segmenter, path: Path) -> LungZones:
    """Both lungs of a film, in the canonical frame, at the film's own resolution; holes closed, one piece a lung."""
    image = read_image(path)
    segmenter.set_image(image)
    reorientation = image.canonical()[1]
    lungs = {}
    for side in SIDES:
        mask = segmenter.segment(f"{side} lung").probability >= segmenter.card.decision.threshold
        lungs[side] = _tidy(reorientation.apply(mask)[:, :, 0])
    return LungZones(lungs["left"] & ~lungs["right"], lungs["right"])


def _tidy(mask: np.ndarray) -> np.ndarray:
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(parts.ravel())[1:]
    filled: np.ndarray = ndimage.binary_fill_holes(parts == 1 + int(sizes.argmax()))
    return filled


def save_zones(path: Path, zones: dict[str, LungZones], note: str) -> None:
    """Write lungs of films by image name; bits are packed, so a film of 224 pixels takes about two kilobytes."""
    arrays: dict[str, np.ndarray] = {"note": np.array(note)}
    for name, lungs in zones.items():
        arrays[name] = np.packbits(np.stack([lungs.left, lungs.right]), axis=None)
        arrays[f"{name}:shape"] = np.array(lungs.left.shape, dtype=np.int16)
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load_zones(path: str | Path, films: Collection[str] | None = None) -> dict[str, LungZones]:
    """Read what `save_zones` wrote.

    Args:
        path: The file.
        films: Names of the images whose lungs are wanted, of those that the file has; None for all.

    Raises:
        ValueError: The file is missing or not such a file.
    """
    try:
        with np.load(path) as stored:
            names = [name.removesuffix(":shape") for name in stored.files if name.endswith(":shape")]
            wanted = [name for name in names if films is None or name in films]
            return {name: _unpack(stored[name], stored[f"{name}:shape"]) for name in wanted}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        msg = f"{path} is no file of lung zones ({error}); make it with python -m training.lung_zones"
        raise ValueError(msg) from error


def _unpack(bits: np.ndarray, shape: np.ndarray) -> LungZones:
    size = (2, *(int(length) for length in shape))
    left, right = np.unpackbits(bits, count=int(np.prod(size))).reshape(size).astype(bool)
    return LungZones(left, right)


def contact_sheet(films: Sequence[tuple[np.ndarray, LungZones]], columns: int = 10) -> np.ndarray:
    """Films with the outlines of both lungs and the borders of their zones, as rows x columns x RGB uint8.

    Args:
        films: Pairs of grey values `(I, J)` in [0, 255], all of one shape, and lungs.
        columns: Films in a row.
    """
    tiles = []
    for grey, lungs in films:
        tile = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
        for side, color in (("left", (80, 220, 120)), ("right", (255, 160, 60))):
            lung = lungs.left if side == "left" else lungs.right
            tile[lung & ~ndimage.binary_erosion(lung)] = color
            middle = lung & lungs.zone(side, ["middle"]) if lungs.is_sound else lung & False
            tile[middle & ~ndimage.binary_erosion(middle)] = color
        tiles.append(tile.transpose(1, 0, 2))
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
    return np.concatenate(rows, axis=0)


def _write_sheets(folder: Path, names: Sequence[str], images: Path, zones: dict[str, LungZones]) -> None:
    from PIL import Image as Picture

    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(names), 100):
        films = []
        for name in names[start : start + 100]:
            array, _ = read_image(images / name).canonical()
            films.append((array[:, :, 0], zones[name]))
        Picture.fromarray(contact_sheet(films)).save(folder / f"lungs_{start:05d}.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 2 for bad input, 3 for a missing device."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(prog="python -m training.lung_zones", description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--data", required=True, type=Path, help="index.csv")
    parser.add_argument("--split", required=True, help="one split or several, separated by commas")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.npz")
    parser.add_argument("--sheets", type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        check_output(options.out, ("",))
        splits = options.split.split(",")
        names = [row.columns["image"] for row in read_index(options.data) if row.columns["split"] in splits]
        if not names:
            msg = f"no row of {options.data} has a split in {splits}"
            raise ValueError(msg)
        segmenter = Segmenter(options.weights)
        zones = {}
        for number, name in enumerate(dict.fromkeys(names), start=1):
            zones[name] = draw_lungs(segmenter, options.data.parent / name)
            if number % 100 == 0:
                logger.info("%d of %d", number, len(names))
        note = {"model": segmenter.card.name, "version": segmenter.card.version, "sha256": segmenter.card.sha256}
        save_zones(options.out, zones, json.dumps(note))
        logger.info("%d films, %d without sound lungs", len(zones), sum(not each.is_sound for each in zones.values()))
        if options.sheets:
            _write_sheets(options.sheets, list(zones), options.data.parent, zones)
    except DeviceError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except (TextGuidedSegError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
