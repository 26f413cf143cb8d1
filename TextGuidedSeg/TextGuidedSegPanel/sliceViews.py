"""Slice views go to a result, so that it is seen without searching."""

from __future__ import annotations

import math

import numpy as np
import slicer
import vtk

from TextGuidedSegLib.worker_protocol import Crop

from .scene import geometryOf

_MOST_COUNTED = 4_000_000  # of a larger mask every other voxel, or fewer, tell as well where most of it is


def moveIntoView(mask: Crop, volumeNode) -> None:
    """Move every slice view to where most of a mask is; in-plane the views stay where they are.

    Args:
        mask: On the volume's grid, 1 inside and 0 outside; an empty one moves nothing.
        volumeNode: The volume the mask was made from.
    """
    # Not the center of the segment, which may lie outside of it, and which takes Slicer a tenth of a second on a film.
    if not mask.array.any():
        return
    step = math.ceil((mask.array.size / _MOST_COUNTED) ** (1 / 3))
    counted = mask.array[::step, ::step, ::step]
    if not counted.any():  # something thin
        counted, step = mask.array, 1
    areas = [counted.sum(axis=tuple({0, 1, 2} - {axis}), dtype=np.int32) for axis in range(3)]
    fullest = [first + step * int(area.argmax()) for first, area in zip(mask.start, areas, strict=True)]
    toWorld = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(volumeNode.GetParentTransformNode(), None, toWorld)
    place = toWorld.TransformPoint(*geometryOf(volumeNode).ijk_to_ras_mm([fullest])[0])
    scene = volumeNode.GetScene()
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
        scene.GetNthNodeByClass(index, "vtkMRMLSliceNode").JumpSliceByOffsetting(*place)
