"""What a film is asked, and what of its truth belongs to each question."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from Testing.training.tiny import LESIONS, lesion_film
from TextGuidedSegLib.language.words import word_texts
from TextGuidedSegLib.phantom import chest_film
from TextGuidedSegLib.phrase import parse
from training import grammar, grammar_picture, grammar_volume
from training.cut_truth import (
    DEFAULT_LUNGS,
    canonical,
    caption_places,
    ceiling,
    half_zones,
    is_doubtful,
    known_lungs,
    named_pixels,
    posed_lungs,
)
from training.datasets.films import load_mask
from training.datasets.index import Row, read_index
from training.datasets.mr_volumes import open_volume
from training.lung_zones import LungZones, save_zones
from training.questions import ASKS, UNSEEN_STRUCTURES, Question, questions
from training.rewording import zones_of
from training.scoring import Scorer

OF_NO_PLACE = ("other_structure", "unseen_structure", "wrong_image")


@pytest.fixture(scope="module")
def rows(lesion_index: Path) -> dict[str, Row]:
    """By name of the film."""
    return {row.image.stem: row for row in read_index(lesion_index)}


@pytest.fixture(scope="module")
def lungs() -> dict[str, LungZones]:
    """The drawn lungs of the phantoms, by image name."""
    films = [(row.name, lesion_film(number)) for number, row in enumerate(LESIONS)]
    return {f"images/{name}.png": LungZones(film.lungs["left"].T, film.lungs["right"].T) for name, film in films}


def scorer(row: Row, lungs: dict[str, LungZones]) -> Scorer:
    image = open_volume(row)
    return Scorer(image, load_mask(row.mask, image), lungs[row.columns["image"]], 0.5)


class TestQuestions:
    def test_the_words_name_the_places_that_the_truth_is_cut_to(self, rows: dict[str, Row]) -> None:
        for row in rows.values():
            for question in questions(row, ["one_side", "part_level", "one_level"], 3, 0):
                zones = zones_of(parse(question.phrase or ""))
                assert zones is not None
                ((side, levels),) = question.places or ()
                assert [each for each, named in zones.items() if named] == [side]
                if question.kind == "part_level":
                    assert zones[side] == levels
                if question.kind == "one_level":
                    assert zones[side] == caption_places(row.columns)[side]

    def test_who_is_asked_what(self, rows: dict[str, Row]) -> None:
        def asked(name: str, *asks: str) -> list[str]:
            return [question.kind for question in questions(rows[name], asks, 1, 0)]

        assert asked("dev_both", "one_side", "empty_side") == ["one_side", "one_side"]
        assert asked("dev_left", "one_side", "empty_side") == ["empty_side"]
        assert asked("dev_left", "one_level", "part_level") == ["one_level"]
        assert asked("dev_flagged", *ASKS[:5]) == []
        assert asked("train_odd", "empty_side", "other_structure") == ["other_structure"]

    def test_what_is_not_there_is_expected_empty(self, rows: dict[str, Row]) -> None:
        for question in questions(rows["dev_left"], ASKS, 2, 0):
            assert question.expected == ("present" if question.kind == "one_level" else "empty")
            assert bool(question.places) == (question.expected == "present")

    def test_an_empty_side_is_the_other_one(self, rows: dict[str, Row]) -> None:
        for question in questions(rows["dev_left"], ["empty_side"], 5, 0):
            assert parse(question.phrase or "").side == "right"
            assert question.doubt == (("right", ()),)

    def test_wordings_share_their_subject_and_a_seed_repeats_them(self, rows: dict[str, Row]) -> None:
        once, again = (questions(rows["dev_both"], ASKS, 4, 7) for _ in range(2))
        assert once == again
        assert once != questions(rows["dev_both"], ASKS, 4, 8)
        for subject in {question.subject for question in once if question.kind not in OF_NO_PLACE}:
            assert [each.wording for each in once if each.subject == subject] == [0, 1, 2, 3]

    def test_what_names_something_else_each_time_is_no_wording_of_one_meaning(self, rows: dict[str, Row]) -> None:
        asked = questions(rows["dev_both"], OF_NO_PLACE, 6, 0)
        assert len({question.subject for question in asked}) == len(asked) == 3 * 6
        assert {question.wording for question in asked} == {0}

    def test_unseen_words_are_in_no_training_grammar_and_the_vocabulary_lists_some_of_them(self) -> None:
        taught = [*grammar.corpus(600), *grammar_volume.corpus(300)]
        taught += [phrase for picture in grammar_picture.ABSENT for phrase in grammar_picture.corpus(picture, 300)]
        words = {word for phrase in taught for word in word_texts(parse(phrase).normalized)}
        for name in UNSEEN_STRUCTURES:
            assert set(word_texts(name)) - words, name
        assert sum(parse(name).known for name in UNSEEN_STRUCTURES) == 10

    def test_the_network_is_asked_for_most_unseen_things_and_for_some_of_them_nothing_but_the_word_is_said(
        self, rows: dict[str, Row]
    ) -> None:
        asked = [parse(each.phrase or "") for each in questions(rows["dev_left"], ["unseen_structure"], 1000, 0)]
        assert 0.55 < sum(each.known for each in asked) / len(asked) < 0.8
        beside = [each for each in asked if each.known and each.unknown]
        assert 0.25 < len(beside) / len(asked) < 0.5
        assert {each.side for each in beside} == {"left", "right", "none"}
        assert {place.levels for each in beside for place in each.places} >= {("upper",), ("middle",), ("lower",)}
        assert {"opacity", None} < {each.finding for each in beside}
        assert not any(each.negated or each.contradictory or each.corrections for each in asked)

    def test_a_normal_film_is_asked_for_a_finding_at_every_place_and_no_other_one_is(
        self, structure_index: Path
    ) -> None:
        for row in read_index(structure_index):
            found = questions(row, ["finding_on_normal"], 2, 0)
            assert bool(found) == (row.columns["note"] == "normal")
            assert len(found) in (0, 2 * 18)
            places = {str(zones_of(parse(question.phrase or ""))) for question in found}
            assert len(places) == len({question.subject for question in found}) == len(found) / 2


class TestCut:
    def test_the_map_of_zones_cuts_as_they_do(self, lungs: dict[str, LungZones]) -> None:
        known = lungs["images/dev_both.png"]
        mask = np.random.default_rng(0).random(known.left.shape) < 0.4
        places = (("left", ("lower",)), ("right", ()))
        assert np.array_equal(mask & named_pixels(known.zones(), places), known.cut(mask, places))
        assert not named_pixels(known.zones(), ()).any()

    @pytest.mark.parametrize("width", [6, 7])
    def test_halves_divide_a_picture_and_the_patients_left_is_at_the_end(self, width: int) -> None:
        left = named_pixels(half_zones(width, 4), (("left", ()),))
        assert left[-(width // 2) :].all()
        assert not left[: (width + 1) // 2].any()

    def test_parts_of_a_film_together_are_its_lesions(self, rows: dict[str, Row], lungs: dict[str, LungZones]) -> None:
        row = rows["dev_both"]
        parts = [scorer(row, lungs).target(question) for question in questions(row, ["one_side"], 1, 0)]
        whole = load_mask(row.mask, open_volume(row))
        assert np.array_equal(parts[0] | parts[1], whole)
        assert not (parts[0] & parts[1]).any()
        drawn = {side: lesion for side, _, lesion in lesion_film(8).lesion_places}
        assert np.array_equal(parts[0][:, :, 0], drawn["left"].T)

    def test_an_empty_place_with_a_lesion_near_it_is_left_out(
        self, rows: dict[str, Row], lungs: dict[str, LungZones]
    ) -> None:
        judge = scorer(rows["dev_left"], lungs)  # the lesion is in the middle of the left lung
        clear = Question("empty_side", "p", (), "empty", (("right", ()),))
        near = Question("empty_level", "p", (), "empty", (("left", ("middle",)),))
        assert not judge.target(clear).any()
        assert judge.target(near) is None
        assert judge.target(Question("part_level", "p", (("right", ("upper",)),), "present")) is None

    def test_a_caption_keeps_the_whole_mask(self, rows: dict[str, Row], lungs: dict[str, LungZones]) -> None:
        row = rows["dev_both"]
        whole = scorer(row, lungs).target(Question("caption", "p"))
        assert np.array_equal(whole, load_mask(row.mask, open_volume(row)))

    def test_lungs_of_a_mirrored_film_change_sides(self, lungs: dict[str, LungZones], rows: dict[str, Row]) -> None:
        known, image = lungs["images/dev_left.png"], open_volume(rows["dev_left"])
        mirrored = posed_lungs(known, image, "mirrored")
        assert np.array_equal(mirrored.left, known.right[::-1])
        assert mirrored.is_sound
        moved = posed_lungs(known, image, "shifted_down")
        assert np.argwhere(moved.left)[:, 1].mean() > np.argwhere(known.left)[:, 1].mean()

    def test_the_ceiling_of_perfect_cuts_is_one(self, rows: dict[str, Row], lungs: dict[str, LungZones]) -> None:
        report = ceiling(rows.values(), lungs)
        assert report["side"]["n"] == 2 * 3 + 4 - 2  # two-sided films with two parts, one-sided ones without doubt
        assert report["side"]["dice_per_image"] == pytest.approx(1)
        assert 0.5 < report["level"]["dice_per_image"] <= 1

    def test_doubt(self, rows: dict[str, Row]) -> None:
        assert [name for name, row in rows.items() if is_doubtful(row.columns)] == [
            "train_doubt", "train_odd", "dev_flagged",
        ]  # fmt: skip


class TestLungs:
    def test_from_a_file_from_drawn_lungs_or_from_nowhere(
        self, lesion_index: Path, structure_index: Path, lungs: dict[str, LungZones], tmp_path: Path
    ) -> None:
        films, structures = read_index(lesion_index), read_index(structure_index)
        save_zones(tmp_path / "lungs.npz", lungs, "note")
        known, where = known_lungs(films, tmp_path / "lungs.npz")
        assert (known.keys(), where) == (lungs.keys(), "file")
        assert known_lungs(films, None) == ({}, "nowhere")
        drawn, where = known_lungs(structures, None)
        assert where == "index"
        assert len(drawn) == 7
        with pytest.raises(ValueError, match="has lungs of none of the"):
            known_lungs(structures, tmp_path / "lungs.npz")

    def test_the_page_about_the_stored_lungs_says_what_they_are(self) -> None:
        page = DEFAULT_LUNGS.with_name("README.md").read_text(encoding="utf-8")
        with np.load(DEFAULT_LUNGS) as stored:
            note, films = json.loads(str(stored["note"])), sum(name.endswith(":shape") for name in stored.files)
        assert f"`{note['model']}` {note['version']}" in page
        assert note["sha256"]["weights.safetensors"][:8] in page
        assert f"{films:,} films" in page
        assert {path.name for path in DEFAULT_LUNGS.parent.glob("*.npz")} == {DEFAULT_LUNGS.name}

    def test_the_canonical_mask(self) -> None:
        film = chest_film(3, size=(72, 64))
        row_mask = film.lungs["left"].T[:, :, None]
        from TextGuidedSegLib.image import Image

        image = Image.from_array(film.array)
        assert np.array_equal(canonical(row_mask, image), film.lungs["left"].T)


@pytest.mark.parametrize(("caption", "unasked"), [
    ("Anterior hippocampus.", ("brain", "cerebellum", "cochlea", "hippocamp")),
    ("Left ventricular cavity.", ("ventric", "myocard", "atri", "lv", "rv", "heart")),
    ("Left atrium.", ("atri", "ventric", "myocard", "heart")),
])  # fmt: skip
def test_a_volume_is_only_asked_for_structures_that_lie_elsewhere_for_sure(
    caption: str, unasked: tuple[str, ...], tmp_path: Path
) -> None:
    row = Row(tmp_path / "volume.nii.gz", tmp_path / "mask.nii.gz", {"image": "volume.nii.gz", "text": caption})
    asked = questions(row, ("other_structure", "unseen_structure"), 200, 0)
    assert len(asked) == 400
    assert {question.expected for question in asked} == {"empty"}
    words = {word for question in asked for word in question.phrase.replace(".", "").lower().split()}
    assert not [word for word in words for stem in unasked if word.startswith(stem)]
