"""What a phrase is called when the volume is mirrored: places change sides, names do not."""

from __future__ import annotations

import pytest

from TextGuidedSegLib.mirroring import mirrored_words


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("left hippocampus", "right hippocampus"),
        ("anterior hippocampus", "anterior hippocampus"),
        ("right kidney", "left kidney"),
        ("left lower lung opacity", "right lower lung opacity"),
        ("left ventricular cavity", "left ventricular cavity"),
        ("right ventricle", "right ventricle"),
        ("myocardium of the left ventricle", "myocardium of the left ventricle"),
        ("left atrium", "left atrium"),
        ("left ventricle and left lung", "right ventricle and right lung"),
        ("", ""),
        ("  ", "  "),
    ],
)
def test_known_phrases(text: str, mirrored: str) -> None:
    assert mirrored_words(text) == mirrored
    assert mirrored_words(mirrored) == text


def test_a_phrase_may_have_grown_beyond_what_people_may_type() -> None:
    chamber, lobe = "left ventricle " * 100, "right upper lung " * 100
    assert mirrored_words(chamber) == chamber
    assert mirrored_words(lobe) == lobe.replace("right", "left")
