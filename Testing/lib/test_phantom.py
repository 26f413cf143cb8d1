"""The synthetic film keeps its promises: sides, levels, lungs and seeds."""

from __future__ import annotations

import numpy as np
import pytest

from TextGuidedSegLib.phantom import Level, Side, chest_film, level_band

SIDES: tuple[Side, ...] = ("left", "right")
LEVELS: tuple[Level, ...] = ("upper", "middle", "lower")
SEEDS = range(6)


def center(mask: np.ndarray) -> np.ndarray:
    """Mean row and column of a mask."""
    return np.argwhere(mask).mean(axis=0)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_left_of_the_patient_is_on_the_right_of_the_image(seed: int) -> None:
    film = chest_film(seed, lesions=(("left", "lower"), ("right", "lower")))
    (_, _, left), (_, _, right) = film.lesion_places
    assert center(film.lungs["left"])[1] > center(film.heart)[1] > center(film.lungs["right"])[1]
    assert np.argwhere(left)[:, 1].min() > np.argwhere(right)[:, 1].max()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_heart_reaches_further_to_the_left_than_to_the_right(seed: int) -> None:
    film = chest_film(seed, lesions=())
    between = (center(film.lungs["left"])[1] + center(film.lungs["right"])[1]) / 2
    columns = np.argwhere(film.heart)[:, 1]
    assert columns.max() - between > between - columns.min()
    assert film.lungs["left"].sum() < film.lungs["right"].sum()


@pytest.mark.parametrize("side", SIDES)
def test_upper_lies_above_middle_and_middle_above_lower(side: Side) -> None:
    film = chest_film(1, lesions=tuple((side, level) for level in LEVELS))
    upper, middle, lower = (center(mask)[0] for _, _, mask in film.lesion_places)
    assert upper < middle < lower


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("level", LEVELS)
def test_a_lesion_lies_inside_its_lung_and_its_level(seed: int, side: Side, level: Level) -> None:
    film = chest_film(seed, lesions=((side, level),))
    inside = film.lungs[side] & level_band(film.lungs[side], level)
    assert film.lesions.sum() > 200
    assert not (film.lesions & ~inside).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lesion_is_brighter_than_the_same_lung_without_it(seed: int) -> None:
    normal = chest_film(seed, lesions=())
    ill = chest_film(seed, lesions=(("right", "middle"),))
    gain = ill.array - normal.array
    assert gain[ill.lesions].mean() > 15
    assert np.abs(gain[normal.lungs["left"]]).max() < 1


def test_the_three_levels_make_up_the_lung() -> None:
    lung = chest_film(3).lungs["left"]
    parts = [lung & level_band(lung, level) for level in LEVELS]
    assert np.array_equal(sum(part.astype(int) for part in parts), lung.astype(int))


def test_a_normal_film_has_no_lesion() -> None:
    film = chest_film(2, lesions=())
    assert film.lesion_places == ()
    assert not film.lesions.any()


def test_the_same_seed_gives_the_same_film_and_another_seed_another_patient() -> None:
    first, again, other = chest_film(5), chest_film(5), chest_film(6)
    assert np.array_equal(first.array, again.array)
    assert np.array_equal(first.lesions, again.lesions)
    assert not np.array_equal(first.lungs["left"], other.lungs["left"])


def test_lungs_are_dark_heart_is_bright_and_corners_are_black() -> None:
    for seed in SEEDS:
        film = chest_film(seed, lesions=())
        lung = np.median(film.array[film.lungs["left"] | film.lungs["right"]])
        assert film.array[film.heart].mean() > lung + 30
        assert film.array[:8, :8].mean() < lung
        assert film.array.dtype == np.float32
        assert film.array.min() >= 0
        assert film.array.max() <= 255


@pytest.mark.parametrize("size", [(64, 64), (224, 224), (300, 512)])
def test_any_size_holds_both_lungs(size: tuple[int, int]) -> None:
    film = chest_film(4, size=size)
    assert film.array.shape == film.lesions.shape == film.heart.shape == size
    for lung in film.lungs.values():
        assert 0.04 < lung.mean() < 0.25


def test_a_film_too_small_to_show_a_chest_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 64"):
        chest_film(size=(63, 200))


@pytest.mark.parametrize("lesion", [("west", "lower"), ("left", "basal")])
def test_an_unknown_place_is_refused_and_the_legal_ones_are_listed(lesion: tuple[Side, Level]) -> None:
    with pytest.raises(ValueError, match=r"'left', 'right'.*'upper', 'middle', 'lower'"):
        chest_film(lesions=(lesion,))
