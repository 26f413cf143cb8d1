"""What a case of the worklist is in the scene: its volume, its segments, and the files they come from and go to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.export import atomic_path
from TextGuidedSegLib.files.file_formats import identify

from .overlay import ROLE_ATTRIBUTE
from .provenance import readProvenance
from .scene import maskOfSegment
from .segments import newSegmentation, segmentDigest
from .worklist import Case
from .worklistLabels import LabelMap


@dataclass(frozen=True)
class OpenCase:
    """The nodes of one case.

    Attributes:
        volumeNode: The image.
        segmentationNode: Its segments; empty at first.
        isLoadedHere: Whether the volume was loaded for the case and goes with it.
    """

    volumeNode: object
    segmentationNode: object
    isLoadedHere: bool

    @property
    def isInScene(self) -> bool:
        """False after the scene was closed or a node removed."""
        return self.volumeNode.GetScene() is not None and self.segmentationNode.GetScene() is not None


def imageNodes() -> list:
    """The loaded volumes that are images: no label maps, no maps that this module made, nothing hidden."""
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [
        one
        for one in volumes
        if not one.IsA("vtkMRMLLabelMapVolumeNode") and not one.GetAttribute(ROLE_ATTRIBUTE) and not _isHidden(one)
    ]


def volumeNames() -> list[str]:
    """File, or name where there is no file, of each loaded image."""
    return [_fileOf(one) or one.GetName() for one in imageNodes()]


def openCase(case: Case, folder: Path, *, show: bool = True) -> OpenCase:
    """Bring the image of a case into the scene, with a segmentation of its own.

    Args:
        case: The case.
        folder: What relative paths are relative to.
        show: Whether the slice views show it.

    Raises:
        ImageError: There is no such file or volume, or it cannot be read; one sentence says what to do.
    """
    path = folder / case.image
    volumeNode = _loaded(path, case.image)
    isLoadedHere = volumeNode is None
    if isLoadedHere:
        volumeNode = _load(path, show)
    elif show:
        slicer.util.setSliceViewerLayers(background=volumeNode, fit=True)
    return OpenCase(volumeNode, newSegmentation(volumeNode), isLoadedHere)


def closeCase(opened: OpenCase) -> None:
    """Take the nodes of a case out of the scene; a volume that was there before stays."""
    for node in (opened.segmentationNode, opened.volumeNode if opened.isLoadedHere else None):
        if node is not None and node.GetScene() is not None:
            _remove(node)


def writeSegments(opened: OpenCase, path: Path) -> None:
    """Save the segments as `.seg.nrrd`, cropped to what is drawn, in a folder that is made if its parent is there.

    Raises:
        ImageError: The file cannot be written; an old one is as it was.
    """
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        msg = f"{path.parent}: the folder for the segments cannot be made ({error}); check the folder of the list"
        raise ImageError(msg) from error
    storageNode = slicer.vtkMRMLSegmentationStorageNode()
    storageNode.SetCropToMinimumExtent(True)
    with atomic_path(path) as part:
        storageNode.SetFileName(str(part))
        if not storageNode.WriteData(opened.segmentationNode):
            msg = "Slicer's writer failed"
            raise OSError(msg)


def readSegments(opened: OpenCase, path: Path) -> None:
    """Fill the case's segmentation with what `writeSegments` saved.

    Raises:
        ImageError: The file is missing or damaged.
    """
    storageNode = slicer.vtkMRMLSegmentationStorageNode()
    storageNode.SetFileName(str(path))
    if not path.is_file() or not storageNode.ReadData(opened.segmentationNode):
        msg = f"{path}: the saved segments cannot be read; open the case and segment it again"
        raise ImageError(msg)
    # What the file says of the grid is that of the segments alone.
    opened.segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(opened.volumeNode)


def segmentIds(opened: OpenCase) -> list[str]:
    """Ids of the segments, in their order."""
    return list(opened.segmentationNode.GetSegmentation().GetSegmentIDs())


def textOf(opened: OpenCase, segmentId: str) -> str:
    """The phrase a segment stands for; its name if a person drew it."""
    segment = opened.segmentationNode.GetSegmentation().GetSegment(segmentId)
    provenance = readProvenance(segment)
    return provenance.phrase if provenance is not None and provenance.phrase else segment.GetName()


def masks(opened: OpenCase) -> list[tuple[str, np.ndarray]]:
    """Phrase and mask `(I, J, K)` uint8 in {0, 1} of each segment, on the image's own grid.

    Raises:
        ImageError: A segment is a surface that cannot be filled.
    """
    nodes = opened.segmentationNode, opened.volumeNode
    return [(textOf(opened, one), maskOfSegment(nodes[0], one, nodes[1])) for one in segmentIds(opened)]


def colorByLabels(opened: OpenCase, labelMap: LabelMap, phrases: Iterable[str] = ()) -> LabelMap:
    """Give every segment the color of its label.

    Args:
        opened: The case.
        labelMap: The fixed label map.
        phrases: Phrases that need a label, too, though they gave no segment.

    Returns:
        The label map, with a new label for each phrase that had none.

    Raises:
        WorklistError: No value is free for a new label.
    """
    segmentation = opened.segmentationNode.GetSegmentation()
    texts = {one: textOf(opened, one) for one in segmentIds(opened)}
    labelMap = labelMap.including([*phrases, *texts.values()])
    for segmentId, text in texts.items():
        segmentation.GetSegment(segmentId).SetColor(*labelMap.of(text).rgb)
    return labelMap


def fingerprint(opened: OpenCase) -> str:
    """Equal for equal segments: their phrases and every voxel; empty for none."""
    digest = hashlib.sha256()
    for segmentId in segmentIds(opened):
        voxels = segmentDigest(opened.segmentationNode, segmentId)
        digest.update(f"{segmentId}\0{textOf(opened, segmentId)}\0{voxels}\0".encode())
    return digest.hexdigest() if segmentIds(opened) else ""


def _loaded(path: Path, name: str):
    """The volume that is in the scene already, by its file or, without one, by its name."""
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    byFile = (one for one in volumes if _fileOf(one) and Path(_fileOf(one)) == path)
    byName = (one for one in volumes if one.GetName() == name and not _fileOf(one))
    return next(byFile, None) or next(byName, None)


def _load(path: Path, show: bool):
    if not path.exists():
        msg = f"{path}: neither such a file nor a loaded volume of that name; put it back or load it"
        raise ImageError(msg)
    if path.is_dir():
        msg = f"{path}: a folder; load it with the DICOM module, then make a list of the loaded volumes"
        raise ImageError(msg)
    identify(path)
    try:
        # Else Slicer stacks all numbered films of the folder into one volume.
        return slicer.util.loadVolume(str(path), {"singleFile": True, "show": show})
    except RuntimeError as error:
        msg = f"{path}: Slicer cannot read this image; it may be damaged: export or copy it again"
        raise ImageError(msg) from error


def _remove(node) -> None:
    scene = node.GetScene()
    helpers = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    helpers += [node.GetNthStorageNode(index) for index in range(node.GetNumberOfStorageNodes())]
    scene.RemoveNode(node)
    for helper in helpers:
        if helper is not None and helper.GetScene() is not None:
            scene.RemoveNode(helper)


def _fileOf(volumeNode) -> str:
    storageNode = volumeNode.GetStorageNode()
    return (storageNode.GetFileName() if storageNode is not None else "") or ""


def _isHidden(node) -> bool:
    return bool(node.GetHideFromEditors())
