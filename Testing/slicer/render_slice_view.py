"""Slicer's slice view of a result, drawn to a PNG without a screen: film, segment, pseudo-image.

    python -m Testing.slicer.render_slice_view --film film.png --segmentation result.seg.nrrd --pseudo pseudo.nrrd \
        --out view.png

The view is the real one (slice logic, layers, segmentation display) of the package slicer-core, drawn by trame-slicer;
the overlay is made by the module's own code. Needs the extra `slicer-test`, and on Linux an OpenGL without a screen.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from trame_slicer.core import SlicerApp
from trame_slicer.views import DirectViewFactory, ViewLayoutDefinition

from Testing.slicer.mrml import add_volume, read_segmentation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.io import read_image

# As in Slicer, the module's folder is on the path, so that its panel package is found by its own name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "TextGuidedSeg"))
from TextGuidedSegPanel.overlay import Overlay, makePseudoImage

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

# matplotlib's Viridis (public domain) at 0, 1/8, ... 1; the application loads it from a file that slicer-core lacks.
_VIRIDIS = (
    (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129), (92, 200, 99),
    (170, 220, 50), (253, 231, 37),
)  # fmt: skip


def render_slice_view(
    out: Path,
    film: Image,
    *,
    segmentation: Path | None = None,
    pseudo_image: NDArray[Any] | None = None,
    size: tuple[int, int] = (900, 1000),
    opacity: float = 0.5,
    lowest: float = 0.25,
) -> None:
    """Draw one slice view in the film's plane.

    Args:
        out: PNG to write.
        film: What is shown below.
        segmentation: `.seg.nrrd`, read by Slicer's own reader and drawn with fill and outline.
        pseudo_image: `(I, J, K)` in [0, 1] on the film's grid, drawn as the module's overlay.
        size: Width and height of the picture in pixels.
        opacity: Of the overlay.
        lowest: Values of the overlay below are transparent.

    Raises:
        RuntimeError: There is no OpenGL without a screen.
    """
    require_opengl()
    app = SlicerApp()
    _add_viridis(app.scene)
    view = _coronal_view(app, size)
    view.set_render_blocked(True)  # else every change draws the whole view
    _show(app, view, film, pseudo_image, (opacity, lowest))
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


def _show(app, view, film: Image, pseudo_image: NDArray[Any] | None, display: tuple[float, float]) -> None:
    gray = film.array if film.array.ndim == 3 else film.array.mean(axis=3)
    volume = add_volume(app.scene, gray.astype(np.float32), film.geometry.affine_ijk_to_ras)
    view.set_background_volume_id(volume.GetID())
    view.get_view_node().RotateToVolumePlane(volume)
    view.fit_view_to_content()
    if pseudo_image is not None:
        opacity, lowest = display
        node = makePseudoImage(pseudo_image, volume, "phrase", lowest=lowest)
        composite = app.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
        Overlay().show(node, [composite], opacity)


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


def _add_viridis(scene: slicer.vtkMRMLScene) -> None:
    node = slicer.vtkMRMLColorTableNode()
    node.SetTypeToUser()
    node.SetNumberOfColors(256)
    steps = np.linspace(0, 1, len(_VIRIDIS))
    for index, level in enumerate(np.linspace(0, 1, 256)):
        color = [np.interp(level, steps, channel) / 255 for channel in zip(*_VIRIDIS, strict=True)]
        node.SetColor(index, f"{index}", *color, 1.0)
    node.SetSingletonTag("FileViridis.txt")
    scene.AddNode(node)


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
    options = parser.parse_args(arguments)
    render_slice_view(
        options.out,
        read_image(options.film),
        segmentation=options.segmentation,
        pseudo_image=read_image(options.pseudo).array if options.pseudo else None,
        size=tuple(options.size),
        opacity=options.opacity,
        lowest=options.lowest,
    )


if __name__ == "__main__":
    main()
