"""Learn which part of a lung's height captions call upper, middle and lower.

python -m training.level_bands --data ../shared/data/chest_infection/index.csv --split train \\
    --lungs runs/chest_infection_lungs_train.npz --out training/truth/level_bands.json

Read are the lesions of those sides of which a caption names one level. The middle of them (`TAIL` left out at either
end, every side counting the same) is that level's band; of the outer levels only the inner end is used. *Middle*
overlaps both others, because people's words do. Thirds of the lung would be wrong: much of what is called *lower* lies
above the lower third.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from TextGuidedSegLib.errors import TextGuidedSegError
from TextGuidedSegLib.export import atomic_path, check_output
from TextGuidedSegLib.io import read_image
from training.cut_truth import canonical, caption_places, is_doubtful
from training.datasets.chest_infection import split_sides
from training.datasets.films import load_mask
from training.datasets.index import Row, read_index
from training.levels import LEVELS
from training.lung_zones import SIDES, LungZones, load_zones, lung_box

TAIL = 0.15
"""Share of a level's lesions that is left outside its band at either end: of the shares 0.05, 0.1, 0.15 and so on the
least with which nothing is both upper and lower."""

# Heights are counted from this far above a lung to this far below it, in as many bins of the lung's height.
_REACH, _BINS = 0.5, 400


def learn(rows: Iterable[Row], lungs: Mapping[str, LungZones]) -> dict[str, Any]:
    """Bands of the levels, and how many sides each was learned from.

    Args:
        rows: Rows of lesion films.
        lungs: By image name; films without are left out.

    Raises:
        ValueError: No caption names one of the levels alone.
    """
    edges = np.linspace(-_REACH, 1 + _REACH, _BINS + 1)
    found: dict[str, list[np.ndarray]] = {level: [] for level in LEVELS}
    for row in rows:
        known, places = lungs.get(row.columns["image"]), caption_places(row.columns)
        if known is None or is_doubtful(row.columns) or all(len(levels) > 1 for levels in places.values()):
            continue
        image = read_image(row.image)
        mask = canonical(load_mask(row.mask, image), image)
        for side, drawn in split_sides(mask.astype(np.uint8), {side: places.get(side, ()) for side in SIDES}).items():
            if len(places[side]) == 1:
                found[places[side][0]].append(_heights(drawn, known.left if side == "left" else known.right, edges))
    missing = [level for level, histograms in found.items() if not histograms]
    if missing:
        msg = f"no caption names {' or '.join(missing)} alone, so its band cannot be learned; take more films"
        raise ValueError(msg)
    bands = {level: _band(np.mean(histograms, axis=0), edges) for level, histograms in found.items()}
    return {"bands": bands, "tail": TAIL, "sides": {level: len(histograms) for level, histograms in found.items()}}


def _heights(drawn: np.ndarray, lung: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Shares of the lesions by their height in the lung."""
    top, bottom = lung_box(lung)[2:]
    height = (np.arange(lung.shape[1]) + 0.5 - top) / (bottom - top)
    rows = drawn.sum(axis=0, dtype=np.float64)
    histogram: np.ndarray = np.histogram(np.clip(height, edges[0], edges[-1]), bins=edges, weights=rows)[0]
    shares: np.ndarray = histogram / rows.sum()
    return shares


def _band(shares: np.ndarray, edges: np.ndarray) -> list[float]:
    below = np.concatenate([[0.0], np.cumsum(shares)])
    return [round(float(np.interp(share, below, edges)), 3) for share in (TAIL, 1 - TAIL)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m training.level_bands", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, help="index.csv")
    parser.add_argument("--split", required=True)
    parser.add_argument("--lungs", required=True, type=Path, metavar="FILE.npz", help="from training.lung_zones")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.json")
    options = parser.parse_args(arguments)
    try:
        check_output(options.out, (".json",))
        rows = [row for row in read_index(options.data) if row.columns["split"] == options.split]
        lungs = {name: each for name, each in load_zones(options.lungs).items() if each.is_sound}
        learned = {"data": options.data.parent.name, "split": options.split, **learn(rows, lungs)}
        with atomic_path(options.out) as part:
            part.write_text(json.dumps(learned, indent=2) + "\n", encoding="utf-8")
    except (TextGuidedSegError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
