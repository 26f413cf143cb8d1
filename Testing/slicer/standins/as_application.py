"""The tests as inside a real Slicer, on the stand-ins: shows that what is written for Slicer alone works at all.

    python -m Testing.slicer.standins.as_application [arguments of pytest]

The stand-ins stay as an application's own parts would, the module is loaded once, and PythonSlicer is on the path. Only
`make test-slicer` runs the tests in Slicer itself.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import slicer

from Testing.slicer.mrml_application import make_application, modules_of
from Testing.slicer.standins import install, segment_editor

_MODULE_FOLDER = Path(__file__).resolve().parents[3] / "TextGuidedSeg"


def run(arguments: Sequence[str]) -> int:
    """Run the tests that `make test-slicer` runs.

    Args:
        arguments: As for `Testing.slicer.run_in_slicer`.

    Returns:
        pytest's exit code.
    """
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        application = make_application(Path(folder))
        patch.setattr(slicer, "mrmlScene", application.scene, raising=False)
        patch.setattr(slicer, "modules", modules_of(application), raising=False)
        install.install(patch, application.logic)
        segment_editor.install(patch)
        _put_python_slicer_on_the_path(Path(folder), patch)
        with install.loaded_module(patch, str(_MODULE_FOLDER), "TextGuidedSeg") as module:
            module.instance._onStartupCompleted()
            # By this name the tests tell the package from a Slicer.
            patch.delattr(slicer, "slicer_core")
            from Testing.slicer import run_in_slicer

            return int(pytest.main(run_in_slicer.arguments(arguments)))


def _put_python_slicer_on_the_path(folder: Path, patch: pytest.MonkeyPatch) -> None:
    launcher = folder / "PythonSlicer"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    launcher.chmod(0o755)
    patch.setenv("PATH", str(folder), prepend=os.pathsep)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
