"""What each word with a side is called when the image is mirrored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from TextGuidedSegLib.language.vocabulary_file import Content, VocabularyError

_OPPOSITE = {"left": "right", "right": "left"}


class Mirror:
    """Exchanges the words for left and right of a text.

    Words are found whole and in lower case, UPPER CASE or with a Capital; other spellings of a word become lower case.

    Args:
        content: Merged content of vocabulary files.

    Raises:
        VocabularyError: A word with a side has no counterpart.
    """

    def __init__(self, content: Content) -> None:
        pairs = dict(_side_pairs(content)) | dict(_region_pairs(content))
        self._pairs = pairs
        self._pattern = _pattern(pairs)
        abbreviations = {short.lower(): full for short, full in content.get("abbreviations", {}).items()}
        self._pairs = pairs | self._abbreviation_pairs(abbreviations)
        self._pattern = _pattern(self._pairs)

    def __call__(self, text: str) -> str:
        """The text with left for right and right for left; twice gives the text again."""
        return self._pattern.sub(self._mirrored, text)

    def _mirrored(self, match: re.Match[str]) -> str:
        found = match.group()
        other = self._pairs.get(found.lower(), found)
        if other == found.lower():
            return found
        if found.isupper():
            return other.upper()
        return other[0].upper() + other[1:] if found[0].isupper() and found[1:].islower() else other

    def _abbreviation_pairs(self, abbreviations: Mapping[str, str]) -> dict[str, str]:
        by_meaning: dict[str, list[str]] = {}
        for short, full in abbreviations.items():
            by_meaning.setdefault(full, []).append(short)
        pairs: dict[str, str] = {}
        for full, shorts in by_meaning.items():
            opposite = self(full)
            for number, short in enumerate(shorts):
                is_one_word = re.fullmatch(r"\w+", short) is not None
                if opposite != full and is_one_word:
                    twins = by_meaning.get(opposite, [])
                    pairs[short] = twins[number] if number < len(twins) else opposite
                elif opposite == full and not is_one_word:  # the l of b/l and of l-spine is no side
                    pairs.update((same, same) for same in (short, short.replace("-", " "), short.replace(" ", "-")))
        return pairs


def _pattern(words: Mapping[str, str]) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    # Not inside a word, nor a part of one with an apostrophe.
    return re.compile(
        rf"(?<![^\W_])(?<![^\W_]')(?:{'|'.join(map(re.escape, longest_first))})(?![^\W_]|'[^\W_])", re.IGNORECASE
    )


def _side_pairs(content: Content) -> Iterator[tuple[str, str]]:
    left, right = (["left", *content["sides"]["left"]["synonyms"]], ["right", *content["sides"]["right"]["synonyms"]])
    if len(left) != len(right):
        msg = (
            f"sides: left has {len(left) - 1} synonyms and right has {len(right) - 1}; the n-th of left and the n-th "
            "of right must be mirror images, so give both lists the same length"
        )
        raise VocabularyError(msg)
    yield from zip(left, right, strict=True)
    yield from zip(right, left, strict=True)


def _region_pairs(content: Content) -> Iterator[tuple[str, str]]:
    regions = content["regions"]
    for name, entry in regions.items():
        if entry.get("side") not in _OPPOSITE:
            continue
        twin = regions.get(entry.get("twin"), {})
        if twin.get("twin") != name or twin.get("side") != _OPPOSITE[entry["side"]]:
            msg = (
                f"regions > {name}: it is on the {entry['side']} only, so it needs a twin: a region on the "
                f"{_OPPOSITE[entry['side']]} whose twin it is; got {entry.get('twin')!r}"
            )
            raise VocabularyError(msg)
        names = [[name_, *entry_.get("adjectives", ())] for name_, entry_ in ((name, entry), (entry["twin"], twin))]
        if len(names[0]) != len(names[1]) or entry.get("synonyms") or twin.get("synonyms"):
            msg = f"regions > {name}: it and its twin need the same number of adjectives, and no synonyms"
            raise VocabularyError(msg)
        yield from zip(*names, strict=True)
