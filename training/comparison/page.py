"""The page of results: tables and curves of what is measured, and in words what they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from TextGuidedSegLib.export import atomic_path
from TextGuidedSegLib.weights import file_sha256
from training.calibrate import THRESHOLDS
from training.comparison.cells import rows_of
from training.comparison.curves import draw_curves, read_curve
from training.comparison.grid import EvaluationSet, Grid, Section
from training.comparison.results import Measured, Results
from training.comparison.strata import THIRDS, measured, thirds
from training.comparison.tables import markdown, percent, points, score_table
from training.statistics import paired_bootstrap

_READING = """\
Dice and IoU in percent, at the size of the drawn masks. *Per image* is the mean over films, *micro* one count over all
pixels; the literature mixes the two. HD95 in pixels where a film has no spacing; films with an empty mask on one side
have none. Plus-minus is half the range over seeds. Differences are in points, in brackets the interval that holds 95 %
of 2,000 draws of patients with replacement (a film without a named patient is drawn alone; both methods on the same
draws; mean of the seeds, which are not drawn). **Bold**: the interval does not hold zero."""
_CONDITIONS = """\
*none*: no phrase, the learned null. *shuffled*: another film's caption. *swapped*: left for right. *count_removed*: the
caption without its count clause, which was read off the truth."""
_STRATA = """\
Per-image Dice in thirds of the films, by the share of the film that the lesion takes, and by its border contrast: the
difference of the mean grey values of two rings of 3 pixels along the border, inside and outside, over the standard
deviation of both. After the semicolon the difference to {reference}."""


class Page:
    """Builds the page.

    Args:
        grid: What is compared.
        results: What is measured.
        path: Where the page will be; pictures go into a folder `results` beside it.
        command: Command that makes it, for the reader.
    """

    def __init__(self, grid: Grid, results: Results, path: Path, command: str) -> None:
        self.grid, self.results, self.path, self.command = grid, results, path, command

    def write(self) -> None:
        """Write page and pictures.

        Raises:
            ImageError: A file cannot be written.
        """
        blocks = [f"# {self.grid.title}", self.grid.about, f"Made by `{self.command}`.", *self._shared(), _READING]
        for section in self.grid.sections:
            blocks += self._section(section)
        blocks += [*self._conditions(), *self._strata()]
        with atomic_path(self.path) as part:
            part.write_text("\n\n".join(block for block in blocks if block) + "\n", encoding="utf-8")

    def _shared(self) -> list[str]:
        networks = [row for row in self.grid.rows if row.baseline is None]
        if not networks:
            return []
        config = self.grid.run_config(networks[0], networks[0].seeds[0])
        warps = config.augmentation
        lines = [
            f"{config.steps} steps of {config.batch_size} films at {config.preprocessing.size} pixels, learning rate "
            f"{config.learning_rate:g} with {config.warmup_steps} steps of warm-up",
            f"averaged weights (decay {config.ema_decay:g}), in half precision as they would ship",
            f"augmentation, unless a section says otherwise: co-warp {warps.cowarp:g}, pose {warps.pose:g}, mirror "
            f"with swapped words {warps.mirror:g}, photometric {warps.photometric:g}",
            f"at test {'the average' if self.grid.mirror_average else 'no average'} with the mirrored film and swapped "
            "words; presence decides nothing, every row gives its mask",
            f"one tuning try: the best of the same {len(THRESHOLDS)} thresholds on {self.grid.tuning.name}, then fixed",
            f"{len(networks)} networks in {sum(len(row.seeds) for row in networks)} runs",
        ]
        return ["## What every row shares", "\n".join(f"* {line}" for line in lines)]

    def _section(self, section: Section) -> list[str]:
        blocks = [f"## {section.title}", section.text]
        for where in self.grid.sets:
            found = self._found(section.rows, where)
            if found:
                blocks += [f"### {section.title}: {where.name}", score_table(found), self._differences(found)]
        return [*blocks, self._curves(section)] if section.curves else blocks

    def _found(self, names: Sequence[str], where: EvaluationSet) -> list[Measured]:
        return [each for name in names if (each := self.results.get(name, where)) is not None]

    def _differences(self, found: Sequence[Measured]) -> str:
        lines = []
        for ours in found:
            for name in self.grid.row(ours.name).against or self.grid.against:
                theirs = self.results.get(name, ours.where) if name != ours.name else None
                if theirs is not None:
                    lines.append((f"{ours.name} − {name}", *map(points, self.results.differences(ours, theirs))))
        return markdown(("difference", "per image", "micro"), lines)

    def _curves(self, section: Section) -> str:
        runs = {
            name: [read_curve(cell.run) for cell in self.results.cells if cell.row.name == name]
            for name in section.rows
            if self.grid.row(name).baseline is None
        }
        picture = self.path.parent / "results" / f"{'-'.join(section.title.lower().split())}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        drawn = draw_curves(picture, runs, "Dice part of the training loss")
        return f"![Learning curves](results/{picture.name})" if drawn else ""

    def _conditions(self) -> list[str]:
        head = ("method", "words at test", "per image", "micro", "minus own captions, per image", "micro")
        blocks = []
        for where in self.grid.sets:
            lines = [line for row in self.grid.rows for line in self._condition_lines(row.name, where)]
            if lines:
                blocks += [f"### {where.name}", markdown(head, lines)]
        return ["## Other words at test, the same networks", _CONDITIONS, *blocks] if blocks else []

    def _condition_lines(self, name: str, where: EvaluationSet) -> list[tuple[str, ...]]:
        own, lines = self.results.get(name, where), []
        for condition in self.grid.row(name).conditions:
            changed = self.results.get(name, where, condition)
            if condition != "original" and own is not None and changed is not None:
                means = percent(changed.mean("dice_per_image")), percent(changed.mean("dice_micro"))
                lines.append((name, condition, *means, *map(points, self.results.differences(changed, own))))
        return lines

    def _strata(self) -> list[str]:
        blocks = [block for where in self.grid.sets if where.strata for block in self._strata_of(where)]
        if not blocks:
            return []
        reference = self.grid.against[0] if self.grid.against else "nothing"
        return ["## Small lesions and faint borders", _STRATA.format(reference=reference), *blocks]

    def _strata_of(self, where: EvaluationSet) -> list[str]:
        found = self._found(self.grid.sections[0].rows, where) if self.grid.sections else []
        if not found:
            return []
        name = f"strata.{file_sha256(Path(where.index))[:8]}.{'-'.join(where.name.lower().split())}.csv"
        blocks = []
        for kind, values in measured(rows_of(where), self.results.cells[0].out / name).items():
            third = thirds(values)
            head = [kind, *(f"{word} ({(third == number).sum()} films)" for number, word in enumerate(THIRDS))]
            lines = [
                (each.name, *(self._third(each, third == number) for number in range(len(THIRDS)))) for each in found
            ]
            blocks += [f"### {where.name}, by {kind}", markdown(head, lines)]
        return blocks

    def _third(self, ours: Measured, chosen: np.ndarray) -> str:
        if not chosen.any():
            return ""
        score = percent(ours.dice(chosen).value())
        name = self.grid.against[0] if self.grid.against else ours.name
        theirs = self.results.get(name, ours.where) if name != ours.name else None
        if theirs is None:
            return score
        names = [each for each, is_chosen in zip(self.results.clusters(ours.where), chosen, strict=True) if is_chosen]
        return f"{score}; {points(paired_bootstrap(ours.dice(chosen), theirs.dice(chosen), names))}"
