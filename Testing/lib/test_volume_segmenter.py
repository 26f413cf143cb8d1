"""Volumes through the same door as films: orientations, regions, slices, answers, and the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from Testing.lib import tiny, tiny_volumes
from TextGuidedSegLib import cli, slice_runner, volume_runner
from TextGuidedSegLib.errors import Cancelled, ImageError, PhraseError, RegionNeededError
from TextGuidedSegLib.geometry import VOLUME_CODES, AxisCodes, reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Result, Segmenter
from TextGuidedSegLib.memory import host_forecast
from TextGuidedSegLib.region import Region, cropped, index_of
from TextGuidedSegLib.volume_runner import VolumeRunner
from TextGuidedSegLib.weights import DecisionConfig, FieldOfView
from TextGuidedSegLib.windows import WindowPlan

LEFT, RIGHT = "left lower lung opacity", "right lower lung opacity"
ALWAYS = DecisionConfig(not_found_below=0.0, found_above=0.0)
REGION = Region.ras_mm((5.0, 6.0, 8.0), (24.0, 30.0, 36.0))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_volumes.write_model(tmp_path_factory.mktemp("volume") / "tiny-volume", decision=ALWAYS)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    """Finds the hippocampus in less than the volume, which has 30 x 39 x 44 mm."""
    fields = (FieldOfView(("hippocampus",), 35.0), FieldOfView((), 300.0))
    folder = tmp_path_factory.mktemp("crops") / "crops"
    return Segmenter(str(tiny_volumes.write_model(folder, fields_of_view=fields)), device="cpu")


@pytest.fixture(scope="module")
def segmenter(model: Path) -> Segmenter:
    return Segmenter(str(model), device="cpu")


@pytest.fixture(scope="module")
def array() -> np.ndarray:
    return tiny_volumes.values()


@pytest.fixture(scope="module")
def upright(segmenter: Segmenter, array: np.ndarray) -> dict[Region | None, Result]:
    """What the volume gives in the canonical orientation, whole and in a region."""
    results: dict[Region | None, Result] = {}
    for region in (None, REGION):
        segmenter.set_image(tiny_volumes.volume_image(array), region)
        results[region] = segmenter.segment(LEFT)
    return results


def maps(result: Result) -> tuple[np.ndarray, ...]:
    return result.mask, result.probability, result.pseudo_image


class TestOrientations:
    @pytest.mark.parametrize("region", [None, REGION], ids=["whole", "region"])
    @pytest.mark.parametrize("codes", tiny.ORIENTATIONS, ids="".join)
    def test_none_changes_a_bit(
        self, codes: AxisCodes, region: Region | None, segmenter: Segmenter, array: np.ndarray,
        upright: dict[Region | None, Result],
    ) -> None:  # fmt: skip
        image = tiny_volumes.volume_image(array, codes)
        segmenter.set_image(image, region)
        result, expected = segmenter.segment(LEFT), upright[region]
        assert (result.answer, result.presence, result.plan) == (expected.answer, expected.presence, expected.plan)
        for one, two in zip(maps(expected), maps(result), strict=True):
            assert two.shape == image.geometry.shape
            assert tiny_volumes.canonical(image, two).tobytes() == one.tobytes()


class TestRegion:
    def test_it_is_as_if_the_image_were_cut(
        self, segmenter: Segmenter, array: np.ndarray, upright: dict[Region | None, Result]
    ) -> None:
        image, result = tiny_volumes.volume_image(array), upright[REGION]
        assert result.region == REGION.bounds(image.geometry)
        segmenter.set_image(cropped(image, result.region))
        alone = segmenter.segment(LEFT)
        outside = np.ones(array.shape, dtype=bool)
        outside[index_of(result.region)] = False
        for one, two in zip(maps(result), maps(alone), strict=True):
            np.testing.assert_array_equal(one[index_of(result.region)], two)
            assert not one[outside].any()
        assert result.mask.any()
        assert result.answer == alone.answer == "found"
        assert result.geometry.close_to(image.geometry)
        np.testing.assert_allclose(result.centroid_ras_mm, alone.centroid_ras_mm)

    def test_of_a_film(self, tiny_model: Path) -> None:
        segmenter = Segmenter(str(tiny_model), device="cpu")
        film = Image.from_array(np.random.default_rng(0).random((60, 50)))
        region = Region.ijk((10, 40), (20, 55), (0, 1))
        segmenter.set_image(film, region)
        result = segmenter.segment(LEFT, threshold=0.01)
        assert result.probability[10:40, 20:55].all()
        assert np.count_nonzero(result.probability) == 30 * 35

    def test_a_region_beside_the_image_leaves_the_old_image(self, segmenter: Segmenter, array: np.ndarray) -> None:
        segmenter.set_image(tiny_volumes.volume_image(array))
        before = segmenter.segment(LEFT)
        with pytest.raises(ImageError, match="move or enlarge it"):
            segmenter.set_image(tiny_volumes.volume_image(array), Region.ras_mm((500, 0, 0), (600, 9, 9)))
        np.testing.assert_array_equal(segmenter.segment(LEFT).probability, before.probability)

    def test_a_phrase_for_a_smaller_field_of_view_asks_for_one(self, crops: Segmenter, array: np.ndarray) -> None:
        image = tiny_volumes.volume_image(array)
        crops.set_image(image)
        with pytest.raises(RegionNeededError, match=r"at most 35 mm along each side\. Give a region of interest"):
            crops.segment("left hippocampus")
        assert crops.segment("lung opacity").geometry is image.geometry
        crops.set_image(image, REGION)
        assert crops.segment("left hippocampus").region is not None

    def test_a_phrase_that_asks_for_one_keeps_no_other_from_its_answer(
        self, crops: Segmenter, array: np.ndarray
    ) -> None:
        crops.set_image(tiny_volumes.volume_image(array))
        results = crops.segment_each(["lung", "hippocampus", "left kidney", "right hippocampus"])
        assert [next(results).phrase.text for _ in range(2)] == ["lung", "left kidney"]
        with pytest.raises(RegionNeededError, match=r"the hippocampus in: .* Give a region of interest") as refused:
            next(results)
        assert str(refused.value).count("Give a region") == 1, "said once for both"

    @pytest.mark.parametrize("named", [True, False])
    def test_a_ct_without_air_in_the_region_is_refused_all_the_same(
        self, named: bool, model: Path, segmenter: Segmenter, array: np.ndarray, tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        hounsfield = array.astype(np.int16)
        hounsfield[0] = -1024
        image = tiny_volumes.volume_image(hounsfield, modality=None)
        assert cropped(image, REGION.bounds(image.geometry)).array.min() > -900
        with pytest.raises(ImageError, match="No CT model is shipped"):
            segmenter.set_image(image, REGION)
        sitk.WriteImage(sitk.GetImageFromArray(hounsfield), str(tmp_path / "ct.nii.gz"))
        box = ["--region", "-2", "-2", "3", "-12", "-14", "20"]
        asked = ["segment", str(tmp_path / "ct.nii.gz"), LEFT, *(["--model", str(model)] if named else [])]
        assert cli.main([*asked, *box]) == 2
        assert "No CT model is shipped" in capsys.readouterr().err


class TestAnswers:
    def test_the_plan_is_part_of_the_result(self, upright: dict[Region | None, Result]) -> None:
        plan = upright[None].plan
        assert isinstance(plan, WindowPlan)
        assert (plan.shape, plan.device, plan.batch) == ((15, 20, 22), "cpu", 1)
        assert plan.count > 1

    def test_a_new_threshold_runs_no_network(
        self, segmenter: Segmenter, array: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        segmenter.set_image(tiny_volumes.volume_image(array))
        first = segmenter.segment(LEFT)
        monkeypatch.setattr("TextGuidedSegLib.network.FusedNetwork.segment", None)
        second = segmenter.segment(LEFT, threshold=0.3)
        np.testing.assert_array_equal(second.probability, first.probability)
        np.testing.assert_array_equal(second.mask, first.probability >= 0.3)

    @pytest.mark.parametrize(
        ("phrase", "answer"),
        [("left right lung", "contradictory"), ("no opacity", "negated"), ("xqzt wvkp", "not_understood")],
    )
    def test_the_same_answers_as_on_films(
        self, phrase: str, answer: str, segmenter: Segmenter, array: np.ndarray
    ) -> None:
        segmenter.set_image(tiny_volumes.volume_image(array))
        result = segmenter.segment(phrase)
        assert result.answer == answer
        assert not result.mask.any()

    def test_evidence_may_be_a_volume(self, tmp_path: Path, array: np.ndarray) -> None:
        image = tiny_volumes.volume_image(array)
        presences = []
        for name, cubic_mm in (("share", None), ("few", 8.5), ("many", 1e5)):
            decision = DecisionConfig(evidence_mm3=cubic_mm)
            segmenter = Segmenter(str(tiny_volumes.write_model(tmp_path / name, decision=decision)), device="cpu")
            segmenter.set_image(image)
            result = segmenter.segment(LEFT)
            presences.append(result.presence)
            if name == "few":
                assert result.presence >= result.probability.max() - 1e-3
        assert presences[1] > presences[0] > presences[2]

    @pytest.mark.parametrize("at_once", [3, 2, 1])
    def test_phrases_together_give_what_each_gives_alone(
        self, at_once: int, segmenter: Segmenter, array: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image, phrases = tiny_volumes.volume_image(array), [LEFT, None, RIGHT]
        alone = []
        for phrase in phrases:
            segmenter.set_image(image)
            alone.append(segmenter.segment(phrase))
        segmenter.set_image(image)
        monkeypatch.setattr(volume_runner, "_KEPT_BYTES", at_once * 2 * 15 * 20 * 22)
        ran: list[int] = []
        run = VolumeRunner.run
        monkeypatch.setattr(
            VolumeRunner, "run", lambda one, words, report: ran.append(len(words)) or run(one, words, report)
        )
        told: list[float] = []
        together = list(segmenter.segment_each(phrases, progress=lambda share, _: told.append(share)))
        for one, two in zip(alone, together, strict=True):
            assert (one.answer, one.presence, one.phrase) == (two.answer, two.presence, two.phrase)
            np.testing.assert_array_equal(one.probability, two.probability)
        assert told == sorted(told)
        assert (told[0], told[-1]) == (0, pytest.approx(1))
        assert max(ran) == at_once, "as many as may be held are read together"

    def test_read_ahead_each_is_answered_without_the_network(
        self, segmenter: Segmenter, array: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image = tiny_volumes.volume_image(array)
        segmenter.set_image(image)
        alone = segmenter.segment(LEFT)
        segmenter.set_image(image)
        stages: list[str] = []
        segmenter.read_ahead([LEFT, "", RIGHT], progress=lambda _, stage: stages.append(stage))
        assert any(stage.startswith("window 2 of") for stage in stages)
        monkeypatch.setattr("TextGuidedSegLib.network.FusedNetwork.segment", None)
        np.testing.assert_array_equal(segmenter.segment(LEFT).probability, alone.probability)
        assert segmenter.segment(RIGHT).probability.shape == image.geometry.shape
        with pytest.raises(PhraseError):
            segmenter.segment("")

    def test_cancelled_it_stays_usable(self, segmenter: Segmenter, array: np.ndarray) -> None:
        image = tiny_volumes.volume_image(array)
        segmenter.set_image(image)
        expected = segmenter.segment(LEFT)
        segmenter.set_image(image)
        answers: Iterator[bool] = iter([False] * 4 + [True])  # text, window 1, its two passes
        with pytest.raises(Cancelled, match="window 2 of"):
            segmenter.segment(LEFT, is_cancelled=lambda: next(answers))
        np.testing.assert_array_equal(segmenter.segment(LEFT).probability, expected.probability)

    def test_a_single_slice_of_a_scanner_is_a_thin_volume(self, segmenter: Segmenter, array: np.ndarray) -> None:
        thin = tiny_volumes.volume_image(array[:, :, :1])
        assert thin.kind == "volume"
        segmenter.set_image(thin)
        assert np.isfinite(segmenter.segment(LEFT).probability).all()

    def test_a_film_is_refused(self, segmenter: Segmenter) -> None:
        with pytest.raises(ImageError, match=r"is a film of .* reads volumes"):
            segmenter.set_image(Image.from_array(np.zeros((40, 40))))


class TestSlices:
    @pytest.mark.parametrize(
        ("spacing_mm", "axis"), [((1.0, 1.0, 4.0), 2), ((1.0, 4.0, 1.0), 1), ((4.0, 1.0, 1.0), 0), ((2.0, 2.0, 2.0), 2)]
    )
    def test_each_slice_is_a_film_as_it_is_looked_at(
        self, spacing_mm: tuple[float, float, float], axis: int, tiny_model: Path, array: np.ndarray
    ) -> None:
        segmenter = Segmenter(str(tiny_model), device="cpu")
        array = array[:7, :8, :6].repeat(4, axis=0 if axis else 1).repeat(4, axis=2 if axis != 2 else 1)
        image = tiny_volumes.volume_image(array, ("A", "L", "S"), spacing_mm)
        with pytest.raises(ImageError, match="reads films"):
            segmenter.set_image(image)
        segmenter.set_image(image, slices=True)
        result = segmenter.segment(LEFT)
        assert "each slice of this volume was read as a film" in result.warnings[-1]
        codes = {0: ("P", "I", "R"), 1: ("L", "I", "A"), 2: ("L", "P", "S")}[axis]
        shown = reorientation(VOLUME_CODES, codes).apply(array)
        found = reorientation(image.axis_codes, codes).apply(result.probability)
        presences = []
        for number in range(shown.shape[2]):
            segmenter.set_image(tiny.film_image(shown[:, :, number].T))
            film = segmenter.segment(LEFT)
            presences.append(film.presence)
            if axis != 0 or not segmenter.card.decision.mirror_average:
                np.testing.assert_allclose(found[:, :, number], film.probability[:, :, 0], atol=1e-6)
        if axis != 0:
            assert result.presence == pytest.approx(max(presences))

    def test_sagittal_slices_are_not_mirrored(self, tiny_model: Path, array: np.ndarray) -> None:
        segmenter = Segmenter(str(tiny_model), device="cpu")
        segmenter.set_image(tiny_volumes.volume_image(array[:5], spacing_mm=(4.0, 1.0, 1.0)), slices=True)
        told: list[str] = []
        segmenter.segment(LEFT, progress=lambda _, stage: told.append(stage))
        assert "slice 5 of 5" in told
        assert not any("mirrored" in stage for stage in told)

    def test_a_new_threshold_runs_no_network(
        self, tiny_model: Path, array: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        segmenter = Segmenter(str(tiny_model), device="cpu")
        image = tiny_volumes.volume_image(array[:, :, :5])
        segmenter.set_image(image, slices=True)
        first = segmenter.segment(LEFT, threshold=0.5)
        other = segmenter.segment(RIGHT)
        assert not np.array_equal(first.probability, other.probability)
        monkeypatch.setattr("TextGuidedSegLib.network.FusedNetwork.forward", None)
        second = segmenter.segment(LEFT, threshold=0.3)
        assert second.presence == first.presence
        np.testing.assert_array_equal(second.probability, first.probability)
        np.testing.assert_array_equal(second.pseudo_image, first.pseudo_image)
        np.testing.assert_array_equal(second.mask, first.probability >= 0.3)

    def test_no_more_is_kept_than_fits(
        self, tiny_model: Path, array: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        segmenter = Segmenter(str(tiny_model), device="cpu")
        segmenter.set_image(tiny_volumes.volume_image(array[:, :, :5]), slices=True)
        monkeypatch.setattr(slice_runner, "_KEPT_BYTES", 1)
        first = segmenter.segment(LEFT)
        segmenter.segment(RIGHT)
        stages: list[str] = []
        again = segmenter.segment(LEFT, progress=lambda _, stage: stages.append(stage))
        assert "slice 5 of 5" in stages
        np.testing.assert_array_equal(again.probability, first.probability)

    def test_cancelled_between_slices(self, tiny_model: Path, array: np.ndarray) -> None:
        segmenter = Segmenter(str(tiny_model), device="cpu")
        segmenter.set_image(tiny_volumes.volume_image(array), slices=True)
        answers = iter([False] * 10 + [True])
        with pytest.raises(Cancelled):
            segmenter.segment(LEFT, is_cancelled=lambda: next(answers))
        assert np.isfinite(segmenter.segment(LEFT).presence)


class TestCommandLine:
    def test_a_volume_with_a_named_model(
        self, model: Path, tmp_path: Path, array: np.ndarray, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stored = sitk.GetImageFromArray(array.transpose(2, 1, 0))
        stored.SetSpacing(tiny_volumes.SPACING_MM)
        stored.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
        sitk.WriteImage(stored, str(tmp_path / "scan.nii.gz"))
        names = {name: tmp_path / f"{name}.nrrd" for name in ("pseudo", "probability")}
        out = tmp_path / "out.seg.nrrd"
        options = [part for name, path in names.items() for part in (f"--{name}", str(path))]
        code = cli.main(
            ["segment", str(tmp_path / "scan.nii.gz"), LEFT, "--model", str(model), "--out", str(out), "--overlay",
             str(tmp_path / "look.png"), "--json", *options]
        )  # fmt: skip
        told = json.loads(capsys.readouterr().out)
        assert (code, told["answer"]) == (0, "found")
        assert sitk.ReadImage(str(names["probability"])).GetSize() == array.shape
        assert sitk.GetArrayFromImage(sitk.ReadImage(str(out))).sum() == told["voxels"]
        assert (tmp_path / "look.png").stat().st_size > 100

    def test_a_region_in_the_world(
        self, model: Path, tmp_path: Path, array: np.ndarray, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stored = sitk.GetImageFromArray(array.transpose(2, 1, 0))
        stored.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
        sitk.WriteImage(stored, str(tmp_path / "scan.nii.gz"))
        box = ["--region", "4", "5", "6", "23.5", "20", "21"]
        written = ["--probability", str(tmp_path / "p.nrrd"), "--json"]
        assert cli.main(["segment", str(tmp_path / "scan.nii.gz"), LEFT, "--model", str(model), *box, *written]) == 0
        assert json.loads(capsys.readouterr().out)["windows"]["count"] == 1
        inside = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "p.nrrd"))).transpose(2, 1, 0) > 0
        assert inside[4:24, 5:21, 6:22].all()
        assert inside.sum() == 20 * 16 * 16

    def test_a_ct_is_answered_with_one_sentence(
        self, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sitk.WriteImage(sitk.GetImageFromArray(np.full((8, 9, 10), -1024, dtype=np.int16)), str(tmp_path / "ct.nii.gz"))
        assert cli.main(["segment", str(tmp_path / "ct.nii.gz"), LEFT, "--model", str(model)]) == 2
        assert "No CT model is shipped" in capsys.readouterr().err


def test_memory_is_forecast_from_the_window_and_the_voxels(model: Path) -> None:
    card = tiny_volumes.card_of(model)
    small, large, larger = (host_forecast(card, (size,) * 3).needed_bytes for size in (16, 128, 256))
    assert small < large < larger
    assert larger - large == pytest.approx(20 * (256**3 - 128**3))


@pytest.mark.parametrize("value", [0, 7])
def test_in_an_even_volume_nothing_is_found(value: int, tmp_path: Path) -> None:
    sure = DecisionConfig(not_found_below=0.1, found_above=0.1)
    segmenter = Segmenter(str(tiny_volumes.write_model(tmp_path / "sure", decision=sure)), device="cpu")
    segmenter.set_image(tiny_volumes.volume_image(np.full((20, 24, 16), value)))
    result = segmenter.segment("left hippocampus")
    assert (result.answer, result.voxels, result.presence) == ("not_found", 0, 0.0)
    assert "nothing to see" in " ".join(result.warnings)


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 1, 2), (4, 4, 4)])
def test_a_volume_of_one_cell_of_the_deepest_level_is_read(shape: tuple[int, int, int], model: Path) -> None:
    segmenter = Segmenter(str(model), device="cpu")
    image = tiny_volumes.volume_image(np.arange(np.prod(shape)).reshape(shape), spacing_mm=(2.0, 2.0, 2.0))
    segmenter.set_image(image)
    assert np.isfinite(segmenter.segment("left hippocampus").probability).all()
