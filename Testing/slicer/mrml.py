"""Small scenes to test on, and where things are in the world by plain matrix arithmetic.

What is expected is worked out with numpy from the matrices that were put in, so that a mistake in Slicer's transforms
or in the code under test cannot hide itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import slicer
import vtk
from numpy.typing import ArrayLike, NDArray
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

SPACING_MM = (0.8, 1.1, 2.3)


def rotation(x_degrees: float, y_degrees: float, z_degrees: float) -> NDArray[np.float64]:
    """Homogeneous rotation about x, then y, then z."""
    matrix = np.eye(4)
    for axis, degrees in enumerate((x_degrees, y_degrees, z_degrees)):
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(4)
        turn[first, first] = turn[second, second] = cosine
        turn[first, second], turn[second, first] = -sine, sine
        matrix = turn @ matrix
    return matrix


def shift(x_mm: float, y_mm: float, z_mm: float) -> NDArray[np.float64]:
    """Homogeneous translation."""
    matrix = np.eye(4)
    matrix[:3, 3] = (x_mm, y_mm, z_mm)
    return matrix


def orientations() -> list[NDArray[np.float64]]:
    """All 48 ways in which three array axes can run along the patient's axes, half of them mirrored."""
    affines = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            affine = shift(12.5, -31.0, 7.25)
            affine[:3, :3] = 0
            for axis in range(3):
                affine[order[axis], axis] = signs[axis] * SPACING_MM[axis]
            affines.append(affine)
    return affines


def axis_letters(affine: NDArray[np.float64]) -> tuple[str, ...]:
    """Anatomical directions of an affine that runs straight along the patient's axes."""
    rows = np.argmax(np.abs(affine[:3, :3]), axis=0)
    return tuple(("LPI", "RAS")[int(affine[row, axis] > 0)][row] for axis, row in enumerate(rows))


PARENTS: dict[str, tuple[NDArray[np.float64], ...]] = {
    "none": (),
    "linear": (shift(50, -20, 8) @ rotation(0, 0, 30),),
    "nested": (shift(-5, 60, 0) @ rotation(20, 0, 0), rotation(0, 25, 10) @ shift(3, 4, 5)),
    "sheared": (np.eye(4) + 0.3 * np.eye(4, k=1) @ np.diag([1, 1, 1, 0]),),
    "oblique": (shift(1, 2, 3) @ rotation(25, -33, 40) @ np.diag([1.2, 0.9, 1.1, 1.0]),),
}
"""Chains of parent transforms, outermost first."""


def blob(shape: Sequence[int]) -> NDArray[np.uint8]:
    """A mask without any symmetry, away from the border of every axis longer than three."""
    mask = np.zeros(shape, np.uint8)
    box = [slice(size // 4, size // 4 + max(1, size // 3)) for size in shape]
    mask[tuple(box)] = 1
    mask[tuple(part.stop - 1 for part in box)] = 0
    mask[
        tuple(
            min(part.stop, size - 1) if axis == 0 else part.start
            for axis, (part, size) in enumerate(zip(box, shape, strict=True))
        )
    ] = 1
    return mask


def matrix4x4(matrix: NDArray[np.float64]) -> vtk.vtkMatrix4x4:
    """A numpy matrix as VTK's."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, dtype=np.float64).ravel())
    return result


def from_matrix4x4(matrix: vtk.vtkMatrix4x4) -> NDArray[np.float64]:
    """A VTK matrix as numpy's."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def add_volume(scene, array: ArrayLike, affine: NDArray[np.float64], *, name: str = "film", parents=()):
    """A scalar volume node, or a vector volume node for an array (I, J, K, C), below a chain of transforms."""
    values = np.asarray(array)
    kind = "vtkMRMLVectorVolumeNode" if values.ndim == 4 else "vtkMRMLScalarVolumeNode"
    node = scene.AddNewNodeByClass(kind, name)
    image = vtk.vtkImageData()
    image.SetDimensions(*values.shape[:3])
    rows = values.reshape(-1, values.shape[3], order="F") if values.ndim == 4 else values.ravel(order="F")
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(rows), deep=True))
    node.SetAndObserveImageData(image)
    node.SetIJKToRASMatrix(matrix4x4(affine))
    node.CreateDefaultDisplayNodes()
    put_below(node, parents)
    return node


def put_below(node, parents: Sequence[NDArray[np.float64]]) -> None:
    """Give a node a chain of new linear parent transforms, outermost first."""
    parent = None
    for matrix in parents:
        transform = node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(matrix4x4(matrix))
        transform.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
        parent = transform
    node.SetAndObserveTransformNodeID(parent.GetID() if parent else None)


def add_warp(scene, amount_mm: float = 4.0):
    """A smooth non-linear transform node that moves points by about `amount_mm`."""
    random = np.random.default_rng(0)
    sources, targets = vtk.vtkPoints(), vtk.vtkPoints()
    for point in itertools.product((-80.0, -40.0, 0.0, 40.0, 80.0), repeat=3):
        sources.InsertNextPoint(point)
        targets.InsertNextPoint(np.add(point, random.normal(0, amount_mm, 3)))
    warp = vtk.vtkThinPlateSplineTransform()
    warp.SetSourceLandmarks(sources)
    warp.SetTargetLandmarks(targets)
    warp.SetBasisToR()
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    node.SetAndObserveTransformToParent(warp)
    return node


def moved(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points `(N, 3)` through a homogeneous matrix."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def chained(parents: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The world matrix of a chain of transforms, outermost first."""
    world = np.eye(4)
    for matrix in parents:
        world = world @ matrix
    return world


def mask_points(mask: NDArray[np.uint8], affine: NDArray[np.float64], parents=()) -> NDArray[np.float64]:
    """World coordinates `(N, 3)` of the voxels inside a mask, by matrix arithmetic alone."""
    return moved(chained(parents) @ affine, np.argwhere(mask).astype(np.float64))


def segment_points(segmentation_node, segment_id: str, parents=()) -> NDArray[np.float64]:
    """World coordinates `(N, 3)` of a segment's voxels, read from its labelmap and that labelmap's own matrix."""
    image = segmentation_node.GetBinaryLabelmapInternalRepresentation(segment_id)
    label = segmentation_node.GetSegmentation().GetSegment(segment_id).GetLabelValue()
    if image.IsEmpty():
        return np.zeros((0, 3))
    to_world = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(to_world)
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions(), order="F")
    corner = np.array(image.GetExtent()[::2])
    return moved(chained(parents) @ from_matrix4x4(to_world), np.argwhere(voxels == label) + corner)


def same_points(first: NDArray[np.float64], second: NDArray[np.float64], tolerance_mm: float = 1e-4) -> bool:
    """True if two sets of points are the same, in whatever order."""
    if len(first) != len(second):
        return False
    distances = np.linalg.norm(first[:, None] - second[None], axis=2)
    return bool(
        distances.min(axis=0).max(initial=0) < tolerance_mm and distances.min(axis=1).max(initial=0) < tolerance_mm
    )


def read_segmentation(scene, path):
    """A new segmentation node filled from a file by Slicer's own reader."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.ReadData(node), f"Slicer cannot read {path}"
    return node


def write_segmentation_node(node, path) -> None:
    """Save a segmentation node by Slicer's own writer."""
    storage = slicer.vtkMRMLSegmentationStorageNode()
    node.GetScene().AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.WriteData(node), f"Slicer cannot write {path}"
