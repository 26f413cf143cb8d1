"""The inference process for real, at the other end of its stdin and stdout."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Testing.lib import tiny
from Testing.lib.child import WORKER, Child
from TextGuidedSegLib import __version__
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.phantom import chest_film
from TextGuidedSegLib.worker_protocol import FLOOR, read_array, read_geometry, write_image

# What a fault of a library, or a slow one, looks like: the first thing that a request touches is replaced.
REPLACED = """
import os, sys, threading, time
import TextGuidedSegLib.worker as worker
def find_model(name):
{body}
worker.find_model = find_model
worker.main()
"""
LOAD_S = 90.0

MakeChild = Callable[..., Child]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[MakeChild]:
    """Start processes that do not outlive the test."""
    children: list[Child] = []

    def make(*, instead_of_finding_the_model: str | None = None, **options: Any) -> Child:
        folder = tmp_path / f"Ärzte & Büro {len(children)}"
        folder.mkdir()
        body = instead_of_finding_the_model
        code = body and REPLACED.format(body="\n".join(f"    {line}" for line in body.splitlines()))
        child = Child(folder, ("-c", code) if code else WORKER, **options)
        children.append(child)
        return child

    yield make
    for child in children:
        child.process.kill()
        child.process.wait()


@pytest.fixture(scope="module")
def film() -> Image:
    return tiny.film_image(chest_film(2, size=(100, 84)).array)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Child]:
    """One process with the tiny model loaded, for all tests that need a network."""
    folder = tmp_path_factory.mktemp("Büro ü")
    child = Child(folder)
    child.say(cmd="load", id=1000, model=str(tiny_model), device="cpu")
    child.wait_for("done", LOAD_S, id=1000)
    yield child
    assert child.end() == 0


@pytest.fixture
def ask(warm: Child, film: Image, tiny_model: Path) -> Callable[..., int]:
    """Ask the warm process for phrases; returns the request's number."""

    def make(*phrases: str, image: Image | None = film, key: str = "film", **changes: Any) -> int:
        request = ask_counter()
        entry = {"key": key, **(write_image(warm.folder, f"{request}-image", image) if image else {})}
        values = {"threshold": None, "model": str(tiny_model), "device": "cpu", **changes}
        warm.say(cmd="segment", id=request, image=entry, phrases=phrases, **values)
        return request

    return make


_asked = iter(range(1, 1000))


def ask_counter() -> int:
    return next(_asked)


class TestLoading:
    def test_it_says_what_it_is(self, start: MakeChild) -> None:
        child = start()
        ready = child.wait_for("ready")
        assert ready["pid"] == child.process.pid
        assert ready["version"] == __version__
        assert ready["memory_available_bytes"] is None or ready["memory_available_bytes"] > 1 << 20

    def test_loading_is_told_with_device_threads_and_memory(self, warm: Child) -> None:
        told = warm.about(1000)
        assert [(one["event"], one.get("stage")) for one in told] == [
            ("loading", "libraries"),
            ("loading", "model"),
            ("loaded", None),
            ("done", None),
        ]
        loaded = told[2]
        assert (loaded["model"], loaded["device"], loaded["threads"]) == ("tiny-film", "cpu", 1)
        assert loaded["memory"]["gpu"] is None
        assert loaded["memory"]["host"]["needed_bytes"] > 100 << 20

    def test_an_unknown_model_is_refused_before_torch_is_loaded(self, start: MakeChild) -> None:
        child = start()
        child.say(cmd="load", id=1, model="no-such-model", device="cpu")
        error = child.wait_for("error", 5.0)
        assert (error["id"], error["index"], error["kind"]) == (1, None, "WeightsError")
        assert "no-such-model" in error["sentence"]
        child.wait_for("done", id=1)
        assert not any(one["event"] == "loading" for one in child.events)

    def test_a_package_that_is_missing_is_told_apart(self, start: MakeChild) -> None:
        child = start(instead_of_finding_the_model='sys.modules["torch"] = None')
        child.say(cmd="load", id=1, model="any", device="cpu")
        error = child.wait_for("error")
        assert error["kind"] == "ImportError"
        assert "torch" in error["sentence"]
        assert "install the required packages again" in error["sentence"]


class TestAnswers:
    def test_a_result_is_what_the_segmenter_gives(
        self, warm: Child, ask: Callable[..., int], film: Image, tiny_model: Path
    ) -> None:
        request = ask("left lung opacity", threshold=0.25)
        told = warm.wait_for("result", id=request)
        alone = Segmenter(str(tiny_model), device="cpu")
        alone.set_image(film)
        expected = alone.segment("left lung opacity", threshold=0.25)
        for name, array in (("probability", expected.probability), ("pseudo_image", expected.pseudo_image)):
            found = read_array(warm.folder, told[name]).whole()
            inside = array >= FLOOR
            np.testing.assert_allclose(found[inside], array[inside], atol=1e-5)
            assert (found[~inside] < FLOOR).all()
        assert read_geometry(told["geometry"]).close_to(film.geometry, 0.0)
        assert told["presence"] == pytest.approx(expected.presence, abs=1e-6)
        assert (told["answer"], told["threshold"], told["device"]) == (expected.answer, 0.25, "cpu")
        assert told["tags"]["TextGuidedSeg.Phrase"] == told["phrase"] == "left lung opacity"
        warm.wait_for("done", id=request)
        assert warm.files() == []

    def test_the_image_is_kept_for_the_next_phrase(self, warm: Child, ask: Callable[..., int]) -> None:
        first = ask("left lung opacity", key="kept")
        warm.wait_for("done", id=first)
        second = ask("right lung opacity", image=None, key="kept")
        warm.wait_for("done", id=second)
        arrays = [
            read_array(warm.folder, one[name]).whole()
            for request in (first, second)
            for one in warm.about(request)
            if one["event"] == "result"
            for name in ("probability", "pseudo_image")
        ]
        assert len(arrays) == 4
        assert not np.array_equal(arrays[0], arrays[2])
        assert warm.files() == []

    def test_an_image_it_does_not_hold_is_asked_for(self, warm: Child, ask: Callable[..., int]) -> None:
        request = ask("left lung opacity", image=None, key="never seen")
        warm.wait_for("need_image", id=request)
        assert [one["event"] for one in warm.about(request)] == ["need_image"]

    def test_a_bad_phrase_does_not_stop_the_others(self, warm: Child, ask: Callable[..., int]) -> None:
        request = ask("left lung opacity", "   ", "no opacity")
        warm.wait_for("done", id=request)
        told = [one for one in warm.about(request) if one["event"] in ("result", "error", "done")]
        assert [(one["event"], one.get("index")) for one in told] == [
            ("result", 0),
            ("error", 1),
            ("result", 2),
            ("done", None),
        ]
        assert told[1]["kind"] == "PhraseError"
        assert told[2]["answer"] == "negated"
        shares = [one["share"] for one in warm.about(request) if one["event"] == "progress"]
        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (0.0, 1.0)
        for result in (told[0], told[2]):
            read_array(warm.folder, result["probability"])
            read_array(warm.folder, result["pseudo_image"])

    def test_an_image_that_does_not_fit_the_model_is_one_sentence(self, warm: Child, ask: Callable[..., int]) -> None:
        volume = Image.from_array(np.zeros((20, 20, 20), np.int16), np.eye(4))
        request = ask("left lung opacity", image=volume, key="volume")
        error = warm.wait_for("error", id=request)
        assert error["kind"] == "ImageError"
        assert "Choose another model or image" in error["sentence"]
        warm.wait_for("done", id=request)

    def test_a_file_that_is_not_there_is_one_sentence(self, warm: Child, tiny_model: Path, film: Image) -> None:
        entry = {"key": "gone", **write_image(warm.folder, "gone", film)}
        (warm.folder / "gone.npy").unlink()
        warm.say(
            cmd="segment", id=2000, image=entry, phrases=["x"], threshold=None, model=str(tiny_model), device="cpu"
        )
        error = warm.wait_for("error", id=2000)
        assert error["kind"] == "OSError"
        assert "gone.npy" in error["sentence"]

    def test_released_it_asks_for_the_image_again_and_goes_on(
        self, warm: Child, ask: Callable[..., int], tiny_model: Path
    ) -> None:
        warm.wait_for("done", id=ask("left lung opacity", key="before"))
        warm.say(cmd="release")
        warm.wait_for("released", reason="asked for")
        warm.wait_for("need_image", id=ask("left lung opacity", image=None, key="before"))
        again = ask("left lung opacity", key="before")
        warm.wait_for("done", id=again)
        assert [one["event"] for one in warm.about(again)][:3] == ["loading", "loading", "loaded"]
        for path in warm.folder.iterdir():
            path.unlink()


class TestCancel:
    def test_a_run_is_cancelled_within_a_second_and_the_next_one_is_answered(
        self, warm: Child, ask: Callable[..., int]
    ) -> None:
        request = ask(*(f"{count} opacities" for count in range(2, 2000)))
        warm.wait_for("result", id=request)
        started = time.monotonic()
        warm.say(cmd="cancel", id=request)
        warm.wait_for("cancelled", id=request)
        assert time.monotonic() - started < 1.0
        following = ask("left lung opacity")
        warm.wait_for("done", id=following)
        events = [one["event"] for one in warm.about(request)]
        assert events[-1] == "cancelled"
        assert "error" not in events
        for path in warm.folder.iterdir():
            path.unlink()

    def test_a_cancel_that_comes_too_late_harms_nobody(self, warm: Child, ask: Callable[..., int]) -> None:
        warm.say(cmd="cancel", id=1000)
        warm.wait_for("done", id=ask(" "))


class TestPrivateLine:
    def test_what_libraries_print_never_reaches_the_protocol(self, start: MakeChild) -> None:
        child = start(
            instead_of_finding_the_model='print("Loading weights:  50%", end="")\n'
            'os.write(1, b"{\\"event\\": \\"done\\", \\"id\\": 1}\\n")\n'
            'os.system("echo from a child of its own")\n'
            'raise ValueError("broken\\n\\"library\\"")'
        )
        child.say(cmd="load", id=7, model="any", device="cpu")
        error = child.wait_for("error")
        assert (error["id"], error["kind"]) == (7, "InternalError")
        assert 'ValueError: broken "library"' in error["sentence"]
        child.wait_for("done", id=7)
        assert child.end() == 0
        assert child.nonsense == []
        assert not any(one.get("id") == 1 for one in child.events)
        printed = b"".join(child.printed)
        assert all(words in printed for words in (b"50%", b'{"event": "done", "id": 1}', b"from a child of its own"))
        assert any(one["event"] == "log" and "Traceback" in one["text"] for one in child.events)

    def test_a_library_that_reads_stdin_finds_nothing_there(self, start: MakeChild) -> None:
        child = start(instead_of_finding_the_model="raise ValueError(repr(os.read(0, 10)))")
        child.say(cmd="load", id=1, model="any", device="cpu")
        assert "b''" in child.wait_for("error")["sentence"]

    @pytest.mark.parametrize(
        ("line", "kind", "text"),
        [
            (b"no json\n", "log", "no command"),
            (b'{"event": "ready"}\n', "log", "no command"),
            (b'{"cmd": "dance", "id": 3}\n', "error", "there is no command 'dance'"),
            (b'{"cmd": "load", "id": 3}\n', "error", "KeyError"),
        ],
    )
    def test_nonsense_is_answered_and_survived(self, line: bytes, kind: str, text: str, start: MakeChild) -> None:
        child = start()
        child.process.stdin.write(line)
        child.process.stdin.flush()
        told = child.wait_for(kind)
        assert text in told.get("sentence", told.get("text"))
        child.say(cmd="release")
        child.wait_for("released")


class TestLifetime:
    def test_it_gives_signs_of_life_and_ends_with_its_parent_while_its_main_thread_is_busy(
        self, start: MakeChild
    ) -> None:
        child = start(instead_of_finding_the_model="threading.Event().wait()")
        child.wait_for("ready")
        (child.folder / "1-image.npy").write_bytes(b"secret")
        child.say(cmd="load", id=1, model="any", device="cpu")
        started = time.monotonic()
        for _ in range(3):
            child.wait_for("heartbeat", 3.0)
        assert time.monotonic() - started < 5.0
        started = time.monotonic()
        assert child.end() == 0
        assert time.monotonic() - started < 1.0
        assert not child.folder.exists()

    def test_it_quits_when_told(self, start: MakeChild) -> None:
        child = start()
        child.wait_for("ready")
        child.say(cmd="quit")
        assert child.process.wait(5) == 0

    def test_idle_it_releases_then_leaves(self, start: MakeChild, film: Image) -> None:
        child = start(idle_release_s=0.3, idle_exit_s=0.3)
        entry = {"key": "film", **write_image(child.folder, "1-image", film)}
        child.say(cmd="segment", id=1, image=entry, phrases=["x"], threshold=None, model="none", device="cpu")
        child.wait_for("done", id=1)
        assert child.files() == []
        child.wait_for("released", reason="idle")
        child.wait_for("bye", reason="idle")
        assert child.process.wait(5) == 0

    def test_without_anything_to_release_it_says_nothing_about_it(self, start: MakeChild) -> None:
        child = start(idle_release_s=0.05, idle_exit_s=0.05)
        child.wait_for("bye")
        assert child.process.wait(5) == 0
        assert not any(one["event"] == "released" for one in child.events)

    def test_a_parent_that_no_longer_listens_does_not_make_it_fail(self, start: MakeChild) -> None:
        child = start(is_heard=False)
        child.say(cmd="load", id=1, model="none", device="cpu")
        time.sleep(1.5)
        assert child.process.poll() is None
        assert child.end() == 0


def test_every_event_is_one_line_of_plain_ascii(warm: Child) -> None:
    assert warm.nonsense == []
    assert all(json.dumps(one).isascii() for one in warm.events)
