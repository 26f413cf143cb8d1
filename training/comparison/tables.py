"""Scores and intervals as Markdown tables, in percent and in points."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from training.comparison.results import Measured
from training.statistics import Interval


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; empty if it has no line."""
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows]) if rows else ""


def percent(share: float) -> str:
    """A share of one in percent; empty for nan."""
    return "" if math.isnan(share) else f"{100 * share:.2f}"


def points(interval: Interval, *, may_be_bold: bool = True) -> str:
    """A difference in points with its interval, bold if that does not hold zero and it may be bold."""
    text = f"{100 * interval.difference:+.2f} [{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"
    return f"**{text}**" if interval.is_clear and may_be_bold else text


def count_of_seeds(count: int) -> str:
    """A number of seeds; one is no mean, so it is said in a word."""
    return {0: "none", 1: "one seed"}.get(count, str(count))


def score_table(found: Sequence[Measured]) -> str:
    """Scores, size, time and seeds of several rows on one set."""
    return markdown(("method", *_COLUMNS), [(each.name, *(cell(each) for cell in _COLUMNS.values())) for each in found])


def asked_table(found: Sequence[Measured]) -> str:
    """Scores and obedience of several rows on a set of questions; a column that no row has a figure for is left out."""
    columns = {head: cell for head, cell in _ASKED_COLUMNS.items() if any(cell(each) for each in found)}
    return markdown(("method", *columns), [(each.name, *(cell(each) for cell in columns.values())) for each in found])


def _with_spread(key: str) -> Callable[[Measured], str]:
    def cell(each: Measured) -> str:
        mean = percent(each.mean(key))
        return f"{mean} ± {100 * each.spread(key):.2f}" if mean and len(each.seeds) > 1 else mean

    return cell


def _distance(each: Measured) -> str:
    """The mean, and of how many films: those with an empty mask have no distance, and that may differ by seed."""
    mean = each.mean("hd95")
    counts = sorted({seed["hd95_n"] for seed in each.scores})
    return "" if math.isnan(mean) else f"{mean:.1f} (n {' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))})"


def _parameters(each: Measured) -> str:
    return f"{each.facts[0]['parameters'] / 1e6:.2f}" if each.facts[0]["parameters"] else ""


def _minutes(each: Measured) -> str:
    seconds = [seed["seconds"] for seed in each.facts]
    return f"{sum(seconds) / len(seconds) / 60:.0f}" if any(seconds) else ""


def _seeds(each: Measured) -> str:
    count = count_of_seeds(len(each.seeds) if each.is_seeded else 0)
    return count if len(each.seeds) == each.planned else f"{count} of {each.planned}"


_COLUMNS: dict[str, Callable[[Measured], str]] = {
    "per image": _with_spread("dice_per_image"),
    "micro": _with_spread("dice_micro"),
    "IoU per image": _with_spread("iou_per_image"),
    "IoU micro": lambda each: percent(each.mean("iou_micro")),
    "HD95": _distance,
    "films": lambda each: str(each.scores[0]["n"]),
    "seeds": _seeds,
    "million parameters": _parameters,
    "minutes of training": _minutes,
}
_ASKED_COLUMNS: dict[str, Callable[[Measured], str]] = {
    "per image": _with_spread("dice_per_image"),
    "micro": _with_spread("dice_micro"),
    "wrong side": _with_spread("wrong_side_leakage"),
    "outside the level": _with_spread("outside_cut_level"),
    "left empty": _with_spread("empty_accuracy"),
    "drawn": _with_spread("found_recall"),
    "questions": lambda each: str(each.scores[0]["n"]),
    "seeds": _seeds,
}
