"""What the tests of the inference client share: clients of good and bad children, and what is left."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from TextGuidedSegPanel.inferenceClient import InferenceClient
from TextGuidedSegPanel.inferenceRecords import Callbacks, Failure, PhraseResult, Progress
from TextGuidedSegPanel.inferenceSettings import ClientSettings

ROOT = Path(__file__).resolve().parents[2]
MODULE_FOLDER = ROOT / "TextGuidedSeg"
CHILD = Path(__file__).with_name("misbehaving_child.py")
FOLDER = "Ärzte & Büro ü"
LONG_S = 20.0
# As PythonSlicer does it, and as one that steps aside; a shell gives what it starts in the background no stdin.
LAUNCHERS = {"waits": '#!/bin/sh\nexec 3<&0\n"$@" <&3 &\nwait\n', "steps aside": '#!/bin/sh\nexec "$@"\n'}
PARENT = """
import os, pathlib, sys
from TextGuidedSegPanel.inferenceClient import InferenceClient
from TextGuidedSegPanel.inferenceSettings import ClientSettings
command = (*ClientSettings().processCommand(), os.environ["MARK"])
client = InferenceClient(settings=ClientSettings(command=command, folder=pathlib.Path(sys.argv[1])))
client.load("no such model")
assert client.waitUntilIdle(20)
print("idle", flush=True)
sys.stdin.read()
"""


@dataclass
class Heard:
    """Everything that was told, in order."""

    progress: list[Progress] = field(default_factory=list)
    results: list[PhraseResult] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    @property
    def callbacks(self) -> Callbacks:
        return Callbacks(
            self.progress.append, self.results.append, self.failures.append, self.finished.append, self.log.append,
            self.states.append,
        )  # fmt: skip

    @property
    def failure(self) -> Failure:
        (failure,) = self.failures
        return failure


class Bench:
    """Clients of one test, and what is left of their processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.marker = f"marker-{uuid.uuid4().hex}"
        self.clients: list[InferenceClient] = []

    def settings(self, command: tuple[str, ...], **changes) -> ClientSettings:
        settings = ClientSettings(command=(*command, self.marker), folder=self.folder, threads=1)
        return replace(settings, **changes)

    def client(self, way: str, *arguments: object, **changes) -> tuple[InferenceClient, Heard]:
        """A client of a misbehaving child."""
        command = (sys.executable, str(CHILD), way, *map(str, arguments))
        return self.client_of(*command, **changes)

    def real_client(self) -> tuple[InferenceClient, Heard]:
        """A client of the real process."""
        return self.client_of(*ClientSettings().processCommand())

    def client_of(self, *command: str, **changes) -> tuple[InferenceClient, Heard]:
        """A client of any program."""
        heard = Heard()
        self.clients.append(InferenceClient(heard.callbacks, self.settings(command, **changes)))
        return self.clients[-1], heard

    def processes(self) -> list[int]:
        """Living processes that were started here; not their children."""
        listing = subprocess.run(["ps", "-axww", "-o", "pid=,stat=,args="], capture_output=True, check=True).stdout
        lines = [line.split(None, 2) for line in listing.decode(errors="replace").splitlines()]
        return [int(pid) for pid, state, *words in lines if words and self.marker in words[0] and state[0] != "Z"]

    def left_folders(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("TextGuidedSeg-*"))

    def is_clean(self) -> bool:
        return not self.processes() and not self.left_folders()


def eventually(condition: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def poll_until(client: InferenceClient, condition: Callable[[], bool], timeout_s: float = LONG_S) -> float:
    """Poll until something is so; seconds that took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_s, f"still {client.state}"
        client.poll()
        time.sleep(0.005)
    return time.monotonic() - started


def is_alive(pid: int) -> bool:
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(done.stdout.strip()) and not done.stdout.strip().startswith("Z")
