"""What is typed: one phrase a line, a history that stays with the scene, suggestions that the model was trained for."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

MOST_REMEMBERED = 50

# What takes each other's place in a phrase; a model that knows one of them knows them all.
_ALTERNATIVES = (("left", "right"), ("upper", "middle", "lower"))


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
    examples = tuple(examples)
    variations = itertools.chain.from_iterable(map(_variations, examples))
    return list(dict.fromkeys([*history, *examples, *variations]))


def _variations(phrase: str) -> Iterator[str]:
    """The phrase with every other side and level that could stand in it."""
    choices = [next((group for group in _ALTERNATIVES if word in group), (word,)) for word in phrase.split()]
    yield from (" ".join(words) for words in itertools.product(*choices))
