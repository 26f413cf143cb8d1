"""Right words on a wrong image: grey pictures of another kind, phrases of the chest, nothing there."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from Testing.training.picture_sets import write_polyp_set
from Testing.training.tiny import PREPROCESSING, SIZE
from TextGuidedSegLib.phrase import parse
from training.datasets.unlike import UnlikeImages


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> UnlikeImages:
    return UnlikeImages([write_polyp_set(tmp_path_factory.mktemp("polyps"))], "train", PREPROCESSING)


def test_every_picture_is_grey_and_asked_for_what_only_a_chest_film_shows(pictures: UnlikeImages) -> None:
    rng = random.Random(0)
    for _ in range(200):
        sample = pictures.draw(rng)
        assert sample.array.shape == sample.mask.shape == (SIZE, SIZE)
        assert not sample.mask.any()
        assert not sample.pointed
        phrase = parse(sample.phrase)
        assert phrase.known, sample.phrase


def test_an_index_without_pictures_of_the_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no picture with split='test'"):
        UnlikeImages([write_polyp_set(tmp_path)], "test", PREPROCESSING)
