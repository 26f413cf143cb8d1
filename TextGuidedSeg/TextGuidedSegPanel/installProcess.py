"""One installation in a process of its own; nothing here makes its caller wait.

A thread starts the process, reads what it prints, waits for its end and cleans up behind it.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from TextGuidedSegLib.worker_protocol import encode_line

from .installPlan import InstallPlan
from .privateFolder import PrivateFolder, removeLeftFolders
from .processTree import OWN_GROUP, cleanText, killTree, pythonProgram, startThread, waitUnreaped

_CHILD = Path(__file__).with_name("installChild.py")
_LONGEST_LINE = 1 << 16
_MOST_WAITING = 10_000


@dataclass(frozen=True)
class InstallEnded:
    """The process is gone with all its children, and so is its folder.

    Attributes:
        exitCode: 0 if everything was installed, negative for a signal, None if it never started.
        reason: Why it did not start; empty if it did.
    """

    exitCode: int | None
    reason: str = ""


class InstallProcess:
    """Starts at once, in a thread of its own.

    Args:
        plan: What to install.

    Attributes:
        events: Lines that were printed, and `InstallEnded` as the last.
    """

    def __init__(self, plan: InstallPlan) -> None:
        self.events: queue.SimpleQueue[str | InstallEnded] = queue.SimpleQueue()
        loaded = sorted({name.partition(".")[0] for name in list(sys.modules)})
        self._plan = encode_line({"cmd": "install", "steps": plan.steps, "pins": plan.pins, "loaded": loaded})
        self._isOver = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = self._reaped = False
        startThread(self._run, "installation")

    def kill(self) -> None:
        """End the process and all its children; also one that is just being started. Returns at once."""
        with self._lock:
            self._killed = True
            if self._process is not None and not self._reaped:
                killTree(self._process.pid)

    def waitForEnd(self, timeoutS: float) -> bool:
        """Wait until nothing is left of it, folder included; False if there still is."""
        return self._isOver.wait(timeoutS)

    def _run(self) -> None:
        folder = None
        try:
            removeLeftFolders()
            folder = PrivateFolder()
            ended = InstallEnded(self._carryOut(folder.path))
        except OSError as error:
            ended = InstallEnded(None, f"{error.strerror or error}: {error.filename or _CHILD}")
        if folder is not None:
            folder.remove()
        self.events.put(ended)
        self._isOver.set()

    def _carryOut(self, folder: Path) -> int:
        process = subprocess.Popen(
            _command(),
            # pip unpacks gigabytes into the folder of temporary files and, when killed, leaves them there.
            env=os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **OWN_GROUP,
        )
        with self._lock:
            self._process = process
            if self._killed:
                killTree(process.pid)
        with process.stdin, process.stdout:
            self._talk(process)
            waitUnreaped(process)
            with self._lock:
                # A launcher may be gone while what it launched lives on. Until the process is reaped, its number,
                # which is that of its group, cannot belong to anyone else. On Windows the end of stdin does this.
                if sys.platform != "win32":
                    killTree(process.pid)
                self._reaped = True
                return process.wait()

    def _talk(self, process: subprocess.Popen[bytes]) -> None:
        # Stdin stays open: its end is what tells the process that it is not wanted any more.
        with suppress(OSError):  # if it is gone already, its words and its end say why
            process.stdin.write(self._plan)
            process.stdin.flush()
        while line := process.stdout.readline(_LONGEST_LINE):
            for text in filter(None, cleanText(line).split("\r")):
                # Whoever prints without end is read to the end, so that it does not wait, but not kept.
                if self.events.qsize() < _MOST_WAITING:
                    self.events.put(text)


def _command() -> tuple[str, ...]:
    # -P: no file beside the child is taken for a library.
    return (pythonProgram(), "-P", "-u", "-X", "utf8", str(_CHILD))
