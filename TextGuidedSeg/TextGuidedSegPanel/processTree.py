"""What every child process needs: a Python, a group of its own, an end that reaches all its children, its words."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def pythonProgram() -> str:
    """The Python that children run in: Slicer's, or this one outside of Slicer."""
    # Inside Slicer, this process's own program is Slicer.
    launcher = shutil.which("PythonSlicer")
    if launcher is None:
        return sys.executable
    if sys.platform == "win32" and "PYTHONHOME" in os.environ:
        # What the launcher sets is set already. Without one between, what is written to the child surely reaches it.
        python = Path(launcher).with_name("python-real.exe")
        return str(python) if python.is_file() else launcher
    return launcher


def startThread(duty: Callable[[], None], name: str) -> threading.Thread:
    """Start a thread that does not keep the program alive.

    Args:
        duty: What it does.
        name: For whoever looks at the threads of the program.
    """
    thread = threading.Thread(target=duty, name=f"TextGuidedSeg {name}", daemon=True)
    thread.start()
    return thread


def cleanText(line: bytes) -> str:
    """Printed bytes as text without colors, cursor movements and the line's end."""
    return _TERMINAL_CODES.sub("", line.decode("utf-8", errors="replace")).strip()


def waitUnreaped(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a process; where the system can, without giving its number free for another one."""
    if hasattr(os, "waitid"):
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        process.wait()


if sys.platform == "win32":
    OWN_GROUP: Mapping[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    """Arguments of `subprocess.Popen` for a process that `killTree` can end."""

    def killTree(pid: int) -> None:
        """End a process and all its children; returns at once."""
        command = ["taskkill", "/PID", str(pid), "/T", "/F"]
        startThread(
            lambda: subprocess.run(
                command, capture_output=True, creationflags=subprocess.CREATE_NO_WINDOW, check=False
            ),
            "taskkill",
        )

else:
    OWN_GROUP: Mapping[str, Any] = {"start_new_session": True}
    """Arguments of `subprocess.Popen` for a process that `killTree` can end."""

    def killTree(pid: int) -> None:
        """End a process that leads a group, and all its children; returns at once."""
        # Not SIGTERM: it can be ignored, and there is nothing to tidy up that the parent does not tidy up anyway.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
