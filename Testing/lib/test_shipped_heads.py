"""What the shipped MR model says of whole heads, which show none of the structures of the heart that it finds."""

from __future__ import annotations

import pytest

from TextGuidedSegLib.errors import RegionNeededError
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.phantom_volume import head_volume

CHAMBERS = ("LV cavity", "right ventricle", "myocardium")
SIZE_MM = (180.0, 220.0, 180.0)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter("mr-structures", device="cpu")


def head(seed: int, spacing_mm: tuple[float, float, float]) -> Image:
    """Seeds are others than those of training."""
    return head_volume(seed, size_mm=SIZE_MM, spacing_mm=spacing_mm).image()


@pytest.mark.parametrize(("seed", "spacing_mm"), [(0, (2.5, 2.5, 2.5)), (3, (1.5, 1.5, 8.0)), (4, (8.0, 1.5, 1.5))])
def test_no_chamber_of_the_heart_is_found_in_a_head(
    seed: int, spacing_mm: tuple[float, float, float], segmenter: Segmenter
) -> None:
    segmenter.set_image(head(seed, spacing_mm))
    for result in segmenter.segment_each(CHAMBERS):
        assert result.answer == "not_found", (result.phrase, result.presence)


@pytest.mark.parametrize("phrase", ["left atrium", "anterior hippocampus"])
def test_what_is_seen_in_smaller_scans_asks_for_a_region(phrase: str, segmenter: Segmenter) -> None:
    segmenter.set_image(head(0, (4.0, 4.0, 4.0)))
    with pytest.raises(RegionNeededError, match=r"too large to find .* Give a region of interest"):
        segmenter.segment(phrase)
