"""Laws of grids, reorientation and resampling."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from TextGuidedSegLib.errors import GeometryError
from TextGuidedSegLib.geometry import (
    FILM_CODES,
    VOLUME_CODES,
    AxisCodes,
    Geometry,
    ResamplePlan,
    axis_of,
    coded_geometry,
    film_axis_codes,
    film_plan,
    reorientation,
    right_handed,
    volume_plan,
)

ALL_CODES: list[AxisCodes] = [
    tuple(pair[sign] for pair, sign in zip(order, signs, strict=True))
    for order in itertools.permutations(("RL", "AP", "SI"))
    for signs in itertools.product((0, 1), repeat=3)
]
SHAPE = (3, 4, 5)


def rotation(degrees: float) -> np.ndarray:
    """A turn about an axis that is none of the patient's."""
    angle, axis = math.radians(degrees), np.array([1.0, -2.0, 0.5]) / np.linalg.norm([1.0, -2.0, 0.5])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def grid(codes: AxisCodes, *, degrees: float = 0.0, shape: tuple[int, int, int] = SHAPE) -> Geometry:
    """An anisotropic grid along `codes`, turned by some degrees, off the origin."""
    affine = coded_geometry(shape, codes, (0.7, 1.3, 2.9)).affine_ijk_to_ras.copy()
    affine[:3, :3] = rotation(degrees) @ affine[:3, :3]
    affine[:3, 3] = (12.5, -40.25, 7.0)
    return Geometry(shape, affine)


def test_there_are_48_orientations() -> None:
    assert len(set(ALL_CODES)) == 48


@pytest.mark.parametrize("degrees", [0.0, 17.0])
@pytest.mark.parametrize("codes", ALL_CODES, ids="".join)
class TestEveryOrientation:
    def test_axis_codes_are_read_off_the_affine(self, codes: AxisCodes, degrees: float) -> None:
        assert grid(codes, degrees=degrees).axis_codes == codes

    @pytest.mark.parametrize("target", [FILM_CODES, VOLUME_CODES])
    @pytest.mark.parametrize("channels", [(), (3,)])
    def test_undoing_is_bit_exact(
        self, codes: AxisCodes, degrees: float, target: AxisCodes, channels: tuple[int, ...]
    ) -> None:
        step = reorientation(grid(codes, degrees=degrees).axis_codes, target)
        array = np.random.default_rng(0).standard_normal((*SHAPE, *channels)).astype(np.float32)
        there = step.apply(array)
        back = step.undo(there)
        assert back.shape == array.shape
        assert back.tobytes() == array.tobytes()
        assert there.flags.c_contiguous
        assert back.flags.c_contiguous

    @pytest.mark.parametrize("target", [FILM_CODES, VOLUME_CODES])
    def test_a_landmark_stays_put_in_the_patient(self, codes: AxisCodes, degrees: float, target: AxisCodes) -> None:
        geometry = grid(codes, degrees=degrees)
        step = reorientation(codes, target)
        array = np.zeros(SHAPE)
        array[2, 1, 3] = 1
        moved_ijk = np.argwhere(step.apply(array))
        moved = step.apply_to_geometry(geometry)
        assert moved.axis_codes == target
        assert moved.shape == step.apply(array).shape
        np.testing.assert_allclose(moved.ijk_to_ras_mm(moved_ijk), geometry.ijk_to_ras_mm([[2, 1, 3]]), atol=1e-9)
        assert step.undo_geometry(moved).close_to(geometry, 1e-9)

    def test_canonical_axes_point_where_their_codes_say(self, codes: AxisCodes, degrees: float) -> None:
        geometry = grid(codes, degrees=degrees)
        mm = geometry.ijk_to_ras_mm(np.indices(SHAPE).reshape(3, -1).T).reshape(*SHAPE, 3)
        canonical = reorientation(codes, VOLUME_CODES).apply(mm)
        for axis in range(3):
            assert (np.diff(canonical[..., axis], axis=axis) > 0).all()


def test_world_and_index_are_inverse() -> None:
    geometry = grid(("A", "I", "L"), degrees=33)
    points = np.random.default_rng(1).uniform(-50, 50, (20, 3))
    np.testing.assert_allclose(geometry.ijk_to_ras_mm(geometry.ras_mm_to_ijk(points)), points, atol=1e-9)
    np.testing.assert_allclose(geometry.spacing_mm, (0.7, 1.3, 2.9))
    np.testing.assert_allclose(geometry.origin_ras_mm, geometry.ijk_to_ras_mm([[0, 0, 0]])[0])


def test_codes_name_every_axis_once_even_at_45_degrees() -> None:
    for first, second in itertools.combinations(range(3), 2):
        affine = np.eye(4)
        turn = math.sqrt(0.5)
        affine[first, first] = affine[second, second] = affine[second, first] = turn
        affine[first, second] = -turn
        jitter = np.random.default_rng(2).uniform(-1e-12, 1e-12, (4, 4)) * [[1], [1], [1], [0]]
        codes = Geometry(SHAPE, affine).axis_codes
        assert {axis_of(code) for code in codes} == {0, 1, 2}
        assert Geometry(SHAPE, affine + jitter).axis_codes == codes


@pytest.mark.parametrize(("first", "second"), [(0, 1), (0, 2), (1, 2)])
def test_codes_at_45_degrees_go_with_the_axis_whatever_their_order_and_signs(first: int, second: int) -> None:
    turned = np.eye(3)
    turned[first, first] = turned[second, second] = turned[second, first] = math.sqrt(0.5)
    turned[first, second] = -math.sqrt(0.5)
    affine = np.eye(4)
    affine[:3, :3] = turned
    codes = Geometry(SHAPE, affine).axis_codes
    opposite = dict(zip("RLAPSI", "LRPAIS", strict=True))
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            affine[:3, :3] = turned[:, order] * signs
            expected = tuple(
                codes[axis] if sign > 0 else opposite[codes[axis]] for axis, sign in zip(order, signs, strict=True)
            )
            assert Geometry(SHAPE, affine).axis_codes == expected


def test_codes_of_a_sheared_grid_name_every_axis_once() -> None:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 2] = (0.9, 0.2, 0.5)  # nearest to R on its own, but R is taken by a better axis
    assert Geometry(SHAPE, affine).axis_codes == ("R", "A", "S")


def test_the_affine_is_a_read_only_copy() -> None:
    affine = np.eye(4)
    geometry = Geometry(SHAPE, affine)
    affine[0, 3] = 9
    assert geometry.affine_ijk_to_ras[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        geometry.affine_ijk_to_ras[0, 0] = 2
    geometry.origin_ras_mm[0] = 5
    assert geometry.origin_ras_mm[0] == 0


def test_close_to_measures_the_farthest_corner() -> None:
    geometry = grid(VOLUME_CODES)
    moved = geometry.affine_ijk_to_ras.copy()
    moved[0, 0] += 0.01  # 0.02 mm at the far corner
    assert geometry.close_to(Geometry(SHAPE, moved), tolerance_mm=0.021)
    assert not geometry.close_to(Geometry(SHAPE, moved), tolerance_mm=0.019)
    assert not geometry.close_to(Geometry((3, 4, 6), geometry.affine_ijk_to_ras))


@pytest.mark.parametrize(
    "affine",
    [
        np.zeros((4, 4)),
        np.diag([1.0, 1.0, 0.0, 1.0]),
        np.full((4, 4), np.nan),
        np.eye(3),
        np.diag([1.0, 1.0, 1.0, 2.0]),
        np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    ],
    ids=["zero", "flat", "nan", "3x3", "last row", "parallel axes"],
)
def test_an_impossible_affine_is_refused(affine: np.ndarray) -> None:
    with pytest.raises(GeometryError, match="affine_ijk_to_ras"):
        Geometry(SHAPE, affine)


def test_tiny_and_huge_voxels_are_legal() -> None:
    for size in (1e-4, 1e3):
        assert Geometry(SHAPE, np.diag([size, size, size, 1])).spacing_mm == pytest.approx([size] * 3)


@pytest.mark.parametrize("shape", [(3, 4), (0, 4, 5), (3, 4, 5, 6)])
def test_an_impossible_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(GeometryError, match="three sizes"):
        Geometry(shape, np.eye(4))  # type: ignore[arg-type]


@pytest.mark.parametrize("codes", [("R", "L", "S"), ("R", "A"), ("R", "A", "X"), ("R", "A", "S", "S"), ("", "A", "S")])
def test_impossible_codes_are_refused(codes: AxisCodes) -> None:
    with pytest.raises(GeometryError, match="axis code"):
        reorientation(codes, VOLUME_CODES)
    with pytest.raises(GeometryError, match="axis code"):
        reorientation(VOLUME_CODES, codes)


@pytest.mark.parametrize("array", [np.zeros((3, 4)), np.zeros((3, 4, 5, 1, 1))])
def test_reorientation_refuses_arrays_without_three_axes(array: np.ndarray) -> None:
    step = reorientation(("L", "P", "S"), VOLUME_CODES)
    with pytest.raises(GeometryError, match=r"\(I, J, K\)"):
        step.apply(array)
    with pytest.raises(GeometryError, match=r"\(I, J, K\)"):
        step.undo(array)


@pytest.mark.parametrize("codes", ALL_CODES, ids="".join)
def test_a_grid_is_made_right_handed_by_its_third_axis(codes: AxisCodes) -> None:
    geometry = coded_geometry(SHAPE, right_handed(codes[0], codes[1]))
    assert geometry.axis_codes[:2] == codes[:2]
    assert np.linalg.det(geometry.affine_ijk_to_ras) == pytest.approx(1)


def test_a_right_handed_grid_needs_two_different_axes() -> None:
    with pytest.raises(GeometryError, match="axis codes"):
        right_handed("L", "R")


class TestFilmFrame:
    @pytest.mark.parametrize("degrees", [0.0, 17.0])
    @pytest.mark.parametrize("codes", ALL_CODES, ids="".join)
    def test_a_coronal_affine_is_believed_with_the_slice_axis_anywhere(self, codes: AxisCodes, degrees: float) -> None:
        singleton = [axis_of(code) for code in codes].index(1)
        shape = [4, 5, 6]
        shape[singleton] = 1
        geometry = grid(codes, degrees=degrees, shape=(shape[0], shape[1], shape[2]))
        assert film_axis_codes(geometry) == (codes, False)

    @pytest.mark.parametrize("codes", ALL_CODES, ids="".join)
    def test_any_other_affine_is_taken_as_displayed(self, codes: AxisCodes) -> None:
        expected = {0: ("P", "L", "I"), 1: ("L", "P", "I"), 2: ("L", "I", "P")}
        for singleton in range(3):
            if axis_of(codes[singleton]) == 1:
                continue
            shape = [4, 5, 6]
            shape[singleton] = 1
            geometry = grid(codes, shape=(shape[0], shape[1], shape[2]))
            assert film_axis_codes(geometry) == (expected[singleton], True)

    def test_the_identity_affine_of_picture_files_is_taken_as_displayed(self) -> None:
        identity_lps = Geometry((30, 40, 1), np.diag([-1.0, -1.0, 1.0, 1.0]))
        assert film_axis_codes(identity_lps) == (FILM_CODES, True)

    @pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 5), (1, 1, 1)])
    def test_a_film_has_one_slice_axis(self, shape: tuple[int, int, int]) -> None:
        with pytest.raises(GeometryError, match="exactly one axis of size 1"):
            film_axis_codes(Geometry(shape, np.eye(4)))


def smooth(shape: tuple[int, int, int]) -> np.ndarray:
    """A picture without detail finer than a fifth of its sides."""
    axes = [np.cos(2 * np.pi * (np.arange(n) + 0.5) / n * 2 / 5 + 0.3) for n in shape]
    return np.einsum("i,j,k->ijk", *axes).astype(np.float32)


class TestResampling:
    def test_the_long_side_gets_the_size_and_the_aspect_is_kept(self) -> None:
        assert film_plan((2500, 3000, 1), 512).model_shape == (427, 512, 1)
        assert film_plan((60, 45, 1), 224).model_shape == (224, 168, 1)
        assert film_plan((4000, 3, 1), 224).model_shape == (224, 1, 1)

    def test_a_volume_is_brought_to_the_spacing_of_the_model(self) -> None:
        assert volume_plan((100, 90, 20), (0.8, 0.8, 5.0), (1.6, 1.6, 2.5)).model_shape == (50, 45, 40)
        assert volume_plan((3, 3, 1), (1, 1, 1), (9, 9, 9)).model_shape == (1, 1, 1)

    @pytest.mark.parametrize(
        "plan",
        [film_plan((200, 250, 1), 100), film_plan((60, 45, 1), 100), volume_plan((60, 80, 40), (1, 1, 3), (2, 2, 2))],
        ids=["shrunk film", "enlarged film", "volume"],
    )
    def test_a_smooth_picture_comes_back(self, plan: ResamplePlan) -> None:
        picture = smooth(plan.shape)
        back = plan.undo(plan.apply(picture))
        assert back.shape == picture.shape
        assert np.abs(back - picture).max() < 0.03

    @pytest.mark.parametrize("plan", [film_plan((200, 250, 1), 64), film_plan((60, 45, 1), 101)])
    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
    def test_a_constant_stays_that_constant(self, plan: ResamplePlan, dtype: type) -> None:
        there = plan.apply(np.full(plan.shape, 117, dtype=dtype))
        np.testing.assert_allclose(there, 117, rtol=1e-6)
        np.testing.assert_allclose(plan.undo(there), 117, rtol=1e-6)
        assert there.dtype == (np.float64 if dtype is np.float64 else np.float32)

    @pytest.mark.parametrize(("old", "new"), [(300, 64), (45, 128), (64, 63), (7, 3)])
    def test_a_coordinate_picture_lands_on_its_own_pixel(self, old: int, new: int) -> None:
        plan = ResamplePlan((old, 5, 1), (new, 5, 1))
        place = np.broadcast_to(((np.arange(old) + 0.5) / old)[:, None, None], plan.shape)  # in fields of view
        expected = (np.arange(new) + 0.5) / new
        inner = slice(math.ceil(new / old), new - math.ceil(new / old)) if new > old else slice(1, -1)
        # Within a fiftieth of a new pixel: the triangle of a shrinking step is sampled where the old pixels lie.
        np.testing.assert_allclose(plan.apply(place)[inner, 2, 0], expected[inner], atol=0.02 / new)

    def test_resampling_does_not_favor_a_side(self) -> None:
        plan = ResamplePlan((37, 20, 1), (16, 33, 1))
        picture = np.random.default_rng(3).standard_normal(plan.shape).astype(np.float32)
        mirrored = plan.apply(picture[::-1, ::-1])
        np.testing.assert_allclose(mirrored, plan.apply(picture)[::-1, ::-1], atol=1e-5)

    @pytest.mark.parametrize("factor", [3, 4.5, 10])
    def test_the_area_of_a_mask_is_kept_when_it_is_enlarged(self, factor: float) -> None:
        rows, columns = np.mgrid[:64, :64]
        mask = ((rows - 30) ** 2 + (columns - 35) ** 2 < 15**2).astype(np.float32)[..., None]
        size = round(64 * factor)
        enlarged = ResamplePlan((size, size, 1), (64, 64, 1)).undo(mask) >= 0.5
        assert enlarged.mean() == pytest.approx(mask.mean(), rel=0.02)

    def test_fine_stripes_turn_gray_instead_of_aliasing(self) -> None:
        stripes = np.broadcast_to((np.arange(3000) % 2).astype(np.float32)[:, None, None], (3000, 8, 1))
        shrunk = ResamplePlan((3000, 8, 1), (224, 8, 1)).apply(stripes)
        np.testing.assert_allclose(shrunk, 0.5, atol=0.05)

    def test_an_equal_size_changes_no_value(self) -> None:
        plan = ResamplePlan((9, 8, 2), (9, 8, 2))
        array = np.random.default_rng(4).standard_normal(plan.shape).astype(np.float32)
        assert plan.apply(array).tobytes() == array.tobytes()
        assert plan.undo(array).tobytes() == array.tobytes()
        np.testing.assert_array_equal(plan.apply(array.astype(bool)), array.astype(bool))

    def test_channels_are_resampled_each_on_its_own(self) -> None:
        plan = film_plan((50, 40, 1), 20)
        colors = np.random.default_rng(5).standard_normal((*plan.shape, 3)).astype(np.float32)
        together = plan.apply(colors)
        for channel in range(3):
            np.testing.assert_allclose(together[..., channel], plan.apply(colors[..., channel]), atol=1e-6)

    def test_what_lies_next_to_a_broken_value_stays_sound(self) -> None:
        plan = ResamplePlan((40, 1, 1), (20, 1, 1))
        line = np.ones(plan.shape, dtype=np.float32)
        line[0] = np.nan
        assert np.isfinite(plan.apply(line)[3:]).all()

    @pytest.mark.parametrize("shape", [(9, 8), (9, 8, 3), (8, 9, 2), (9, 8, 2, 1, 1)])
    def test_an_array_of_another_shape_is_refused(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(GeometryError, match=r"shape \(9, 8, 2\)"):
            ResamplePlan((9, 8, 2), (4, 4, 2)).apply(np.zeros(shape))

    def test_impossible_plans_are_refused(self) -> None:
        with pytest.raises(GeometryError, match="sizes >= 1"):
            film_plan((9, 8, 1), 0)
        with pytest.raises(GeometryError, match="sizes >= 1"):
            film_plan((9, 0, 1), 10)
        with pytest.raises(GeometryError, match="positive numbers"):
            volume_plan((9, 8, 2), (1, 1, 0), (1, 1, 1))
        with pytest.raises(GeometryError, match="positive numbers"):
            volume_plan((9, 8, 2), (1, 1), (1, 1, 1))
