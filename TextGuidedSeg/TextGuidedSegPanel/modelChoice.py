"""Which of the models is for an image: the chosen one if it reads such images, else the one that the library finds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from TextGuidedSegLib.errors import TextGuidedSegError
from TextGuidedSegLib.fit import check_fit, choose_model
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.weights import Model

from .regionOfInterest import RunRegion
from .scene import imageFromVolume


def suitableModel(
    volumeNode, models: Sequence[Model], preferred: Iterable[Model | None], region: RunRegion | None = None
) -> tuple[Model | None, str]:
    """The model for an image.

    Args:
        volumeNode: A volume node.
        models: Those that are installed.
        preferred: Models that the user chose, the dearest first; one that reads the image is taken without a word.
        region: The part of a volume that is to be looked at; None for the whole image.

    Returns:
        The model and one sentence why, empty for a preferred one; no model and the sentence why none reads the image.
    """
    try:
        image = imageFromVolume(volumeNode, shared=True)
        image = image if region is None else region.part(image)
        for model in preferred:
            if model is not None and _fits(image, model):
                return model, ""
        return choose_model(image, models)
    except TextGuidedSegError as error:
        return None, str(error)


def _fits(image: Image, model: Model) -> bool:
    try:
        check_fit(image, model.card)
    except TextGuidedSegError:
        return False
    return True
