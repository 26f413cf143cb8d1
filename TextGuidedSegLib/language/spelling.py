"""Misspelled words of a phrase: corrected when one known word is near and nothing speaks against it.

A correction may decide on which side a segment appears, so the rules are strict. Words of up to three letters are left
alone but for a few that are a side and nothing else, as are words of the English language: *night* is no misspelled
*right*, and *lift* no *left*. One edit is allowed up to seven letters, two from eight on if the first letter agrees; an
edit is a letter too many, too few, wrong, or two neighbors exchanged. A word that negates may be one edit away and no
more; one that stands for nothing alone (*ground* of *ground glass*) must stand beside the words that it needs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from TextGuidedSegLib.language.vocabulary_terms import KINDS, Term, Words

_SHORTEST, _LONGEST = 4, 30
# Shorter function words are near to too many words.
_SHORTEST_FUNCTION_WORD = 5
_TWO_EDITS_FROM = 8
# *Absent*, *except* and *without*, but none of *spare*, *skip* and *omit*.
_SHORTEST_DENYING_WORD = 6
# By how much one of two words at the same distance must resemble the typed word more (Jaro-Winkler, 0 to 1): *lowe* is
# *lower* (0.96) and not *lobe* (0.87).
_CLEAR_LEAD = 0.05
# No rule, as a rule that makes *lef* a side makes one of *let* too. Without its side a phrase asks for both lungs.
_SHORT_SIDES = {"lft": "left", "lef": "left", "rgt": "right", "rht": "right"}
_MOST_REMEMBERED = 10_000


def _denying(terms: Mapping[Words, Term]) -> set[str]:
    """Words that turn a phrase round: none may be read into *sparse* (*spares*) or *resorbed* (*resolved*)."""
    denying = {
        words[0]
        for words, term in terms.items()
        if len(words) == 1 and term.kind == "negation" and term.name != "clear"
    }
    return denying | {word.replace("'", "") for word in denying if "'" in word}


def _misleading(denying: set[str]) -> set[str]:
    """Those near to words of every day: *want* is no *wasnt*, *sinus* no *minus*, *shares* no *spares*."""
    return {word for word in denying if len(word) < _SHORTEST_DENYING_WORD or "'" in word}


class Speller:
    """Corrects single words.

    Args:
        terms: The wordings of a vocabulary.
        others: Its abbreviations.
        never: Words of the language that are right as they are.
    """

    def __init__(self, terms: Mapping[Words, Term], others: Collection[str], never: Collection[str]) -> None:
        # All that each word of a finding or place stands for, alone and with others: two words that may stand for the
        # same are no rivals. *Lung* is the lung, and *wet lung* an edema.
        self._content: dict[str, set[str]] = {}
        function: set[str] = set()
        for words, term in terms.items():
            for word in words:
                if term.kind in KINDS.values():
                    self._content.setdefault(word, set()).add(term.name)
                else:
                    function.add(word)
        self.known = frozenset({*self._content, *function, *others, *never})
        self._denying = _denying(terms)
        self._targets = [word for word in self._content if len(word) >= _SHORTEST]
        self._targets += [
            word
            for word in function - self._content.keys() - _misleading(self._denying)
            if len(word) >= _SHORTEST_FUNCTION_WORD
        ]
        self._alone = frozenset(words[0] for words in terms if len(words) == 1)
        single = [(words[0], term.kind) for words, term in terms.items() if len(words) == 1]
        self._two_word_terms = frozenset(words for words, term in terms.items() if len(words) == 2)
        self._joined = frozenset(word for word, kind in single if kind in KINDS.values())
        self._joiners = self._joined | {word for word, kind in single if kind in ("number", "whole", "conjunctions")}
        self._remembered: dict[str, str | None] = {}

    def correct(self, word: str) -> str | None:
        """The word or the two words that were meant, or None if that is not clear or nothing is wrong."""
        if word in self.known:
            return None
        if word in _SHORT_SIDES:
            return _SHORT_SIDES[word]
        if not (_SHORTEST <= len(word) <= _LONGEST and word.isalpha()):
            return None
        if word not in self._remembered:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[word] = self._two_words(word) or self._one_word(word)
        return self._remembered[word]

    def needs_others(self, word: str) -> bool:
        """It stands for nothing alone: *ground* of *ground glass*, *interval* of *no interval change*."""
        return word in self.known and word not in self._alone

    def _two_words(self, word: str) -> str | None:
        """*rightlung* is *right lung* if there is only one place to divide it."""
        pairs = [(word[:cut], word[cut:]) for cut in range(3, len(word) - 2)]
        known = [pair for pair in pairs if pair in self._two_word_terms or self._are_joined(pair)]
        return " ".join(known[0]) if len(known) == 1 else None

    def _are_joined(self, pair: tuple[str, str]) -> bool:
        return self._joiners.issuperset(pair) and not self._joined.isdisjoint(pair)

    def _one_word(self, word: str) -> str | None:
        # Loaded here: most phrases have no misspelled word, and importing this file shall cost nothing.
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        most = 2 if len(word) >= _TWO_EDITS_FROM else 1
        found = process.extract(word, self._targets, scorer=OSA.distance, score_cutoff=most, limit=None)
        near = [(int(edits), target) for target, edits, _ in found if edits < 2 or self._may_be_far(word, target)]
        if not near:
            return None
        least = min(edits for edits, _ in near)
        nearest = [target for edits, target in near if edits == least]
        return self._clear_best(word, [target for target in nearest if target in self._content] or nearest)

    def _may_be_far(self, word: str, target: str) -> bool:
        return target[0] == word[0] and target not in self._denying

    def _clear_best(self, word: str, targets: Iterable[str]) -> str | None:
        """The target most like the word, unless one of another meaning is nearly as like."""
        from rapidfuzz.distance import JaroWinkler

        ranked = sorted(((JaroWinkler.similarity(word, target), target) for target in targets), reverse=True)
        likeness, best = ranked[0]
        meaning = self._content.get(best, {best})
        rivals = [other for other in ranked if meaning.isdisjoint(self._content.get(other[1], {other[1]}))]
        return None if rivals and likeness - rivals[0][0] < _CLEAR_LEAD else best
