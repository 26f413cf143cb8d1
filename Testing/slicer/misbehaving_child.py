"""Stands for the inference process and misbehaves in the way its first argument says; the standard library only.

Every way but `silent`, `garbage` and `mutters` greets properly, loads when told to, and gives heartbeats.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

FOREVER = "import time; time.sleep(600)"


def say(event: str, **values: object) -> None:
    """One event."""
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def write(text: str) -> None:
    """Something that is no event."""
    sys.stdout.write(text)
    sys.stdout.flush()


def answer(command: dict) -> None:
    """Finish a request without results."""
    say("loaded", id=command["id"], model="tiny", device="cpu", threads=1,
        memory={"host": {"needed_bytes": 1, "available_bytes": 2}, "gpu": None})  # fmt: skip
    for index in range(len(command.get("phrases", ()))):
        say("progress", id=command["id"], index=index, stage="network", share=0.5)
    say("done", id=command["id"])


def hang(_command: dict) -> None:
    """Be silent from now on, heartbeats too."""
    os.kill(os.getpid(), signal.SIGSTOP)


def run_on(command: dict) -> None:
    """Work without end, and hear no cancel."""
    say("loaded", id=command["id"], model="tiny", device="cpu", threads=1,
        memory={"host": {"needed_bytes": 1, "available_bytes": 2}, "gpu": None})  # fmt: skip
    time.sleep(600)


def deaf(command: dict) -> None:
    """Ignore every polite request to end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    run_on(command)


def family(command: dict) -> None:
    """Have a child of its own, whose number is written down, and ignore what it is told."""
    child = subprocess.Popen([sys.executable, "-c", FOREVER])
    Path(sys.argv[2]).write_text(str(child.pid))
    run_on(command)


def orphan(command: dict) -> None:
    """End, and leave a child behind that holds the pipes."""
    child = subprocess.Popen([sys.executable, "-c", FOREVER])
    Path(sys.argv[2]).write_text(str(child.pid))
    os._exit(4)


def crash(command: dict) -> None:
    """As a library does it."""
    say("progress", id=command["id"], index=0, stage="network", share=0.5)
    os.kill(os.getpid(), signal.SIGSEGV)


def killed(command: dict) -> None:
    """As the system does it when memory is short."""
    say("progress", id=command["id"], index=0, stage="network", share=0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def leave(command: dict) -> None:
    """End in the middle of a request, with last words."""
    say("progress", id=command["id"], index=0, stage="network", share=0.5)
    sys.stderr.write("\x1b[31mloading: 10%\rloading: 20%\x1b[0m\n" + "TypeError: unhashable type: 'slice'\n")
    sys.stderr.flush()
    os._exit(3)


def lie(command: dict) -> None:
    """Send events that lack parts or have wrong ones, then go on properly."""
    for parts in (
        {"event": "progress"},
        {"event": "progress", "index": 0, "stage": "network", "share": "much"},
        {"event": "result", "index": 0},
        {"event": "result", "index": 0, "probability": {"file": "../x", "start": [0, 0, 0], "shape": [1, 1, 1]}},
        {"event": "loaded", "memory": 3},
        {"event": "error"},
        {"event": "log", "level": 3},
        {"event": "no such event"},
        {"event": "done", "id": 99999},
        {"event": "result", "id": 99999},
    ):
        write(json.dumps({"id": command["id"], **parts}) + "\n")
    write('{"event": "done", "id"\n')
    write("\x00\x01\x02 Ärzte\n")
    write("x" * 100_000 + "\n")
    answer(command)


def lose(command: dict) -> None:
    """Announce a result whose files are not there."""
    say("result", id=command["id"], index=0, phrase="x", answer="found", model="m", device="cpu", presence=1.0,
        threshold=0.5, warnings=[], seconds=0.1, tags={},
        geometry={"shape": [2, 2, 1], "affine_ijk_to_ras": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]},
        probability={"file": "lost.npy", "start": [0, 0, 0], "shape": [2, 2, 1]})  # fmt: skip
    say("done", id=command["id"])


def flood(command: dict) -> None:
    """Print without end on stderr, then finish."""
    sys.stderr.write("warning: something is deprecated\n" * 50_000)
    sys.stderr.flush()
    answer(command)


WAYS: dict[str, Callable[[dict], None]] = {
    "well": answer, "slow": answer, "mutters": answer, "hang": hang, "run_on": run_on, "deaf": deaf, "family": family,
    "orphan": orphan, "crash": crash, "killed": killed, "leave": leave, "lie": lie, "lose": lose, "flood": flood,
}  # fmt: skip


def beat() -> None:
    """Heartbeats, faster than the real ones."""
    while True:
        with contextlib.suppress(OSError, ValueError):
            say("heartbeat")
        time.sleep(0.05)


def misbehave(way: str) -> None:
    """Do so until stdin ends."""
    if way == "silent":
        time.sleep(600)
    if way == "garbage":
        while True:
            write("Traceback (most recent call last):\n")
    if way == "mutters":
        write("Switch to module: \n\x1b[1mWelcome\x1b[0m\nno newline yet: ")
    threading.Thread(target=beat, daemon=True).start()
    for line in sys.stdin:
        command = json.loads(line)
        if command["cmd"] == "hello":
            time.sleep(0.5 if way == "slow" else 0)
            say("ready", pid=os.getpid(), version="0", python="3", memory_available_bytes=None)
        elif command["cmd"] in ("load", "segment"):
            say("loading", id=command["id"], stage="model")
            WAYS[way](command)


if __name__ == "__main__":
    misbehave(sys.argv[1])
