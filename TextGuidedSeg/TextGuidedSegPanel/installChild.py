"""Runs in a process of its own, with the standard library only: carries out an installation step by step.

The first line on stdin is the plan: {"steps": [[argument of Python, ...], ...], "pins": ["numpy==2.4.6", ...],
"loaded": [names of modules that Slicer has loaded]}. When stdin ends, everything ends: then the installation was
cancelled, or Slicer is gone. What the steps print goes to stdout; the last line there is an event of its own,
{"event": "changed", "packages": [...]}, with what was replaced while Slicer has it loaded. The exit code is that of the
first step that failed, or 0.

It is run in an empty folder, which is also where pip unpacks: whoever started it removes the folder.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Set
from pathlib import Path

_PINS_FILE = "constraints.txt"
# The first pip that prints its progress for programs.
_PIP_WITH_RAW_PROGRESS = (24, 1)


def main() -> int:
    """Carry out the plan on stdin; the exit code."""
    plan = json.loads(sys.stdin.readline())
    threading.Thread(target=_endWithStdin, daemon=True).start()
    Path(_PINS_FILE).write_text("\n".join(plan["pins"]), encoding="utf-8")
    before = _versions()
    for step in plan["steps"]:
        command = [sys.executable, "-P", "-u", "-X", "utf8", *step]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=_environment(), check=False
        )
        if done.returncode != 0:
            return done.returncode
    _say(_changed(before, _versions(), set(plan["loaded"])))
    return 0


def _environment() -> dict[str, str]:
    """For pip, also where the PyTorch extension calls it."""
    pip = tuple(int(part) for part in re.findall(r"\d+", importlib.metadata.version("pip"))[:2])
    # By its bare name: pip splits this variable at spaces, which folders of users may have.
    pinned = " ".join(filter(None, (os.environ.get("PIP_CONSTRAINT"), _PINS_FILE)))
    return os.environ | {
        "PIP_CONSTRAINT": pinned,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_NO_WARN_SCRIPT_LOCATION": "1",
        "PIP_PROGRESS_BAR": "raw" if pip >= _PIP_WITH_RAW_PROGRESS else "off",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
    }


def _versions() -> dict[str, str]:
    return {one.metadata["Name"]: one.version for one in importlib.metadata.distributions()}


def _changed(before: Mapping[str, str], after: Mapping[str, str], loaded: Set[str]) -> list[str]:
    """Packages that are not any more what Slicer has loaded."""
    changed = sorted(name for name, version in after.items() if before.get(name) != version)
    affected = [name for name in changed if not loaded.isdisjoint(_modules(name))]
    return [f"{name} {before.get(name, '')} → {after[name]}".replace("  ", " ") for name in affected]


def _modules(name: str) -> set[str]:
    """What can be imported of a package, and a few names that cannot."""
    files = importlib.metadata.distribution(name).files or ()
    return {file.parts[0].partition(".")[0] for file in files}


def _say(packages: list[str]) -> None:
    sys.stdout.write(json.dumps({"event": "changed", "packages": packages}) + "\n")
    sys.stdout.flush()


def _endWithStdin() -> None:
    """End this process and all its children when stdin ends."""
    # Not by sys.stdin: at its end the interpreter would wait for a lock that this thread holds.
    while os.read(0, 4096):
        pass
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/PID", str(os.getpid()), "/T", "/F"], capture_output=True, check=False)
    else:
        os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
