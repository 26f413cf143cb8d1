"""Films to network input and back: the same input in every orientation, exact undo, sound numbers."""

from __future__ import annotations

import numpy as np
import pytest

from Testing.lib.tiny import ORIENTATIONS, film_image
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.geometry import AxisCodes
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.preprocessing import PreprocessingConfig, normalize, prepare_film

CONFIG = PreprocessingConfig(size=32)


def test_there_are_48_orientations() -> None:
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("codes", ORIENTATIONS, ids="".join)
class TestOrientations:
    def test_the_network_sees_the_same_film(self, codes: AxisCodes, a_picture: np.ndarray) -> None:
        upright = prepare_film(film_image(a_picture), CONFIG)
        turned = prepare_film(film_image(a_picture, codes), CONFIG)
        assert turned.array.tobytes() == upright.array.tobytes()
        assert turned.array.shape == (24, 32)  # 30 columns and 40 rows: right to left, then head to feet

    def test_a_map_comes_back_to_its_own_voxels(self, codes: AxisCodes, a_picture: np.ndarray) -> None:
        image = film_image(a_picture, codes)
        prepared = prepare_film(image, PreprocessingConfig(size=40))  # no resampling: the way back is exact
        back = prepared.undo(a_picture.T)
        np.testing.assert_array_equal(back, image.array)
        assert (back.shape, back.dtype) == (image.geometry.shape, np.float32)

    def test_a_resampled_spot_comes_back_to_its_place(self, codes: AxisCodes, a_picture: np.ndarray) -> None:
        image = film_image(a_picture, codes)
        spot = np.zeros((24, 32), dtype=np.float32)
        spot[4:8, 24:30] = 1  # patient's right, low
        back = prepare_film(image, CONFIG).undo(spot)
        assert back.shape == image.geometry.shape
        center = np.average(np.indices(back.shape).reshape(3, -1).T, axis=0, weights=back.ravel())
        expected = film_image(np.zeros(a_picture.shape)).geometry.ijk_to_ras_mm([[6 * 1.25 - 0.5, 27 * 1.25 - 0.5, 0]])
        offset = image.geometry.ijk_to_ras_mm([center]) - _first_corner(image)
        np.testing.assert_allclose(offset[0], expected[0], atol=0.05)


def _first_corner(image: Image) -> np.ndarray:
    """World place of the pixel at the top of the film on the patient's right."""
    _, step = image.canonical()
    return step.apply_to_geometry(image.geometry).origin_ras_mm


class TestShapes:
    @pytest.mark.parametrize(
        ("displayed", "expected"),
        [((40, 30), (24, 32)), ((30, 40), (32, 24)), ((16, 400), (32, 1)), ((20, 20), (32, 32))],
    )
    def test_the_aspect_is_kept(self, displayed: tuple[int, int], expected: tuple[int, int]) -> None:
        values = np.random.default_rng(0).random(displayed)
        prepared = prepare_film(film_image(values), CONFIG)
        assert prepared.array.shape == expected
        assert prepared.undo(prepared.array).shape == (displayed[1], displayed[0], 1)

    def test_a_constant_map_stays_constant(self, a_picture: np.ndarray) -> None:
        back = prepare_film(film_image(a_picture), CONFIG).undo(np.full((24, 32), 0.7, dtype=np.float32))
        np.testing.assert_allclose(back, 0.7, rtol=1e-6)

    def test_what_undo_returns_is_a_copy(self, a_picture: np.ndarray) -> None:
        prepared = prepare_film(film_image(a_picture), PreprocessingConfig(size=40))
        assert not np.shares_memory(prepared.undo(prepared.array), prepared.array)


class TestNumbers:
    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
    def test_every_number_type_gives_the_same_float32(self, dtype: type, a_picture: np.ndarray) -> None:
        prepared = prepare_film(film_image((a_picture // 2).astype(dtype)), CONFIG)
        assert prepared.array.dtype == np.float32
        assert prepared.array.mean() == pytest.approx(0, abs=1e-5)
        assert prepared.array.std() == pytest.approx(1, abs=1e-5)
        expected = prepare_film(film_image(a_picture // 2), CONFIG)
        np.testing.assert_allclose(prepared.array, expected.array, atol=1e-5)

    def test_brightness_and_contrast_change_nothing(self, a_picture: np.ndarray) -> None:
        values = a_picture.astype(np.float32)
        one, two = (prepare_film(film_image(film), CONFIG).array for film in (values, 37 * values - 5000))
        np.testing.assert_allclose(one, two, atol=1e-3)

    @pytest.mark.parametrize("value", [0, 0.1, 1000.3, -7.7, 65535, 1e30])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("shape", [(83, 100), (20, 27), (32, 32)])
    def test_a_constant_film_becomes_zeros(self, value: float, dtype: type, shape: tuple[int, int]) -> None:
        prepared = prepare_film(film_image(np.full(shape, value, dtype=dtype)), CONFIG)
        np.testing.assert_array_equal(prepared.array, 0)

    @pytest.mark.parametrize("dtype", [np.uint16, np.float32])
    def test_the_dimmest_step_of_a_16_bit_film_is_not_taken_for_noise(self, dtype: type) -> None:
        film = np.full((32, 32), 60000, dtype=dtype)
        film[:, 16:] += 1
        assert prepare_film(film_image(film), CONFIG).array.std() == pytest.approx(1, abs=1e-3)

    def test_markers_and_metal_do_not_dim_the_rest(self) -> None:
        film = np.random.default_rng(1).normal(100, 10, (200, 200))
        marked = film.copy()
        marked[:5, :30] = 1e6
        one, two = (normalize(values, CONFIG) for values in (film, marked))
        assert np.median(np.abs(one - two)) < 0.05
        assert two.max() < 4

    @pytest.mark.parametrize("peak", [1e30, 1e200, 1e307])
    def test_the_largest_numbers_stay_finite(self, peak: float) -> None:
        film = np.linspace(-peak, peak, 40 * 30).reshape(40, 30)
        array = normalize(film, CONFIG)
        assert np.isfinite(array).all()
        assert array.std() == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_values_that_are_no_numbers_are_refused(self, value: float, a_picture: np.ndarray) -> None:
        film = a_picture.astype(np.float32)
        film[7, 9] = value
        with pytest.raises(ImageError, match=r"the image holds values that are not finite .* replace them"):
            prepare_film(film_image(film), CONFIG)


class TestColor:
    @pytest.mark.parametrize("codes", ORIENTATIONS[::5], ids="".join)
    def test_the_network_sees_the_same_colors_in_every_orientation(self, codes: AxisCodes) -> None:
        upright, turned = (prepare_film(_color_image(one), CONFIG, channels=3) for one in (ORIENTATIONS[0], codes))
        assert turned.array.tobytes() == upright.array.tobytes()
        assert (turned.array.shape, turned.array.dtype) == ((3, 24, 32), np.float32)
        back = turned.undo(turned.array[0])
        assert back.shape == _color_image(codes).geometry.shape

    def test_a_picture_keeps_its_left_and_top_first(self) -> None:
        picture = np.zeros((40, 40, 3), dtype=np.uint8)
        picture[:8, :4] = (250, 10, 30)  # top left, as displayed
        array = prepare_film(Image.from_array(picture), PreprocessingConfig(size=40), channels=3).array
        assert np.argwhere(array[0] > 0).max(axis=0).tolist() == [3, 7]

    def test_one_scale_keeps_the_ratio_of_the_colors(self) -> None:
        picture = _color_picture()
        array = prepare_film(Image.from_array(picture), PreprocessingConfig(size=40, low_percentile=0,
                             high_percentile=100), channels=3).array  # fmt: skip
        assert array.mean() == pytest.approx(0, abs=1e-5)
        assert array.std() == pytest.approx(1, abs=1e-5)
        values = np.moveaxis(picture.astype(np.float64), (2, 1, 0), (0, 1, 2))
        slope = np.polyfit(values.ravel(), array.ravel(), 1)
        np.testing.assert_allclose(np.polyval(slope, values), array, atol=1e-4)

    def test_swapped_channels_come_out_swapped(self) -> None:
        picture = _color_picture()
        one, two = (
            prepare_film(Image.from_array(values), CONFIG, channels=3).array for values in (picture, picture[..., ::-1])
        )
        np.testing.assert_allclose(one[::-1], two, atol=1e-6)

    def test_a_grey_film_goes_into_each_channel_as_a_picture_of_equal_channels_does(
        self, a_picture: np.ndarray
    ) -> None:
        grey = prepare_film(Image.from_array(a_picture), CONFIG)
        for film in (a_picture, np.repeat(a_picture[..., None], 3, axis=2)):
            array = prepare_film(Image.from_array(film), CONFIG, channels=3).array
            assert array.shape == (3, *grey.array.shape)
            np.testing.assert_allclose(array, np.stack([grey.array] * 3), atol=1e-2)
        repeated = prepare_film(Image.from_array(a_picture), CONFIG, channels=3)
        assert all(channel.tobytes() == grey.array.tobytes() for channel in repeated.array)
        assert repeated.channels_first.shape == (3, *grey.array.shape)
        assert grey.channels_first.tobytes() == grey.array.tobytes()
        assert grey.channels_first.shape == (1, *grey.array.shape)

    @pytest.mark.parametrize(("stored", "read", "expected"), [(3, 1, "1"), (4, 3, "1 or 3"), (4, 1, "1")])
    def test_colors_that_the_network_does_not_read_are_refused(self, stored: int, read: int, expected: str) -> None:
        film = Image.from_array(np.zeros((40, 30, stored), dtype=np.uint8))
        with pytest.raises(ImageError, match=rf"the image has {stored} channels, expected {expected}$"):
            prepare_film(film, CONFIG, channels=read)


def _color_picture() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (40, 30, 3)).astype(np.uint8) // np.array([1, 2, 4], np.uint8)


def _color_image(codes: AxisCodes) -> Image:
    channels = [film_image(channel, codes) for channel in np.moveaxis(_color_picture(), -1, 0)]
    array = np.stack([channel.array for channel in channels], axis=-1)
    return Image.from_array(array, channels[0].geometry.affine_ijk_to_ras)
