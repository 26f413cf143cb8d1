"""A network of slices that sees the neighbors of a slice, too."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from Testing.lib import tiny, tiny_volumes
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.slice_runner import Slices
from TextGuidedSegLib.weights import DecisionConfig

PHRASE, THICK = "left lung opacity", (1.4, 1.4, 10.0)
SEES_ONE = dataclasses.replace(tiny.PREPROCESSING, neighbor_slices=True)
ALWAYS = DecisionConfig(not_found_below=0.0, found_above=0.0)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    net = tiny.network(dataclasses.replace(tiny.FILM_NETWORK, image_channels=3))
    values = {"kinds": ("volume",), "modalities": ("MR",), "decision": ALWAYS, "preprocessing": SEES_ONE}
    return Segmenter(str(tiny.write_model(tmp_path_factory.mktemp("models") / "slices", net, **values)), device="cpu")


def stack(array: np.ndarray | None = None, codes: tuple[str, str, str] = ("R", "A", "S")) -> Image:
    return tiny_volumes.volume_image(tiny_volumes.values((26, 30, 5)) if array is None else array, codes, THICK)


def test_a_slice_is_shown_between_its_neighbors() -> None:
    slices, alone = Slices(stack(), neighbors=True), Slices(stack())
    for number, shown in enumerate([(0, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 4)]):
        film = slices.film(number)
        assert film.channels == 3
        for channel, each in enumerate(shown):
            np.testing.assert_array_equal(film.array[..., channel], alone.film(each).array)


def test_a_slice_depends_on_its_neighbors_and_on_no_other(segmenter: Segmenter) -> None:
    array = tiny_volumes.values((26, 30, 5))
    changed = array.copy()
    changed[5:15, 5:15, 2] //= 2
    found = []
    for values in (array, changed):
        segmenter.set_image(stack(values))
        found.append(segmenter.segment(PHRASE).probability)
    differs = [not np.array_equal(found[0][..., number], found[1][..., number]) for number in range(5)]
    assert differs == [False, True, True, True, False]


def test_the_orientation_of_the_file_changes_no_voxel(segmenter: Segmenter) -> None:
    tiny_volumes.assert_orientation_changes_nothing(segmenter, PHRASE, lambda codes: stack(codes=codes))


def test_a_single_slice_is_its_own_neighbor(segmenter: Segmenter) -> None:
    array = tiny_volumes.values((26, 30, 1))
    segmenter.set_image(stack(array))
    alone = segmenter.segment(PHRASE).probability
    segmenter.set_image(stack(np.repeat(array, 3, axis=2)))
    np.testing.assert_array_equal(segmenter.segment(PHRASE).probability[..., 1], alone[..., 0])
