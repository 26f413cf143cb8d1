"""What the tests of the installation share: a folder to install into, an index that never answers, living processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PYTHON_SLICER = Path(__file__).with_name("standins") / "python_slicer"
"""Stands for what is on the path of PythonSlicer: the package `slicer` without an application."""

EXTENSION = PYTHON_SLICER / "extension" / "PyTorchUtils.py"
"""Stands for the module of the PyTorch extension."""


def install_into(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every pip install into a folder, which is on the path here and in child processes.

    Nothing but that folder is changed, and no index is asked.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in [one for one in os.environ if one.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_TARGET", str(target))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PYTHONPATH", str(target), prepend=os.pathsep)
    monkeypatch.syspath_prepend(target)


@contextmanager
def deaf_index(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A package index that takes a question and never answers; the event says that it was asked."""
    asked = threading.Event()
    kept: list[socket.socket] = []
    server = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            kept.append(connection)
            asked.set()

    threading.Thread(target=listen, daemon=True).start()
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.getsockname()[1]}/simple")
    yield asked
    server.close()
    for connection in kept:
        connection.close()


def living(marker: str) -> list[int]:
    """Numbers of the processes that have a word with this in it among their arguments."""
    if sys.platform == "win32":
        return []
    listing = subprocess.run(["ps", "-axww", "-o", "pid=,stat=,args="], capture_output=True, check=True).stdout
    lines = [line.split(None, 2) for line in listing.decode(errors="replace").splitlines()]
    return [int(line[0]) for line in lines if len(line) == 3 and marker in line[2] and line[1][0] != "Z"]
