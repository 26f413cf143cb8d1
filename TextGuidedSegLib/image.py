"""An image: voxels, the grid they lie on in the patient's world, and the anatomical direction of each array axis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.geometry import (
    FILM_CODES,
    VOLUME_CODES,
    AxisCodes,
    Geometry,
    Reorientation,
    coded_geometry,
    film_axis_codes,
    reorientation,
)

Kind = Literal["film", "volume"]

FILM_MODALITIES = frozenset({"CR", "DX", "RG", "MG", "XA", "RF", "PX", "IO", "US", "ES", "OT"})
"""DICOM modalities whose single images are flat pictures; one slice of any other (CT, MR, PT) is a thin volume."""

ORIENTATION_ASSUMED = (
    "This file does not say how the film is oriented: taken as displayed, "
    "patient's left on the right of the image, head up."
)
"""The warning of every film whose orientation had to be assumed."""

MIN_FILM_SIDE = 16
"""Pixels on each long side below which no film shows anything (thumbnails start at 64)."""

_CHANNEL_COUNTS = (1, 3, 4)


@dataclass(frozen=True, eq=False)
class Image:
    """Voxels with their place in the patient; the array stays as scanned, in its own axis order.

    Attributes:
        array: `(I, J, K)` or `(I, J, K, C)` with C in 1, 3, 4; integer or float, as scanned.
        geometry: Grid of the array in the world, where results are written.
        axis_codes: Anatomical direction each array axis runs to. Films follow `film_axis_codes` or DICOM's
            PatientOrientation, so it may differ from `geometry.axis_codes`.
        kind: "film" has exactly one axis of size 1, which runs to A or P; "volume" is everything else.
        modality: DICOM modality such as "CR" or "MR"; None when the file does not say.
        spacing_known: False if no true spacing was given: millimeters are then pixels.
        warnings: Sentences the user must see with every result.
        source: Where the image came from, for messages and reports.

    Raises:
        ImageError: The array does not fit the grid, is not numeric, or is too small to be an image.
    """

    array: NDArray[Any]
    geometry: Geometry
    axis_codes: AxisCodes
    kind: Kind
    modality: str | None = None
    spacing_known: bool = True
    warnings: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        _check_array(self.array, self.geometry, self.source)
        if self.kind not in ("film", "volume"):
            msg = f"{self._name}: kind must be 'film' or 'volume', got {self.kind!r}"
            raise ImageError(msg)
        if self.kind == "film":
            self._check_film()
        reorientation(self.axis_codes, VOLUME_CODES)  # refuses codes that name an axis twice

    @property
    def channels(self) -> int:
        """Number of channels; 1 for an array without a channel axis."""
        return int(self.array.shape[3]) if self.array.ndim == 4 else 1

    def canonical(self) -> tuple[NDArray[Any], Reorientation]:
        """The array in the canonical frame of its kind, and the exact step there.

        Returns:
            Array with axes running to `FILM_CODES` (the last of size 1) or `VOLUME_CODES`, channels last, and the
            `Reorientation` whose `undo` brings any result on that grid back to this image's axes.
        """
        step = reorientation(self.axis_codes, FILM_CODES if self.kind == "film" else VOLUME_CODES)
        return step.apply(self.array), step

    @classmethod
    def from_array(
        cls, array: ArrayLike, affine_ijk_to_ras: ArrayLike | None = None, modality: str | None = None
    ) -> Image:
        """Image from an array in memory.

        Args:
            array: Without an affine a film as displayed, `(rows, columns)` or `(rows, columns, 3)`: patient's left on
                the right, head up. With an affine `(I, J, K)` or `(I, J, K, C)`.
            affine_ijk_to_ras: `(4, 4)`, voxel-center indices to RAS mm.
            modality: DICOM modality, if known.

        Raises:
            ImageError: The array has no such shape or is unfit as an image.
            GeometryError: The affine is not finite and invertible.
        """
        values = np.asarray(array)
        if affine_ijk_to_ras is None:
            return _displayed_film(values, modality)
        if values.ndim not in (3, 4):
            msg = f"with an affine the array must be (I, J, K) or (I, J, K, C), got the shape {values.shape}"
            raise ImageError(msg)
        geometry = Geometry(values.shape[:3], np.asarray(affine_ijk_to_ras, dtype=np.float64))
        if image_kind(geometry, modality) == "volume":
            return cls(values, geometry, geometry.axis_codes, "volume", modality)
        codes, assumed = film_axis_codes(geometry)
        return cls(values, geometry, codes, "film", modality, warnings=(ORIENTATION_ASSUMED,) if assumed else ())

    @property
    def _name(self) -> str:
        return self.source or "image"

    def _check_film(self) -> None:
        shape = self.geometry.shape
        _, short, long = sorted(shape)
        if short < MIN_FILM_SIDE:
            msg = (
                f"{self._name}: the image has only {long} x {short} pixels; "
                f"a film needs at least {MIN_FILM_SIDE} x {MIN_FILM_SIDE}"
            )
            raise ImageError(msg)
        if shape.count(1) != 1 or self.axis_codes[shape.index(1)] not in ("A", "P"):
            msg = (
                f"{self._name}: a film has exactly one axis of size 1 and it runs to A or P, "
                f"got the shape {shape} with axes running to {self.axis_codes}"
            )
            raise ImageError(msg)


def image_kind(geometry: Geometry, modality: str | None) -> Kind:
    """Decide whether a grid is a film or a volume.

    Args:
        geometry: The grid, as the file has it.
        modality: DICOM modality, or None when the file does not say.

    Returns:
        "film" for one slice of a projecting modality; one slice of a CT or MR is a volume. Where the file does not
        say, its frame does: a coronal slice and one in the frame of a picture are films, any other one was scanned.
    """
    if geometry.shape.count(1) != 1:
        return "volume"
    if modality is not None:
        return "film" if modality in FILM_MODALITIES else "volume"
    across = geometry.shape.index(1)
    is_film = geometry.axis_codes[across] in ("A", "P") or _lies_like_a_picture(geometry, across)
    return "film" if is_film else "volume"


def _lies_like_a_picture(geometry: Geometry, across: int) -> bool:
    """Whether a slice has nothing of a scanner's frame: straight, from the world's origin, of no thickness of its own.

    Formats that need a thickness get that of the pixels, or the 1 mm that ITK gives to every picture.
    """
    spacing = geometry.spacing_mm
    is_straight = np.allclose(np.abs(geometry.affine_ijk_to_ras[:3, :3] / spacing).max(axis=0), 1, atol=1e-6)
    nominal = np.isclose(spacing[across], [1.0, *np.delete(spacing, across)], rtol=1e-3)
    return bool(is_straight and nominal.any() and np.allclose(geometry.origin_ras_mm, 0, atol=1e-3))


def scalar_if_gray(array: NDArray[Any]) -> NDArray[Any]:
    """Drop the transparency of a picture, and its channel axis when all colors are equal: most films are stored so.

    Args:
        array: `(I, J, K)` or `(I, J, K, C)`; only pictures, with a spatial axis of size 1, are touched.

    Returns:
        `(I, J, K)` for a gray picture, `(I, J, K, C)` without transparency for a colored one.
    """
    if array.ndim != 4 or 1 not in array.shape[:3]:
        return array
    colors = array[..., :-1] if array.shape[3] in (2, 4) else array
    is_gray = all(np.array_equal(colors[..., 0], colors[..., channel]) for channel in range(1, colors.shape[3]))
    return colors[..., 0] if is_gray else colors


def with_sound_values(image: Image) -> Image:
    """Refuse an image without a finite value, mend a partly damaged one, and speak up about a constant one.

    Returns:
        The image with finite values only, and a warning for each thing that was found.

    Raises:
        ImageError: No voxel has a finite value.
    """
    array, warnings = image.array, list(image.warnings)
    if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        if not finite.any():
            msg = (
                f"{image.source or 'image'}: no voxel has a finite value (all NaN or infinite); export the image again"
            )
            raise ImageError(msg)
        lowest = array[finite].min()
        share = 1 - finite.mean()
        warnings.append(f"{share:.2%} of the values are not finite; they were set to the lowest value, {lowest:g}.")
        array = np.where(finite, array, lowest)
    if array.min() == array.max():
        constant = f"All voxels have the same value ({array.min():g}): there is nothing to see in this image."
        warnings += [constant] if constant not in warnings else []
    return replace(image, array=array, warnings=tuple(warnings))


def _check_array(array: NDArray[Any], geometry: Geometry, source: str) -> None:
    name = source or "image"
    if array.shape[:3] != geometry.shape or array.ndim not in (3, 4):
        msg = f"{name}: the array has the shape {array.shape}, its grid needs {geometry.shape} (channels last)"
        raise ImageError(msg)
    if array.dtype.kind not in "uif":
        msg = f"{name}: an image holds integers or floats, got {array.dtype}; convert it first"
        raise ImageError(msg)
    if array.ndim == 4 and array.shape[3] not in _CHANNEL_COUNTS:
        msg = f"{name}: an image has 1, 3 or 4 channels, got {array.shape[3]}; save the one to segment on its own"
        raise ImageError(msg)
    if sorted(geometry.shape)[1] < 2:
        msg = (
            f"{name}: the image has only {' x '.join(map(str, geometry.shape))} voxels; expected a picture or a volume"
        )
        raise ImageError(msg)


def _displayed_film(values: NDArray[Any], modality: str | None) -> Image:
    if not (values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (3, 4))):
        msg = (
            f"an array of shape {values.shape} needs affine_ijk_to_ras; "
            "without one only a film (rows, columns) or (rows, columns, 3) is understood"
        )
        raise ImageError(msg)
    if min(values.shape) < 1:
        msg = f"the array is empty, shape {values.shape}; expected rows x columns"
        raise ImageError(msg)
    array = values.swapaxes(0, 1)[:, :, None]
    geometry = coded_geometry((array.shape[0], array.shape[1], 1), FILM_CODES)
    return Image(array, geometry, FILM_CODES, "film", modality, spacing_known=False, warnings=(ORIENTATION_ASSUMED,))
