"""A region of interest: voxels or millimeters, in any orientation, clipped to the image."""

from __future__ import annotations

import numpy as np
import pytest

from Testing.lib import tiny, tiny_volumes
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.geometry import AxisCodes, Geometry
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.region import Region, cropped, index_of


@pytest.fixture(scope="module")
def array() -> np.ndarray:
    return tiny_volumes.values()


@pytest.mark.parametrize("codes", tiny.ORIENTATIONS, ids="".join)
def test_a_box_in_the_world_is_the_same_part_of_the_patient(codes: AxisCodes, array: np.ndarray) -> None:
    # Voxels are 1 x 1.5 x 2 mm from the origin: these corners lie on centers and between them.
    region = Region.ras_mm((4.0, 3.2, 10.0), (12.9, 15.0, 30.0))
    image = tiny_volumes.volume_image(array, codes)
    bounds = region.bounds(image.geometry)
    part = tiny_volumes.canonical(cropped(image, bounds), image.array[index_of(bounds)])
    np.testing.assert_array_equal(part, array[4:13, 3:11, 5:16])


def test_a_cropped_image_stays_at_its_place(array: np.ndarray) -> None:
    image = tiny_volumes.volume_image(array, ("S", "L", "P"))
    part = cropped(image, ((3, 9), (5, 20), (0, 26)))
    assert part.geometry.shape == part.array.shape == (6, 15, 26)
    corner = image.geometry.ijk_to_ras_mm([(3, 5, 0), (8, 19, 25)])
    np.testing.assert_allclose(part.geometry.ijk_to_ras_mm([(0, 0, 0), (5, 14, 25)]), corner)
    assert part.array.base is not None, "no copy"
    assert (part.modality, part.axis_codes, part.kind) == (image.modality, image.axis_codes, image.kind)


def test_voxels_are_taken_as_they_are_and_clipped(array: np.ndarray) -> None:
    geometry = tiny_volumes.volume_image(array).geometry
    assert Region.ijk((2, 5), (0, 26), (7, 8)).bounds(geometry) == ((2, 5), (0, 26), (7, 8))
    assert Region.ijk((-4, 5), (20, 90), (0, 22)).bounds(geometry) == ((0, 5), (20, 26), (0, 22))


def test_an_oblique_grid_keeps_all_of_the_box() -> None:
    angle = np.radians(30)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    geometry = Geometry((60, 60, 20), affine)
    region = Region.ras_mm((-4.0, 20.0, 3.0), (4.0, 30.0, 9.0))
    bounds = region.bounds(geometry)
    inside = np.zeros(geometry.shape, dtype=bool)
    inside[index_of(bounds)] = True
    places = geometry.ijk_to_ras_mm(np.argwhere(np.ones(geometry.shape, dtype=bool))).reshape(*geometry.shape, 3)
    in_box = ((places >= region.low) & (places <= region.high)).all(axis=-1)
    assert in_box.any()
    assert inside[in_box].all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Region.ras_mm((0, 0), (1, 1, 1)), "two corners of three numbers"),
        (lambda: Region.ras_mm((0, 0, 0), (1, 1, float("nan"))), "finite"),
        (lambda: Region.ras_mm((0, 0, 0), (1, 0, 1)), "below the high one on every axis"),
        (lambda: Region.ijk((0, 4), (3, 4)), "three pairs"),
        (lambda: Region.ijk((4, 0), (3, 4), (0, 1)), "below the high one on every axis"),
        (lambda: Region.ras_mm((0, 0, 0), (5, 5, 5)).bounds(_far()), r"no voxel of the image .* move or enlarge it"),
        (lambda: Region.ijk((20, 30), (0, 4), (0, 4)).bounds(_far()), r"no voxel .*\(voxels\)"),
        (lambda: Region.ras_mm((1e200, 0, 0), (1e300, 5, 5)).bounds(_far()), r"no voxel of the image .*1e\+300"),
    ],
)
def test_what_is_no_region_is_refused(make: object, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        make()  # type: ignore[operator]


def _far() -> Geometry:
    affine = np.eye(4)
    affine[:3, 3] = 100
    return Geometry((10, 10, 10), affine)


def test_a_region_of_a_film_must_leave_a_film() -> None:
    film = Image.from_array(np.zeros((40, 40)))
    assert cropped(film, ((0, 20), (4, 40), (0, 1))).geometry.shape == (20, 36, 1)
    with pytest.raises(ImageError, match="at least 16 x 16"):
        cropped(film, ((0, 20), (4, 14), (0, 1)))
