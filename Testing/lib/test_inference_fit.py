"""Images that a model of films was made for, and others: refused with a reason, or answered with a warning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.image import ORIENTATION_ASSUMED, Image
from TextGuidedSegLib.inference import Segmenter, check_fit
from TextGuidedSegLib.weights import read_model

PHRASE = "left lower lung opacity"


def test_a_volume_is_refused_by_a_film_model(segmenter: Segmenter) -> None:
    volume = replace(Image.from_array(np.zeros((20, 30, 10)), np.eye(4), "MR"), source="scan.nrrd")
    with pytest.raises(
        ImageError,
        match=r"scan\.nrrd is a volume of 20 x 30 x 10 voxels \(MR\); the model 'tiny-film' reads films: .* Choose",
    ):
        segmenter.set_image(volume)


def test_a_color_picture_is_refused_by_a_gray_model(segmenter: Segmenter) -> None:
    with pytest.raises(ImageError, match=r"the image has 3 channels; the model 'tiny-film' reads 1\. Convert"):
        segmenter.set_image(Image.from_array(np.zeros((20, 30, 3), dtype=np.uint8)))


def test_a_film_of_another_modality_is_refused(segmenter: Segmenter) -> None:
    with pytest.raises(ImageError, match=r"has the modality MG; the model 'tiny-film' reads CR, DX\. Choose"):
        segmenter.set_image(Image.from_array(np.zeros((20, 30)), modality="MG"))


@pytest.mark.parametrize("modality", [None, "CR", "DX"])
def test_a_film_that_fits_or_does_not_say(modality: str | None, tiny_model: Path) -> None:
    check_fit(Image.from_array(np.zeros((20, 30)), modality=modality), read_model(tiny_model).card)


def test_what_the_image_warns_of_goes_into_the_result(segmenter: Segmenter, displayed: np.ndarray) -> None:
    segmenter.set_image(Image.from_array(displayed))
    assert ORIENTATION_ASSUMED in segmenter.segment(PHRASE).warnings


@pytest.mark.parametrize("shape", [(16, 16), (17, 301), (200, 16)], ids=str)
def test_films_of_any_shape(shape: tuple[int, int], shared_segmenter: Segmenter) -> None:
    shared_segmenter.set_image(Image.from_array(np.random.default_rng(1).random(shape)))
    result = shared_segmenter.segment(PHRASE)
    assert result.mask.shape == (shape[1], shape[0], 1)
    assert np.isfinite(result.probability).all()


@pytest.mark.parametrize("damage", ["constant", "holes"])
def test_a_damaged_film_is_answered_with_a_warning(damage: str, segmenter: Segmenter) -> None:
    values = np.full((40, 50), 7.3) if damage == "constant" else np.random.default_rng(0).random((40, 50))
    if damage == "holes":
        values[10:20, 7] = np.nan
    segmenter.set_image(Image.from_array(values))
    result = segmenter.segment(PHRASE)
    assert np.isfinite(result.probability).all()
    assert {"constant": "nothing to see", "holes": "not finite"}[damage] in " ".join(result.warnings)
