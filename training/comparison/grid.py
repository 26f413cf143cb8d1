"""A grid: one base configuration, rows that change one thing each, and the sets they are measured on."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from TextGuidedSegLib.config import from_json_dict
from training.baselines import BASELINES
from training.conditions import CONDITIONS
from training.config import TrainConfig, make_config
from training.questions import ASKS

FIXED_THRESHOLD = 0.5
"""Of every row of a grid without films to choose one on."""

_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]*")


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
    """Films that every row is measured on.

    Attributes:
        name: What tables call it.
        index: Index file.
        split: Value of its column `split`.
        where: Further conditions, as `training.evaluate --where` takes them.
        conditions: Conditions that may be measured here; a row is measured under those of them that it asks for.
        phrase: One phrase for every film instead of its caption, as `training.evaluate --phrase` takes it.
        ask: Kinds of questions for every film instead of its caption, as `training.evaluate --ask` takes them.
        strata: Also report thirds by lesion size and by border contrast.
    """

    name: str
    index: str
    split: str
    where: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ("original",)
    phrase: str | None = None
    ask: tuple[str, ...] = ()
    strata: bool = False


@dataclasses.dataclass(frozen=True)
class RowConfig:
    """One line of the tables.

    Attributes:
        name: Lower-case letters, digits, dots, plus and minus; also the run folder's name.
        preset: Methods of the network, a key of `presets.PRESETS`; None keeps those of the base.
        overrides: Dotted name to value, after the preset.
        baseline: Instead of a network, one of `baselines.BASELINES`.
        seeds: One run each; a baseline has none.
        sets: Names of the sets it is measured on; empty for all.
        conditions: Conditions it is measured under.
        against: Rows it is compared with; empty for those of the grid.
    """

    name: str
    preset: str | None = None
    overrides: dict[str, Any] = dataclasses.field(default_factory=dict)
    baseline: str | None = None
    seeds: tuple[int, ...] = (0,)
    sets: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ("original",)
    against: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Section:
    """One chapter of the page.

    Attributes:
        title: Its heading.
        rows: Names of its rows; a row may stand in several sections.
        sets: Names of the sets it shows; empty for all.
        text: What the reader should know, Markdown.
        curves: Also draw the learning curves of its rows.
        strata: Pairs of rows whose difference, first minus second, stands in the tables by thirds, too.
    """

    title: str
    rows: tuple[str, ...]
    sets: tuple[str, ...] = ()
    text: str = ""
    curves: bool = False
    strata: tuple[tuple[str, ...], ...] = ()


@dataclasses.dataclass(frozen=True)
class Grid:
    """Everything that a comparison does.

    Attributes:
        title: Heading of the page.
        about: Which grid this is and what it cannot say, Markdown.
        base: Values of `TrainConfig`, the same for every row.
        sets: Films that are reported.
        rows: In the order in which they are trained.
        sections: Chapters of the page.
        tuning: Films on which every row's threshold is chosen, by the same rule from the same number of thresholds.
            None where no split is left to choose it on: every row then has `FIXED_THRESHOLD`.
        against: Rows that all others are compared with.
        mirror_average: Test-time trick, the same for every row: average with the mirrored film and swapped words.
    """

    title: str
    about: str
    base: dict[str, Any]
    sets: tuple[EvaluationSet, ...]
    rows: tuple[RowConfig, ...]
    sections: tuple[Section, ...]
    tuning: EvaluationSet | None = None
    against: tuple[str, ...] = ()
    mirror_average: bool = True

    def row(self, name: str) -> RowConfig:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)

    def sets_of(self, row: RowConfig) -> list[EvaluationSet]:
        """What a row is measured on."""
        return [each for each in self.sets if not row.sets or each.name in row.sets]

    def run_config(self, row: RowConfig, seed: int) -> TrainConfig:
        """The configuration of one run.

        Raises:
            ValueError: A value of the base or of the row is wrong.
        """
        overrides = {**row.overrides, "seed": seed, "name": f"seed-{seed}"}
        return make_config(self.base, row.preset, overrides, where=f"row {row.name!r}")


def read_grid(path: Path) -> Grid:
    """Read and check a grid before anything is trained.

    Raises:
        ValueError: The file is missing or no grid, or names something that it does not define.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path} is not a readable grid: {error}"
        raise ValueError(msg) from error
    grid = from_json_dict(Grid, values, where=str(path))
    for row in grid.rows:
        _check_row(grid, row)
    _check_names("rows", [row.name for row in grid.rows])
    _check_names("sets", [each.name for each in grid.sets])
    _check_known("against", grid.against, [row.name for row in grid.rows])
    for section in grid.sections:
        _check_section(grid, section)
    for each in grid.sets:
        _check_set(each)
    return grid


def _check_set(each: EvaluationSet) -> None:
    where = f"set {each.name!r}"
    _check_known(where, each.conditions, CONDITIONS)
    _check_known(where, each.ask, ASKS)
    if each.phrase is not None and each.conditions != ("original",):
        msg = f"{where} says {each.phrase!r} to every film: no words to change; leave its conditions out"
        raise ValueError(msg)
    if each.ask and (each.phrase is not None or each.strata or each.conditions != ("original",)):
        msg = f"{where} asks {', '.join(each.ask)} instead of captions: leave its phrase, conditions and strata out"
        raise ValueError(msg)


def _check_section(grid: Grid, section: Section) -> None:
    where, names = f"section {section.title!r}", [row.name for row in grid.rows]
    _check_known(where, section.rows, names)
    _check_known(where, section.sets, [each.name for each in grid.sets])
    for pair in section.strata:
        _check_known(where, pair, names)
        if len(pair) != 2:
            msg = f"{where} needs pairs of rows as strata, got {list(pair)}"
            raise ValueError(msg)


def _check_row(grid: Grid, row: RowConfig) -> None:
    where = f"row {row.name!r}"
    if not _NAME.fullmatch(row.name):
        msg = f"{where} needs a name of lower-case letters, digits, dots, plus and minus: it is a folder's name, too"
        raise ValueError(msg)
    _check_known(where, row.conditions, CONDITIONS)
    _check_known(where, row.sets, [each.name for each in grid.sets])
    _check_known(where, row.against, [each.name for each in grid.rows])
    if row.baseline is not None:
        _check_known(where, [row.baseline], BASELINES)
        if grid.tuning is None:
            msg = f"{where} is a mean of masks, whose threshold is chosen on films: give the grid 'tuning'"
            raise ValueError(msg)
        asked = [each.name for each in grid.sets_of(row) if each.ask]
        if asked:
            msg = f"{where} is a mean of masks, which answers no questions; give it 'sets' without {', '.join(asked)}"
            raise ValueError(msg)
        return
    if not row.seeds or len(set(row.seeds)) < len(row.seeds):
        msg = f"{where} needs one seed or several different ones, got {list(row.seeds)}"
        raise ValueError(msg)
    grid.run_config(row, row.seeds[0])


def _check_names(what: str, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or not names:
        msg = f"the grid needs {what} with different names, got {', '.join(names) or 'none'}"
        raise ValueError(msg)


def _check_known(where: str, names: Iterable[str], legal: Iterable[str]) -> None:
    allowed = list(legal)
    unknown = [name for name in names if name not in allowed]
    if unknown:
        msg = f"{where} names {unknown[0]!r}, which the grid does not have; expected one of {', '.join(allowed)}"
        raise ValueError(msg)
