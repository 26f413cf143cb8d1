"""Slicer's slice view of a result, drawn to a PNG without a screen: film, segment, overlay, legend, region of interest.

    python -m Testing.slicer.render_slice_view --film film.png --segmentation result.seg.nrrd --pseudo pseudo.nrrd \
        --legend --out view.png

The view is the real one (slice logic, layers, segmentation display) of the package slicer-core, drawn by trame-slicer;
the overlay is made by the module's own code. Needs the extra `slicer-test`, and on Linux an OpenGL without a screen.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from numpy.typing import NDArray
from trame_slicer.core import SlicerApp
from trame_slicer.views import DirectViewFactory, ViewLayoutDefinition

from Testing.slicer.colors import add_color_maps, color_module
from Testing.slicer.mrml import add_volume, read_segmentation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.io import read_image

# As in Slicer, the module's folder is on the path, so that its panel package is found by its own name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "TextGuidedSeg"))
from TextGuidedSegPanel.legend import showLegend
from TextGuidedSegPanel.overlay import PROBABILITY, TEXT_MAP, Overlay, makeSoftMap
from TextGuidedSegPanel.regionOfInterest import newRegion

NO_OPENGL = (
    "no OpenGL that draws without a screen was found; on Debian and Ubuntu install "
    "libegl1, libgl1 and libgl1-mesa-dri (Mesa's software renderer needs no graphics card)"
)

_PROBE = """
import vtkmodules.vtkRenderingOpenGL2
from vtkmodules.vtkRenderingCore import vtkRenderWindow
window = vtkRenderWindow()
window.SetOffScreenRendering(1)
window.Render()
"""

_FILL, _FILL_OVER_PSEUDO_IMAGE = 0.4, 0.15  # opacity of the segment's inside, low enough to see what lies below


@dataclass(frozen=True)
class MapDisplay:
    """How the overlay is drawn.

    Attributes:
        opacity: 0 to 1.
        lowest: Values below are transparent.
        content: "text map" or "probability".
        phrase: What it belongs to, for the legend.
        legend: Whether there is one.
    """

    opacity: float = 0.5
    lowest: float = 0.25
    content: str = TEXT_MAP
    phrase: str = "phrase"
    legend: bool = False


def render_slice_view(
    out: Path,
    film: Image,
    *,
    segmentation: Path | None = None,
    pseudo_image: NDArray[Any] | None = None,
    size: tuple[int, int] = (900, 1000),
    display: MapDisplay | None = None,
    region: bool = False,
) -> None:
    """Draw one slice view in the film's plane.

    Args:
        out: PNG to write.
        film: What is shown below.
        segmentation: `.seg.nrrd`, read by Slicer's own reader and drawn with fill and outline.
        pseudo_image: `(I, J, K)` in [0, 1] on the film's grid, drawn as the module's overlay; may be the probability.
        size: Width and height of the picture in pixels.
        display: How the overlay is drawn.
        region: Draw the region of interest that the panel's button makes.

    Raises:
        RuntimeError: There is no OpenGL without a screen.
    """
    require_opengl()
    app = SlicerApp()
    add_color_maps(app.scene)
    view = _coronal_view(app, size)
    view.set_render_blocked(True)  # else every change draws the whole view
    volume = _show(app, view, film)
    if pseudo_image is not None:
        _overlay(app, volume, pseudo_image, display or MapDisplay())
    if region:
        newRegion(volume)
    if segmentation is not None:
        node = read_segmentation(app.scene, segmentation)
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetAllSegmentsOpacity2DFill(_FILL if pseudo_image is None else _FILL_OVER_PSEUDO_IMAGE)
        node.GetDisplayNode().SetSliceIntersectionThickness(3)
    view.interactor().Render()
    _save(view.render_window(), out)
    view.finalize()


def require_opengl() -> None:
    """Try in a process of its own whether VTK can draw, because without OpenGL it ends its process.

    Raises:
        RuntimeError: It cannot; the message says what to install.
    """
    done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(NO_OPENGL)


def _show(app: SlicerApp, view: Any, film: Image) -> Any:
    gray = film.array if film.array.ndim == 3 else film.array.mean(axis=3)
    volume = add_volume(app.scene, gray.astype(np.float32), film.geometry.affine_ijk_to_ras)
    view.set_background_volume_id(volume.GetID())
    view.get_view_node().RotateToVolumePlane(volume)
    view.fit_view_to_content()
    return volume


def _overlay(app: SlicerApp, volume: Any, values: NDArray[Any], display: MapDisplay) -> None:
    node = makeSoftMap(values, volume, display.phrase, content=display.content, lowest=display.lowest)
    composite = app.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    Overlay().show(node, [composite], display.opacity)
    if display.legend:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(slicer, "modules", SimpleNamespace(colors=color_module(app.scene)), raising=False)
            showLegend(node)


def _coronal_view(app: SlicerApp, size: tuple[int, int]) -> Any:
    app.view_manager.register_factory(DirectViewFactory(do_render_offscreen=True))
    # VTK tries a screen first and complains that there is none.
    vtk.vtkObject.GlobalWarningDisplayOff()
    try:
        view = app.view_manager.create_view(ViewLayoutDefinition.coronal_view())
        view.render_window().SetSize(*size)
        view.update_size(*size)
    finally:
        vtk.vtkObject.GlobalWarningDisplayOn()
    return view


def _save(window: vtk.vtkRenderWindow, out: Path) -> None:
    picture = vtk.vtkWindowToImageFilter()
    picture.SetInput(window)
    picture.ReadFrontBufferOff()
    writer = vtk.vtkPNGWriter()
    writer.SetInputConnection(picture.GetOutputPort())
    writer.SetFileName(str(out))
    writer.Write()


def main(arguments: list[str] | None = None) -> None:
    """Read the files named on the command line and draw them."""
    parser = argparse.ArgumentParser(prog="python -m Testing.slicer.render_slice_view", description="Draw a result.")
    parser.add_argument("--film", type=Path, required=True, help="image file")
    parser.add_argument("--segmentation", type=Path, help=".seg.nrrd")
    parser.add_argument("--pseudo", type=Path, help="pseudo-image or probability on the film's grid")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    parser.add_argument("--size", type=int, nargs=2, default=(900, 1000), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--opacity", type=float, default=0.5, help="of the pseudo-image, 0 to 1")
    parser.add_argument("--lowest", type=float, default=0.25, help="values of the pseudo-image below are transparent")
    parser.add_argument("--probability", action="store_true", help="what --pseudo names is a probability")
    parser.add_argument("--phrase", default="phrase", help="what it belongs to, for the legend")
    parser.add_argument("--legend", action="store_true", help="draw the legend of the overlay")
    parser.add_argument("--region", action="store_true", help="draw a new region of interest")
    options = parser.parse_args(arguments)
    render_slice_view(
        options.out,
        read_image(options.film),
        segmentation=options.segmentation,
        pseudo_image=read_image(options.pseudo).array if options.pseudo else None,
        size=tuple(options.size),
        display=MapDisplay(
            options.opacity, options.lowest, PROBABILITY if options.probability else TEXT_MAP, options.phrase,
            options.legend,
        ),
        region=options.region,
    )  # fmt: skip


if __name__ == "__main__":
    main()
