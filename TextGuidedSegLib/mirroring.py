"""What a phrase is called when the image is mirrored: sides change, but names that hold a side word stay.

The left ventricle of a mirrored heart is still the left ventricle: its thick wall makes it so, not its place.
"""

from __future__ import annotations

from TextGuidedSegLib.phrase import is_named_by_side, swap_sides


def mirrored_words(text: str) -> str:
    """The phrase for the mirrored image; twice gives the text again, as `swap_sides` does.

    Args:
        text: Of any length, as abbreviations may have been expanded; may be empty.
    """
    return text if is_named_by_side(text) else swap_sides(text)
