"""What phrases mean: a table of wordings, the published captions, and laws that hold for any words in any order."""

from __future__ import annotations

import csv
import itertools
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from TextGuidedSegLib.errors import PhraseError
from TextGuidedSegLib.phrase import MAX_PHRASE_LENGTH, Phrase, Place, parse, swap_sides

TABLE = list(csv.DictReader(Path(__file__).with_name("phrases.csv").open(encoding="utf-8", newline="")))
LEVELS = ("upper", "middle", "lower")
SOME_LEVELS = [levels for count in (1, 2, 3) for levels in itertools.combinations(LEVELS, count)]
COUNTS = ("zero", "one", "two", "three", "four", "five", "six")
OTHER_SIDE = {"left": "right", "right": "left"}

# Phrases as people put them together: words with and without a meaning, in any order.
WORDS = st.sampled_from(
    [
        "left", "right", "both", "bilateral", "unilateral", "upper", "middle", "lower", "mid", "apical",
        "basal", "all", "whole", "lung", "lungs", "lobe", "lobes", "zone", "zones", "base", "bases", "apex",
        "lingula", "heart", "ventricle", "myocardium", "atrium", "hippocampus", "breast", "opacity",
        "opacities", "infection", "effusion", "nodule", "polyp", "tumor", "and", "or", "in", "of", "the", "no",
        "not", "without", "clear", "absent", "except", "but", "two", "one", "small", "image", "film", "side",
        "top", "bottom", "center", "LLL", "RML", "LV", "GGO", "l", "rt", "b/l", "viewer's", "middle-lobe",
        "zzqx", "worse", "than", "nothing", "present", "changes", "r/o", "h/o", "2/3", "thirds", "image-left",
        "normal", "otherwise", "fully", "excluded", "seen", "spare", "obscuring",
    ]
)  # fmt: skip
SIGNS = st.sampled_from(["", "", "", "", ",", ".", "/", ":", "\n"])
PHRASES = st.lists(st.tuples(WORDS, SIGNS), min_size=1, max_size=12).map(
    lambda parts: " ".join(word + sign for word, sign in parts)
)
PLACES = st.sampled_from(
    ["left lung", "right lower lung", "upper left lung", "lower zone of the right lung", "RUL", "LLL", "left base",
     "right apex", "all left lung", "both lower zones", "lower 2/3 of the left lung", "lingula", "middle right lung",
     "upper middle left lung"]
)  # fmt: skip


def shown(place: Place) -> str:
    """A place as the table writes it."""
    return "/".join(filter(None, (place.structure, place.side, "+".join(place.levels))))


def zones(phrase: Phrase) -> set[tuple[str, str]]:
    """Sides and levels named, whole places taken apart."""
    return {
        (side, level)
        for place in phrase.places
        for side in ((place.side,) if place.side in OTHER_SIDE else ("left", "right"))
        for level in (place.levels or LEVELS)
    }


def mirrored(places: tuple[Place, ...]) -> set[Place]:
    """Places of the mirrored image."""
    return {replace(place, side=OTHER_SIDE.get(place.side, place.side)) for place in places}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["phrase"])
def test_the_table(row: dict[str, str]) -> None:
    phrase = parse(row["phrase"])
    assert (phrase.finding or "") == row["finding"]
    assert {shown(place) for place in phrase.places} == set(filter(None, row["places"].split("; ")))
    assert ("" if phrase.count is None else str(phrase.count)) == row["count"]
    flags = (phrase.negated, phrase.contradictory, phrase.known)
    assert flags == (row["negated"] == "1", row["contradictory"] == "1", row["known"] == "1")
    assert phrase.laterality == row["laterality"]


def test_the_table_is_large_and_says_nothing_twice() -> None:
    assert len({row["phrase"] for row in TABLE}) == len(TABLE) >= 580


def one_side(side: str, levels: tuple[str, ...], *, as_all: bool) -> str:
    return f"all {side} lung" if as_all and levels == LEVELS else f"{' '.join(levels)} {side} lung"


@pytest.mark.parametrize("as_all", [False, True], ids=["published", "product"])
def test_captions_of_all_zones_are_read_right_and_left_as_they_are(as_all: bool) -> None:
    for left, right in itertools.product([(), *SOME_LEVELS], repeat=2):
        sides = [("left", left), ("right", right)]
        places = " and ".join(one_side(side, levels, as_all=as_all) for side, levels in sides if levels)
        if not places:
            continue
        count = max(len(left) + len(right), 1)
        lateral, areas = ("Bilateral" if left and right else "Unilateral"), ("area" if count == 1 else "areas")
        caption = f"{lateral} pulmonary infection, {COUNTS[count]} infected {areas}, {places}."
        phrase = parse(caption)
        assert zones(phrase) == {(side, level) for side, levels in sides for level in levels}, caption
        assert (phrase.finding, phrase.count, phrase.contradictory) == ("infection", count, False), caption
        assert phrase.normalized == caption.lower()
        assert (phrase.corrections, phrase.expansions, phrase.unknown) == ((), (), ())


@pytest.mark.parametrize(
    ("typed", "normalized"),
    [
        ("LLL consolidation", "left lower lung consolidation"),
        ("  Infiltrate   RIGTH base ", "infiltrate right base"),
        ("GGOs, b/l", "ground-glass opacities, bilateral"),
        ("LV cavity", "left ventricular cavity"),
        ("opacity w/o effusion", "opacity without effusion"),
        ("r/t pneumonia", "r/t pneumonia"),
        ("R/L base", "right/left base"),
        ("rt. upper zone opacity", "right upper zone opacity"),
        ("PNEUMONIA RUL.", "pneumonia right upper lung."),
        ("left lung,lower zone ,opacity", "left lung, lower zone, opacity"),
        ("lower rightlung opactiy", "lower right lung opacity"),
        ("haziness of the left lung", "haziness of the left lung"),
        ("strange zzqx in the left lung", "strange zzqx in the left lung"),
        ("opacity at the top left of the image", "opacity at the top right side"),
        ("opacity, viewer's left", "opacity, right"),
        ("small polyp, top left of the image", "small polyp, top left of the image"),
        ("\uff4ceft lung \u2013 \u201copacity\u201d", 'left lung - "opacity"'),
        ("left\tlung\u00a0opacity", "left lung opacity"),
        ("Please find the left lung", "left lung"),
        ("can you show me the LLL opacity, please?", "left lower lung opacity?"),
        ("where is the opacity in the right lung", "opacity in the right lung"),
        ("outline of the left lung", "left lung"),
        ("the left lung", "the left lung"),
        ("find no opacity", "no opacity"),
        ("r/o pneumonia", "pneumonia"),
        ("Rule out a pneumonia of the left base", "pneumonia of the left base"),
        ("c/w pneumonia", "pneumonia"),
        ("s/p left lung resection", "left lung resection"),
        ("left opacity, r/o PNA", "left opacity, pneumonia"),
        ("left base h/o TB", "left base tuberculosis"),
        ("left opacity c/w pneumonia", "left opacity consistent with pneumonia"),
        ("no opacity, r/o pneumonia", "no opacity, rule out pneumonia"),
        ("rule out", "rule out"),
        ("lower 2/3 of left lung", "lower two thirds of left lung"),
        ("upper \u2153 right lung", "upper one third right lung"),
        ("left lung film of 1/3/24", "left lung film of 1/3/24"),
        ("lft lung", "left lung"),
        ("image-right lower zone", "left lower zone"),
        ("changes in the left lung", "changes in the left lung"),
        ("find", "find"),
    ],
)
def test_what_the_text_encoder_sees(typed: str, normalized: str) -> None:
    assert parse(typed).normalized == normalized


def test_what_was_corrected_expanded_and_not_known_is_said() -> None:
    phrase = parse("rigth LLL opactiy zzqx")
    assert phrase.corrections == (("rigth", "right"), ("opactiy", "opacity"))
    assert phrase.expansions == (("lll", "left lower lung"),)
    assert phrase.unknown == ("zzqx",)


@pytest.mark.parametrize(
    "word",
    [
        "night", "light", "might", "sight", "eight", "lift", "loft", "lent", "lang", "long", "lunge", "bass",
        "nasal", "enema", "module", "legion", "infusion", "diffusion", "injection", "inflection", "capacity",
        "lingual", "tumult", "lever", "bright", "flower", "power", "tower", "supper",
        "sparse", "shares", "slipping", "stripping", "extruding", "resorbed", "snare", "emitting", "internal",
        "infarcted", "branchial", "splenium", "halo", "loculation", "cystadenoma", "different", "leading", "radicular",
    ],
)  # fmt: skip
def test_a_word_of_the_language_is_not_corrected(word: str) -> None:
    assert parse(f"{word} lung").corrections == ()


@pytest.mark.parametrize(
    "word", ["let", "set", "leg", "apt", "led", "lot", "lit", "rig", "rat", "rot", "ring", "ung", "lo", "bas", "eft"]
)
def test_a_short_word_is_not_corrected(word: str) -> None:
    phrase = parse(f"{word} opacity")
    assert (phrase.unknown, phrase.side) == ((word,), "none")


@pytest.mark.parametrize(("word", "side"), [("lft", "left"), ("lef", "left"), ("rgt", "right"), ("rht", "right")])
def test_a_short_word_that_is_a_side_and_nothing_else_is_corrected(word: str, side: str) -> None:
    phrase = parse(f"{word} lung")
    assert (phrase.corrections, phrase.normalized) == (((word, side),), f"{side} lung")


@pytest.mark.parametrize(("word", "meant"), [("uper", "upper"), ("uooer", None), ("consolidatoin", "consolidation")])
def test_one_edit_in_a_short_word_and_two_in_a_long_one(word: str, meant: str | None) -> None:
    assert parse(word).corrections == (((word, meant),) if meant else ())


@pytest.mark.parametrize(
    ("text", "corrections"),
    [
        ("grund glass opacity", (("grund", "ground"),)),
        ("grund opacity", ()),
        ("LV blod pool", (("blod", "blood"),)),
        ("blod in the LV", ()),
    ],
)
def test_a_word_of_a_longer_term_is_corrected_beside_the_rest_of_it(
    text: str, corrections: tuple[tuple[str, str], ...]
) -> None:
    assert parse(text).corrections == corrections


def test_sides_of_the_picture_are_turned_once_and_only_where_patients_have_sides() -> None:
    film, endoscopy = parse("opacity, viewer's left of the image"), parse("polyp at the left of the image")
    assert (film.side, film.laterality, film.frame) == ("right", "image", "patient")
    assert (endoscopy.side, endoscopy.laterality, endoscopy.frame) == ("left", "image", "image")


@pytest.mark.parametrize(
    ("text", "side"),
    [("opacity", "none"), ("left base", "left"), ("left apex and left base", "left"), ("LLL and RUL", "both"),
     ("both lungs", "both"), ("heart and left lung", "left")],
)  # fmt: skip
def test_the_side_of_all_places(text: str, side: str) -> None:
    assert parse(text).side == side


def test_chips_show_the_places_one_after_the_other() -> None:
    assert parse("two nodules, left upper lung and RLL zzqx").chips() == (
        ("count", "2"), ("finding", "nodule"), ("side", "left"), ("level", "upper"), ("structure", "lung"),
        ("side", "right"), ("level", "lower"), ("structure", "lung"), ("expanded", "rll → right lower lung"),
        ("unknown", "zzqx"),
    )  # fmt: skip
    assert ("negated", "no") in parse("no effusion").chips()
    assert ("contradictory", "contradicts itself") in parse("left right lung").chips()
    assert ("corrected", "rigth → right") in parse("rigth lung").chips()
    assert ("laterality", "side of the image") in parse("left of the image").chips()


def test_a_phrase_is_ready_for_json() -> None:
    content = json.loads(json.dumps(parse("LLL opacity").to_dict()))
    assert content["places"] == [{"structure": "lung", "side": "left", "levels": ["lower"]}]
    assert (content["side"], content["text"], content["known"]) == ("left", "LLL opacity", True)


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_an_empty_phrase_is_refused(text: str) -> None:
    with pytest.raises(PhraseError, match="empty; type for example"):
        parse(text)


def test_a_long_phrase_is_refused_with_its_length() -> None:
    assert parse("a" * MAX_PHRASE_LENGTH).known is False
    with pytest.raises(PhraseError, match="501 characters, at most 500"):
        parse("a" * (MAX_PHRASE_LENGTH + 1))


def test_a_phrase_that_is_no_text_is_refused() -> None:
    with pytest.raises(PhraseError, match="must be text, got int"):
        parse(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("Left lower lung and RIGHT apex", "Right lower lung and LEFT apex"),
        ("RUL, rll, Lml", "LUL, lll, Rml"),
        ("LV cavity, ra", "RV cavity, la"),
        ("L base, rt apex", "R base, lt apex"),
        ("Lingula, middle lobe", "Middle lobe, lingula"),
        ("lingular", "middle-lobe"),
        ("leftmost, right-sided", "rightmost, left-sided"),
        ("b/l opacity of the L-spine", "b/l opacity of the L-spine"),
        ("bright copyright upright", "bright copyright upright"),
        ("left_lung", "right_lung"),
        ("the left's", "the left's"),
        ("leftover rul3", "leftover rul3"),
    ],
)
def test_swapped_sides(text: str, swapped: str) -> None:
    assert swap_sides(text) == swapped
    assert swap_sides(swapped) == text


@given(st.text(max_size=MAX_PHRASE_LENGTH))
def test_no_text_breaks_the_parser(text: str) -> None:
    assume(text.strip())
    phrase = parse(text)
    assert phrase.text == text
    json.dumps(phrase.to_dict())
    phrase.chips()
    assert swap_sides(swap_sides(text.lower())) == text.lower()


@given(PHRASES)
@settings(max_examples=400)
def test_parsing_what_was_normalized_changes_nothing(text: str) -> None:
    once = parse(text)
    assume(once.normalized and len(once.normalized) <= MAX_PHRASE_LENGTH)
    again = parse(once.normalized)
    assert again.normalized == once.normalized
    assert set(again.places) == set(once.places)
    assert (again.finding, again.count) == (once.finding, once.count)
    assert (again.negated, again.contradictory, again.known) == (once.negated, once.contradictory, once.known)


@given(PHRASES)
@settings(max_examples=400)
@example("left upper and middle lobe").via("the middle lobe is on the right, but here the phrase says left")
def test_the_mirrored_phrase_names_the_mirrored_places(text: str) -> None:
    swapped = swap_sides(text)
    assert swap_sides(swapped) == text
    straight, mirror = parse(text), parse(swapped)
    assert set(mirror.places) == mirrored(straight.places)
    assert (mirror.finding, mirror.count, mirror.known) == (straight.finding, straight.count, straight.known)
    assert (mirror.negated, mirror.contradictory) == (straight.negated, straight.contradictory)


@given(
    st.lists(PLACES, min_size=1, max_size=5), st.randoms(use_true_random=False), st.sampled_from([" and ", ", ", "/"])
)
def test_the_order_of_places_does_not_matter(places: list[str], rng, joint: str) -> None:
    shuffled = rng.sample(places, len(places))
    expected = set(parse(f"opacity in the {' and '.join(places)}").places)
    assert set(parse(f"opacity in the {joint.join(shuffled)}").places) == expected
    assert set(parse(f"{joint.join(shuffled)} opacity").places) == expected


@pytest.mark.parametrize("joint", [" and ", ", ", "/"])
@pytest.mark.parametrize("one", ["upper", "apical", "lower"])
def test_both_sides_of_one_place_and_one_side_of_another(one: str, joint: str) -> None:
    for side in OTHER_SIDE:
        places = [f"bilateral {one}", f"{side} middle"]
        level = "upper" if one == "apical" else one
        expected = {Place("lung", "both", (level,)), Place("lung", side, ("middle",))}
        for first, second in (places, places[::-1]):
            for text in (f"{first}{joint}{second}", f"{first}{joint}{second} opacities"):
                assert set(parse(text).places) == expected, text


@given(st.lists(PLACES, min_size=1, max_size=4))
def test_places_of_a_list_are_those_of_its_members(places: list[str]) -> None:
    listed = zones(parse(", ".join(places)))
    assert listed == set().union(*(zones(parse(place)) for place in places))


def test_a_phrase_ten_times_as_long_takes_less_than_fifty_times_as_long() -> None:
    def seconds(text: str) -> float:
        spent = []
        for _ in range(5):
            started = time.process_time()
            parse(text)
            spent.append(time.process_time() - started)
        return min(spent)

    for part in ("opacity in the left lower lung", "no opacity in the left base, but", "opasity rigth lunq"):
        assert seconds(f"{part}, " * 10) < 50 * seconds(part), part


def test_the_table_has_misspelled_words_and_abbreviations() -> None:
    phrases = [parse(row["phrase"]) for row in TABLE]
    assert sum(bool(phrase.corrections) for phrase in phrases) >= 40
    assert sum(bool(phrase.expansions) for phrase in phrases) >= 40


@pytest.mark.parametrize(
    "text",
    ["left lung, no left lung", "hippocampus but no hippocampus", "both lungs without the lungs",
     "opacity, no opacity"],
)  # fmt: skip
def test_what_is_named_and_denied_contradicts_itself(text: str) -> None:
    assert parse(text).contradictory


@pytest.mark.parametrize(
    "text",
    ["lungs without the left lung", "opacity, not on the left", "left lung, no effusion", "no left lung",
     "left upper lung, no left lower lung"],
)  # fmt: skip
def test_what_is_taken_out_in_part_does_not(text: str) -> None:
    assert not parse(text).contradictory


@pytest.mark.parametrize(
    "piece", ["left ", "no ", "a,", "(", "left lung, ", "rigth ", "lll ", "l", "qwertyuio ", "image of left "]
)
def test_time_grows_with_the_length_of_a_phrase_and_no_faster(piece: str) -> None:
    def seconds(length: int) -> float:
        text = (piece * length)[:length]
        parse(text)
        spent = []
        for _ in range(5):
            started = time.process_time()
            parse(text)
            spent.append(time.process_time() - started)
        return min(spent)

    # Five times the length: 25 times the time if it grew with the square, thousands if with an exponent. Below the
    # added constant the clock is too coarse.
    assert seconds(MAX_PHRASE_LENGTH) < 25 * (seconds(MAX_PHRASE_LENGTH // 5) + 2e-4)
