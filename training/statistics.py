"""Intervals of differences between methods: paired, patient-clustered bootstrap.

Films of one patient are alike, so patients are drawn with replacement, not films; a film without a patient is its own
cluster. Both methods are measured on the very same draws (paired): what makes a film hard cancels out.

Seeds are not drawn: in each draw of patients a method scores the mean of its seeds, so an interval says what other
patients would change about these trained networks. How far seeds lie apart is reported beside it; two or three seeds
are too few to draw from.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.metrics import Overlap

FloatArray = NDArray[np.float64]
_LEVEL = 0.95


@dataclasses.dataclass(frozen=True, eq=False)
class Ratio:
    """A score that is one sum over cases divided by another.

    Attributes:
        numerator: `(S, N)`, one line a seed, one column a case.
        denominator: Same shape, not negative; a score whose sum is zero is 1: all masks are empty.
    """

    numerator: FloatArray
    denominator: FloatArray

    def value(self) -> float:
        """The score of all cases, mean over seeds."""
        return float(_scores(self.numerator.sum(axis=1), self.denominator.sum(axis=1)).mean())

    def of(self, chosen: NDArray[np.bool_]) -> Ratio:
        """The same score of some of the cases, `(N,)` bool."""
        return Ratio(self.numerator[:, chosen], self.denominator[:, chosen])


@dataclasses.dataclass(frozen=True)
class Interval:
    """A difference and where it lies in 95 % of the draws.

    Attributes:
        difference: Ours minus theirs, on the cases as they are.
        low: 2.5 % of the draws lie below.
        high: 2.5 % of the draws lie above.
    """

    difference: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """The interval does not hold zero."""
        return self.low > 0 or self.high < 0


def image_mean(scores: Sequence[Sequence[float]]) -> Ratio:
    """Mean of per-image scores.

    Args:
        scores: One list a seed, one number a case.
    """
    values = np.array(scores, dtype=np.float64)
    return Ratio(values, np.ones_like(values))


def micro_dice(overlaps: Sequence[Sequence[Overlap]]) -> Ratio:
    """Micro Dice: one count over all cases. Lists as in `image_mean`."""
    pairs = np.array([[(2 * each.intersection, each.predicted + each.true) for each in seed] for seed in overlaps])
    return Ratio(pairs[:, :, 0].astype(np.float64), pairs[:, :, 1].astype(np.float64))


def micro_iou(overlaps: Sequence[Sequence[Overlap]]) -> Ratio:
    """Micro intersection over union: one count over all cases. Lists as in `image_mean`."""
    pairs = np.array(
        [[(each.intersection, each.predicted + each.true - each.intersection) for each in seed] for seed in overlaps]
    )
    return Ratio(pairs[:, :, 0].astype(np.float64), pairs[:, :, 1].astype(np.float64))


def clusters(patients: Sequence[str], images: Sequence[str]) -> list[str]:
    """The cluster of each case: its patient, or its image where no patient is named."""
    return [
        f"patient {patient}" if patient else f"image {image}" for patient, image in zip(patients, images, strict=True)
    ]


def paired_bootstrap(
    ours: Ratio, theirs: Ratio, names: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Interval of the difference of two methods on the same cases.

    Args:
        ours: Scores of N cases.
        theirs: Scores of the same cases in the same order; the number of seeds may differ.
        names: Cluster of each case.
        resamples: Draws of clusters with replacement.
        seed: Seed of the draws. They depend on it and on the set of names alone, not on the order of the cases.

    Raises:
        ValueError: The numbers of cases differ, or there are none.
    """
    count = len(names)
    if not count or {ours.numerator.shape[1], theirs.numerator.shape[1]} != {count}:
        found = (ours.numerator.shape[1], theirs.numerator.shape[1], count)
        msg = f"a paired bootstrap needs the same cases on both sides, got {found[0]}, {found[1]} and {found[2]} names"
        raise ValueError(msg)
    weights = _draws(len(set(names)), resamples, seed)
    differences = _drawn(ours, names, weights) - _drawn(theirs, names, weights)
    low, high = np.quantile(differences, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(ours.value() - theirs.value(), float(low), float(high))


@functools.lru_cache(maxsize=8)  # a page asks for the same draws a hundred times
def _draws(count: int, resamples: int, seed: int) -> FloatArray:
    """`(R, C)`: how often each of so many clusters is in each draw."""
    chances = np.full(count, 1 / count)
    return np.random.default_rng(seed).multinomial(count, chances, size=resamples).astype(np.float64)


def _drawn(ratio: Ratio, names: Sequence[str], weights: FloatArray) -> FloatArray:
    """`(R,)`: the score of each draw, mean over seeds.

    Clusters are in alphabetical order, so that the order of the cases does not matter.
    """
    _, cluster = np.unique(np.array(names), return_inverse=True)
    totals = []
    for part in (ratio.numerator, ratio.denominator):
        by_cluster = np.stack([np.bincount(cluster, weights=seed, minlength=weights.shape[1]) for seed in part])
        totals.append(weights @ by_cluster.T)  # (R, S)
    drawn: FloatArray = _scores(*totals).mean(axis=1)
    return drawn


def _scores(above: FloatArray, below: FloatArray) -> FloatArray:
    """Quotients of sums, 1 where the denominator is zero, as `metrics.Overlap` has it."""
    scores: FloatArray = np.where(below > 0, above / np.where(below > 0, below, 1.0), 1.0)
    return scores
