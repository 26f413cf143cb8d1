"""Words of the vocabulary that go on with what is being typed, as far as they belong to what a model reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from TextGuidedSegLib.language.vocabulary import Term, Vocabulary, default_vocabulary
from TextGuidedSegLib.phrase import parse

_FEWEST_LETTERS, _MOST_WORDS, _MOST = 2, 3, 5
_PLACES = ("side", "level")


class Completions:
    """Completes the last word, or the last few.

    Args:
        examples: Phrases of a model's card: their findings and structures, and what lies in these, are offered; without
            any, nothing is.
    """

    def __init__(self, examples: Iterable[str] = ()) -> None:
        self._wordings = tuple(_wordingsFor(tuple(examples)))

    def of(self, text: str) -> list[str]:
        """The text with its last words completed, the usual names first and then the shorter wordings.

        Args:
            text: What was typed so far.
        """
        words = text.split()
        if not words or text[-1].isspace():
            return []
        found: dict[str, None] = {}
        for count in range(min(_MOST_WORDS, len(words)), 0, -1):
            begun = " ".join(words[-count:]).lower()
            before = " ".join(words[:-count])
            if len(begun) >= _FEWEST_LETTERS:
                ends = (one for one in self._wordings if one.startswith(begun) and one != begun)
                found |= dict.fromkeys(f"{before} {one}".lstrip() for one in ends)
        return list(found)[:_MOST]


def _wordingsFor(examples: tuple[str, ...]) -> Iterator[str]:
    """Wordings that fit the examples, in the order in which they are offered."""
    if not examples:
        return
    vocabulary = default_vocabulary()
    chips = {chip for example in examples for chip in parse(example).chips()}
    wordings = [(words, term) for words, term in vocabulary.wordings.items() if not (term.adjective or term.plural)]
    names = sorted(wordings, key=lambda one: (" ".join(one[0]) != one[1].name.replace("-", " "), len(one[0]), one[0]))
    yield from (" ".join(words) for words, term in names if _fits(vocabulary, chips, term))


def _fits(vocabulary: Vocabulary, chips: set[tuple[str, str]], term: Term) -> bool:
    if term.kind in _PLACES or (term.kind, term.name) in chips:
        return True
    if term.kind not in ("finding", "region"):
        return False
    return ("structure", vocabulary.entry(term).structure or "lung") in chips
