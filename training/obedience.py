"""How well words are obeyed and how honest the answers are: figures over cases, each with a reason where it has none.

* `wrong_side_leakage`: predicted pixels on the side that the phrase excludes, of all predicted pixels of phrases that
  name one side. Sides divide the film halfway between the lungs where those are known, else they are its halves.
* `outside_level_excess`: share of the predicted pixels outside the named side and level, less the same share of the
  truth; of phrases that name a level of the lung on films whose lungs are known. Shares of all pixels together. The
  truth is all that was drawn where the caption speaks of that level, which its band (`training.levels`) holds only in
  part: below 0 the answer keeps to the band more strictly than whoever drew the lesions.
* `outside_cut_level`: the share alone, of questions whose truth was cut to the level (`questions.CUT_BY_LEVEL`), so
  that nothing of it lies outside. These two have different zeros and never go into one figure.
* `empty_accuracy`: phrases for what is not there that were answered by an empty mask; *unsure* is wrong.
* `answered_by_words`: share of those phrases that were answered without asking the network: *not understood*,
  *contradictory*, *negated*.
* `empty_accuracy_by_network`: `empty_accuracy` of the others.
* `found_recall`: phrases for what is there that were answered *found*.
* `unsure_rate`: *unsure* among all phrases of both kinds.
* `presence_auroc`: how often presence ranks what is there above what is not, within one source; the lowest of the
  sources that have both, all of them stand in `presence_auroc_by_source`.
* `ece`: expected calibration error of presence in ten bins of equal width; what is there and what is not weigh the
  same, as they do in `training.calibrate`, because nobody knows how often users ask in vain.
* `error_auroc`: how often a wrong pixel is more uncertain than a right one, over all pixels of all cases.
* `paraphrase_spread`: range of the mean Dice between numbered wordings of the same phrases. Each number has other words
  on each image, so differences cancel in it.
* `paraphrase_spread_per_subject`: range of Dice between the wordings of one phrase on one image, mean over all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from training.metrics import mean
from training.questions import CUT_BY_LEVEL

if TYPE_CHECKING:
    from training.cases import Case

BINS = 2048
"""Bins of the uncertainty; as fine as this, ties between pixels change no figure."""

CALIBRATION_BINS = 10

WORD_ANSWERS = frozenset({"not_understood", "contradictory", "negated"})
"""Answers that words alone decide, whatever the network sees."""


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


_ONE_WORDING = Missing("every meaning was said in one way only: see --wordings")
_NO_PHRASE_FOR_NOTHING = Missing("no phrase is known to name nothing: see --ask")
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
    return _outside([case for case in cases if case.kind not in CUT_BY_LEVEL], "outside_cut_level")


def outside_cut_level(cases: Sequence[Case]) -> float | Missing:
    """See the file's docstring."""
    return _outside([case for case in cases if case.kind in CUT_BY_LEVEL], "outside_level_excess")


def _outside(cases: Sequence[Case], others: str) -> float | Missing:
    pairs = [case.outside for case in cases if case.outside is not None]
    if not pairs:
        return Missing(f"no phrase names a level of the lung on a film whose lungs are known, or see {others}")
    predicted, true = ([pair[place] for pair in pairs] for place in (0, 1))
    if not any(share.whole for share in predicted) or not any(share.whole for share in true):
        return Missing("every mask or every truth is empty")
    return _pooled(predicted) - _pooled(true)


def empty_accuracy(cases: Sequence[Case]) -> float | Missing:
    """See the file's docstring."""
    answers = _answers_to_nothing(cases)
    return _right_about_nothing(answers) if answers else _NO_PHRASE_FOR_NOTHING


def answered_by_words(cases: Sequence[Case]) -> float | Missing:
    """See the file's docstring."""
    answers = _answers_to_nothing(cases)
    return sum(answer in WORD_ANSWERS for answer in answers) / len(answers) if answers else _NO_PHRASE_FOR_NOTHING


def empty_accuracy_by_network(cases: Sequence[Case]) -> float | Missing:
    """See the file's docstring."""
    answers = _answers_to_nothing(cases)
    asked = [answer for answer in answers if answer not in WORD_ANSWERS]
    if answers and not asked:
        return Missing("words alone decided about every phrase for what is not there")
    return _right_about_nothing(asked) if asked else _NO_PHRASE_FOR_NOTHING


def _answers_to_nothing(cases: Sequence[Case]) -> list[str]:
    return [case.answer for case in cases if case.expected == "empty"]


def _right_about_nothing(answers: Sequence[str]) -> float:
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
    for case in _said_in_several_ways(cases):
        dice[case.wording].append(case.overlap.dice)
    if not dice:
        return _ONE_WORDING
    means = [mean(values) or 0.0 for values in dice.values()]
    return max(means) - min(means)


def paraphrase_spread_per_subject(cases: Sequence[Case]) -> float | Missing:
    """See the file's docstring."""
    dice: dict[str, list[float]] = defaultdict(list)
    for case in _said_in_several_ways(cases):
        dice[case.subject].append(case.overlap.dice)
    return sum(max(values) - min(values) for values in dice.values()) / len(dice) if dice else _ONE_WORDING


def _said_in_several_ways(cases: Sequence[Case]) -> list[Case]:
    ways: dict[str, set[int]] = defaultdict(set)
    for case in cases:
        ways[case.subject].add(case.wording)
    return [case for case in cases if len(ways[case.subject]) > 1]


def _pooled(shares: Sequence[Share]) -> float:
    return sum(share.part for share in shares) / sum(share.whole for share in shares)


_FIGURES: dict[str, Callable[[Sequence[Case]], float | Missing]] = {
    "wrong_side_leakage": wrong_side_leakage,
    "outside_level_excess": outside_level_excess,
    "outside_cut_level": outside_cut_level,
    "empty_accuracy": empty_accuracy,
    "answered_by_words": answered_by_words,
    "empty_accuracy_by_network": empty_accuracy_by_network,
    "found_recall": found_recall,
    "unsure_rate": unsure_rate,
    "ece": calibration_error,
    "error_auroc": error_auroc,
    "paraphrase_spread": paraphrase_spread,
    "paraphrase_spread_per_subject": paraphrase_spread_per_subject,
}
