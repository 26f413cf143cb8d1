"""The annotators' worklist: cases in their order, what was decided about each, how long it took; no scene, no Qt."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from TextGuidedSegLib.errors import TextGuidedSegError

STATES = ("waiting", "proposed", "unanswered", "failed", "accepted", "rejected")
"""Not looked at; a segment to judge; no segment for any phrase; image or run failed; and the two decisions."""

DECISIONS = ("accepted", "rejected")
_DONE = (*DECISIONS, "failed")


class WorklistError(TextGuidedSegError):
    """A list, its state, its label map or an export cannot be used; the message says what to do."""


@dataclass(frozen=True)
class CasePhrase:
    """What is to be segmented on an image.

    Attributes:
        text: The phrase.
        mask: File with a mask to correct, as the list names it; empty to ask the model.
        columns: The other columns of the list's row. They are the list's, so the state file does not repeat them.
    """

    text: str
    mask: str = ""
    columns: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Case:
    """One image of the list.

    Attributes:
        image: Image file as the list names it (relative to the list, or absolute), or the name of a loaded volume.
        phrases: What is to be segmented.
        state: One of `STATES`.
        sentence: For people: what the model answered, or what went wrong.
        seconds: Time the case was open before it was decided, over all visits.
        isEdited: Whether the segments differ from what was proposed.
        decided: When it was decided, ISO 8601 in UTC; empty before.
        segmentation: File with the segments as they are now, in the list's own folder; empty for none.
    """

    image: str
    phrases: tuple[CasePhrase, ...] = ()
    state: str = "waiting"
    sentence: str = ""
    seconds: float = 0.0
    isEdited: bool = False
    decided: str = ""
    segmentation: str = ""

    @property
    def key(self) -> tuple[str, tuple[CasePhrase, ...]]:
        """What makes a case the same one when the list is opened again."""
        return self.image, self.phrases


@dataclass(frozen=True)
class WorklistProgress:
    """How far the list is.

    Attributes:
        done: Cases that need no one any more: decided, or failed.
        total: All cases.
        secondsACase: Median of the decided cases, so that a break for lunch does not count; None before the first.
        secondsLeft: For the cases that are left; None before the first decision.
    """

    done: int
    total: int
    secondsACase: float | None
    secondsLeft: float | None


class Store(Protocol):
    """Where a worklist is kept; see `StateFile`."""

    def write(self, cases: Sequence[Case]) -> None:
        """Keep all cases, or raise and leave what was kept before."""

    def readIfChanged(self) -> Sequence[Case]:
        """The cases as somebody else wrote them since the last `write`; empty if nobody did."""


class _Memory:
    """Keeps nothing, for lists that are not saved."""

    def write(self, cases: Sequence[Case]) -> None:
        """Nothing."""

    def readIfChanged(self) -> Sequence[Case]:
        """Nothing."""
        return ()


class Worklist:
    """The cases and the one that is open.

        worklist = Worklist(cases, StateFile(path))
        worklist.open(0)
        worklist.keep("film.seg.nrrd", isEdited=True)
        worklist.decide("accepted")  # is on disk when this returns

    Args:
        cases: In the order of the list.
        store: Where every decision is written before `decide` returns.
        known: Cases as they were when the list was last open; those that left the list are kept, unseen.
        clock: Seconds, from any start.
        now: Time for the records, ISO 8601 in UTC.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        store: Store | None = None,
        known: Sequence[Case] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], str] = lambda: datetime.now(UTC).isoformat(),
    ) -> None:
        self._store = store or _Memory()
        self._clock, self._now = clock, now
        self._cases, self._unlisted = list(cases), []  # type: list[Case], list[Case]
        self._current: int | None = None
        self._openedAt = 0.0
        self._take(known)

    @property
    def cases(self) -> tuple[Case, ...]:
        """All cases in the order of the list."""
        return tuple(self._cases)

    @property
    def currentIndex(self) -> int | None:
        """The open case; None if none is."""
        return self._current

    @property
    def current(self) -> Case | None:
        """The open case; None if none is."""
        return None if self._current is None else self._cases[self._current]

    @property
    def progress(self) -> WorklistProgress:
        """How far the list is."""
        done = sum(case.state in _DONE for case in self._cases)
        times = [case.seconds for case in self._cases if case.state in DECISIONS and case.seconds > 0]
        each = statistics.median(times) if times else None
        left = None if each is None else each * (len(self._cases) - done)
        return WorklistProgress(done, len(self._cases), each, left)

    def nextOpen(self) -> int | None:
        """The next case that is to be decided, after the open one and then from the start; None if all are done."""
        start = 0 if self._current is None else self._current + 1
        order = [*range(start, len(self._cases)), *range(start)]
        return next((index for index in order if self._cases[index].state not in _DONE), None)

    def open(self, index: int) -> Case:
        """Start the time of a case; that of an open one stops, and is written with the next change.

        Raises:
            WorklistError: There is no such case.
        """
        if not 0 <= index < len(self._cases):
            msg = f"there is no case {index + 1} in a list of {len(self._cases)}; choose one from the list"
            raise WorklistError(msg)
        self._countVisit()
        self._current, self._openedAt = index, self._clock()
        return self._cases[index]

    def leave(self) -> None:
        """Stop the time of the open case without deciding.

        Raises:
            ImageError: The time cannot be written; the case is left all the same.
        """
        if self._current is not None:
            self._countVisit()
            self._current = None
            self.save()

    def note(self, state: str, sentence: str = "") -> None:
        """Say what became of the open case: "proposed", "unanswered" or "failed". A decision stays a decision.

        Raises:
            WorklistError: No case is open.
            ImageError: It cannot be written, and holds neither on disk nor here.
        """
        if self._openCase().state not in DECISIONS:
            self._change(self._currentIndex(), state=state, sentence=sentence)

    def keep(self, segmentation: str, *, isEdited: bool = False) -> None:
        """Say where the segments of the open case were saved; on disk with the next decision or `save`.

        Args:
            segmentation: The file; empty if there are no segments any more.
            isEdited: Whether they differ from what was proposed.

        Raises:
            WorklistError: No case is open.
        """
        self._cases[self._currentIndex()] = replace(self._openCase(), segmentation=segmentation, isEdited=isEdited)

    def decide(self, state: str) -> None:
        """Decide the open case; its time ends here. A rejected case keeps no segments.

        Args:
            state: One of `DECISIONS`; a later decision replaces an earlier one.

        Raises:
            WorklistError: No case is open.
            ImageError: As for `note`.
        """
        self._stopClock()
        segments = {} if state == "accepted" else {"segmentation": "", "isEdited": False}
        self._change(self._currentIndex(), state=state, decided=self._now(), **segments)

    def save(self) -> None:
        """Write everything.

        Raises:
            ImageError: The state cannot be written.
        """
        self._take(self._store.readIfChanged())
        self._store.write([*self._cases, *self._unlisted])

    def _openCase(self) -> Case:
        return self._cases[self._currentIndex()]

    def _currentIndex(self) -> int:
        if self._current is None:
            msg = "no case is open; choose one from the list"
            raise WorklistError(msg)
        return self._current

    def _countVisit(self) -> None:
        # A later look at a decided case is no work on it.
        if self._current is not None and self._openCase().state not in DECISIONS:
            self._stopClock()

    def _stopClock(self) -> None:
        index, now = self._currentIndex(), self._clock()
        seconds = self._cases[index].seconds + now - self._openedAt
        self._cases[index] = replace(self._cases[index], seconds=seconds)
        self._openedAt = now

    def _change(self, index: int, **changes: Any) -> None:
        before = self._cases[index]
        self._cases[index] = replace(before, **changes)
        try:
            self.save()
        except TextGuidedSegError:
            # A decision that is not on disk must not look like one.
            self._cases[index] = before
            raise

    def _take(self, others: Sequence[Case]) -> None:
        """Take over what was done to cases elsewhere; of two decisions the later one holds."""
        known = {case.key: case for case in others}
        if not known:
            return
        for group in (self._cases, self._unlisted):
            for index, case in enumerate(group):
                other = known.pop(case.key, None)
                if other is not None and _isNewer(other, case):
                    # The columns of the list are not in the state, so what the list says of the phrases stays.
                    group[index] = replace(other, phrases=case.phrases)
        self._unlisted += known.values()


def _isNewer(other: Case, ours: Case) -> bool:
    if other.decided or ours.decided:
        return other.decided > ours.decided
    return ours.state == "waiting"
