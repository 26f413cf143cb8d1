"""Lesions laid into normal films: where they lie, what is asked of them, and what of the film is left alone."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest

from TextGuidedSegLib.phrase import parse
from training.config import TrainConfig
from training.datasets.blended import BlendedFilms, lay
from training.datasets.chest_infection import LesionFilm
from training.datasets.chest_structures import StructureFilm
from training.levels import LEVELS
from training.lung_zones import LungZones, lung_box, tissue_levels
from training.sources import build_sources

SIZE = 96
AIR, TISSUE, LESION = -1.0, 1.5, 0.6


def lungs_at(top: int, bottom: int) -> LungZones:
    """Two boxes; I grows towards the patient's left."""
    left, right = np.zeros((SIZE, SIZE), dtype=bool), np.zeros((SIZE, SIZE), dtype=bool)
    left[54:84, top:bottom] = right[12:42, top:bottom] = True
    return LungZones(left, right)


def film_of(lungs: LungZones, scale: float = 1.0, offset: float = 0.0) -> np.ndarray:
    return (np.where(lungs.left | lungs.right, AIR, TISSUE) * scale + offset).astype(np.float16)


def normal_film(lungs: LungZones) -> StructureFilm:
    masks = {"left lung": lungs.left.astype(np.uint8), "right lung": lungs.right.astype(np.uint8)}
    return StructureFilm(film_of(lungs), masks, {}, normal=True)


def lesion_film(lungs: LungZones, side: str = "left", *, brightness: float = LESION) -> LesionFilm:
    """A square lesion in the lower third of one lung, on a film of another scale."""
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    low = lung_box(lungs.left)[3]
    columns = slice(62, 74) if side == "left" else slice(22, 34)
    mask[columns, low - 12 : low - 4] = 1
    array = film_of(lungs, 0.5, 0.25)
    array[mask > 0] = brightness * 0.5 + 0.25
    levels = tissue_levels(array.astype(np.float32), lungs, mask.astype(bool))
    zones = {"left": (), "right": (), side: ("lower",)}
    boxes = {"left": lung_box(lungs.left), "right": lung_box(lungs.right)}
    return LesionFilm(array, mask, {side: mask}, "", zones, 1, lungs.zones(), boxes, levels)


HIGH, LOW = lungs_at(10, 70), lungs_at(24, 84)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("seed", range(4))
def test_a_lesion_comes_to_lie_in_the_same_zone_of_the_other_films_lung(side: str, seed: int) -> None:
    laid = lay(normal_film(LOW), lesion_film(HIGH, side), random.Random(seed))
    assert laid.patch.sum() == pytest.approx(12 * 8, rel=0.15)
    assert not (laid.patch & ~LOW.zone(laid.side, ("lower",))).any()


@pytest.mark.parametrize("seed", range(4))
def test_it_is_as_bright_as_in_its_own_film_between_lung_and_mediastinum(seed: int) -> None:
    laid = lay(normal_film(LOW), lesion_film(HIGH), random.Random(seed))
    center = np.argwhere(laid.patch).mean(axis=0).round().astype(int)
    assert laid.array[tuple(center)] == pytest.approx(LESION, abs=0.05)
    assert laid.brighter == pytest.approx(LESION - AIR, rel=0.25)


@pytest.mark.parametrize("healthy", [False, True])
def test_the_rest_of_the_film_stays_as_it_is(healthy: bool) -> None:
    film = normal_film(LOW)
    laid = lay(film, lesion_film(HIGH), random.Random(0), healthy=healthy)
    other = LOW.side("right" if laid.side == "left" else "left")
    assert np.array_equal(laid.array[other], film.array.astype(np.float32)[other])


def test_a_healthy_patch_has_the_place_of_the_lesion_and_nothing_to_see() -> None:
    film = normal_film(LOW)
    for seed in range(6):
        laid = lay(film, lesion_film(HIGH), random.Random(seed), healthy=True)
        assert laid.patch.sum() == pytest.approx(12 * 8, rel=0.15)
        assert np.abs(laid.array - film.array)[laid.patch].max() < 0.02


@pytest.fixture(scope="module")
def source() -> BlendedFilms:
    return BlendedFilms([normal_film(LOW)], [lesion_film(HIGH), lesion_film(LOW, "right")])


class TestDraws:
    def test_a_target_is_where_its_phrase_says_and_an_empty_one_where_nothing_is(self, source: BlendedFilms) -> None:
        rng, empty, base = random.Random(0), 0, film_of(LOW).astype(np.float32)
        for _ in range(300):
            sample = source.draw(rng)
            phrase = parse(sample.phrase)
            bright = np.abs(sample.array.astype(np.float32) - base) > 0.5
            asked = np.zeros_like(bright)
            for place in phrase.places:
                asked |= LOW.zone(place.side, tuple(place.levels) or LEVELS)
            assert (bright & asked).any() == bool(sample.mask.any()), sample.phrase
            assert not (sample.mask.astype(bool) & ~asked).any(), sample.phrase
            assert sample.pointed == bool(sample.mask.any())
            empty += not sample.mask.any()
        assert 120 < empty < 200

    def test_equal_seeds_draw_equal_samples(self, source: BlendedFilms) -> None:
        one, other = (source.draw(random.Random(3)) for _ in range(2))
        assert one.phrase == other.phrase
        assert np.array_equal(one.array, other.array)
        assert np.array_equal(one.mask, other.mask)


def test_a_lesion_that_does_not_show_is_never_a_target() -> None:
    source = BlendedFilms([normal_film(LOW)], [lesion_film(HIGH, brightness=AIR)])
    rng = random.Random(0)
    assert not any(source.draw(rng).mask.any() for _ in range(100))


def test_without_known_lungs_nothing_can_be_blended() -> None:
    film = lesion_film(HIGH)
    unknown = LesionFilm(film.array, film.mask, film.sides, "", film.zones, 1)
    with pytest.raises(ValueError, match=r"0 one-sided lesion films whose lungs are known \(data.lungs\)"):
        BlendedFilms([normal_film(LOW)], [unknown])


def test_a_run_with_a_share_of_them_needs_the_lungs_of_its_lesion_films(config: TrainConfig) -> None:
    data = dataclasses.replace(config.data, blended_share=0.1)
    with pytest.raises(ValueError, match=r"data\.lungs"):
        build_sources(dataclasses.replace(config, data=data))
