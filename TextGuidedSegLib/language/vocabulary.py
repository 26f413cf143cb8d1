"""The words that phrases are made of: what each means, what it is called when mirrored, its SNOMED CT code.

All words live in `data/vocabulary.json`, whose first lines describe its form. A clinician extends it by a second file
of the same form that holds only what is new:

    {"findings": {"nodule": {"synonyms": ["nodulation"]}}, "abbreviations": {"luln": "left upper lung nodule"}}

As `$TEXTGUIDEDSEG_HOME/vocabulary.json` it is read by everything; another file for a single phrase only:

    parse("LULN", load_vocabulary("ours.json"))
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from TextGuidedSegLib.home import home_folder
from TextGuidedSegLib.language.spelling import Speller
from TextGuidedSegLib.language.vocabulary_file import Content, VocabularyError, merge, nearest, read_vocabulary_file
from TextGuidedSegLib.language.vocabulary_mirror import Mirror
from TextGuidedSegLib.language.vocabulary_terms import (
    DEFAULT_STRUCTURE,
    LEVELS,
    Entry,
    Level,
    SnomedCode,
    Term,
    Value,
    Words,
    by_first_word,
    make_entries,
    make_snomed,
    make_terms,
)
from TextGuidedSegLib.language.words import word_texts

__all__ = [
    "DEFAULT_STRUCTURE", "LEVELS", "Entry", "Level", "SnomedCode", "Term", "Vocabulary", "VocabularyError",
    "VocabularySources", "default_vocabulary", "default_vocabulary_sources", "load_vocabulary",
]  # fmt: skip

_DATA = Path(__file__).parents[1] / "data"
_BUILT_IN = _DATA / "vocabulary.json"
_COMMON_WORDS = _DATA / "common_words.txt"
_OWN_FILE = "vocabulary.json"

logger = logging.getLogger(__name__)


class Vocabulary:
    """A compiled vocabulary.

    Attributes:
        snomed: Codes by name: findings, structures, regions (such as *lower lobe*), sides.
        numbers: Value of each number word.
        areas: Words that a number may count, besides findings.
        mirror: Exchanges left and right in a text.
        speller: Corrects misspelled words.

    Args:
        content: Merged content of checked files.

    Raises:
        VocabularyError: An entry names another one that does not exist, or a word with a side has no counterpart.
    """

    def __init__(self, content: Content) -> None:
        _check_references(content)
        self._entries = make_entries(content)
        self.snomed: Mapping[str, SnomedCode] = make_snomed(content)
        self.numbers: Mapping[str, int] = content["numbers"]
        self.areas = frozenset(content["function_words"]["areas"])
        self.mirror = Mirror(content)
        abbreviations: dict[str, str] = content["abbreviations"]
        self.signed_abbreviations = {short.lower(): full for short, full in abbreviations.items() if "/" in short}
        self._abbreviations = {word_texts(short): full for short, full in abbreviations.items() if "/" not in short}
        self._terms = make_terms(content)
        self._terms_by_first_word = by_first_word(self._terms)
        self._abbreviations_by_first_word = by_first_word(self._abbreviations)
        self._most_words = max(map(len, [*self._terms, *self._abbreviations]))
        never = _common_words() | {word for text in content["never_correct"] for word in word_texts(text)}
        self.speller = Speller(self._terms, {word for words in self._abbreviations for word in words}, never)
        self._check_expansions()

    @property
    def wordings(self) -> Mapping[Words, Term]:
        """Every run of words that stands for something; abbreviations are not among them."""
        return self._terms

    def entry(self, term: Term) -> Entry:
        """The entry of a finding, structure or region."""
        return self._entries[term.kind, term.name]

    def structure(self, name: str) -> Entry:
        """The entry of a structure by its name."""
        return self._entries["structure", name]

    def match(self, words: Sequence[str], start: int) -> tuple[Term, int] | None:
        """The longest term that begins at a word, and its number of words."""
        return _longest(self._terms_by_first_word, words, start)

    def match_abbreviation(self, words: Sequence[str], start: int) -> tuple[str, int] | None:
        """The full words of the longest abbreviation that begins at a word, and its number of words."""
        return _longest(self._abbreviations_by_first_word, words, start)

    def joins(self, words: Sequence[str], position: int) -> bool:
        """Whether a word is part of a term or an abbreviation of several words that stands there."""
        for start in range(max(0, position - self._most_words + 1), position + 1):
            found = self.match(words, start) or self.match_abbreviation(words, start)
            if found is not None and start + found[1] > max(position, start + 1):
                return True
        return False

    def _check_expansions(self) -> None:
        for short, full in [*self._abbreviations.items(), *self.signed_abbreviations.items()]:
            words = word_texts(full)
            strange = [word for word in words if word not in self.speller.known and not word.isdigit()]
            if strange or any(self.match_abbreviation(words, start) for start in range(len(words))):
                name = short if isinstance(short, str) else " ".join(short)
                problem = f"{strange[0]!r} is no word of this vocabulary" if strange else "it has an abbreviation in it"
                msg = f"abbreviations > {name}: {full!r}: {problem}; use full words, and add new ones to descriptions"
                raise VocabularyError(msg)


@dataclass(frozen=True)
class VocabularySources:
    """The files that a vocabulary was made from.

    Attributes:
        files: In the order in which they were merged.
        problem: Why the file of one's own is not among them, and what would be right; None if there is no such problem.
    """

    files: tuple[Path, ...]
    problem: str | None = None


def default_vocabulary() -> Vocabulary:
    """The library's vocabulary with `$TEXTGUIDEDSEG_HOME/vocabulary.json` merged into it, if there is such a file.

    The file is looked for at each call, so that it may come, change and go. One that is not valid is left out, and the
    log says so once.
    """
    return _with_own(*_own_file())[0]


def default_vocabulary_sources() -> VocabularySources:
    """The files of `default_vocabulary`."""
    return _with_own(*_own_file())[1]


def load_vocabulary(*paths: str | Path) -> Vocabulary:
    """The library's vocabulary with these files merged into it, in this order, and no others.

    Args:
        paths: JSON files of the same form, each with only what it adds or changes.

    Raises:
        VocabularyError: A file is missing or not valid; names the file, the place and what would be right.
    """
    content = read_vocabulary_file(_BUILT_IN)
    vocabulary = _built_in()
    for path in map(Path, paths):
        new = read_vocabulary_file(path)
        try:
            content = merge(content, new)
            vocabulary = Vocabulary(content)
        except VocabularyError as error:
            msg = f"{path}: {error}"
            raise VocabularyError(msg) from error
    return vocabulary


@functools.cache
def _built_in() -> Vocabulary:
    return Vocabulary(read_vocabulary_file(_BUILT_IN))


def _own_file() -> tuple[Path | None, tuple[int, int]]:
    """The file of one's own, and what tells one state of it from another."""
    home = home_folder()
    if home is None:
        return None, (0, 0)
    try:
        state = (home / _OWN_FILE).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None, (0, 0)
    except OSError:  # it is there; reading it says what is wrong
        return home / _OWN_FILE, (0, 0)
    return home / _OWN_FILE, (state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=4)
def _with_own(path: Path | None, _state: tuple[int, int]) -> tuple[Vocabulary, VocabularySources]:
    if path is None:
        return _built_in(), VocabularySources((_BUILT_IN,))
    try:
        return load_vocabulary(path), VocabularySources((_BUILT_IN, path))
    except VocabularyError as error:
        logger.warning("%s; no word of this file is used until that is corrected", error)
        return _built_in(), VocabularySources((_BUILT_IN,), str(error))


def _common_words() -> set[str]:
    lines = _COMMON_WORDS.read_text(encoding="utf-8").splitlines()
    return {word for line in lines if not line.startswith("#") for word in line.split()}


def _longest(
    grouped: Mapping[str, list[tuple[Words, Value]]], words: Sequence[str], start: int
) -> tuple[Value, int] | None:
    for candidate, value in grouped.get(words[start], ()):
        if tuple(words[start : start + len(candidate)]) == candidate:
            return value, len(candidate)
    return None


def _check_references(content: Content) -> None:
    structures = content["structures"]
    for section, key in (("findings", "structure"), ("regions", "structure"), ("structures", "within")):
        for name, entry in content[section].items():
            if entry.get(key, "lung") not in structures:
                wrong = entry[key]
                msg = f"{section} > {name} > {key}: {wrong!r} is no structure{nearest(wrong, structures)}"
                raise VocabularyError(msg)
