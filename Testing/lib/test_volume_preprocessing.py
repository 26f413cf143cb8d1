"""A prepared volume: the same for every orientation, the model's spacing, one scale of values, and back again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from Testing.lib import tiny, tiny_volumes
from TextGuidedSegLib import volume_preprocessing
from TextGuidedSegLib.errors import GeometryError, ImageError
from TextGuidedSegLib.geometry import AxisCodes, Geometry
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from TextGuidedSegLib.volume_preprocessing import PreparedVolume, prepare_volume

CONFIG = PreprocessingConfig(spacing_mm=(2.0, 2.0, 2.0))


@pytest.fixture(scope="module")
def array() -> np.ndarray:
    return tiny_volumes.values()


def _undone(prepared: PreparedVolume, on_grid: np.ndarray, axis: int = 0) -> np.ndarray:
    target = prepared.empty_map()
    for portion in prepared.portions(axis):
        prepared.write(
            target, axis, portion, lambda start, stop: on_grid.take(range(start, stop), axis).astype(np.float32)
        )
    return target


class TestFrame:
    @pytest.mark.parametrize("codes", tiny.ORIENTATIONS, ids="".join)
    def test_the_orientation_of_the_array_changes_no_bit(self, codes: AxisCodes, array: np.ndarray) -> None:
        upright = prepare_volume(tiny_volumes.volume_image(array), CONFIG)
        turned_image = tiny_volumes.volume_image(array, codes)
        turned = prepare_volume(turned_image, CONFIG)
        assert turned.whole().tobytes() == upright.whole().tobytes()
        np.testing.assert_allclose(turned.spacing_mm, upright.spacing_mm)
        back = _undone(turned, turned.whole())
        assert back.shape == turned_image.geometry.shape
        expected = _undone(upright, upright.whole())
        assert tiny_volumes.canonical(turned_image, back).tobytes() == expected.tobytes()

    @pytest.mark.parametrize("degrees", [5.0, 20.0, 40.0])
    def test_an_oblique_volume_is_read_along_its_own_axes(self, degrees: float, array: np.ndarray) -> None:
        straight = tiny_volumes.volume_image(array)
        angle = np.radians(degrees)
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        oblique = Image.from_array(array, turn @ straight.geometry.affine_ijk_to_ras, "MR")
        one, two = prepare_volume(straight, CONFIG), prepare_volume(oblique, CONFIG)
        assert one.whole().tobytes() == two.whole().tobytes()
        np.testing.assert_allclose(one.spacing_mm, two.spacing_mm)

    def test_the_image_stays_as_it_is(self, array: np.ndarray) -> None:
        image = tiny_volumes.volume_image(array, ("L", "P", "I"))
        before = image.array.copy()
        prepare_volume(image, CONFIG).whole()
        np.testing.assert_array_equal(image.array, before)


class TestSpacing:
    def test_voxels_get_the_size_of_the_model(self, array: np.ndarray) -> None:
        prepared = prepare_volume(tiny_volumes.volume_image(array), CONFIG)
        assert prepared.plan.model_shape == (15, 20, 22)
        np.testing.assert_allclose(prepared.spacing_mm, 2.0, atol=0.06)

    def test_without_a_spacing_every_voxel_stays(self, array: np.ndarray) -> None:
        prepared = prepare_volume(tiny_volumes.volume_image(array), PreprocessingConfig())
        assert prepared.plan.model_shape == array.shape
        spot = np.random.default_rng(0).random(array.shape, dtype=np.float32)
        np.testing.assert_array_equal(_undone(prepared, spot), spot)

    def test_thick_slices_may_stay_thick(self, array: np.ndarray) -> None:
        thick = tiny_volumes.volume_image(array, spacing_mm=(1.0, 1.0, 8.0))
        interpolated = prepare_volume(thick, CONFIG)
        kept = prepare_volume(thick, dataclasses.replace(CONFIG, keep_coarse_axes=True))
        assert interpolated.plan.model_shape == (15, 13, 88)
        assert kept.plan.model_shape == (15, 13, 22)
        np.testing.assert_allclose(kept.spacing_mm, (2.0, 2.0, 8.0))

    @pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 0.0, 1.0), (1.0, -2.0, 1.0)])
    @pytest.mark.parametrize("keeps", [False, True])
    def test_impossible_spacings_are_refused(self, keeps: bool, spacing: tuple[float, ...], array: np.ndarray) -> None:
        config = PreprocessingConfig(spacing_mm=spacing, keep_coarse_axes=keeps)
        with pytest.raises(GeometryError, match="three positive numbers"):
            prepare_volume(tiny_volumes.volume_image(array), config)

    def test_a_spot_comes_back_where_it_was(self, array: np.ndarray) -> None:
        image = tiny_volumes.volume_image(array, ("P", "S", "L"))
        prepared = prepare_volume(image, CONFIG)
        spot = np.zeros(prepared.plan.model_shape, dtype=np.float32)
        spot[5, 12, 3] = 1
        place = (np.array((5, 12, 3)) + 0.5) * prepared.spacing_mm - np.array(tiny_volumes.SPACING_MM) / 2
        back = _undone(prepared, spot)
        weights = np.argwhere(back > 0)
        center = (weights * back[back > 0][:, None]).sum(axis=0) / back.sum()
        np.testing.assert_allclose(image.geometry.ijk_to_ras_mm(center[None])[0], place, atol=0.5)


class TestOverview:
    def test_with_as_many_voxels_it_is_the_network_input(self, array: np.ndarray) -> None:
        prepared = prepare_volume(tiny_volumes.volume_image(array), CONFIG)
        overview = prepared.overview(prepared.plan.model_shape, lambda: None)
        assert overview.tobytes() == prepared.whole().tobytes()

    @pytest.mark.parametrize("codes", [("L", "P", "S"), ("S", "A", "R"), ("P", "I", "L")], ids="".join)
    def test_orientation_and_portions_change_no_bit(
        self, codes: AxisCodes, array: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shape = (9, 8, 7)
        upright = prepare_volume(tiny_volumes.volume_image(array), CONFIG).overview(shape, lambda: None)
        monkeypatch.setattr(volume_preprocessing, "_PORTION_VOXELS", 4000)
        told: list[int] = []
        turned = prepare_volume(tiny_volumes.volume_image(array, codes), CONFIG).overview(shape, lambda: told.append(1))
        assert turned.shape == shape
        assert turned.tobytes() == upright.tobytes()
        assert len(told) > 2

    def test_it_may_be_stopped(self, array: np.ndarray) -> None:
        def stop() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            prepare_volume(tiny_volumes.volume_image(array), CONFIG).overview((4, 4, 4), stop)


class TestValues:
    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
    def test_mean_and_deviation(self, dtype: type, array: np.ndarray) -> None:
        volume = tiny_volumes.volume_image((array // 8).astype(dtype))
        whole = prepare_volume(volume, PreprocessingConfig()).whole()
        assert whole.dtype == np.float32
        assert whole.mean() == pytest.approx(0, abs=1e-3)
        assert whole.std() == pytest.approx(1, abs=1e-3)

    def test_unit_and_offset_do_not_matter(self, array: np.ndarray) -> None:
        values = array.astype(np.float32)
        one, two = (prepare_volume(tiny_volumes.volume_image(v), CONFIG).whole() for v in (values, 3 * values - 500))
        np.testing.assert_allclose(one, two, atol=1e-4)

    def test_a_spike_is_clipped(self, array: np.ndarray) -> None:
        values = array.astype(np.float32)
        values[3, 4, 5] = 1e6
        assert prepare_volume(tiny_volumes.volume_image(values), CONFIG).whole().max() < 6

    @pytest.mark.parametrize("value", [0, 7, -3e5])
    def test_a_constant_volume_is_all_zeros(self, value: float) -> None:
        volume = tiny_volumes.volume_image(np.full((9, 8, 7), value, dtype=np.float32))
        assert not prepare_volume(volume, CONFIG).whole().any()

    def test_the_scale_is_measured_on_a_part_of_a_large_volume(
        self, array: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = prepare_volume(tiny_volumes.volume_image(array), CONFIG).scale
        monkeypatch.setattr(volume_preprocessing, "_SAMPLED_VOXELS", 3000)
        scales = [prepare_volume(tiny_volumes.volume_image(array, codes), CONFIG).scale for codes in tiny.ORIENTATIONS]
        assert len(set(scales)) == 1
        assert scales[0] != whole
        assert scales[0].mean == pytest.approx(whole.mean, rel=0.02)
        assert scales[0].spread == pytest.approx(whole.spread, rel=0.05)

    def test_a_volume_that_is_not_kept_gives_the_same_bits(
        self, array: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept = prepare_volume(tiny_volumes.volume_image(array), CONFIG).whole()
        monkeypatch.setattr(volume_preprocessing, "_KEPT_VOXELS", 0)
        monkeypatch.setattr(volume_preprocessing, "_PORTION_VOXELS", 500)
        streamed = prepare_volume(tiny_volumes.volume_image(array), CONFIG)
        for axis in range(3):
            parts = [streamed.rows(axis, start, start + 1) for start in range(kept.shape[axis])]
            np.testing.assert_array_equal(np.concatenate(parts, axis), kept)
        assert len(streamed.portions(0)) > 10

    def test_colors_and_holes_are_refused(self, array: np.ndarray) -> None:
        geometry = Geometry(array.shape, np.eye(4))  # type: ignore[arg-type]
        color = Image(np.repeat(array[..., None], 3, axis=3), geometry, geometry.axis_codes, "volume")
        with pytest.raises(ImageError, match="3 channels; volumes are read with one only"):
            prepare_volume(color, CONFIG)
        holes = array.astype(np.float32)
        holes[2] = np.nan
        with pytest.raises(ImageError, match="not finite"):
            prepare_volume(tiny_volumes.volume_image(holes), CONFIG)
