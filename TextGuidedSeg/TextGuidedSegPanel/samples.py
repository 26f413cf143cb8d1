"""Sample data: synthetic films that come with the module, offered by Slicer's Sample Data module and as an example.

`Resources/SampleData/samples.json` lists them; they are drawn by the script `make_samples.py` and show no patient.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import slicer

from TextGuidedSegLib.errors import ImageError

CATEGORY = "Text Guided Segmentation"
_LIST = "samples.json"
_ATTRIBUTE = "TextGuidedSeg.Sample"


@dataclass(frozen=True)
class Sample:
    """One sample.

    Attributes:
        name: What people read; unique.
        path: The image file.
        thumbnail: A picture of it.
        sha256: Checksum of the image file, hexadecimal.
        phrase: What can be found on it.
    """

    name: str
    path: Path
    thumbnail: Path
    sha256: str
    phrase: str


def samplesIn(folder: Path) -> tuple[Sample, ...]:
    """The samples of a folder, in their order; none if it has no list."""
    file = folder / _LIST
    if not file.is_file():
        return ()
    return tuple(
        Sample(one["name"], folder / one["file"], folder / one["thumbnail"], one["sha256"], one["phrase"])
        for one in json.loads(file.read_text(encoding="utf-8"))
    )


def registerSamples(samples: tuple[Sample, ...]) -> None:
    """Offer samples in Slicer's Sample Data module, which copies them from the module's folder: no network is used."""
    try:
        import SampleData
    except ImportError:  # switched off in Slicer's settings
        logging.info("Text Guided Segmentation: without the module Sample Data its samples are not offered there")
        return
    for sample in samples:
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=sample.name,
            uris=sample.path.as_uri(),
            fileNames=sample.path.name,
            nodeNames=sample.name,
            thumbnailFileName=str(sample.thumbnail),
            checksums=f"SHA256:{sample.sha256}",
        )


def loadSample(sample: Sample):
    """Load a sample into the scene and show it; one that is there already is used again.

    Returns:
        The volume node.

    Raises:
        ImageError: The file is missing or cannot be read.
    """
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        if node.GetAttribute(_ATTRIBUTE) == sample.sha256 and node.GetImageData() is not None:
            return node
    try:
        node = slicer.util.loadVolume(str(sample.path), {"name": sample.name, "singleFile": True})
    except RuntimeError as error:
        msg = f"the sample {sample.name} could not be loaded ({error}); install the module again"
        raise ImageError(msg) from error
    node.SetAttribute(_ATTRIBUTE, sample.sha256)
    return node
