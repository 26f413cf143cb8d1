"""Which Python the child processes run in. Needs no Slicer."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from TextGuidedSegPanel.inferenceSettings import ClientSettings
from TextGuidedSegPanel.processTree import pythonProgram


def test_it_is_slicers_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pythonProgram() == sys.executable
    launcher = tmp_path / "PythonSlicer"
    launcher.write_text("#!/bin/sh\n")
    launcher.chmod(0o755)
    assert pythonProgram() == ClientSettings().processCommand()[0] == str(launcher)


@pytest.mark.parametrize(
    ("home", "is_there", "expected"),
    [
        ("C:/Slicer/lib/Python", True, "python-real.exe"),
        ("C:/Slicer/lib/Python", False, "PythonSlicer.exe"),
        (None, True, "PythonSlicer.exe"),
    ],
)
def test_on_windows_no_launcher_stands_between_once_its_environment_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None, is_there: bool, expected: str
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / f"{name}.exe"))
    monkeypatch.delenv("PYTHONHOME", raising=False)
    if home is not None:
        monkeypatch.setenv("PYTHONHOME", home)
    if is_there:
        (tmp_path / "python-real.exe").touch()
    assert Path(pythonProgram()).name == expected
