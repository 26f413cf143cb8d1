"""A model with a part for thick slices: which phrase is answered by what, and by whose limits."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from Testing.lib import tiny, tiny_volumes
from TextGuidedSegLib.errors import ImageError, WeightsError
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.region import Region
from TextGuidedSegLib.slice_runner import thick_axis
from TextGuidedSegLib.weights import WEIGHTS_FILE, DecisionConfig, ThickSlices, find_model, list_models, read_model

CHAMBER, ELSEWHERE = "left ventricular cavity", "hippocampus"
THICK, THIN = (1.4, 1.4, 10.0), (1.4, 1.4, 3.0)
PART = ThickSlices("thick-slices", ("hippocampus", "anterior hippocampus"))
ALWAYS = DecisionConfig(not_found_below=0.0, found_above=0.0)
SURE = DecisionConfig(threshold=0.3, not_found_below=0.0, found_above=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_volumes.write_model(
        tmp_path_factory.mktemp("models") / "both", name="both", decision=ALWAYS, thick_slices=PART
    )
    volumes = {"kinds": ("volume",), "modalities": ("MR",), "decision": SURE}
    tiny.write_model(folder / PART.folder, tiny.network(seed=4), name="part", **volumes)
    return folder


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> Segmenter:
    return Segmenter(str(folder), device="cpu")


def stack(spacing_mm: tuple[float, float, float] = THICK, codes: tuple[str, str, str] = ("R", "A", "S")) -> Image:
    return tiny_volumes.volume_image(tiny_volumes.values((26, 30, 5)), codes, spacing_mm)


def cube(spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Image:
    return tiny_volumes.volume_image(tiny_volumes.values((26, 30, 8)), spacing_mm=spacing_mm)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_few_slices_are_thick_whatever_a_file_says_of_its_voxels(axis: int, segmenter: Segmenter) -> None:
    array = np.moveaxis(tiny_volumes.values((26, 30, 5)), 2, axis)
    found = []
    for spacing_mm in ((1.0, 1.0, 1.0), tuple(np.roll((10.0, 1.0, 1.0), axis).tolist())):
        image = tiny_volumes.volume_image(array, spacing_mm=spacing_mm)
        assert thick_axis(image) == axis
        stages: list[str] = []
        segmenter.set_image(image)
        found.append(segmenter.segment(CHAMBER, progress=lambda _, stage: stages.append(stage)).probability)  # noqa: B023
        assert "slice 5 of 5" in stages
    np.testing.assert_array_equal(*found)


def test_slices_are_thick_along_any_axis_and_by_the_larger_side_of_a_pixel() -> None:
    assert thick_axis(stack()) == 2
    assert thick_axis(stack((10.0, 1.4, 1.4))) == 0
    assert thick_axis(cube(THIN)) is None
    assert thick_axis(cube((1.0, 6.0, 6.0))) is None, "thin slices of coarse pixels"
    assert thick_axis(cube()) is None
    assert thick_axis(tiny.film_image(np.zeros((20, 30)))) is None


def test_a_phrase_is_answered_by_the_network_that_knows_it(folder: Path, segmenter: Segmenter) -> None:
    alone = {name: Segmenter(str(path), device="cpu") for name, path in
             (("own", without_part(folder)), ("part", folder / PART.folder))}  # fmt: skip
    cases = [(THICK, CHAMBER, "part"), (THICK, "LV wall", "part"), (THICK, "ventricles", "part"),
             (THICK, ELSEWHERE, "own"), (THICK, "anterior hippocampus", "own"),
             (THICK, None, "part"), (THICK, "left kidney", "part"),
             (THIN, CHAMBER, "own")]  # fmt: skip
    for spacing_mm, phrase, by in cases:
        for each in (segmenter, alone[by]):
            each.set_image(cube(spacing_mm))
        found, expected = segmenter.segment(phrase), alone[by].segment(phrase)
        np.testing.assert_array_equal(found.probability, expected.probability, str((spacing_mm, phrase)))
        assert found.weights_sha256 == expected.weights_sha256
        assert (found.presence, found.threshold) == (expected.presence, expected.threshold)
        assert found.model == "both"
        assert bool(found.warnings) == (spacing_mm == THIN)
        assert segmenter.card_for(phrase).name == ("part" if by == "part" else "both")


def test_a_structure_that_is_left_to_thick_slices_is_not_vouched_for_in_thin_ones(segmenter: Segmenter) -> None:
    image = cube(THIN)
    segmenter.set_image(image)
    (warning,) = segmenter.segment("LV wall").warnings
    assert "was not measured on the myocardium in thin slices" in warning
    assert not segmenter.segment(ELSEWHERE).warnings, "the network of volumes learned it"
    assert not segmenter.segment("LV wall", threshold=0.999).mask.any()
    assert not segmenter.segment("LV wall", threshold=0.999).warnings, "nothing is shown that could be wrong"
    segmenter.set_image(cube(THICK))
    assert not segmenter.segment("LV wall").warnings


def without_part(folder: Path) -> Path:
    """The model as it was before it had a part."""
    alone = folder.parent / "alone"
    if not alone.exists():
        tiny_volumes.write_model(alone, decision=ALWAYS)
    return alone


def test_phrases_for_both_are_answered_together_each_by_its_own(segmenter: Segmenter) -> None:
    segmenter.set_image(stack())
    phrases = [ELSEWHERE, CHAMBER, "anterior hippocampus"]
    one_by_one = [segmenter.segment(phrase) for phrase in phrases]
    segmenter.set_image(stack())
    for result, alone in zip(segmenter.segment_each(phrases), one_by_one, strict=True):
        np.testing.assert_array_equal(result.probability, alone.probability)
        assert result.threshold == alone.threshold
    segmenter.read_ahead(phrases)


def test_the_plan_is_one_window_a_slice(segmenter: Segmenter) -> None:
    segmenter.set_image(stack())
    plan = segmenter.segment(CHAMBER).plan
    assert plan is not None
    assert (plan.shape[2], plan.window[2], plan.batch, plan.device, plan.count) == (5, 1, 1, "cpu", 5)
    assert plan.shape[:2] == plan.window[:2]
    assert plan.to_dict()["overlap"] == 0.0
    whole = segmenter.segment(ELSEWHERE).plan
    assert whole is not None
    assert whole.to_dict()["overlap"] == 0.25


def test_the_orientation_of_the_file_changes_no_voxel(segmenter: Segmenter) -> None:
    tiny_volumes.assert_orientation_changes_nothing(segmenter, CHAMBER, lambda codes: stack(codes=codes))


def test_a_region_is_read_as_a_volume_of_its_own(segmenter: Segmenter) -> None:
    image = stack()
    segmenter.set_image(image, Region.ras_mm((3.0, 3.0, 0.0), (30.0, 35.0, 60.0)))
    result = segmenter.segment(CHAMBER)
    assert result.region is not None
    inside = np.zeros(image.geometry.shape, dtype=bool)
    inside[tuple(slice(low, high) for low, high in result.region)] = True
    assert result.probability[inside].all()
    assert not result.probability[~inside].any()


def test_the_whole_scan_decides_whether_its_slices_are_thick(segmenter: Segmenter) -> None:
    def stages_of(image: Image, region: Region) -> list[str]:
        stages: list[str] = []
        segmenter.set_image(image, region)
        segmenter.segment(CHAMBER, progress=lambda _, stage: stages.append(stage))
        return stages

    few = tiny_volumes.volume_image(tiny_volumes.values((60, 64, 10)), spacing_mm=(1.0, 1.0, 1.0))
    assert "slice 10 of 10" in stages_of(few, Region.ras_mm((5.0, 5.0, 0.0), (30.0, 35.0, 9.0)))
    many = tiny_volumes.volume_image(tiny_volumes.values((40, 40, 40)), spacing_mm=(1.0, 1.0, 1.0))
    slab = stages_of(many, Region.ras_mm((0.0, 0.0, 10.0), (39.0, 39.0, 15.0)))
    assert not any(stage.startswith("slice") for stage in slab)


def test_progress_of_several_phrases_starts_at_the_start(segmenter: Segmenter) -> None:
    segmenter.set_image(stack())
    shares: list[float] = []
    list(segmenter.segment_each([CHAMBER, "RV cavity"], progress=lambda share, _: shares.append(share)))
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert any(0.1 < share < 0.5 for share in shares)


def test_the_name_of_a_chamber_stays_when_its_slice_is_mirrored(segmenter: Segmenter) -> None:
    array = tiny_volumes.values((26, 30, 5))
    results = []
    for values in (array, array[::-1]):
        segmenter.set_image(tiny_volumes.volume_image(values, spacing_mm=THICK))
        results.append(segmenter.segment("left ventricle").probability)
    np.testing.assert_allclose(results[0], results[1][::-1], atol=1e-6)


def test_the_part_is_verified_and_counted_with_its_model(folder: Path, tmp_path: Path) -> None:
    whole, part = read_model(folder), read_model(folder / PART.folder)
    assert whole.size_bytes == whole.file(WEIGHTS_FILE).stat().st_size + part.size_bytes
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / PART.folder / WEIGHTS_FILE).write_bytes(b"cut off")
    with pytest.raises(WeightsError, match="was changed"):
        Segmenter(str(copy), device="cpu")
    shutil.rmtree(copy / PART.folder)
    with pytest.raises(WeightsError, match=r"thick-slices.*install the model again"):
        Segmenter(str(copy), device="cpu")


def test_a_network_of_films_that_is_made_for_volumes_reads_no_film(folder: Path) -> None:
    with pytest.raises(ImageError, match="reads volumes"):
        Segmenter(str(folder / PART.folder), device="cpu").set_image(tiny.film_image(np.zeros((30, 20))))


def test_the_shipped_parts_are_complete() -> None:
    for model in list_models():
        part = model.for_thick_slices
        if part is not None:
            assert part.card.network.spatial_dims == 2
            assert part.card.kinds == ("volume",)
            assert part.card.modalities == model.card.modalities
    assert find_model("mr-structures").card.thick_slices is not None


def test_a_small_region_of_a_thick_stack_is_read(segmenter: Segmenter) -> None:
    segmenter.set_image(stack(), region=Region.ijk((10, 20), (8, 11), (0, 5)))
    for result in segmenter.segment_each([CHAMBER, ELSEWHERE]):
        assert result.probability.shape == (26, 30, 5)
        outside = result.probability.copy()
        outside[10:20, 8:11] = 0
        assert not outside.any()
