"""The inference process's private line to its parent: whatever a library prints, the protocol stays clean."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from typing import Any, BinaryIO

from TextGuidedSegLib.worker_protocol import encode_line


class Channel:
    """Events to the parent, one line each, from any thread.

    Args:
        stream: The real standard output, which nothing else writes to.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, event: str, **values: Any) -> None:
        """Send one event; nothing happens when the parent is gone, which the listening thread deals with."""
        line = encode_line({"event": event, **values})
        with self._lock, contextlib.suppress(OSError):
            self._stream.write(line)
            self._stream.flush()


class ChannelHandler(logging.Handler):
    """Log records as events, so that the parent knows their level.

    Args:
        channel: Where the events go.
    """

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; one that a library made wrongly is printed, and ends no request."""
        try:
            text = self.format(record)
        except (AttributeError, KeyError, TypeError, ValueError):
            self.handleError(record)
        else:
            self._channel.send("log", level=record.levelname, text=text)


def private_streams() -> tuple[BinaryIO, Channel]:
    """Keep the real stdin and stdout for the protocol; what libraries print, from C too, goes to stderr."""
    commands, events = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, Channel(events)
