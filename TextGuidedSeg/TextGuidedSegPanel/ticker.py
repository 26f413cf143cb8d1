"""Calls a function again and again in the main thread while something is under way."""

from __future__ import annotations

from collections.abc import Callable

import qt

INTERVAL_MS = 30


class Ticker:
    """A timer that can be stopped for good.

    Args:
        tick: Called every `INTERVAL_MS` between `start` and `stop`.
    """

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._timer = qt.QTimer()
        self._timer.interval = INTERVAL_MS
        self._timer.connect("timeout()", self._onTimeout)

    def start(self) -> None:
        """Begin, or go on."""
        self._timer.start()

    def stop(self) -> None:
        """Stop; no call comes later."""
        self._timer.stop()

    def _onTimeout(self) -> None:
        self._tick()
