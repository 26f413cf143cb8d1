"""What an image is: frames of films and volumes, and what is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from TextGuidedSegLib.errors import GeometryError, ImageError
from TextGuidedSegLib.geometry import FILM_CODES, AxisCodes, Geometry, coded_geometry
from TextGuidedSegLib.image import ORIENTATION_ASSUMED, Image, image_kind

FILM_ORIENTATIONS: list[AxisCodes] = [
    tuple(pair[sign] for pair, sign in zip(order, signs, strict=True))
    for order in itertools.permutations(("RL", "AP", "SI"))
    for signs in itertools.product((0, 1), repeat=3)
]


def stored(displayed: np.ndarray, codes: AxisCodes) -> np.ndarray:
    """The `(I, J, K)` array, with axes running to `codes`, of a film displayed as `(rows, columns)`."""
    along = {"L": (1, 1), "R": (1, -1), "I": (0, 1), "S": (0, -1)}
    in_plane = [along[code] for code in codes if code in along]
    plane = displayed.transpose([axis for axis, _ in in_plane])[tuple(slice(None, None, step) for _, step in in_plane)]
    return np.expand_dims(plane, [index for index, code in enumerate(codes) if code in "AP"])


class TestFilms:
    @pytest.mark.parametrize("codes", FILM_ORIENTATIONS, ids="".join)
    def test_every_orientation_shows_the_same_canonical_film(self, codes: AxisCodes, a_picture: np.ndarray) -> None:
        array = stored(a_picture, codes)
        image = Image.from_array(array, coded_geometry(array.shape, codes).affine_ijk_to_ras)
        assert image.kind == "film"
        assert image.warnings == ()
        canonical, step = image.canonical()
        np.testing.assert_array_equal(canonical[:, :, 0].T, a_picture)
        assert step.undo(canonical).tobytes() == np.ascontiguousarray(array).tobytes()

    def test_a_displayed_array_has_the_left_of_the_patient_on_its_right(self, a_picture: np.ndarray) -> None:
        image = Image.from_array(a_picture)
        rows, columns = a_picture.shape
        assert (image.kind, image.axis_codes, image.spacing_known) == ("film", FILM_CODES, False)
        assert image.warnings == (ORIENTATION_ASSUMED,)
        assert image.geometry.axis_codes == FILM_CODES
        top_right = image.geometry.ijk_to_ras_mm([[columns - 1, 0, 0]])[0]
        bottom_left = image.geometry.ijk_to_ras_mm([[0, rows - 1, 0]])[0]
        assert top_right[0] < bottom_left[0]  # R coordinate falls towards the left
        assert top_right[2] > bottom_left[2]  # S coordinate falls towards the feet
        np.testing.assert_array_equal(image.canonical()[0][:, :, 0].T, a_picture)

    def test_an_axial_identity_affine_keeps_its_world_but_is_taken_as_displayed(self, a_picture: np.ndarray) -> None:
        affine = np.diag([-1.0, -1.0, 1.0, 1.0])
        image = Image.from_array(a_picture.T[:, :, None], affine)
        assert image.axis_codes == FILM_CODES
        np.testing.assert_array_equal(image.geometry.affine_ijk_to_ras, affine)
        assert image.warnings == (ORIENTATION_ASSUMED,)

    def test_colors_stay_with_their_pixels(self, a_picture: np.ndarray) -> None:
        colors = np.stack([a_picture, a_picture // 2, 255 - a_picture], axis=-1)
        image = Image.from_array(colors)
        assert image.array.shape == (30, 40, 1, 3)
        assert image.channels == 3
        np.testing.assert_array_equal(image.canonical()[0][:, :, 0].swapaxes(0, 1), colors)
        assert Image.from_array(a_picture).channels == 1

    @pytest.mark.parametrize("shape", [(1, 1), (15, 40), (40, 15), (1, 40)])
    def test_a_film_of_a_few_pixels_is_refused(self, shape: tuple[int, int]) -> None:
        with pytest.raises(ImageError, match="only"):
            Image.from_array(np.zeros(shape))

    def test_sixteen_pixels_are_enough(self) -> None:
        assert Image.from_array(np.zeros((16, 16))).geometry.shape == (16, 16, 1)


def moved_by(affine: np.ndarray, millimeters: tuple[float, float, float]) -> np.ndarray:
    moved = affine.copy()
    moved[:3, 3] += millimeters
    return moved


def turned(affine: np.ndarray, degrees: float) -> np.ndarray:
    """About the patient's long axis."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rotation = np.eye(4)
    rotation[:2, :2] = [[cosine, -sine], [sine, cosine]]
    return rotation @ affine


class TestVolumes:
    @pytest.mark.parametrize("codes", FILM_ORIENTATIONS, ids="".join)
    def test_every_orientation_comes_to_the_same_canonical_volume(self, codes: AxisCodes) -> None:
        geometry = coded_geometry((3, 4, 5), codes, (1, 2, 3))
        mm = geometry.ijk_to_ras_mm(np.indices(geometry.shape).reshape(3, -1).T).reshape(*geometry.shape, 3)
        image = Image.from_array(mm, geometry.affine_ijk_to_ras, modality="CT")
        assert (image.kind, image.axis_codes, image.modality) == ("volume", codes, "CT")
        canonical, step = image.canonical()
        for axis in range(3):
            assert (np.diff(canonical[..., axis], axis=axis) > 0).all()
        np.testing.assert_array_equal(step.undo(canonical), mm)

    @pytest.mark.parametrize(
        ("shape", "modality", "kind"),
        [
            ((20, 20, 1), None, "film"),
            ((1, 20, 20), "CR", "film"),
            ((20, 1, 20), "MG", "film"),
            ((20, 20, 1), "US", "film"),
            ((20, 20, 1), "CT", "volume"),
            ((20, 20, 1), "MR", "volume"),
            ((20, 20, 2), "CR", "volume"),
            ((20, 20, 20), None, "volume"),
        ],
    )
    def test_one_slice_is_a_film_unless_a_scanner_made_it(
        self, shape: tuple[int, int, int], modality: str | None, kind: str
    ) -> None:
        assert image_kind(Geometry(shape, np.eye(4)), modality) == kind
        assert Image.from_array(np.zeros(shape), np.eye(4), modality).kind == kind

    @pytest.mark.parametrize(
        ("affine", "kind"),
        [
            (np.diag([0.7, 0.7, 5.0, 1.0]), "volume"),
            (np.diag([5.0, 0.7, 0.7, 1.0])[:, [1, 2, 0, 3]], "volume"),  # sagittal
            (moved_by(np.eye(4), (-90.0, -110.0, 35.0)), "volume"),
            (turned(np.eye(4), 12.0), "volume"),
            (np.eye(4), "film"),
            (np.diag([-1.0, -1.0, 1.0, 1.0]), "film"),
            (np.diag([0.14, 0.14, 0.14, 1.0]), "film"),
            (np.diag([-0.14, -0.14, 1.0, 1.0]), "film"),  # a film that was saved again, with ITK's thickness
            (
                moved_by(coded_geometry((2, 2, 2), ("L", "I", "A"), (0.2, 0.2, 5.0)).affine_ijk_to_ras, (9, 8, 7)),
                "film",
            ),
            (coded_geometry((2, 2, 2), FILM_CODES).affine_ijk_to_ras, "film"),
        ],
        ids=["thick", "sagittal", "placed", "oblique", "identity", "picture", "pixels", "1 mm", "coronal", "own"],
    )
    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)], ids=["k", "i", "j"])
    def test_a_slice_that_does_not_say_what_it_is_has_a_frame_that_does(
        self, affine: np.ndarray, kind: str, order: tuple[int, int, int]
    ) -> None:
        shape = tuple((20, 30, 1)[axis] for axis in order)
        image = Image.from_array(np.zeros(shape), affine[:, [*order, 3]])
        assert image.kind == kind
        for modality, told in (("MR", "volume"), ("DX", "film")):
            assert Image.from_array(np.zeros(shape), affine[:, [*order, 3]], modality).kind == told

    @pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 50), (50, 1, 1)])
    def test_a_point_or_a_line_is_refused(self, shape: tuple[int, int, int]) -> None:
        with pytest.raises(ImageError, match="only"):
            Image.from_array(np.zeros(shape), np.eye(4))


class TestRefusals:
    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.zeros((20, 20, 5)), "needs affine_ijk_to_ras"),
            (np.zeros(20), "needs affine_ijk_to_ras"),
            (np.zeros((0, 20)), "empty"),
            (np.zeros((20, 20), dtype=bool), "integers or floats, got bool"),
            (np.zeros((20, 20), dtype=complex), "integers or floats, got complex"),
            (np.full((20, 20), "a"), "integers or floats"),
        ],
        ids=["no affine", "line", "empty", "bool", "complex", "text"],
    )
    def test_arrays_that_are_no_film(self, array: np.ndarray, message: str) -> None:
        with pytest.raises(ImageError, match=message):
            Image.from_array(array)

    def test_an_affine_needs_three_axes(self) -> None:
        with pytest.raises(ImageError, match=r"\(I, J, K\)"):
            Image.from_array(np.zeros((20, 20)), np.eye(4))

    def test_an_affine_must_be_invertible(self) -> None:
        with pytest.raises(GeometryError, match="invertible"):
            Image.from_array(np.zeros((20, 20, 4)), np.diag([1.0, 0, 1, 1]))

    def test_two_channels_are_no_color(self) -> None:
        with pytest.raises(ImageError, match="1, 3 or 4 channels, got 2"):
            Image.from_array(np.zeros((20, 20, 4, 2)), np.eye(4))

    def test_the_array_must_fit_its_grid(self) -> None:
        with pytest.raises(ImageError, match=r"scan: .*\(20, 21, 1\).*\(20, 20, 1\)"):
            Image(np.zeros((20, 21, 1)), Geometry((20, 20, 1), np.eye(4)), FILM_CODES, "film", source="scan")

    def test_an_unknown_kind(self) -> None:
        with pytest.raises(ImageError, match="'film' or 'volume', got 'picture'"):
            Image(np.zeros((20, 20, 1)), Geometry((20, 20, 1), np.eye(4)), FILM_CODES, "picture")  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("shape", "codes"), [((20, 20, 1), ("L", "P", "I")), ((20, 20, 20), FILM_CODES)], ids=["slice axis", "deep"]
    )
    def test_a_film_has_one_slice_that_runs_through_the_patient(
        self, shape: tuple[int, int, int], codes: AxisCodes
    ) -> None:
        with pytest.raises(ImageError, match="exactly one axis of size 1"):
            Image(np.zeros(shape), Geometry(shape, np.eye(4)), codes, "film")

    def test_codes_that_name_an_axis_twice(self) -> None:
        geometry = Geometry((20, 20, 20), np.eye(4))
        with pytest.raises(GeometryError, match="once"):
            Image(np.zeros(geometry.shape), geometry, ("R", "L", "S"), "volume")


def test_an_image_is_immutable_and_copies_with_changes() -> None:
    image = Image.from_array(np.zeros((20, 30)))
    with pytest.raises(AttributeError):
        image.kind = "volume"  # type: ignore[misc]
    assert replace(image, source="again").source == "again"
