"""Measures how long the inference process has been silent while somebody was there to hear it."""

from __future__ import annotations

import time

_LONGEST_GAP_S = 1.0


class SilenceWatch:
    """Counts silence between polls.

    A pause in which nobody polled, as while the computer slept or Slicer was busy, counts as `_LONGEST_GAP_S` at most:
    the process is not to blame for it.
    """

    def __init__(self) -> None:
        self._polledAt = time.monotonic()
        self._heard: float | None = None
        self._silenceS = 0.0

    def restart(self) -> None:
        """Begin to count anew, as with a new request."""
        self._heard, self._silenceS = None, 0.0

    def silenceS(self, lastHeard: float) -> float:
        """Silence so far; called at every poll.

        Args:
            lastHeard: When the process was last heard; another value than before ends the silence.
        """
        now = time.monotonic()
        self._silenceS += min(now - self._polledAt, _LONGEST_GAP_S)
        self._polledAt = now
        if lastHeard != self._heard:
            self._heard, self._silenceS = lastHeard, 0.0
        return self._silenceS
