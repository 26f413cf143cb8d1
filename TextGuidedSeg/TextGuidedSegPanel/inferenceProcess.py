"""One inference process with its threads, its private folder and its end; nothing here makes its caller wait.

Threads: one starts the process and writes to it, one reads its events and their arrays, one reads what it prints, one
waits for its end and cleans up behind it. What they have to say is put into `events`.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from TextGuidedSegLib.image import Image
from TextGuidedSegLib.worker_protocol import encode_line, write_image

from .inferenceEvents import Ended, Printed, Said, kindOf, readEvent
from .privateFolder import PrivateFolder, removeLeftFolders
from .processTree import OWN_GROUP, cleanText, killTree, startThread, waitUnreaped

_THREADS_END_S = 1.0
_LONGEST_LINE = 1 << 20
# A launcher may print a few lines before the process takes its output over; more is no inference process.
_MOST_NONSENSE = 100
_MOST_WAITING = 1000


class InferenceProcess:
    """Starts at once, in threads of its own.

    Args:
        command: Program and arguments.
        environment: All environment variables of the process.
        folder: Where its private folder is made; None for the system's folder of temporary files.
        greeting: Sent first; the path of the private folder is added to it.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path | None,
        greeting: Mapping[str, Any],
    ) -> None:
        self.events: queue.SimpleQueue[Said | Printed | Ended] = queue.SimpleQueue()
        self.lastHeard = time.monotonic()
        self.isOver = threading.Event()
        self._command, self._environment, self._parent, self._greeting = command, environment, folder, greeting
        self._outgoing: queue.SimpleQueue[tuple[Mapping[str, Any], Image | None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = self._reaped = False
        self._reason = ""
        self._folder: PrivateFolder | None = None
        self._isEnding = threading.Event()
        startThread(self._startAndWrite, "writer")

    def send(self, message: Mapping[str, Any], image: Image | None = None) -> None:
        """Send a command; the voxels of an image are written to the private folder first, and added to it.

        Args:
            message: With "image" in it if there is one.
            image: Not changed by anyone until the process has answered.
        """
        self._outgoing.put((message, image))

    def kill(self) -> None:
        """End the process and all its children; also one that is just being started. Returns at once."""
        with self._lock:
            if self._killed:
                return
            self._killed = True
            if self._process is not None and not self._reaped:
                killTree(self._process.pid)
        self._outgoing.put(None)

    def waitForEnd(self, timeoutS: float) -> bool:
        """Wait until nothing is left of it, folder included; False if there still is."""
        return self.isOver.wait(timeoutS)

    def _startAndWrite(self) -> None:
        try:
            process = self._start()
        except OSError as error:
            self._bury(None, f"{error.strerror or error}: {error.filename or self._command[0]}")
            return
        # A process that is gone is noticed by the thread that waits for it.
        with suppress(OSError):
            self._write(process, {"cmd": "hello", "folder": str(self._folder.path), **self._greeting}, None)
            while (item := self._outgoing.get()) is not None:
                self._write(process, *item)
        with suppress(OSError):
            process.stdin.close()
        if self._isEnding.is_set():  # an image that was still being written kept the folder from being removed
            self._folder.remove()

    def _start(self) -> subprocess.Popen[bytes]:
        removeLeftFolders(self._parent)
        self._folder = PrivateFolder(self._parent)
        process = subprocess.Popen(
            self._command,
            env=dict(self._environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **OWN_GROUP,
        )
        with self._lock:
            self._process = process
            if self._killed:
                killTree(process.pid)
        readers = [
            startThread(lambda: self._readEvents(process.stdout), "events"),
            startThread(lambda: self._readPrints(process.stderr), "prints"),
        ]
        writer = threading.current_thread()
        startThread(lambda: self._waitForExit(process, readers, writer), "end")
        return process

    def _write(self, process: subprocess.Popen[bytes], message: Mapping[str, Any], image: Image | None) -> None:
        what = "image" if image is not None else "request"
        try:
            if image is not None:
                entry = write_image(self._folder.path, f"{message['id']}-image", image)
                what, message = "request", {**message, "image": {**message["image"], **entry}}
            line = encode_line(message)
        except (OSError, TypeError, ValueError) as error:
            sentence = f"the {what} could not be handed to the inference process: {error}"
            failure = {"index": None, "kind": kindOf(error), "sentence": sentence}
            self.events.put(Said({"event": "error", "id": message["id"], **failure}))
            self.events.put(Said({"event": "done", "id": message["id"]}))
            return
        process.stdin.write(line)
        process.stdin.flush()

    def _readEvents(self, stream: BinaryIO) -> None:
        nonsense = 0
        while line := stream.readline(_LONGEST_LINE):
            event = readEvent(self._folder.path, line)
            if event is None:
                nonsense += 1
                self._print(line)
            if nonsense > _MOST_NONSENSE and not self._reason:
                self._reason = f"it does not speak the expected protocol but says {cleanText(line)[:80]!r}"
                self.kill()
            if event is not None:
                self.lastHeard = time.monotonic()
                self.events.put(event)

    def _readPrints(self, stream: BinaryIO) -> None:
        while line := stream.readline(_LONGEST_LINE):
            self._print(line)

    def _print(self, line: bytes) -> None:
        for text in filter(None, cleanText(line).split("\r")):
            # Whoever prints without end is read to the end, so that it does not wait, but not kept.
            if self.events.qsize() < _MOST_WAITING:
                self.events.put(Printed(text))

    def _waitForExit(
        self, process: subprocess.Popen[bytes], readers: Sequence[threading.Thread], writer: threading.Thread
    ) -> None:
        waitUnreaped(process)
        with self._lock:
            # A launcher may be gone while what it launched lives on. Until the process is reaped, its number, which is
            # that of its group, cannot belong to anyone else. On Windows the end of stdin does this.
            if sys.platform != "win32":
                killTree(process.pid)
            exitCode = process.wait()
            self._reaped = True
        self._outgoing.put(None)
        for thread in (*readers, writer):
            thread.join(_THREADS_END_S)
        # Not closed here are only pipes that a child outside the group still holds.
        for stream, reader in zip((process.stdout, process.stderr), readers, strict=True):
            if not reader.is_alive():
                stream.close()
        self._bury(exitCode, self._reason)

    def _bury(self, exitCode: int | None, reason: str) -> None:
        self._isEnding.set()
        if self._folder is not None:
            self._folder.remove()
        self.events.put(Ended(exitCode, reason))
        self.isOver.set()
