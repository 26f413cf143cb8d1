"""Misspelled words of a phrase: corrected when one known word is near and nothing speaks against it.

A correction may decide on which side a segment appears, so the rules are strict. Words of up to three letters are left
alone, as are words of the English language: *night* is no misspelled *right*, and *lift* no *left*. One edit is allowed
up to seven letters, two from eight on if the first letter agrees; an edit is a letter too many, too few, wrong, or two
neighbors exchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

_SHORTEST, _LONGEST = 4, 30
_TWO_EDITS_FROM = 8
# By how much one of two words at the same distance must resemble the typed word more (Jaro-Winkler, 0 to 1): *lowe* is
# *lower* (0.96) and not *lobe* (0.87).
_CLEAR_LEAD = 0.05
_MOST_REMEMBERED = 10_000


class Speller:
    """Corrects single words.

    Args:
        targets: Words that a misspelled word may be meant to be, each with what it stands for: two words that stand
            for the same are no rivals.
        others: Words too common or too short to be what a misspelled word is meant to be; written together with
            another word they are recognized.
        never: Words of the language that are right as they are.
    """

    def __init__(self, targets: Mapping[str, str], others: Collection[str], never: Collection[str]) -> None:
        self._meanings = {word: meaning for word, meaning in targets.items() if len(word) >= _SHORTEST}
        self._words = sorted(self._meanings)
        self._parts = {*targets, *others}
        self._known = {*self._parts, *never}
        self._remembered: dict[str, str | None] = {}

    def correct(self, word: str) -> str | None:
        """The word or the two words that were meant, or None if that is not clear or nothing is wrong."""
        if word in self._known or not (_SHORTEST <= len(word) <= _LONGEST and word.isalpha()):
            return None
        if word not in self._remembered:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[word] = self._two_words(word) or self._one_word(word)
        return self._remembered[word]

    def _two_words(self, word: str) -> str | None:
        """*rightlung* is *right lung* if there is only one place to divide it."""
        pairs = [(word[:cut], word[cut:]) for cut in range(3, len(word) - 2)]
        known = [pair for pair in pairs if pair[0] in self._parts and pair[1] in self._meanings]
        return " ".join(known[0]) if len(known) == 1 else None

    def _one_word(self, word: str) -> str | None:
        # Loaded here: most phrases have no misspelled word, and importing this file shall cost nothing.
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        most = 2 if len(word) >= _TWO_EDITS_FROM else 1
        found = process.extract(word, self._words, scorer=OSA.distance, score_cutoff=most, limit=None)
        near = [(int(edits), target) for target, edits, _ in found if edits < 2 or target[0] == word[0]]
        if not near:
            return None
        least = min(edits for edits, _ in near)
        return self._clear_best(word, [target for edits, target in near if edits == least])

    def _clear_best(self, word: str, targets: Iterable[str]) -> str | None:
        """The target most like the word, unless one of another meaning is nearly as like."""
        from rapidfuzz.distance import JaroWinkler

        ranked = sorted(((JaroWinkler.similarity(word, target), target) for target in targets), reverse=True)
        likeness, best = ranked[0]
        rivals = [other for other in ranked if self._meanings[other[1]] != self._meanings[best]]
        return None if rivals and likeness - rivals[0][0] < _CLEAR_LEAD else best
