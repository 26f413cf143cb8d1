"""A phrase as words and what stands between them, so that it can be put together again with some words replaced."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
# Typographic signs by their code points, as they all look alike: quotes, dashes, strokes of fractions, and the
# underscore that joins words.
_SIGNS = str.maketrans(
    {
        **dict.fromkeys((0x60, 0xB4, 0x2BC, 0x2018, 0x2019, 0x201B), "'"),
        **dict.fromkeys((0xAB, 0xBB, 0x201C, 0x201D, 0x201E), '"'),
        **dict.fromkeys((*range(0x2010, 0x2016), 0x2212), "-"),
        **dict.fromkeys((0x2044, 0x2215), "/"),
        ord("_"): " ",
    }
)
_COMMA = re.compile(r" ?([,;]) ?")
_SPACES = re.compile(r"\s+")
# A new line pauses: a list of findings has no other sign between them, and broken text bears a comma.
_NEW_LINE = re.compile(r"(?<=[^\W_])[^\S\n]*\n\s*(?=[^\W_])")
# No statement ends with these: the line was only too long.
_WRAPPED = re.compile(
    r"(?<![^\W_])(is|are|was|were|be|been|not|no|the|an?|of|in|at|on|and|or|with|without|except|for|but)\s*\n\s*"
)
_LINE_ENDS = str.maketrans(dict.fromkeys((0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029), "\n"))
# Full stops inside an abbreviation: "r.u.l."
_DOTTED = re.compile(r"(?<![^\W_])(?:[a-z]\.){2,}(?:[a-z](?![^\W_]))?")
# The full stop of a shortened word ends no sentence: "left ant. hippocampus".
_SHORTENED = re.compile(r"(?<![^\W_])(ant|post|inf|sup)\.(?= ?[^\W_]|$)")
_SENTENCE_ENDS = frozenset(".;!?")
_JOINS = frozenset("/&+")
_PAUSES = frozenset(",:()[]|")
_COMPARISONS = frozenset("<>")


@dataclass(slots=True)
class Word:
    """One word of a phrase.

    Attributes:
        text: Lower-case letters and digits, perhaps with an apostrophe inside.
        before: What stands between the previous word and this one.
    """

    text: str
    before: str

    @property
    def starts_sentence(self) -> bool:
        """A full stop or its like stands before this word."""
        return not _SENTENCE_ENDS.isdisjoint(self.before)

    @property
    def is_joined(self) -> bool:
        """A sign that means *and* stands before this word."""
        return not _JOINS.isdisjoint(self.before)

    @property
    def is_compared(self) -> bool:
        """A sign that compares stands before this word: *right > left*."""
        return not _COMPARISONS.isdisjoint(self.before)

    @property
    def follows_colon(self) -> bool:
        """A colon or a dash between spaces stands before this word: *left lung - clear*."""
        return ":" in self.before or " - " in self.before

    @property
    def follows_pause(self) -> bool:
        """A comma, a colon, a bracket or a dash between spaces stands before this word."""
        return " - " in self.before or not _PAUSES.isdisjoint(self.before)


def clean(text: str) -> str:
    """Lower case, one kind of quote and dash, single spaces, one space after a comma, which a new line becomes.

    Cleaning what is clean changes nothing.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower()).translate(_SIGNS)
    text = _WRAPPED.sub(r"\1 ", text.translate(_LINE_ENDS))
    text = _NEW_LINE.sub(", ", text.strip())
    plain = text if text.isascii() and text.isprintable() else _without_controls(text)
    plain = _DOTTED.sub(lambda match: match.group().replace(".", ""), plain)
    plain = _SHORTENED.sub(r"\1", plain)
    return _COMMA.sub(r"\1 ", _SPACES.sub(" ", plain)).strip()


def _without_controls(text: str) -> str:
    """Control characters end words; invisible ones (zero width, direction marks) do not."""
    kept = (" " if unicodedata.category(sign) == "Cc" else sign for sign in text if unicodedata.category(sign) != "Cf")
    return "".join(kept)


def split_words(cleaned: str) -> tuple[list[Word], str]:
    """Words of cleaned text, and what stands after the last one."""
    words: list[Word] = []
    end = 0
    for match in _WORD.finditer(cleaned):
        words.append(Word(match.group(), cleaned[end : match.start()]))
        end = match.end()
    return words, cleaned[end:]


def word_texts(text: str) -> tuple[str, ...]:
    """The words of any text, without what stands between them."""
    return tuple(_WORD.findall(clean(text)))


def join_words(words: Iterable[Word], tail: str) -> str:
    """The inverse of `split_words`; words may have been replaced or left out."""
    return clean("".join(word.before + word.text for word in words) + tail)
