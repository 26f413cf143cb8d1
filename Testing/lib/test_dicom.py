"""DICOM: films with their orientation, grey scale and spacing, and series of slices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from Testing.lib.reading import CT_SLICE, MR_SLICE, WriteFile, displayed
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.geometry import FILM_CODES
from TextGuidedSegLib.image import ORIENTATION_ASSUMED, Image
from TextGuidedSegLib.io import read_image

pytestmark = pytest.mark.usefixtures("silent_terminal")


class TestDicomFilms:
    def test_the_frame_comes_from_patient_orientation(
        self, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        path = write_dicom(tmp_path / "film", a_picture, modality="CR", patient_orientation="L\\F")
        image = read_image(path)
        assert (image.kind, image.modality, image.axis_codes) == ("film", "CR", FILM_CODES)
        assert ORIENTATION_ASSUMED not in image.warnings
        assert image.geometry.axis_codes == FILM_CODES
        np.testing.assert_array_equal(displayed(image), a_picture)

    @pytest.mark.parametrize(
        ("value", "turn"),
        [
            ("R\\F", lambda film: film[:, ::-1]),
            ("L\\H", lambda film: film[::-1]),
            ("R\\H", lambda film: film[::-1, ::-1]),
            ("F\\L", lambda film: film.T),
            ("LH\\FR", lambda film: film),
            ("l\\f ", lambda film: film),
        ],
        ids=["mirrored", "upside down", "turned", "transposed", "tilted", "lower case"],
    )
    def test_a_film_stored_in_another_frame_is_brought_upright(
        self, value: str, turn: Callable[[np.ndarray], np.ndarray], tmp_path: Path, write_dicom: WriteFile,
        a_picture: np.ndarray,
    ) -> None:  # fmt: skip
        stored = np.ascontiguousarray(turn(a_picture))
        image = read_image(write_dicom(tmp_path / "film.dcm", stored, modality="DX", patient_orientation=value))
        np.testing.assert_array_equal(displayed(image), a_picture)
        assert np.linalg.det(image.geometry.affine_ijk_to_ras) > 0
        assert image.geometry.axis_codes == image.axis_codes  # the world says the same as the codes

    @pytest.mark.parametrize("value", ["", "X\\F", "L\\R", "L", "L\\F\\P"])
    def test_a_useless_patient_orientation_is_not_believed(
        self, value: str, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        image = read_image(write_dicom(tmp_path / "film.dcm", a_picture, modality="CR", patient_orientation=value))
        assert any(ORIENTATION_ASSUMED in warning for warning in image.warnings)
        assert any(repr(value) in warning for warning in image.warnings) == bool(value)
        np.testing.assert_array_equal(displayed(image), a_picture)

    def test_a_lateral_film_is_taken_as_displayed_and_says_so(
        self, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        path = write_dicom(
            tmp_path / "film.dcm", a_picture, modality="DX", patient_orientation="A\\F", view_position="LL"
        )
        image = read_image(path)
        assert image.axis_codes == FILM_CODES
        assert image.geometry.axis_codes == ("A", "I", "L")
        assert any("no frontal film" in warning for warning in image.warnings)
        assert any("lateral view" in warning for warning in image.warnings)
        np.testing.assert_array_equal(displayed(image), a_picture)

    def test_an_affine_in_the_file_is_kept_as_its_world(
        self, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        tags = {"image_orientation": "1\\0\\0\\0\\0\\-1", "image_position": "5\\6\\7", "pixel_spacing": "0.2\\0.3"}
        image = read_image(write_dicom(tmp_path / "film.dcm", a_picture, modality="DX", **tags))
        assert image.axis_codes == ("L", "I", "P")
        np.testing.assert_allclose(image.geometry.ijk_to_ras_mm([[0, 0, 0], [1, 1, 0]]), [[-5, -6, 7], [-5.3, -6, 6.8]])
        assert not any("oriented" in warning for warning in image.warnings)

    def test_an_axial_affine_of_a_film_is_not_believed(
        self, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        tags = {"image_orientation": "1\\0\\0\\0\\1\\0", "image_position": "0\\0\\0", "modality": "CR"}
        assumed = read_image(write_dicom(tmp_path / "one.dcm", a_picture, **tags))
        assert ORIENTATION_ASSUMED in assumed.warnings
        said = read_image(
            write_dicom(tmp_path / "two.dcm", a_picture[:, ::-1].copy(), patient_orientation="R\\F", **tags)
        )
        assert ORIENTATION_ASSUMED not in said.warnings
        assert said.geometry.axis_codes == ("L", "P", "S")
        for image in (assumed, said):
            np.testing.assert_array_equal(displayed(image), a_picture)

    def test_the_spacing_of_the_patient_goes_before_that_of_the_detector(
        self, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        def read(**tags: str) -> Image:
            return read_image(write_dicom(tmp_path / "film.dcm", a_picture, modality="DX", **tags))

        both = read(imager_pixel_spacing="0.2\\0.3", pixel_spacing="0.15\\0.25")
        np.testing.assert_allclose(both.geometry.spacing_mm[:2], (0.25, 0.15))  # between columns, between rows
        assert both.spacing_known
        assert not any("Imager" in warning for warning in both.warnings)
        detector = read(imager_pixel_spacing="0.2\\0.3")
        np.testing.assert_allclose(detector.geometry.spacing_mm[:2], (0.3, 0.2))
        assert detector.spacing_known
        assert any("ImagerPixelSpacing" in warning for warning in detector.warnings)
        for unknown in (read(), read(pixel_spacing="0\\0"), read(pixel_spacing="abc")):
            np.testing.assert_allclose(unknown.geometry.spacing_mm, 1)
            assert not unknown.spacing_known
            assert any("no pixel spacing" in warning for warning in unknown.warnings)

    @pytest.mark.parametrize("bits", [8, 10, 16])
    def test_monochrome1_is_inverted(
        self, bits: int, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        pixels = a_picture if bits == 8 else a_picture.astype(np.uint16)
        path = write_dicom(tmp_path / "film.dcm", pixels, modality="CR", photometric="MONOCHROME1", bits_stored=bits)
        np.testing.assert_array_equal(displayed(read_image(path)), 2**bits - 1 - a_picture.astype(int))

    def test_values_are_rescaled(self, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray) -> None:
        path = write_dicom(tmp_path / "f.dcm", a_picture, modality="CR", rescale_slope="2", rescale_intercept="-5")
        np.testing.assert_array_equal(displayed(read_image(path)), 2.0 * a_picture - 5)

    @pytest.mark.parametrize(
        ("function", "low", "high"), [("LINEAR", 60.0, 99.0), ("LINEAR_EXACT", 60.0, 100.0), ("", 60.0, 99.0)]
    )
    def test_the_first_window_is_applied(
        self, function: str, low: float, high: float, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        tags = {"window_center": "80\\10", "window_width": "40\\5", "window_function": function}
        image = read_image(write_dicom(tmp_path / "film.dcm", a_picture, modality="CR", **tags))
        np.testing.assert_allclose(displayed(image), np.clip(a_picture.astype(float), low, high))

    def test_a_sigmoid_window_bends_the_grays(
        self, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        tags = {"window_center": "80", "window_width": "40", "window_function": "SIGMOID"}
        seen = displayed(read_image(write_dicom(tmp_path / "film.dcm", a_picture, modality="CR", **tags)))
        np.testing.assert_allclose(seen, 60 + 40 / (1 + np.exp(-4 * (a_picture.astype(float) - 80) / 40)), rtol=1e-4)

    @pytest.mark.parametrize("dtype", [np.uint16, np.int16])
    def test_a_window_means_the_values_before_inversion(
        self, dtype: type, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        pixels = a_picture.astype(dtype)
        tags = {"modality": "CR", "rescale_slope": "2", "rescale_intercept": "-5"}
        window = {"window_center": "160", "window_width": "80"}
        plain = displayed(read_image(write_dicom(tmp_path / "a.dcm", pixels, **tags, **window))).astype(float)
        inverted = displayed(
            read_image(write_dicom(tmp_path / "b.dcm", pixels, photometric="MONOCHROME1", **tags, **window))
        )
        assert plain.max() - plain.min() == 79
        np.testing.assert_allclose(inverted.max() - inverted, plain - plain.min())

    @pytest.mark.parametrize("dtype", [np.uint16, np.int16])
    @pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
    def test_padding_is_as_dark_as_the_darkest_of_the_film(
        self, photometric: str, dtype: type, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        pixels = a_picture.astype(dtype) + dtype(100)
        padding = 3 if dtype is np.uint16 else -300
        padded = pixels.copy()
        padded[:, :5], padded[:6] = padding, padding + 1
        film = np.ones(pixels.shape, dtype=bool)
        film[:, :5] = film[:6] = False
        tags = {"modality": "CR", "photometric": photometric, "rescale_slope": "2", "rescale_intercept": "-5"}

        def read(name: str, values: np.ndarray, **more: str | int) -> np.ndarray:
            return displayed(read_image(write_dicom(tmp_path / name, values, **tags, **more)))

        plain = read("plain.dcm", pixels)
        clean = read("padded.dcm", padded, padding=padding, padding_limit=padding + 1)
        np.testing.assert_array_equal(clean[film], plain[film])
        np.testing.assert_array_equal(clean[~film], plain[film].min())
        alone = read("alone.dcm", padded, padding=padding)
        np.testing.assert_array_equal(alone[6:, :5], alone[film | (padded == padding + 1)].min())

    def test_padding_of_all_pixels_or_of_none_changes_nothing(
        self, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        even = np.full_like(a_picture, 7)
        for pixels, padding in ((even, 7), (a_picture, 32000)):
            path = write_dicom(tmp_path / "film.dcm", pixels, modality="CR", padding=padding)
            np.testing.assert_array_equal(displayed(read_image(path)), pixels)

    @pytest.mark.parametrize("window", [("5000", "10"), ("80", "0"), ("80", "1"), ("-300", "20")])
    def test_a_window_that_shows_nothing_is_not_applied(
        self, window: tuple[str, str], tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        path = write_dicom(
            tmp_path / "film.dcm", a_picture, modality="CR", window_center=window[0], window_width=window[1]
        )
        image = read_image(path)
        assert any("leaves nothing" in warning for warning in image.warnings)
        np.testing.assert_array_equal(displayed(image), a_picture)

    def test_raw_detector_data_is_pointed_out(
        self, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        path = write_dicom(tmp_path / "f.dcm", a_picture, modality="DX", presentation_intent="FOR PROCESSING")
        assert any("FOR PROCESSING" in warning for warning in read_image(path).warnings)

    def test_a_color_ultrasound_keeps_its_colors(
        self, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        colors = np.stack([a_picture, a_picture // 2, a_picture // 3], axis=-1)
        image = read_image(write_dicom(tmp_path / "us.dcm", colors, modality="US", window_center="9", window_width="5"))
        assert (image.kind, image.modality) == ("film", "US")
        np.testing.assert_array_equal(displayed(image), colors)

    def test_a_film_alone_in_a_folder_is_found(
        self, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        write_dicom(tmp_path / "film.dcm", a_picture, modality="CR", patient_orientation="L\\F")
        (tmp_path / "notes.txt").write_text("not an image")
        assert read_image(tmp_path).kind == "film"

    def test_a_film_sequence_is_refused(self, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray) -> None:
        path = write_dicom(tmp_path / "xa.dcm", np.stack([a_picture] * 3), modality="XA")
        with pytest.raises(ImageError, match=r"3 frames in time \(XA\)"):
            read_image(path)

    def test_films_of_one_series_are_no_volume(
        self, tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray
    ) -> None:
        for view in ("PA", "LL"):
            write_dicom(tmp_path / f"{view}.dcm", a_picture, modality="CR", view_position=view)
        with pytest.raises(ImageError, match=r"2 images \(CR\) that do not say where they lie"):
            read_image(tmp_path)


class TestDicomVolumes:
    @staticmethod
    def write_series(
        folder: Path, write_dicom: WriteFile, heights: list[float], **changes: str
    ) -> dict[float, np.ndarray]:
        """Axial slices at the heights given, each with pixels of its own; names do not follow the order."""
        slices = {}
        for index, height in enumerate(heights):
            pixels = np.full((20, 24), 100 * index, dtype=np.int16) + np.arange(24, dtype=np.int16)
            tags = {
                "sop_class": CT_SLICE,
                "modality": "CT",
                "image_orientation": "1\\0\\0\\0\\1\\0",
                "image_position": f"-5\\-6\\{height}",
                "pixel_spacing": "0.5\\0.75",
                "rescale_intercept": "-1024",
                "rescale_slope": "1",
                **changes,
            }
            write_dicom(folder / f"{(7 * index) % 5}-{index}.dcm", pixels, **tags)
            slices[height] = pixels - 1024
        return slices

    @pytest.mark.parametrize("modality", ["CT", "MR"])
    def test_a_series_becomes_a_volume(self, modality: str, tmp_path: Path, write_dicom: WriteFile) -> None:
        slices = self.write_series(tmp_path, write_dicom, [2.5, 0.0, 5.0, 7.5], modality=modality)
        image = read_image(tmp_path)
        assert (image.kind, image.modality, image.warnings) == ("volume", modality, ())
        assert image.axis_codes == ("L", "P", "S")
        assert image.source == str(tmp_path)
        np.testing.assert_allclose(image.geometry.spacing_mm, (0.75, 0.5, 2.5))
        for k, height in enumerate(sorted(slices)):
            np.testing.assert_array_equal(image.array[:, :, k], slices[height].T)
            np.testing.assert_allclose(image.geometry.ijk_to_ras_mm([[0, 0, k]])[0], (5, 6, height))

    def test_windows_do_not_touch_a_ct(self, tmp_path: Path, write_dicom: WriteFile) -> None:
        slices = self.write_series(tmp_path, write_dicom, [0.0, 1.0], window_center="40", window_width="50")
        assert read_image(tmp_path).array.min() == min(values.min() for values in slices.values())

    def test_a_missing_slice_is_pointed_out(self, tmp_path: Path, write_dicom: WriteFile) -> None:
        self.write_series(tmp_path, write_dicom, [0.0, 2.0, 4.0, 8.0])
        assert any("2.00 to 4.00 mm" in warning for warning in read_image(tmp_path).warnings)

    def test_rounded_positions_are_not_pointed_out(self, tmp_path: Path, write_dicom: WriteFile) -> None:
        self.write_series(tmp_path, write_dicom, [0.0, 0.63, 1.25, 1.88])
        assert read_image(tmp_path).warnings == ()

    def test_several_series_are_named(self, tmp_path: Path, write_dicom: WriteFile) -> None:
        self.write_series(tmp_path, write_dicom, [0.0, 1.0], series="1.2.3", series_description="thin lung")
        self.write_series(tmp_path, write_dicom, [9.0], series="1.2.4", series_description="Übersicht")
        # The second series has taken one file name of the first: one file each is left.
        with pytest.raises(ImageError, match="2 DICOM series") as caught:
            read_image(tmp_path)
        assert "CT thin lung 1 files" in str(caught.value)
        assert "CT ?bersicht 1 files" in str(caught.value)  # written in Latin-1 and not declared as such

    def test_time_points_are_refused(self, tmp_path: Path, write_dicom: WriteFile) -> None:
        self.write_series(tmp_path, write_dicom, [0.0, 1.0, 1.0])
        with pytest.raises(ImageError, match="same place"):
            read_image(tmp_path)

    def test_slices_that_are_not_parallel_are_refused(self, tmp_path: Path, write_dicom: WriteFile) -> None:
        self.write_series(tmp_path, write_dicom, [0.0, 1.0])
        write_dicom(
            tmp_path / "scout.dcm",
            np.zeros((20, 24), dtype=np.int16),
            modality="CT",
            image_orientation="1\\0\\0\\0\\0\\-1",
            image_position="0\\0\\9",
        )
        with pytest.raises(ImageError, match="not parallel"):
            read_image(tmp_path)

    def test_slices_of_different_size_are_refused(self, tmp_path: Path, write_dicom: WriteFile) -> None:
        self.write_series(tmp_path, write_dicom, [0.0, 1.0])
        write_dicom(
            tmp_path / "other.dcm",
            np.zeros((30, 24), dtype=np.int16),
            modality="CT",
            image_orientation="1\\0\\0\\0\\1\\0",
            image_position="-5\\-6\\2",
        )
        with pytest.raises(ImageError, match="cannot be read"):
            read_image(tmp_path)

    @pytest.mark.parametrize("modality", ["CT", "MR"])
    def test_one_slice_of_a_scanner_is_a_thin_volume(
        self, modality: str, tmp_path: Path, write_dicom: WriteFile
    ) -> None:
        self.write_series(tmp_path, write_dicom, [3.0], modality=modality, slice_thickness="2.5")
        image = read_image(tmp_path)
        assert (image.kind, image.modality, image.axis_codes) == ("volume", modality, ("L", "P", "S"))
        np.testing.assert_allclose(image.geometry.spacing_mm, (0.75, 0.5, 2.5))
        np.testing.assert_allclose(image.geometry.origin_ras_mm, (5, 6, 3))

    @pytest.mark.parametrize("thickness", ["", "0", "thin"])
    def test_a_slice_that_does_not_say_how_it_lies(
        self, thickness: str, tmp_path: Path, write_dicom: WriteFile
    ) -> None:
        path = write_dicom(tmp_path / "ct.dcm", np.zeros((20, 24), np.int16), modality="CT", slice_thickness=thickness)
        image = read_image(path)
        assert any("taken as axial" in warning for warning in image.warnings)
        assert image.geometry.spacing_mm[2] == 1

    def test_frames_of_a_scanner_are_slices(self, tmp_path: Path, write_dicom: WriteFile) -> None:
        frames = np.arange(3 * 20 * 24, dtype=np.int16).reshape(3, 20, 24)
        image = read_image(write_dicom(tmp_path / "ct.dcm", frames, sop_class=CT_SLICE, modality="CT"))
        assert (image.kind, image.modality) == ("volume", "CT")
        np.testing.assert_array_equal(image.array, frames.transpose(2, 1, 0))

    @pytest.mark.parametrize("tags", [{"slice_thickness": "6"}, {"slice_thickness": "5", "slice_distance": "6"}])
    def test_frames_that_do_not_say_how_they_lie(
        self, tags: dict[str, str], tmp_path: Path, write_dicom: WriteFile
    ) -> None:
        frames = np.zeros((3, 20, 24), np.int16)
        image = read_image(write_dicom(tmp_path / "mr.dcm", frames, sop_class=MR_SLICE, modality="MR", **tags))
        assert any("taken as axial" in warning for warning in image.warnings)
        assert image.geometry.spacing_mm[2] == 6

    def test_a_folder_without_images_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "readme.txt").write_text("nothing here")
        with pytest.raises(ImageError, match="holds no DICOM series"):
            read_image(tmp_path)
