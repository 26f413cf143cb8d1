"""From the content of vocabulary files to look-up tables: which run of words stands for what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from TextGuidedSegLib.language.vocabulary_file import ENTRY_SECTIONS, Content
from TextGuidedSegLib.language.words import word_texts

Level = Literal["upper", "middle", "lower"]
LEVELS: tuple[Level, ...] = ("upper", "middle", "lower")
# Where a phrase points that names no structure.
DEFAULT_STRUCTURE = "lung"
Words = tuple[str, ...]
Value = TypeVar("Value")

# Function words that mean nothing by themselves and differ only in their names.
_WITHOUT_KIND = frozenset({"areas", "requests", "questions", "histories", "statements", "neutral", "appearances"})
KINDS = {"findings": "finding", "structures": "structure", "regions": "region", "sides": "side", "levels": "level"}


@dataclass(frozen=True)
class SnomedCode:
    """A SNOMED CT concept."""

    code: str
    meaning: str


@dataclass(frozen=True)
class Entry:
    """What the vocabulary knows about one finding, structure or region.

    Attributes:
        structure: Where a finding lies if the phrase does not say; the structure a region is part of.
        levels: Levels of a region in its structure.
        side: Side of a region that exists on one side only.
        paired: A structure that exists on the left and on the right.
        named_by_side: A structure whose *left* and *right* are part of its name and no place in the image.
        generic: A structure that says no more than a finding does.
        within: The organ that a structure is part of.
        frame: `image` if left means the left of the image, because its pictures have no patient's side.
    """

    structure: str | None = None
    levels: tuple[Level, ...] = ()
    side: str | None = None
    paired: bool = False
    named_by_side: bool = False
    generic: bool = False
    within: str | None = None
    frame: Literal["patient", "image"] = "patient"


@dataclass(frozen=True)
class Term:
    """What a run of words stands for.

    Attributes:
        kind: `finding`, `structure`, `region`, `side`, `level`, `number`, `negation`, `image`, `description`, or a kind
            of function word such as `prepositions`.
        name: Name of the entry, the kind of negation or image word, or the word itself.
        plural: *lungs*.
        adjective: *pulmonary*.
    """

    kind: str
    name: str
    plural: bool = False
    adjective: bool = False


def make_entries(content: Content) -> dict[tuple[str, str], Entry]:
    """Entries of findings, structures and regions by kind and name."""
    entries: dict[tuple[str, str], Entry] = {}
    for section in ("findings", "structures", "regions"):
        for name, values in content.get(section, {}).items():
            known = {key: value for key, value in values.items() if key in Entry.__dataclass_fields__}
            known["levels"] = tuple(level for level in LEVELS if level in values.get("levels", ()))
            entries[KINDS[section], name] = Entry(**known)
    return entries


def make_snomed(content: Content) -> dict[str, SnomedCode]:
    """Codes by name of the entry."""
    return {
        name: SnomedCode(**entry["snomed"])
        for section in ENTRY_SECTIONS
        for name, entry in content.get(section, {}).items()
        if "snomed" in entry
    }


def make_terms(content: Content) -> dict[Words, Term]:
    """Every wording. Where two collide the earlier decides: entries, numbers, negations, function words."""
    terms: dict[Words, Term] = {}
    for text, term in _wordings(content):
        terms.setdefault(word_texts(text), term)
    return terms


def by_first_word(values: Mapping[Words, Value]) -> dict[str, list[tuple[Words, Value]]]:
    """Runs of words grouped by the first one, the longest first."""
    grouped: dict[str, list[tuple[Words, Value]]] = {}
    for words in sorted(values, key=len, reverse=True):
        grouped.setdefault(words[0], []).append((words, values[words]))
    return grouped


def _wordings(content: Content) -> Iterator[tuple[str, Term]]:
    for section in ENTRY_SECTIONS:
        yield from _entry_wordings(content, section)
    for section in ("findings", "structures", "regions"):
        for name, entry in content.get(section, {}).items():
            # What exists on one side only has no plural.
            if "side" not in entry:
                texts = filter(None, map(regular_plural, [name, *entry.get("synonyms", ())]))
                yield from ((text, Term(KINDS[section], name, plural=True)) for text in texts)
    yield from ((text, Term("number", text)) for text in content.get("numbers", {}))
    for kind, texts in content.get("negations", {}).items():
        yield from _each(texts, Term("other" if kind == "not_a_negation" else "negation", kind))
    for kind, texts in content.get("image", {}).items():
        yield from _each(texts, Term("image", kind))
    for kind, texts in content.get("function_words", {}).items():
        yield from _each(texts, Term("other" if kind in _WITHOUT_KIND else kind, kind))
    yield from _each(content.get("descriptions", ()), Term("description", "description"))


def _entry_wordings(content: Content, section: str) -> Iterator[tuple[str, Term]]:
    kind = KINDS[section]
    for name, entry in content.get(section, {}).items():
        yield from _each([name, *entry.get("synonyms", ())], Term(kind, name))
        yield from _each(entry.get("adjectives", ()), Term(kind, name, adjective=True))
        yield from _each(entry.get("plurals", ()), Term(kind, name, plural=True))


def _each(texts: Iterable[str], term: Term) -> Iterator[tuple[str, Term]]:
    return ((text, term) for text in texts)


def regular_plural(text: str) -> str | None:
    """*masses*, *cavities*, *lungs*; None for what looks like a plural already.

    Args:
        text: Singular wording; its last word changes.
    """
    if text.endswith(("ss", "x", "ch", "sh")):
        return text + "es"
    if text.endswith("s"):
        return None
    if text.endswith("y") and text[-2:-1] not in "aeiou":
        return text[:-1] + "ies"
    return text + "s"
