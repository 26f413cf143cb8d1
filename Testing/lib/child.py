"""An inference process at the other end of its stdin and stdout, and what a test asks of it."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from TextGuidedSegLib.worker_protocol import decode_line, encode_line

ROOT = Path(__file__).resolve().parents[2]
WORKER = ("-m", "TextGuidedSegLib.worker")
LONG_S = 20.0


class Child:
    """A process whose events a test can wait for; everything it wrote is kept."""

    def __init__(
        self, folder: Path, arguments: tuple[str, ...] = WORKER, *, is_heard: bool = True, **hello: float
    ) -> None:
        self.folder = folder
        self.events: list[dict[str, Any]] = []
        self.nonsense: list[bytes] = []
        self._arrived: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, "-u", *arguments],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if is_heard:
            threading.Thread(target=self._read, daemon=True).start()
        else:
            self.process.stdout.close()
        self.printed: list[bytes] = []
        threading.Thread(target=lambda: self.printed.extend(self.process.stderr), daemon=True).start()
        self.say(cmd="hello", folder=str(folder), **{"idle_release_s": 600, "idle_exit_s": 600, **hello})

    def say(self, **message: Any) -> None:
        self.process.stdin.write(encode_line(message))
        self.process.stdin.flush()

    def wait_for(self, event: str, timeout_s: float = LONG_S, **values: Any) -> dict[str, Any]:
        """The next event of that kind with these values; others before it are passed over."""
        end = time.monotonic() + timeout_s
        while True:
            message = self._arrived.get(timeout=max(0.01, end - time.monotonic()))
            assert message is not None, f"ended before {event}: {self.events}"
            if message["event"] == event and values.items() <= message.items():
                return message

    def about(self, request: int) -> list[dict[str, Any]]:
        return [message for message in self.events if message.get("id") == request]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def end(self) -> int:
        """Close its stdin, as a parent does that dies; its exit code."""
        if not self.process.stdin.closed:
            self.process.stdin.close()
        return self.process.wait(2)

    def _read(self) -> None:
        for line in self.process.stdout:
            message = decode_line(line)
            if message is None:
                self.nonsense.append(line)
            else:
                self.events.append(message)
                self._arrived.put(message)
        self._arrived.put(None)
