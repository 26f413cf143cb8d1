"""What an evaluation says to a network instead of a film's own caption: nothing, another film's, less, the opposite."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from TextGuidedSegLib.language.items import Item, read_items
from TextGuidedSegLib.language.vocabulary import default_vocabulary
from TextGuidedSegLib.phrase import Phrase, parse, swap_sides
from training.rewording import (
    contradicted,
    overdescribed,
    text_of,
    without_description,
    without_diagnosis,
    without_location,
    wordings,
)

CONDITIONS = (
    "original", "none", "shuffled", "swapped", "count_removed", "location_removed", "description_removed",
    "diagnosis_removed", "overdescriptive", "contradictory", "paraphrased",
)  # fmt: skip
"""Nothing, another film's caption, the other side, less, more, a contradiction, other words for the same."""

UNTRUE = frozenset({"none", "shuffled", "swapped"})
"""Conditions under which the words do not name what the mask shows."""


Reword = Callable[[str, int, int | str], list[str]]
"""Other wordings of a phrase, so many, by a seed: `rewording.wordings` or `heldout.wordings`."""


def under_condition(
    phrases: Sequence[str], condition: str, seed: int, *, reword: Reword = wordings
) -> list[str | None]:
    """The phrase that each case is given.

    Args:
        phrases: The cases' own phrases.
        condition: One of `CONDITIONS`.
        seed: Seed of `shuffled` and `paraphrased`.
        reword: Where `paraphrased` has its words from; by default from the training grammars.

    Raises:
        ValueError: The condition is unknown, is `shuffled` and all phrases are the same, is `contradictory` and a
            phrase cannot be made so, or is `paraphrased` and there is no other wording of a phrase.
    """
    if condition not in CONDITIONS:
        msg = f"the condition must be one of {', '.join(CONDITIONS)}, got {condition!r}"
        raise ValueError(msg)
    if condition == "none":
        return [None] * len(phrases)
    if condition == "shuffled":
        return list(shuffled(phrases, seed))
    if condition == "paraphrased":
        return [reword(phrase, 1, f"{seed} {row}")[0] for row, phrase in enumerate(phrases)]
    change = _CHANGES.get(condition)
    return [phrase if change is None else change(phrase) for phrase in phrases]


def shuffled(phrases: Sequence[str], seed: int) -> list[str]:
    """The same phrases in another order, see `derangement`."""
    return [phrases[row] for row in derangement(phrases, seed)]


def derangement(phrases: Sequence[str], seed: int) -> list[int]:
    """Whose phrase each row gets: all rows in another order, in which nobody keeps their own phrase.

    Captions are few fixed sentences: a row may get another row's phrase that reads like its own only where one sentence
    is the phrase of more than half of the rows.

    Raises:
        ValueError: All phrases are the same.
    """
    if len(set(phrases)) < 2:
        msg = f"the condition shuffled needs rows with different phrases, all {len(phrases)} have {phrases[0]!r}"
        raise ValueError(msg)
    order = list(range(len(phrases)))
    random.Random(seed).shuffle(order)
    given = list(order)
    for here, there in zip(order, order[1:] + order[:1], strict=True):  # one step along a shuffled circle
        given[here] = there
    for here in order:
        own = phrases[here]
        if phrases[given[here]] == own:
            other = next((row for row in order if own not in (phrases[given[row]], phrases[row])), here)
            given[here], given[other] = given[other], given[here]
    return given


def without_count(phrase: str) -> str:
    """The phrase without the number of findings, in its normalized form.

    Count words of the captions were read off the truth, so a score with them is partly a score of being told the
    answer. The clause that counts (*two infected areas*) goes as a whole where the rest says the same without it, else
    its number alone.

    Raises:
        PhraseError: The phrase is empty or too long.
    """
    found = parse(phrase)
    while found.count is not None:
        found = _shorter(found)
    return found.normalized


def _shorter(phrase: Phrase) -> Phrase:
    """The phrase without the clause that counts, or without its number."""
    reading = read_items(phrase.normalized, default_vocabulary())
    numbers = [at for at, item in enumerate(reading.items) if item.kind == "number"]
    clauses = [clause for clause in _clauses(reading.items) if any(clause[0] <= at < clause[1] for at in numbers)]
    # *Two small, medium polyps*: a clause that counts has what it counts.
    clauses = [(start, end) for start, end in clauses if any(_is_counted(item) for item in reading.items[start:end])]
    for start, end in [*clauses, *((at, at + 1) for at in numbers)]:
        kept = reading.items[:start] + reading.items[end:]
        rest = parse(text_of(kept, reading.tail)) if kept else None
        if rest and rest.count != phrase.count and (rest.finding, rest.places) == (phrase.finding, phrase.places):
            return rest
    return parse(text_of([item for item in reading.items if item.kind != "number"], reading.tail))


def _is_counted(item: Item) -> bool:
    return item.kind == "finding" or item.text in default_vocabulary().areas


def _clauses(items: Sequence[Item]) -> Iterator[tuple[int, int]]:
    """Start and end of each run of items without a pause."""
    starts = [at for at, item in enumerate(items) if at == 0 or item.first.follows_pause or item.first.starts_sentence]
    return zip(starts, [*starts[1:], len(items)], strict=True)


_CHANGES: dict[str, Callable[[str], str]] = {
    "swapped": swap_sides,
    "count_removed": without_count,
    "location_removed": without_location,
    "description_removed": without_description,
    "diagnosis_removed": without_diagnosis,
    "overdescriptive": overdescribed,
    "contradictory": contradicted,
}
