"""What a person sees: film, segment and pseudo-image in Slicer's own slice view, drawn without a screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import vtk
from scipy.ndimage import binary_erosion
from vtk.util.numpy_support import vtk_to_numpy

from Testing.slicer import render_slice_view as command
from TextGuidedSegLib.export import write_image, write_segmentation
from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.phantom import chest_film

pytestmark = pytest.mark.slicer

ROWS, COLUMNS = 240, 216


@pytest.fixture(scope="module")
def phantom():
    return chest_film(3, size=(ROWS, COLUMNS))


@pytest.fixture(scope="module")
def film(phantom) -> Image:
    return Image.from_array(phantom.array)


@pytest.fixture(scope="module")
def plain(film: Image, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return drawn(tmp_path_factory.mktemp("plain") / "plain.png", film)


def drawn(out: Path, film: Image, **layers) -> np.ndarray:
    """The picture `(rows, columns, 3)`, as large as the film, so that pixels can be compared with it."""
    command.render_slice_view(out, film, size=(COLUMNS, ROWS), **layers)
    return picture(out)


def picture(path: Path) -> np.ndarray:
    reader = vtk.vtkPNGReader()
    reader.SetFileName(str(path))
    reader.Update()
    columns, rows, _ = reader.GetOutput().GetDimensions()
    values = vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars())
    return values.reshape(rows, columns, -1)[::-1, :, :3].astype(int)


def as_voxels(plane: np.ndarray) -> np.ndarray:
    return plane.T[:, :, None]


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.abs(after - before).max(axis=2) > 12


def away_from_border(mask: np.ndarray) -> np.ndarray:
    """Without the pixels that an outline may cover."""
    return binary_erosion(mask, np.ones((3, 3)), iterations=3, border_value=1)


def test_the_film_is_seen_head_up_with_the_patients_left_on_the_right(phantom, plain: np.ndarray) -> None:
    assert similarity(plain.mean(axis=2), phantom.array) > 0.98
    assert similarity(plain.mean(axis=2), phantom.array[:, ::-1]) < 0.9
    assert similarity(plain.mean(axis=2), phantom.array[::-1]) < 0.9
    assert np.ptp(plain, axis=2).max() == 0  # gray


def test_a_film_stored_in_another_axis_order_is_seen_the_same(film: Image, plain: np.ndarray, tmp_path: Path) -> None:
    swap = np.eye(4)[:, [2, 0, 1, 3]]
    geometry = Geometry((1, COLUMNS, ROWS), film.geometry.affine_ijk_to_ras @ swap)
    turned = Image(film.array.transpose(2, 0, 1), geometry, geometry.axis_codes, "film")
    assert similarity(drawn(tmp_path / "turned.png", turned).mean(axis=2), plain.mean(axis=2)) > 0.99


def test_the_segment_is_seen_where_it_is_and_nowhere_else(phantom, film: Image, plain, tmp_path: Path) -> None:
    write_segmentation(
        tmp_path / "one.seg.nrrd", as_voxels(phantom.lesions), film.geometry, name="opacity", color=(1, 0.5, 0)
    )
    after = drawn(tmp_path / "segment.png", film, segmentation=tmp_path / "one.seg.nrrd")
    difference = changed(plain, after)
    assert difference[away_from_border(phantom.lesions)].mean() > 0.99
    assert not difference[away_from_border(~phantom.lesions)].any()
    red, _, blue = after[away_from_border(phantom.lesions)].mean(axis=0)
    assert red > blue + 30


def test_the_pseudo_image_is_seen_where_it_is_high_and_nowhere_else(phantom, film: Image, plain, tmp_path) -> None:
    soft = np.where(phantom.lungs["right"], 0.9, 0.1).astype(np.float32)
    display = command.MapDisplay(lowest=0.5)
    after = drawn(tmp_path / "pseudo.png", film, pseudo_image=as_voxels(soft), display=display)
    difference = changed(plain, after)
    assert difference[away_from_border(phantom.lungs["right"])].mean() > 0.99
    assert not difference[away_from_border(~phantom.lungs["right"])].any()


def test_the_legend_is_seen_though_the_map_is_an_extra_layer(film: Image, plain, tmp_path: Path) -> None:
    nothing = np.zeros(film.array.shape, np.float32)
    display = command.MapDisplay(legend=True, phrase="left lung", content="probability")
    after = drawn(tmp_path / "legend.png", film, pseudo_image=nothing, display=display)
    rows, columns = np.nonzero(changed(plain, after))
    assert len(rows) > 200
    assert columns.min() > COLUMNS / 2
    assert rows.min() > ROWS / 2
    colorful = np.ptp(after, axis=2) > 60
    assert colorful.sum() > 50  # the bar; letters and film are gray
    without = command.MapDisplay(legend=False)
    assert not changed(plain, drawn(tmp_path / "without.png", film, pseudo_image=nothing, display=without)).any()


def test_a_new_region_is_seen_as_a_frame_around_the_middle(film: Image, plain, tmp_path: Path) -> None:
    difference = changed(plain, drawn(tmp_path / "region.png", film, region=True))
    assert not difference[: ROWS // 8].any()
    assert difference[ROWS // 2, : COLUMNS // 3].any()
    assert difference[ROWS // 2, -COLUMNS // 3 :].any()
    assert not difference[ROWS // 3, COLUMNS // 3 : 2 * COLUMNS // 5].any()


def test_the_command_draws_files_and_its_options_count(phantom, film: Image, tmp_path: Path) -> None:
    write_image(tmp_path / "film.nrrd", film.array, film.geometry)
    write_image(tmp_path / "pseudo.nrrd", as_voxels(phantom.lesions).astype(np.float32), film.geometry)
    write_segmentation(tmp_path / "one.seg.nrrd", as_voxels(phantom.lesions), film.geometry, name="opacity")
    names = {"film": "film.nrrd", "segmentation": "one.seg.nrrd", "pseudo": "pseudo.nrrd"}
    files = [part for option, name in names.items() for part in (f"--{option}", str(tmp_path / name))]
    command.main([*files, "--out", str(tmp_path / "strong.png"), "--size", "150", "170", "--opacity", "1"])
    command.main([*files, "--out", str(tmp_path / "hidden.png"), "--size", "150", "170", "--opacity", "0"])
    strong, hidden = picture(tmp_path / "strong.png"), picture(tmp_path / "hidden.png")
    assert strong.shape == hidden.shape == (170, 150, 3)
    assert 0.001 < changed(hidden, strong).mean() < 0.2


def test_without_opengl_the_error_says_what_to_install(film: Image, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(command, "_PROBE", "import os; os.abort()")
    with pytest.raises(RuntimeError, match="install libegl1, libgl1 and libgl1-mesa-dri"):
        command.render_slice_view(tmp_path / "never.png", film)
    assert not (tmp_path / "never.png").exists()
