"""Reading: the same film from every format, the patient's frame from every source, and every refusal."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from Testing.lib.reading import CORONAL_LPS, WriteFile, completeness_of, cut, displayed, save
from TextGuidedSegLib import io
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.geometry import FILM_CODES, Geometry
from TextGuidedSegLib.image import ORIENTATION_ASSUMED
from TextGuidedSegLib.io import read_image

pytestmark = pytest.mark.usefixtures("silent_terminal")


class TestPictures:
    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg"])
    def test_a_picture_is_taken_as_displayed(self, suffix: str, tmp_path: Path, a_picture: np.ndarray) -> None:
        path = save(tmp_path / f"film{suffix}", a_picture)
        image = read_image(path)
        assert (image.kind, image.modality, image.spacing_known) == ("film", None, False)
        assert (image.axis_codes, image.warnings) == (FILM_CODES, (ORIENTATION_ASSUMED,))
        assert image.geometry.axis_codes == FILM_CODES
        assert image.source == str(path)
        tolerance = 12 if suffix.startswith(".j") else 0
        np.testing.assert_allclose(displayed(image).astype(int), a_picture, atol=tolerance)

    def test_a_16_bit_png_keeps_its_depth(self, tmp_path: Path, a_picture: np.ndarray) -> None:
        deep = a_picture.astype(np.uint16) * 200
        image = read_image(save(tmp_path / "film.png", deep))
        assert image.array.dtype == np.uint16
        np.testing.assert_array_equal(displayed(image), deep)

    def test_a_float_tiff_is_read(self, tmp_path: Path, a_picture: np.ndarray) -> None:
        np.testing.assert_array_equal(
            displayed(read_image(save(tmp_path / "film.tif", a_picture.astype(np.float32)))), a_picture
        )

    @pytest.mark.parametrize("channels", [3, 4])
    def test_three_equal_colors_are_one_gray(self, channels: int, tmp_path: Path, a_picture: np.ndarray) -> None:
        colors = np.stack([a_picture] * 3 + [np.full_like(a_picture, 255)] * (channels - 3), axis=-1)
        image = read_image(save(tmp_path / "film.png", colors, vector=True))
        assert image.array.shape == (30, 40, 1)
        np.testing.assert_array_equal(displayed(image), a_picture)

    @pytest.mark.parametrize("channels", [3, 4])
    def test_real_colors_stay_and_transparency_goes(self, channels: int, tmp_path: Path, a_picture: np.ndarray) -> None:
        colors = np.stack([a_picture, a_picture // 2, a_picture // 3, a_picture][:channels], axis=-1)
        image = read_image(save(tmp_path / "photo.png", colors, vector=True))
        assert image.array.shape == (30, 40, 1, 3)
        np.testing.assert_array_equal(displayed(image), colors[..., :3])

    def test_a_palette_of_grays_is_gray(self, tmp_path: Path, write_png: WriteFile) -> None:
        lines = (b"\0" + bytes(range(20))) * 20
        path = write_png(
            tmp_path / "film.png", (20, 20), lines, color=3, palette=bytes(np.repeat(range(20), 3).tolist())
        )
        assert displayed(read_image(path))[0].tolist() == list(range(20))

    def test_a_one_bit_png_is_read(self, tmp_path: Path, write_png: WriteFile) -> None:
        path = write_png(tmp_path / "film.png", (24, 20), (b"\0" + b"\xaa\x55\x0f") * 20, depth=1)
        assert displayed(read_image(path))[0, :4].tolist() == [255, 0, 255, 0]

    def test_the_content_decides_not_the_name(self, tmp_path: Path, a_picture: np.ndarray) -> None:
        path = save(tmp_path / "film.png", a_picture)
        np.testing.assert_array_equal(displayed(read_image(path.rename(tmp_path / "film.nii.gz"))), a_picture)

    def test_a_name_with_spaces_and_umlauts(self, tmp_path: Path, a_picture: np.ndarray) -> None:
        folder = tmp_path / "Müller, Röntgen 日本"
        folder.mkdir()
        np.testing.assert_array_equal(displayed(read_image(save(folder / "ein film.png", a_picture))), a_picture)

    def test_a_jpeg_that_asks_to_be_turned_says_so(self, tmp_path: Path, a_picture: np.ndarray) -> None:
        path = save(tmp_path / "phone.jpg", a_picture)
        data = path.read_bytes()
        for order, form in ((b"II*\0", "<"), (b"MM\0*", ">")):
            turned = struct.pack(form + "IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
            exif = b"Exif\0\0" + order + turned
            path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
            assert any("EXIF" in warning for warning in read_image(path).warnings)


class TestOwnAffine:
    @pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd"])
    @pytest.mark.parametrize("compressed", [False, True])
    def test_a_coronal_film_keeps_its_world(
        self, suffix: str, compressed: bool, tmp_path: Path, a_picture: np.ndarray
    ) -> None:
        grid = {"spacing": (0.5, 0.25, 2.0), "direction": CORONAL_LPS, "origin": (-10.0, 20.0, 30.0)}
        image = read_image(save(tmp_path / f"film{suffix}", a_picture[None], compressed=compressed, **grid))
        assert (image.kind, image.axis_codes, image.warnings) == ("film", FILM_CODES, ())
        assert image.spacing_known
        expected = [[-0.5, 0, 0, 10], [0, 0, -2, -20], [0, -0.25, 0, 30], [0, 0, 0, 1]]
        assert image.geometry.close_to(Geometry((30, 40, 1), np.array(expected)), 1e-5)
        np.testing.assert_array_equal(displayed(image), a_picture)

    def test_a_mirrored_coronal_film_is_turned_by_its_affine(self, tmp_path: Path, a_picture: np.ndarray) -> None:
        to_right = (-1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, -1.0, 0.0)
        image = read_image(save(tmp_path / "film.nrrd", a_picture[None, :, ::-1], direction=to_right))
        assert image.axis_codes == ("R", "I", "A")
        np.testing.assert_array_equal(displayed(image), a_picture)

    @pytest.mark.parametrize("values", ["one slice", "flat"])
    @pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
    def test_an_identity_affine_is_kept_but_not_believed(
        self, suffix: str, values: str, tmp_path: Path, a_picture: np.ndarray
    ) -> None:
        image = read_image(save(tmp_path / f"film{suffix}", a_picture[None] if values == "one slice" else a_picture))
        assert (image.axis_codes, image.warnings) == (FILM_CODES, (ORIENTATION_ASSUMED,))
        assert image.geometry.close_to(Geometry((30, 40, 1), np.diag([-1.0, -1.0, 1.0, 1.0])))
        np.testing.assert_array_equal(displayed(image), a_picture)

    @pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
    def test_a_volume_keeps_its_world(self, suffix: str, tmp_path: Path) -> None:
        values = np.random.default_rng(0).integers(-1000, 1000, (4, 5, 6), dtype=np.int16)
        grid = {"spacing": (1.0, 2.0, 3.0), "direction": (0, -1, 0, 0, 0, -1, 1, 0, 0), "origin": (7.0, 8.0, 9.0)}
        image = read_image(save(tmp_path / f"scan{suffix}", values, **grid))
        assert (image.kind, image.modality, image.warnings) == ("volume", None, ())
        assert image.array.dtype == np.int16
        assert image.axis_codes == image.geometry.axis_codes == ("S", "R", "A")
        np.testing.assert_array_equal(image.array, values.transpose(2, 1, 0))
        np.testing.assert_allclose(image.geometry.ijk_to_ras_mm([[0, 0, 0]])[0], (-7, -8, 9))
        np.testing.assert_allclose(image.geometry.spacing_mm, (1, 2, 3), atol=1e-6)

    def test_a_fourth_axis_of_one_is_no_time(self, tmp_path: Path) -> None:
        values = np.arange(4 * 5 * 6, dtype=np.int16).reshape(1, 4, 5, 6)
        image = read_image(save(tmp_path / "scan.nrrd", values))
        np.testing.assert_array_equal(image.array, values[0].transpose(2, 1, 0))

    def test_a_color_slice_is_a_color_film(self, tmp_path: Path, a_picture: np.ndarray) -> None:
        colors = np.stack([a_picture, a_picture // 2, a_picture // 3], axis=-1)[None]
        image = read_image(save(tmp_path / "film.nrrd", colors, vector=True, direction=CORONAL_LPS))
        np.testing.assert_array_equal(displayed(image), colors[0])


class TestRefusals:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match=r"nowhere\.png: no such file"):
            read_image(tmp_path / "nowhere.png")

    def test_an_impossible_name(self) -> None:
        with pytest.raises(ImageError, match="no such file"):
            read_image("film\0.png")
        with pytest.raises(ImageError, match="cannot be looked up"):
            read_image("film" * 100)

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ImageError, match="neither a file nor a folder"):
            read_image(tmp_path / "pipe")

    @pytest.mark.parametrize(
        ("directions", "message"),
        [
            ("(1,0,0) (1,1e-9,0) (0,0,1)", "directions describe no grid"),
            ("(1,0,0) (1,0,0) (0,0,1)", "determinant is 0"),
        ],
    )
    def test_axes_that_lie_on_each_other(self, directions: str, message: str, tmp_path: Path) -> None:
        header = "NRRD0004\ntype: uint8\ndimension: 3\nspace: LPS\nsizes: 5 6 7\nencoding: raw\n"
        grid = f"space directions: {directions}\nspace origin: (0,0,0)\n\n"
        (tmp_path / "scan.nrrd").write_bytes((header + grid).encode() + bytes(210))
        with pytest.raises(ImageError, match=message):
            read_image(tmp_path / "scan.nrrd")

    @pytest.mark.parametrize("suffix", [".png", ".nii", ".nii.gz", ".nrrd", ".mha", ".dcm", ""])
    def test_a_text_file(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"film{suffix}"
        path.write_text("This is no image, whatever its name says.\n" * 20)
        with pytest.raises(ImageError, match=r"not an image this software reads.*expected a DICOM"):
            read_image(path)

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "film.png").touch()
        with pytest.raises(ImageError, match="empty"):
            read_image(tmp_path / "film.png")

    @pytest.mark.parametrize("share", [0.97, 0.5, 0.1])
    @pytest.mark.parametrize(
        "name",
        ["a.png", "a.jpg", "a.bmp", "a.tif", "a.nii", "a.nii.gz", "a.nrrd", "z.nrrd", "a.mha", "z.mha"],
    )
    def test_a_file_that_is_cut_off(self, name: str, share: float, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 255, (1, 200, 150), dtype=np.uint8)
        flat = name.endswith((".png", ".jpg", ".bmp", ".tif"))
        path = save(tmp_path / name, noise[0] if flat else noise, compressed=name.startswith("z"))
        with pytest.raises(ImageError, match=r"damaged|cut off|cannot be read"):
            read_image(cut(path, share))

    @pytest.mark.parametrize("share", [0.97, 0.5, 0.1])
    def test_a_dicom_file_that_is_cut_off(self, share: float, tmp_path: Path, write_dicom: WriteFile) -> None:
        path = write_dicom(tmp_path / "film.dcm", np.ones((100, 100), np.uint16), modality="CR")
        with pytest.raises(ImageError, match="cannot be read"):
            read_image(cut(path, share))

    @pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
    @pytest.mark.parametrize("damage", ["cut off", "gone"])
    def test_voxels_in_a_second_file(self, suffix: str, damage: str, tmp_path: Path) -> None:
        path = save(tmp_path / f"scan{suffix}", np.ones((5, 6, 7), np.int16))
        (raw,) = (other for other in tmp_path.iterdir() if other != path)
        if damage == "gone":
            raw.unlink()
        else:
            cut(raw, 0.5)
        with pytest.raises(ImageError, match=r"scan\.(mhd|nhdr)"):
            read_image(path)

    def test_a_nifti_zipped_in_pieces_or_with_a_tail_is_complete(self, tmp_path: Path, a_picture: np.ndarray) -> None:
        plain = save(tmp_path / "film.nii", a_picture[None], direction=CORONAL_LPS).read_bytes()
        half = len(plain) // 2
        for data in (gzip.compress(plain[:half]) + gzip.compress(plain[half:]), gzip.compress(plain + b"\0" * 100)):
            (tmp_path / "film.nii.gz").write_bytes(data)
            np.testing.assert_array_equal(displayed(read_image(tmp_path / "film.nii.gz")), a_picture)

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_a_nifti_2_file_is_measured_by_its_own_header(self, order: str, tmp_path: Path) -> None:
        header = bytearray(544)
        struct.pack_into(order + "i4s4xhh8q", header, 0, 540, b"n+2\0", 4, 16, 3, 5, 6, 7, 1, 1, 1, 1)
        struct.pack_into(order + "q", header, 168, 544)
        for length, complete in ((420, True), (419, False)):
            path = tmp_path / "scan.nii"
            path.write_bytes(bytes(header) + bytes(length))
            assert completeness_of(path, "nifti") == complete

    def test_a_big_endian_nifti_is_measured_by_its_own_header(self, tmp_path: Path) -> None:
        header = bytearray(352)
        struct.pack_into(">i36x8h", header, 0, 348, 3, 5, 6, 7, 1, 1, 1, 1)
        struct.pack_into(">h", header, 72, 16)
        struct.pack_into(">f", header, 108, 352.0)
        header[344:348] = b"n+1\0"
        for length, complete in ((420, True), (419, False)):
            path = tmp_path / "scan.nii"
            path.write_bytes(bytes(header) + bytes(length))
            assert completeness_of(path, "nifti") == complete

    def test_padding_between_the_segments_of_a_jpeg(self, tmp_path: Path, a_picture: np.ndarray) -> None:
        path = save(tmp_path / "film.jpg", a_picture)
        data = path.read_bytes()
        path.write_bytes(data[:2] + b"\xff\xff" + data[2:])
        assert read_image(path).kind == "film"

    def test_a_tiff_whose_strips_end_behind_the_file(self, tmp_path: Path) -> None:
        entries = struct.pack("<HHII", 273, 4, 1, 100) + struct.pack("<HHII", 279, 4, 1, 500)
        path = tmp_path / "film.tif"
        for length, complete in ((600, True), (599, False)):
            path.write_bytes((b"II*\0" + struct.pack("<IH", 8, 2) + entries).ljust(length, b"\0"))
            assert completeness_of(path, "tiff") == complete

    def test_a_meta_image_over_many_files_is_left_to_itk(self, tmp_path: Path) -> None:
        path = tmp_path / "scan.mhd"
        path.write_text("NDims = 3\nDimSize = 5 6 7\nElementType = MET_SHORT\nElementDataFile = LIST\na.raw\n")
        assert completeness_of(path, "meta")

    def test_a_damaged_nifti_header(self, tmp_path: Path) -> None:
        path = save(tmp_path / "scan.nii", np.ones((5, 6, 7), np.int16))
        data = bytearray(path.read_bytes())
        data[40:42] = struct.pack("<h", 99)  # 99 axes
        path.write_bytes(bytes(data))
        with pytest.raises(ImageError, match=r"damaged.*99 axes"):
            read_image(path)

    def test_a_nifti_volume_that_lost_its_directions_says_so(self, tmp_path: Path) -> None:
        path = save(tmp_path / "scan.nii", np.ones((5, 6, 7), np.int16))
        assert not any("how the patient lies" in warning for warning in read_image(path).warnings)
        data = bytearray(path.read_bytes())
        data[252:256] = struct.pack("<hh", 0, 0)  # the codes of qform and sform
        path.write_bytes(bytes(data))
        assert any("how the patient lies" in warning for warning in read_image(path).warnings)

    @pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
    def test_a_time_series(self, suffix: str, tmp_path: Path) -> None:
        path = save(tmp_path / f"scan{suffix}", np.zeros((2, 5, 6, 7), np.int16))
        with pytest.raises(ImageError, match=r"4-D image \(7 x 6 x 5 x 2\).*one time point"):
            read_image(path)

    @pytest.mark.parametrize("components", [2, 3, 4, 6])
    def test_a_vector_volume(self, components: int, tmp_path: Path) -> None:
        path = save(tmp_path / "field.nrrd", np.zeros((4, 5, 6, components), np.float32), vector=True)
        with pytest.raises(ImageError, match=f"{components} values in every voxel"):
            read_image(path)

    def test_complex_numbers(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="complex numbers"):
            read_image(save(tmp_path / "k-space.nrrd", np.zeros((20, 20), np.complex64)))

    def test_several_pages(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="3 pages"):
            read_image(save(tmp_path / "pages.tif", np.zeros((3, 20, 20), np.uint8)))

    def test_gray_with_transparency(self, tmp_path: Path, write_png: WriteFile) -> None:
        path = write_png(tmp_path / "film.png", (20, 20), (b"\0" + b"\x10\xff" * 20) * 20, color=4)
        with pytest.raises(ImageError, match="transparency"):
            read_image(path)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_an_image_without_a_finite_value(self, value: float, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="no voxel has a finite value"):
            read_image(save(tmp_path / "scan.nrrd", np.full((5, 6, 7), value, np.float32)))

    @pytest.mark.parametrize("size", [(1, 1), (15, 200), (200, 3)])
    def test_a_picture_of_a_few_pixels(self, size: tuple[int, int], tmp_path: Path) -> None:
        with pytest.raises(ImageError, match=r"film\.png: the image has only"):
            read_image(save(tmp_path / "film.png", np.zeros(size, np.uint8)))

    def test_an_empty_name_is_not_the_present_folder(self) -> None:
        with pytest.raises(ImageError, match="the name of the image is empty"):
            read_image("")

    def test_a_volume_of_one_voxel(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="1 x 1 x 1 voxels"):
            read_image(save(tmp_path / "scan.nrrd", np.zeros((1, 1, 1), np.uint8)))

    def test_a_gigantic_png_before_it_is_decoded(self, tmp_path: Path, write_png: WriteFile) -> None:
        path = write_png(tmp_path / "film.png", (20_000, 20_000), b"\0" * 10_000_000)
        read_image(save(tmp_path / "small.png", np.eye(20, dtype=np.uint8)))  # the first import is not counted
        start = time.perf_counter()
        with pytest.raises(ImageError, match=r"20000 x 20000 voxels; expected at most 16,384"):
            read_image(path)
        assert time.perf_counter() - start < 1.0

    def test_a_gigantic_volume_before_it_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "scan.nrrd"
        path.write_bytes(b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2000 2000 2000\nencoding: gzip\n\n")
        with pytest.raises(ImageError, match=r"1,000,000,000 in all"):
            read_image(path)

    def test_a_file_that_may_not_be_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = save(tmp_path / "film.png", np.zeros((20, 20), np.uint8))

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(ImageError, match="Permission denied"):
            read_image(path)


class TestSoundValues:
    def test_a_few_broken_values_are_mended_and_counted(self, tmp_path: Path) -> None:
        values = np.arange(5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7)
        values[0, 0, :2] = (np.nan, np.inf)
        image = read_image(save(tmp_path / "scan.nrrd", values))
        assert image.array[0, 0, 0] == image.array[1, 0, 0] == 2
        assert np.isfinite(image.array).all()
        assert any("0.95% of the values are not finite" in warning for warning in image.warnings)

    def test_a_constant_image_is_read_with_a_warning(self, tmp_path: Path) -> None:
        image = read_image(save(tmp_path / "film.png", np.full((20, 20), 7, np.uint8)))
        assert any("the same value (7)" in warning for warning in image.warnings)


def test_warnings_of_itk_come_back_after_reading(tmp_path: Path) -> None:
    for setting in (True, False):
        before = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(setting)
        try:
            read_image(save(tmp_path / "film.png", np.eye(20, dtype=np.uint8)))
            with pytest.raises(ImageError):
                read_image(cut(tmp_path / "film.png", 0.5))
            assert SimpleITK.ProcessObject.GetGlobalWarningDisplay() == setting
        finally:
            SimpleITK.ProcessObject.SetGlobalWarningDisplay(before)


def test_importing_the_reader_loads_no_simpleitk() -> None:
    code = f"import sys, {io.__name__}; sys.exit('SimpleITK' in sys.modules or 'scipy' in sys.modules)"
    root = Path(io.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
