"""Carries an installation out and tells how far it is; a timer of the main thread asks, and nothing waits."""

from __future__ import annotations

import queue
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from slicer.i18n import tr as _

from TextGuidedSegLib.worker_protocol import decode_line

from .installPlan import InstallPlan
from .installProcess import InstallEnded, InstallProcess
from .installTrouble import troubleSentence
from .ticker import Ticker

_POLL_S = 0.005  # the longest that one poll works through what has come
_YIELD_S = 0.002  # Slicer's main thread keeps Python's lock while it idles: here the reading thread gets it
_KEPT_LINES = 200
_END_S = 1.0  # the longest that the end of the module waits for a folder to be removed
_SHARE = re.compile(r"Progress (\d+) of (\d+)")
_DOWNLOADING = re.compile(r"\s*Downloading (?:\S+/)?(?P<name>[\w.]+)-(?P<version>[\w.!]+)\S* \((?P<size>[^)]+)\)")


@dataclass(frozen=True)
class InstallNews:
    """How far it is.

    Attributes:
        sentence: What is being done.
        share: Share of the present download that is done, in [0, 1]; None while there is nothing to measure.
    """

    sentence: str
    share: float | None = None


@dataclass(frozen=True)
class Outcome:
    """How an installation ended.

    Attributes:
        kind: "done", "failed" or "cancelled".
        sentence: Why it failed, for people; empty otherwise.
        changed: Packages that were replaced while Slicer has them loaded, so that it should be restarted.
    """

    kind: Literal["done", "failed", "cancelled"]
    sentence: str = ""
    changed: tuple[str, ...] = ()


class Installer:
    """One installation at a time.

    Args:
        onLine: Called with each printed line.
        onNews: Called with `InstallNews`.
        onEnd: Called with the `Outcome`; nothing follows.
    """

    def __init__(
        self,
        onLine: Callable[[str], None],
        onNews: Callable[[InstallNews], None],
        onEnd: Callable[[Outcome], None],
    ) -> None:
        self._onLine, self._onNews, self._onEnd = onLine, onNews, onEnd
        self._ticker = Ticker(self.poll)
        self._process: InstallProcess | None = None
        self._plan: InstallPlan | None = None
        self._wasCancelled = False
        self._changed: tuple[str, ...] = ()
        self._doing = ""
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)

    @property
    def isRunning(self) -> bool:
        """Whether an installation is under way."""
        return self._process is not None

    def start(self, plan: InstallPlan) -> None:
        """Begin, and return at once; not while one is under way."""
        self._plan, self._wasCancelled, self._changed = plan, False, ()
        self._lines.clear()
        self._process = InstallProcess(plan)
        self._say(_("Looking what has to be installed…"))
        self._ticker.start()

    def cancel(self) -> None:
        """End the installation with all its processes; `onEnd` follows within a moment."""
        if self._process is not None:
            self._wasCancelled = True
            self._process.kill()

    def stop(self) -> None:
        """End the installation, if there is one, and tell nothing more."""
        self._ticker.stop()
        if self._process is not None:
            self._process.kill()
            self._process.waitForEnd(_END_S)
            self._process = None

    def poll(self) -> None:
        """Tell what has happened; takes a few milliseconds at most."""
        end = time.monotonic() + _POLL_S
        wait = _YIELD_S
        while self._process is not None and time.monotonic() < end:
            try:
                event = self._process.events.get(timeout=wait)
            except queue.Empty:
                return
            wait = 0.0
            if isinstance(event, InstallEnded):
                self._ended(event)
            elif not self._wasCancelled:
                self._heed(event)

    def _heed(self, line: str) -> None:
        share = _SHARE.fullmatch(line)
        if share is not None:
            self._onNews(InstallNews(self._doing, int(share[1]) / max(1, int(share[2]))))
            return
        message = decode_line(line.encode())
        if message is not None and message.get("event") == "changed":
            self._changed = tuple(message["packages"])
            return
        self._lines.append(line)
        self._onLine(line)
        download = _DOWNLOADING.match(line)
        if download is not None and ".metadata" not in line:
            sentence = _("Downloading {name} {version} ({size})…")
            self._say(sentence.format(**download.groupdict()))
        elif line.startswith("Installing collected packages"):
            self._say(_("Installing what was downloaded…"))

    def _say(self, sentence: str) -> None:
        self._doing = sentence
        self._onNews(InstallNews(sentence))

    def _ended(self, event: InstallEnded) -> None:
        self._process = None
        self._ticker.stop()
        self._onEnd(self._outcome(event))

    def _outcome(self, event: InstallEnded) -> Outcome:
        if event.exitCode == 0:
            return Outcome("done", changed=self._changed)
        if self._wasCancelled:
            return Outcome("cancelled")
        if event.exitCode is None:
            sentence = _("Slicer's Python could not be started ({reason}); is Slicer installed completely?")
            return Outcome("failed", sentence.format(reason=event.reason))
        return Outcome("failed", troubleSentence(self._lines, self._plan.folder))
