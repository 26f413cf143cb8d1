"""Thirds of the films by how hard they are, and curves of how runs learned."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from training.comparison.curves import draw_curves, read_curve
from training.comparison.strata import border_contrast, measured, thirds
from training.datasets.index import read_index


def disk(size: int = 40, radius: int = 10) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(rows, columns) < radius


class TestBorderContrast:
    def test_a_clean_edge_has_two_standard_deviations(self) -> None:
        # Two equal groups that differ by d have a standard deviation of d / 2; the rings are nearly equal in number.
        assert border_contrast(disk().astype(float), disk()) == pytest.approx(2, abs=0.15)

    def test_no_edge_has_none(self) -> None:
        noise = np.random.default_rng(0).normal(size=(200, 200))
        assert border_contrast(noise, disk(200, 60)) < 0.15

    def test_exposure_does_not_matter_and_noise_lowers_it(self) -> None:
        noise = np.random.default_rng(0).normal(size=(40, 40))
        image = disk() + 0.5 * noise
        contrast = border_contrast(image, disk())
        assert border_contrast(100 - 30 * image, disk()) == pytest.approx(contrast)
        assert border_contrast(disk() + 2 * noise, disk()) < contrast < border_contrast(disk() * 1.0, disk())

    def test_far_from_the_border_nothing_matters(self) -> None:
        image = disk().astype(float)
        changed = image.copy()
        changed[18:22, 18:22] = 9.0
        changed[0] = -9.0
        assert border_contrast(changed, disk()) == border_contrast(image, disk())

    @pytest.mark.parametrize("mask", [np.zeros((20, 20), bool), np.ones((20, 20), bool)])
    def test_without_a_border_there_is_no_contrast(self, mask: np.ndarray) -> None:
        assert math.isnan(border_contrast(np.random.default_rng(0).random((20, 20)), mask))

    def test_a_black_film_has_none(self) -> None:
        assert math.isnan(border_contrast(np.zeros((40, 40)), disk()))


class TestThirds:
    @given(st.lists(st.floats(0, 1), min_size=3, max_size=50))
    def test_they_are_equal_in_number_and_ordered(self, values: list[float]) -> None:
        array = np.array(values)
        third = thirds(array)
        counts = np.bincount(third, minlength=3)
        assert counts.max() - counts.min() <= 1
        assert array[third == 0].max() <= array[third == 1].min()
        assert array[third == 1].max() <= array[third == 2].min()

    def test_what_has_no_value_is_in_none(self) -> None:
        assert thirds(np.array([0.3, np.nan, 0.1, 0.2])).tolist() == [2, -1, 0, 1]

    def test_nothing_has_no_thirds(self) -> None:
        assert thirds(np.array([np.nan])).tolist() == [-1]

    def test_films_are_measured_once(self, lesion_index: Path, tmp_path: Path) -> None:
        rows = read_index(lesion_index)
        first = measured(rows, tmp_path / "strata.csv")
        sizes = [(sitk.GetArrayFromImage(sitk.ReadImage(str(row.mask))) > 0).mean() for row in rows]
        np.testing.assert_allclose(first["size"], sizes, rtol=1e-5)
        assert (first["border contrast"] > 0).all()
        again = measured([], tmp_path / "strata.csv")
        assert {name: values.tolist() for name, values in again.items()} == {
            name: values.tolist() for name, values in first.items()
        }


class TestCurves:
    def test_a_step_that_was_logged_twice_counts_once(self, tmp_path: Path) -> None:
        entries = [{"step": 50, "dice": 0.9}, {"step": 100, "dice": 0.8}, {"step": 50, "dice": 0.7}, {"step": 150}]
        (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, entries)), encoding="utf-8")
        assert read_curve(tmp_path) == ([50, 100], [0.7, 0.8])
        assert read_curve(tmp_path / "nowhere") == ([], [])

    def test_a_picture_is_written_if_there_is_something_to_draw(self, tmp_path: Path) -> None:
        path = tmp_path / "curves.png"
        assert not draw_curves(path, {"a": [([], [])], "b": []}, "loss")
        assert not path.exists()
        assert draw_curves(path, {"a": [([1, 2], [0.9, 0.5])], "b": [([], [])]}, "loss")
        pixels = path.read_bytes()
        assert sitk.GetArrayFromImage(sitk.ReadImage(str(path))).std() > 1
        assert draw_curves(path, {"a": [([1, 2], [0.9, 0.5])], "b": [([], [])]}, "loss")
        assert path.read_bytes() == pixels, "equal runs give equal files"
