"""Phrases with less, with more, with a contradiction, and in other words: what stays and what goes."""

from __future__ import annotations

import random

import pytest

from Testing.training.tiny import LESIONS
from TextGuidedSegLib.errors import PhraseError
from TextGuidedSegLib.language.items import read_items
from TextGuidedSegLib.language.vocabulary import default_vocabulary
from TextGuidedSegLib.phrase import MAX_PHRASE_LENGTH, Phrase, parse
from training import grammar
from training.conditions import under_condition
from training.rewording import (
    MOST_WORDINGS,
    contradicted,
    first_different,
    overdescribed,
    without_description,
    without_diagnosis,
    without_location,
    wordings,
    zones_of,
)

PICTURES = (
    "One small pink round polyp, located in top left, center of the image.",
    "Two small circle-shaped benign tumors at the top left, center in the breast ultrasound image.",
)
STRUCTURES = ("Left lung.", "Right lung.", "Both lungs.", "Anterior hippocampus.", "Left ventricular cavity.")


def _phrases() -> list[str]:
    rng = random.Random(0)
    made = []
    for _ in range(60):
        zones = {side: tuple(level for level in grammar.LEVELS if rng.random() < 0.5) for side in ("left", "right")}
        made.append(grammar.finding_phrase(zones, rng.choice((None, 1, 2, 3)), rng))
    return [*(row.caption for row in LESIONS), *PICTURES, *STRUCTURES, *made]


PHRASES = _phrases()
OF_THE_LUNGS = [phrase for phrase in PHRASES if zones_of(parse(phrase)) is not None]


def places(phrase: Phrase) -> set[tuple[str, str, str]]:
    """Sides and levels taken apart."""
    return {
        (place.structure, side, level)
        for place in phrase.places
        for side in (("left", "right") if place.side == "both" else (place.side,))
        for level in (place.levels or grammar.LEVELS)
    }


class TestLess:
    def test_no_side_and_no_level_is_left_beside_a_finding_which_stays(self) -> None:
        for phrase in PHRASES:
            before, after = parse(phrase), parse(without_location(phrase))
            assert after.finding == before.finding, phrase
            if before.finding is not None:
                assert {(place.side, place.levels) for place in after.places} <= {("none", ())}, phrase
                assert after.count == before.count, phrase

    @pytest.mark.parametrize(
        ("phrase", "expected"),
        [
            (
                "Bilateral pulmonary infection, two infected areas, upper left lung and all right lung.",
                "pulmonary infection, two infected areas.",
            ),
            ("LLL consolidation", "consolidation"),
            ("opacity in the lower zone of the left lung", "opacity"),
            ("severe opacity at the left base, no effusion", "severe opacity, no effusion"),
            ("Left lung.", "lung."),
            ("left ventricle", "left ventricle"),
            ("Anterior hippocampus.", "anterior hippocampus."),
            (PICTURES[0], "one small pink round polyp."),
        ],
    )
    def test_locations_by_example(self, phrase: str, expected: str) -> None:
        assert without_location(phrase) == expected

    def test_descriptions_go_and_all_else_stays(self) -> None:
        for phrase in PHRASES:
            after = without_description(phrase)
            kinds = [item.kind for item in read_items(after, default_vocabulary()).items]
            assert "description" not in kinds
            before, left = parse(phrase), parse(after)
            assert (left.finding, places(left), left.negated) == (before.finding, places(before), before.negated)
        assert without_description(PICTURES[0]) == "one polyp, located in top left, center of the image."

    def test_a_diagnosis_becomes_something_and_its_place_stays(self) -> None:
        for phrase in PHRASES:
            before, after = parse(phrase), parse(without_diagnosis(phrase))
            assert after.finding == ("abnormality" if before.finding else None), phrase
            if before.frame == "patient":
                assert places(after) == places(before), phrase
        assert without_diagnosis(LESIONS[0].caption) == ("unilateral pulmonary abnormality, one area, lower left lung.")

    @pytest.mark.parametrize("change", [without_location, without_description, without_diagnosis, overdescribed])
    def test_nothing_is_no_phrase(self, change) -> None:
        with pytest.raises(PhraseError):
            change(" ")


class TestMore:
    def test_many_words_around_it_change_no_meaning(self) -> None:
        for phrase in PHRASES:
            before, after = parse(phrase), parse(overdescribed(phrase))
            assert len(after.text) > len(phrase) + 60
            assert (after.finding, places(after), after.count) == (before.finding, places(before), before.count)
            assert (after.negated, after.contradictory, after.frame) == (False, False, before.frame)

    def test_a_phrase_without_room_stays(self) -> None:
        long = ("left lung opacity " * 30)[: MAX_PHRASE_LENGTH - 10].strip()
        assert overdescribed(long) == parse(long).normalized

    def test_every_phrase_can_be_made_to_contradict_itself(self) -> None:
        for phrase in PHRASES:
            assert parse(contradicted(phrase)).contradictory, phrase

    def test_one_without_room_for_it_is_told(self) -> None:
        with pytest.raises(ValueError, match="cannot be made to contradict itself"):
            contradicted(("anterior hippocampus " * 30)[:MAX_PHRASE_LENGTH])


class TestWordings:
    def test_ten_others_say_the_same_and_are_different_inputs(self) -> None:
        for phrase in OF_THE_LUNGS:
            said, before = wordings(phrase, MOST_WORDINGS, 0), parse(phrase)
            inputs = {parse(each).normalized.strip(" .?!") for each in (*said, phrase)}
            assert len(inputs) == MOST_WORDINGS + 1, phrase
            for each in said:
                after = parse(each)
                assert places(after) == places(before), (phrase, each)
                assert (after.finding is None) == (before.finding is None), (phrase, each)
                assert after.count in (None, before.count), (phrase, each)
                assert not after.contradictory

    def test_a_seed_decides_and_case_does_not(self) -> None:
        assert wordings("Left lung.", 5, 1) == wordings("left lung.", 5, 1)
        assert wordings("left lung opacity", 5, 1) != wordings("left lung opacity", 5, 2)

    def test_more_than_there_are_is_refused(self) -> None:
        with pytest.raises(ValueError, match="up to 10 wordings of a phrase, got 11"):
            wordings("left lung", 11, 0)

    @pytest.mark.parametrize("phrase", [*PICTURES, "Left atrium.", "aorta"])
    def test_fewer_than_asked_for_are_told_and_not_repeated(self, phrase: str) -> None:
        with pytest.raises(ValueError, match=r"has \d other wordings .* tell apart, 10 were asked for; ask for fewer"):
            wordings(phrase, MOST_WORDINGS, 0)

    def test_abbreviations_and_requests_are_no_other_wording(self) -> None:
        texts = [
            "find the LV cavity",
            "please show left ventricular cavity.",
            "Left Ventricular Cavity?",
            "LV blood pool",
        ]
        (other,) = first_different(parse("left ventricular cavity"), texts, 1)
        assert other == "LV blood pool"

    def test_zones_of_a_phrase(self) -> None:
        assert zones_of(parse("LLL and right lung opacity")) == {"left": ("lower",), "right": grammar.LEVELS}
        assert zones_of(parse("opacity in both bases")) == {"left": ("lower",), "right": ("lower",)}
        assert zones_of(parse("heart")) is None
        assert zones_of(parse("opacity")) is None


def test_the_conditions_of_an_evaluation_use_them() -> None:
    captions = [row.caption for row in LESIONS]
    assert under_condition(captions, "location_removed", 0) == [without_location(caption) for caption in captions]
    assert under_condition(captions, "description_removed", 0) == [without_description(each) for each in captions]
    assert under_condition(captions, "diagnosis_removed", 0) == [without_diagnosis(each) for each in captions]
    assert under_condition(captions, "overdescriptive", 0) == [overdescribed(each) for each in captions]
    assert all(parse(each).contradictory for each in under_condition(captions, "contradictory", 0))
    said = under_condition(captions, "paraphrased", 0)
    assert all(places(parse(one)) == places(parse(other)) for one, other in zip(said, captions, strict=True))
    assert not set(said) & {caption.lower() for caption in captions}
    assert said != under_condition(captions, "paraphrased", 1)
