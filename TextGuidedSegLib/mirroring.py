"""What a phrase is called when the image is mirrored: sides change, but names that hold a side word stay.

The left ventricle of a mirrored heart is still the left ventricle: its thick wall makes it so, not its place.
"""

from __future__ import annotations

from TextGuidedSegLib.language.vocabulary import default_vocabulary
from TextGuidedSegLib.phrase import parse, swap_sides


def mirrored_words(text: str) -> str:
    """The phrase for the mirrored image; twice gives the text again, as `swap_sides` does.

    Args:
        text: 1 to 500 characters, or nothing at all.
    """
    if not text.strip():
        return text
    places = parse(text).places
    structure = default_vocabulary().structure
    if places and all(structure(place.structure).named_by_side for place in places):
        return text
    return swap_sides(text)
