"""What can come from an inference process, told apart and checked: no line that it may write does harm."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from TextGuidedSegLib.errors import TextGuidedSegError
from TextGuidedSegLib.worker_protocol import decode_line

from .inferenceRecords import readLoadedModel, readResult

_PARTS: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "progress": {"stage": str, "share": float, "index": int},
    "error": {"kind": str, "sentence": str, "index": lambda index: index},
    "log": {"level": str, "text": str},
    "loading": {"stage": str},
}
_KILLED = -9  # SIGKILL, which Windows does not have
# What Slicer's launcher says, and exits with 1, when the Python behind it was ended by a signal.
_LAUNCHER_LOST_IT = "exit abnormally"


@dataclass(frozen=True)
class Said:
    """An event of the protocol; `content` is what was made of its arrays or its numbers."""

    message: Mapping[str, Any]
    content: Any = None


@dataclass(frozen=True)
class Printed:
    """A line that is no event, from a library or a launcher."""

    text: str


@dataclass(frozen=True)
class Ended:
    """The process is gone with all its children, and so is its folder.

    Attributes:
        exitCode: Negative for a signal; None if it never started.
        reason: Why it did not start or was given up; empty if it ended by itself or was killed by its owner.
    """

    exitCode: int | None
    reason: str = ""

    def sentence(self, lastWords: str) -> str:
        """What happened, for people.

        Args:
            lastWords: The last line of the log; may be empty.
        """
        isLost = _LAUNCHER_LOST_IT in lastWords
        lastWords = f"; its last words were {lastWords[-200:]!r}" if lastWords else ""
        if self.exitCode is None:
            return f"The inference process could not be started ({self.reason}); check that it is there and may be run."
        if self.reason:
            return f"The inference process was ended because {self.reason}; install the module again."
        if self.exitCode == _KILLED or isLost:
            end = "crashed or was ended from outside" if isLost else "was ended from outside"
            return (
                f"The inference process {end}, most often because the computer ran out of memory; "
                "close other programs, then run the phrase again."
            )
        if self.exitCode < 0:
            return f"The inference process crashed ({_signalName(-self.exitCode)}){lastWords}; run the phrase again."
        return f"The inference process ended unexpectedly (exit code {self.exitCode}){lastWords}; run the phrase again."


def readEvent(folder: Path, line: bytes) -> Said | None:
    """Read one line of the protocol, and the arrays that belong to it.

    Args:
        folder: The private folder; files that are read are removed.
        line: What the process wrote.

    Returns:
        The event with all its parts, or None for what no inference process says. A result whose arrays cannot be read
        becomes an error.
    """
    message = decode_line(line)
    if message is None or "event" not in message:
        return None
    try:
        forms = _PARTS.get(message["event"], {})
        message |= {name: form(message[name]) for name, form in forms.items()}
        match message["event"]:
            case "result":
                return _readResult(folder, message)
            case "loaded":
                return Said(message, readLoadedModel(message))
    except (AttributeError, EOFError, KeyError, TypeError, ValueError, TextGuidedSegError):
        return None
    return Said(message)


def _readResult(folder: Path, message: dict[str, Any]) -> Said:
    try:
        return Said(message, readResult(folder, message))
    except (OSError, EOFError, MemoryError, ValueError) as error:
        failure = {"kind": kindOf(error), "sentence": f"the result could not be read: {error}"}
        return Said({**message, "event": "error", **failure})


def kindOf(error: Exception) -> str:
    """What failures are told apart by; all of the system's are one kind."""
    return "OSError" if isinstance(error, OSError) else type(error).__name__


def _signalName(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
