"""Phrase units: what kind each expression is, which words form it, which way it points, and the law of the mirror."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from TextGuidedSegLib.language.units import DIRECTIONS, MAX_LOCATIONS, UNIT_KINDS, Unit
from TextGuidedSegLib.phrase import MAX_PHRASE_LENGTH, parse, read_units, swap_sides

CAPTION = "bilateral pulmonary infection, two infected areas, lower left lung and upper middle right lung"
PHRASES = (
    CAPTION,
    "left lower lung opacity",
    "both lungs",
    "opacity, not on the left",
    "posterior left lung base",
    "right lung",
    "pneumonia",
    "all left lung and middle lower right lung",
    "cardiomegaly with pleural effusion on the right",
    "infection in the lower left and right lung",
    "opacity on the left side of the image",
    "one small polyp, located in top left of the image",
    "benign tumor at the bottom right in the breast ultrasound image",
    "mass in the left breast",
    "left ventricular cavity and right atrium",
)


def words(text: str, unit: Unit) -> list[str]:
    return [text[start:end] for start, end in unit.spans]


def directions(phrase: str) -> list[tuple[str, ...]]:
    """Of the location units."""
    return [unit.directions for unit in read_units(parse(phrase).normalized) if unit.kind == "location"]


class TestKinds:
    def test_a_caption(self) -> None:
        units = read_units(CAPTION)
        assert [unit.kind for unit in units] == ["diagnosis", "description", "location", "location"]
        assert words(CAPTION, units[0]) == ["infection", "infected", "areas"]
        assert words(CAPTION, units[1]) == ["two"]
        assert {"lower", "left", "lung"} <= set(words(CAPTION, units[2]))
        assert {"upper", "middle", "right", "lung"} <= set(words(CAPTION, units[3]))

    @pytest.mark.parametrize(
        ("phrase", "diagnosis"),
        [("left lower lung opacity", ["opacity"]), ("right lung", ["lung"]), ("patchy pneumonia", ["pneumonia"])],
    )
    def test_the_diagnosis_is_the_finding_or_else_the_structure(self, phrase: str, diagnosis: list[str]) -> None:
        (unit,) = (unit for unit in read_units(phrase) if unit.kind == "diagnosis")
        assert words(phrase, unit) == diagnosis

    def test_words_that_nothing_else_takes_are_description(self) -> None:
        phrase = "three large fluffy opacities in the left lung"
        (unit,) = (unit for unit in read_units(phrase) if unit.kind == "description")
        assert {"three", "large", "fluffy"} <= set(words(phrase, unit))
        assert not {"in", "the", "left"} & set(words(phrase, unit))

    def test_an_unknown_word_is_description(self) -> None:
        assert read_units("zyxwvut") == (Unit("description", ((0, 7),)),)

    @pytest.mark.parametrize("text", ["", "   ", ",,,", "?!"])
    def test_a_text_without_a_word_has_no_unit(self, text: str) -> None:
        assert read_units(text) == ()

    def test_what_is_not_in_its_normalized_form_is_one_description(self) -> None:
        assert read_units("RUL consolidation") == (Unit("description", ((0, 17),)),)
        assert [unit.kind for unit in read_units(parse("RUL consolidation").normalized)] == ["diagnosis", "location"]


class TestLocations:
    @pytest.mark.parametrize(
        ("phrase", "expected"),
        [
            ("left lower lung opacity", [("left", "lower")]),
            ("lower left and right lung", [("left", "lower"), ("right", "lower")]),
            ("both lungs", [("left", "right")]),
            ("opacity in the upper and lower left lung", [("left", "upper", "lower")]),
            ("RLL consolidation", [("right", "lower")]),
            ("opacity, not on the left", []),
            ("pneumonia", []),
            (CAPTION, [("left", "lower"), ("right", "upper", "middle")]),
        ],
    )
    def test_one_for_each_place_with_its_directions(self, phrase: str, expected: list[tuple[str, ...]]) -> None:
        assert directions(phrase) == expected

    @pytest.mark.parametrize(
        ("phrase", "expected"),
        [
            ("one small polyp, located in top left of the image", [("right", "upper")]),
            ("polyp at the right of the image", [("left",)]),
            ("benign tumor at the bottom left in the breast ultrasound image", [("right", "lower")]),
            # The side of the film, not the patient's: turned when the phrase is normalized.
            ("opacity on the left side of the image", [("right",)]),
        ],
    )
    def test_the_left_of_a_picture_is_where_a_film_has_the_right(
        self, phrase: str, expected: list[tuple[str, ...]]
    ) -> None:
        assert directions(phrase) == expected

    def test_the_side_of_an_organ_that_fills_the_picture_is_no_place_in_it(self) -> None:
        assert directions("mass in the left breast") == [()]
        assert directions("mass in the upper left breast") == [("upper",)]

    @pytest.mark.parametrize(
        ("phrase", "expected"),
        [
            ("left ventricle", [()]),
            ("LV cavity", [()]),
            ("right ventricular cavity", [()]),
            ("blood pool of the right ventricle", [()]),
            ("myocardium of the left ventricle", [()]),
            ("left atrium", [()]),
            ("left and right ventricle", [(), ()]),
            ("thrombus in the left atrium", [()]),
            ("left ventricle and left lung", [(), ("left",)]),
            ("left hippocampus", [("left",)]),
            ("right kidney", [("right",)]),
            ("anterior hippocampus", [("anterior",)]),
            ("left heart", [("left",)]),
        ],
    )
    def test_the_side_in_a_name_is_no_place_in_the_image(self, phrase: str, expected: list[tuple[str, ...]]) -> None:
        assert directions(phrase) == expected

    def test_the_words_of_a_name_form_one_unit(self) -> None:
        normalized = parse("LV cavity").normalized
        (unit,) = (unit for unit in read_units(normalized) if unit.kind == "location")
        assert words(normalized, unit)[0] == "left"
        assert words(normalized, unit)[1].startswith("ventric")

    def test_their_number_is_limited(self) -> None:
        sides = ("left", "right")
        structures = ("lung", "heart", "pleura", "kidney", "ventricle")
        phrase = ", ".join(f"{side} {structure}" for structure in structures for side in sides)
        assert len(parse(phrase).places) > MAX_LOCATIONS
        assert len(directions(phrase)) == MAX_LOCATIONS


class TestLaws:
    @pytest.mark.parametrize("phrase", PHRASES)
    def test_the_mirrored_phrase_points_the_mirrored_way(self, phrase: str) -> None:
        normalized = parse(phrase).normalized
        here, there = read_units(normalized), read_units(swap_sides(normalized))
        turned = {"left": "right", "right": "left"}
        assert [unit.kind for unit in here] == [unit.kind for unit in there]
        for one, two in zip(here, there, strict=True):
            assert {turned.get(name, name) for name in one.directions} == set(two.directions)

    @pytest.mark.parametrize("phrase", PHRASES)
    def test_units_are_well_formed(self, phrase: str) -> None:
        text = parse(phrase).normalized
        units = read_units(text)
        assert units
        for unit in units:
            assert unit.kind in UNIT_KINDS
            assert list(unit.directions) == [name for name in DIRECTIONS if name in unit.directions]
            assert unit.directions == () or unit.kind == "location"
            assert unit.spans == tuple(sorted(unit.spans))
            assert all(word.strip().isalnum() for word in words(text, unit))

    @pytest.mark.parametrize("phrase", PHRASES)
    def test_description_takes_no_word_of_another_unit(self, phrase: str) -> None:
        units = read_units(parse(phrase).normalized)
        described = {span for unit in units if unit.kind == "description" for span in unit.spans}
        others = {span for unit in units if unit.kind != "description" for span in unit.spans}
        assert not described & others

    @given(st.text(max_size=60))
    def test_any_text_has_units_inside_it(self, text: str) -> None:
        for unit in read_units(text):
            assert all(0 <= start < end <= len(text) for start, end in unit.spans)

    def test_a_phrase_may_grow_when_its_abbreviations_are_expanded(self) -> None:
        normalized = parse("RUL " * 120).normalized
        assert len(normalized) > MAX_PHRASE_LENGTH
        assert directions("RUL " * 120) == [("right", "upper")]
