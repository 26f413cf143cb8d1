"""What a phrase is called when the image is mirrored or turned: sides change, but names that hold a side word stay.

The left ventricle of a mirrored heart is still the left ventricle: its thick wall makes it so, not its place.
"""

from __future__ import annotations

from TextGuidedSegLib.phrase import is_named_by_side, names_level, swap_sides


def mirrored_words(text: str) -> str:
    """The phrase for the mirrored image; twice gives the text again, as `swap_sides` does.

    Args:
        text: Of any length, as abbreviations may have been expanded; may be empty.
    """
    return text if is_named_by_side(text) else swap_sides(text)


def is_true_turned(text: str) -> bool:
    """Whether a phrase is as true of an image turned by half: it names no side and no level.

    Args:
        text: As for `mirrored_words`.
    """
    return mirrored_words(text) == text and not names_level(text)
