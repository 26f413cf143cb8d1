"""Vocabulary files: read, checked, merged. A mistake in one is reported with its place and the nearest legal word."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from TextGuidedSegLib.errors import TextGuidedSegError
from TextGuidedSegLib.language.words import word_texts

FORMAT = 1
ENTRY_SECTIONS = ("findings", "structures", "regions", "sides", "levels")
SPELLING_KEYS = ("synonyms", "plurals", "adjectives")

Content = dict[str, Any]

_LEVELS = ("upper", "middle", "lower")
_SIDES = ("left", "right", "both")
# The Verhoeff check digit: multiplication in the dihedral group of order 10, and a permutation by position.
_FIVE = range(5)
_TIMES = [[(a + b) % 5 for b in _FIVE] + [5 + (a + b) % 5 for b in _FIVE] for a in _FIVE] + [
    [5 + (a - b) % 5 for b in _FIVE] + [(a - b) % 5 for b in _FIVE] for a in _FIVE
]
_PERMUTE = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


class VocabularyError(TextGuidedSegError):
    """A vocabulary file is missing, is no JSON, or says something that a vocabulary cannot say."""


def read_vocabulary_file(path: Path) -> Content:
    """One checked vocabulary file.

    Args:
        path: JSON file; the form is described in `data/vocabulary.json` itself.

    Returns:
        Its content.

    Raises:
        VocabularyError: Names the file, the place in it, and what would be right.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_without_repeats)
        _check(content)
    except OSError as error:
        msg = f"{path}: the vocabulary cannot be read ({error.strerror}); check the path"
        raise VocabularyError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path}: the vocabulary is not encoded as UTF-8; save it as UTF-8"
        raise VocabularyError(msg) from error
    except json.JSONDecodeError as error:
        msg = f"{path}, line {error.lineno}, column {error.colno}: no valid JSON ({error.msg}); correct it there"
        raise VocabularyError(msg) from error
    except (VocabularyError, RecursionError, ValueError) as error:  # a number may have too many digits to be read
        msg = f"{path}: {error}"
        raise VocabularyError(msg) from error
    return dict(content)


def merge(base: Content, new: Content) -> Content:
    """Both contents; where they disagree, `new` decides, and a synonym goes to the entry that `new` gives it to.

    Raises:
        VocabularyError: `new` takes the name of an entry for a synonym of another one.
    """
    claimed = {words for _, _, entry_words in _entry_spellings(new) for words in entry_words}
    merged = {section: _released(values, section, new, claimed) for section, values in base.items()}
    for section, values in new.items():
        merged[section] = _merged(merged[section], values) if section in merged else values
    _check_owners(merged)
    return merged


def nearest(word: str, legal: Mapping[str, Any] | tuple[str, ...]) -> str:
    """`; did you mean 'synonyms'? Legal are: ...` for an error message."""
    close = get_close_matches(word, list(legal), n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"{hint} Legal are: {', '.join(legal)}"


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _merged(old[key], value) if key in old else value for key, value in new.items()}
    if isinstance(old, list) and isinstance(new, list):
        return list(dict.fromkeys([*old, *new]))
    return new


def _released(values: Any, section: str, new: Content, claimed: set[tuple[str, ...]]) -> Any:
    """A base section without the wordings that the new file gives to other entries."""
    if section not in ENTRY_SECTIONS:
        return values
    kept: Content = {}
    for name, entry in values.items():
        if name in new.get(section, {}):
            kept[name] = entry
            continue
        kept[name] = entry | {
            key: [text for text in entry[key] if word_texts(text) not in claimed]
            for key in SPELLING_KEYS
            if key in entry
        }
    return kept


def _entry_spellings(content: Content) -> Iterator[tuple[str, str, list[tuple[str, ...]]]]:
    for section in ENTRY_SECTIONS:
        for name, entry in content.get(section, {}).items():
            texts = [name, *(text for key in SPELLING_KEYS for text in entry.get(key, []))]
            yield section, name, [word_texts(text) for text in texts]


def _without_repeats(pairs: list[tuple[str, Any]]) -> Content:
    content: Content = {}
    for key, value in pairs:
        if key in content:
            msg = f"{key!r} stands twice in the same place; join the two"
            raise VocabularyError(msg)
        content[key] = value
    return content


def _check(content: Any) -> None:
    _require(isinstance(content, dict), "the file", "an object of sections, { ... }", content)
    for section, values in content.items():
        if section not in _SECTIONS:
            msg = f"{section!r} is no section of a vocabulary{nearest(section, _SECTIONS)}"
            raise VocabularyError(msg)
        _SECTIONS[section](section, values)
    _check_owners(content)


def _check_owners(content: Content) -> None:
    """No wording belongs to two entries."""
    owners: dict[tuple[str, ...], str] = {}
    for section, name, spellings in _entry_spellings(content):
        place = f"{section} > {name}"
        for words in spellings:
            if owners.setdefault(words, place) != place:
                msg = f"{' '.join(words)!r} stands in {owners[words]} and in {place}; keep it in one of them"
                raise VocabularyError(msg)


def _require(holds: bool, place: str, expected: str, found: object) -> None:
    if not holds:
        msg = f"{place} must be {expected}, got {json.dumps(found, ensure_ascii=False)[:80]}"
        raise VocabularyError(msg)


def _check_format(place: str, value: Any) -> None:
    _require(value == FORMAT, place, f"{FORMAT}, the only one this version reads", value)


def _check_text(place: str, value: Any) -> None:
    _require(isinstance(value, str) and bool(word_texts(value)), place, "a text with at least one word", value)


def _check_texts(place: str, value: Any) -> None:
    _require(isinstance(value, list), place, "a list of words in quotes, [ ... ]", value)
    for text in value:
        _check_text(place, text)


def _check_flag(place: str, value: Any) -> None:
    _require(isinstance(value, bool), place, "true or false", value)


def _check_numbers(place: str, value: Any) -> None:
    _require(isinstance(value, dict), place, "an object, WORD: number", value)
    for word, number in value.items():
        valid = isinstance(number, int) and not isinstance(number, bool) and 0 < number < 1000
        _require(valid, f"{place} > {word}", "a whole number from 1 to 999", number)


def _check_abbreviations(place: str, value: Any) -> None:
    _require(isinstance(value, dict), place, "an object, SHORT: full words", value)
    for short, full in value.items():
        _check_text(f"{place} > {short}", short)
        _check_text(f"{place} > {short}", full)


def _check_snomed(place: str, value: Any) -> None:
    _check_object({"code": _check_code, "meaning": _check_text}, place, value)
    for key in ("code", "meaning"):
        _require(key in value, place, "an object with code and meaning", value)


def _check_code(place: str, value: Any) -> None:
    valid = isinstance(value, str) and bool(re.fullmatch(r"[1-9][0-9]{5,17}", value)) and is_check_digit_right(value)
    _require(valid, place, "a SNOMED CT code in quotes (its last digit checks the others)", value)


def is_check_digit_right(code: str) -> bool:
    """The last digit of a SNOMED CT identifier is the Verhoeff check digit of the others."""
    check = 0
    for position, sign in enumerate(reversed(code)):
        digit = int(sign)
        for _ in range(position % 8):
            digit = _PERMUTE[digit]
        check = _TIMES[check][digit]
    return check == 0


def _one_of(legal: tuple[str, ...]) -> Callable[[str, Any], None]:
    def check(place: str, value: Any) -> None:
        if value not in legal:
            msg = f"{place}: {json.dumps(value, ensure_ascii=False)[:80]} is not legal{nearest(str(value), legal)}"
            raise VocabularyError(msg)

    return check


def _check_levels(place: str, value: Any) -> None:
    _check_texts(place, value)
    for level in value:
        _one_of(_LEVELS)(place, level)


def _check_object(keys: Mapping[str, Callable[[str, Any], None]], place: str, value: Any) -> None:
    _require(isinstance(value, dict), place, "an object, { ... }", value)
    for key, content in value.items():
        if key not in keys:
            msg = (
                f"{place}: {key!r} is not legal{nearest(key, keys)}" if keys else f"{place} takes nothing, got {key!r}"
            )
            raise VocabularyError(msg)
        keys[key](f"{place} > {key}", content)


def _entries(**keys: Callable[[str, Any], None]) -> Callable[[str, Any], None]:
    keys = {"synonyms": _check_texts, "snomed": _check_snomed, **keys}

    def check(place: str, value: Any) -> None:
        _require(isinstance(value, dict), place, "an object, NAME: { ... }", value)
        for name, entry in value.items():
            _check_text(f"{place} > {name}", name)
            _check_object(keys, f"{place} > {name}", entry)

    return check


def _lists(*names: str) -> Callable[[str, Any], None]:
    return lambda place, value: _check_object(dict.fromkeys(names, _check_texts), place, value)


def _fixed(names: tuple[str, ...]) -> Callable[[str, Any], None]:
    check_entries = _entries()

    def check(place: str, value: Any) -> None:
        check_entries(place, value)
        for name in value:
            _one_of(names)(place, name)

    return check


_frame = _one_of(("patient", "image"))
_SECTIONS: dict[str, Callable[[str, Any], None]] = {
    "format": _check_format,
    "description": _check_texts,
    "findings": _entries(plurals=_check_texts, structure=_check_text, frame=_frame),
    "structures": _entries(
        plurals=_check_texts, adjectives=_check_texts, paired=_check_flag, named_by_side=_check_flag,
        generic=_check_flag, within=_check_text, frame=_frame,
    ),
    "regions": _entries(
        plurals=_check_texts, adjectives=_check_texts, structure=_check_text, levels=_check_levels,
        side=_one_of(_SIDES), twin=_check_text,
    ),
    "sides": _fixed((*_SIDES, "unilateral")),
    "levels": _fixed(_LEVELS),
    "numbers": _check_numbers,
    "abbreviations": _check_abbreviations,
    "negations": _lists("before", "after", "clear", "either", "except", "spared", "not_a_negation"),
    "image": _lists("pictures", "recordings", "viewers", "patients", "as_seen"),
    "function_words": _lists(
        "prepositions", "conjunctions", "alternatives", "terminators", "comparisons", "whole", "halves", "areas",
        "units", "requests", "questions", "histories", "statements", "neutral", "appearances", "other",
    ),
    "descriptions": _check_texts,
    "never_correct": _check_texts,
}  # fmt: skip
