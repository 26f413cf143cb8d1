"""Islands of a segment, parts that do not touch: find the one that is pointed at, keep it alone or take it away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from TextGuidedSegLib.errors import ImageError

from .scene import arrayOf, boundingBox
from .segments import replaceVoxels, requireLabelmaps


@dataclass(frozen=True)
class Island:
    """One island of a segment.

    Attributes:
        image: The whole segment, `vtkOrientedImageData` of 0 and 1 in the segmentation's frame; a copy.
        inside: `(I, J, K)` bool on the same grid, True in the island.
    """

    image: object
    inside: np.ndarray


def pointedAt(scene) -> tuple[float, float, float] | None:
    """Where the user points: at the mouse while it is over a view, else at the crosshair.

    Returns:
        `(x, y, z)` in RAS mm in the world; None if the mouse is elsewhere and the crosshair was never set.
    """
    node = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    if node is None:
        return None
    position = [0.0, 0.0, 0.0]
    if not node.GetCursorPositionRAS(position):
        position = list(node.GetCrosshairRAS())
        if not any(position):  # the origin, where it is before anybody set it
            return None
    return position[0], position[1], position[2]


def islandAt(segmentationNode, segmentId: str, position) -> Island | None:
    """Find the island of a segment at a place.

    Voxels belong together if they share a face, as in the Segment Editor.

    Args:
        segmentationNode: Node of the segment, under any transform.
        segmentId: The segment, on any grid.
        position: `(x, y, z)` in RAS mm in the world. One voxel beside the island is near enough: a slice view shows a
            film half a voxel before and behind it, and a surface in 3D lies a little outside.

    Returns:
        None if the segment has no voxel there.

    Raises:
        TextGuidedSegError: The segment is gone, has no voxels to read, or is a surface.
    """
    requireLabelmaps(segmentationNode)
    image = slicer.vtkOrientedImageData()
    if not segmentationNode.GetBinaryLabelmapRepresentation(segmentId, image):
        msg = f"the segment {segmentId} of {segmentationNode.GetName()} has no voxels; convert it to a label map"
        raise ImageError(msg)
    if image.IsEmpty():
        return None
    filled = arrayOf(image) != 0
    seed = _seed(filled, _indexOf(image, segmentationNode, position))
    if seed is None:
        return None
    return Island(image, _connected(filled, seed))


def keepIsland(island: Island, segmentationNode, segmentId: str) -> None:
    """Leave nothing of the segment but the island."""
    arrayOf(island.image)[~island.inside] = 0
    replaceVoxels(island.image, segmentationNode, segmentId)


def removeIsland(island: Island, segmentationNode, segmentId: str) -> None:
    """Take the island out of the segment; one that was all of it leaves an empty segment."""
    arrayOf(island.image)[island.inside] = 0
    replaceVoxels(island.image, segmentationNode, segmentId)


def _indexOf(image, segmentationNode, position) -> np.ndarray:
    """Index of a place in the world, `(3,)` float, counted from the image's first voxel."""
    toSegmentation, toIndex = vtk.vtkGeneralTransform(), vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        None, segmentationNode.GetParentTransformNode(), toSegmentation
    )
    image.GetWorldToImageMatrix(toIndex)
    place = toIndex.MultiplyPoint((*toSegmentation.TransformPoint(*position), 1.0))
    return np.array(place[:3]) - image.GetExtent()[::2]


def _seed(filled: np.ndarray, index: np.ndarray) -> tuple[int, int, int] | None:
    """The nearest voxel of the segment, one voxel away at most; distances are counted in voxels."""
    center = np.rint(index).astype(int)
    offsets = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    near = center + offsets
    near = near[np.all((near >= 0) & (near < filled.shape), axis=1)]
    near = near[filled[tuple(near.T)]]
    if not len(near):
        return None
    i, j, k = near[np.argmin(np.linalg.norm(near - index, axis=1))]
    return int(i), int(j), int(k)


def _connected(filled: np.ndarray, seed: tuple[int, int, int]) -> np.ndarray:
    # Slicer loads this file at its start; scipy is not needed before the first click.
    from scipy import ndimage

    box = boundingBox(filled)
    # Transposed, as VTK stores it: several times as fast.
    labels = ndimage.label(filled[box].T)[0].T
    inside = np.zeros_like(filled)
    inside[box] = labels == labels[tuple(index - part.start for index, part in zip(seed, box, strict=True))]
    return inside
