"""What the tags of a DICOM film mean: how it lies in the patient, how large its pixels are, how its gray is seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from TextGuidedSegLib.geometry import (
    FILM_CODES,
    AxisCodes,
    Geometry,
    axis_of,
    coded_geometry,
    film_axis_codes,
    right_handed,
)
from TextGuidedSegLib.image import ORIENTATION_ASSUMED, Image

MODALITY = "0008|0060"
IMAGE_ORIENTATION = "0020|0037"

_PRESENTATION_INTENT = "0008|0068"
_IMAGER_PIXEL_SPACING = "0018|1164"
_VIEW_POSITION = "0018|5101"
_PATIENT_ORIENTATION = "0020|0020"
_PHOTOMETRIC = "0028|0004"
_PIXEL_SPACING = "0028|0030"
_BITS_STORED = "0028|0101"
_PIXEL_REPRESENTATION = "0028|0103"
_PADDING = "0028|0120"
_PADDING_LIMIT = "0028|0121"
_WINDOW_CENTER = "0028|1050"
_WINDOW_WIDTH = "0028|1051"
_RESCALE_INTERCEPT = "0028|1052"
_RESCALE_SLOPE = "0028|1053"
_WINDOW_FUNCTION = "0028|1056"

FILM_TAGS = (
    MODALITY,
    IMAGE_ORIENTATION,
    _PRESENTATION_INTENT,
    _IMAGER_PIXEL_SPACING,
    _VIEW_POSITION,
    _PATIENT_ORIENTATION,
    _PHOTOMETRIC,
    _PIXEL_SPACING,
    _BITS_STORED,
    _PIXEL_REPRESENTATION,
    _PADDING,
    _PADDING_LIMIT,
    _WINDOW_CENTER,
    _WINDOW_WIDTH,
    _RESCALE_INTERCEPT,
    _RESCALE_SLOPE,
    _WINDOW_FUNCTION,
)
"""Tags to read for `film_from_dicom`."""

_PATIENT_LETTERS = {"L": "L", "R": "R", "A": "A", "P": "P", "H": "S", "F": "I"}


def film_from_dicom(array: NDArray[Any], geometry: Geometry, tags: Mapping[str, str], source: str) -> Image:
    """Make a film of one decoded DICOM image.

    Args:
        array: `(I, J, 1)` or `(I, J, 1, 3)` as ITK decodes it: rescaled, and MONOCHROME1 already inverted.
        geometry: Grid as ITK understands it; believed only if the file has ImageOrientationPatient.
        tags: Values of `FILM_TAGS`, those present.
        source: Name for messages.

    Returns:
        The film with bone bright, padding dark and the stored window applied, in the patient's frame as far as the file
        gives it.

    Raises:
        ImageError: The image is too small for a film.
    """
    spacing = _pixel_spacing(tags)
    said, orientation_warning = _axis_codes(tags)
    has_affine = bool(tags.get(IMAGE_ORIENTATION))
    if has_affine:
        affine = geometry.affine_ijk_to_ras.copy()
        affine[:3, :3] *= np.asarray(spacing.size_mm) / geometry.spacing_mm
        grid = Geometry(geometry.shape, affine)
    else:
        grid = coded_geometry(geometry.shape, said or FILM_CODES, spacing.size_mm)
    if said is not None and axis_of(said[2]) == 1:
        codes, assumed = said, False
    elif said is not None or has_affine:
        codes, assumed = film_axis_codes(grid)
    else:
        codes, assumed = FILM_CODES, True
    if assumed and not orientation_warning:
        orientation_warning = ORIENTATION_ASSUMED
    gray, window_warning = _windowed(_without_padding(array, tags), tags)
    warnings = (orientation_warning, spacing.warning, window_warning, _view_warning(tags))
    return Image(
        gray,
        grid,
        codes,
        "film",
        tags.get(MODALITY),
        spacing_known=spacing.known,
        warnings=tuple(warning for warning in warnings if warning),
        source=source,
    )


@dataclass(frozen=True)
class _PixelSpacing:
    size_mm: tuple[float, float, float]
    known: bool
    warning: str | None = None


def _pixel_spacing(tags: Mapping[str, str]) -> _PixelSpacing:
    for tag, name in ((_PIXEL_SPACING, "PixelSpacing"), (_IMAGER_PIXEL_SPACING, "ImagerPixelSpacing")):
        numbers = _numbers(tags.get(tag, ""))
        if len(numbers) >= 2 and min(numbers[:2]) > 0:
            between_rows, between_columns = numbers[:2]
            warning = None
            if name == "ImagerPixelSpacing":
                warning = (
                    "Lengths are those on the detector (ImagerPixelSpacing): "
                    "in the patient they are shorter, by the magnification of the exposure."
                )
            return _PixelSpacing((between_columns, between_rows, 1.0), True, warning)
    return _PixelSpacing((1.0, 1.0, 1.0), False, "This file gives no pixel spacing: millimeters are pixels.")


def _axis_codes(tags: Mapping[str, str]) -> tuple[AxisCodes | None, str | None]:
    """Directions by PatientOrientation, or None, and a warning if the value cannot serve."""
    value = tags.get(_PATIENT_ORIENTATION, "").upper()
    if not value.strip("\\ "):
        return None, None
    # "L\F"; a tilted film has "LH\FR", whose first letters are the main directions.
    letters = [_PATIENT_LETTERS.get(part.strip()[:1], "") for part in value.split("\\")]
    if len(letters) != 2 or "" in letters or axis_of(letters[0]) == axis_of(letters[1]):
        return None, f"PatientOrientation {value!r} makes no sense and is not used. {ORIENTATION_ASSUMED}"
    codes = right_handed(letters[0], letters[1])
    if axis_of(codes[2]) == 1:
        return codes, None
    return codes, (
        f"This is no frontal film (PatientOrientation {value!r}): "
        "the sides in the phrase are taken as left and right of the displayed image."
    )


def _view_warning(tags: Mapping[str, str]) -> str | None:
    view = tags.get(_VIEW_POSITION, "").upper()
    if view in ("LL", "RL", "LAT", "LATERAL"):
        return f"This is a lateral view (ViewPosition {view}): left and right lung lie on top of each other."
    if tags.get(_PRESENTATION_INTENT, "").upper() == "FOR PROCESSING":
        return "This is raw detector data (FOR PROCESSING), not the film that is read: expect a poor result."
    return None


def _without_padding(array: NDArray[Any], tags: Mapping[str, str]) -> NDArray[Any]:
    """Pixels that the file says are none (PixelPaddingValue) as dark as the darkest that are.

    A scanned MONOCHROME1 film is padded with its lowest value, which is seen as the brightest: brighter than bone.
    """
    stored = [_stored(number, tags) for tag in (_PADDING, _PADDING_LIMIT) for number in _numbers(tags.get(tag, ""))[:1]]
    if not stored or array.ndim == 4:
        return array
    slope, intercept = _rescale(tags)
    ends = sorted(_seen(slope * value + intercept, tags) for value in stored)
    half = abs(slope) / 2  # rounded in rescaling
    padding = (array > ends[0] - half) & (array < ends[-1] + half)
    if not padding.any() or padding.all():
        return array
    clean = array.copy()
    clean[padding] = array[~padding].min()
    return clean


def _stored(value: float, tags: Mapping[str, str]) -> float:
    """A stored pixel value; some files give that of a signed image as the unsigned number of the same bits."""
    is_wrapped = tags.get(_PIXEL_REPRESENTATION) == "1" and value > 0x7FFF
    return value - 0x10000 if is_wrapped else value


def _windowed(array: NDArray[Any], tags: Mapping[str, str]) -> tuple[NDArray[Any], str | None]:
    """Gray values inside the file's first window, or as they are; the unit stays that of the file."""
    centers, widths = _numbers(tags.get(_WINDOW_CENTER, "")), _numbers(tags.get(_WINDOW_WIDTH, ""))
    if not centers or not widths or array.ndim == 4:
        return array, None
    function = tags.get(_WINDOW_FUNCTION) or "LINEAR"
    center, width = _seen(centers[0], tags), widths[0]
    if function == "LINEAR":  # DICOM PS3.3 C.11.2.1.2.1: the first and last gray lie half a step further in
        center, width = center - (-0.5 if _is_inverted(tags) else 0.5), width - 1.0
    low, high = center - width / 2, center + width / 2
    if width <= 0 or array.min() >= high or array.max() <= low:
        window = f"center {centers[0]:g}, width {widths[0]:g}"
        return array, f"The window of the file ({window}) leaves nothing of the image: not used."
    values = array.astype(np.float32)
    if function == "SIGMOID":
        return low + width / (1 + np.exp(-4 * (values - np.float32(center)) / np.float32(width))), None
    return np.clip(values, np.float32(low), np.float32(high)), None


def _is_inverted(tags: Mapping[str, str]) -> bool:
    return tags.get(_PHOTOMETRIC) == "MONOCHROME1"


def _seen(value: float, tags: Mapping[str, str]) -> float:
    """A rescaled value as ITK hands it out: it mirrors MONOCHROME1 within the range of the stored bits."""
    if not _is_inverted(tags):
        return value
    signed = tags.get(_PIXEL_REPRESENTATION) == "1"
    stored_sum = -1.0 if signed else 2.0 ** int(tags.get(_BITS_STORED) or "16") - 1.0  # darkest + brightest value
    slope, intercept = _rescale(tags)
    return slope * stored_sum + 2 * intercept - value


def _rescale(tags: Mapping[str, str]) -> tuple[float, float]:
    """Slope and intercept."""
    slope, intercept = (_numbers(tags.get(tag, "")) for tag in (_RESCALE_SLOPE, _RESCALE_INTERCEPT))
    return (slope or [1.0])[0], (intercept or [0.0])[0]


def _numbers(value: str) -> list[float]:
    """Numbers of a multi-valued decimal string; a value that is no number ends the list."""
    numbers = []
    for part in value.split("\\"):
        try:
            number = float(part)
        except ValueError:
            break
        if not np.isfinite(number):
            break
        numbers.append(number)
    return numbers
