"""Compare methods on equal terms: train what is missing, measure what is missing, write the page.

python -m training.compare --grid training/grids/chest.json --jobs 2
python -m training.compare --grid training/grids/chest.json --dry-run
python -m training.compare --grid training/grids/polyp.json --jobs 2

Every grid has its own folder of runs and its own page, because rows of two grids may have the same name. Every row runs
in `RUNS/ROW/seed-S` and resumes there; scores and cases of each row go to `--out`. A call that was interrupted is
continued by the same call, and nothing is trained or measured twice. The page is written after every run, so that what
there is can be read while the rest goes on.
"""

from __future__ import annotations

import argparse
import fnmatch
import logging
import multiprocessing
import shlex
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

from TextGuidedSegLib.errors import DeviceError, TextGuidedSegError
from TextGuidedSegLib.export import check_output
from training.checkpoint import DamagedCheckpointError
from training.comparison.cell import Cell, cells
from training.comparison.cells import finish, missing, steps_left
from training.comparison.grid import Grid, read_grid
from training.comparison.page import Page
from training.comparison.results import Results

logger = logging.getLogger(__name__)

_FIRST_GRID = "chest"
"""The grid whose page is `training/RESULTS.md`; the page of another one bears its name."""


def compare(grid: Grid, everything: Sequence[Cell], options: argparse.Namespace) -> int:
    """Finish the chosen cells and write the page after each.

    Returns:
        Number of cells that failed; the others are finished all the same.
    """
    chosen = [cell for cell in everything if _is_chosen(cell, options.only, options.seed)]
    waiting = [cell for cell in chosen if _has_work(cell)]
    logger.info("%d of %d cells have something to do", len(waiting), len(chosen))
    failed = 0
    command = (
        f"python -m training.compare --grid {shlex.quote(str(options.grid))} --out {shlex.quote(str(options.out))}"
    )
    for cell, error in _finished(waiting, options.jobs):
        if error is None:
            Page(grid, Results(everything), options.page, command).write()
        else:
            failed += 1
            sys.stderr.write(f"{cell.name}: {error}\n")
    Page(grid, Results(everything), options.page, command).write()
    return failed


def _finished(waiting: Sequence[Cell], jobs: int) -> Iterator[tuple[Cell, Exception | None]]:
    """Finish cells, several at once in processes of one thread each: two such runs outpace one with two threads."""
    if jobs == 1:
        for cell in waiting:
            yield cell, _try(cell)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process that has run torch can hang
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker) as pool:
        futures = {pool.submit(_try, cell): cell for cell in waiting}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _has_work(cell: Cell) -> bool:
    try:
        return bool(steps_left(cell) or missing(cell))
    except DamagedCheckpointError:  # that row fails of it, and the others go on
        return True


def _try(cell: Cell) -> Exception | None:
    """Finish a cell; what a run can fail of is returned, so that the other cells go on."""
    logger.info("%s: starts", cell.name)
    try:
        finish(cell)
    except (TextGuidedSegError, ValueError, OSError, FloatingPointError) as error:
        return error
    except (RuntimeError, MemoryError) as error:  # torch: no memory on the device, and everything else
        logger.warning("%s: ended", cell.name, exc_info=True)
        return error.with_traceback(None)  # its frames hold the network, and with it the memory of the next row
    return None


def _start_worker() -> None:
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(message)s")


def _is_chosen(cell: Cell, patterns: Sequence[str], seeds: Sequence[int]) -> bool:
    if seeds and cell.row.baseline is None and cell.seed not in seeds:
        return False
    return not patterns or any(fnmatch.fnmatchcase(cell.row.name, pattern) for pattern in patterns)


def dry_run(chosen: Sequence[Cell]) -> str:
    """What is missing, one line a cell, and the sum."""
    lines, steps, films = [], 0, 0
    for cell in chosen:
        try:
            left, evaluations = steps_left(cell), missing(cell)
        except DamagedCheckpointError as error:
            lines.append(f"{cell.name}: {error}")
            continue
        if not left and not evaluations:
            continue
        named = ", ".join(f"{where.name} ({condition})" for where, condition in evaluations)
        lines.append(f"{cell.name}: {left} steps; measure {named or 'nothing'}")
        steps += left
        films += left * (cell.config.batch_size if left else 0)
    return "\n".join([*lines, f"{len(lines)} cells, {steps} steps, {films} films to train on"])


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; folders and page that are not named follow from the name of the grid."""
    parser = argparse.ArgumentParser(prog="python -m training.compare", description=__doc__.splitlines()[0])
    parser.add_argument("--grid", required=True, type=Path, metavar="FILE.json")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="scores and cases of every row (RUNS/results)")
    first = f"for {_FIRST_GRID}.json"
    runs_help = f"folder of runs (runs/compare {first}, else runs/compare-GRID)"
    parser.add_argument("--runs", type=Path, metavar="FOLDER", help=runs_help)
    page_help = f"the page (training/RESULTS.md {first}, else training/RESULTS.GRID.md)"
    parser.add_argument("--page", type=Path, metavar="FILE.md", help=page_help)
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="rows of these names; repeatable")
    parser.add_argument("--seed", action="append", default=[], type=int, help="runs of these seeds; repeatable")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each in a process of one thread")
    parser.add_argument("--dry-run", action="store_true", help="list what is missing and do nothing")
    options = parser.parse_args(arguments)
    name = "" if options.grid.stem == _FIRST_GRID else options.grid.stem
    options.runs = options.runs or Path(f"runs/compare-{name}" if name else "runs/compare")
    options.out = options.out or options.runs / "results"
    options.page = options.page or Path(f"training/RESULTS.{name}.md" if name else "training/RESULTS.md")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 2 for bad input, 3 if a device is missing or a row failed."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = parse_options(arguments)
    try:
        grid = read_grid(options.grid)
        everything = cells(grid, options.runs, options.out, options.jobs)
        if options.dry_run:
            chosen = [cell for cell in everything if _is_chosen(cell, options.only, options.seed)]
            sys.stdout.write(dry_run(chosen) + "\n")
            return 0
        check_output(options.page, (".md",))  # before hours of work
        return 3 if compare(grid, everything, options) else 0
    except DeviceError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except BrokenProcessPool:
        sys.stderr.write("a run's process was killed, perhaps for memory; call again with fewer --jobs to continue\n")
        return 3
    except (TextGuidedSegError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
