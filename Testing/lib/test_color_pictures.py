"""Color pictures on the way through a loaded model: what fits, and which side left is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from Testing.lib import tiny
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.preprocessing import prepare_film
from TextGuidedSegLib.weights import ModelCard

COLOR_NETWORK = dataclasses.replace(tiny.FILM_NETWORK, image_channels=3)
PICTURE = np.random.default_rng(2).integers(0, 256, (40, 48, 3)).astype(np.uint8)


def color_segmenter(folder: Path, **card: object) -> Segmenter:
    values = {"image_channels": 3, "modalities": ("ES",)} | card
    return Segmenter(str(tiny.write_model(folder / "color", tiny.network(COLOR_NETWORK), **values)), device="cpu")


def test_a_color_picture_is_segmented_on_its_own_grid(tmp_path: Path) -> None:
    segmenter = color_segmenter(tmp_path)
    segmenter.set_image(Image.from_array(PICTURE, modality="ES"))
    one = segmenter.segment("polyp").probability
    assert one.shape == (48, 40, 1)
    segmenter.set_image(Image.from_array(PICTURE[..., ::-1].copy(), modality="ES"))
    assert not np.allclose(one, segmenter.segment("polyp").probability)  # each channel is looked at


def test_mirrored_pictures_with_swapped_words_give_mirrored_results(tmp_path: Path) -> None:
    segmenter = color_segmenter(tmp_path)
    segmenter.set_image(Image.from_array(PICTURE))
    here = segmenter.segment("small polyp at the top left").probability
    segmenter.set_image(Image.from_array(PICTURE[:, ::-1].copy()))
    there = segmenter.segment("small polyp at the top right").probability
    np.testing.assert_allclose(there[::-1], here, atol=1e-5)


class TestFit:
    def test_a_grey_picture_is_refused_by_a_model_of_colors_only(self, tmp_path: Path) -> None:
        segmenter = color_segmenter(tmp_path)
        with pytest.raises(
            ImageError, match=r"the image is grey; the model 'color' reads color pictures only: .*Choose"
        ):
            segmenter.set_image(Image.from_array(PICTURE[..., 0]))

    def test_a_model_trained_on_both_reads_both(self, tmp_path: Path) -> None:
        segmenter = color_segmenter(tmp_path, reads_grey=True)
        grey = PICTURE[..., 0]
        results = []
        for picture in (grey, np.repeat(grey[..., None], 3, axis=2)):
            segmenter.set_image(Image.from_array(picture))
            results.append(segmenter.segment("polyp").probability)
        np.testing.assert_allclose(*results, atol=1e-3)

    def test_transparency_is_refused_with_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(
            ImageError, match=r"has 4 channels; the model 'color' reads 3\. Save it without transparency"
        ):
            color_segmenter(tmp_path).set_image(Image.from_array(np.zeros((20, 30, 4), dtype=np.uint8)))

    def test_a_card_without_the_word_reads_no_grey(self) -> None:
        assert {field.name: field.default for field in dataclasses.fields(ModelCard)}["reads_grey"] is False


@pytest.mark.parametrize("bright", ["left", "right"])
def test_left_of_a_picture_is_the_left_of_its_display(bright: str, tmp_path: Path) -> None:
    values = np.zeros((40, 48))
    values[:, : 24 - 8] = 200
    values = values if bright == "left" else values[:, ::-1].copy()
    film = Image.from_array(values)
    net = tiny.marking(prepare_film(film, tiny.PREPROCESSING).array)
    segmenter = Segmenter(str(tiny.write_model(tmp_path / "marking", net)), device="cpu")
    segmenter.set_image(film)
    other = {"left": "right", "right": "left"}[bright]
    assert segmenter.segment(f"polyp at the {bright}").warnings == film.warnings
    said = segmenter.segment(f"polyp at the {other}").warnings[-1]
    assert said.startswith(f"The phrase says {other}, but ")
    assert said.endswith("of the result lies on the other half of the image.")
