"""What can be had without looking at the image: the mean training mask of the zones that a caption names.

A floor for every method that reads captions; how far a network is above it is what it saw on the film.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from TextGuidedSegLib.image import Image
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.resampling import film_plan
from training.calibrate import best_threshold
from training.cases import Case
from training.datasets.index import Row
from training.evidence import overlaps
from training.metrics import Overlap, hd95, overlap

BASELINES = ("zone-prior", "mean-mask")
"""The mean mask of all training films whose caption names the same zones; of all training films."""

_SIZE = 224  # of the grid on which masks are averaged
_ZONES = "zones_patient"


class MaskPrior:
    """Mean masks by code, in the canonical film frame.

    Args:
        rows: Training films, with the column `zones_patient` if the prior reads it.
        baseline: One of `BASELINES`.

    Raises:
        ValueError: There is no such baseline, no row, or a prior that reads words finds no zones in the index.
    """

    def __init__(self, rows: Sequence[Row], baseline: str) -> None:
        if baseline not in BASELINES or not rows:
            msg = f"a prior needs training rows and one of {', '.join(BASELINES)}, got {len(rows)} and {baseline!r}"
            raise ValueError(msg)
        self._reads_words = baseline == "zone-prior"
        sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((_SIZE, _SIZE), np.float32))
        counts: dict[str, int] = defaultdict(int)
        for row in rows:
            sums[self._code(row)] += _on_grid(read_image(row.mask))
            counts[self._code(row)] += 1
        self._means = {code: total / counts[code] for code, total in sums.items()}
        self._mean: np.ndarray = np.stack(list(sums.values())).sum(axis=0) / len(rows)

    def probability(self, row: Row, like: Image) -> np.ndarray:
        """What the words of a row say about every voxel of an image's grid, `(I, J, K)` float32 in [0, 1].

        Zones that no training caption names get the mean of all masks.
        """
        canonical, reorientation = like.canonical()
        plan = film_plan(canonical.shape[:3], _SIZE)
        mean = self._means.get(self._code(row), self._mean)
        cut = mean[: plan.model_shape[0], : plan.model_shape[1], None]
        undone: np.ndarray = reorientation.undo(plan.undo(cut))
        return undone

    def _code(self, row: Row) -> str:
        if not self._reads_words:
            return ""
        if _ZONES not in row.columns:
            msg = (
                f"zone-prior needs an index with the column {_ZONES!r}, this one has {', '.join(row.columns)}; "
                "take mean-mask, or leave that row out of the grid"
            )
            raise ValueError(msg)
        return row.columns[_ZONES]


def _on_grid(mask: Image) -> np.ndarray:
    """A mask as `(SIZE, SIZE)` float32 in [0, 1], padded at the end of the shorter axis."""
    canonical, _ = mask.canonical()
    resampled = film_plan(canonical.shape[:3], _SIZE).apply((canonical > 0).astype(np.float32))[:, :, 0]
    padding = [(0, _SIZE - length) for length in resampled.shape]
    return np.pad(resampled, padding)


def choose_threshold(prior: MaskPrior, rows: Sequence[Row]) -> float:
    """The best threshold on the tuning films, by the very rule that networks are given."""
    masks = [read_image(row.mask) for row in rows]
    maps = [prior.probability(row, mask) for row, mask in zip(rows, masks, strict=True)]
    return best_threshold([overlaps(each, mask.array > 0) for each, mask in zip(maps, masks, strict=True)])


def prior_cases(prior: MaskPrior, rows: Sequence[Row], threshold: float) -> list[Case]:
    """Score a prior as `training.evaluate` scores a network. Only the size of a mask's grid is used before scoring."""
    cases = []
    for row in rows:
        mask = read_image(row.mask)
        truth = mask.array > 0
        prediction = prior.probability(row, mask) >= threshold
        cases.append(
            Case(
                group="", image=row.columns["image"], phrase=row.columns["text"], answer="found", presence=1.0,
                overlap=overlap(prediction, truth),
                hd95=hd95(prediction[:, :, 0], truth[:, :, 0], mask.geometry.spacing_mm[:2].tolist()),
                pseudo=Overlap(0, 0, 0), peak=math.nan, side_mass=math.nan,
            )
        )  # fmt: skip
    return cases
