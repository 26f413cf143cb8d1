"""A region of interest: a markups ROI as a box of voxels, and runs that are limited to it.

Of a volume only the box is given to the model, which saves time and memory. A film is given whole, because *left lower*
is a place of the whole film and its size costs nothing; its result is cut to the box. Either way nothing lies outside.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace

import numpy as np
import slicer
import vtk

from TextGuidedSegLib.disagreement import on_other_half
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.fit import recognized
from TextGuidedSegLib.geometry import AxisCodes, Geometry
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.phrase import parse
from TextGuidedSegLib.provenance import PREFIX
from TextGuidedSegLib.region import Bounds, cropped
from TextGuidedSegLib.worker_protocol import Crop

from .inferenceRecords import PhraseResult
from .scene import geometryOf

OUTSIDE = "What was found lies outside the region of interest."
"""The warning of a result of which the region leaves nothing."""

# Places along each edge of the ROI that are looked up: one in the middle, too, for transforms that bend.
_STEPS = (-0.5, 0.0, 0.5)
# A box drawn on voxel centers includes them, also after its corners went through several matrices.
_ROUNDING = 1e-6
# A new region is this share of the image along each axis, and of a film as thick as a hand, to be seen from the side.
_NEW_SHARE, _LEAST_THICKNESS_MM = 0.6, 20.0


@dataclass(frozen=True)
class RunRegion:
    """The part of a volume that one run is limited to.

    Attributes:
        bounds: First voxel and the one after the last along each array axis of the volume.
        geometry: The volume's whole grid.
    """

    bounds: Bounds
    geometry: Geometry

    def part(self, image: Image) -> Image:
        """What the model looks at: a film as it is, of a volume the box, which says CT if the whole looks so.

        It shares the voxels of the image.
        """
        return image if image.kind == "film" else cropped(recognized(image), self.bounds)

    def seen(self, image: Image) -> Image:
        """What the model gets: `part`, of a volume as a copy."""
        part = self.part(image)
        return part if part is image else replace(part, array=part.array.copy(order="K"))

    def limited(self, result: PhraseResult, codes: AxisCodes | None = None) -> PhraseResult:
        """A result on the volume's whole grid with nothing outside the region, whatever the model was given.

        A result of which nothing is left becomes the answer "not_found", with the warning `OUTSIDE`. Of a volume the
        model saw the box alone, so what lies on the other side of the patient than the phrase says is told here.

        Args:
            result: What the model says.
            codes: Anatomical direction that each axis of the volume runs to, below its transforms; None for its own.
        """
        limit = self._cut if result.geometry.shape == self.geometry.shape else self._moved
        limited = replace(
            result,
            geometry=self.geometry,
            probability=limit(result.probability),
            pseudoImage=limit(result.pseudoImage),
        )
        if result.answer in ("found", "unsure") and not (limited.probability.array >= result.threshold).any():
            limited = replace(limited, answer="not_found", warnings=(*result.warnings, OUTSIDE))
        if limit == self._moved and limited.answer in ("found", "unsure"):
            limited = replace(limited, warnings=(*result.warnings, *self._onOtherHalf(limited, codes)))
        return replace(limited, tags={**result.tags, **self._tags(limited)})

    def _onOtherHalf(self, result: PhraseResult, codes: AxisCodes | None) -> tuple[str, ...]:
        crop = result.probability
        return on_other_half(
            parse(result.phrase),
            crop.array >= result.threshold,
            self.bounds,
            shape=self.geometry.shape,
            codes=codes or self.geometry.axis_codes,
            start=crop.start,
        )

    def _tags(self, result: PhraseResult) -> dict[str, str]:
        values = {
            "Answer": result.answer,
            "Warnings": json.dumps(result.warnings, ensure_ascii=False),
            "Region": ",".join(f"{low}:{high}" for low, high in self.bounds),
        }
        return {PREFIX + name: value for name, value in values.items()}

    def _moved(self, crop: Crop) -> Crop:
        start = [first + low for first, (low, _) in zip(crop.start, self.bounds, strict=True)]
        return Crop(crop.array, (start[0], start[1], start[2]), self.geometry.shape)

    def _cut(self, crop: Crop) -> Crop:
        starts, parts = [], []
        for first, size, (low, high) in zip(crop.start, crop.array.shape, self.bounds, strict=True):
            start = max(first, low)
            stop = max(start, min(first + size, high))
            starts.append(start)
            parts.append(slice(start - first, stop - first))
        return Crop(crop.array[tuple(parts)], (starts[0], starts[1], starts[2]), crop.shape)


def regionOf(roiNode, volumeNode) -> RunRegion | None:
    """The voxels of a volume inside a region of interest, each below its own transforms.

    The box runs along the volume's own axes: of a region that is turned against the volume, it is the smallest such
    box with the whole region in it. A voxel belongs to it if its center does. Along an axis of one voxel it is always
    whole, as a film has no depth.

    Args:
        roiNode: A `vtkMRMLMarkupsROINode`; None for the whole image.
        volumeNode: A volume node with voxels.

    Raises:
        ImageError: The region was never placed, or no voxel lies in it.
        GeometryError: The volume's matrix cannot be inverted.
    """
    if roiNode is None:
        return None
    geometry = geometryOf(volumeNode)
    if roiNode.GetNumberOfDefinedControlPoints() == 0 or min(roiNode.GetSize()) <= 0:
        msg = f"the region {roiNode.GetName()} has not been placed; draw it in a view, or press New for another one"
        raise ImageError(msg)
    corners = geometry.ras_mm_to_ijk(_places(roiNode, volumeNode))
    low = np.maximum(np.ceil(corners.min(axis=0) - _ROUNDING), 0).astype(int)
    high = np.minimum(np.floor(corners.max(axis=0) + _ROUNDING) + 1, geometry.shape).astype(int)
    isFlat = np.array(geometry.shape) == 1
    low, high = np.where(isFlat, 0, low), np.where(isFlat, 1, high)
    if (low >= high).any():
        msg = f"no voxel of {volumeNode.GetName()} lies in the region {roiNode.GetName()}; move or enlarge it"
        raise ImageError(msg)
    first, second, third = ((int(one), int(other)) for one, other in zip(low, high, strict=True))
    return RunRegion((first, second, third), geometry)


def newRegion(volumeNode, largestMm: float | None = None):
    """Create a region of interest in the middle of a volume, along its axes and below its transform.

    Args:
        volumeNode: The volume.
        largestMm: What a model expects each side of a part of a volume to be at most; None for any size.

    Returns:
        The new `vtkMRMLMarkupsROINode`.
    """
    scene, geometry = volumeNode.GetScene(), geometryOf(volumeNode)
    name = scene.GetUniqueNameByString(f"{volumeNode.GetName()} region")
    roiNode = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    roiNode.CreateDefaultDisplayNodes()
    roiNode.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    axes = geometry.affine_ijk_to_ras[:3, :3] / geometry.spacing_mm
    if np.linalg.det(axes) < 0:  # a box has no hand, but a rotation must have the right one
        axes[:, 2] *= -1
    place = vtk.vtkMatrix4x4()
    center = geometry.ijk_to_ras_mm([(np.array(geometry.shape) - 1) / 2])[0]
    for row in range(3):
        for column in range(3):
            place.SetElement(row, column, axes[row, column])
        place.SetElement(row, 3, center[row])
    roiNode.SetAndObserveObjectToNodeMatrix(place)
    roiNode.SetSize(*_newSize(geometry, largestMm))
    roiNode.GetDisplayNode().SetFillVisibility(False)  # what is inside is to be seen
    return roiNode


def _newSize(geometry: Geometry, largestMm: float | None) -> np.ndarray:
    size = _NEW_SHARE * geometry.spacing_mm * geometry.shape
    isFlat = np.array(geometry.shape) == 1
    if largestMm is not None and not isFlat.any():
        # Voxels count whole if their centers lie inside, so a box holds up to one voxel more than its own size.
        size = np.minimum(size, np.maximum(largestMm - geometry.spacing_mm, geometry.spacing_mm))
    return np.where(isFlat, np.maximum(size, _LEAST_THICKNESS_MM), size)


def _places(roiNode, volumeNode) -> np.ndarray:
    """Corners and middles of a region, `(27, 3)` in RAS mm, in the frame below the volume's own transform."""
    toVolume = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        roiNode.GetParentTransformNode(), volumeNode.GetParentTransformNode(), toVolume
    )
    toNode, size = roiNode.GetObjectToNodeMatrix(), np.array(roiNode.GetSize())
    places = []
    for steps in itertools.product(_STEPS, repeat=3):
        inNode = toNode.MultiplyPoint((*(steps * size), 1.0))
        places.append(toVolume.TransformPoint(*inNode[:3]))
    return np.array(places)
