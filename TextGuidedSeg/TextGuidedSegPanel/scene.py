"""Between Slicer's scene and the library: a volume node becomes an `Image`, arrays become voxels in their place.

The only file that turns Slicer's voxel order (k, j, i) into the library's (i, j, k) and back. Results lie on the
volume's own grid and follow its parent transform, so they overlay it wherever the volume is moved.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.files.dicom_film import FILM_TAGS, film_from_dicom
from TextGuidedSegLib.geometry import Geometry, film_axis_codes
from TextGuidedSegLib.image import ORIENTATION_ASSUMED, Image, image_kind, scalar_if_gray
from TextGuidedSegLib.worker_protocol import Crop, uncropped

TURNED = (
    "The transform of this volume turns it by more than 45 degrees: "
    "left and right are taken as the slice views show them, after the transform."
)
"""The warning of an image whose anatomical directions come from its parent transform."""

_PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})


def imageFromVolume(volumeNode, *, shared: bool = False) -> Image:
    """Read a volume node as an image of the library.

    The grid is the node's own, without its parent transform. The anatomical directions are those the slice views
    show, so a transform that turns or mirrors the volume counts for left and right. A film loaded from Slicer's DICOM
    database follows its DICOM tags, which Slicer itself ignores, just as the library reads the file.

    Args:
        volumeNode: A scalar or vector volume node; of a sequence, its current frame.
        shared: Do not copy the voxels, which takes long for a large volume: the array then is the node's own. VTK gives
            the node another one when it is filled anew, but what is painted into it shows here, too.

    Returns:
        Image with the array `(I, J, K)` or `(I, J, K, 3)`; gray pictures stored as color become scalar.

    Raises:
        ImageError: A label map, a node without voxels, or an image no model can read.
        GeometryError: The node's matrix or its transform cannot be inverted.
    """
    name = volumeNode.GetName()
    if volumeNode.IsA("vtkMRMLLabelMapVolumeNode"):
        msg = f"{name} is a label map; choose the image it was drawn on"
        raise ImageError(msg)
    voxels = _voxels(volumeNode)
    array = scalar_if_gray(voxels if shared else voxels.copy(order="K"))
    geometry = Geometry(array.shape[:3], _ijkToRas(volumeNode))
    modality = _modality(volumeNode)
    # A picture file came from no scanner, wherever Slicer centers it.
    kind = image_kind(geometry, modality or ("OT" if isPicture(volumeNode) else None))
    dicomTags = _dicomTags(volumeNode)
    if kind == "film" and dicomTags and geometry.shape[2] == 1:
        return replace(film_from_dicom(array, geometry, dicomTags, name), geometry=geometry)
    world = _worldGeometry(geometry, volumeNode)
    codes, warnings = world.axis_codes, [TURNED] if world.axis_codes != geometry.axis_codes else []
    if kind == "film" and geometry.shape.count(1) == 1:
        codes, assumed = film_axis_codes(world)
        warnings = [ORIENTATION_ASSUMED] if assumed else warnings
    return Image(
        array,
        geometry,
        codes,
        kind,
        modality,
        spacing_known=not isPicture(volumeNode),
        warnings=tuple(warnings),
        source=name,
    )


def geometryOf(volumeNode) -> Geometry:
    """The grid of a volume node, without its parent transform.

    Raises:
        ImageError: The node has no voxels.
        GeometryError: Its matrix cannot be inverted.
    """
    return Geometry(_voxels(volumeNode).shape[:3], _ijkToRas(volumeNode))


def putVoxels(node, array, volumeNode) -> None:
    """Give a scalar volume node an array on another volume's grid, place and study.

    Args:
        node: `vtkMRMLScalarVolumeNode` to fill.
        array: `(I, J, K)` float32 or uint8, one value per voxel of `volumeNode`. In Fortran order, which is VTK's, the
            node shows this very array; in any other it is copied.
        volumeNode: The volume whose grid, transform and study are taken over.

    Raises:
        ImageError: The array does not fit the volume.
    """
    values = np.asarray(array)
    _requireGrid(values.shape, volumeNode)
    values = values.astype(np.uint8 if values.dtype == np.uint8 else np.float32, order="F", copy=False)
    imageData = vtk.vtkImageData()
    imageData.SetDimensions(*values.shape)
    # Copying a large volume would hold the application up for a second.
    imageData.GetPointData().SetScalars(numpy_to_vtk(values.ravel(order="F"), deep=False))
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    node.SetIJKToRASMatrix(matrix)
    node.SetAndObserveImageData(imageData)
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    placeInStudyOf(volumeNode, node)


def orientedMask(mask, volumeNode, segmentationNode):
    """Turn a mask into Slicer's form for segments, in the frame of a segmentation under any transform.

    Args:
        mask: `(I, J, K)` on the volume's grid, or a `Crop` of it; nonzero inside, all zero is legal.
        volumeNode: The volume the mask was made from.
        segmentationNode: Where the mask is to go. Under the volume's own transform, or one that differs by a linear
            one, every voxel is kept; only a warp between the two resamples.

    Returns:
        `vtkOrientedImageData` of 0 and 1, cropped to what is inside.

    Raises:
        ImageError: The mask does not fit the volume.
    """
    crop = mask if isinstance(mask, Crop) else uncropped(np.asarray(mask))
    _requireGrid(crop.shape, volumeNode)
    image = slicer.vtkOrientedImageData()
    inside = crop.array != 0
    box = boundingBox(inside)
    edges = [(first + part.start, first + part.stop - 1) for first, part in zip(crop.start, box, strict=True)]
    image.SetExtent(*(edge for pair in edges for edge in pair))
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    arrayOf(image)[...] = inside[box]
    _placeLike(volumeNode, segmentationNode, image)
    return image


def maskOfSegment(segmentationNode, segmentId: str, volumeNode) -> np.ndarray:
    """Read a segment on a volume's own grid, wherever the two are moved.

    Args:
        segmentationNode: Node of the segment.
        segmentId: The segment.
        volumeNode: The volume. Voxels drawn on its grid come back one by one; those of another grid are sampled.

    Returns:
        `(I, J, K)` uint8 in {0, 1}.

    Raises:
        ImageError: The segment has no voxels to read, such as one that is gone or a surface that cannot be filled.
    """
    segment, place = slicer.vtkOrientedImageData(), slicer.vtkOrientedImageData()
    if not segmentationNode.GetBinaryLabelmapRepresentation(segmentId, segment):
        msg = f"the segment {segmentId} of {segmentationNode.GetName()} has no voxels; convert it to a label map"
        raise ImageError(msg)
    place.SetExtent(volumeNode.GetImageData().GetExtent())
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    place.SetImageToWorldMatrix(matrix)
    parents = segmentationNode.GetParentTransformNode(), volumeNode.GetParentTransformNode()
    between = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(*parents, between)
    # Without a transform the voxels are copied, not sampled.
    moved = None if parents[0] is parents[1] else between
    sampled = slicer.vtkOrientedImageData()
    resample = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage
    resample(segment, place, sampled, False, False, moved)
    return (arrayOf(sampled) != 0).astype(np.uint8)


def arrayOf(imageData):
    """View of a `vtkImageData`'s voxels, which VTK stores as (k, j, i), in the order `(I, J, K)` or `(I, J, K, C)`."""
    values = vtk_to_numpy(imageData.GetPointData().GetScalars())
    shape = imageData.GetDimensions()[::-1]
    view = values.reshape(*shape, *values.shape[1:])
    return view.transpose(2, 1, 0, *range(3, view.ndim))


def boundingBox(array) -> tuple[slice, slice, slice]:
    """Slices of the smallest box around what is nonzero; all empty if nothing is."""
    inside = array if array.dtype == bool else array != 0
    # Two looks at all voxels instead of three, and the second only at what the first one left.
    columns = inside.any(axis=0)
    second, third = _filled(columns.any(axis=1)), _filled(columns.any(axis=0))
    return _filled(inside[:, second, third].any(axis=(1, 2))), second, third


def _filled(line) -> slice:
    filled = np.flatnonzero(line)
    return slice(int(filled[0]), int(filled[-1]) + 1) if filled.size else slice(0, 0)


def placeInStudyOf(volumeNode, node) -> None:
    """Put a node beside the volume in the subject hierarchy, below the same patient and study."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volumeNode.GetScene())
    parentItem = _studyItemOf(volumeNode, hierarchy)
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, parentItem)
    else:
        hierarchy.CreateItem(parentItem, node)


def areOfOneStudy(node, other) -> bool:
    """Whether two nodes have one study, or another folder of the subject hierarchy, in common."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    study = _studyItemOf(node, hierarchy)
    return study == _studyItemOf(other, hierarchy) and study != hierarchy.GetSceneItemID()


def _studyItemOf(node, hierarchy) -> int:
    item = hierarchy.GetItemByDataNode(node)
    return hierarchy.GetItemParent(item) if item else hierarchy.GetSceneItemID()


def isPicture(volumeNode) -> bool:
    """True if the node came from a picture file, whose resolution is that of a screen or printer."""
    storageNode = volumeNode.GetStorageNode()
    fileName = storageNode.GetFileName() if storageNode else None
    return bool(fileName) and PurePath(fileName).suffix.lower() in _PICTURE_SUFFIXES


def _voxels(volumeNode):
    """View of a volume's voxels, `(I, J, K)` or `(I, J, K, C)`."""
    imageData = volumeNode.GetImageData()
    if imageData is None or imageData.GetPointData().GetScalars() is None:
        msg = f"{volumeNode.GetName()} has no voxels; load an image into it or choose another volume"
        raise ImageError(msg)
    return arrayOf(imageData)


def _ijkToRas(volumeNode) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def _worldGeometry(geometry: Geometry, volumeNode) -> Geometry:
    """The grid as the views show it; under a warp, the straight grid through the image's middle lines."""
    if volumeNode.GetParentTransformNode() is None:
        return geometry
    toWorld = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(volumeNode.GetParentTransformNode(), None, toWorld)
    middle = (np.array(geometry.shape) - 1) / 2
    halves = np.diag(np.array(geometry.shape) / 2)
    ends = [
        [toWorld.TransformPoint(*point) for point in geometry.ijk_to_ras_mm(middle + sign * halves)] for sign in (-1, 1)
    ]
    affine = np.eye(4)
    affine[:3, :3] = (np.subtract(ends[1], ends[0]) / np.array(geometry.shape)[:, None]).T
    return Geometry(geometry.shape, affine)


def _dicomTags(volumeNode) -> dict[str, str]:
    """What the DICOM database knows about a film; empty for other files, and without a database."""
    database = getattr(slicer, "dicomDatabase", None)
    instances = (volumeNode.GetAttribute("DICOM.instanceUIDs") or "").split()
    if database is None or len(instances) != 1:
        return {}
    values = {tag: database.instanceValue(instances[0], tag.replace("|", ",")) for tag in FILM_TAGS}
    return {tag: value.strip(" \0") for tag, value in values.items() if value}


def _modality(volumeNode) -> str | None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volumeNode.GetScene())
    item = hierarchy.GetItemByDataNode(volumeNode)
    attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    return (hierarchy.GetItemAttribute(item, attribute) or None) if item else None


def _requireGrid(shape, volumeNode) -> None:
    expected = volumeNode.GetImageData().GetDimensions()
    if shape != expected:
        msg = f"the result has {shape} voxels but {volumeNode.GetName()} has {expected}; run the phrase again"
        raise ImageError(msg)


def _placeLike(volumeNode, segmentationNode, image) -> None:
    """Bring an oriented image on the volume's grid into the frame of a segmentation under any transform.

    Slicer's import of label maps applies the transform between two frames twice, and its own resampling treats two
    linear transforms in a row as a warp; so the linear case is one product of matrices here, without resampling.
    """
    nodeType = slicer.vtkMRMLTransformNode
    between, linear = vtk.vtkGeneralTransform(), vtk.vtkTransform()
    nodeType.GetTransformBetweenNodes(
        volumeNode.GetParentTransformNode(), segmentationNode.GetParentTransformNode(), between
    )
    isLinear = nodeType.IsGeneralTransformLinear(between, linear)
    place = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(place)
    if isLinear:
        vtk.vtkMatrix4x4.Multiply4x4(linear.GetMatrix(), place, place)
    image.SetImageToWorldMatrix(place)
    if not isLinear and not image.IsEmpty():
        slicer.vtkOrientedImageDataResample.TransformOrientedImage(image, between)
