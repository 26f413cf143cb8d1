"""Which model fits which image: refuse what a model was not made for, and choose the one that was."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from TextGuidedSegLib.errors import ImageError, RegionNeededError
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.phrase import Phrase
from TextGuidedSegLib.weights import Model, ModelCard, readable_models

logger = logging.getLogger(__name__)

NO_CT_MODEL = (
    "No CT model is shipped: no CT data was at hand to train one. "
    "Train your own (training/README.md) and name its folder"
)
"""What every CT is answered with."""

# The first of several that fit: a grey picture that says nothing about itself is most likely a chest film.
_PREFERRED = ("chest-xray", "mr-structures", "pictures", "polyp", "breast-ultrasound")
# Air in a CT has -1000 Hounsfield units; magnitudes of MR have no negative values.
_CT_AIR = -900
_BY_SLICES = "reads a volume slice by slice if you say so (slices=True, --slices)"
# Modalities that say nothing: "other", and none at all.
_SAYS_NOTHING = (None, "OT")


def check_fit(image: Image, card: ModelCard, *, slices: bool = False) -> None:
    """Refuse an image that the model was not made for.

    Args:
        image: The image, or its region of interest.
        card: The model's card.
        slices: A model of films is to read a volume slice by slice, which its modality does not matter for.

    Raises:
        ImageError: Says what the image is, what the model reads, and what to do.
    """
    kind = "film" if slices else image.kind
    if kind not in card.kinds or (slices and image.kind != "volume"):
        raise ImageError(_wrong_kind(image, card, slices=slices))
    name = _name(image)
    if image.kind == "volume" and not slices:
        _check_ct(image, card)
        _check_field_of_view(image, card)
    if not slices and image.modality is not None and image.modality not in card.modalities:
        msg = (
            f"{name} has the modality {image.modality}; the model {card.name!r} reads {', '.join(card.modalities)}. "
            "Choose another model or image"
        )
        raise ImageError(msg)
    if image.channels == card.image_channels or (image.channels == 1 and card.reads_grey):
        return
    if image.channels == 1:
        msg = f"{name} is grey; the model {card.name!r} reads color pictures only: {card.summary} Choose another model"
        raise ImageError(msg)
    advice = "Save it without transparency" if image.channels == 4 else "Convert a color picture of a grey film to grey"
    msg = f"{name} has {image.channels} channels; the model {card.name!r} reads {card.image_channels}. {advice} first"
    raise ImageError(msg)


def check_phrase_fit(phrase: Phrase | None, image: Image, card: ModelCard) -> None:
    """Refuse a phrase for a structure that the model finds in smaller parts of the patient only.

    Args:
        phrase: What was understood.
        image: The image, or its region of interest.
        card: The model's card.

    Raises:
        RegionNeededError: Asks for a region of interest, and says how large.
    """
    if image.kind != "volume" or phrase is None:
        return
    extent = _extent_mm(image)
    for field in card.fields_of_view:
        named = [place.structure for place in phrase.places if place.structure in field.structures]
        if named and max(extent) > field.largest_mm:
            msg = (
                f"{_name(image)} spans {_millimeters(extent)}, which is too large to find the {named[0]} in: the model "
                f"{card.name!r} expects at most {field.largest_mm:g} mm along each side. Give a region of interest "
                "around it"
            )
            raise RegionNeededError(msg)


def largest_region_mm(card: ModelCard, phrases: Iterable[Phrase] = ()) -> float | None:
    """Side of the largest region of interest in which a model finds what phrases name.

    Args:
        card: The model's card.
        phrases: What was understood. Where no structure is named, the region has to do for any.

    Returns:
        Millimeters; None for a model that sets no limit.
    """
    sizes: list[float] = []
    for structure in {place.structure for phrase in phrases for place in phrase.places}:
        own = [field.largest_mm for field in card.fields_of_view if structure in field.structures]
        sizes += own or [field.largest_mm for field in card.fields_of_view if not field.structures]
    return min(sizes or [field.largest_mm for field in card.fields_of_view], default=None)


def recognized(image: Image) -> Image:
    """The image, as a CT if it does not say what it is and its values do.

    To be asked before a part is cut out: a part without air does not show what the whole was.

    Args:
        image: The whole image.

    Returns:
        The same voxels, with the modality CT where they are Hounsfield units; any other image as it is.
    """
    return replace(image, modality="CT") if image.kind == "volume" and _looks_like_ct(image) else image


def choose_model(image: Image, models: Sequence[Model] | None = None) -> tuple[Model, str]:
    """The model for an image: by its kind, modality and colors.

    Args:
        image: A film, a color picture or a volume.
        models: Models to choose from; None for all that are installed.

    Returns:
        The model, and one sentence that says which it is and why.

    Raises:
        ImageError: No installed model reads such an image; a CT is answered with `NO_CT_MODEL`.
    """
    if models is None:
        readable, problems = readable_models()
        models = tuple(readable[name] for name in sorted(readable))
        for problem in problems:  # it need not be the one for this image
            logger.warning("%s", problem)
    refusals: dict[str, str] = {}
    fitting: list[Model] = []
    for model in models:
        try:
            check_fit(image, model.card)
        except ImageError as error:
            refusals[model.card.name] = str(error)
        else:
            fitting.append(model)
    if not fitting:
        raise ImageError(_nothing_fits(image, models, refusals))
    best = min(fitting, key=lambda model: _rank(image, model.card))
    return best, f"{_name(image)} is {_described(image)}: the model {best.card.name!r} is for it. {best.card.summary}"


def _rank(image: Image, card: ModelCard) -> tuple[int, int, str]:
    """Models with the image's own number of channels first, then in the order of `_PREFERRED`, then by name."""
    place = _PREFERRED.index(card.name) if card.name in _PREFERRED else len(_PREFERRED)
    return int(card.image_channels != image.channels), place, card.name


def _nothing_fits(image: Image, models: Sequence[Model], refusals: dict[str, str]) -> str:
    if recognized(image).modality == "CT" and image.kind == "volume":
        return f"{_name(image)} is a CT. {NO_CT_MODEL}"
    alike = [refusals[model.card.name] for model in models if image.kind in model.card.kinds]
    if len(alike) == 1:  # the only model of that kind says best what is in its way
        return alike[0]
    names = ", ".join(refusals) or "none"
    reads_films = any("film" in model.card.kinds for model in models)
    as_slices = f"; a model of films {_BY_SLICES}" if image.kind == "volume" and reads_films else ""
    return f"{_name(image)} is {_described(image)}, which no installed model reads (installed: {names}){as_slices}"


def _check_ct(image: Image, card: ModelCard) -> None:
    if "CT" in card.modalities:
        return
    if image.modality == "CT":
        msg = f"{_name(image)} is a CT. {NO_CT_MODEL}"
        raise ImageError(msg)
    if _looks_like_ct(image):
        msg = f"{_name(image)} holds values down to {_lowest(image):g}, as a CT in Hounsfield units does. {NO_CT_MODEL}"
        raise ImageError(msg)


def _looks_like_ct(image: Image) -> bool:
    """For files that do not say what they are, such as NIfTI."""
    return image.modality in _SAYS_NOTHING and bool(_lowest(image) <= _CT_AIR)


def _lowest(image: Image) -> float:
    return float(np.fmin.reduce(image.array, axis=None))  # padding is often not a number


def _check_field_of_view(image: Image, card: ModelCard) -> None:
    """Larger than what the model finds anything in."""
    if not card.fields_of_view:
        return
    extent = _extent_mm(image)
    largest = max(field.largest_mm for field in card.fields_of_view)
    if max(extent) > largest:
        msg = (
            f"{_name(image)} spans {_millimeters(extent)}; the model {card.name!r} expects at most {largest:g} mm "
            "along each side. Give a region of interest around the structure"
        )
        raise ImageError(msg)


def _extent_mm(image: Image) -> tuple[float, ...]:
    return tuple((image.geometry.spacing_mm * image.geometry.shape).tolist())


def _millimeters(extent: Sequence[float]) -> str:
    return " x ".join(f"{side:.0f}" for side in extent) + " mm"


def _wrong_kind(image: Image, card: ModelCard, *, slices: bool) -> str:
    if slices and image.kind != "volume":
        return f"{_name(image)} is a film; slices=True is for volumes that a model of films reads slice by slice"
    as_slices = f"; this one {_BY_SLICES}" if image.kind == "volume" else ""
    return (
        f"{_name(image)} is a {image.kind} of {' x '.join(map(str, image.geometry.shape))} voxels"
        f"{f' ({image.modality})' if image.modality else ''}; the model {card.name!r} reads "
        f"{' and '.join(card.kinds)}s: "
        f"{card.summary} Choose another model or image{as_slices}"
    )


def _described(image: Image) -> str:
    modality = "" if image.modality in _SAYS_NOTHING else f" ({image.modality})"
    if image.kind == "volume":
        return f"a volume{modality}"
    return f"a {'grey film' if image.channels == 1 else 'color picture'}{modality}"


def _name(image: Image) -> str:
    return image.source or "the image"
