"""Directional guidance: the patient's left and top, mirrored words on a mirrored image, organs that move and grow."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from TextGuidedSegLib.guidance import (
    FILM_AXES,
    VOLUME_AXES,
    DirectionalGuidance,
    OrganFrame,
    OrganMap,
    PatientAxes,
    canonical_coordinates,
    resized,
    united,
)
from TextGuidedSegLib.language.units import DIRECTIONS
from TextGuidedSegLib.text_encoder import PhraseUnits

SHAPES = {FILM_AXES: (24, 32), VOLUME_AXES: (12, 8, 16)}
NAMES = {FILM_AXES: "film", VOLUME_AXES: "volume"}
FRAMES = pytest.mark.parametrize("axes", list(NAMES), ids=list(NAMES.values()))
LOCATIONS = (("left",), ("right", "lower"), ("left", "right", "upper"), ("upper", "middle"), ())
SWAPPED = {"left": "right", "right": "left"}


def locations(*named: tuple[str, ...]) -> PhraseUnits:
    """Units of one phrase that point these ways; nothing else of them counts here."""
    directions = torch.tensor([[[float(name in each) for name in DIRECTIONS] for each in named]])
    present = torch.ones(1, len(named), dtype=torch.bool)
    return PhraseUnits(present[..., None], torch.zeros_like(present).long(), directions, present)


def whole(dims: int) -> OrganFrame:
    return OrganFrame(torch.zeros(1, dims), torch.ones(1, dims))


def coordinates(axes: PatientAxes) -> Tensor:
    return canonical_coordinates(SHAPES[axes], torch.device("cpu"))


def regions(axes: PatientAxes, *named: tuple[str, ...]) -> Tensor:
    """`(K, *grid)` over a whole image."""
    with torch.no_grad():
        return DirectionalGuidance(axes)(locations(*named), coordinates(axes), whole(len(SHAPES[axes])))[0]


def centroid(region: Tensor) -> list[float]:
    """In canonical coordinates."""
    places = canonical_coordinates(tuple(region.shape), region.device)[0]
    return ((region[..., None] * places).flatten(0, -2).sum(dim=0) / region.sum()).tolist()


class TestPatientFrame:
    @pytest.mark.parametrize(
        ("axes", "direction", "axis", "sign"),
        [
            (FILM_AXES, "left", 0, 1),
            (FILM_AXES, "right", 0, -1),
            (FILM_AXES, "upper", 1, -1),
            (FILM_AXES, "lower", 1, 1),
            (VOLUME_AXES, "left", 0, -1),
            (VOLUME_AXES, "right", 0, 1),
            (VOLUME_AXES, "anterior", 1, 1),
            (VOLUME_AXES, "posterior", 1, -1),
            (VOLUME_AXES, "upper", 2, 1),
            (VOLUME_AXES, "lower", 2, -1),
        ],
        ids=lambda value: NAMES.get(value, str(value)),
    )
    def test_where_each_direction_lies_in_the_array(
        self, axes: PatientAxes, direction: str, axis: int, sign: int
    ) -> None:
        center = centroid(regions(axes, (direction,))[0])
        assert sign * center.pop(axis) > 0.15
        assert center == pytest.approx([0] * len(center), abs=1e-5), "along the other axes it says nothing"

    def test_a_side_is_a_half(self) -> None:
        (left,) = regions(FILM_AXES, ("left",))
        half = SHAPES[FILM_AXES][0] // 2
        assert (left[:half] < 0.5).all()
        assert (left[half:] > 0.5).all()

    def test_levels_start_from_the_measured_rows(self) -> None:
        guidance = DirectionalGuidance(FILM_AXES)
        places = canonical_coordinates((8, 1000), torch.device("cpu"))
        measured = {"upper": (0.16, 0.39), "middle": (0.37, 0.61), "lower": (0.44, 0.73)}
        for level, band in measured.items():
            with torch.no_grad():
                profile = guidance(locations((level,)), places, whole(2))[0, 0, 0]
            inside = (profile > 0.5 * profile.max()).nonzero()[:, 0] / 1000
            assert (inside.min().item(), inside.max().item()) == pytest.approx(band, abs=0.02)

    @pytest.mark.parametrize("extent", [1.0, 0.25])
    @pytest.mark.parametrize(("level", "last"), [("upper", -1), ("lower", 0)])
    def test_in_a_volume_the_last_slice_is_the_surest(self, level: str, last: int, extent: float) -> None:
        places = canonical_coordinates((2, 2, 100), torch.device("cpu"))
        organ = OrganFrame(torch.zeros(1, 3), torch.full((1, 3), extent))
        with torch.no_grad():
            profile = DirectionalGuidance(VOLUME_AXES)(locations((level,)), places, organ)[0, 0, 0, 0]
        assert profile[last] == profile.max() > 0.99
        steps = profile.diff() if last else -profile.diff()
        assert (steps >= 0).all(), "it never falls on the way there"
        assert (profile > 0.5).sum() == 50

    def test_in_a_volume_the_middle_is_around_it(self) -> None:
        (middle,) = regions(VOLUME_AXES, ("middle",))
        profile = middle[0, 0]
        torch.testing.assert_close(profile, profile.flip(0), atol=1e-6, rtol=0)
        assert profile[len(profile) // 2] == profile.max() > 0.99
        assert profile[0] < 0.01

    def test_what_was_learned_stays(self) -> None:
        learned = DirectionalGuidance(VOLUME_AXES)
        with torch.no_grad():
            learned.low.copy_(torch.tensor([0.22, -0.22, -0.46]))
            learned.high.copy_(torch.tensor([0.68, 0.26, 0.12]))
            loaded = DirectionalGuidance(VOLUME_AXES)
            loaded.load_state_dict(learned.state_dict())
            bands = [one(locations(("lower",)), coordinates(VOLUME_AXES), whole(3)) for one in (learned, loaded)]
        torch.testing.assert_close(*bands, atol=0, rtol=0)
        assert bands[0][..., 0].max() < 0.01

    @FRAMES
    def test_levels_are_in_order(self, axes: PatientAxes) -> None:
        axis, sign = axes.top
        heights = [sign * centroid(region)[axis] for region in regions(axes, ("upper",), ("middle",), ("lower",))]
        assert heights == sorted(heights, reverse=True)

    def test_a_film_has_no_depth(self) -> None:
        assert (regions(FILM_AXES, ("anterior",)) == 1).all()
        assert not DirectionalGuidance(FILM_AXES).front_edge.requires_grad


class TestMirror:
    @FRAMES
    def test_a_mirrored_image_with_swapped_words_has_the_mirrored_region(self, axes: PatientAxes) -> None:
        torch.manual_seed(0)
        dims = len(SHAPES[axes])
        guidance, organ = DirectionalGuidance(axes), OrganMap(5, dims)
        torch.nn.init.normal_(organ.head.weight)
        features, places = torch.randn(1, 5, *SHAPES[axes]), coordinates(axes)
        swapped = [tuple(SWAPPED.get(name, name) for name in each) for each in LOCATIONS]
        side = axes.left[0]
        with torch.no_grad():
            here = guidance(locations(*LOCATIONS), places, organ(features, places))
            there = guidance(locations(*swapped), places, organ(features.flip(2 + side), places))
        assert here.std() > 0.1
        torch.testing.assert_close(there.flip(2 + side), here, atol=1e-5, rtol=0)

    @FRAMES
    def test_both_sides_are_symmetric(self, axes: PatientAxes) -> None:
        (both,) = regions(axes, ("left", "right"))
        torch.testing.assert_close(both.flip(axes.left[0]), both, atol=1e-6, rtol=0)
        assert both.min() >= 0.74


class TestOrgan:
    @FRAMES
    def test_an_even_map_is_the_whole_image(self, axes: PatientAxes) -> None:
        dims = len(SHAPES[axes])
        frame = OrganMap(5, dims)(torch.randn(1, 5, *SHAPES[axes]), coordinates(axes))
        torch.testing.assert_close(frame.center, torch.zeros(1, dims), atol=1e-5, rtol=0)
        torch.testing.assert_close(frame.extent, torch.ones(1, dims), atol=0.01, rtol=0)

    @FRAMES
    @pytest.mark.parametrize("cells", [1, 2, 4])
    def test_however_few_cells_it_has(self, axes: PatientAxes, cells: int) -> None:
        dims = len(SHAPES[axes])
        frame = OrganMap(5, dims)(
            torch.randn(1, 5, *[cells] * dims), canonical_coordinates((32,) * dims, torch.device("cpu"))
        )
        torch.testing.assert_close(frame.center, torch.zeros(1, dims), atol=1e-5, rtol=0)
        torch.testing.assert_close(frame.extent, torch.ones(1, dims), atol=0.01, rtol=0)

    def test_padding_is_no_part_of_it(self) -> None:
        shape, padded = (20, 24), (32, 32)
        inside = torch.zeros(1, *padded, 1)
        inside[:, :20, :24] = 1
        places = torch.ones(1, *padded, 2)
        places[:, :20, :24] = canonical_coordinates(shape, places.device)
        organ = OrganMap(5, 2)
        torch.nn.init.normal_(organ.head.weight)
        features = torch.randn(1, 5, *padded)
        frame = organ(features, places, inside)
        alone = organ(features[:, :, :20, :24], places[:, :20, :24])
        torch.testing.assert_close(frame.center, alone.center)
        torch.testing.assert_close(frame.extent, alone.extent)

    @FRAMES
    @pytest.mark.parametrize(("zoom", "shift"), [(1.0, 0.3), (0.5, 0.0), (1.7, -0.2)])
    def test_the_region_moves_and_grows_with_the_organ(self, axes: PatientAxes, zoom: float, shift: float) -> None:
        torch.manual_seed(1)
        organ, guidance = OrganMap(3, len(SHAPES[axes])), DirectionalGuidance(axes)
        torch.nn.init.normal_(organ.head.weight, std=0.3)
        features, places, units = torch.randn(1, 3, *SHAPES[axes]), coordinates(axes), locations(*LOCATIONS)
        moved = zoom * places + shift  # the same features, seen elsewhere and larger
        with torch.no_grad():
            before = guidance(units, places, organ(features, places))
            after = guidance(units, moved, organ(features, moved))
        torch.testing.assert_close(after, before, atol=1e-4, rtol=0)

    @pytest.mark.parametrize("shift", [(6, 0), (-5, 9)])
    def test_a_shifted_film_has_the_shifted_region(self, shift: tuple[int, int]) -> None:
        size, guidance, organ = (64, 64), DirectionalGuidance(FILM_AXES), OrganMap(1, 2)
        torch.nn.init.ones_(organ.head.weight)
        places = canonical_coordinates(size, torch.device("cpu"))
        chest = -20 * places.square().sum(dim=-1)[:, None]  # a round organ in the middle, far from the edges
        units = locations(("left", "lower"), ("right",))
        with torch.no_grad():
            here = guidance(units, places, organ(chest, places))
            there = guidance(units, places, organ(chest.roll(shift, dims=(2, 3)), places))
        kept = [slice(max(0, by), 64 + min(0, by)) for by in shift]
        torch.testing.assert_close(
            there[0, :, kept[0], kept[1]], here.roll(shift, dims=(2, 3))[0, :, kept[0], kept[1]], atol=1e-3, rtol=0
        )
        assert (there - here).abs().max() > 0.1

    def test_an_organ_of_one_pixel_still_has_a_size(self) -> None:
        organ = OrganMap(1, 2)
        torch.nn.init.ones_(organ.head.weight)
        spot = torch.full((1, 1, 9, 9), -1e4)
        spot[..., 4, 4] = 1e4
        spot.requires_grad_()
        frame = organ(spot, canonical_coordinates((9, 9), torch.device("cpu")))
        assert (frame.extent == 0.25).all()
        (frame.extent.sum() + frame.center.sum()).backward()
        assert spot.grad.isfinite().all()


class TestUnion:
    @FRAMES
    def test_a_unit_that_names_no_direction_is_everywhere(self, axes: PatientAxes) -> None:
        assert (regions(axes, (), ("left",))[0] == 1).all()

    @FRAMES
    def test_regions_are_shares(self, axes: PatientAxes) -> None:
        every = regions(axes, *((name,) for name in DIRECTIONS), DIRECTIONS, ())
        assert (every.min() >= 0, every.max() <= 1, every.dtype) == (True, True, torch.float32)

    def test_directions_of_one_axis_unite_and_of_two_axes_intersect(self) -> None:
        left, upper, lower, levels, corner = regions(
            FILM_AXES, ("left",), ("upper",), ("lower",), ("upper", "lower"), ("left", "lower")
        )
        torch.testing.assert_close(levels, 1 - (1 - upper) * (1 - lower))
        torch.testing.assert_close(corner, left * lower)

    def test_a_phrase_points_at_all_of_its_locations(self) -> None:
        units = locations((), ("left", "upper"), ("right", "lower"))
        each = DirectionalGuidance(FILM_AXES)(units, coordinates(FILM_AXES), whole(2))
        union = united(each, units)
        torch.testing.assert_close(union[:, 0], 1 - (1 - each[:, 1]) * (1 - each[:, 2]))
        assert (union >= each[:, 1:].amax(dim=1, keepdim=True) - 1e-6).all()

    def test_padding_points_nowhere(self) -> None:
        units = locations(("left",), ("right",))
        padded = units._replace(mask=torch.tensor([[True, False]]))
        each = DirectionalGuidance(FILM_AXES)(units, coordinates(FILM_AXES), whole(2))
        torch.testing.assert_close(united(each, padded)[:, 0], each[:, 0])

    @pytest.mark.parametrize("named", [((),), ((), ())])
    def test_a_phrase_without_a_location_points_everywhere(self, named: tuple[tuple[str, ...], ...]) -> None:
        units = locations(*named)
        each = DirectionalGuidance(FILM_AXES)(units, coordinates(FILM_AXES), whole(2))
        assert (united(each, units) == 1).all()


class TestCoordinates:
    @pytest.mark.parametrize("shape", [(6, 4), (4, 6, 8)])
    def test_voxel_centers_from_edge_to_edge(self, shape: tuple[int, ...]) -> None:
        places = canonical_coordinates(shape, torch.device("cpu"))[0]
        assert places.shape == (*shape, len(shape))
        for axis, size in enumerate(shape):
            line = places.movedim(axis, 0)[:, *[0] * (len(shape) - 1), axis]
            assert line.tolist() == pytest.approx([(2 * index + 1) / size - 1 for index in range(size)])

    @pytest.mark.parametrize(("shape", "grid"), [((12, 8), (3, 4)), ((4, 8, 12), (2, 2, 3))])
    def test_a_coarser_grid_has_the_centers_of_its_own_cells(
        self, shape: tuple[int, ...], grid: tuple[int, ...]
    ) -> None:
        device = torch.device("cpu")
        torch.testing.assert_close(
            resized(canonical_coordinates(shape, device), grid), canonical_coordinates(grid, device)
        )


class TestLearning:
    @FRAMES
    def test_every_number_learns(self, axes: PatientAxes) -> None:
        torch.manual_seed(2)
        organ, guidance = OrganMap(3, len(SHAPES[axes])), DirectionalGuidance(axes)
        features, places = torch.randn(1, 3, *SHAPES[axes]), coordinates(axes)
        units = locations(*((name,) for name in DIRECTIONS))
        each = guidance(units, places, organ(features, places))
        (each * torch.randn_like(each)).sum().backward()
        low, high = guidance.low.grad, guidance.high.grad
        if axes.front is not None:  # the upper band has no end above, the lower one none below
            low, high = low[:2], high[1:]
        gradients = [low, high, guidance.width.grad[[0, 2]], organ.head.weight.grad]
        if axes.front is not None:
            gradients += [guidance.width.grad[1:2], guidance.front_edge.grad[None]]
        assert all((gradient != 0).all() for gradient in gradients)

    def test_half_precision_features_give_single_precision_regions(self) -> None:
        organ, guidance, places = OrganMap(3, 2), DirectionalGuidance(FILM_AXES), coordinates(FILM_AXES)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            frame = organ(torch.randn(1, 3, *SHAPES[FILM_AXES]), places)
            each = guidance(locations(("left",)), places, frame)
        assert {frame.center.dtype, frame.extent.dtype, each.dtype} == {torch.float32}
        assert math.isclose(frame.extent[0, 0].item(), 1, abs_tol=0.01)
