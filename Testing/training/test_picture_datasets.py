"""Sets of pictures: places that are certain, captions that are true, negatives of the same set."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from Testing.training.picture_sets import (
    POLYPS,
    disks,
    draws,
    of_film,
    write_polyp_set,
    write_ultrasound_set,
)
from Testing.training.tiny import PREPROCESSING, SIZE
from TextGuidedSegLib.phrase import parse
from training.datasets.breast_ultrasound import BreastUltrasound
from training.datasets.index import read_index
from training.datasets.pictures import (
    caption_place,
    certain_places,
    picture_film,
    size_word,
    split_findings,
)
from training.datasets.polyp import Polyps
from training.datasets.sample import SampleSource
from training.grammar_picture import ABSENT, PLACES, Description


@pytest.fixture(scope="module")
def polyp_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_polyp_set(tmp_path_factory.mktemp("polyp"))


@pytest.fixture(scope="module")
def ultrasound_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ultrasound_set(tmp_path_factory.mktemp("ultrasound"))


@pytest.fixture(scope="module")
def polyps(polyp_index: Path) -> Polyps:
    return Polyps(polyp_index, "train", PREPROCESSING)


@pytest.fixture(scope="module")
def ultrasound(ultrasound_index: Path) -> BreastUltrasound:
    return BreastUltrasound(ultrasound_index, "train", PREPROCESSING)


@pytest.mark.parametrize(
    ("source", "lacking"), [(Polyps, "prompts, loc_mask"), (BreastUltrasound, "prompts, loc_mask, klass")]
)
def test_an_index_without_their_columns_is_told(
    source: type[Polyps | BreastUltrasound], lacking: str, tmp_path: Path
) -> None:
    (tmp_path / "index.csv").write_text("image,mask,text,split\na.png,b.png,polyp,train\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"index\.csv lacks the columns {lacking}; it has image, mask, text, split"):
        source(tmp_path / "index.csv", "train", PREPROCESSING)


@pytest.mark.parametrize("source", [Polyps, BreastUltrasound])
def test_a_split_without_pictures_is_told(
    source: type[Polyps | BreastUltrasound], polyp_index: Path, ultrasound_index: Path
) -> None:
    index = polyp_index if source is Polyps else ultrasound_index
    with pytest.raises(ValueError, match=r"index\.csv has no row with the split test"):
        source(index, "test", PREPROCESSING)


class TestPlaces:
    @pytest.mark.parametrize(
        ("caption", "place"),
        [
            ("One small white round polyp, located in top right of the image.", "top right"),
            ("one polyp, located in center of the image", "center"),
            ("Two small polyp, located in top left, right of the image.", ""),
            ("One small circle-shaped regular tumor at the top in the breast ultrasound image.", "top"),
            ("Two tumors at the top, top in the breast ultrasound image.", ""),
            ("No tumor in the breast ultrasound image.", ""),
        ],
    )
    def test_the_place_of_a_caption(self, caption: str, place: str) -> None:
        assert caption_place(caption) == place

    @pytest.mark.parametrize(
        ("center", "there", "free"),
        [
            (
                (0.15, 0.15),
                {"top left", "top", "left"},
                {"bottom", "right", "top right", "bottom left", "bottom right"},
            ),
            ((0.85, 0.5), {"right"}, {"left", "top left", "bottom left"}),
            ((0.5, 0.5), set(), set()),
            ((0.4, 0.5), set(), set()),  # over the middle: in doubt
        ],
    )
    def test_a_place_is_certain_far_from_the_middle(
        self, center: tuple[float, float], there: set[str], free: set[str]
    ) -> None:
        mask = disks([(*center, 0.12)]).T.astype(np.uint8)  # I is the column
        named = certain_places([mask])
        assert {place for place, numbers in named.items() if numbers} == there
        assert {place for place, numbers in named.items() if not numbers} == free

    def test_mirrored_findings_lie_at_mirrored_places(self) -> None:
        for seed in range(30):
            rng = np.random.default_rng(seed)
            mask = disks([(*rng.uniform(0.1, 0.9, 2), 0.1)]).T.astype(np.uint8)
            named = certain_places([mask])
            other = certain_places([mask[::-1]])
            words = {"left": "right", "right": "left"}
            turned = {" ".join(words.get(w, w) for w in place.split()): there for place, there in named.items()}
            assert turned == other

    def test_each_finding_is_cut_out_where_it_lies(self) -> None:
        mask = disks([(0.2, 0.8, 0.12), (0.8, 0.8, 0.12)]).T.astype(np.uint8)
        findings = split_findings(mask)
        assert np.array_equal(sum(findings), mask)
        named = certain_places(findings)
        assert named["bottom"] == (0, 1)
        assert named["bottom left"] == named["left"] != named["right"]
        assert named["top"] == named["top right"] == ()

    def test_crumbs_are_no_findings(self) -> None:
        mask = disks([(0.5, 0.5, 0.2)], 224).astype(np.uint8)
        mask[3, 3:6] = 1
        assert len(split_findings(mask)) == 1

    @pytest.mark.parametrize(("share", "word"), [(0.07, "small"), (0.09, "medium"), (0.29, "medium"), (0.31, "large")])
    def test_sizes_are_those_of_the_captions(self, share: float, word: str) -> None:
        mask = np.zeros((100, 100), dtype=np.uint8)
        mask[: round(100 * share)] = 1
        assert size_word(mask) == word


class TestPolyps:
    def test_films_have_colors_and_the_pictures_left_first(self, polyps: Polyps) -> None:
        assert len(polyps.films) == sum(split == "train" for _, split, *_ in POLYPS)
        left = polyps.films[0]
        assert (left.array.shape, left.array.dtype) == ((3, SIZE, SIZE), np.float16)
        assert np.argwhere(left.mask)[:, 0].max() < SIZE / 2
        assert np.array_equal(left.mask, disks(POLYPS[0][2]).T)
        assert len(set(left.array.astype(np.float32).mean(axis=(1, 2)).round(1))) == 3  # no channel is lost

    def test_a_place_without_a_polyp_is_empty_and_one_with_it_is_not(self, polyps: Polyps) -> None:
        samples = draws(polyps, 3000)
        for film, there, free in ((polyps.films[0], "left", "right"), (polyps.films[1], "right", "left")):
            sides = {there: [], free: []}  # type: dict[str, list[Sample]]
            for sample in of_film(samples, film):
                if sample.phrase and "polyp" in sample.phrase and (side := parse(sample.phrase).side) != "none":
                    sides[side].append(sample)
            assert all(np.array_equal(sample.mask, film.mask) for sample in sides[there] if sample.mask.any())
            assert sides[free]
            assert not any(sample.mask.any() or sample.pointed for sample in sides[free])

    def test_one_of_two_polyps_is_cut_out(self, polyps: Polyps) -> None:
        film = polyps.films[2]
        parts = [sample for sample in of_film(draws(polyps, 4000), film) if 0 < sample.mask.sum() < film.mask.sum()]
        assert parts
        for sample in parts:
            is_left = np.argwhere(sample.mask)[:, 0].max() < SIZE / 2
            assert parse(sample.phrase).side == ("left" if is_left else "right")
            assert sample.pointed

    def test_a_flagged_caption_teaches_neither_count_nor_place(self, polyps: Polyps) -> None:
        film = polyps.films[3]
        for sample in of_film(draws(polyps, 3000), film):
            if sample.phrase in ABSENT["polyp"]:
                continue
            parsed = parse(sample.phrase) if sample.phrase else None
            assert parsed is None or (parsed.count, parsed.side) == (None, "none")
            assert not set(sample.phrase.split()) & {"two", "top", "right"}
            assert np.array_equal(sample.mask, film.mask)

    def test_every_kind_of_phrase_is_drawn(self, polyps: Polyps) -> None:
        samples = draws(polyps, 2000)
        phrases = {sample.phrase for sample in samples}
        assert {"polyp", "round polyp", "white round polyp", "", POLYPS[0][3].lower(), "left kidney"} <= phrases
        for sample in samples:
            assert sample.picture
            assert sample.absent == (sample.phrase == "")
            assert not (sample.phrase in ABSENT["polyp"] and sample.mask.any())
            assert sample.pointed == (sample.mask.any() and not sample.absent)
        captioned = sum(sample.phrase in {text.lower() for *_, text, _ in POLYPS} for sample in samples)
        assert captioned / len(samples) > 0.15  # what the figures are measured with

    def test_prompts_that_are_not_json_are_refused(self, polyp_index: Path) -> None:
        row = read_index(polyp_index)[0]
        broken = dataclasses.replace(row, columns=row.columns | {"prompts": "{p1: polyp"})
        with pytest.raises(ValueError, match=r"the prompts of left\.png are not JSON: '\{p1: polyp'"):
            picture_film(broken, PREPROCESSING, "polyp", known=Description(), without_count=("p1",))


class TestUltrasound:
    def test_on_a_normal_film_nothing_is_found_whatever_is_asked_for(self, ultrasound: BreastUltrasound) -> None:
        normal = ultrasound.films[3]
        samples = of_film(draws(ultrasound, 3000), normal)
        assert not any(sample.mask.any() or sample.pointed for sample in samples)
        phrases = [sample.phrase for sample in samples]
        own = sum(phrase.startswith("no tumor") for phrase in phrases)
        asked = sum("tumo" in phrase and not phrase.startswith("no ") for phrase in phrases)
        assert 0.05 < own / len(phrases) < 0.3
        assert asked / len(phrases) > 0.5
        assert "" in phrases
        assert "left kidney" in phrases

    def test_films_are_grey_and_the_kind_is_said_as_it_is(self, ultrasound: BreastUltrasound) -> None:
        benign, malignant = ultrasound.films[:2]
        samples = draws(ultrasound, 3000)
        assert benign.array.shape == (SIZE, SIZE)
        for film, wrong in ((benign, "malignant"), (malignant, "benign")):
            assert not any(wrong in sample.phrase for sample in of_film(samples, film))

    def test_a_caption_whose_count_is_not_the_masks_teaches_no_place(self, ultrasound: BreastUltrasound) -> None:
        doubtful = ultrasound.films[2]
        assert doubtful.named == {}
        assert doubtful.known.places == ()
        assert all("tumor in the" in prompt for prompt in doubtful.prompts)
        assert not any("right" in sample.phrase.split() for sample in of_film(draws(ultrasound, 2000), doubtful)
                       if sample.phrase not in ABSENT["breast_ultrasound"])  # fmt: skip


@pytest.mark.parametrize("name", ["polyps", "ultrasound"])
def test_equal_seeds_draw_equal_samples(name: str, request: pytest.FixtureRequest) -> None:
    source: SampleSource = request.getfixturevalue(name)
    one, same, other = (draws(source, 60, seed=seed) for seed in (3, 3, 4))
    assert [(s.phrase, s.mask.tobytes()) for s in one] == [(s.phrase, s.mask.tobytes()) for s in same]
    assert [s.phrase for s in one] != [s.phrase for s in other]


def test_places_and_captions_of_the_fixtures_fit() -> None:
    assert {caption_place(text) for *_, text, _ in POLYPS} <= {"", "center", *PLACES}
