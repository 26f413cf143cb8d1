"""Films and masks on the network's grid: aligned, thresholded once, and faults named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from Testing.training.tiny import LESIONS, PREPROCESSING, SIZE, lesion_film, write_png
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.export import write_image
from TextGuidedSegLib.geometry import FILM_CODES, AxisCodes, Geometry, coded_geometry, reorientation
from TextGuidedSegLib.geometry import VOLUME_CODES as RAS
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.preprocessing import prepare_film
from training.datasets.chest_structures import ChestStructures
from training.datasets.films import load_mask, load_pair


def read_image_of(folder: Path, pixels: np.ndarray) -> Image:
    write_png(folder / "film.png", pixels)
    return read_image(folder / "film.png")


def test_a_mask_that_needs_no_resampling_is_the_drawn_one(lesion_index: Path) -> None:
    image, mask = (lesion_index.parent / part / f"{LESIONS[0].name}.png" for part in ("images", "masks"))
    array, (loaded,) = load_pair(image, [mask], PREPROCESSING)
    assert np.array_equal(loaded, lesion_film(0).lesions.T)  # I is the column, J the row
    assert (array.dtype, loaded.dtype) == (np.float16, np.uint8)


def test_the_patients_left_lies_at_the_end_of_the_first_axis(structure_index: Path) -> None:
    for film in ChestStructures(structure_index, ("train",), PREPROCESSING, frozenset()).films["plain"]:
        left, right = (np.argwhere(film.masks[f"{side} lung"]).mean(axis=0) for side in ("left", "right"))
        assert left[0] > SIZE / 2 > right[0]


def test_a_resampled_mask_is_thresholded_once_at_one_half(tmp_path: Path) -> None:
    # 128 pixels become 64: a mask that covers one and a half new pixels covers, rounded once, the one and the half.
    film, mask = np.zeros((128, 128)), np.zeros((128, 128), dtype=bool)
    film[::3] = 200
    mask[:, 40:43] = True
    write_png(tmp_path / "film.png", film)
    write_png(tmp_path / "mask.png", mask)
    plan = prepare_film(read_image(tmp_path / "film.png"), PREPROCESSING).plan
    _, (loaded,) = load_pair(tmp_path / "film.png", [tmp_path / "mask.png"], PREPROCESSING)
    coverage = plan.apply(mask.T[:, :, None].astype(np.float32))[:, :, 0]
    assert np.array_equal(loaded, coverage > 0.5)
    assert set(np.unique(loaded)) == {0, 1}


def test_any_value_above_zero_is_inside(tmp_path: Path) -> None:
    image = read_image_of(tmp_path, np.arange(400.0).reshape(20, 20) % 256)
    for value in (1, 128, 255):
        pixels = np.zeros((20, 20))
        pixels[3, 5] = value
        write_png(tmp_path / "mask.png", pixels)
        mask = load_mask(tmp_path / "mask.png", image)
        assert (mask.dtype, mask.shape) == (bool, (20, 20, 1))
        assert np.argwhere(mask).tolist() == [[5, 3, 0]]


@pytest.mark.parametrize("shape", [(48, 96), (96, 48)], ids=["wide", "tall"])
def test_a_film_that_is_not_square_is_padded_black_and_its_mask_empty(tmp_path: Path, shape: tuple[int, int]) -> None:
    rows, columns = np.indices(shape)
    write_png(tmp_path / "film.png", 40.0 + rows + columns)
    write_png(tmp_path / "mask.png", np.ones(shape, dtype=bool))
    array, (mask,) = load_pair(tmp_path / "film.png", [tmp_path / "mask.png"], PREPROCESSING)
    used = (slice(0, shape[1] * SIZE // 96), slice(0, shape[0] * SIZE // 96))
    outside = np.ones((SIZE, SIZE), dtype=bool)
    outside[used] = False
    assert array.shape == mask.shape == (SIZE, SIZE)
    assert (array[outside] == array[used].min()).all()
    assert mask[used].all()
    assert not mask[outside].any()


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    image = read_image_of(tmp_path, np.arange(400.0).reshape(20, 20) % 256)
    write_png(tmp_path / "mask.png", np.ones((20, 21), dtype=bool))
    with pytest.raises(ValueError, match=r"mask\.png has the size \(21, 20, 1\), its image \(20, 20, 1\)"):
        load_mask(tmp_path / "mask.png", image)


@pytest.mark.parametrize("content", [None, b"", b"no picture"], ids=["missing", "empty", "text"])
def test_an_unreadable_mask_is_named(tmp_path: Path, content: bytes | None) -> None:
    image = read_image_of(tmp_path, np.arange(400.0).reshape(20, 20) % 256)
    if content is not None:
        (tmp_path / "mask.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"mask\.png"):
        load_mask(tmp_path / "mask.png", image)


class TestMasksInAnotherOrientation:
    SHAPE = (6, 5, 4)

    @pytest.fixture
    def image(self, tmp_path: Path) -> Image:
        write_image(tmp_path / "image.nii.gz", np.arange(120.0).reshape(self.SHAPE), coded_geometry(self.SHAPE, RAS))
        return read_image(tmp_path / "image.nii.gz")

    @pytest.mark.parametrize("codes", [("L", "A", "S"), ("L", "P", "S"), ("S", "R", "P")])
    def test_they_are_turned_onto_the_image_by_their_own_geometry(
        self, codes: AxisCodes, image: Image, tmp_path: Path
    ) -> None:
        truth = np.random.default_rng(0).random(self.SHAPE) > 0.5
        step = reorientation(image.axis_codes, codes)
        turned = step.apply(truth.astype(np.uint8)), step.apply_to_geometry(image.geometry)
        write_image(tmp_path / "mask.nii.gz", *turned)
        assert np.array_equal(load_mask(tmp_path / "mask.nii.gz", image), truth)

    def test_one_that_says_nothing_lies_as_its_image(self, image: Image, tmp_path: Path) -> None:
        truth = np.random.default_rng(0).random(self.SHAPE) > 0.5
        write_image(tmp_path / "mask.nii", truth.astype(np.uint8), coded_geometry(self.SHAPE, ("L", "P", "S")))
        content = bytearray((tmp_path / "mask.nii").read_bytes())
        content[252:256] = bytes(4)  # qform_code and sform_code
        (tmp_path / "mask.nii").write_bytes(content)
        assert np.array_equal(load_mask(tmp_path / "mask.nii", image), truth)

    def test_on_the_grid_of_a_film_whose_tags_turn_it_they_lie_as_it_does(self, tmp_path: Path) -> None:
        shape = (24, 20, 1)
        grid = coded_geometry(shape, FILM_CODES)
        truth = np.random.default_rng(0).random(shape) > 0.5
        write_image(tmp_path / "mask.nrrd", truth.astype(np.uint8), grid)
        mirrored = Image(np.zeros(shape), grid, ("R", "I", "A"), "film")
        assert np.array_equal(load_mask(tmp_path / "mask.nrrd", mirrored), truth)

    def test_one_that_lies_elsewhere_is_refused(self, image: Image, tmp_path: Path) -> None:
        moved = image.geometry.affine_ijk_to_ras.copy()
        moved[:3, 3] += (3.0, 0.0, 0.0)
        write_image(tmp_path / "mask.nii.gz", np.ones(self.SHAPE, np.uint8), Geometry(self.SHAPE, moved))
        with pytest.raises(ValueError, match=r"mask\.nii\.gz lies more than a voxel .* save the mask on the grid"):
            load_mask(tmp_path / "mask.nii.gz", image)
