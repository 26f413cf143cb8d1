"""Place words that belong together, and what may stand between them and others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from TextGuidedSegLib.language.vocabulary import Level

# What may stand between two groups of place words.
BREAK, AND, COMMA, FINDING, FAR, PREPOSITION, COMPARISON, COMPARED = (
    "break",
    "and",
    "comma",
    "finding",
    "far",
    "preposition",
    "more",
    "compared",
)
ONE_SIDE: tuple[Literal["left"], Literal["right"]] = ("left", "right")


@dataclass(frozen=True, slots=True)
class Part:
    """What one word or term adds to a group.

    Attributes:
        code: S, L or W for words that describe (side, level, whole), H for the noun; empty for what neighbors share.
        sides: `left`, `right` or `both`.
        levels: Each with the structure it holds in, or None where it holds in all: a base is low in a lung only.
        implied_side: Side that follows from a region (*lingula*).
        structure: Structure said.
        region_structure: Structure of which a region is part.
        is_plural: *lungs*, *bases*.
        may_join: *both*, which may join two levels (*both upper and lower left lung*) where *bilateral* cannot.
    """

    code: str
    sides: tuple[str, ...] = ()
    levels: tuple[tuple[Level, str | None], ...] = ()
    implied_side: str | None = None
    structure: str | None = None
    region_structure: str | None = None
    is_plural: bool = False
    may_join: bool = False


@dataclass(slots=True, eq=False)
class Group:
    """Place words that belong together.

    Attributes:
        links: What stands between the previous group and this one.
        mark: Negated, excepted, restored.
        parts: In order.
        is_counting: *Both nodules*: how many there are, not where.
        home: Structure of the finding that stands beside it.
        span: Positions of its first and its last word.
    """

    links: set[str]
    mark: tuple[bool, bool, bool]
    parts: list[Part] = field(default_factory=list)
    is_counting: bool = False
    home: str | None = None
    span: tuple[int, int] = (0, 0)

    @property
    def order(self) -> str:
        """Codes of the parts."""
        return "".join(part.code for part in self.parts)

    @property
    def sides(self) -> tuple[str, ...]:
        """Sides said, without repeats."""
        return tuple(dict.fromkeys(side for part in self.parts for side in part.sides))

    @property
    def levels(self) -> tuple[tuple[Level, str | None], ...]:
        """Levels said, each with the structure it holds in."""
        return tuple(level for part in self.parts for level in part.levels)

    @property
    def implied_side(self) -> str | None:
        """Side that follows from a region."""
        return next((part.implied_side for part in self.parts if part.implied_side), None)

    @property
    def structure(self) -> str | None:
        """Structure said."""
        return next((part.structure for part in self.parts if part.structure), None)

    @property
    def region_structure(self) -> str | None:
        """Structure of which the region is part."""
        return next((part.region_structure for part in self.parts if part.region_structure), None)

    @property
    def has_noun(self) -> bool:
        """A structure or region was said, so that describing words after it begin a new group."""
        return "H" in self.order

    @property
    def is_open(self) -> bool:
        """No noun closes the group: what it lacks may follow."""
        return not self.order.endswith("H")

    @property
    def is_plural(self) -> bool:
        """*Lungs*, *bases*."""
        return any(part.is_plural for part in self.parts)

    @property
    def is_bare(self) -> bool:
        """Neither a side nor a level is said."""
        return not (self.sides or self.levels or self.implied_side)

    def make_singular(self) -> None:
        """The plural does not mean both sides."""
        self.parts = [replace(part, is_plural=False) for part in self.parts]

    def drop_both(self) -> None:
        """*Both* was said of something else."""
        self.parts = [replace(part, sides=tuple(side for side in part.sides if side != "both")) for part in self.parts]
