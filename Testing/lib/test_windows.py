"""The plan of windows covers a volume with enough in common, fits the memory, and blends without a seam."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from Testing.lib import tiny
from TextGuidedSegLib.geometry import Shape
from TextGuidedSegLib.guidance import canonical_coordinates, window_coordinates
from TextGuidedSegLib.pseudo_image import interpolated_window
from TextGuidedSegLib.windows import (
    OVERLAP,
    Blender,
    WindowPlan,
    overview_shape,
    plan_windows,
    profiles,
    smaller_windows,
)

SIZES = st.tuples(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70))
SIDES = st.tuples(st.integers(8, 40), st.integers(8, 40), st.integers(8, 40))


def plan_for(shape: Shape, largest: Shape, **options: object) -> WindowPlan:
    values = {"multiple": 8, "pass_bytes": 100.0, "free_bytes": None, "device": "cpu"}
    return plan_windows(shape, largest, **values | options)  # type: ignore[arg-type]


class TestPlan:
    @settings(max_examples=150, deadline=None)
    @given(shape=SIZES, largest=SIDES)
    def test_windows_cover_the_volume_with_enough_in_common(self, shape: Shape, largest: Shape) -> None:
        plan = plan_for(shape, largest)
        for size, window, starts in zip(shape, plan.window, plan.starts, strict=True):
            assert starts[0] == 0
            assert starts[-1] + window == size
            for one, other in itertools.pairwise(starts):
                assert 0 < other - one <= window * (1 - OVERLAP)
        slabs = list(plan.slabs())
        assert sum(len(windows) for _, _, windows in slabs) == plan.count
        assert len({window for _, _, windows in slabs for window in windows}) == plan.count
        assert [start for start, _, _ in slabs] == sorted(plan.starts[plan.axis])
        assert slabs[-1][1] == shape[plan.axis] == max(shape)

    @settings(max_examples=80, deadline=None)
    @given(shape=SIZES, largest=SIDES, free=st.floats(1e4, 1e7))
    def test_windows_fit_the_memory_or_are_as_small_as_they_may(
        self, shape: Shape, largest: Shape, free: float
    ) -> None:
        plan = plan_for(shape, largest, free_bytes=free)
        padded = [-(-side // 8) * 8 for side in plan.window]
        assert 100.0 * np.prod(padded) <= free or max(plan.window) <= 16
        assert all(side == size or side % 8 == 0 for side, size in zip(plan.window, shape, strict=True))

    def test_a_small_volume_is_one_window(self) -> None:
        plan = plan_for((35, 50, 36), (96, 96, 64))
        assert (plan.window, plan.count, plan.batch) == ((35, 50, 36), 1, 1)

    def test_less_memory_makes_smaller_windows(self) -> None:
        counts = [plan_for((64, 64, 64), (64, 64, 64), free_bytes=free).count for free in (1e8, 1.5e7, 4e6, 1e6)]
        assert counts == sorted(set(counts))

    @settings(max_examples=100, deadline=None)
    @given(shape=SIZES, largest=SIDES)
    def test_they_are_no_longer_than_their_number_asks_for(self, shape: Shape, largest: Shape) -> None:
        plan = plan_for(shape, largest)
        for size, side, starts, most in zip(shape, plan.window, plan.starts, largest, strict=True):
            most = min(size, -(-most // 8) * 8)
            longest = dataclasses.replace(plan, shape=(size,) * 3, window=(most,) * 3)
            assert len(starts) == len(longest.starts[0])
            assert 0.75 * most <= side <= most
            if side < size and side - 8 >= 0.75 * most:
                shorter = dataclasses.replace(plan, shape=(size,) * 3, window=(side - 8,) * 3)
                assert len(shorter.starts[0]) > len(starts)

    def test_a_little_too_large_costs_a_little_more(self) -> None:
        plan = plan_for((192, 192, 64), (160, 160, 64), multiple=16)
        assert (plan.window, plan.count) == ((128, 128, 64), 4)

    def test_only_a_gpu_reads_several_at_once_and_only_as_many_as_fit(self) -> None:
        batches = [
            plan_for((64, 64, 64), (32, 32, 32), free_bytes=free, device="cuda").batch for free in (None, 7e6, 3.3e6)
        ]
        assert batches == [4, 2, 1]
        assert plan_for((64, 64, 64), (32, 32, 32)).batch == 1

    def test_it_can_be_reported(self) -> None:
        plan = plan_for((64, 64, 40), (32, 32, 32))
        told = json.loads(json.dumps(plan.to_dict()))
        assert told == {
            "shape": [64, 64, 40], "window": [32, 32, 24], "batch": 1, "device": "cpu", "axis": 0,
            "overlap": OVERLAP, "count": plan.count,
        }  # fmt: skip
        assert plan == dataclasses.replace(plan)

    @settings(max_examples=80, deadline=None)
    @given(shape=SIZES, largest=SIDES)
    def test_an_overview_costs_no_more_than_a_window(self, shape: Shape, largest: Shape) -> None:
        plan = plan_for(shape, largest)
        overview = overview_shape(plan)
        assert 1 <= np.prod(overview) <= np.prod(plan.window)
        assert all(one <= size for one, size in zip(overview, shape, strict=True))
        if plan.count == 1:
            assert overview == shape
        cut = {one for one, size in zip(overview, shape, strict=True) if one < size}
        assert len(cut) <= 1

    def test_the_number_of_windows_grows_with_the_voxels(self) -> None:
        counts = [plan_for((64, 64, 64 * length), (32, 32, 32)).count / length for length in (2, 4, 8, 16)]
        assert max(counts) <= 1.1 * min(counts)


class TestBlending:
    @settings(max_examples=60, deadline=None)
    @given(shape=SIZES, largest=SIDES)
    def test_weights_sum_to_one(self, shape: Shape, largest: Shape) -> None:
        plan = plan_for(shape, largest)
        for axis, size in enumerate(shape):
            total = np.zeros(size)
            for start, weights in profiles(plan, axis).items():
                assert (weights > 0).all()
                total[start : start + len(weights)] += weights
            np.testing.assert_allclose(total, 1, atol=1e-6)

    @pytest.mark.parametrize("shape", [(40, 37, 22), (22, 40, 37), (23, 30, 61)], ids=str)
    def test_windows_cut_from_a_volume_give_it_back(self, shape: Shape) -> None:
        plan = plan_for(shape, (16, 16, 16))
        values = np.random.default_rng(0).random(shape, dtype=np.float32)
        blender, rows = Blender(plan), []
        for start, following, windows in plan.slabs():
            for window in windows:
                blender.add(window, values[tuple(slice(low, high) for low, high in window)])
            rows.append(blender.finished(following - start))
        np.testing.assert_allclose(np.concatenate(rows, plan.axis), values, atol=1e-6)

    def test_one_window_is_not_weighted_at_all(self) -> None:
        plan = plan_for((9, 8, 7), (16, 16, 16))
        values = np.random.default_rng(0).random((9, 8, 7), dtype=np.float32)
        blender = Blender(plan)
        blender.add(next(iter(plan.slabs()))[2][0], values)
        assert blender.finished(9).tobytes() == values.tobytes()


class TestPartsOfTheWhole:
    @pytest.mark.parametrize("shape", [(35, 50, 36), (152, 21, 9), (9, 1, 5)], ids=str)
    @pytest.mark.parametrize("grid", [(3, 5, 2), (2, 2, 2), (20, 3, 4)], ids=str)
    def test_a_window_of_the_pseudo_image_is_a_crop_of_the_whole(self, grid: Shape, shape: Shape) -> None:
        cells = torch.randn(2, 3, *grid, generator=torch.Generator().manual_seed(0))
        whole = functional.interpolate(cells, size=shape, mode="trilinear", align_corners=False)
        rng = np.random.default_rng(0)
        for _ in range(5):
            window = []
            for size in shape:
                low = int(rng.integers(0, size))
                window.append((low, int(rng.integers(low + 1, size + 1))))
            part = interpolated_window(cells, shape, window)
            expected = whole[(..., *(slice(low, high) for low, high in window))]
            torch.testing.assert_close(part, expected, atol=1e-5, rtol=1e-5)

    def test_the_generator_paints_what_its_cells_say(self) -> None:
        net = tiny.network(tiny.VOLUME_NETWORK)
        assert net.generator is not None
        words = net.read(tiny.tokens("left lung", "upper lung"))
        assert words is not None
        shape = (40, 24, 17)
        whole = net.pseudo_image(words, shape)
        cells = net.generator.cells(words.states, words.mask, shape)
        part = interpolated_window(cells, shape, [(8, 30), (0, 24), (16, 17)])
        assert whole is not None
        torch.testing.assert_close(part, whole[:, :, 8:30, :, 16:17], atol=1e-5, rtol=1e-5)

    def test_positions_in_portions_are_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        net = tiny.network(tiny.VOLUME_NETWORK)
        words = net.read(tiny.tokens("left lung"))
        assert net.generator is not None
        assert words is not None
        whole = net.generator.cells(words.states, words.mask, (50, 40, 30))
        monkeypatch.setattr("TextGuidedSegLib.pseudo_image._POSITIONS_AT_ONCE", 7)
        portions = net.generator.cells(words.states, words.mask, (50, 40, 30))
        torch.testing.assert_close(portions, whole, atol=1e-6, rtol=1e-5)

    def test_coordinates_of_a_window_are_a_crop_of_the_whole(self) -> None:
        cpu = torch.device("cpu")
        whole = canonical_coordinates((9, 7, 5), cpu)
        assert torch.equal(window_coordinates((9, 7, 5), [(2, 6), (0, 7), (4, 5)], cpu), whole[:, 2:6, :, 4:5])


class TestSmallerWindows:
    def test_each_is_thriftier_than_the_last_until_there_is_none(self) -> None:
        plan: WindowPlan | None = WindowPlan((200, 90, 40), (96, 64, 40), 3, "cuda", 0)
        seen = []
        while plan is not None:
            seen.append(plan.batch * math.prod(plan.window))
            assert plan.shape == (200, 90, 40)
            assert all(low <= size for low, size in zip(plan.window, plan.shape, strict=True))
            plan = smaller_windows(plan, 8)
        assert seen == sorted(set(seen), reverse=True)
        assert seen[-1] == 16 * 16 * 16
