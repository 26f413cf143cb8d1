"""What a case measures: the unit of its distances, and misses that count."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from TextGuidedSegLib.geometry import FILM_CODES, VOLUME_CODES, AxisCodes, coded_geometry
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Result
from TextGuidedSegLib.phrase import parse
from training.cases import Case, summarize
from training.questions import Question
from training.scoring import Label, Scorer

NOMINAL_MM = (1.5, 1.5, 10.0)


def volume(*, spacing_known: bool = True, spacing_mm: tuple[float, float, float] = NOMINAL_MM) -> Image:
    return image_of(VOLUME_CODES, (12, 10, 8), spacing_mm, spacing_known=spacing_known)


def film(*, spacing_known: bool = False) -> Image:
    return image_of(FILM_CODES, (40, 30, 1), (0.5, 0.5, 0.5), spacing_known=spacing_known)


def image_of(codes: AxisCodes, shape: tuple[int, int, int], spacing_mm: Any, *, spacing_known: bool) -> Image:
    geometry = coded_geometry(shape, codes, spacing_mm)
    kind = "film" if shape[2] == 1 else "volume"
    return Image(np.zeros(shape), geometry, codes, kind, spacing_known=spacing_known)


def box(image: Image, first: int) -> np.ndarray:
    """Five layers across the first axis."""
    mask = np.zeros(image.geometry.shape, dtype=bool)
    mask[first : first + 5, 2:8] = True
    return mask


def case(image: Image, mask: np.ndarray, truth: np.ndarray, phrase: str | None = None) -> Case:
    probability = mask.astype(np.float32)
    parsed = None if phrase is None else parse(phrase)
    result = Result(
        answer="found", phrase=parsed, model="m", weights_sha256="", threshold=0.5, presence=1.0, warnings=(),
        seconds=0.0, device="cpu", mask=mask.astype(np.uint8), probability=probability, pseudo_image=probability,
        geometry=image.geometry,
    )  # fmt: skip
    scored = Scorer(image, truth, None, 0.5).case(Question("caption", None), result, Label("", "a", ""))
    assert scored is not None
    return scored


@pytest.mark.parametrize(
    ("image", "distance", "unit"),
    [
        (volume(), 3.0, "mm"),
        (volume(spacing_known=False), 3.0, "mm"),  # nominal ones are millimeters too
        (film(), 1.0, "px"),
        (film(spacing_known=True), 1.0, "mm"),
    ],
    ids=["volume", "nominal", "picture", "film"],
)
def test_a_distance_says_its_unit(image: Image, distance: float, unit: str) -> None:
    scored = case(image, box(image, 3), box(image, 1))
    assert (scored.hd95, scored.hd95_unit) == (pytest.approx(distance), unit)
    report = summarize([scored])
    assert (report["hd95"], report["hd95_unit"]) == (pytest.approx(distance), unit)


def test_pixels_and_millimeters_have_no_mean() -> None:
    both = [case(image, box(image, 3), box(image, 1)) for image in (film(), film(spacing_known=True))]
    report = summarize(both)
    assert (report["hd95"], report["hd95_n"], report["hd95_unit"]) == (None, 2, "mixed")


def test_a_surface_that_was_missed_is_in_the_mean() -> None:
    image = volume(spacing_mm=(1.0, 1.0, 1.0))
    truth, empty = box(image, 3), np.zeros(image.geometry.shape, dtype=bool)
    hit, missed, invented, nothing = (
        case(image, one, other) for one, other in ((truth, truth), (empty, truth), (truth, empty), (empty, empty))
    )
    report = summarize([hit, missed, nothing])
    assert (report["surface_dice"], report["surface_dice_n"], report["hd95_n"]) == (0.5, 2, 1)
    assert invented.surface_dice == 0
    assert "surface_dice" not in summarize([nothing])
    nominal = dataclasses.replace(image, spacing_known=False)
    assert "surface_dice" not in summarize([case(nominal, truth, truth)])


def test_a_side_that_belongs_to_a_name_is_no_place_for_the_words_to_point_at() -> None:
    image = volume()
    mask = box(image, 1)
    assert case(image, mask, mask, "left hippocampus").side_mass in (0.0, 1.0)
    assert math.isnan(case(image, mask, mask, "left ventricular cavity").side_mass)
