"""How fast the panel answers and how long the interface stands still, measured with the real process; one table.

    python -m Testing.slicer.interaction_bench

A heartbeat of the main thread tells the longest stall: the time that nothing could be clicked. Its first row is what
this computer takes for nothing at all; other programs that run at the same time add to every row.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer

from Testing.slicer.fake_client import FakeClient
from Testing.slicer.installing import install_into
from Testing.slicer.mrml import add_volume
from Testing.slicer.outside import loaded_outside
from Testing.slicer.panel_fixtures import add_film
from Testing.slicer.wheels import write_wheel
from TextGuidedSegLib.worker_protocol import Crop

FILM_ROWS, FILM_COLUMNS = 2500, 2048
VOLUME = (512, 512, 300)
PHRASES = ("right lung", "left lung", "left lower lung opacity", "right upper lung opacity", "both lungs")
_BEAT_MS, _PAUSE_S, _LONGEST_S = 2, 0.001, 300.0


@dataclass(frozen=True)
class Row:
    """One figure of the table, in ms.

    Attributes:
        name: What was measured.
        milliseconds: The figure.
        limit: What it should stay below; None where there is no such figure.
    """

    name: str
    milliseconds: float
    limit: float | None = None


class Heartbeat:
    """Beats in the main thread; what lies between two beats was spent elsewhere.

    Args:
        phase: Names what is going on, so that the longest stall is known for each.

    Attributes:
        longest_ms: Longest stall of each phase, counted to the one it began in.
    """

    def __init__(self, phase: Callable[[], str] = lambda: "") -> None:
        import qt

        self.longest_ms: dict[str, float] = {}
        self._phase, self._name, self._last = phase, phase(), time.perf_counter()
        self._timer = qt.QTimer()
        self._timer.interval = _BEAT_MS
        self._timer.connect("timeout()", self._beat)
        self._timer.start()

    def stop(self) -> None:
        """Beat no more."""
        self._timer.stop()

    def _beat(self) -> None:
        now = time.perf_counter()
        gap_ms = 1000 * (now - self._last)
        self.longest_ms[self._name] = max(self.longest_ms.get(self._name, 0.0), gap_ms)
        self._name, self._last = self._phase(), now


@contextmanager
def beating(phase: Callable[[], str] = lambda: "") -> Iterator[Heartbeat]:
    """A heartbeat that stops at the end."""
    heartbeat = Heartbeat(phase)
    try:
        yield heartbeat
    finally:
        heartbeat.stop()


def let_work(condition: Callable[[], bool]) -> float:
    """Let Qt work until something is true; seconds that took."""
    started = time.perf_counter()
    while not condition():
        assert time.perf_counter() - started < _LONGEST_S, "nothing happened in time"
        slicer.app.processEvents()
        time.sleep(_PAUSE_S)
    return time.perf_counter() - started


def nothing(seconds: float = 2.0) -> Row:
    """The longest stall while nothing is done."""
    with beating() as heartbeat:
        end = time.perf_counter() + seconds
        let_work(lambda: time.perf_counter() > end)
    return Row("nothing to do: longest stall", max(heartbeat.longest_ms.values()))


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
        rows.append(Row(f"{name}: longest stall", heartbeat.longest_ms.get(state, 0.0), 50))
    return rows


def warm_phrases(widget: Any, phrases: Sequence[str] = PHRASES[1:]) -> list[Row]:
    """Further phrases on the same image."""
    with beating() as heartbeat:
        seconds = [run_phrase(widget, phrase) for phrase in phrases]
    return [
        Row("warm phrase to segment: median", 1000 * statistics.median(seconds), 1000),
        Row("warm phrase to segment: longest", 1000 * max(seconds)),
        Row("warm phrases: longest stall", heartbeat.longest_ms[""], 50),
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
    return Row("install a package: longest stall", heartbeat.longest_ms[""], 50)


class PreparedClient(FakeClient):
    """Answers every phrase with the same arrays, in VTK's order as the reading thread leaves them."""

    def __init__(self, probability: Crop, pseudo_image: Crop) -> None:
        super().__init__()
        self._maps = probability, pseudo_image

    def _result(self, number: int, index: int, phrase: str, image: Any, threshold: float | None) -> Any:
        from TextGuidedSegPanel.inferenceRecords import PhraseResult

        probability, pseudo_image = self._maps
        return PhraseResult(
            requestId=number, phraseIndex=index, phrase=phrase, answer="found", model="none", device="cpu",
            presence=0.9, threshold=0.5, warnings=(), seconds=0.0, tags={"TextGuidedSeg.Phrase": phrase},
            geometry=image.geometry, probability=probability, pseudoImage=pseudo_image,
        )  # fmt: skip


def large_volume(module: Any, shape: tuple[int, int, int] = VOLUME) -> list[Row]:
    """What the main thread does for a volume: hand it over, put a result into the scene, follow a threshold."""
    volume = add_volume(slicer.mrmlScene, np.zeros(shape, np.int16, order="F"), np.eye(4), name="volume")
    quarter = [size // 4 for size in shape]
    box = np.full([2 * size for size in quarter], 0.8, np.float32, order="F")
    probability = Crop(box, (quarter[0], quarter[1], quarter[2]), shape)
    pseudo_image = Crop(np.full(shape, 0.3, np.float32, order="F"), (0, 0, 0), shape)
    logic = module.TextGuidedSegLogic(PreparedClient(probability, pseudo_image))
    name = " x ".join(map(str, shape))
    rows = []

    def timed(what: str, call: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        value = call()
        rows.append(Row(f"{name}: {what}", 1000 * (time.perf_counter() - started), 300))
        return value

    records = timed("hand over to the process, stall", lambda: logic.process(volume, "heart", wait=False))
    timed("result into the scene, stall", logic.client.run)
    record = records[0]
    timed(
        "threshold to mask, stall",
        lambda: logic.results.setThreshold(record.segmentationNode, record.segmentId, 0.4),
    )
    return rows


def measure(folder: Path, film_size: tuple[int, int], volume: tuple[int, int, int]) -> list[Row]:
    """Measure everything.

    Args:
        folder: An empty one, for files of the installation.
        film_size: Rows and columns of the film.
        volume: Voxels of the volume along each axis.
    """
    with loaded_outside() as (module, patch):
        film = add_film(slicer.mrmlScene, size=film_size)
        widget = module.TextGuidedSegWidget()
        widget.ui.acceptTermsButton.click()
        widget.ui.inputVolumeSelector.setCurrentNode(film)
        rows = [nothing(), *first_phrase(widget), *warm_phrases(widget), *threshold(widget)]
        rows += [cancel(widget, state) for state in ("running", "starting", "loading")]
        rows.append(install(widget, folder, patch))
        widget.cleanup()
        rows += large_volume(module, volume)
        return rows


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    width = max(len(row.name) for row in rows)
    lines = []
    for row in rows:
        verdict = "yes" if row.limit is not None and row.milliseconds < row.limit else "NO"
        limit = "" if row.limit is None else f"   below {row.limit:g}: {verdict}"
        lines.append(f"{row.name:<{width}} {row.milliseconds:9.1f} ms{limit}")
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
