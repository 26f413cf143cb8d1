"""A noun that two parts share: *anterior left and posterior right hippocampus*, *anterior & posterior hippocampus*.

The first part gets the noun that it lacks, so that the names of both are found, however they are joined.
"""

from __future__ import annotations

from TextGuidedSegLib.language.vocabulary import Vocabulary
from TextGuidedSegLib.language.words import Word

_PARTS = {"anterior": "posterior", "posterior": "anterior"}
_SIDES = frozenset({"left", "right", "both", "l", "r", "lt", "rt"})
_ADJECTIVES = _SIDES | _PARTS.keys()
_JOINTS = frozenset({"and", "plus"})


def with_shared_noun(words: list[Word], vocabulary: Vocabulary) -> list[Word]:
    """The words with the noun behind each part that has a side, or with *and* for a sign between two without.

    The side of *anterior and posterior left hippocampus* is that of both, and comes first.

    Args:
        words: Of a phrase, abbreviations expanded or not.
        vocabulary: Knows which parts have a name of their own.
    """
    if not any(word.text in _PARTS for word in words):
        return words
    result = list(words)
    for joint in range(len(words) - 1, 0, -1):
        is_word = words[joint].text in _JOINTS
        if not (is_word or words[joint].is_joined or words[joint].before == ", "):
            continue
        first = _part_before(words, joint)
        second = _part_behind(words, joint + is_word)
        noun = joint + is_word + len(second)
        named = _are_two_parts(first, second) and noun < len(words)
        if named and _is_named(first, words[noun].text, vocabulary):
            _share(result, joint, first, second, words[noun].text)
    return result


def _share(words: list[Word], joint: int, first: list[str], second: list[str], noun: str) -> None:
    """Change what stands around the joint of two parts."""
    if not (_SIDES.isdisjoint(first) or _SIDES.isdisjoint(second)):
        words.insert(joint, Word(noun, " "))
        return
    if words[joint].before == ", ":
        return
    if words[joint].text not in _JOINTS:
        words[joint].before = " "
        words.insert(joint, Word("and", " "))
    if len(first) == 1 and len(second) == 2 and second[1] in _SIDES:
        side = words.pop(joint + 2)
        side.before, words[joint - 1].before = words[joint - 1].before, " "
        words.insert(joint - 1, side)


def _part_before(words: list[Word], end: int) -> list[str]:
    start = end
    while start > 0 and words[start - 1].text in _ADJECTIVES:
        if start < end and words[start].before != " ":
            break
        start -= 1
    return [word.text for word in words[start:end]]


def _part_behind(words: list[Word], start: int) -> list[str]:
    end = start
    while end < len(words) and words[end].text in _ADJECTIVES:
        if end > start and words[end].before != " ":
            break
        end += 1
    return [word.text for word in words[start:end]]


def _are_two_parts(first: list[str], second: list[str]) -> bool:
    parts = [[word for word in part if word in _PARTS] for part in (first, second)]
    return all(len(part) == 1 for part in parts) and _PARTS[parts[0][0]] == parts[1][0]


def _is_named(part: list[str], noun: str, vocabulary: Vocabulary) -> bool:
    adjective = next(word for word in part if word in _PARTS)
    found = vocabulary.match([adjective, noun], 0)
    return found is not None and found[0].kind == "structure" and found[1] > 1
