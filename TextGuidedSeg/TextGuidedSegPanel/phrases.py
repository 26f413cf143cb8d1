"""What is typed: one phrase a line, a history that stays with the scene, suggestions that the model was trained for."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

MOST_REMEMBERED = 50

# What the shipped model was trained to find; a suggestion is a promise.
_SIDES, _LEVELS, _FINDINGS = ("left", "right"), ("upper", "middle", "lower"), ("opacity", "infection", "consolidation")


def phrasesIn(text: str) -> list[str]:
    """The phrases of a text, one a line; empty lines are left out."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def remembered(history: Sequence[str], phrases: Iterable[str]) -> list[str]:
    """The history with phrases added, the newest first, each once, at most `MOST_REMEMBERED`."""
    newest = [*reversed(list(phrases)), *history]
    return list(dict.fromkeys(newest))[:MOST_REMEMBERED]


def suggestions(history: Sequence[str], examples: Iterable[str]) -> list[str]:
    """What to complete a phrase from: the history first, then the model's examples and their variations.

    Args:
        history: The newest first.
        examples: Phrases of the model's card.
    """
    places = itertools.product(_SIDES, _LEVELS, _FINDINGS)
    variations = (f"{side} {level} lung {finding}" for side, level, finding in places)
    return list(dict.fromkeys([*history, *examples, *variations]))
