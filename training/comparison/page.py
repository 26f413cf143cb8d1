"""The page of results: tables and curves of what is measured, and in words what they are."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from TextGuidedSegLib.export import atomic_path
from TextGuidedSegLib.weights import file_sha256
from training.comparison.cell import rows_of
from training.comparison.curves import draw_curves, read_curve
from training.comparison.grid import FIXED_THRESHOLD, EvaluationSet, Grid, Section
from training.comparison.results import Measured, Results, paired
from training.comparison.strata import THIRDS, measured, thirds
from training.comparison.tables import asked_table, count_of_seeds, markdown, percent, points, score_table
from training.evidence import THRESHOLDS
from training.statistics import paired_bootstrap

_READING = """\
Dice and IoU in percent, at the size of the drawn masks. *Per image* is the mean over films, *micro* one count over all
pixels; the literature mixes the two. HD95 in pixels where a film has no spacing; films with an empty mask on one side
have none, and n counts the others: a method that leaves hard films empty is spared their distance. Plus-minus is half
the range over seeds. Differences are in points, in brackets the interval that holds 95 % of 2,000 draws of patients
with replacement (a film without a named patient is drawn alone; both methods on the same draws; mean of the seeds,
which are not drawn). They are taken over the seeds that both rows have. **Bold**: the interval does not hold zero, and
both rows have the same seeds."""
_CONDITIONS = """\
Networks that were trained on true captions and are told something else at test. *none*: no phrase, the learned null.
*shuffled*: another film's caption at test; a row that was *trained on* shuffled captions is another network and stands
above. *swapped*: left for right. *count_removed*: the caption without its count clause, which was read off the truth.
*location_removed*, *description_removed*: without places; without size, color, shape and the like."""
_ASKED = """\
Sets of *questions* do not say captions. They name one side of a film with lesions on both, one level of several, or a
place without a lesion; the truth is the mask cut to it by lungs that another model drew (`training/truth`). *Wrong
side*: share of the drawn pixels that lie on the other side. *Outside the level*: share that lies outside the named one.
*Left empty*: share of the places without a lesion where nothing is drawn, and *drawn* the share of the others where
something is. No row here has a head for presence: only the threshold decides."""
_STRATA = """\
Per-image Dice in thirds of the films, by the share of the film that the lesion takes, and by its border contrast: the
difference of the mean grey values of two rings of 3 pixels along the border, inside and outside, over the standard
deviation of both. After the semicolon the difference to {reference}; a line with a minus sign is the difference of two
rows."""


class Page:
    """Builds the page.

    Args:
        grid: What is compared.
        results: What is measured.
        path: Where the page will be; pictures go into a folder `results` beside it, under names of this page's own.
        command: Command that makes it, for the reader.
    """

    def __init__(self, grid: Grid, results: Results, path: Path, command: str) -> None:
        self.grid, self.results, self.path, self.command = grid, results, path, command

    def write(self) -> None:
        """Write page and pictures.

        Raises:
            ImageError: A file cannot be written.
        """
        made = f"Made by `{self.command}`."
        blocks = [
            f"# {self.grid.title}",
            self.grid.about,
            made,
            self._others(),
            *self._shared(),
            _READING,
            self._asking(),
        ]
        for section in self.grid.sections:
            blocks += self._section(section)
        blocks += [*self._conditions(), *self._strata()]
        with atomic_path(self.path) as part:
            part.write_text("\n\n".join(block for block in blocks if block) + "\n", encoding="utf-8")

    def _others(self) -> str:
        """Links to the pages of other grids that lie beside this one."""
        pages = sorted(self.path.parent.glob("RESULTS*.md"))
        links = [f"[{_title(page)}]({page.name})" for page in pages if page.name != self.path.name]
        return f"Other comparisons: {', '.join(links)}." if links else ""

    def _shared(self) -> list[str]:
        networks = [row for row in self.grid.rows if row.baseline is None]
        if not networks:
            return []
        config = self.grid.run_config(networks[0], networks[0].seeds[0])
        warps = config.augmentation
        steps = {self.grid.run_config(row, row.seeds[0]).steps for row in networks}
        others = ", unless a section says otherwise," if len(steps) > 1 else ""
        lines = [
            f"{config.steps} steps{others} of {config.batch_size} films at {config.preprocessing.size} pixels, "
            f"learning rate {config.learning_rate:g} with {config.warmup_steps} steps of warm-up",
            f"averaged weights (decay {config.ema_decay:g}), in half precision as they would ship",
            f"augmentation, unless a section says otherwise: co-warp {warps.cowarp:g}, pose {warps.pose:g}, mirror "
            f"with swapped words {warps.mirror:g}, photometric {warps.photometric:g}",
            f"at test {'the average' if self.grid.mirror_average else 'no average'} with the mirrored film and swapped "
            "words; presence decides nothing, every row gives its mask",
            f"one tuning try: the best of the same {len(THRESHOLDS)} thresholds on {self.grid.tuning.name}, then fixed"
            if self.grid.tuning
            else f"no tuning: the threshold is {FIXED_THRESHOLD} for every row, because no split is left to choose one",
            f"{len(networks)} networks in {sum(len(row.seeds) for row in networks)} runs; "
            f"{len(self.results.machines())} of these runs have figures here",
            *self._machines(),
        ]
        return ["## What every row shares", "\n".join(f"* {line}" for line in lines)]

    def _asking(self) -> str:
        return _ASKED if any(where.ask for where in self.grid.sets) else ""

    def _machines(self) -> list[str]:
        """On what the measured networks were trained: minutes say nothing without it."""
        where = Counter(
            "a device that was not noted"
            if machine is None
            else f"{machine['device']}, {machine['jobs']} {'run' if machine['jobs'] == 1 else 'runs'} at once"
            for machine in self.results.machines()
        )
        counted = [f"{device} ({count} {'run' if count == 1 else 'runs'})" for device, count in sorted(where.items())]
        return [f"minutes of training on {'; on '.join(counted)}"] if counted else []

    def _section(self, section: Section) -> list[str]:
        blocks = [f"## {section.title}", section.text]
        for where in self.grid.sets:
            found = self._found(section.rows, where)
            if found and where.name in (section.sets or (where.name,)):
                blocks += [f"### {section.title}: {where.name}", self._scores(found), self._differences(found)]
        missing = [name for name in section.rows if not any(self._found([name], where) for where in self.grid.sets)]
        if missing:
            blocks.append(f"Not trained yet: {', '.join(missing)}.")
        return [*blocks, self._curves(section)] if section.curves else blocks

    def _scores(self, found: Sequence[Measured]) -> str:
        return asked_table(found) if found[0].where.ask else score_table(found)

    def _found(self, names: Sequence[str], where: EvaluationSet) -> list[Measured]:
        return [each for name in names if (each := self.results.get(name, where)) is not None]

    def _differences(self, found: Sequence[Measured]) -> str:
        lines = []
        for ours in found:
            for name in self.grid.row(ours.name).against or self.grid.against:
                theirs = self.results.get(name, ours.where) if name != ours.name else None
                if theirs is not None:
                    lines.append((f"{ours.name} − {name}", *self._difference(ours, theirs)))
        return markdown(("difference", *found[0].ratios(), "seeds"), lines)

    def _difference(self, ours: Measured, theirs: Measured) -> tuple[str, ...]:
        """Every score and the number of seeds."""
        pair = paired(ours, theirs)
        if pair is None:
            return (*[""] * len(ours.ratios()), "none in common")
        scores = self.results.differences(pair).values()
        return (*(points(each, may_be_bold=pair.is_complete) for each in scores), count_of_seeds(pair.seeds))

    def _curves(self, section: Section) -> str:
        runs = {
            name: [read_curve(cell.run) for cell in self.results.cells if cell.row.name == name]
            for name in section.rows
            if self.grid.row(name).baseline is None
        }
        own = self.path.name.split(".")[1:-1]  # RESULTS.polyp.md has other pictures than RESULTS.md
        picture = self.path.parent / "results" / ".".join([*own, "-".join(section.title.lower().split()), "png"])
        picture.parent.mkdir(parents=True, exist_ok=True)
        drawn = draw_curves(picture, runs, "Dice part of the training loss")
        return f"![Learning curves](results/{picture.name})" if drawn else ""

    def _conditions(self) -> list[str]:
        head = ("method", "words at test", "per image", "micro", "minus own captions, per image", "micro", "seeds")
        blocks = []
        for where in self.grid.sets:
            lines = [line for row in self.grid.rows for line in self._condition_lines(row.name, where)]
            if lines:
                blocks += [f"### {where.name}", markdown(head, lines)]
        return ["## Other words at test, the same networks", _CONDITIONS, *blocks] if blocks else []

    def _condition_lines(self, name: str, where: EvaluationSet) -> list[tuple[str, ...]]:
        own = self.results.get(name, where)
        lines: list[tuple[str, ...]] = []
        for condition in self.grid.row(name).conditions:
            changed = self.results.get(name, where, condition)
            if condition != "original" and own is not None and changed is not None:
                means = percent(changed.mean("dice_per_image")), percent(changed.mean("dice_micro"))
                per_image, micro, *_, seeds = self._difference(changed, own)
                lines.append((name, condition, *means, per_image, micro, seeds))
        return lines

    def _strata(self) -> list[str]:
        blocks = [block for where in self.grid.sets if where.strata for block in self._strata_of(where)]
        if not blocks:
            return []
        reference = self.grid.against[0] if self.grid.against else "nothing"
        return ["## Small lesions and faint borders", _STRATA.format(reference=reference), *blocks]

    def _strata_of(self, where: EvaluationSet) -> list[str]:
        found = self._found(self.grid.sections[0].rows, where) if self.grid.sections else []
        named = [pair for section in self.grid.sections for pair in section.strata]
        pairs = [pair for ours, theirs in named if len(pair := self._found((ours, theirs), where)) == 2]
        if not found and not pairs:
            return []
        blocks = []
        for kind, values in measured(rows_of(where), self._strata_file(where)).items():
            third = thirds(values)
            parts = [third == number for number in range(len(THIRDS))]
            head = [kind, *(f"{word} ({part.sum()} films)" for word, part in zip(THIRDS, parts, strict=True))]
            lines = [(each.name, *(self._third(each, part) for part in parts)) for each in found]
            lines += [
                (f"{ours.name} − {theirs.name}", *(self._third_of(ours, theirs, part) for part in parts))
                for ours, theirs in pairs
            ]
            blocks += [f"### {where.name}, by {kind}", markdown(head, lines)]
        return blocks

    def _strata_file(self, where: EvaluationSet) -> Path:
        """Where sizes and contrasts of a set are kept: of these films and no others."""
        films = json.dumps([file_sha256(Path(where.index)), where.split, where.where])
        name = hashlib.sha256(films.encode()).hexdigest()[:12]
        return self.results.cells[0].out / f"strata.{name}.csv"

    def _third(self, ours: Measured, chosen: np.ndarray) -> str:
        if not chosen.any():
            return ""
        score = percent(ours.dice(chosen).value())
        name = self.grid.against[0] if self.grid.against else ours.name
        theirs = self.results.get(name, ours.where) if name != ours.name else None
        return score if theirs is None else f"{score}; {self._third_of(ours, theirs, chosen)}"

    def _third_of(self, ours: Measured, theirs: Measured, chosen: np.ndarray) -> str:
        """The difference of two rows on some of the films."""
        pair = paired(ours, theirs)
        if pair is None or not chosen.any():
            return ""
        names = [each for each, is_chosen in zip(self.results.clusters(ours.where), chosen, strict=True) if is_chosen]
        interval = paired_bootstrap(pair.ours.dice(chosen), pair.theirs.dice(chosen), names)
        return points(interval, may_be_bold=pair.is_complete)


def _title(page: Path) -> str:
    """The heading of a page."""
    first = page.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# ") or page.name
