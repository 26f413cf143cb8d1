"""The runner for a real Slicer: what it leaves out, what it runs, and that ctest finds it."""

from __future__ import annotations

import importlib
import subprocess
import sys
import unittest
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slicer, pytest.mark.standins]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def runner(slicer_application):
    """The script, loaded as ctest loads it."""
    return importlib.import_module("Testing.slicer.run_in_slicer")


def collected(runner, *extra: str) -> subprocess.CompletedProcess[str]:
    """What pytest would run."""
    command = [sys.executable, "-m", "pytest", *runner.arguments(extra), "--collect-only", "-q"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_ctest_finds_one_test_case(runner) -> None:
    assert unittest.defaultTestLoader.loadTestsFromModule(runner).countTestCases() == 1
    listed = (ROOT / "TextGuidedSeg" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "../Testing/slicer/run_in_slicer.py" in listed


def test_the_whole_folder_is_run_unless_a_path_is_named(runner) -> None:
    folder = str(ROOT / "Testing" / "slicer")
    assert runner.arguments()[-1] == folder
    assert runner.arguments(["-k", "island"])[-1] == folder
    assert folder not in runner.arguments([f"{folder}/test_terms.py::test_x"])


def test_what_looks_into_the_stand_ins_is_left_out(runner) -> None:
    files = [str(Path(__file__).with_name(name)) for name in ("test_handover.py", "test_corrections.py")]
    done = collected(runner, *files)
    assert done.returncode == 0, done.stdout
    assert "test_corrections.py::test_the_buttons_act_at_the_crosshair" in done.stdout
    assert "test_handover.py" not in done.stdout


def test_every_file_can_be_read_without_what_only_we_have(runner) -> None:
    ours = ("PySide6", "shiboken6", "trame_slicer", "torch", "monai", "transformers", "tokenizers", "safetensors")
    start = f"import sys; sys.modules.update(dict.fromkeys({ours})); import pytest; "
    script = start + "sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, *runner.arguments(), "--collect-only", "-q"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "test_panel.py::" in done.stdout


@pytest.mark.slow
def test_what_only_a_slicer_runs_of_the_tests_works() -> None:
    files = [str(Path(__file__).with_name(name)) for name in ("test_terms.py", "test_corrections.py", "test_effect.py")]
    command = [sys.executable, "-m", "Testing.slicer.standins.as_application", "-q", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_make_names_the_folder_of_the_module_and_the_script() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.partition("\ntest-slicer:")[2].partition("\n\n")[0]
    for part in ("$(SLICER)", "--testing", "--additional-module-paths '$(CURDIR)/TextGuidedSeg'", "/run_in_slicer.py"):
        assert part in recipe
