"""What passes between the inference process and its parent: lines that survive, arrays that come back the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.worker_protocol import (
    decode_line,
    describe_geometry,
    encode_line,
    read_array,
    read_geometry,
    read_image,
    tight_crop,
    uncropped,
    write_array,
    write_image,
)

OBLIQUE = np.array([[0.1, -0.5, 0.0, 7.25], [0.4, 0.1, 0.2, -3.0], [0.0, 0.1, 2.0, 1e-3], [0, 0, 0, 1]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "Ärzte & Büro ü"
    made.mkdir()
    return made


class TestLines:
    @pytest.mark.parametrize("text", ["", "a\nb\r\n", "Ärzte", "\udce4 surrogate", '"quotes" \\ |', "\u2028 \0"])
    def test_every_text_is_one_plain_line_and_comes_back(self, text: str) -> None:
        line = encode_line({"event": "log", "text": text})
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
        assert line.isascii()
        assert decode_line(line) == {"event": "log", "text": text}

    @pytest.mark.parametrize(
        "line", [b"", b"\n", b"Loading...\n", b"{\n", b"[1]\n", b"3\n", b"{}\n", b'{"event": 3}\n', b"\xff\xfe\n"]
    )
    def test_a_line_that_is_no_message_is_none(self, line: bytes) -> None:
        assert decode_line(line) is None

    def test_numbers_keep_every_bit(self) -> None:
        value = 0.1 + 0.2
        assert json.loads(encode_line({"event": "x", "share": value}))["share"] == value


class TestCrops:
    @pytest.mark.parametrize("corner", [(0, 0, 0), (3, 1, 2)])
    def test_the_box_holds_every_value_from_the_floor_on(self, corner: tuple[int, int, int]) -> None:
        array = np.full((6, 4, 5), 0.001, np.float32)
        array[corner] = 0.3
        array[4, 2, 3] = 0.005
        crop = tight_crop(array, 0.005)
        assert crop.array.shape == tuple(
            5 - low if axis == 0 else 3 + (axis == 2) - low for axis, low in enumerate(corner)
        )
        np.testing.assert_array_equal(crop.array, array[crop.box])
        whole = crop.whole()
        np.testing.assert_array_equal(whole[crop.box], array[crop.box])
        whole[crop.box] = 0
        assert not whole.any()

    def test_an_array_below_the_floor_is_an_empty_box(self) -> None:
        crop = tight_crop(np.zeros((3, 4, 1), np.float32), 0.005)
        assert crop.array.size == 0
        np.testing.assert_array_equal(crop.whole(), np.zeros((3, 4, 1)))

    def test_an_array_without_a_crop_is_not_copied(self) -> None:
        array = np.ones((3, 4, 1), np.float32)
        assert uncropped(array).whole() is array


class TestFiles:
    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.dtype(">i2")])
    def test_arrays_come_back_bit_for_bit_and_leave_no_file(self, order: str, dtype: type, folder: Path) -> None:
        array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype=dtype, order=order)
        crop = read_array(folder, json.loads(json.dumps(write_array(folder, "x", uncropped(array)))))
        np.testing.assert_array_equal(crop.whole(), array)
        assert crop.array.dtype == array.dtype
        assert list(folder.iterdir()) == []

    def test_a_box_comes_back_to_its_place(self, folder: Path) -> None:
        array = np.zeros((5, 6, 7), np.float32)
        array[2:4, 1:3, 6] = 0.5
        crop = read_array(folder, write_array(folder, "x", tight_crop(array, 0.005)))
        assert crop.array.shape == (2, 2, 1)
        np.testing.assert_array_equal(crop.whole(), array)

    @pytest.mark.parametrize("name", ["../secret.npy", "/etc/passwd", "a/b.npy"])
    def test_a_name_that_leads_out_of_the_folder_is_refused(self, name: str, folder: Path) -> None:
        with pytest.raises(ValueError, match="named without a folder"):
            read_array(folder, {"file": name, "start": [0, 0, 0], "shape": [1, 1, 1]})

    def test_objects_are_refused(self, folder: Path) -> None:
        np.save(folder / "x.npy", np.array([object()]), allow_pickle=True)
        with pytest.raises(ValueError, match="allow_pickle"):
            read_array(folder, {"file": "x.npy", "start": [0, 0, 0], "shape": [1]})

    def test_an_image_comes_back_with_all_it_knows(self, folder: Path) -> None:
        array = np.arange(20 * 18, dtype=np.int16).reshape(20, 18, 1)
        image = Image(
            array, Geometry((20, 18, 1), OBLIQUE), ("L", "I", "P"), "film", "CR",
            spacing_known=False, warnings=("a \n ü",), source="Ärzte|1",
        )  # fmt: skip
        back = read_image(folder, json.loads(json.dumps(write_image(folder, "1-image", image))))
        np.testing.assert_array_equal(back.array, image.array)
        np.testing.assert_array_equal(back.geometry.affine_ijk_to_ras, OBLIQUE)
        names = ("axis_codes", "kind", "modality", "spacing_known", "warnings", "source")
        assert [getattr(back, name) for name in names] == [getattr(image, name) for name in names]
        assert list(folder.iterdir()) == []

    def test_an_image_whose_file_was_changed_is_refused(self, folder: Path) -> None:
        entry = write_image(folder, "1-image", Image.from_array(np.zeros((20, 20))))
        np.save(folder / entry["array"]["file"], np.zeros((3, 3, 1)))
        with pytest.raises(ImageError, match="shape"):
            read_image(folder, entry)

    def test_a_grid_comes_back_bit_for_bit(self) -> None:
        geometry = Geometry((3, 4, 5), OBLIQUE)
        back = read_geometry(json.loads(json.dumps(describe_geometry(geometry))))
        assert back.shape == geometry.shape
        np.testing.assert_array_equal(back.affine_ijk_to_ras, geometry.affine_ijk_to_ras)
