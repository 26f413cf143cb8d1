"""What each data set draws: targets cut to what the phrase names, negatives that are true, splits that do not leak."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from Testing.training.tiny import (
    LESIONS,
    LEVELS,
    PREPROCESSING,
    SIZE,
    STRUCTURES,
    lesion_film,
    structure_film,
)
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.phrase import Phrase, parse
from TextGuidedSegLib.preprocessing import prepare_film
from training import grammar
from training.config import DataConfig, TrainConfig
from training.datasets.chest_infection import ChestInfection, split_sides
from training.datasets.chest_structures import ChestStructures
from training.datasets.phantoms import PhantomFilms
from training.datasets.sample import Sample, SampleSource, collate
from training.lung_zones import LungZones, save_zones, zone_bit
from training.train import build_sources

ALL, NOTHING = ("upper", "middle", "lower"), ()
TRAIN = [number for number, row in enumerate(LESIONS) if row.split == "train"]


@pytest.fixture(scope="module")
def infection(lesion_index: Path) -> ChestInfection:
    return ChestInfection(lesion_index, "train", PREPROCESSING)


@pytest.fixture(scope="module")
def structures(structure_index: Path) -> ChestStructures:
    return ChestStructures(structure_index, ("train",), PREPROCESSING, frozenset())


@pytest.fixture(scope="module")
def phantoms() -> PhantomFilms:
    return PhantomFilms(8, PREPROCESSING, seed=900)


class TestUnfitIndexes:
    """Films of one's own with the columns of every index are for `data.own_films`."""

    @pytest.fixture
    def plain(self, tmp_path: Path) -> Path:
        (tmp_path / "index.csv").write_text("image,mask,text,split\na.png,b.png,lung,train\n", encoding="utf-8")
        return tmp_path / "index.csv"

    def test_the_missing_columns_are_named(self, plain: Path, config: TrainConfig, lesion_index: Path) -> None:
        lesions = (
            r"index\.csv lacks the columns zones_patient, n_areas_text, published_side, flag, patient; it has image"
        )
        with pytest.raises(ValueError, match=lesions):
            ChestInfection(plain, "train", PREPROCESSING)
        with pytest.raises(
            ValueError, match=r"index\.csv lacks the columns kind, patient, note, chest_infection_twin;"
        ):
            ChestStructures(plain, ("train",), PREPROCESSING, frozenset())
        for data in (DataConfig(str(plain), str(plain)), DataConfig(str(lesion_index), str(plain))):
            with pytest.raises(ValueError, match=r"index\.csv lacks the columns"):
                build_sources(dataclasses.replace(config, data=data))

    def test_sets_without_a_film_to_draw_are_told(self, lesion_index: Path, structure_index: Path) -> None:
        with pytest.raises(ValueError, match="has no row with the split test"):
            ChestInfection(lesion_index, "test", PREPROCESSING)
        everyone = frozenset(patient for _, _, _, patient, _ in STRUCTURES)
        with pytest.raises(ValueError, match="has no film to learn structures from: expected rows"):
            ChestStructures(structure_index, ("train",), PREPROCESSING, everyone)


def draws(source: SampleSource, count: int, seed: int = 0) -> list[Sample]:
    rng = random.Random(seed)
    return [source.draw(rng) for _ in range(count)]


def names(phrase: Phrase, side: str, level: str) -> bool:
    """Whether a phrase speaks of one level of one side; without a place it speaks of all."""
    return not phrase.places or any(
        place.side in (side, "both", "none") and level in (place.levels or LEVELS) for place in phrase.places
    )


def seen_by_the_network(path: Path) -> np.ndarray:
    return prepare_film(read_image(path), PREPROCESSING).array.astype(np.float16)


class TestSplits:
    def test_a_split_has_its_own_films_only(self, lesion_index: Path, infection: ChestInfection) -> None:
        assert len(infection.films) == len(TRAIN)
        dev = ChestInfection(lesion_index, "dev", PREPROCESSING)
        assert len(dev.films) == len(LESIONS) - len(TRAIN)
        assert not any(np.array_equal(one.array, other.array) for one in infection.films for other in dev.films)

    def test_twins_and_patients_of_other_splits_are_left_out(self, config: TrainConfig, structure_index: Path) -> None:
        (_, infection), (_, structures), (_, _) = build_sources(config)
        assert isinstance(infection, ChestInfection)
        assert isinstance(structures, ChestStructures)
        kept = {"normal", "tuberculosis", "multi_train"}
        films = [film for group in structures.films.values() for film in group]
        expected = [seen_by_the_network(structure_index.parent / "images" / f"{name}.png") for name in sorted(kept)]
        assert len(films) == len(expected)
        assert all(any(np.array_equal(film.array, array) for film in films) for array in expected)

    def test_the_shares_of_the_sources_are_the_configured_ones(self, config: TrainConfig) -> None:
        assert [share for share, _ in build_sources(config)] == pytest.approx([0.5, 0.3, 0.2])


class TestSplitSides:
    LESIONS = np.zeros((40, 30), dtype=np.uint8)
    LESIONS[5:10, 3:8] = 1  # the patient's right
    LESIONS[28:36, 20:25] = 1  # the patient's left

    def test_two_components_are_ordered_by_their_centers(self) -> None:
        sides = split_sides(self.LESIONS, {"left": ("lower",), "right": ("upper",)})
        assert np.argwhere(sides["left"]).min(axis=0).tolist() == [28, 20]
        assert np.argwhere(sides["right"]).max(axis=0).tolist() == [9, 7]
        assert np.array_equal(sides["left"] + sides["right"], self.LESIONS)

    def test_a_one_sided_caption_owns_the_whole_mask(self) -> None:
        sides = split_sides(self.LESIONS, {"left": ALL, "right": NOTHING})
        assert list(sides) == ["left"]
        assert np.array_equal(sides["left"], self.LESIONS)

    @pytest.mark.parametrize("zones", [{"left": NOTHING, "right": NOTHING}])
    def test_a_caption_without_a_place_tells_no_side(self, zones: dict[str, tuple[str, ...]]) -> None:
        assert split_sides(self.LESIONS, zones) == {}

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_another_number_of_components_tells_no_side(self, count: int) -> None:
        lesions = np.zeros((40, 30), dtype=np.uint8)
        for number in range(count):
            lesions[12 * number : 12 * number + 6, 4:9] = 1
        assert split_sides(lesions, {"left": ALL, "right": ALL}) == {}


class TestChestInfection:
    def test_doubtful_films_are_not_split_by_side(self, infection: ChestInfection) -> None:
        doubtful = [bool(LESIONS[number].flag) or LESIONS[number].published_side != "image" for number in TRAIN]
        assert [film.only_side is None and not film.sides for film in infection.films] == [
            doubt or (len(LESIONS[number].lesions) == 2 and not film.sides)
            for doubt, number, film in zip(doubtful, TRAIN, infection.films, strict=True)
        ]
        assert sum(doubtful) == 2

    def test_only_what_the_phrase_names_is_in_the_target(self, infection: ChestInfection) -> None:
        for sample in draws(infection, 1500):
            film = next(film for film in infection.films if film.array is sample.array)
            phrase = None if sample.absent else parse(sample.phrase)
            assert not (sample.mask & ~film.mask).any()
            if phrase is None or not sample.mask.any() or not film.sides:
                continue
            for side, part in film.sides.items():
                named = any(names(phrase, side, level) for level in LEVELS)
                assert np.array_equal(sample.mask * part, part * named), sample.phrase

    def test_an_empty_target_has_a_phrase_for_what_is_not_there(self, infection: ChestInfection) -> None:
        kinds = Counter()
        for sample in draws(infection, 1500):
            film = next(film for film in infection.films if film.array is sample.array)
            if sample.mask.any():
                continue
            assert not sample.pointed
            if sample.phrase in grammar.ABSENT_STRUCTURES:
                kinds["structure"] += 1
                continue
            assert film.sides, "a film whose sides are in doubt has no empty side"
            phrase = parse(sample.phrase)
            there = [(side, level) for side, levels in film.zones.items() for level in levels]
            assert not any(names(phrase, side, level) for side, level in there), sample.phrase
            kinds["side" if phrase.side != film.only_side else "level"] += 1
        assert set(kinds) == {"structure", "side", "level"}

    def test_words_point_at_every_target_they_name(self, infection: ChestInfection) -> None:
        for sample in draws(infection, 500):
            assert sample.pointed == (bool(sample.mask.any()) and not sample.absent)
            assert sample.absent == (not sample.phrase)

    def test_some_phrases_are_missing_so_that_the_null_is_learned(self, infection: ChestInfection) -> None:
        absent = [sample for sample in draws(infection, 1500) if sample.absent]
        assert 0.04 < len(absent) / 1500 < 0.09
        assert all(sample.mask.any() for sample in absent)

    def test_captions_and_paraphrases_both_occur(self, infection: ChestInfection) -> None:
        captions = {LESIONS[number].caption.lower() for number in TRAIN}
        phrases = {sample.phrase for sample in draws(infection, 1500)}
        assert captions <= phrases
        assert len(phrases) > 100

    def test_captions_alone_come_with_whole_masks(
        self, config: TrainConfig, infection: ChestInfection, lungs: dict[str, LungZones], tmp_path: Path
    ) -> None:
        save_zones(tmp_path / "lungs.npz", lungs, "drawn")
        data = dataclasses.replace(config.data, captions_share=1.0, lungs=str(tmp_path / "lungs.npz"))
        ((_, source), *_) = build_sources(dataclasses.replace(config, data=data))
        whole = {film.caption.lower(): film.mask for film in infection.films}
        samples = draws(source, 1500)
        assert {sample.phrase for sample in samples} == {*whole, ""}
        assert 0.04 < sum(sample.absent for sample in samples) / 1500 < 0.09
        assert all(np.array_equal(sample.mask, whole[sample.phrase]) for sample in samples if sample.phrase)

    def test_a_share_of_captions_stands_beside_the_questions(
        self, config: TrainConfig, infection: ChestInfection
    ) -> None:
        data = dataclasses.replace(config.data, captions_share=0.5)
        ((_, source), *_) = build_sources(dataclasses.replace(config, data=data))
        captions = {film.caption.lower() for film in infection.films}
        with_half, with_none = (
            sum(sample.phrase in captions for sample in draws(each, 1500)) / 1500 for each in (source, infection)
        )
        assert with_half == pytest.approx(0.5 * 0.94 + 0.5 * with_none, abs=0.05)

    @pytest.mark.parametrize("share", [-0.1, 1.5])
    def test_a_share_of_captions_that_is_none_is_refused(self, config: TrainConfig, share: float) -> None:
        data = dataclasses.replace(config.data, captions_share=share)
        with pytest.raises(ValueError, match=rf"data.captions_share must lie in \[0, 1\], got {share:g}"):
            build_sources(dataclasses.replace(config, data=data))


@pytest.fixture(scope="module")
def lungs() -> dict[str, LungZones]:
    drawn = {f"images/{LESIONS[number].name}.png": lesion_film(number).lungs for number in TRAIN}
    return {name: LungZones(sides["left"].T, sides["right"].T) for name, sides in drawn.items()}


@pytest.fixture(scope="module")
def informed(lesion_index: Path, lungs: dict[str, LungZones]) -> ChestInfection:
    return ChestInfection(lesion_index, "train", PREPROCESSING, lungs=lungs)


class TestKnownLungs:
    """Lesion films whose lungs a file tells: parts are cut out, and zones without a lesion are asked for."""

    def test_a_part_is_cut_to_the_zones_that_the_phrase_names(
        self, informed: ChestInfection, lungs: dict[str, LungZones]
    ) -> None:
        parts = 0
        for sample in draws(informed, 2500):
            number = next(n for n, film in enumerate(informed.films) if film.array is sample.array)
            film, zones = informed.films[number], lungs[f"images/{LESIONS[TRAIN[number]].name}.png"]
            if not sample.mask.any() or np.array_equal(sample.mask, film.mask):
                continue
            phrase = parse(sample.phrase)
            asked = [(side, [level]) for side in ("left", "right") for level in LEVELS if names(phrase, side, level)]
            cut, whole = zones.cut(film.mask, asked), film.sides.get(str(phrase.side))
            assert np.array_equal(sample.mask, cut) or np.array_equal(sample.mask, whole), sample.phrase
            parts += 1
        assert parts > 100

    def test_an_empty_zone_is_neither_named_by_the_caption_nor_near_a_lesion(self, informed: ChestInfection) -> None:
        assert sum(len(film.empty) for film in informed.films) > 4
        for film in informed.films:
            for side, level in film.empty:
                assert level not in film.zones[side]
                assert film.zone_map is not None
                assert not film.mask[(film.zone_map & zone_bit(side, level)) != 0].any()

    def test_films_in_doubt_are_left_as_they_are(self, informed: ChestInfection) -> None:
        doubtful = [bool(LESIONS[number].flag) or LESIONS[number].published_side != "image" for number in TRAIN]
        assert [film.zone_map is None for film in informed.films] == doubtful


class TestChestStructures:
    def test_the_target_is_the_structure_that_the_phrase_names(self, structures: ChestStructures) -> None:
        sides = {"left lung": "left", "right lung": "right", "both lungs": "both"}
        for sample in draws(structures, 600):
            film = next(film for film in structures.films["plain"] if film.array is sample.array)
            kinds = [kind for kind, mask in film.masks.items() if mask is sample.mask]
            if kinds:
                phrase = parse(sample.phrase)
                assert phrase.side in {sides[kinds[0]], "none" if kinds[0] == "both lungs" else sides[kinds[0]]}
                assert phrase.finding is None
            else:
                assert not sample.mask.any()

    def test_tuberculosis_films_are_never_lesion_negatives(self, structures: ChestStructures) -> None:
        (tuberculosis,) = (film for film in structures.films["plain"] if not film.normal)
        samples = [sample for sample in draws(structures, 1500) if sample.array is tuberculosis.array]
        assert len(samples) > 400
        assert {s.phrase for s in samples if not s.mask.any()} <= set(grammar.ABSENT_STRUCTURES)

    def test_normal_films_are(self, structures: ChestStructures) -> None:
        (normal,) = (film for film in structures.films["plain"] if film.normal)
        empty = [s.phrase for s in draws(structures, 600) if s.array is normal.array and not s.mask.any()]
        assert any(parse(phrase).finding for phrase in empty)

    def test_films_with_many_structures_are_drawn_more_often(self, config: TrainConfig, structure_index: Path) -> None:
        source = ChestStructures(structure_index, ("train", "train_multi"), PREPROCESSING, frozenset())
        assert {group: len(films) for group, films in source.films.items()} == {"plain": 2, "multi": 3}
        multi = {id(film.array) for film in source.films["multi"]}
        share = np.mean([id(sample.array) in multi for sample in draws(source, 1500)])
        assert share == pytest.approx(0.2, abs=0.03)

    def test_the_masks_are_the_drawn_ones(self, structures: ChestStructures) -> None:
        film = structures.films["plain"][0]
        assert STRUCTURES[0][0] == "normal"
        drawn = structure_film(0)
        assert np.array_equal(film.masks["left lung"], drawn.lungs["left"].T)
        assert np.array_equal(film.masks["both lungs"], (drawn.lungs["left"] | drawn.lungs["right"]).T)


class TestPhantoms:
    def test_the_target_is_exactly_what_the_parser_reads_in_the_phrase(self, phantoms: PhantomFilms) -> None:
        for sample in draws(phantoms, 800):
            film = next(film for array, film in phantoms.films if array is sample.array)
            phrase = parse(sample.phrase)
            if phrase.finding is None:
                lungs = [lung for side, lung in film.lungs.items() if names(phrase, side, "middle")]
                expected = np.any(lungs, axis=0)
            else:
                named = [mask for side, level, mask in film.lesion_places if names(phrase, side, level)]
                expected = np.any([np.zeros_like(film.lesions), *named], axis=0)
            assert np.array_equal(sample.mask, expected.T), sample.phrase
            assert sample.pointed == bool(sample.mask.any())

    def test_phantoms_have_none_to_three_lesions_and_their_own_seeds(self, phantoms: PhantomFilms) -> None:
        assert {len(film.lesion_places) for _, film in phantoms.films} <= {0, 1, 2, 3}
        others = PhantomFilms(2, PREPROCESSING, seed=907)
        assert np.array_equal(others.films[0][0], phantoms.films[7][0])


@pytest.mark.parametrize("name", ["infection", "structures", "phantoms"])
def test_equal_seeds_draw_equal_samples(name: str, request: pytest.FixtureRequest) -> None:
    source: SampleSource = request.getfixturevalue(name)
    for one, same in zip(draws(source, 50, seed=3), draws(source, 50, seed=3), strict=True):
        assert one.phrase == same.phrase
        assert one.array is same.array
        assert np.array_equal(one.mask, same.mask)
    assert [s.phrase for s in draws(source, 50, seed=3)] != [s.phrase for s in draws(source, 50, seed=4)]


def test_a_batch_stacks_its_samples(phantoms: PhantomFilms) -> None:
    samples = draws(phantoms, 3)
    batch = collate([*samples, Sample(samples[0].array, samples[0].mask, "", absent=True, pointed=False)])
    assert batch.image.shape == batch.mask.shape == (4, 1, SIZE, SIZE)
    assert str(batch.image.dtype) == str(batch.mask.dtype) == "torch.float32"
    assert np.array_equal(batch.mask[1, 0].numpy(), samples[1].mask)
    assert batch.phrases == (*(sample.phrase for sample in samples), "")
    assert batch.absent.tolist() == [False, False, False, True]
    assert batch.pointed.tolist() == [*(sample.pointed for sample in samples), False]
