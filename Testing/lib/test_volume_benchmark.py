"""The benchmark of volumes measures what it says: voxels, seconds, memory, progress; a line through them; files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from Testing.benchmarks.volumes import Case, draw, fit, main, measured, phantom, untrained_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("benchmark") / "untrained", (4, 4, 4))


def rows(power: float) -> list[dict[str, float]]:
    return [{"voxels": size, "cpu_seconds": 2e-6 * size**power} for size in (1e5, 1e6, 5e6, 2e7)]


@pytest.mark.parametrize("shape", [(20, 30, 25), (140, 60, 200)])
def test_the_phantom_is_a_head_of_any_size(shape: tuple[int, int, int]) -> None:
    image = phantom(shape, 0.7)
    assert (image.array.shape, image.array.dtype, image.kind) == (shape, np.int16, "volume")
    np.testing.assert_allclose(image.geometry.spacing_mm, 0.7)
    middle = tuple(size // 2 for size in shape)
    assert image.array[middle] > image.array[0, 0, 0] + 50


def test_one_run_is_measured(model: Path) -> None:
    row = measured(Case((96, 80, 140), 0.5, str(model), "left hippocampus"))
    assert row["network_shape"] == [48, 40, 70]
    assert row["voxels"] == 48 * 40 * 70
    assert row["plan"]["count"] > 1
    assert row["read_per_voxel"] >= 1
    assert row["progress_events"] > row["plan"]["count"]
    assert row["progress_grows"]
    assert 0 < row["longest_wait_for_cancel_s"] < row["seconds"]
    assert row["peak_bytes"] > row["image_bytes"] + row["result_bytes"]
    assert row["voxels_per_second"] == pytest.approx(row["voxels"] / row["seconds"], rel=0.01)


def test_cost_that_is_linear_is_told_from_cost_that_is_not() -> None:
    linear, worse = fit(rows(1.0)), fit(rows(1.5))
    assert linear["power"] == pytest.approx(1)
    assert linear["seconds_per_million_voxels"] == pytest.approx(2)
    assert linear["r_squared"] == pytest.approx(1)
    assert worse["power"] == pytest.approx(1.5)


@pytest.mark.slow
def test_the_command_writes_figures_and_a_plot(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--out", str(tmp_path / "a.json"), "--plot", str(tmp_path / "a.png")]
    assert main(["--shapes", "32x32x32", "48x48x64", "--model", str(model), "--threads", "1", *files]) == 0
    report = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert [row["voxels"] for row in report["rows"]] == [32**3, 48 * 48 * 64]
    assert report["network"] == "untrained"
    assert set(report["fit"]) == {"seconds_per_million_voxels", "seconds_at_zero", "power", "r_squared"}
    assert (tmp_path / "a.png").stat().st_size > 5000
    assert "voxels/s" in capsys.readouterr().out


def test_a_plot_of_one_size_has_no_line(tmp_path: Path) -> None:
    row = {"voxels": 10**6, "cpu_seconds": 2.0, "peak_bytes": 10**9, "image_bytes": 10**6, "result_bytes": 10**7}
    draw({"rows": [row], "network": "untrained", "threads": 1}, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_a_shape_that_is_none() -> None:
    with pytest.raises(ValueError, match="IxJxK, for example 512x512x600, got '512'"):
        main(["--shapes", "512"])
