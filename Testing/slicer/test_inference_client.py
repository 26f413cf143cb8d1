"""The panel's end of the inference process: never waits, survives whatever the process does, leaves nothing behind.

Needs no Slicer. Most tests talk to `misbehaving_child.py`; a few to the real process with a tiny model.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from TextGuidedSegPanel import inferenceProcess, silenceWatch
from TextGuidedSegPanel.inferenceClient import InferenceClient
from TextGuidedSegPanel.inferenceRecords import Callbacks, Failure, PhraseResult, Progress, secondsLeft
from TextGuidedSegPanel.inferenceSettings import ClientSettings
from TextGuidedSegPanel.silenceWatch import SilenceWatch

from TextGuidedSegLib.image import Image
from TextGuidedSegLib.phantom import chest_film
from TextGuidedSegLib.worker_protocol import write_image

ROOT = Path(__file__).resolve().parents[2]
MODULE_FOLDER = ROOT / "TextGuidedSeg"
CHILD = Path(__file__).with_name("misbehaving_child.py")
FOLDER = "Ärzte & Büro ü"
LONG_S = 20.0
# As PythonSlicer does it, and as one that steps aside; a shell gives what it starts in the background no stdin.
LAUNCHERS = {"waits": '#!/bin/sh\nexec 3<&0\n"$@" <&3 &\nwait\n', "steps aside": '#!/bin/sh\nexec "$@"\n'}
PARENT = """
import os, pathlib, sys
from TextGuidedSegPanel.inferenceClient import InferenceClient
from TextGuidedSegPanel.inferenceSettings import ClientSettings
command = (*ClientSettings().processCommand(), os.environ["MARK"])
client = InferenceClient(settings=ClientSettings(command=command, folder=pathlib.Path(sys.argv[1])))
client.load("no such model")
assert client.waitUntilIdle(20)
print("idle", flush=True)
sys.stdin.read()
"""


@dataclass
class Heard:
    """Everything that was told, in order."""

    progress: list[Progress] = field(default_factory=list)
    results: list[PhraseResult] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    @property
    def callbacks(self) -> Callbacks:
        return Callbacks(
            self.progress.append, self.results.append, self.failures.append, self.finished.append, self.log.append,
            self.states.append,
        )  # fmt: skip

    @property
    def failure(self) -> Failure:
        (failure,) = self.failures
        return failure


class Bench:
    """Clients of one test, and what is left of their processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.marker = f"marker-{uuid.uuid4().hex}"
        self.clients: list[InferenceClient] = []

    def settings(self, command: tuple[str, ...], **changes) -> ClientSettings:
        settings = ClientSettings(command=(*command, self.marker), folder=self.folder, threads=1)
        return replace(settings, **changes)

    def client(self, way: str, *arguments: object, **changes) -> tuple[InferenceClient, Heard]:
        """A client of a misbehaving child."""
        command = (sys.executable, str(CHILD), way, *map(str, arguments))
        return self.client_of(*command, **changes)

    def real_client(self) -> tuple[InferenceClient, Heard]:
        """A client of the real process."""
        return self.client_of(*ClientSettings().processCommand())

    def client_of(self, *command: str, **changes) -> tuple[InferenceClient, Heard]:
        """A client of any program."""
        heard = Heard()
        self.clients.append(InferenceClient(heard.callbacks, self.settings(command, **changes)))
        return self.clients[-1], heard

    def processes(self) -> list[int]:
        """Living processes that were started here; not their children."""
        listing = subprocess.run(["ps", "-axww", "-o", "pid=,stat=,args="], capture_output=True, check=True).stdout
        lines = [line.split(None, 2) for line in listing.decode(errors="replace").splitlines()]
        return [int(pid) for pid, state, *words in lines if words and self.marker in words[0] and state[0] != "Z"]

    def left_folders(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("TextGuidedSeg-*"))

    def is_clean(self) -> bool:
        return not self.processes() and not self.left_folders()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Nothing may be left of any process when a test is over."""
    folder = tmp_path / FOLDER
    folder.mkdir()
    made = Bench(folder)
    yield made
    for client in made.clients:
        client.stop()
    assert eventually(made.is_clean, 3.0), (made.processes(), made.left_folders())


@pytest.fixture
def film() -> Image:
    return Image.from_array(chest_film(2, size=(100, 84)).array)


def eventually(condition: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def poll_until(client: InferenceClient, condition: Callable[[], bool], timeout_s: float = LONG_S) -> float:
    """Poll until something is so; seconds that took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_s, f"still {client.state}"
        client.poll()
        time.sleep(0.005)
    return time.monotonic() - started


def is_alive(pid: int) -> bool:
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(done.stdout.strip()) and not done.stdout.strip().startswith("Z")


class TestRequests:
    def test_a_request_goes_through_the_states_and_ends_once(self, bench: Bench, film: Image) -> None:
        client, heard = bench.client("slow")
        assert client.state == "stopped"
        number = client.segment(film, ["left lung opacity", "opacity"])
        assert client.waitUntilIdle(LONG_S)
        assert heard.states == ["starting", "loading", "running", "idle"]
        assert heard.finished == [number]
        assert heard.failures == []
        assert client.loadedModel is not None
        assert (client.loadedModel.model, client.loadedModel.hostMemory.fits) == ("tiny", True)
        assert [(one.stage, one.share) for one in heard.progress] == [
            ("starting", None),
            ("loading model", None),
            ("network", 0.5),
            ("network", 0.5),
        ]
        assert [(one.phraseIndex, one.phraseCount) for one in heard.progress[2:]] == [(0, 2), (1, 2)]

    def test_nothing_is_told_outside_of_poll(self, bench: Bench) -> None:
        client, heard = bench.client("well")
        client.load()
        client.cancel()
        time.sleep(0.3)
        client.stop()
        assert heard == Heard()
        client.poll()
        assert heard.states[-1] == "stopped"
        assert heard.failure.kind == "Cancelled"

    def test_requests_are_answered_in_turn_and_each_tells_its_own_listener(self, bench: Bench) -> None:
        client, heard = bench.client("well")
        other = Heard()
        first, second, third = client.load(), client.load(callbacks=other.callbacks), client.load()
        assert client.waitUntilIdle(LONG_S)
        assert (heard.finished, other.finished) == ([first, third], [second])
        assert len(bench.processes()) == 1

    def test_a_listener_that_fails_does_not_stop_the_others(self, bench: Bench) -> None:
        client, heard = bench.client("well")

        def fail(_number: int) -> None:
            message = "the listener's own fault"
            raise ZeroDivisionError(message)

        client.load(callbacks=Callbacks(onFinished=fail))
        last = client.load()
        with pytest.raises(ZeroDivisionError):
            client.waitUntilIdle(LONG_S)
        assert client.waitUntilIdle(LONG_S)
        assert heard.finished == [last]

    def test_a_listener_may_ask_again_cancel_and_let_the_timer_run(self, bench: Bench) -> None:
        client, heard = bench.client("well")

        def again(_number: int) -> None:
            client.load()
            client.poll()
            client.cancel()

        client.load(callbacks=Callbacks(onFinished=again))
        assert client.waitUntilIdle(LONG_S)
        assert heard.finished == [2]
        assert client.state == "idle"

    @pytest.mark.parametrize("phrases", [[], "opacity", ()])
    def test_phrases_must_be_a_list(self, phrases, bench: Bench, film: Image) -> None:
        client, _heard = bench.client("well")
        with pytest.raises(ValueError, match="list with at least one phrase"):
            client.segment(film, phrases)
        assert client.state == "stopped"

    @pytest.mark.parametrize("threshold", [0.0, 0.004, 1.0, -1.0, float("nan")])
    def test_a_threshold_out_of_range_is_refused_at_once(self, threshold: float, bench: Bench, film: Image) -> None:
        client, _heard = bench.client("well")
        with pytest.raises(ValueError, match="threshold must be at least"):
            client.segment(film, ["opacity"], threshold=threshold)

    def test_the_library_is_found_and_threads_are_capped(self, bench: Bench) -> None:
        settings = bench.settings(("python",), environment={"PYTHONPATH": "elsewhere", "HOME": "home"})
        environment = settings.processEnvironment()
        assert environment["PYTHONPATH"] == os.pathsep.join([str(ROOT), "elsewhere"])
        assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "1"
        assert environment["HOME"] == "home"
        assert "OMP_NUM_THREADS" not in ClientSettings(environment={}).processEnvironment()


class TestRemainingTime:
    def test_it_is_what_the_rest_takes_at_the_same_pace(self) -> None:
        assert secondsLeft(2.0, 0.5) == 2.0
        assert secondsLeft(9.0, 0.9) == pytest.approx(1.0)
        assert secondsLeft(3.0, 1.0) == 0.0

    def test_nothing_is_promised_at_the_very_beginning(self) -> None:
        assert secondsLeft(1.0, 0.0) is None
        assert secondsLeft(1.0, 0.04) is None


class TestCancel:
    @pytest.mark.parametrize("way", ["silent", "run_on", "deaf", "hang"])
    def test_in_every_phase_it_takes_less_than_a_second(self, way: str, bench: Bench) -> None:
        client, heard = bench.client(way)
        number = client.load()
        poll_until(client, lambda: client.state == {"silent": "starting", "hang": "loading"}.get(way, "running"))
        client.cancel()
        client.cancel()
        assert client.state == "cancelling"
        assert poll_until(client, lambda: not client.isBusy) < 1.0
        assert heard.failure == Failure(number, None, "Cancelled", "Cancelled.")
        assert heard.finished == [number]
        assert client.state == "stopped"
        assert eventually(bench.is_clean, 0.5)

    def test_it_takes_the_children_of_the_process_along(self, bench: Bench, tmp_path: Path) -> None:
        client, _heard = bench.client("family", tmp_path / "pid")
        client.load()
        poll_until(client, (tmp_path / "pid").exists)
        poll_until(client, lambda: client.state == "running")
        child = int((tmp_path / "pid").read_text())
        assert is_alive(child)
        client.cancel()
        assert poll_until(client, lambda: not client.isBusy) < 1.0
        assert eventually(lambda: not is_alive(child), 0.5)

    def test_what_waits_is_cancelled_too_and_a_request_after_it_is_answered(self, bench: Bench) -> None:
        client, heard = bench.client("run_on")
        first, second = client.load(), client.load()
        poll_until(client, lambda: client.state == "running")
        client.cancel()
        third = client.load()
        poll_until(client, lambda: client.state == "starting")
        assert [one.requestId for one in heard.failures] == [second, first]
        assert heard.finished == [second, first]
        client.cancel()
        assert client.waitUntilIdle(LONG_S)
        assert heard.finished == [second, first, third]

    def test_without_anything_to_cancel_nothing_happens(self, bench: Bench) -> None:
        client, heard = bench.client("well")
        client.cancel()
        assert not client.isBusy
        client.load()
        assert client.waitUntilIdle(LONG_S)
        client.cancel()
        client.poll()
        assert client.state == "idle"
        assert heard.failures == []


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

    def test_a_result_without_its_files_is_one_sentence(self, bench: Bench, film: Image) -> None:
        client, heard = bench.client("lose")
        number = client.segment(film, ["opacity"])
        assert client.waitUntilIdle(LONG_S)
        assert (heard.failure.requestId, heard.failure.phraseIndex, heard.failure.kind) == (number, 0, "OSError")
        assert "lost.npy" in heard.failure.sentence
        assert heard.finished == [number]

    def test_an_image_that_cannot_be_written_is_one_sentence(self, bench: Bench, film: Image) -> None:
        client, heard = bench.client("well")
        client.load()
        assert client.waitUntilIdle(LONG_S)
        (private,) = bench.left_folders()
        (bench.folder / private).rename(bench.folder / "moved")
        number = client.segment(film, ["opacity"])
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


class TestNeverWaits:
    def test_no_call_stops_the_caller_even_with_a_large_volume(self, bench: Bench) -> None:
        client, _heard = bench.client("well")
        volume = Image.from_array(np.zeros((512, 512, 150), np.int16, order="F"), np.eye(4))
        longest: dict[str, float] = {}

        def timed(name: str, call: Callable[[], object]) -> None:
            started = time.perf_counter()
            call()
            longest[name] = max(longest.get(name, 0.0), time.perf_counter() - started)

        timed("segment", lambda: client.segment(volume, ["opacity"]))
        while client.isBusy:
            timed("poll", client.poll)
            time.sleep(0.005)
        timed("segment", lambda: client.segment(volume, ["opacity"]))
        timed("cancel", client.cancel)
        timed("stop", client.stop)
        # A few milliseconds each; what is above is the machine's other work.
        assert max(longest.values()) < 0.1, longest

    def test_silence_is_counted_only_while_somebody_listens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        monkeypatch.setattr(time, "monotonic", lambda: now[0])
        watch = SilenceWatch()
        watch.restart()
        assert watch.silenceS(lastHeard=99.0) == 0.0
        for seconds, expected in ((0.5, 0.5), (0.25, 0.75), (3600.0, 1.75)):
            now[0] += seconds
            assert watch.silenceS(lastHeard=99.0) == expected
        now[0] += 0.5
        assert watch.silenceS(lastHeard=now[0]) == 0.0


class TestRealProcess:
    def test_a_phrase_is_answered_then_warm_then_cancelled_then_released(
        self, bench: Bench, film: Image, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One test, because loading torch takes seconds."""
        handed_over: list[str] = []

        def counting_write(folder: Path, name: str, image: Image) -> dict:
            handed_over.append(name)
            return write_image(folder, name, image)

        monkeypatch.setattr(inferenceProcess, "write_image", counting_write)
        client, heard = bench.real_client()
        model = str(tiny_model)
        number = client.segment(film, ["left lung opacity", " "], signature="film", model=model, threshold=0.3)
        assert client.waitUntilIdle(90.0)
        assert heard.states == ["starting", "loading", "running", "idle"]
        (result,) = heard.results
        assert (result.requestId, result.phraseIndex, result.phrase) == (number, 0, "left lung opacity")
        assert (result.threshold, result.device, result.model) == (0.3, "cpu", "tiny-film")
        assert result.geometry.close_to(film.geometry)
        assert result.probability.shape == result.pseudoImage.shape == film.geometry.shape
        assert 0.0 < result.probability.whole().max() <= 1.0
        assert result.tags["TextGuidedSeg.Phrase"] == "left lung opacity"
        assert (heard.failure.phraseIndex, heard.failure.kind) == (1, "PhraseError")
        shares = [one.share for one in heard.progress if one.share is not None]
        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (0.0, 0.5)
        assert client.loadedModel.threads == 1
        self.second_phrase_sends_no_voxels(client, heard, film, model)
        self.cancel_keeps_the_process(client, heard, film, model)
        assert handed_over == ["1-image"]
        self.release_forgets_the_image(client, heard, film, model)
        assert len(handed_over) == 2
        (private,) = bench.left_folders()
        assert [path.name for path in (bench.folder / private).iterdir()] == ["owner.lock"]

    def second_phrase_sends_no_voxels(self, client: InferenceClient, heard: Heard, film: Image, model: str) -> None:
        client.segment(film, ["left lung opacity"], signature="film", model=model, threshold=0.3)
        assert client.waitUntilIdle(LONG_S)
        first, second = heard.results
        np.testing.assert_array_equal(first.probability.whole(), second.probability.whole())
        assert heard.states[-2:] == ["running", "idle"]

    def cancel_keeps_the_process(self, client: InferenceClient, heard: Heard, film: Image, model: str) -> None:
        seen = len(heard.results)
        client.segment(film, [f"{count} opacities" for count in range(2, 2000)], signature="film", model=model)
        poll_until(client, lambda: len(heard.results) > seen)
        client.cancel()
        assert poll_until(client, lambda: not client.isBusy) < 1.0
        assert heard.failures[-1].kind == "Cancelled"
        assert client.state == "idle"
        left = [one.secondsLeft for one in heard.progress if one.secondsLeft is not None]
        assert all(seconds >= 0 for seconds in left)

    def release_forgets_the_image(self, client: InferenceClient, heard: Heard, film: Image, model: str) -> None:
        client.release()
        assert client.waitUntilIdle(LONG_S)
        seen = len(heard.results)
        client.segment(film, ["right lung opacity"], signature="film", model=model)
        assert client.waitUntilIdle(LONG_S)
        assert len(heard.results) == seen + 1

    def test_it_is_cancelled_while_it_loads_torch(self, bench: Bench, tiny_model: Path) -> None:
        client, heard = bench.real_client()
        client.load(str(tiny_model))
        poll_until(client, lambda: any(one.stage == "loading libraries" for one in heard.progress))
        time.sleep(0.3)
        client.cancel()
        assert poll_until(client, lambda: not client.isBusy) < 1.0
        assert heard.failure.kind == "Cancelled"
        assert eventually(bench.is_clean, 1.0)


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights, in a folder whose name is not plain."""
    from Testing.lib.tiny import write_model  # loads torch, which the other tests do without

    return write_model(tmp_path_factory.mktemp("Modelle ü") / "tiny-film")
