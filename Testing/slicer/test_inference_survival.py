"""The inference process may crash, hang or talk nonsense: one sentence each, and the next request starts afresh.

Needs no Slicer.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from TextGuidedSegPanel import silenceWatch
from TextGuidedSegPanel.inferenceEvents import readEvent
from TextGuidedSegPanel.inferenceSettings import ClientSettings

from Testing.slicer.process_bench import (
    CHILD,
    LONG_S,
    Bench,
    eventually,
    is_alive,
    poll_until,
)
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.worker_protocol import encode_line

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

    @pytest.mark.parametrize("way", ["crash", "killed"])
    def test_behind_slicers_launcher_a_signal_is_told_in_its_words(
        self, way: str, bench: Bench, tmp_path: Path
    ) -> None:
        script = tmp_path / "PythonSlicer"
        script.write_text(
            '#!/bin/sh\n"$@"\ncode=$?\n[ $code -gt 128 ] || exit $code\n'
            'echo "error: [$1] exit abnormally - Report the problem." >&2\nexit 1\n'
        )
        script.chmod(0o755)
        client, heard = bench.client_of(str(script), sys.executable, str(CHILD), way)
        client.load()
        assert client.waitUntilIdle(LONG_S)
        assert heard.failure.sentence == (
            "The inference process crashed or was ended from outside, most often because the computer ran out of "
            "memory; close other programs, then run the phrase again."
        )

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

    @pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00v\x00{'descr'"])
    def test_a_result_with_a_damaged_file_is_one_sentence(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "cut.npy").write_bytes(content)
        part = {"file": "cut.npy", "start": [0, 0, 0], "shape": [8, 8, 1]}
        geometry = {"shape": [8, 8, 1], "affine_ijk_to_ras": np.eye(4).tolist()}
        names = ("phrase", "answer", "model", "device", "presence", "threshold", "warnings", "seconds", "tags")
        parts = {"probability": part, "pseudo_image": part, "geometry": geometry}
        message = {"event": "result", "id": 7, "index": 0, **dict.fromkeys(names, ""), **parts}
        said = readEvent(tmp_path, encode_line(message))
        assert (said.message["event"], said.message["id"], said.message["index"]) == ("error", 7, 0)
        assert "the result could not be read" in said.message["sentence"]

    def test_a_request_that_cannot_be_sent_is_one_sentence(self, bench: Bench, chest: Image) -> None:
        client, heard = bench.client("well")
        number = client.segment(chest, ["opacity"], signature=object())
        assert client.waitUntilIdle(LONG_S)
        assert (heard.failure.requestId, heard.failure.kind) == (number, "TypeError")
        assert "the request could not be handed to the inference process" in heard.failure.sentence

    def test_numbers_of_numpy_and_paths_are_sent_as_what_they_are(self, bench: Bench, chest: Image) -> None:
        client, heard = bench.client("well")
        client.segment(chest, ["opacity"], model=Path("tiny"), threshold=np.float32(0.5))
        assert client.waitUntilIdle(LONG_S)
        assert heard.failures == []
        with pytest.raises(ValueError, match="each phrase must be text, got 3"):
            client.segment(chest, ["opacity", 3])

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
