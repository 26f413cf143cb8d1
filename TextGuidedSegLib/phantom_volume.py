"""A synthetic head in three dimensions: a pair of organs with known sides and known anterior and posterior parts.

The anatomy has a place in the world, and a volume is a box of that world with any voxel size: a whole head and a tight
crop around one organ show the same patient.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.image import Image

Side = Literal["left", "right"]
Depth = Literal["anterior", "posterior"]
SIDES: tuple[Side, ...] = ("left", "right")
DEPTHS: tuple[Depth, ...] = ("anterior", "posterior")

# Half axes and centers in RAS mm; what comes later covers what came before.
_SKULL, _BRAIN = ((74.0, 94.0, 80.0), 70.0), ((66.0, 86.0, 72.0), 185.0)
_FLUID = 35.0
_ORGAN = 120.0
_BACKGROUND = 8.0
_FLUID_PLACE = np.array((0.0, 2.0, 8.0)), np.array((7.0, 18.0, 4.0))  # a thin layer above the organ
_ORGAN_PLACES = (  # head and tail
    (np.array((0.0, 11.0, -2.0)), np.array((8.0, 9.0, 6.5))),
    (np.array((0.0, -9.0, 2.0)), np.array((5.5, 14.0, 5.0))),
)
_ORGAN_CENTER = (28.0, -10.0, -14.0)  # of the right one
_CUT = 2.0  # mm in front of the organ's center: what lies before it is anterior


@dataclasses.dataclass(frozen=True, eq=False)
class PhantomVolume:
    """One synthetic volume.

    Attributes:
        array: `(I, J, K)` float32 in [0, 255], canonical frame: axes run to R, A and S.
        geometry: Its grid, RAS mm.
        parts: Mask `(I, J, K)` of each part of each organ, by side and depth.
    """

    array: np.ndarray
    geometry: Geometry
    parts: dict[tuple[Side, Depth], np.ndarray]

    def mask(self, side: Side | None = None, depth: Depth | None = None) -> np.ndarray:
        """Union of the parts on a side and at a depth, `(I, J, K)` bool; None is both."""
        chosen = [mask for (one, other), mask in self.parts.items() if side in (None, one) and depth in (None, other)]
        union: np.ndarray = np.any(chosen, axis=0)
        return union

    def image(self, modality: str | None = "MR") -> Image:
        """The volume as an image."""
        return Image.from_array(self.array, self.geometry.affine_ijk_to_ras, modality)


def head_volume(
    seed: int = 0,
    *,
    size_mm: Sequence[float] = (160.0, 200.0, 170.0),
    spacing_mm: Sequence[float] = (2.0, 2.0, 2.0),
    center_ras_mm: Sequence[float] = (0.0, 0.0, 0.0),
) -> PhantomVolume:
    """Draw a head, or a crop of it.

    Args:
        seed: Another patient: organs a few millimeters elsewhere and larger or smaller; noise.
        size_mm: Field of view along R, A and S.
        spacing_mm: Voxel size.
        center_ras_mm: Middle of the field of view; the head's own middle is the origin. `organ_center_ras_mm` gives
            that of an organ.
    """
    shape = tuple(max(1, round(size / spacing)) for size, spacing in zip(size_mm, spacing_mm, strict=True))
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = np.array(center_ras_mm) - np.array(spacing_mm) * (np.array(shape) - 1) / 2
    geometry = Geometry((shape[0], shape[1], shape[2]), affine)
    places = [
        (affine[axis, 3] + spacing_mm[axis] * np.arange(shape[axis], dtype=np.float32)).reshape(
            [-1 if one == axis else 1 for one in range(3)]
        )
        for axis in range(3)
    ]
    array = np.full(shape, _BACKGROUND, dtype=np.float32)
    for half_axes, value in (_SKULL, _BRAIN):
        array[_ellipsoid(places, (0.0, 0.0, 0.0), half_axes)] = value
    parts: dict[tuple[Side, Depth], np.ndarray] = {}
    for side in SIDES:
        center, growth = _organ(seed, side)
        array[_ellipsoid(places, center + growth * _FLUID_PLACE[0], growth * _FLUID_PLACE[1])] = _FLUID
        head, tail = (_ellipsoid(places, center + growth * one, growth * half) for one, half in _ORGAN_PLACES)
        organ = head | tail
        array[organ] = _ORGAN
        front = places[1] > center[1] + _CUT
        parts[side, "anterior"], parts[side, "posterior"] = organ & front, organ & ~front
    rng = np.random.default_rng(seed)
    array += rng.normal(0.0, 6.0, shape).astype(np.float32)
    array *= 1 + np.float32(0.1) * np.tanh(places[0] / 60) + np.float32(0.1) * np.tanh(places[2] / 60)
    return PhantomVolume(np.clip(array, 0.0, 255.0), geometry, parts)


def organ_center_ras_mm(seed: int, side: Side) -> tuple[float, float, float]:
    """Middle of one organ of `head_volume(seed)`."""
    x, y, z = _organ(seed, side)[0].tolist()
    return x, y, z


def _organ(seed: int, side: Side) -> tuple[np.ndarray, float]:
    """Center in RAS mm and size of one organ, 1 on average."""
    rng = np.random.default_rng((seed, SIDES.index(side)))
    center = np.array(_ORGAN_CENTER) * ((-1.0 if side == "left" else 1.0), 1.0, 1.0)
    return center + rng.uniform(-3.0, 3.0, 3), float(rng.uniform(0.9, 1.1))


def _ellipsoid(places: Sequence[np.ndarray], center: ArrayLike, half_axes: ArrayLike) -> np.ndarray:
    middles, halves = np.asarray(center, dtype=np.float32), np.asarray(half_axes, dtype=np.float32)
    x, y, z = (((place - middles[axis]) / halves[axis]) ** 2 for axis, place in enumerate(places))
    inside: np.ndarray = x + y + z <= 1.0
    return inside
