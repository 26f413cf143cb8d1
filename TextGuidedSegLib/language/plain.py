"""The one wording of a phrase that names nothing but whole lungs, however it was said.

*All of the left lung* and *the lung to the left* mean what *left lung* means, and a network that was taught the latter
need not guess. Every other phrase reaches the network as it was said.
"""

from __future__ import annotations

from collections.abc import Sequence

from TextGuidedSegLib.language.items import Item
from TextGuidedSegLib.language.places import Place

_WITHOUT_MEANING = frozenset({"side", "structure", "whole", "other", "conjunctions", "prepositions", "number"})
_SIDE_WORDS = frozenset({"side", "sides", "sided"})  # of the halves: *left side* is *left*, *half of the left* is not
_QUANTIFIED = "whole"


def plain_wording(items: Sequence[Item], places: Sequence[Place]) -> str | None:
    """`left lung`, `right lung` or `both lungs`; None if the phrase says more, less or something else.

    Args:
        items: All words of the phrase, by meaning.
        places: What they were understood as.
    """
    if not places or any(place.structure != "lung" or place.levels for place in places):
        return None
    is_quantified = any(item.kind == _QUANTIFIED for item in items)  # *every part of* is all of it
    for item in items:
        is_half = item.kind == "halves" and (is_quantified or item.text in _SIDE_WORDS)
        if item.negated or item.excepted or not (item.kind in _WITHOUT_MEANING or is_half):
            return None
    sides = {place.side for place in places}
    if sides in ({"left"}, {"right"}):
        return f"{next(iter(sides))} lung"
    return "both lungs"
