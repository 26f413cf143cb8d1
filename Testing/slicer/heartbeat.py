"""A heartbeat of the main thread: the longest time that nothing could be clicked, and rows of figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import slicer

_BEAT_MS, _PAUSE_S, _LONGEST_S = 2, 0.001, 600.0


@dataclass(frozen=True)
class Row:
    """One figure of the table, in ms.

    Attributes:
        name: What was measured.
        milliseconds: The figure.
        limit: What it should stay below; None where there is no such figure.
        own_ms: Time of the processor in it, which other programs cannot lengthen; None if it was not taken.
    """

    name: str
    milliseconds: float
    limit: float | None = None
    own_ms: float | None = None


class Heartbeat:
    """Beats in the main thread; what lies between two beats was spent elsewhere.

    Args:
        phase: Names what is going on, so that the longest stall is known for each.

    Attributes:
        longest_ms: Longest stall of each phase, counted to the one it began in.
        own_ms: Most time of the processor that the main thread took between two beats of a phase.
    """

    def __init__(self, phase: Callable[[], str] = lambda: "") -> None:
        import qt

        self.longest_ms: dict[str, float] = {}
        self.own_ms: dict[str, float] = {}
        self._phase, self._name = phase, phase()
        self._last, self._worked = time.perf_counter(), time.thread_time()
        self._timer = qt.QTimer()
        self._timer.interval = _BEAT_MS
        self._timer.connect("timeout()", self._beat)
        self._timer.start()

    def stop(self) -> None:
        """Beat a last time, for what went on since the beat before, and no more."""
        self._beat()
        self._timer.stop()

    def _beat(self) -> None:
        now, worked = time.perf_counter(), time.thread_time()
        for longest, ms in ((self.longest_ms, now - self._last), (self.own_ms, worked - self._worked)):
            longest[self._name] = max(longest.get(self._name, 0.0), 1000 * ms)
        self._name, self._last, self._worked = self._phase(), now, worked

    def row(self, name: str, limit: float | None = None, phase: str = "") -> Row:
        """The longest stall of a phase as a row of the table."""
        return Row(name, self.longest_ms.get(phase, 0.0), limit, self.own_ms.get(phase, 0.0))


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
