"""Which image goes to which model, and what the others are told."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Testing.lib import tiny
from TextGuidedSegLib.errors import ImageError, RegionNeededError
from TextGuidedSegLib.fit import NO_CT_MODEL, check_fit, check_phrase_fit, choose_model, largest_region_mm, recognized
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.phantom_volume import head_volume
from TextGuidedSegLib.phrase import parse
from TextGuidedSegLib.region import cropped
from TextGuidedSegLib.weights import FieldOfView, Model, ModelCard, find_model, read_model

CARDS: dict[str, dict[str, Any]] = {
    "chest-xray": {"kinds": ("film",), "modalities": ("CR", "DX", "OT")},
    "polyp": {"kinds": ("film",), "modalities": ("ES", "OT"), "image_channels": 3},
    "breast-ultrasound": {"kinds": ("film",), "modalities": ("US", "OT")},
    "mr-structures": {"kinds": ("volume",), "modalities": ("MR",)},
}
CROPS = (FieldOfView(("hippocampus", "anterior hippocampus"), 80.0), FieldOfView((), 400.0))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, ...]:
    """Four models by their cards; nothing is loaded here."""
    card = read_model(tiny.write_model(tmp_path_factory.mktemp("cards") / "any")).card
    return tuple(Model(Path(name), dataclasses.replace(card, name=name, **values)) for name, values in CARDS.items())


@pytest.fixture(scope="module")
def volume_card(models: tuple[Model, ...]) -> ModelCard:
    return dataclasses.replace(models[3].card, fields_of_view=CROPS)


def picture(*shape: int, modality: str | None = None) -> Image:
    return Image.from_array(np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8), modality=modality)


def volume(modality: str | None = "MR", lowest: int = 0, size: int = 20) -> Image:
    values = np.random.default_rng(0).integers(0, 900, (size, size, 8)).astype(np.int16)
    values[0, 0, 0] = lowest
    return Image.from_array(values, np.diag([2.0, 2.0, 5.0, 1.0]), modality)


@pytest.mark.parametrize(
    ("image", "name", "why"),
    [
        (picture(40, 50), "chest-xray", "grey film"),
        (picture(40, 50, modality="DX"), "chest-xray", r"grey film \(DX\)"),
        (picture(40, 50, modality="OT"), "chest-xray", "grey film:"),
        (picture(40, 50, modality="US"), "breast-ultrasound", r"grey film \(US\)"),
        (picture(40, 50, 3), "polyp", "color picture"),
        (picture(40, 50, 3, modality="ES"), "polyp", r"color picture \(ES\)"),
        (volume(), "mr-structures", r"volume \(MR\)"),
        (volume(None), "mr-structures", "a volume:"),
        (Image.from_array(np.zeros((20, 30, 1)), np.eye(4), "MR"), "mr-structures", "volume"),
    ],
)
def test_the_image_says_which_model(image: Image, name: str, why: str, models: tuple[Model, ...]) -> None:
    model, reason = choose_model(image, models)
    assert model.card.name == name
    assert re.search(f"is (a )?{why}", reason)
    assert repr(name) in reason
    assert model.card.summary in reason


@pytest.mark.parametrize("image", [volume("CT"), volume(None, lowest=-1024), volume("OT", lowest=-1000)])
def test_a_ct_is_answered_with_one_sentence(image: Image, models: tuple[Model, ...]) -> None:
    for ask in (lambda: choose_model(image, models), lambda: check_fit(image, models[3].card)):
        with pytest.raises(ImageError, match="CT") as refused:
            ask()
        assert NO_CT_MODEL in str(refused.value)


def test_a_model_of_ct_reads_it(models: tuple[Model, ...]) -> None:
    own = Model(Path("own"), dataclasses.replace(models[3].card, name="own", modalities=("CT",)))
    assert choose_model(volume("CT", lowest=-1024), (*models, own))[0] is own
    assert choose_model(volume(None, lowest=-1024), (*models, own))[0] is own


def test_a_negative_mr_is_no_ct(models: tuple[Model, ...]) -> None:
    check_fit(volume("MR", lowest=-2000), models[3].card)
    check_fit(volume(None, lowest=-300), models[3].card)


def test_a_part_of_a_ct_is_still_a_ct(models: tuple[Model, ...]) -> None:
    whole = volume(None, lowest=-1024)
    part = cropped(recognized(whole), ((4, 20), (4, 20), (0, 8)))
    assert part.array.min() >= 0, "there is no air in it"
    for ask in (lambda: choose_model(part, models), lambda: check_fit(part, models[3].card)):
        with pytest.raises(ImageError, match="CT") as refused:
            ask()
        assert NO_CT_MODEL in str(refused.value)


def test_what_is_no_ct_or_says_so_itself_stays_as_it_is() -> None:
    for image in (volume("MR", lowest=-2000), volume(None, lowest=-300), volume("CT", lowest=-1024), picture(40, 50)):
        assert recognized(image) is image


def test_padding_that_is_not_a_number_hides_no_ct(models: tuple[Model, ...]) -> None:
    hounsfield = volume(None, lowest=-1024).array.astype(np.float32)
    hounsfield[:, -1] = np.nan
    with pytest.raises(ImageError, match="values down to -1024"):
        check_fit(Image.from_array(hounsfield, np.eye(4)), models[3].card)


def test_what_nothing_reads_is_said(models: tuple[Model, ...]) -> None:
    with pytest.raises(ImageError, match=r"is a grey film \(MG\), which no installed model reads \(installed: chest-"):
        choose_model(picture(40, 50, modality="MG"), models)
    with pytest.raises(ImageError, match="has the modality PT; the model 'mr-structures' reads MR"):
        choose_model(volume("PT"), models)
    with pytest.raises(ImageError, match=r"\(installed: none\)"):
        choose_model(volume(), ())


def test_installed_models_are_chosen_from() -> None:
    assert choose_model(picture(40, 50))[0].card == find_model("chest-xray").card


class TestFieldOfView:
    def test_a_whole_head_asks_for_a_region(self, volume_card: ModelCard) -> None:
        head = dataclasses.replace(head_volume(spacing_mm=(10.0, 10.0, 10.0)).image(), source="head.nrrd")
        check_fit(head, volume_card)
        asked = (
            r"head\.nrrd spans 160 x 200 x 170 mm, which is too large to find the anterior hippocampus in: .* at most "
            r"80 mm along each side\. Give a region of interest"
        )
        with pytest.raises(RegionNeededError, match=asked):
            check_phrase_fit(parse("anterior hippocampus"), head, volume_card)
        check_phrase_fit(parse("left kidney"), head, volume_card)
        check_phrase_fit(None, head, volume_card)

    def test_a_crop_does_not(self, volume_card: ModelCard) -> None:
        crop = head_volume(size_mm=(40.0, 60.0, 40.0), spacing_mm=(5.0, 5.0, 5.0)).image()
        check_phrase_fit(parse("hippocampus"), crop, volume_card)

    def test_how_large_a_region_may_be(self, volume_card: ModelCard, models: tuple[Model, ...]) -> None:
        for phrases, largest in (
            ([], 80.0),
            (["abnormality"], 80.0),
            (["left hippocampus"], 80.0),
            (["left ventricular cavity"], 400.0),
            (["left ventricular cavity", "hippocampus"], 80.0),
        ):
            assert largest_region_mm(volume_card, map(parse, phrases)) == largest, phrases
        assert largest_region_mm(models[0].card, [parse("hippocampus")]) is None

    def test_more_than_the_model_ever_saw_is_refused_at_once(self, volume_card: ModelCard) -> None:
        body = Image.from_array(np.zeros((50, 50, 90)), np.diag([10.0, 10.0, 10.0, 1.0]), "MR")
        with pytest.raises(ImageError, match=r"spans 500 x 500 x 900 mm; .* at most 400 mm .* region of interest"):
            check_fit(body, volume_card)
        check_fit(body, dataclasses.replace(volume_card, fields_of_view=()))


class TestSlices:
    def test_a_volume_for_a_model_of_films(self, models: tuple[Model, ...]) -> None:
        with pytest.raises(ImageError, match=r"is a volume of 20 x 20 x 8 voxels .* slice by slice if you say so"):
            check_fit(volume(), models[0].card)
        with pytest.raises(ImageError, match=r"no installed model reads .* slice by slice if you say so"):
            choose_model(volume(), models[:1])
        check_fit(volume(), models[0].card, slices=True)
        check_fit(volume("CT", lowest=-1024), models[0].card, slices=True)

    def test_nothing_else(self, models: tuple[Model, ...]) -> None:
        with pytest.raises(ImageError, match="is a film; slices=True is for volumes"):
            check_fit(picture(40, 50), models[0].card, slices=True)
        with pytest.raises(ImageError, match="reads volumes"):
            check_fit(volume(), models[3].card, slices=True)
