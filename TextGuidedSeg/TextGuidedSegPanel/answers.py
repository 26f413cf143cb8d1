"""Sentences for people: what an answer means, what was understood of a phrase, how long a run still takes."""

from __future__ import annotations

from html import escape

from slicer.i18n import tr as _

from TextGuidedSegLib.phrase import Phrase

# Kinds of chips by color, light enough for black text on any theme.
_CHIP_COLORS = {
    "finding": "#f6d9a6",
    "side": "#bfe0f5",
    "level": "#bfe0f5",
    "structure": "#c6e8d8",
    "count": "#e3e3e3",
    "laterality": "#bfe0f5",
    "expanded": "#e3e3e3",
    "corrected": "#f3ef9f",
    "unknown": "#f5c9b8",
    "negated": "#f5c9b8",
    "contradictory": "#f5c9b8",
}


def answerSentence(answer: str, phrase: str, segmentName: str = "") -> str:
    """What one of the six answers means for the person who asked.

    Args:
        answer: As in `TextGuidedSegLib.inference.ANSWERS`.
        phrase: What was typed.
        segmentName: Name of the new segment of `found` and `unsure`.
    """
    isRenamed = segmentName != " ".join(phrase.split())  # such as "left lung (2)"
    sentences = {
        "found": _("Found “{phrase}”: see the segment “{segment}”.") if isRenamed else _("Found “{phrase}”."),
        "unsure": _("Not sure about “{phrase}”: the segment “{segment}” is flagged, please check it."),
        "not_found": _(
            "“{phrase}” was not found in this image, so no segment was added. The text map shows where the words point."
        ),
        "not_understood": _(
            "No word of “{phrase}” is known here, so no segment was added. Try “left lower lung opacity”."
        ),
        "contradictory": _("“{phrase}” contradicts itself, so no segment was added."),
        "negated": _("“{phrase}” says that something is absent: there is nothing to mark, so no segment was added."),
    }
    return sentences[answer].format(phrase=phrase, segment=segmentName)


def editSentence(answer: str, phrase: str, segmentName: str) -> str:
    """What an answer means for the person who changes a segment by it.

    Args:
        answer: As in `TextGuidedSegLib.inference.ANSWERS`.
        phrase: What was typed.
        segmentName: Name of the segment.
    """
    sentences = {
        "found": _("Found “{phrase}”: the segment “{segment}” was changed."),
        "unsure": _("Not sure about “{phrase}”: please check the segment “{segment}”."),
        "not_found": _("“{phrase}” was not found in this image: nothing was changed."),
        "not_understood": _("No word of “{phrase}” is known here: nothing was changed. Try “left lower lung opacity”."),
        "contradictory": _("“{phrase}” contradicts itself: nothing was changed."),
        "negated": _("“{phrase}” says that something is absent: nothing was changed."),
    }
    return sentences[answer].format(phrase=phrase, segment=segmentName)


def chipsAsRichText(phrase: Phrase) -> str:
    """What was understood, as colored words for a label with rich text."""
    labels = {
        "corrected": _("read as: {word}"),
        "expanded": _("meaning: {word}"),
        "unknown": _("not known: {word}"),
        "count": _("number: {word}"),
    }
    chips = []
    for kind, word in phrase.chips():
        text = labels.get(kind, "{word}").format(word=word)
        color = _CHIP_COLORS[kind]
        # Blanks that do not break keep a chip on one line.
        shown = escape(text).replace(" ", "&nbsp;")
        chips.append(f'<span style="background-color:{color}; color:#202020;">&nbsp;{shown}&nbsp;</span>')
    return " &nbsp;".join(chips)


def timeLeftSentence(secondsLeft: float | None) -> str:
    """How long a run will still take, in words; empty while that cannot be told."""
    if secondsLeft is None:
        return ""
    if secondsLeft < 1:
        return _("less than a second left")
    if secondsLeft < 90:
        return _("about {seconds} s left").format(seconds=round(secondsLeft))
    return _("about {minutes} min left").format(minutes=round(secondsLeft / 60))
