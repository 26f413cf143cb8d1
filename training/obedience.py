"""How well words are obeyed and how honest the answers are: figures over cases, each with a reason where it has none.

* `wrong_side_leakage`: predicted pixels on the side that the phrase excludes, of all predicted pixels of phrases that
  name one side. Sides divide the film halfway between the lungs where those are known, else they are its halves.
* `outside_level_excess`: share of the predicted pixels outside the named side and level, less the same share of the
  truth; of phrases that name a level of the lung on films whose lungs are known. Shares of all pixels together.
* `empty_accuracy`: phrases for what is not there that were answered by an empty mask; *unsure* is wrong.
* `found_recall`: phrases for what is there that were answered *found*.
* `unsure_rate`: *unsure* among all phrases of both kinds.
* `presence_auroc`: how often presence ranks what is there above what is not, within one source; the lowest of the
  sources that have both, all of them stand in `presence_auroc_by_source`.
* `ece`: expected calibration error of presence in ten bins of equal width; what is there and what is not weigh the
  same, as they do in `training.calibrate`, because nobody knows how often users ask in vain.
* `error_auroc`: how often a wrong pixel is more uncertain than a right one, over all pixels of all cases.
* `paraphrase_spread`: range of the mean Dice between numbered wordings of the same phrases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from training.metrics import mean

if TYPE_CHECKING:
    from training.cases import Case

BINS = 2048
"""Bins of the uncertainty; as fine as this, ties between pixels change no figure."""

CALIBRATION_BINS = 10


class Share(NamedTuple):
    """A part of some pixels.

    Attributes:
        part: Number of pixels of the part.
        whole: Number of all pixels.
    """

    part: int
    whole: int


class Missing(NamedTuple):
    """Why a figure is not there."""

    reason: str


_NO_ANSWERS = Missing("no phrase is known to name something that is there, or nothing: see --ask")


def figures(cases: Sequence[Case]) -> dict[str, Any]:
    """All figures of this file; None for those that do not apply, with the reason under `not_applicable`."""
    by_source = auroc_by_source(cases)
    values: dict[str, float | Missing] = {name: figure(cases) for name, figure in _FIGURES.items()}
    values["presence_auroc"] = min(by_source.values()) if by_source else Missing(
        "no source has both phrases for what is there and for what is not: see --ask"
    )  # fmt: skip
    reasons = {name: value.reason for name, value in values.items() if isinstance(value, Missing)}
    told = [case for case in cases if case.expected != "unknown"]
    return {
        **{name: None if isinstance(value, Missing) else value for name, value in values.items()},
        "presence_auroc_by_source": by_source,
        "asked_present": sum(case.expected == "present" for case in told),
        "asked_empty": sum(case.expected == "empty" for case in told),
        "not_applicable": reasons,
    }


def wrong_side_leakage(cases: Sequence[Case]) -> float | Missing:
    """See the file's docstring."""
    shares = [case.wrong_side for case in cases if case.wrong_side is not None]
    if not shares:
        return Missing("no phrase names one side of a film")
    return _pooled(shares) if any(share.whole for share in shares) else Missing("every mask is empty")


def outside_level_excess(cases: Sequence[Case]) -> float | Missing:
    """See the file's docstring."""
    pairs = [case.outside for case in cases if case.outside is not None]
    if not pairs:
        return Missing("no phrase names a level of the lung on a film whose lungs are known")
    predicted, true = ([pair[place] for pair in pairs] for place in (0, 1))
    if not any(share.whole for share in predicted) or not any(share.whole for share in true):
        return Missing("every mask or every truth is empty")
    return _pooled(predicted) - _pooled(true)


def empty_accuracy(cases: Sequence[Case]) -> float | Missing:
    """See the file's docstring."""
    answers = [case.answer for case in cases if case.expected == "empty"]
    if not answers:
        return Missing("no phrase is known to name nothing: see --ask")
    return sum(answer not in ("found", "unsure") for answer in answers) / len(answers)


def found_recall(cases: Sequence[Case]) -> float | Missing:
    """See the file's docstring."""
    answers = [case.answer for case in cases if case.expected == "present"]
    if not answers:
        return Missing("no phrase is known to name something that is there")
    return answers.count("found") / len(answers)


def unsure_rate(cases: Sequence[Case]) -> float | Missing:
    """See the file's docstring."""
    answers = [case.answer for case in cases if case.expected != "unknown"]
    return answers.count("unsure") / len(answers) if answers else _NO_ANSWERS


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Share of the pairs in which the positive one is higher; equal ones count half.

    Args:
        positive: At least one number.
        negative: Likewise.
    """
    order = np.sort(np.asarray(negative, dtype=np.float64))
    values = np.asarray(positive, dtype=np.float64)
    below, at_most = np.searchsorted(order, values, "left"), np.searchsorted(order, values, "right")
    return float((below + at_most).mean() / 2 / len(order))


def auroc_by_source(cases: Sequence[Case]) -> dict[str, float]:
    """Area under the curve of presence within each source that has phrases of both kinds."""
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"present": [], "empty": [], "unknown": []})
    for case in cases:
        scores[case.source][case.expected].append(case.presence)
    both = {source: each for source, each in sorted(scores.items()) if each["present"] and each["empty"]}
    return {source: auroc(each["present"], each["empty"]) for source, each in both.items()}


def calibration_error(cases: Sequence[Case]) -> float | Missing:
    """See `ece` in the file's docstring."""
    told = [case for case in cases if case.expected != "unknown"]
    there = np.array([case.expected == "present" for case in told], dtype=bool)
    if there.all() or not there.any():
        return Missing("presence can be wrong one way only: it takes phrases for what is there and for what is not")
    presence = np.array([case.presence for case in told])
    weight = np.where(there, 0.5 / there.sum(), 0.5 / (~there).sum())
    bins = np.minimum((presence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=weight * (presence - there), minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum())


def error_counts(uncertainty: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Right and wrong pixels by their uncertainty.

    Args:
        uncertainty: Any shape, in [0, 1].
        wrong: Bool, same shape: prediction and truth differ.

    Returns:
        `(2, BINS)` int32, the first row right ones. Bins are finest near 0, where most pixels lie.
    """
    bins = np.minimum((np.sqrt(np.sqrt(uncertainty)) * BINS).astype(np.int64), BINS - 1)
    return np.stack([np.bincount(bins[chosen], minlength=BINS) for chosen in (~wrong, wrong)]).astype(np.int32)


def error_auroc(cases: Sequence[Case]) -> float | Missing:
    """See the file's docstring."""
    counts = [case.errors for case in cases if case.errors is not None]
    if not counts:
        return Missing("no truth is known to be what the words name")
    right, wrong = np.stack(counts).sum(axis=0, dtype=np.int64)
    if not right.any() or not wrong.any():
        return Missing("all pixels are right, or all are wrong")
    below = np.cumsum(right) - right
    return float((wrong * (below + right / 2)).sum() / (right.sum() * wrong.sum()))


def paraphrase_spread(cases: Sequence[Case]) -> float | Missing:
    """See the file's docstring."""
    dice: dict[int, list[float]] = defaultdict(list)
    for case in cases:
        dice[case.wording].append(case.overlap.dice)
    if len(dice) < 2:
        return Missing("every meaning was said in one way only: see --wordings")
    means = [mean(values) or 0.0 for values in dice.values()]
    return max(means) - min(means)


def _pooled(shares: Sequence[Share]) -> float:
    return sum(share.part for share in shares) / sum(share.whole for share in shares)


_FIGURES: dict[str, Callable[[Sequence[Case]], float | Missing]] = {
    "wrong_side_leakage": wrong_side_leakage,
    "outside_level_excess": outside_level_excess,
    "empty_accuracy": empty_accuracy,
    "found_recall": found_recall,
    "unsure_rate": unsure_rate,
    "ece": calibration_error,
    "error_auroc": error_auroc,
    "paraphrase_spread": paraphrase_spread,
}
