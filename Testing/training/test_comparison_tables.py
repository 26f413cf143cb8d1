"""What the tables of a comparison say: equal seeds on both sides, bold where that holds, films behind a score."""

from __future__ import annotations

from typing import Any

import pytest

from training.comparison.grid import EvaluationSet
from training.comparison.results import Measured, paired
from training.comparison.tables import points, score_table
from training.metrics import Overlap
from training.statistics import Interval

DEV = EvaluationSet("dev", "index.csv", "dev")


def measured(name: str, dice: dict[int, float], *, is_seeded: bool = True, planned: int = 2, **scores: Any) -> Measured:
    """A row with the same Dice on ten films, by seed."""
    overlaps = [[Overlap(round(500 * each), 500, 500)] * 10 for each in dice.values()]
    known = [
        {"dice_per_image": each, "dice_micro": each, "iou_per_image": each / (2 - each), "iou_micro": each / (2 - each),
         "hd95": 15.0, "hd95_n": 9, "n": 10, **scores}
        for each in dice.values()
    ]  # fmt: skip
    facts = [{"parameters": 0, "seconds": 60.0} for _ in dice]
    return Measured(name, DEV, tuple(dice), is_seeded, planned, known, overlaps, facts)


def only_line(table: str) -> list[str]:
    head, line = ([cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[::2])
    return [dict(zip(head, line, strict=True))[column] for column in ("seeds", "HD95")]


class TestSeeds:
    def test_only_seeds_that_both_rows_have_are_compared(self) -> None:
        pair = paired(measured("a", {0: 0.5}), measured("b", {0: 0.4, 1: 0.8}))
        assert pair is not None
        assert pair.ours.dice().value() - pair.theirs.dice().value() == pytest.approx(0.1)
        assert (pair.seeds, pair.is_complete) == (1, False)

    def test_the_order_of_the_seeds_does_not_matter(self) -> None:
        pair = paired(measured("a", {2: 0.5, 0: 0.7}), measured("b", {0: 0.4, 1: 0.9, 2: 0.2}))
        assert pair is not None
        assert pair.ours.seeds == pair.theirs.seeds == (2, 0)
        assert pair.theirs.dice().value() == pytest.approx(0.3)
        assert not pair.is_complete

    def test_equal_seeds_are_complete_and_exchanging_the_rows_changes_nothing(self) -> None:
        one, other = measured("a", {0: 0.5, 1: 0.6}), measured("b", {0: 0.4, 1: 0.9})
        for pair in (paired(one, other), paired(other, one)):
            assert pair is not None
            assert (pair.seeds, pair.is_complete) == (2, True)

    def test_rows_without_a_common_seed_are_not_compared(self) -> None:
        assert paired(measured("a", {0: 0.5}), measured("b", {1: 0.4})) is None

    def test_a_baseline_has_no_seed_and_goes_with_any(self) -> None:
        baseline = measured("prior", {0: 0.3}, is_seeded=False, planned=1)
        pair = paired(measured("a", {1: 0.5, 2: 0.7}), baseline)
        assert pair is not None
        assert (pair.seeds, pair.is_complete) == (2, True)
        assert pair.ours.dice().value() == pytest.approx(0.6)

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            (measured("a", {0: 0.5}), "one seed of 2"),
            (measured("a", {3: 0.5}, planned=1), "one seed"),
            (measured("a", {0: 0.5, 1: 0.6}), "2"),
            (measured("prior", {0: 0.5}, is_seeded=False, planned=1), "none"),
        ],
    )
    def test_the_table_says_how_many_there_are(self, row: Measured, said: str) -> None:
        assert only_line(score_table([row]))[0] == said


def test_bold_is_only_what_is_clear_and_may_be() -> None:
    clear, unclear = Interval(0.1, 0.05, 0.2), Interval(0.1, -0.05, 0.2)
    assert points(clear) == "**+10.00 [+5.00, +20.00]**"
    assert points(clear, may_be_bold=False) == "+10.00 [+5.00, +20.00]"
    assert points(unclear) == "+10.00 [-5.00, +20.00]"


def test_a_distance_says_of_how_many_films_it_is_the_mean() -> None:
    assert only_line(score_table([measured("a", {0: 0.5, 1: 0.6})]))[1] == "15.0 (n 9)"
    row = measured("a", {0: 0.5, 1: 0.6})
    row.scores[1]["hd95_n"] = 7
    assert only_line(score_table([row]))[1] == "15.0 (n 7 to 9)"
    assert only_line(score_table([measured("a", {0: 0.5}, hd95=None, hd95_n=0)]))[1] == ""
