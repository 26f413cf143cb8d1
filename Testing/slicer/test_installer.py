"""An installation as a process of its own: a real pip on real wheels, cancelled, failing, outliving nobody."""

from __future__ import annotations

import importlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import slicer
from packaging.requirements import Requirement

from Testing.slicer.installing import EXTENSION, PYTHON_SLICER, deaf_index, install_into, living
from Testing.slicer.panel_fixtures import MODULE_FOLDER, wait_until
from Testing.slicer.process_bench import eventually
from Testing.slicer.wheels import write_wheel

pytestmark = pytest.mark.slicer
ROOT = MODULE_FOLDER.parent
PARENT = f"""
import sys
import pytest, slicer
from types import SimpleNamespace
from Testing.slicer.standins import install
slicer.mrmlScene, slicer.modules = slicer.vtkMRMLScene(), SimpleNamespace()
install.install(pytest.MonkeyPatch(), None)
sys.path.insert(0, {str(MODULE_FOLDER)!r})
from TextGuidedSegPanel.installPlan import InstallPlan
from TextGuidedSegPanel.installProcess import InstallProcess
process = InstallProcess(InstallPlan((tuple(sys.argv[1:]),), ()))
while True:
    print(process.events.get(), flush=True)
"""


@dataclass
class Heard:
    """Everything that an installation told."""

    lines: list[str] = field(default_factory=list)
    news: list[Any] = field(default_factory=list)
    outcomes: list[Any] = field(default_factory=list)

    @property
    def outcome(self) -> Any:
        (outcome,) = self.outcomes
        return outcome

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def installer(module, heard, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """An installer that installs into a folder of the test; nothing is left of it afterwards."""
    from TextGuidedSegPanel.installer import Installer

    install_into(tmp_path / "target", monkeypatch)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    made = Installer(heard.lines.append, heard.news.append, heard.outcomes.append)
    yield made
    made.stop()
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.fixture
def carried_out(installer, heard) -> Callable[[Any], Heard]:
    """Carries a plan out to its end."""

    def carry_out(plan: Any) -> Heard:
        installer.start(plan)
        assert installer.isRunning
        wait_until(lambda: bool(heard.outcomes))
        assert not installer.isRunning
        return heard

    return carry_out


def package(text: str) -> Any:
    """Something that is missing."""
    from TextGuidedSegPanel.requirements import Package

    return Package(Requirement(text), None, isReady=False, isOfSlicer=False)


def plan_of(*steps: tuple[str, ...], pins: tuple[str, ...] = ()) -> Any:
    """A plan with steps of the test's own."""
    from TextGuidedSegPanel.installPlan import InstallPlan

    return InstallPlan(steps, pins)


def from_folder(folder: Path, *names: str) -> Any:
    """A plan that installs from wheels in a folder."""
    from TextGuidedSegPanel.installPlan import planFromFolder

    return planFromFolder([package(name) for name in names], folder)


def test_wheels_of_a_folder_are_installed_with_what_they_bring_along(carried_out, tmp_path) -> None:
    folder = tmp_path / "wheels with spaces & ü"
    write_wheel(folder, "tgsdemo", "1.5", requires=["tgshelper>=1"])
    write_wheel(folder, "tgshelper", "1.0")
    heard = carried_out(from_folder(folder, "tgsdemo>=1.0"))
    assert heard.outcome.kind == "done", heard.text
    importlib.invalidate_caches()
    assert importlib.import_module("tgsdemo").__version__ == "1.5"
    assert importlib.metadata.version("tgshelper") == "1.0"
    assert "Successfully installed" in heard.text
    assert "Installing what was downloaded…" in [one.sentence for one in heard.news]


def test_a_missing_wheel_is_named_with_the_folder_and_nothing_is_installed(carried_out, tmp_path) -> None:
    folder = tmp_path / "wheels"
    write_wheel(folder, "tgsdemo", "1.5", requires=["tgshelper>=1"])
    heard = carried_out(from_folder(folder, "tgsdemo>=1.0"))
    assert heard.outcome.kind == "failed"
    assert "tgshelper>=1" in heard.outcome.sentence
    assert str(folder) in heard.outcome.sentence
    assert "No matching distribution found for tgshelper>=1" in heard.text
    assert list((tmp_path / "target").iterdir()) == []


def test_packages_of_slicer_are_pinned(carried_out, tmp_path) -> None:
    write_wheel(tmp_path / "wheels", "tgsdemo", "1.0", requires=["numpy<1"])
    write_wheel(tmp_path / "wheels", "numpy", "0.9")
    heard = carried_out(from_folder(tmp_path / "wheels", "tgsdemo"))
    assert heard.outcome.kind == "failed"
    assert "do not fit those that Slicer has" in heard.outcome.sentence
    assert list((tmp_path / "target").iterdir()) == []


def test_the_steps_end_with_the_first_that_fails(carried_out) -> None:
    heard = carried_out(plan_of(("-c", "print('one')"), ("-c", "raise SystemExit(3)"), ("-c", "print('three')")))
    assert heard.outcome.kind == "failed"
    assert heard.lines == ["one"]


def test_the_progress_is_that_of_the_download(carried_out) -> None:
    lines = (
        "Downloading https://x.org/torch-2.15.0%2Bcpu.whl.metadata (27 kB)",
        "  Downloading torch-2.15.0-cp312-cp312-manylinux_2_28_x86_64.whl (539.2 MB)",
        "Progress 100 of 400",
        "Progress 400 of 400",
    )
    heard = carried_out(plan_of(("-c", f"for line in {lines!r}: print(line)")))
    news = [(one.sentence, one.share) for one in heard.news][-3:]
    sentence = "Downloading torch 2.15.0 (539.2 MB)…"
    assert news == [(sentence, None), (sentence, 0.25), (sentence, 1.0)]
    assert not any("Progress" in line for line in heard.lines)


def test_a_package_replaced_while_it_is_loaded_asks_for_a_restart(carried_out, tmp_path, monkeypatch) -> None:
    folder, target = tmp_path / "wheels", tmp_path / "target"
    old = write_wheel(folder, "tgsdemo", "1.0")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", str(target), str(old)], check=True)
    importlib.invalidate_caches()
    importlib.import_module("tgsdemo")
    write_wheel(folder, "tgsdemo", "2.0")
    write_wheel(folder, "tgshelper", "1.0")
    monkeypatch.setenv("PIP_UPGRADE", "1")
    heard = carried_out(from_folder(folder, "tgsdemo>=2", "tgshelper"))
    assert heard.outcome.kind == "done", heard.text
    assert heard.outcome.changed == ("tgsdemo 1.0 → 2.0",)


def test_torch_is_installed_by_its_extension_first(carried_out, tmp_path, monkeypatch) -> None:
    from TextGuidedSegPanel.installPlan import planFromIndex

    write_wheel(tmp_path / "wheels", "torch", "99.0")
    write_wheel(tmp_path / "wheels", "tgsdemo", "1.0", requires=["torch"])
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PYTHONPATH", str(PYTHON_SLICER), prepend=os.pathsep)
    plan = planFromIndex([package("torch>=99"), package("tgsdemo")], EXTENSION)
    assert [Path(step[0]).name for step in plan.steps] == ["torchChild.py", "-m"]
    assert not any("torch" in one for one in plan.steps[1])
    heard = carried_out(plan)
    assert heard.outcome.kind == "done", heard.text
    assert (tmp_path / "target" / "torch-99.0.dist-info").is_dir()
    assert (tmp_path / "target" / "tgsdemo").is_dir()


def test_an_extension_that_fails_says_why(carried_out, tmp_path, monkeypatch) -> None:
    from TextGuidedSegPanel.installPlan import planFromIndex

    monkeypatch.setenv("PYTHONPATH", str(PYTHON_SLICER), prepend=os.pathsep)
    heard = carried_out(planFromIndex([package("torch>=99"), package("tgsdemo")], EXTENSION))
    assert heard.outcome.kind == "failed"
    assert "torch>=99" in heard.outcome.sentence
    assert "Traceback" in heard.text
    assert list((tmp_path / "target").iterdir()) == []


def test_without_the_extension_pip_installs_torch_with_the_rest(module) -> None:
    from TextGuidedSegPanel.installPlan import planFromIndex

    (step,) = planFromIndex([package("torch>=2.5"), package("monai>=1.5")], None).steps
    assert step[:3] == ("-m", "pip", "install")
    assert step[-2:] == ("torch>=2.5", "monai>=1.5")


@pytest.mark.parametrize("phase", ["start", "run"])
def test_cancel_ends_the_whole_tree_within_a_second(installer, heard, monkeypatch, tmp_path, phase: str) -> None:
    from TextGuidedSegPanel.installPlan import planFromIndex

    marker = f"tgs-{uuid.uuid4().hex}"
    with deaf_index(monkeypatch) as asked:
        installer.start(planFromIndex([package(marker)], None))
        if phase == "run":
            wait_until(asked.is_set)
            assert living(marker) or sys.platform == "win32"
        started = time.monotonic()
        installer.cancel()
        wait_until(lambda: bool(heard.outcomes))
        assert time.monotonic() - started < 1.0
    assert heard.outcome.kind == "cancelled"
    assert living(marker) == []
    assert list((tmp_path / "target").iterdir()) == []


def test_an_installation_ends_when_slicer_is_killed(module, tmp_path, monkeypatch) -> None:
    if sys.platform == "win32" or not hasattr(slicer, "slicer_core"):
        return
    marker = f"tgs-{uuid.uuid4().hex}"
    install_into(tmp_path / "target", monkeypatch)
    with deaf_index(monkeypatch) as asked:
        command = [sys.executable, "-c", PARENT, "-m", "pip", "install", marker]
        parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        assert asked.wait(30)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert eventually(lambda: living(marker) == [])


def test_the_window_goes_on_while_it_installs(installer, heard, tmp_path) -> None:
    import qt

    beats: list[float] = []
    timer = qt.QTimer()
    timer.interval = 5
    timer.connect("timeout()", lambda: beats.append(time.monotonic()))
    write_wheel(tmp_path / "wheels", "tgsdemo", "1.0", files=400)
    timer.start()
    installer.start(from_folder(tmp_path / "wheels", "tgsdemo"))
    wait_until(lambda: bool(heard.outcomes))
    timer.stop()
    assert heard.outcome.kind == "done", heard.text
    assert beats[-1] - beats[0] > 0.5
    assert max(later - earlier for earlier, later in itertools.pairwise(beats)) < 0.25


def test_what_is_printed_without_end_neither_fills_the_memory_nor_stops_the_window(installer, heard) -> None:
    installer.start(plan_of(("-c", "while True: print('x' * 1000)")))
    wait_until(lambda: len(heard.lines) > 1000)
    started = time.monotonic()
    installer.poll()
    assert time.monotonic() - started < 0.1
    installer.cancel()
    wait_until(lambda: bool(heard.outcomes))
    assert heard.outcome.kind == "cancelled"


def test_a_python_that_cannot_be_started_is_a_failure_with_a_sentence(carried_out, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: "/no/such/python")
    heard = carried_out(plan_of(("-c", "")))
    assert heard.outcome.kind == "failed"
    assert "/no/such/python" in heard.outcome.sentence
