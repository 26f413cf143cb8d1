"""The inference process ends with its client, however that ends, and nothing is left of it. Needs no Slicer."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest
from TextGuidedSegPanel import inferenceProcess

from Testing.slicer.process_bench import (
    CHILD,
    LAUNCHERS,
    LONG_S,
    MODULE_FOLDER,
    PARENT,
    ROOT,
    Bench,
    eventually,
    poll_until,
)
from TextGuidedSegLib.image import Image


class TestEnds:
    def test_stop_ends_the_process_at_once_and_again_does_nothing(self, bench: Bench) -> None:
        client, heard = bench.client("deaf")
        client.load()
        poll_until(client, lambda: client.state == "running")
        started = time.monotonic()
        client.stop()
        client.stop()
        assert time.monotonic() - started < 0.05
        assert eventually(bench.is_clean, 1.0)
        client.poll()
        assert client.state == "stopped"
        assert heard.failure.kind == "Cancelled"
        client.load()
        assert client.state == "starting"

    def test_when_close_returns_nothing_is_left(self, bench: Bench, chest: Image) -> None:
        client, heard = bench.client("deaf")
        client.segment(chest, ["opacity"])
        poll_until(client, lambda: client.state == "running")
        assert bench.left_folders() != []
        client.close()
        assert bench.is_clean()
        client.close()
        client.poll()
        assert heard.failure.kind == "Cancelled"

    def test_an_image_that_is_being_written_at_the_end_is_not_left(
        self, bench: Bench, chest: Image, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write_slowly(folder: Path, name: str, image: Image) -> dict:
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                with suppress(FileNotFoundError):
                    (folder / uuid.uuid4().hex).touch()
            return {}

        monkeypatch.setattr(inferenceProcess, "write_image", write_slowly)
        client, _heard = bench.client("deaf")
        client.segment(chest, ["opacity"])
        assert eventually(lambda: bool(bench.processes()))
        client.stop()
        assert eventually(bench.is_clean)

    def test_stopped_while_it_starts_it_never_runs(self, bench: Bench) -> None:
        client, _heard = bench.client("well")
        client.load()
        client.stop()
        assert eventually(bench.is_clean, 2.0)

    def test_a_client_that_is_dropped_takes_its_process_along(self, bench: Bench) -> None:
        bench.client("deaf")
        bench.clients[0].load()
        poll_until(bench.clients[0], lambda: bench.clients[0].state == "running")
        bench.clients.clear()
        gc.collect()
        assert eventually(bench.is_clean, 1.0)

    @pytest.mark.parametrize("launcher", LAUNCHERS)
    def test_a_launcher_does_not_hide_the_process_behind_it(self, launcher: str, bench: Bench, tmp_path: Path) -> None:
        script = tmp_path / "Python Slicer"
        script.write_text(LAUNCHERS[launcher])
        script.chmod(0o755)
        client, heard = bench.client_of(str(script), sys.executable, str(CHILD), "deaf")
        for request in (1, 2):
            client.load()
            poll_until(client, lambda: client.state == "running")
            behind = bench.processes()
            assert len(behind) == (2 if launcher == "waits" else 1)
            if request == 1:
                client.cancel()
            else:
                os.kill(min(behind), signal.SIGKILL)  # the launcher alone, as Popen.kill does it
            assert poll_until(client, lambda: not client.isBusy) < 2.0
            assert eventually(lambda: not bench.processes(), 1.0)
        assert [one.kind for one in heard.failures] == ["Cancelled", "ProcessError"]

    @pytest.mark.parametrize("end", ["killed", "normal"])
    def test_nothing_outlives_the_parent(self, end: str, bench: Bench) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(MODULE_FOLDER)]),
            "MARK": bench.marker,
        }
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(bench.folder)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert parent.stdout.readline() == b"idle\n"
        assert len(bench.processes()) == 1
        assert len(bench.left_folders()) == 1
        if end == "killed":
            parent.kill()
        parent.communicate()
        assert eventually(bench.is_clean, 2.0)

    def test_what_parent_and_process_left_when_both_were_killed_the_next_start_removes(self, bench: Bench) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(MODULE_FOLDER)]),
            "MARK": bench.marker,
        }
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(bench.folder)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert parent.stdout.readline() == b"idle\n"
        (child,) = bench.processes()
        os.kill(child, signal.SIGSTOP)  # so that it cannot tidy up when its parent dies
        parent.kill()
        parent.communicate()
        os.kill(child, signal.SIGKILL)
        assert eventually(lambda: not bench.processes(), 2.0)
        (left,) = bench.left_folders()
        client, _heard = bench.client("well")
        client.load()
        assert client.waitUntilIdle(LONG_S)
        assert left not in bench.left_folders()
        assert len(bench.left_folders()) == 1
