"""The tests of this folder inside a real Slicer, where nothing is a stand-in.

    make test-slicer SLICER=/path/to/Slicer

Slicer runs this file as a script (`--python-script`), ctest runs the class in it. What tests need beyond Slicer comes
into a folder of its own, so that the Slicer under test stays as it was.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import slicer

# Not the class: a loader of tests would take it for one of this file.
from slicer import ScriptedLoadableModule as base

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "build" / "slicer-test-packages"
NEEDED = ("pytest>=8", "hypothesis>=6", "rapidfuzz>=3.9")
LEFT_OUT = "not standins and not slow and not gpu"


def arguments(extra: Sequence[str] = ()) -> list[str]:
    """What pytest is told.

    Args:
        extra: Files, folders or options of pytest; without any path the whole folder is run.
    """
    names_a_path = any(Path(one.partition("::")[0]).exists() for one in extra)
    where = [] if names_a_path else [str(ROOT / "Testing" / "slicer")]
    settings = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-m", LEFT_OUT]
    # Slicer's own streams have no file behind them, and its folder may be read-only.
    return [*settings, "--capture=sys", "-p", "no:faulthandler", "-p", "no:cacheprovider", *extra, *where]


def run(extra: Sequence[str] = ()) -> int:
    """Run the tests.

    Args:
        extra: As for `arguments`.

    Returns:
        pytest's exit code; 0 if all passed.
    """
    _fetch_packages()
    sys.path.insert(0, str(ROOT))
    sys.path.append(str(PACKAGES))  # behind Slicer's own, which it must not replace
    import pytest

    # The terminal; Slicer shows what Python prints in its console.
    with redirect_stdout(sys.__stdout__ or sys.stdout):
        return int(pytest.main(arguments(extra)))


def _fetch_packages() -> None:
    if not (PACKAGES / "pytest").is_dir():
        command = [shutil.which("PythonSlicer"), "-m", "pip", "install", "--quiet", "--target", str(PACKAGES), *NEEDED]
        subprocess.run(command, check=True)


class PanelTest(base.ScriptedLoadableModuleTest):
    """For ctest, which looks for a test case."""

    def test_the_files_of_this_folder(self) -> None:
        """All of them in one go: pytest says which of them failed."""
        self.assertEqual(run(), 0)  # noqa: PT009 - no pytest around it


if __name__ == "__main__":
    slicer.util.exit(run(sys.argv[1:]))
