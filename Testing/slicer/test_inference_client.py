"""The panel's end of the inference process: never waits, survives whatever the process does, leaves nothing behind.

Needs no Slicer. Most tests talk to `misbehaving_child.py`; a few to the real process with a tiny model.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from TextGuidedSegPanel import inferenceProcess
from TextGuidedSegPanel.inferenceClient import InferenceClient
from TextGuidedSegPanel.inferenceRecords import Callbacks, Failure, secondsLeft
from TextGuidedSegPanel.inferenceSettings import ClientSettings
from TextGuidedSegPanel.silenceWatch import SilenceWatch

from Testing.slicer.process_bench import (
    LONG_S,
    ROOT,
    Bench,
    Heard,
    eventually,
    is_alive,
    poll_until,
)
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.worker_protocol import write_image


class TestRequests:
    def test_a_request_goes_through_the_states_and_ends_once(self, bench: Bench, chest: Image) -> None:
        client, heard = bench.client("slow")
        assert client.state == "stopped"
        number = client.segment(chest, ["left lung opacity", "opacity"])
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
    def test_phrases_must_be_a_list(self, phrases, bench: Bench, chest: Image) -> None:
        client, _heard = bench.client("well")
        with pytest.raises(ValueError, match="list with at least one phrase"):
            client.segment(chest, phrases)
        assert client.state == "stopped"

    @pytest.mark.parametrize("threshold", [0.0, 0.004, 1.0, -1.0, float("nan")])
    def test_a_threshold_out_of_range_is_refused_at_once(self, threshold: float, bench: Bench, chest: Image) -> None:
        client, _heard = bench.client("well")
        with pytest.raises(ValueError, match="threshold must be at least"):
            client.segment(chest, ["opacity"], threshold=threshold)

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
        self, bench: Bench, chest: Image, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One test, because loading torch takes seconds."""
        handed_over: list[str] = []

        def counting_write(folder: Path, name: str, image: Image) -> dict:
            handed_over.append(name)
            return write_image(folder, name, image)

        monkeypatch.setattr(inferenceProcess, "write_image", counting_write)
        client, heard = bench.real_client()
        model = str(tiny_model)
        number = client.segment(chest, ["left lung opacity", " "], signature="film", model=model, threshold=0.3)
        assert client.waitUntilIdle(90.0)
        assert heard.states == ["starting", "loading", "running", "idle"]
        (result,) = heard.results
        assert (result.requestId, result.phraseIndex, result.phrase) == (number, 0, "left lung opacity")
        assert (result.threshold, result.device, result.model) == (0.3, "cpu", "tiny-film")
        assert result.geometry.close_to(chest.geometry)
        assert result.probability.shape == result.pseudoImage.shape == chest.geometry.shape
        assert 0.0 < result.probability.whole().max() <= 1.0
        assert result.tags["TextGuidedSeg.Phrase"] == "left lung opacity"
        assert (heard.failure.phraseIndex, heard.failure.kind) == (1, "PhraseError")
        shares = [one.share for one in heard.progress if one.share is not None]
        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (0.0, 0.5)
        assert client.loadedModel.threads == 1
        self.second_phrase_sends_no_voxels(client, heard, chest, model)
        self.cancel_keeps_the_process(client, heard, chest, model)
        assert handed_over == ["1-image"]
        self.release_forgets_the_image(client, heard, chest, model)
        assert len(handed_over) == 2
        (private,) = bench.left_folders()
        assert [path.name for path in (bench.folder / private).iterdir()] == ["owner.lock"]

    def second_phrase_sends_no_voxels(self, client: InferenceClient, heard: Heard, chest: Image, model: str) -> None:
        client.segment(chest, ["left lung opacity"], signature="film", model=model, threshold=0.3)
        assert client.waitUntilIdle(LONG_S)
        first, second = heard.results
        np.testing.assert_array_equal(first.probability.whole(), second.probability.whole())
        assert heard.states[-2:] == ["running", "idle"]

    def cancel_keeps_the_process(self, client: InferenceClient, heard: Heard, chest: Image, model: str) -> None:
        seen = len(heard.results)
        client.segment(chest, [f"{count} opacities" for count in range(2, 2000)], signature="film", model=model)
        poll_until(client, lambda: len(heard.results) > seen)
        client.cancel()
        assert poll_until(client, lambda: not client.isBusy) < 1.0
        assert heard.failures[-1].kind == "Cancelled"
        assert client.state == "idle"
        left = [one.secondsLeft for one in heard.progress if one.secondsLeft is not None]
        assert all(seconds >= 0 for seconds in left)

    def release_forgets_the_image(self, client: InferenceClient, heard: Heard, chest: Image, model: str) -> None:
        client.release()
        assert client.waitUntilIdle(LONG_S)
        seen = len(heard.results)
        client.segment(chest, ["right lung opacity"], signature="film", model=model)
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
