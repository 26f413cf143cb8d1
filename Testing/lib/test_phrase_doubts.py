"""Sides beside a picture: each is turned, or the phrase says how it was read."""

from __future__ import annotations

import pytest

from TextGuidedSegLib.phrase import parse, swap_sides

OTHER_SIDE = {"left": "right", "right": "left"}


@pytest.mark.parametrize("side", OTHER_SIDE)
@pytest.mark.parametrize("place", ["opacity", "lung", "lower zone", "upper lung opacity", "base", "mid zone opacity"])
@pytest.mark.parametrize(
    "picture",
    ["image-{} ", "screen-{} ", "film-{} ", "viewer-{} ", "reader's {} ", "{} side of the image ", "on-screen {} "],
)
def test_what_can_only_be_a_side_of_the_picture_is_turned_whatever_follows(picture: str, place: str, side: str) -> None:
    phrase = parse(picture.format(side) + place)
    meant = parse(f"{OTHER_SIDE[side]} {place}")
    assert (phrase.side, phrase.laterality, phrase.doubts) == (OTHER_SIDE[side], "image", ())
    assert (phrase.places, phrase.finding) == (meant.places, meant.finding)
    assert phrase.normalized.replace(" side", "") == meant.normalized


@pytest.mark.parametrize("text", ["image {} lower zone", "image {} lung", "opacity, image upper {} zone"])
def test_the_image_before_a_side_is_whose_it_is_and_that_is_said(text: str) -> None:
    for side, other in OTHER_SIDE.items():
        phrase = parse(text.format(side))
        assert (phrase.side, phrase.laterality) == (other, "image")
        (doubt,) = phrase.doubts
        assert f"was read as the {side} of the image, which is the patient's {other}" in doubt


@pytest.mark.parametrize(
    "text",
    ["{} image lower zone", "{}-image opacity", "opacity {} (image)", "chest image {} lung", "display {} lung",
     "screen {} lung opacity", "CT-{} lower lobe nodule", "chest film-{} lung", "CXR-{} base",
     "{} lower zone of the image", "upper {} zone of the picture", "{} (viewer)"],
)  # fmt: skip
def test_what_may_be_the_patients_side_stays_and_that_is_said(text: str) -> None:
    for side in OTHER_SIDE:
        phrase = parse(text.format(side))
        assert (phrase.side, phrase.laterality) == (side, "patient")
        (doubt,) = phrase.doubts
        assert f"was read as the patient's {side}" in doubt
        assert phrase.to_dict()["doubts"] == phrase.doubts


@pytest.mark.parametrize(
    "text",
    ["left lung", "left lung opacity on this image", "opacity in the left lung of the x-ray", "film left lower zone",
     "frontal view left lung", "opacity on the patient's left image", "chest x-ray left lower lobe",
     "image both lungs", "lower zone of the image", "polyp at image left", "tumor in the left breast ultrasound image",
     "left lung, image of a film"],
)  # fmt: skip
def test_nothing_is_doubted_without_a_reason(text: str) -> None:
    assert parse(text).doubts == ()


@pytest.mark.parametrize(
    ("text", "part"),
    [("hippocampus minus anterior hippocampus", "anterior hippocampus"), ("left ventricle without its wall", "wall"),
     ("LV without myocardium", "myocardium")],
)  # fmt: skip
def test_a_part_that_cannot_be_taken_out_is_said(text: str, part: str) -> None:
    (doubt,) = parse(text).doubts
    assert f'"{part}" was not taken out' in doubt


@pytest.mark.parametrize(
    "text", ["both hippocampi except the right one", "left ventricle and its wall", "LV. No wall motion abnormality."]
)
def test_what_is_taken_out_or_denied_needs_no_doubt(text: str) -> None:
    assert parse(text).doubts == ()


@pytest.mark.parametrize("text", ["image left lower zone", "left image opacity", "left zone of the image"])
def test_the_mirrored_phrase_has_the_mirrored_doubt(text: str) -> None:
    assert tuple(map(swap_sides, parse(text).doubts)) == parse(swap_sides(text)).doubts


@pytest.mark.parametrize(
    "word",
    ["leader", "viewed", "observed", "prospective", "respective", "funding", "binding", "statue", "historic", "changed",
     "charge", "evaluated", "thirty", "something", "anything", "resent", "niche", "quarterly", "rile", "dull"],
)  # fmt: skip
def test_an_ordinary_word_is_no_misspelled_function_word(word: str) -> None:
    assert parse(f"{word} left lung").corrections == ()
