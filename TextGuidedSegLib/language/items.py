"""From a typed phrase to items: abbreviations expanded, misspelled words corrected, each run of words named."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import zip_longest

from TextGuidedSegLib.language.shared_noun import with_shared_noun
from TextGuidedSegLib.language.vocabulary import DEFAULT_STRUCTURE, Term, Vocabulary
from TextGuidedSegLib.language.words import Word, clean, join_words, split_words

PLACE_KINDS = frozenset({"side", "level", "whole", "structure", "region"})
NAMED_PLACE_KINDS = PLACE_KINDS - {"whole"}
_UNKNOWN = Term("unknown", "unknown")
# Names of words that ask, and of those that only say why.
_REASONS = frozenset({"questions", "histories"})
_FRAMING = _REASONS | {"requests"}
_NEUTRAL_FINDING = "abnormality"
_SHORTENED = frozenset({"left", "right", "bilateral", "unilateral"})
# What was expanded may complete another abbreviation: *wall of the R ventricle*.
_MOST_PASSES = 3
_INTRODUCING = frozenset({"the", "a", "an", "of", "for", "me"})


@dataclass(slots=True)
class Item:
    """A run of words that stands for one thing.

    Attributes:
        term: What it stands for.
        words: The words.
        negated: The phrase says that this is not there.
        excepted: It is taken out of what the phrase names (*except the left lung*).
        restored: It is taken out of what the phrase negates (*no opacity except in the left lung*).
    """

    term: Term
    words: list[Word]
    negated: bool = False
    excepted: bool = False
    restored: bool = False

    @property
    def kind(self) -> str:
        """Kind of the term."""
        return self.term.kind

    @property
    def first(self) -> Word:
        """The first word, with what stands before the item."""
        return self.words[0]

    @property
    def text(self) -> str:
        """The words with single spaces."""
        return self.words[0].text if len(self.words) == 1 else " ".join(word.text for word in self.words)


@dataclass(slots=True)
class Reading:
    """A phrase read word by word.

    Attributes:
        items: All words, in order, grouped into items.
        tail: What stands after the last word.
        corrections: Misspelled words and what they were read as.
        expansions: Abbreviations and their full words.
        doubts: Sentences about what was read one way and may be meant another.
    """

    items: list[Item]
    tail: str
    corrections: list[tuple[str, str]] = field(default_factory=list)
    expansions: list[tuple[str, str]] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def normalized(self) -> str:
        """The phrase as it was read."""
        return join_words((word for item in self.items for word in item.words), self.tail)


def read_items(text: str, vocabulary: Vocabulary) -> Reading:
    """Words of a phrase with their meaning, before anything is made of their order."""
    reading = Reading([], "")
    words, reading.tail = split_words(_expand_signed(clean(text), vocabulary, reading))
    words = _correct(words, vocabulary, reading)
    words = _expand(words, vocabulary, reading)
    while True:
        reading.items = _grouped(words, vocabulary)
        kept = [word for item in _without_requests(reading.items) for word in item.words]
        if len(kept) == len(words):
            break
        words = kept  # what stood around the words that were left out may form one term now
    _name_neutral_findings(reading.items, vocabulary)
    return reading


def _grouped(words: list[Word], vocabulary: Vocabulary) -> list[Item]:
    items: list[Item] = []
    texts = [word.text for word in words]
    start = 0
    while start < len(words):
        term, length = _match(words, texts, start, vocabulary)
        end = _run_end(words, start)
        named = _named_with_comma(words, items, texts[start:end], vocabulary)
        if named is not None:
            length = end - start
        if named is None:
            items.append(Item(term, words[start : start + length]))
        else:
            items[-1] = Item(named, [*items[-1].words, *words[start : start + length]])
        start += length
    return items


def _named_with_comma(words: list[Word], items: list[Item], run: list[str], vocabulary: Vocabulary) -> Term | None:
    """The structure of *hippocampus, anterior part* and *ventricle (right)*, as lists of anatomy write it.

    *Right ventricle, myocardium* is a list of two.
    """
    start = sum(len(item.words) for item in items)
    if not items or words[start].before not in (", ", " ("):
        return None
    alone = vocabulary.match(run, 0)
    if words[start].before == ", " and alone is not None and alone[0].kind == "structure" and alone[1] == len(run):
        return None
    for whole in ([*run, *items[-1].text.split()], [*items[-1].text.split(), *run]):
        found = vocabulary.match(whole, 0)
        if found is not None and found[0].kind == "structure" and found[1] == len(whole):
            return found[0]
    return None


def _without_requests(items: list[Item]) -> list[Item]:
    """Leave out words around the phrase that only ask, such as *please show me the*; alone they stay."""
    start, end = int(_is_command(items)), len(items)
    while start < end and (items[start].term.name in _FRAMING or (start and items[start].text in _INTRODUCING)):
        start += 1
    while end > start and items[end - 1].term.name in _FRAMING:
        end -= 1
    if start == end:
        return items
    if start:
        items[start].first.before = ""
    return _without_reasons(items[start:end])


def _is_command(items: list[Item]) -> bool:
    """*Segment all polyps*: what else is a part of a lobe is said of what follows."""
    return len(items) > 1 and items[0].text == "segment" and items[1].kind not in ("prepositions", "number", "unknown")


def _without_reasons(items: list[Item]) -> list[Item]:
    """Leave out why one looks (*left opacity, rule out pneumonia*), but not behind a negation: it may end there."""
    kept: list[Item] = []
    denied = False
    for item, following in zip_longest(items, items[1:]):
        denied = denied or item.kind == "negation"
        if item.term.name not in _REASONS or denied or following is None:
            kept.append(item)
        elif following.first.before == " ":
            following.first.before = item.first.before
    return kept


def _name_neutral_findings(items: list[Item], vocabulary: Vocabulary) -> None:
    """*Changes in the left base* are findings; *inflammatory changes* and *changes of the heart* are not made any."""
    if any(item.kind == "finding" for item in items):
        return
    places = [item for item in items if item.kind in NAMED_PLACE_KINDS]
    if not places or not all(_is_in_lung(item, vocabulary) for item in places):
        return
    for item in items:
        if item.term.name == "neutral":
            item.term = Term("finding", _NEUTRAL_FINDING, plural=item.text.endswith("s"))


def _is_in_lung(item: Item, vocabulary: Vocabulary) -> bool:
    if item.kind == "structure":
        return item.term.name == DEFAULT_STRUCTURE or vocabulary.entry(item.term).generic
    return item.kind != "region" or vocabulary.entry(item.term).structure == DEFAULT_STRUCTURE


def _match(words: list[Word], texts: list[str], start: int, vocabulary: Vocabulary) -> tuple[Term, int]:
    found = vocabulary.match(texts[: _run_end(words, start)], start)
    found = found or vocabulary.match([texts[start].removesuffix("'s")], 0)
    if found is not None:
        return found
    return Term("number", texts[start]) if _is_number(texts[start]) else _UNKNOWN, 1


def _run_end(words: list[Word], start: int) -> int:
    """End of the words that may be one term: no comma or full stop stands inside."""
    end = start + 1
    while end < len(words) and words[end].before in (" ", "-"):
        end += 1
    return end


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 2


def _expand_signed(text: str, vocabulary: Vocabulary, reading: Reading) -> str:
    """Abbreviations with a stroke, *b/l*, *w/o*, *2/3*, but none inside a date."""
    if "/" not in text:
        return text

    def full(match: re.Match[str]) -> str:
        words = vocabulary.signed_abbreviations[match.group()]
        reading.expansions.append((match.group(), words))
        return words

    shorts = "|".join(map(re.escape, vocabulary.signed_abbreviations))
    return re.sub(rf"(?<![^\W_])(?<!\d/)(?:{shorts})(?![^\W_]|/\d)", full, text) if shorts else text


def _correct(words: list[Word], vocabulary: Vocabulary, reading: Reading) -> list[Word]:
    read = [vocabulary.speller.correct(word.text) for word in words]
    texts = [corrected or word.text for word, corrected in zip(words, read, strict=True)]
    result: list[Word] = []
    for position, (word, corrected) in enumerate(zip(words, read, strict=True)):
        if corrected is None or (vocabulary.speller.needs_others(corrected) and not vocabulary.joins(texts, position)):
            result.append(word)
            continue
        reading.corrections.append((word.text, corrected))
        result += _words(corrected, word.before)
    return result


def _expand(words: list[Word], vocabulary: Vocabulary, reading: Reading) -> list[Word]:
    for _ in range(_MOST_PASSES):
        expanded = len(reading.expansions)
        words = _expand_once(with_shared_noun(words, vocabulary), vocabulary, reading)
        if len(reading.expansions) == expanded:
            break
    return words


def _expand_once(words: list[Word], vocabulary: Vocabulary, reading: Reading) -> list[Word]:
    texts = [word.text for word in words]
    result: list[Word] = []
    start = 0
    while start < len(words):
        found = vocabulary.match_abbreviation(texts[: _run_end(words, start)], start)
        is_letter = len(texts[start]) == 1
        if found is None or (is_letter and (_beside_side(texts, start, vocabulary) or _is_half(words, start))):
            result.append(words[start])
            start += 1
            continue
        full, length = found
        reading.expansions.append((" ".join(texts[start : start + length]), full))
        result += _words(full, words[start].before)
        start += length
        if full in _SHORTENED and start < len(words) and words[start].before == ". ":
            words[start].before = " "  # the full stop of "l.", "rt." and "bilat."
    return result


def _beside_side(texts: list[str], position: int, vocabulary: Vocabulary) -> bool:
    """A single letter next to a word for a side is a slip (*lower l right lung*), no second side."""
    around = texts[max(0, position - 1) : position] + texts[position + 1 : position + 2]
    found = [vocabulary.match([text], 0) for text in around]
    return any(match is not None and match[0].kind == "side" for match in found)


def _is_half(words: list[Word], position: int) -> bool:
    """A letter of an abbreviation with a stroke that is not known (*r/t*); *r/l* names two sides."""
    joined = [words[position - 1]] if position > 0 and words[position].before == "/" else []
    joined += [words[position + 1]] if position + 1 < len(words) and words[position + 1].before == "/" else []
    return any(len(word.text) == 1 and word.text not in "lr" for word in joined)


def _words(text: str, before: str) -> list[Word]:
    words, _ = split_words(text)
    words[0].before = before
    return words
