"""Text-guided segmentation of medical images: an image and a phrase in, a segment out.

    >>> from TextGuidedSegLib import Segmenter, read_image
    >>> segmenter = Segmenter()
    >>> segmenter.set_image(read_image("film.png"))
    >>> result = segmenter.segment("left lower lung opacity")

The names below are looked up when first used: importing this package loads no torch and changes no global setting.

Reading order of the files:
    errors, geometry, resampling, image         what an image is, where it lies, how it is resampled and back
    io, files                                   files to images
    export, overlay, tags, provenance           results to files, with where they came from
    phrase, language                            what the words mean
    config, preprocessing, volume_preprocessing what a network was built for; with slabs, windows, region
    text_encoder, pseudo_image, backbones       the parts of the network; with backbone_levels, efficientnet_lite,
                                                transport, symmetric_alignment, spatial_alignment, guidance,
                                                contrastive_alignment, presence_head
    network, padding                            the parts wired together
    home, weights, inference                    stored networks, and the run from phrase to segment; with fit, result,
                                                presence, familiarity, uncertainty, disagreement, running, mirroring,
                                                readers, film_runner, volume_runner, slice_runner, single_piece
    cli                                         the same from a shell
    worker                                      the same from a process that asks; with worker_protocol, worker_channel,
                                                warm_segmenter, memory
    phantom, phantom_anatomy, phantom_volume    synthetic films and volumes for tests and demonstrations
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from TextGuidedSegLib.errors import (
        Cancelled,
        DeviceError,
        GeometryError,
        ImageError,
        PhraseError,
        RegionNeededError,
        TextGuidedSegError,
        WeightsError,
    )
    from TextGuidedSegLib.export import write_image, write_segmentation
    from TextGuidedSegLib.fit import choose_model
    from TextGuidedSegLib.geometry import Geometry
    from TextGuidedSegLib.image import Image
    from TextGuidedSegLib.inference import Result, Segmenter
    from TextGuidedSegLib.io import read_image
    from TextGuidedSegLib.language.vocabulary import load_vocabulary
    from TextGuidedSegLib.phrase import Phrase, parse
    from TextGuidedSegLib.region import Region
    from TextGuidedSegLib.weights import find_model, list_models

__version__ = "0.1.0"

__all__ = [
    "Cancelled",
    "DeviceError",
    "Geometry",
    "GeometryError",
    "Image",
    "ImageError",
    "Phrase",
    "PhraseError",
    "Region",
    "RegionNeededError",
    "Result",
    "Segmenter",
    "TextGuidedSegError",
    "WeightsError",
    "__version__",
    "choose_model",
    "find_model",
    "list_models",
    "load_vocabulary",
    "parse",
    "read_image",
    "write_image",
    "write_segmentation",
]

_HOME = {
    "Cancelled": "errors",
    "DeviceError": "errors",
    "Geometry": "geometry",
    "GeometryError": "errors",
    "Image": "image",
    "ImageError": "errors",
    "Phrase": "phrase",
    "PhraseError": "errors",
    "Region": "region",
    "RegionNeededError": "errors",
    "Result": "inference",
    "Segmenter": "inference",
    "TextGuidedSegError": "errors",
    "WeightsError": "errors",
    "choose_model": "fit",
    "find_model": "weights",
    "list_models": "weights",
    "load_vocabulary": "language.vocabulary",
    "parse": "phrase",
    "read_image": "io",
    "write_image": "export",
    "write_segmentation": "export",
}


def __getattr__(name: str) -> object:
    """Load a public name from its file when it is first used (PEP 562)."""
    if name not in _HOME:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
