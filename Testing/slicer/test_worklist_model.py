"""The worklist's model and its state file: no decision is lost, order and times hold."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from TextGuidedSegPanel.worklist import DECISIONS, STATES, Case, CasePhrase, Worklist, WorklistError
from TextGuidedSegPanel.worklistFile import StateFile

from TextGuidedSegLib.errors import ImageError

ROOT = Path(__file__).resolve().parents[2]
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "list.worklist.json"


def three() -> list[Case]:
    return [Case(f"film_{number}.png", (CasePhrase("left lung"),)) for number in range(3)]


def reopened(path: Path, cases: list[Case] | None = None) -> Worklist:
    store = StateFile(path)
    known = store.read()
    return Worklist(cases or three(), store, known)


cases_strategy = st.builds(
    Case,
    image=TEXT,
    phrases=st.lists(st.builds(CasePhrase, text=TEXT, mask=TEXT), max_size=3).map(tuple),
    state=st.sampled_from(STATES),
    sentence=TEXT,
    seconds=st.floats(0, 1e5).map(lambda one: round(one, 1)),
    isEdited=st.booleans(),
    decided=TEXT,
    segmentation=TEXT,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(cases_strategy, max_size=5, unique_by=lambda case: case.key))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, cases: list[Case]) -> None:
    path = tmp_path_factory.mktemp("state") / "a.worklist.json"
    StateFile(path).write(cases)
    store = StateFile(path)
    assert store.read() == cases
    assert store.notice == ""


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_garbled_file_is_kept_aside_and_every_whole_line_is_kept(tmp_path_factory, data) -> None:
    folder = tmp_path_factory.mktemp("state")
    path = folder / "a.worklist.json"
    cases = [replace(case, state="accepted", decided="2026") for case in three()]
    StateFile(path).write(cases)
    content = path.read_bytes()
    cut = data.draw(st.integers(1, len(content) - 5))
    path.write_bytes(content[:cut])
    store = StateFile(path)
    found = store.read()
    assert found == cases[: len(found)]
    assert len(found) >= content[:cut].count(b"\n") - 1
    (aside,) = folder.glob("a.worklist.json.damaged-*")
    assert aside.read_bytes() == content[:cut]
    assert aside.name in store.notice
    assert f"{len(found)} of its cases" in store.notice
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b'{"format": "other", "version": 1, "cases": []}'])
def test_what_is_no_state_file_is_kept_aside_too(state: Path, content: bytes) -> None:
    state.write_bytes(content)
    worklist = reopened(state)
    assert [case.state for case in worklist.cases] == ["waiting"] * 3
    (aside,) = state.parent.glob("*.damaged-*")
    assert aside.read_bytes() == content


def test_a_file_of_a_newer_version_is_refused_and_untouched(state: Path) -> None:
    content = json.dumps({"format": "TextGuidedSeg worklist", "version": 2, "cases": []})
    state.write_text(content, encoding="utf-8")
    with pytest.raises(WorklistError, match=r"newer version .* update the extension"):
        StateFile(state).read()
    assert state.read_text(encoding="utf-8") == content


def test_a_decision_is_on_disk_when_the_call_returns(state: Path) -> None:
    worklist = reopened(state)
    for index, decision in enumerate(("accepted", "rejected")):
        worklist.open(index)
        worklist.keep(f"{index}.seg.nrrd", isEdited=True)
        worklist.decide(decision)
        assert reopened(state).cases[index].state == decision
    accepted, rejected, waiting = reopened(state).cases
    assert (accepted.segmentation, accepted.isEdited) == ("0.seg.nrrd", True)
    assert (rejected.segmentation, rejected.isEdited) == ("", False)
    assert waiting == three()[2]


CHILD = """
import sys
sys.path.insert(0, "TextGuidedSeg")
from pathlib import Path
from TextGuidedSegPanel.worklist import Case, Worklist
from TextGuidedSegPanel.worklistFile import StateFile
worklist = Worklist([Case(f"{index}.png") for index in range(200)], StateFile(Path(sys.argv[1])))
for turn in range(1000):
    worklist.open(turn % 200)
    worklist.decide("rejected" if turn // 200 % 2 else "accepted")
    print(turn, flush=True)
"""


@pytest.mark.parametrize("after", [1, 37, 230])
def test_a_process_killed_while_it_writes_loses_nothing_it_had_said_was_done(state: Path, after: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(state)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(after):
        child.stdout.readline()
    child.kill()
    done = after + len(child.stdout.read().split("\n")) - 1
    child.wait()
    store = StateFile(state)
    states = [case.state for case in store.read()]
    assert store.notice == ""
    for turn in range(max(0, done - 200), done):
        expected = {("rejected" if turn // 200 % 2 else "accepted")}
        # The decision after the last that was told may be there or not.
        expected |= {"rejected", "accepted"} if turn + 200 in (done, done + 1) else set()
        assert states[turn % 200] in expected


def test_a_decision_that_the_disk_does_not_take_is_told_and_is_none(state: Path, monkeypatch) -> None:
    worklist = reopened(state)
    worklist.open(0)
    worklist.decide("accepted")
    worklist.open(1)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _file: (_ for _ in ()).throw(OSError("no space left on device")))
        with pytest.raises(ImageError, match="no space left"):
            worklist.decide("rejected")
    for one in (worklist, reopened(state)):
        assert [case.state for case in one.cases] == ["accepted", "waiting", "waiting"]
    worklist.decide("rejected")
    assert [case.state for case in reopened(state).cases] == ["accepted", "rejected", "waiting"]
    assert list(state.parent.glob(".*")) == []


def test_two_people_on_one_list_lose_no_decision_of_each_other(state: Path) -> None:
    first, second = reopened(state), reopened(state)
    for worklist, index, decision in ((first, 0, "accepted"), (second, 1, "rejected"), (first, 2, "accepted")):
        worklist.open(index)
        worklist.decide(decision)
    assert [case.state for case in reopened(state).cases] == ["accepted", "rejected", "accepted"]
    second.open(0)
    second.decide("rejected")  # the later one of two holds
    first.save()
    assert reopened(state).cases[0].state == first.cases[0].state == "rejected"


def test_a_case_that_left_the_list_keeps_its_decision_until_it_is_back(state: Path) -> None:
    worklist = reopened(state)
    worklist.open(1)
    worklist.decide("accepted")
    shorter = reopened(state, [three()[2], three()[0], Case("new.png")])
    assert [case.image for case in shorter.cases] == ["film_2.png", "film_0.png", "new.png"]
    shorter.open(2)
    shorter.decide("rejected")
    assert [case.state for case in reopened(state).cases] == ["waiting", "accepted", "waiting"]


def test_other_phrases_on_an_image_are_another_case(state: Path) -> None:
    worklist = reopened(state)
    worklist.open(0)
    worklist.decide("accepted")
    other = reopened(state, [Case("film_0.png", (CasePhrase("right lung"),))])
    assert [case.state for case in other.cases] == ["waiting"]


def test_the_time_of_a_case_adds_up_over_its_visits(state: Path, clock: Clock) -> None:
    worklist = Worklist(three(), StateFile(state), clock=clock)
    for index, seconds in ((0, 10), (1, 5), (0, 7.5)):
        worklist.open(index)
        clock.seconds += seconds
    worklist.decide("accepted")
    clock.seconds += 100  # still open after the decision
    worklist.leave()
    worklist.open(0)
    clock.seconds += 1000  # a later look
    worklist.leave()
    assert [case.seconds for case in worklist.cases] == [17.5, 5, 0]
    assert [case.seconds for case in reopened(state).cases] == [17.5, 5, 0]
    worklist.open(0)
    clock.seconds += 2
    worklist.decide("rejected")  # after all
    assert worklist.cases[0].seconds == 19.5


def test_progress_takes_the_median_so_that_a_break_does_not_count(clock: Clock) -> None:
    worklist = Worklist([Case(f"{index}.png") for index in range(10)], clock=clock)
    assert (worklist.progress.secondsACase, worklist.progress.secondsLeft) == (None, None)
    for index, seconds in enumerate((30, 34, 3600)):
        worklist.open(index)
        clock.seconds += seconds
        worklist.decide("accepted")
    worklist.open(3)
    worklist.note("failed", "cut off")
    progress = worklist.progress
    assert (progress.done, progress.total, progress.secondsACase, progress.secondsLeft) == (4, 10, 34, 6 * 34)


def test_the_next_open_case_is_looked_for_from_here_and_then_from_the_start() -> None:
    worklist = Worklist(three())
    assert worklist.nextOpen() == 0
    worklist.open(2)
    worklist.decide("rejected")
    assert worklist.nextOpen() == 0
    worklist.open(0)
    worklist.note("failed", "cut off")
    assert worklist.nextOpen() == 1
    worklist.open(1)
    assert worklist.nextOpen() == 1
    worklist.decide("accepted")
    assert worklist.nextOpen() is None


@pytest.mark.parametrize("decision", DECISIONS)
def test_a_decision_stands_whatever_a_later_look_finds(decision: str) -> None:
    worklist = Worklist(three())
    worklist.open(0)
    worklist.decide(decision)
    worklist.note("failed", "cut off")
    assert worklist.cases[0].state == decision


def test_without_an_open_case_nothing_is_decided() -> None:
    worklist = Worklist(three())
    with pytest.raises(WorklistError, match="no case is open"):
        worklist.decide("accepted")
    with pytest.raises(WorklistError, match="no case 4 in a list of 3"):
        worklist.open(3)
