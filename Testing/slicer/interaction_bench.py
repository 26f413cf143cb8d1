"""How fast the panel answers and how long the interface stands still, measured with the real process; one table.

    python -m Testing.slicer.interaction_bench

A heartbeat of the main thread tells the longest stall: the time that nothing could be clicked. Its first row is what
this computer takes for nothing at all; other programs that run at the same time add to every row, but not to *own*, the
time of the processor that the main thread took in a stall.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer

from Testing.slicer.heartbeat import Row, beating, let_work
from Testing.slicer.installing import install_into
from Testing.slicer.panel_fixtures import add_film
from Testing.slicer.volume_bench import prepared_volume, real_volume
from Testing.slicer.wheels import write_wheel

FILM_ROWS, FILM_COLUMNS = 2500, 2048
VOLUME = (512, 512, 300)
PHRASES = ("right lung", "left lung", "left lower lung opacity", "right upper lung opacity", "both lungs")


def nothing(seconds: float = 2.0) -> Row:
    """The longest stall while nothing is done."""
    with beating() as heartbeat:
        end = time.perf_counter() + seconds
        let_work(lambda: time.perf_counter() > end)
    return heartbeat.row("nothing to do: longest stall")


def run_phrase(widget: Any, phrase: str) -> float:
    """Type a phrase and run it; seconds until its segment is in the scene."""
    widget.ui.phraseEdit.text = phrase
    started = time.perf_counter()
    widget.ui.applyButton.click()
    assert widget.logic.isBusy, widget.ui.reasonLabel.text
    let_work(lambda: not widget.logic.isBusy)
    return time.perf_counter() - started


def first_phrase(widget: Any) -> list[Row]:
    """Start the process, import, load and run."""
    client = widget.logic.client
    client.stop()
    with beating(lambda: client.state) as heartbeat:
        seconds = run_phrase(widget, PHRASES[0])
    names = {"starting": "start the process", "loading": "import and load", "running": "run, segment into the scene"}
    rows = [Row("first phrase of all", 1000 * seconds)]
    for state, name in names.items():
        rows.append(heartbeat.row(f"{name}: longest stall", 50, state))
    return rows


def warm_phrases(widget: Any, phrases: Sequence[str] = PHRASES[1:]) -> list[Row]:
    """Further phrases on the same image."""
    with beating() as heartbeat:
        seconds = [run_phrase(widget, phrase) for phrase in phrases]
    return [
        Row("warm phrase to segment: median", 1000 * statistics.median(seconds), 1000),
        Row("warm phrase to segment: longest", 1000 * max(seconds)),
        heartbeat.row("warm phrases: longest stall", 50),
    ]


def threshold(widget: Any, steps: int = 40) -> list[Row]:
    """Drag the slider; the segment is there when the call is over."""
    taken = []
    for value in np.linspace(0.05, 0.95, steps):
        started = time.perf_counter()
        widget.ui.thresholdSlider.value = round(float(value), 3)
        taken.append(1000 * (time.perf_counter() - started))
    return [
        Row("threshold slider to mask: median", statistics.median(taken), 100),
        Row("threshold slider to mask: longest", max(taken), 100),
    ]


def cancel(widget: Any, state: str) -> Row:
    """Cancel in one state of the process; until nothing is under way any more."""
    client = widget.logic.client
    if state in ("starting", "loading"):
        client.stop()
    widget.ui.phraseEdit.text = "opacity in both lower zones"
    widget.ui.applyButton.click()
    let_work(lambda: client.state == state or not widget.logic.isBusy)
    assert widget.logic.isBusy, f"the run was over before it was {state}"
    started = time.perf_counter()
    widget.ui.applyButton.click()
    let_work(lambda: not widget.logic.isBusy)
    return Row(f"cancel while {state}", 1000 * (time.perf_counter() - started), 1000)


def install(widget: Any, folder: Path, patch: pytest.MonkeyPatch) -> Row:
    """Install a package of many files; the panel shows what pip prints."""
    from TextGuidedSegPanel import requirements, setupPage

    listed = folder / "requirements.txt"
    listed.write_text("tgsdemo>=1.0\n", encoding="utf-8")
    patch.setattr(requirements, "REQUIREMENTS_FILE", listed)
    patch.setattr(requirements, "_downloads", lambda: {"torch": 200, "tgsdemo": 3})
    install_into(folder / "target", patch)
    write_wheel(folder / "wheels", "tgsdemo", "1.5", files=400)
    patch.setattr(setupPage, "_chosenFolder", lambda: str(folder / "wheels"))
    page = widget.panel._setup
    page.check()
    with beating() as heartbeat:
        widget.ui.installFolderButton.click()
        assert page.isInstalling, widget.ui.setupStatusLabel.text
        let_work(lambda: not page.isInstalling)
    return heartbeat.row("install a package: longest stall", 50)


def measure(folder: Path, film_size: tuple[int, int], volume: tuple[int, int, int]) -> list[Row]:
    """Measure everything.

    Args:
        folder: An empty one, for files of the installation.
        film_size: Rows and columns of the film.
        volume: Voxels of the volume along each axis.
    """
    from Testing.slicer.outside import loaded_outside  # has the stand-ins, and with them PySide6, which no Slicer has

    with loaded_outside() as (module, patch):
        film = add_film(slicer.mrmlScene, size=film_size)
        widget = module.TextGuidedSegWidget()
        widget.ui.acceptTermsButton.click()
        widget.ui.inputVolumeSelector.setCurrentNode(film)
        rows = [nothing(), *first_phrase(widget), *warm_phrases(widget), *threshold(widget)]
        rows += [cancel(widget, state) for state in ("running", "starting", "loading")]
        rows.append(install(widget, folder, patch))
        rows += real_volume(widget, folder / "models", volume)
        widget.cleanup()
        return rows + prepared_volume(module, volume)


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    width = max(len(row.name) for row in rows)
    lines = []
    for row in rows:
        verdict = "yes" if row.limit is not None and row.milliseconds < row.limit else "NO"
        own = " " * 16 if row.own_ms is None else f"   own {row.own_ms:6.1f} ms"
        limit = "" if row.limit is None else f"   below {row.limit:g}: {verdict}"
        lines.append(f"{row.name:<{width}} {row.milliseconds:9.1f} ms{own}{limit}".rstrip())
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the table, or JSON, to standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--film", type=int, nargs=2, default=(FILM_ROWS, FILM_COLUMNS), metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--volume", type=int, nargs=3, default=VOLUME, metavar=("I", "J", "K"))
    parser.add_argument("--json", action="store_true", help="figures by name instead of a table")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), tuple(options.film), tuple(options.volume))
    figures = {row.name: round(row.milliseconds, 1) for row in rows}
    sys.stdout.write(json.dumps(figures, indent=1) + "\n" if options.json else table(rows))


if __name__ == "__main__":
    main()
