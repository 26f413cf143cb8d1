"""Sentences for a result that lies elsewhere than the phrase says, and silence for all others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from Testing.lib import tiny, tiny_volumes
from TextGuidedSegLib.disagreement import disagreements, found_elsewhere, on_other_half
from TextGuidedSegLib.geometry import FILM_CODES, VOLUME_CODES, AxisCodes, reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.phrase import parse, swap_sides
from TextGuidedSegLib.preprocessing import prepare_film
from TextGuidedSegLib.region import Region
from TextGuidedSegLib.running import Maps, Reporter
from TextGuidedSegLib.weights import DecisionConfig, read_model

WIDTH, HEIGHT = 40, 100


def film_and_mask(columns: slice, rows: slice, codes: AxisCodes = FILM_CODES) -> tuple[Image, np.ndarray]:
    """A film and a box on it, as displayed: the patient's left has the high columns."""
    displayed = np.zeros((HEIGHT, WIDTH))
    displayed[rows, columns] = 1
    film = tiny.film_image(displayed, codes)
    return film, reorientation(FILM_CODES, codes).apply(displayed.T[:, :, None]) > 0


def said(phrase: str, columns: slice, rows: slice) -> tuple[str, ...]:
    film, mask = film_and_mask(columns, rows)
    return disagreements(parse(phrase), mask, film)


LEFT, RIGHT, ALL = slice(25, 35), slice(5, 15), slice(5, 35)
TOP, MIDDLE, BOTTOM = slice(18, 36), slice(42, 58), slice(60, 80)


@pytest.mark.parametrize(
    ("phrase", "columns", "rows", "words"),
    [
        ("left lung opacity", LEFT, TOP, None),
        ("left lung opacity", RIGHT, TOP, "says left, but 100% of the result lies on the other half of the film"),
        ("opacity in both lungs", ALL, TOP, None),
        ("opacity in both lungs", LEFT, TOP, "names both sides, but nothing was found on the right"),
        ("LLL and RUL opacity", RIGHT, ALL, "nothing was found on the left"),
        ("left upper lung opacity", LEFT, TOP, None),
        ("left upper lung opacity", LEFT, BOTTOM, "says upper, but 100% of the result lies at another height"),
        ("left lower lung opacity", LEFT, TOP, "says lower, but 100%"),
        ("left lower lung opacity", LEFT, BOTTOM, None),
        ("right mid zone opacity", RIGHT, MIDDLE, None),
        ("right mid zone opacity", RIGHT, slice(80, 95), "says middle"),
        ("left upper and lower lung opacity", LEFT, BOTTOM, None),
        ("upper left lung and right lung opacity", ALL, BOTTOM, None),
        ("left lung", LEFT, slice(10, 90), None),
        ("polyp at the left", slice(2, 10), TOP, None),
        ("polyp at the left", LEFT, TOP, "other half of the image"),
        ("heart", LEFT, BOTTOM, None),
        ("opacity", LEFT, TOP, None),
    ],
)  # fmt: skip
def test_what_is_said(phrase: str, columns: slice, rows: slice, words: str | None) -> None:
    sentences = said(phrase, columns, rows)
    assert bool(sentences) == (words is not None), sentences
    if words is not None:
        assert len(sentences) == 1
        assert words in sentences[0]


def test_a_film_upside_down_and_mirrored_disagrees_in_side_and_level() -> None:
    sentences = said("left upper lung opacity", RIGHT, BOTTOM)
    assert len(sentences) == 2


@pytest.mark.parametrize("codes", tiny.ORIENTATIONS[::7], ids="".join)
@pytest.mark.parametrize("phrase", ["left upper lung opacity", "right lower lung opacity"])
def test_the_order_of_the_arrays_axes_does_not_matter(codes: AxisCodes, phrase: str) -> None:
    film, mask = film_and_mask(LEFT, BOTTOM, codes)
    assert disagreements(parse(phrase), mask, film) == said(phrase, LEFT, BOTTOM)


def test_mirroring_film_and_words_changes_only_the_side_named() -> None:
    for phrase in ("left upper lung opacity", "opacity in both lungs", "right lower lung opacity"):
        here, there = said(phrase, LEFT, BOTTOM), said(swap_sides(phrase), RIGHT, BOTTOM)
        assert tuple(swap_sides(sentence) for sentence in here) == there


def test_an_empty_result_and_no_phrase_say_nothing() -> None:
    film, mask = film_and_mask(LEFT, TOP)
    assert disagreements(None, mask, film) == ()
    assert disagreements(parse("right lung"), mask & False, film) == ()


def test_a_finding_elsewhere_is_said_with_its_side() -> None:
    film, mask = film_and_mask(LEFT, TOP)
    assert found_elsewhere(parse("right lung opacity"), mask, film) == (
        "Nothing was found where the phrase says, but there seems to be opacity elsewhere, mostly on the left."
    )


def test_what_lies_where_the_phrase_says_is_not_elsewhere() -> None:
    film, mask = film_and_mask(LEFT, TOP)
    for phrase in ("left lung opacity", "left upper lung opacity", "upper lung opacity"):
        assert found_elsewhere(parse(phrase), mask, film) is None, phrase


@pytest.mark.parametrize("phrase", ["left lower lung opacity", "lower lung opacity"])
def test_another_level_is_elsewhere_too(phrase: str) -> None:
    film, mask = film_and_mask(LEFT, TOP)
    assert found_elsewhere(parse(phrase), mask, film) is not None


def _marks_the_bright_half(folder: Path, *, not_found_below: float) -> tuple[Segmenter, Image]:
    displayed = np.zeros((96, 96))
    displayed[:, 56:] = 1
    film = tiny.film_image(displayed)
    net = tiny.marking(prepare_film(film, tiny.PREPROCESSING).array)
    model = read_model(tiny.write_model(folder / "marking", net))
    decision = DecisionConfig(not_found_below=not_found_below, found_above=0.6)
    return Segmenter(replace(model, card=replace(model.card, decision=decision)), device="cpu"), film


def test_a_phrase_that_contradicts_the_film_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter, film = _marks_the_bright_half(tmp_path, not_found_below=0.5)
    segmenter.set_image(film)
    # The network of this test is deaf, so what a network that hears would say of the dark side is given by hand.
    assert segmenter._readings is not None
    runner = segmenter._readings.own.runner
    maps = runner.maps

    def heard(words: str | None, report: Reporter) -> Maps:
        said = maps(words, report)
        return said if words == "opacity" else said._replace(evidence=-9.0)

    monkeypatch.setattr(runner, "maps", heard)
    result = segmenter.segment("right lung opacity")
    assert (result.answer, result.voxels) == ("not_found", 0)
    assert result.warnings[-1].startswith("Nothing was found where the phrase says, but there seems to be opacity")
    assert result.warnings[-1].endswith("mostly on the left.")
    negated, contradictory = "no opacity in the left lung", "left right lung opacity"
    for quiet in ("opacity", "left lung opacity", "left lung", negated, contradictory):
        assert not any("elsewhere" in sentence for sentence in segmenter.segment(quiet).warnings)


@pytest.mark.parametrize("codes", [VOLUME_CODES, ("P", "L", "I"), ("S", "A", "L")])
@pytest.mark.parametrize(
    ("phrase", "half", "words"),
    [
        ("left hippocampus", "right", "says left, but 100% of the result lies in the right half of the image"),
        ("left hippocampus", "left", None),
        ("lefft hippocampus", "right", "says left, but 100%"),
        ("right anterior hippocampus", "left", "says right, but 100% of the result lies in the left half"),
        ("right hippocampus", "right", None),
        ("hippocampus", "left", None),
        ("left ventricle", "right", None),
        ("both hippocampi", "right", None),
    ],
)
def test_a_region_on_the_other_side_is_said(phrase: str, half: str, words: str | None, codes: AxisCodes) -> None:
    array = np.zeros((40, 30, 20))
    columns = slice(2, 12) if half == "left" else slice(28, 38)  # the first axis runs to the right
    array[columns, 5:20, 5:15] = 1
    volume = tiny_volumes.volume_image(array, codes, spacing_mm=(1.0, 1.0, 1.0))
    region = Region.ras_mm((columns.start, 4, 4), (columns.stop, 21, 16)).bounds(volume.geometry)
    grid = {"shape": volume.geometry.shape, "codes": volume.axis_codes}
    mask = volume.array > 0
    (*found,) = on_other_half(parse(phrase), mask, region, **grid)
    assert (words in found[0]) if words else not found
    box = tuple(slice(low, high) for low, high in region)
    start = tuple(low for low, _ in region)
    assert on_other_half(parse(phrase), mask[box], region, start=start, **grid) == tuple(found)
    whole = tuple((0, size) for size in volume.geometry.shape)
    assert not on_other_half(parse(phrase), mask, (whole[0], whole[1], whole[2]), **grid)


def test_a_region_on_the_other_side_is_said_with_the_result(tmp_path: Path) -> None:
    decision = DecisionConfig(threshold=0.01, not_found_below=0.0, found_above=0.0)
    segmenter = Segmenter(str(tiny_volumes.write_model(tmp_path / "volumes", decision=decision)), device="cpu")
    image = tiny_volumes.volume_image(tiny_volumes.values((40, 26, 22)))
    low = np.array(image.geometry.affine_ijk_to_ras[:3, 3])
    segmenter.set_image(image, Region.ras_mm(low, low + np.array((12, 30, 30))))
    said = {side: " ".join(segmenter.segment(f"{side} hippocampus").warnings) for side in ("left", "right")}
    assert "region of interest on the side" in said["right"]
    assert "region of interest" not in said["left"]
