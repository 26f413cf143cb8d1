"""Files that are valid and unusual: names and pictures of other systems, colors, tilted gantries, damaged archives."""

from __future__ import annotations

import os
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image as Picture

from Testing.lib.reading import CT_SLICE, WriteFile
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.export import check_output, write_image
from TextGuidedSegLib.geometry import FILM_CODES, coded_geometry
from TextGuidedSegLib.io import read_image

pytestmark = pytest.mark.usefixtures("silent_terminal")


def saved(path: Path, array: np.ndarray, **options: object) -> Path:
    """A picture file."""
    Picture.fromarray(array).save(path, **options)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_unicode_text_is_refused(tmp_path: Path, a_picture: np.ndarray) -> None:
    good = saved(tmp_path / "film.png", a_picture)
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    Path(name).write_bytes(good.read_bytes())
    with pytest.raises(ImageError, match="unknown encoding; rename"):
        read_image(name)
    with pytest.raises(ImageError, match="unknown encoding; rename"):
        check_output(name, (".png",))


def test_a_long_name_is_written(tmp_path: Path) -> None:
    path = tmp_path / f"{'n' * 240}.nrrd"
    write_image(path, np.zeros((20, 20, 1), np.uint8), coded_geometry((20, 20, 1), FILM_CODES))
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
def test_a_tiff_to_be_turned_by_a_quarter_is_refused(turn: int, tmp_path: Path, a_picture: np.ndarray) -> None:
    path = saved(tmp_path / "film.tif", a_picture, tiffinfo={274: turn})
    with pytest.raises(ImageError, match=f"orientation {turn}"):
        read_image(path)


def test_a_png_that_asks_to_be_turned_says_so(tmp_path: Path, a_picture: np.ndarray) -> None:
    exif = Picture.Exif()
    exif[274] = 6
    image = read_image(saved(tmp_path / "film.png", a_picture, exif=exif))
    assert any("This PNG asks viewers to turn it" in warning for warning in image.warnings)
    assert not any("asks" in warning for warning in read_image(saved(tmp_path / "up.png", a_picture)).warnings)


def test_a_gray_picture_with_transparency_is_not_called_damaged(tmp_path: Path, a_picture: np.ndarray) -> None:
    path = tmp_path / "film.png"
    Picture.fromarray(a_picture).convert("LA").save(path)
    with pytest.raises(ImageError, match="save it without transparency"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_colors_are_written_on_their_grid(suffix: str, tmp_path: Path) -> None:
    colors = np.random.default_rng(0).integers(0, 255, (20, 30, 1, 3), dtype=np.uint8)
    path = tmp_path / f"film{suffix}"
    write_image(path, colors, coded_geometry((20, 30, 1), FILM_CODES))
    stored = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    np.testing.assert_array_equal(stored.transpose(2, 1, 0, 3), colors)


def test_nifti_with_colors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not written with colors"):
        write_image(
            tmp_path / "film.nii.gz", np.zeros((20, 30, 1, 3), np.uint8), coded_geometry((20, 30, 1), FILM_CODES)
        )
    assert not list(tmp_path.iterdir())


def test_slices_of_a_tilted_gantry_are_refused(tmp_path: Path, write_dicom: WriteFile) -> None:
    for folder, drift in (("straight", 0.0), ("rounded", 0.01), ("tilted", 1.8)):
        (tmp_path / folder).mkdir()
        for number in range(8):
            write_dicom(
                tmp_path / folder / f"{number}.dcm", np.full((20, 24), number, np.int16), sop_class=CT_SLICE,
                modality="CT", image_orientation="1\\0\\0\\0\\1\\0",
                image_position=f"-10\\{-20 + drift * number}\\{30 + 5 * number}", pixel_spacing="0.5\\0.75",
            )  # fmt: skip
    assert read_image(tmp_path / "straight").warnings == read_image(tmp_path / "rounded").warnings == ()
    with pytest.raises(ImageError, match=r"12\.6 mm aside"):
        read_image(tmp_path / "tilted")


def test_a_compressed_metaimage_with_wrong_bytes_is_refused(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(0, 255, (24, 32, 32), dtype=np.uint8)
    path = tmp_path / "volume.mha"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(volume), str(path), useCompression=True)
    assert read_image(path).geometry.shape == (32, 32, 24)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"damaged|cut off"):
        read_image(path)
    with pytest.raises(zlib.error):
        zlib.decompress(bytes(data[data.index(b"LOCAL\n") + 6 :]))


def test_dr_is_another_name_of_dx(tmp_path: Path, write_dicom: WriteFile, a_picture: np.ndarray) -> None:
    image = read_image(write_dicom(tmp_path / "film.dcm", a_picture, modality="DR", patient_orientation="L\\F"))
    assert (image.kind, image.modality) == ("film", "DX")
