"""The inference process may crash, hang, talk nonsense or lose its parent: one sentence each, and nothing is left.

Needs no Slicer.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from TextGuidedSegPanel import silenceWatch
from TextGuidedSegPanel.inferenceSettings import ClientSettings

from Testing.slicer.process_bench import (
    CHILD,
    LAUNCHERS,
    LONG_S,
    MODULE_FOLDER,
    PARENT,
    ROOT,
    Bench,
    eventually,
    is_alive,
    poll_until,
)
from TextGuidedSegLib.image import Image

CRASHES = {
    "crash": "The inference process crashed (SIGSEGV)",
    "killed": "The inference process was ended from outside, most often because the computer ran out of memory",
    "leave": "exit code 3); its last words were \"TypeError: unhashable type: 'slice'\"",
    "garbage": "does not speak the expected protocol but says 'Traceback (most recent call last):'",
}


class TestSurvival:
    @pytest.mark.parametrize("way", CRASHES)
    def test_a_crash_is_one_sentence_and_the_next_request_starts_afresh(self, way: str, bench: Bench) -> None:
        client, heard = bench.client(way)
        for attempt in (1, 2):
            number = client.load()
            assert client.waitUntilIdle(LONG_S)
            assert len(heard.failures) == attempt
            assert heard.failures[-1].kind == "ProcessError"
            assert CRASHES[way] in heard.failures[-1].sentence
            assert heard.finished[-1] == number
            assert client.state == "stopped"
        assert heard.states.count("starting") == 2

    def test_children_that_a_crash_leaves_behind_are_ended(self, bench: Bench, tmp_path: Path) -> None:
        client, heard = bench.client("orphan", tmp_path / "pid")
        client.load()
        assert client.waitUntilIdle(LONG_S)
        assert "exit code 4" in heard.failure.sentence
        assert eventually(lambda: not is_alive(int((tmp_path / "pid").read_text())), 0.5)

    def test_a_hang_is_noticed(self, bench: Bench) -> None:
        client, heard = bench.client("hang", loadSilenceS=0.4)
        client.load()
        assert poll_until(client, lambda: not client.isBusy) < 5.0
        assert heard.failure.sentence == (
            "The inference process gave no sign of life for 0.4 seconds and was ended; run the phrase again."
        )

    def test_a_process_that_never_starts_is_given_up(self, bench: Bench) -> None:
        client, heard = bench.client("silent", startS=0.4)
        client.load()
        assert poll_until(client, lambda: not client.isBusy) < 5.0
        assert "did not start within 0.4 seconds" in heard.failure.sentence

    def test_a_slow_process_is_waited_for(self, bench: Bench) -> None:
        client, heard = bench.client("slow", silenceS=0.3, loadSilenceS=0.3)
        client.load()
        assert client.waitUntilIdle(LONG_S)
        assert heard.failures == []

    def test_time_in_which_nobody_polled_is_not_held_against_it(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(silenceWatch, "_LONGEST_GAP_S", 0.1)
        client, heard = bench.client("hang", loadSilenceS=0.6)
        client.load()
        poll_until(client, lambda: client.state == "loading")
        time.sleep(0.8)
        for _ in range(2):
            client.poll()
            time.sleep(0.1)
        client.poll()
        assert heard.failures == []

    def test_a_program_that_is_not_there_is_one_sentence(self, bench: Bench) -> None:
        client, heard = bench.client_of("/no such folder/PythonSlicer", "-m", "x")
        client.load()
        assert client.waitUntilIdle(LONG_S)
        assert (
            "could not be started (No such file or directory: /no such folder/PythonSlicer)" in heard.failure.sentence
        )

    def test_a_folder_that_is_not_there_is_one_sentence(self, bench: Bench, tmp_path: Path) -> None:
        client, heard = bench.client("well", folder=tmp_path / "gone")
        client.load()
        assert client.waitUntilIdle(LONG_S)
        assert heard.failure.kind == "ProcessError"
        assert "gone" in heard.failure.sentence

    def test_a_module_that_is_not_there_is_one_sentence(self, bench: Bench) -> None:
        client, heard = bench.client_of(sys.executable, "-m", "NoSuchLibrary.worker")
        client.load()
        assert client.waitUntilIdle(LONG_S)
        assert "No module named 'NoSuchLibrary'" in heard.failure.sentence

    def test_what_a_launcher_prints_goes_to_the_log(self, bench: Bench) -> None:
        client, heard = bench.client("mutters")
        client.load()
        assert client.waitUntilIdle(LONG_S)
        assert heard.failures == []
        assert {"Switch to module:", "Welcome"} <= set(heard.log)
        assert set(heard.log) <= set(client.recentLog)

    def test_events_with_missing_or_wrong_parts_do_no_harm(self, bench: Bench) -> None:
        client, heard = bench.client("lie")
        number = client.load()
        assert client.waitUntilIdle(LONG_S)
        assert (heard.failures, heard.finished, heard.results) == ([], [number], [])

    def test_a_result_without_its_files_is_one_sentence(self, bench: Bench, chest: Image) -> None:
        client, heard = bench.client("lose")
        number = client.segment(chest, ["opacity"])
        assert client.waitUntilIdle(LONG_S)
        assert (heard.failure.requestId, heard.failure.phraseIndex, heard.failure.kind) == (number, 0, "OSError")
        assert "lost.npy" in heard.failure.sentence
        assert heard.finished == [number]

    def test_an_image_that_cannot_be_written_is_one_sentence(self, bench: Bench, chest: Image) -> None:
        client, heard = bench.client("well")
        client.load()
        assert client.waitUntilIdle(LONG_S)
        (private,) = bench.left_folders()
        (bench.folder / private).rename(bench.folder / "moved")
        number = client.segment(chest, ["opacity"])
        assert client.waitUntilIdle(LONG_S)
        assert heard.failure.kind == "OSError"
        assert "could not be handed to the inference process" in heard.failure.sentence
        assert heard.finished[-1] == number

    def test_endless_printing_is_read_but_not_kept(self, bench: Bench) -> None:
        client, heard = bench.client("flood")
        client.load()
        assert client.waitUntilIdle(LONG_S)
        assert heard.failures == []
        assert 0 < len(heard.log) < 50_000
        assert len(client.recentLog) <= 200

    def test_a_process_that_ended_unnoticed_is_replaced_without_a_word(self, bench: Bench) -> None:
        client, heard = bench.client("well")
        client.load()
        assert client.waitUntilIdle(LONG_S)
        for pid in bench.processes():
            os.kill(pid, signal.SIGKILL)
        number = client.load()
        assert client.waitUntilIdle(LONG_S)
        assert heard.failures == []
        assert heard.finished[-1] == number

    def test_a_process_that_leaves_after_idle_times_is_no_failure_and_is_replaced(self, bench: Bench) -> None:
        command = ClientSettings().processCommand()
        client, heard = bench.client_of(*command, idleReleaseS=0.1, idleExitS=0.1)
        for attempt in (1, 2):
            client.load("no such model")
            assert client.waitUntilIdle(LONG_S)
            poll_until(client, lambda: client.state == "stopped")
            assert [one.kind for one in heard.failures] == ["WeightsError"] * attempt
        assert not any("ended" in line for line in heard.log)

    def test_a_request_that_a_warm_process_never_heard_of_is_repeated_once(self, bench: Bench) -> None:
        client, heard = bench.client("well")
        client.load()
        assert client.waitUntilIdle(LONG_S)
        for pid in bench.processes():
            os.kill(pid, signal.SIGSTOP)
        client.load()
        for pid in bench.processes():
            os.kill(pid, signal.SIGKILL)
        assert client.waitUntilIdle(LONG_S)
        assert heard.failures == []
        assert len(heard.finished) == 2


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
        parent.stdout.readline()
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
