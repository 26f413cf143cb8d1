"""Sentences of the worklist: its rows, the open case, how far it is."""

from __future__ import annotations

from html import escape

from slicer.i18n import tr as _

from .worklist import DECISIONS, Case, Worklist, WorklistProgress

_MINUTE_S, _HOUR_S = 60, 3600
# Above these a smaller unit would only be noise.
_MOST_SECONDS, _MOST_MINUTES = 90, 90


def rowText(case: Case) -> str:
    """One row of the list: file, time of a decided case, phrases; the end is cut off where there is no room."""
    parts = [_nameOf(case)]
    if case.state in DECISIONS:
        parts.append(duration(case.seconds))
    if case.phrases:
        parts.append("; ".join(one.text for one in case.phrases))
    return " · ".join(parts)


def caseSentence(worklist: Worklist) -> str:
    """The open case and what is known of it, as rich text."""
    case = worklist.current
    if case is None:
        return _("Click a case to open it.")
    place = _("{number} of {count}").format(number=worklist.currentIndex + 1, count=len(worklist.cases))
    state = {
        "waiting": "",
        "proposed": "",
        "unanswered": "",
        "failed": _("This case failed, the list goes on."),
        "accepted": _("Accepted."),
        "rejected": _("Rejected."),
    }[case.state]
    if case.state == "accepted" and case.isEdited:
        state = _("Accepted after correction.")
    rest = " ".join(one for one in (state, escape(case.sentence)) if one)
    return f"<b>{escape(_nameOf(case))}</b> ({place})" + (f"<br/>{rest}" if rest else "")


def progressSentence(progress: WorklistProgress) -> str:
    """Such as "12 of 240 · 34 s a case · about 2 h left"."""
    parts = [_("{done} of {total}").format(done=progress.done, total=progress.total)]
    if progress.secondsACase is not None:
        parts.append(_("{time} a case").format(time=duration(progress.secondsACase)))
    if progress.secondsLeft:
        parts.append(_("about {time} left").format(time=duration(progress.secondsLeft)))
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """Seconds in the unit that people would take."""
    if seconds < _MOST_SECONDS:
        return _("{seconds} s").format(seconds=round(seconds))
    if seconds < _MOST_MINUTES * _MINUTE_S:
        return _("{minutes} min").format(minutes=round(seconds / _MINUTE_S))
    return _("{hours} h").format(hours=round(seconds / _HOUR_S))


def _nameOf(case: Case) -> str:
    # Not Path, which takes its time on thousands of rows.
    return case.image.replace("\\", "/").rpartition("/")[2]
