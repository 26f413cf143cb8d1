"""Models with other parts than early fusion, from their own files to an answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from Testing.lib import tiny
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Segmenter

LEFT, RIGHT = "left lower lung opacity", "right lower lung opacity"


@pytest.fixture(scope="module")
def segmenters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Segmenter]:
    """One for each choice of methods."""
    home = tmp_path_factory.mktemp("methods")
    return {name: Segmenter(str(model(home / name.replace(" ", "-"), name))) for name in tiny.METHODS}


def model(folder: Path, methods: str) -> Path:
    net = tiny.network(tiny.with_methods(tiny.FILM_NETWORK, methods))
    with torch.no_grad():
        for parameter in (one for part in (net.alignment, net.contrast) if part for one in part.parameters()):
            parameter.add_(0.3)  # new parts begin as the identity
    return tiny.write_model(folder, net)


@pytest.mark.parametrize("methods", list(tiny.METHODS))
def test_words_count_exactly_where_some_part_reads_them(
    methods: str, segmenters: dict[str, Segmenter], film: Image
) -> None:
    segmenter = segmenters[methods]
    segmenter.set_image(film)
    one, two, none = (segmenter.segment(phrase).probability for phrase in (LEFT, RIGHT, None))
    for other in (two, none):
        assert (np.abs(one - other).max() > 1e-5) == (methods != "no text")


@pytest.mark.parametrize("methods", list(tiny.METHODS))
def test_without_early_fusion_nothing_is_painted(methods: str, segmenters: dict[str, Segmenter], film: Image) -> None:
    segmenters[methods].set_image(film)
    painted = segmenters[methods].segment(LEFT).pseudo_image
    assert bool(painted.any()) == ("pseudo_image" in tiny.METHODS[methods])


@pytest.mark.parametrize("columns", [92, 71], ids=["even", "odd, padded"])
def test_a_mirrored_film_with_swapped_words_gives_the_mirrored_result(
    columns: int, segmenters: dict[str, Segmenter], displayed: np.ndarray
) -> None:
    segmenter, results = segmenters["all"], []
    for values, words in ((displayed[:, :columns], LEFT), (displayed[:, columns - 1 :: -1], RIGHT)):
        segmenter.set_image(tiny.film_image(values))
        results.append(segmenter.segment(words).probability)
    np.testing.assert_allclose(results[1][::-1], results[0], atol=1e-5)


def test_a_phrase_that_grows_when_its_abbreviations_are_expanded(segmenters: dict[str, Segmenter], film: Image) -> None:
    segmenters["all"].set_image(film)
    assert np.isfinite(segmenters["all"].segment("RUL " * 100).presence)
