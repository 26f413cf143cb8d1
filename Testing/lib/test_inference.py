"""From a phrase and an image to an answer: the six endings, the laws of side and orientation, progress and cancel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from Testing.lib import tiny
from TextGuidedSegLib.errors import Cancelled, DeviceError, ImageError, PhraseError
from TextGuidedSegLib.geometry import FILM_CODES, AxisCodes, Geometry, reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import (
    ANSWERS,
    Result,
    Segmenter,
)
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.preprocessing import prepare_film
from TextGuidedSegLib.weights import DecisionConfig, read_model

LEFT, RIGHT = "left lower lung opacity", "right lower lung opacity"


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Segmenter]:
    """Networks that say the same of every pixel: certainly, perhaps, not at all."""
    home = tmp_path_factory.mktemp("decided")
    says = {"certain": 0.97, "doubtful": 0.52, "nothing": 0.03}
    return {name: Segmenter(str(tiny.write_model(home / name, tiny.answering(says[name])))) for name in says}


@pytest.fixture
def network_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, ...]]]:
    """Shape of the image of every pass through the network."""
    runs: list[tuple[int, ...]] = []
    forward = FusedNetwork.forward

    def counted(self: FusedNetwork, image: torch.Tensor, *arguments: object, **options: object) -> object:
        runs.append(tuple(image.shape))
        return forward(self, image, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(FusedNetwork, "forward", counted)
    return runs


def canonical(image: Image, array: np.ndarray) -> np.ndarray:
    """A map on the image's grid in the film frame: patient's right to left, head to feet."""
    return reorientation(image.axis_codes, FILM_CODES).apply(array)[:, :, 0]


class TestAnswers:
    @pytest.mark.parametrize(
        ("model", "phrase", "answer"),
        [
            ("certain", LEFT, "found"),
            ("doubtful", LEFT, "unsure"),
            ("nothing", LEFT, "not_found"),
            ("certain", "xqzt wvkp", "not_understood"),
            ("certain", "легкое", "not_understood"),
            ("certain", "left right lung", "contradictory"),
            ("certain", "no left pleural effusion", "negated"),
            ("certain", None, "found"),
            ("nothing", None, "not_found"),
        ],
    )
    def test_every_call_ends_in_one_answer(
        self, model: str, phrase: str | None, answer: str, decided: dict[str, Segmenter], film: Image
    ) -> None:
        segmenter = decided[model]
        segmenter.set_image(film)
        result = segmenter.segment(phrase)
        assert result.answer == answer
        assert answer in ANSWERS
        assert bool(result.voxels) == (answer in ("found", "unsure"))
        assert (result.centroid_ras_mm is None) == (result.voxels == 0)

    def test_a_lesion_in_part_of_the_film_is_empty_where_the_threshold_is_not_reached(
        self, decided: dict[str, Segmenter], film: Image
    ) -> None:
        decided["certain"].set_image(film)
        result = decided["certain"].segment(LEFT, threshold=0.99)
        assert (result.answer, result.voxels) == ("not_found", 0)

    def test_a_result_lies_on_the_grid_of_the_image(self, segmenter: Segmenter, film: Image) -> None:
        result = segmenter.segment(LEFT)
        assert result.geometry is film.geometry
        for array, kind in (
            (result.mask, np.uint8),
            (result.probability, np.float32),
            (result.pseudo_image, np.float32),
        ):
            assert (array.shape, array.dtype) == (film.geometry.shape, kind)
            assert array.min() >= 0
            assert array.max() <= 1
        assert np.ptp(result.probability) > 0.01

    def test_a_result_says_where_it_comes_from(self, segmenter: Segmenter) -> None:
        result = segmenter.segment("  LEFT lower lung opacity ")
        assert result.phrase is not None
        assert (result.phrase.normalized, result.phrase.side) == (LEFT, "left")
        assert (result.model, result.device, result.threshold) == ("tiny-film", "cpu", 0.5)
        assert result.weights_sha256 == segmenter.card.sha256["weights.safetensors"]
        assert 0 <= result.presence <= 1
        assert 0 < result.seconds < 60

    def test_the_center_of_the_mask_is_given_in_the_world(self, decided: dict[str, Segmenter], film: Image) -> None:
        decided["certain"].set_image(film)
        center = decided["certain"].segment(LEFT).centroid_ras_mm
        middle = (np.array(film.geometry.shape) - 1) / 2
        np.testing.assert_allclose(center, film.geometry.ijk_to_ras_mm([middle])[0])

    @pytest.mark.parametrize("phrase", ["", "   ", "\n\t", "opacity " * 625])
    def test_an_empty_or_endless_phrase_is_refused(self, phrase: str, segmenter: Segmenter) -> None:
        with pytest.raises(PhraseError):
            segmenter.segment(phrase)

    def test_words_count(self, segmenter: Segmenter) -> None:
        one, two, none = (segmenter.segment(phrase) for phrase in (LEFT, RIGHT, None))
        for other in (two, none):
            assert np.abs(one.pseudo_image - other.pseudo_image).max() > 1e-3
            assert np.abs(one.probability - other.probability).max() > 1e-4

    def test_without_an_image_there_is_nothing_to_segment(self, tiny_model: Path) -> None:
        with pytest.raises(RuntimeError, match="set_image"):
            Segmenter(read_model(tiny_model), device="cpu").segment(LEFT)


class TestWrongKinds:
    @pytest.mark.parametrize("image", ["film.png", np.zeros((40, 50)), None])
    def test_an_image_is_none_of_these(self, image: object, segmenter: Segmenter) -> None:
        with pytest.raises(ImageError, match=r"read_image\(path\) or Image\.from_array\(array\)"):
            segmenter.set_image(image)  # type: ignore[arg-type]

    @pytest.mark.parametrize("phrase", [12, ["left lung"], b"left lung"])
    def test_a_phrase_is_text(self, phrase: object, segmenter: Segmenter, film: Image) -> None:
        segmenter.set_image(film)
        with pytest.raises(PhraseError, match="a phrase must be text"):
            segmenter.segment(phrase)  # type: ignore[arg-type]


class TestThreshold:
    def test_it_comes_last_on_the_original_grid(self, segmenter: Segmenter) -> None:
        probability = segmenter.segment(LEFT).probability
        for threshold in (0.05, *np.quantile(probability, (0.2, 0.7)), 0.95):
            result = segmenter.segment(LEFT, threshold=float(threshold))
            np.testing.assert_array_equal(result.probability, probability)
            expected = probability >= threshold if result.answer in ("found", "unsure") else np.zeros_like(probability)
            np.testing.assert_array_equal(result.mask, expected)
            assert result.threshold == threshold

    def test_a_new_one_runs_no_network(self, segmenter: Segmenter, network_runs: list[tuple[int, ...]]) -> None:
        segmenter.segment(LEFT)
        assert len(network_runs) == 2  # the film and its mirror image
        for threshold in (0.1, 0.5, 0.9):
            segmenter.segment(LEFT, threshold=threshold)
        assert len(network_runs) == 2

    @pytest.mark.parametrize("threshold", [0, 1, -0.5, 2, float("nan"), float("inf")])
    def test_only_between_0_and_1(self, threshold: float, segmenter: Segmenter) -> None:
        with pytest.raises(ValueError, match=r"between 0 and 1, got .*; the model's own is 0\.5"):
            segmenter.segment(LEFT, threshold=threshold)

    def test_the_model_has_its_own(self, tiny_model: Path, film: Image) -> None:
        model = read_model(tiny_model)
        own = replace(model, card=replace(model.card, decision=DecisionConfig(threshold=0.25)))
        segmenter = Segmenter(own, device="cpu")
        segmenter.set_image(film)
        assert segmenter.segment(LEFT).threshold == 0.25


class TestOneImageManyPhrases:
    def test_the_image_is_prepared_once(
        self, segmenter: Segmenter, film: Image, monkeypatch: pytest.MonkeyPatch, network_runs: list[tuple[int, ...]]
    ) -> None:
        monkeypatch.setattr("TextGuidedSegLib.film_runner.prepare_film", None)
        for phrase in (LEFT, RIGHT, LEFT, "Left  lower LUNG opacity", None, None):
            segmenter.segment(phrase)
        assert network_runs == [(1, 1, 40, 48)] * 6, "three different phrases, each with its mirror image"

    def test_a_phrase_gives_the_same_after_others(self, segmenter: Segmenter) -> None:
        first = segmenter.segment(LEFT)
        segmenter.segment(RIGHT)
        again = segmenter.segment(LEFT)
        np.testing.assert_array_equal(again.probability, first.probability)

    def test_a_new_image_forgets_the_old_one(
        self, segmenter: Segmenter, displayed: np.ndarray, network_runs: list[tuple[int, ...]]
    ) -> None:
        before = segmenter.segment(LEFT)
        segmenter.set_image(tiny.film_image(displayed[:, ::-1]))
        after = segmenter.segment(LEFT)
        assert len(network_runs) == 4
        assert np.abs(before.probability - after.probability).max() > 1e-3

    def test_a_refused_image_leaves_the_old_one(self, segmenter: Segmenter) -> None:
        before = segmenter.segment(LEFT)
        with pytest.raises(ImageError):
            segmenter.set_image(Image.from_array(np.zeros((20, 20, 3))))
        with pytest.raises(ImageError, match="no voxel has a finite value"):
            segmenter.set_image(Image.from_array(np.full((20, 20), np.nan)))
        np.testing.assert_array_equal(segmenter.segment(LEFT).probability, before.probability)

    @pytest.mark.parametrize("size", [(110, 92), (48, 48)], ids=["resampled", "as it is"])
    def test_a_result_may_be_changed_without_harm(self, size: tuple[int, int], shared_segmenter: Segmenter) -> None:
        shared_segmenter.set_image(tiny.film_image(np.random.default_rng(0).random(size)))
        first = shared_segmenter.segment(LEFT)
        kept = first.probability.copy(), first.pseudo_image.copy()
        first.probability[:], first.pseudo_image[:] = 0, 0
        again = shared_segmenter.segment(LEFT)
        np.testing.assert_array_equal(again.probability, kept[0])
        np.testing.assert_array_equal(again.pseudo_image, kept[1])


class TestProgressAndCancel:
    @pytest.mark.parametrize("times", [1, 2], ids=["first run", "new threshold"])
    def test_progress_runs_from_0_to_1(self, times: int, segmenter: Segmenter) -> None:
        for _ in range(times):
            told: list[tuple[float, str]] = []
            segmenter.segment(LEFT, progress=lambda share, stage, told=told: told.append((share, stage)))
        shares = [share for share, _ in told]
        assert (shares[0], shares[-1]) == (0, 1)
        assert shares == sorted(shares)
        assert all(stage for _, stage in told)

    def test_it_can_be_cancelled_before_every_stage_and_goes_on_afterwards(
        self, segmenter: Segmenter, film: Image
    ) -> None:
        expected = segmenter.segment(LEFT)
        asked: list[bool] = []
        segmenter.set_image(film)
        segmenter.segment(LEFT, is_cancelled=lambda: bool(asked.append(True)))
        assert len(asked) >= 4
        for stage in range(len(asked)):
            segmenter.set_image(film)
            answers = iter([False] * stage + [True])
            with pytest.raises(Cancelled, match="cancelled before the stage"):
                segmenter.segment(LEFT, is_cancelled=lambda answers=answers: next(answers))
            after = segmenter.segment(LEFT)
            assert after.answer == expected.answer
            np.testing.assert_array_equal(after.probability, expected.probability)

    def test_a_cancelled_run_tells_no_progress_of_the_stage_it_did_not_reach(self, segmenter: Segmenter) -> None:
        told: list[float] = []
        with pytest.raises(Cancelled):
            segmenter.segment(LEFT, progress=lambda share, _: told.append(share), is_cancelled=lambda: bool(told))
        assert told == [0.0]


class TestSides:
    @pytest.mark.parametrize("columns", [92, 91], ids=["even", "odd"])
    @pytest.mark.parametrize(
        ("phrase", "swapped"),
        [
            (LEFT, RIGHT),
            ("opacity", "opacity"),
            ("LLL consolidation", "RLL consolidation"),
            (
                "infection in the upper left lung and lower right lung",
                "infection in the upper right lung and lower left lung",
            ),
            (None, None),
        ],
    )
    def test_a_mirrored_film_with_swapped_words_gives_the_mirrored_result(
        self, phrase: str | None, swapped: str | None, columns: int, shared_segmenter: Segmenter, displayed: np.ndarray
    ) -> None:
        results = []
        for values, words in ((displayed[:, :columns], phrase), (displayed[:, columns - 1 :: -1], swapped)):
            shared_segmenter.set_image(tiny.film_image(values))
            results.append(shared_segmenter.segment(words))
        one, two = results
        assert one.answer == two.answer
        np.testing.assert_allclose(two.probability[::-1], one.probability, atol=1e-5)
        assert two.presence == pytest.approx(one.presence, abs=1e-5)

    def test_without_the_average_that_would_not_hold(self, tiny_model: Path, displayed: np.ndarray) -> None:
        model = read_model(tiny_model)
        single = replace(model, card=replace(model.card, decision=DecisionConfig(mirror_average=False)))
        segmenter = Segmenter(single, device="cpu")
        probabilities = []
        for values, words in ((displayed, LEFT), (displayed[:, ::-1], RIGHT)):
            segmenter.set_image(tiny.film_image(values))
            probabilities.append(segmenter.segment(words).probability)
        assert np.abs(probabilities[1][::-1] - probabilities[0]).max() > 1e-3

    @pytest.mark.parametrize("codes", tiny.ORIENTATIONS, ids="".join)
    def test_the_orientation_of_the_array_changes_no_bit(
        self, codes: AxisCodes, segmenter: Segmenter, film: Image, displayed: np.ndarray
    ) -> None:
        upright = segmenter.segment(LEFT, threshold=0.4)
        turned_film = tiny.film_image(displayed, codes)
        segmenter.set_image(turned_film)
        turned = segmenter.segment(LEFT, threshold=0.4)
        assert (turned.answer, turned.presence) == (upright.answer, upright.presence)
        for one, two in zip(_maps(upright), _maps(turned), strict=True):
            assert two.shape == turned_film.geometry.shape
            assert canonical(turned_film, two).tobytes() == canonical(film, one).tobytes()

    @pytest.mark.parametrize("bright", ["left", "right"])
    def test_a_result_on_the_other_side_than_named_is_said(
        self, bright: str, tmp_path: Path, displayed: np.ndarray
    ) -> None:
        film, segmenter = _one_sided(tmp_path, displayed, bright)
        segmenter.set_image(film)
        dark = {"left": "right", "right": "left"}[bright]
        wrong, right = segmenter.segment(f"{dark} lung opacity"), segmenter.segment(f"{bright} lung opacity")
        both = segmenter.segment("opacity in both lungs")
        assert {wrong.answer, right.answer, both.answer} <= {"found", "unsure"}
        assert len(wrong.warnings) == len(film.warnings) + 1
        said = rf"The phrase says {dark}, but (9\d|100)% of the result lies on the other half of the film: check .*"
        assert re.fullmatch(said, wrong.warnings[-1])
        assert right.warnings == both.warnings == film.warnings


def _maps(result: Result) -> tuple[np.ndarray, ...]:
    return result.mask, result.probability, result.pseudo_image


def _one_sided(folder: Path, displayed: np.ndarray, side: str) -> tuple[Image, Segmenter]:
    """A film with one bright half, and a network that marks what is bright."""
    values = np.zeros_like(displayed)
    values[:, displayed.shape[1] // 2 + 8 :] = 1  # as displayed, the patient's left is on the right
    film = tiny.film_image(values if side == "left" else values[:, ::-1])
    net = tiny.marking(prepare_film(film, tiny.PREPROCESSING).array)
    return film, Segmenter(str(tiny.write_model(folder / "marking", net)), device="cpu")


def test_running_out_of_memory_is_said_and_does_no_harm(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_arguments: object, **_options: object) -> None:
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patch:
        patch.setattr(FusedNetwork, "forward", exhausted)
        with pytest.raises(DeviceError, match=r"device cpu ran out of memory; .*--device cpu"):
            segmenter.segment(LEFT)
    assert np.isfinite(segmenter.segment(LEFT).presence)


def test_a_geometry_of_a_film_may_lie_anywhere(segmenter: Segmenter, film: Image) -> None:
    affine = film.geometry.affine_ijk_to_ras.copy()
    affine[:3, 3] += (12, -34, 56)
    moved = replace(film, geometry=Geometry(film.geometry.shape, affine))
    first = segmenter.segment(LEFT, threshold=0.01)
    segmenter.set_image(moved)
    second = segmenter.segment(LEFT, threshold=0.01)
    np.testing.assert_array_equal(second.mask, first.mask)
    if first.centroid_ras_mm and second.centroid_ras_mm:
        np.testing.assert_allclose(np.subtract(second.centroid_ras_mm, first.centroid_ras_mm), (12, -34, 56))
