"""Pictures unlike the training data: what is told of changed ones, and what the maps and numbers obey."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from Testing.lib import tiny
from TextGuidedSegLib.errors import ImageError, WeightsError
from TextGuidedSegLib.familiarity import (
    VIEWS,
    Familiarity,
    FamiliarityConfig,
    describe,
    encoded,
    feature_vector,
    warning,
)
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.phantom import chest_film
from TextGuidedSegLib.preprocessing import prepare_film
from TextGuidedSegLib.weights import find_model, read_model
from training.familiarity import fit


def maps_of(displayed: np.ndarray) -> np.ndarray:
    return describe(prepare_film(tiny.film_image(displayed), tiny.PREPROCESSING).array)


def film(seed: int) -> np.ndarray:
    return chest_film(seed, size=(96, 90)).array


@pytest.fixture(scope="module")
def config() -> FamiliarityConfig:
    """Fitted to phantoms."""
    every = [maps_of(film(seed)) for seed in range(80)]
    return fit(every[:60], [every[60:]])


@pytest.fixture(scope="module")
def segmenter(config: FamiliarityConfig, tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    """A model whose card has these numbers."""
    folder = tiny.write_model(tmp_path_factory.mktemp("judging") / "judging", familiarity=config)
    assert read_model(folder).card.familiarity == config
    return Segmenter(str(folder), device="cpu")


class TestDescription:
    @pytest.mark.parametrize("shape", [(56, 56), (224, 224), (200, 131), (30, 45)], ids=str)
    def test_the_mean_is_kept_whatever_the_size(self, shape: tuple[int, int]) -> None:
        array = np.random.default_rng(0).random(shape)
        maps = describe(array)
        assert maps.shape == (2, 56, 56)
        assert maps[0].mean() == pytest.approx(array.mean())

    def test_a_constant_picture_has_no_texture(self) -> None:
        maps = describe(np.full((70, 50), 3.0))
        np.testing.assert_allclose(maps[0], 3.0)
        np.testing.assert_allclose(maps[1], 0, atol=1e-6)

    def test_texture_is_the_spread_within_a_cell(self) -> None:
        board = np.indices((112, 112)).sum(axis=0) % 2 * 2.0 - 1
        maps = describe(board)
        np.testing.assert_allclose(maps[0], 0, atol=1e-12)
        np.testing.assert_allclose(maps[1], 1)

    @pytest.mark.parametrize("view", VIEWS)
    def test_a_view_of_the_maps_is_the_maps_of_the_view(self, view: str) -> None:
        array = np.random.default_rng(1).random((112, 112))
        changed = {
            "inverted": -array, "upside_down": array[:, ::-1], "half_turn": array[::-1, ::-1],
            "quarter_turn_left": array.T[:, ::-1], "quarter_turn_right": array.T[::-1],
        }[view]  # fmt: skip
        np.testing.assert_allclose(VIEWS[view](describe(array)), describe(changed), atol=1e-12)

    def test_colors_are_one_more_map(self) -> None:
        grey = np.random.default_rng(2).random((60, 60))
        assert describe(np.stack([grey] * 3)).shape == (3, 56, 56)
        np.testing.assert_allclose(describe(np.stack([grey] * 3))[2], 0, atol=1e-12)
        assert len(feature_vector(describe(np.stack([grey] * 3)))) > len(feature_vector(describe(grey)))


class TestJudgement:
    def test_films_like_the_training_ones_pass(self, config: FamiliarityConfig) -> None:
        judge = Familiarity(config)
        told = [judge.unlike(maps_of(film(seed))) for seed in range(100, 140)]
        assert told.count(None) >= 38

    @pytest.mark.parametrize("view", VIEWS)
    def test_changed_films_are_told_by_what_was_done(self, view: str, config: FamiliarityConfig) -> None:
        judge = Familiarity(config)
        back = {"quarter_turn_left": "quarter_turn_right", "quarter_turn_right": "quarter_turn_left"}.get(view, view)
        told = [judge.unlike(VIEWS[view](maps_of(film(seed)))) for seed in range(100, 130)]
        assert told.count(None) == 0
        assert told.count(back) >= 15

    @pytest.mark.parametrize("what", ["noise", "ramp", "disc", "constant"])
    def test_other_pictures_are_told(self, what: str, config: FamiliarityConfig) -> None:
        rows, columns = np.mgrid[:96, :96]
        pictures = {
            "noise": np.random.default_rng(0).random((96, 96)), "ramp": rows + 0.5 * columns,
            "disc": (np.hypot(rows - 48, columns - 48) < 30) * 1.0, "constant": np.ones((96, 96)),
        }  # fmt: skip
        assert Familiarity(config).unlike(maps_of(pictures[what])) is not None

    def test_brightness_and_contrast_do_not_matter(self, config: FamiliarityConfig) -> None:
        judge = Familiarity(config)
        plain, other = (judge.distance(maps_of(values)) for values in (film(101), 3.7 * film(101) + 900))
        assert other == pytest.approx(plain, rel=1e-3)

    def test_numbers_that_do_not_belong_together_are_refused(self, config: FamiliarityConfig) -> None:
        with pytest.raises(WeightsError, match=r"make it again with python -m training\.familiarity fit"):
            Familiarity(dataclasses.replace(config, mean=encoded(np.zeros(3))))
        with pytest.raises(WeightsError, match="damaged"):
            Familiarity(dataclasses.replace(config, factor="?"))
        with pytest.raises(WeightsError, match="sideways"):
            Familiarity(dataclasses.replace(config, views=("sideways",)))
        with pytest.raises(WeightsError, match="this one has"):
            Familiarity(config).distance(describe(np.zeros((3, 60, 60))))


class TestInTheProduct:
    def test_every_result_on_such_an_image_warns_once(self, segmenter: Segmenter) -> None:
        upright, turned = tiny.film_image(film(120)), tiny.film_image(film(120)[::-1])
        segmenter.set_image(turned)
        for phrase in ("left lung opacity", "no effusion", None):
            warnings = segmenter.segment(phrase).warnings
            assert warnings.count(warning("upside_down", "judging")) == 1
        segmenter.set_image(upright)
        assert not any("look like" in sentence for sentence in segmenter.segment("left lung opacity").warnings)

    def test_a_stored_orientation_is_no_turn(self, segmenter: Segmenter) -> None:
        segmenter.set_image(tiny.film_image(film(120), ("I", "R", "A")))
        assert not any("look like" in sentence for sentence in segmenter.segment("left lung opacity").warnings)

    def test_a_refused_image_leaves_the_old_judgement(self, segmenter: Segmenter) -> None:
        segmenter.set_image(tiny.film_image(-film(120)))
        with pytest.raises(ImageError, match="channels"):
            segmenter.set_image(Image.from_array(np.zeros((20, 20, 3))))
        assert warning("inverted", "judging") in segmenter.segment("left lung opacity").warnings

    def test_a_card_without_these_numbers_says_nothing(self, tiny_model: Path) -> None:
        assert read_model(tiny_model).card.familiarity is None
        segmenter = Segmenter(str(tiny_model), device="cpu")
        segmenter.set_image(tiny.film_image(np.random.default_rng(0).random((64, 64))))
        assert not any("look like" in sentence for sentence in segmenter.segment("left lung opacity").warnings)


def test_the_shipped_cards_load() -> None:
    assert find_model("chest-xray").card.name == "chest-xray"
