"""The part of `slicer.util` that installs; there is no application, so it blocks and shows nothing."""

from __future__ import annotations

import subprocess
import sys


def pip_install(requirements: str) -> None:
    """Install and wait."""
    _executePythonModule("pip", ["install", *requirements.split()])


def _executePythonModule(module: str, args: list[str]) -> None:  # noqa: N802 - Slicer's name
    """Run a module of Python and wait; CalledProcessError if it fails."""
    subprocess.run([sys.executable, "-m", module, *args], check=True)
