"""Grids in the patient's world, and the two exact-inverse steps between a file's grid and a network's grid.

World coordinates are RAS millimeters. An axis code is the letter of the anatomical direction an array axis runs TO
("R", "L", "A", "P", "S", "I"). `Reorientation` permutes and flips (bit-exact); `ResamplePlan`, in `resampling.py` and
named here too because the two always go together, changes the grid size.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from TextGuidedSegLib.errors import GeometryError
from TextGuidedSegLib.resampling import ResamplePlan, film_plan, volume_plan

__all__ = [
    "FILM_CODES",
    "VOLUME_CODES",
    "AxisCodes",
    "Geometry",
    "Reorientation",
    "ResamplePlan",
    "Shape",
    "axis_of",
    "coded_geometry",
    "film_axis_codes",
    "film_plan",
    "reorientation",
    "right_handed",
    "volume_plan",
]

AxisCodes = tuple[str, str, str]
Shape = tuple[int, int, int]

FILM_CODES: AxisCodes = ("L", "I", "P")
"""Canonical film frame: columns run to the patient's left, rows to the feet, the singleton axis backwards."""

VOLUME_CODES: AxisCodes = ("R", "A", "S")
"""Canonical frame of volumes."""

_POSITIVE = "RAS"
_NEGATIVE = "LPI"


def axis_of(code: str) -> int:
    """World axis of one axis code: 0 for R and L, 1 for A and P, 2 for S and I.

    Raises:
        GeometryError: The code is none of the six letters.
    """
    for letters in (_POSITIVE, _NEGATIVE):
        if len(code) == 1 and code in letters:
            return letters.index(code)
    msg = f"an axis code must be one of R L A P S I, got {code!r}"
    raise GeometryError(msg)


def _check_codes(codes: AxisCodes) -> None:
    if len(codes) != 3 or {axis_of(code) for code in codes} != {0, 1, 2}:
        msg = f"axis codes must name each of the axes R/L, A/P and S/I once, got {tuple(codes)}"
        raise GeometryError(msg)


def _direction(code: str) -> NDArray[np.float64]:
    """Unit vector in RAS of one axis code."""
    vector = np.zeros(3)
    vector[axis_of(code)] = 1.0 if code in _POSITIVE else -1.0
    return vector


@dataclass(frozen=True, eq=False)
class Geometry:
    """A voxel grid in the patient's world.

    Attributes:
        shape: Number of voxels along each array axis, `(I, J, K)`, each >= 1.
        affine_ijk_to_ras: `(4, 4)` float64, maps voxel-center indices to RAS mm; a read-only copy is kept.

    Raises:
        GeometryError: Shape or affine cannot describe a grid (not finite, singular, last row not 0 0 0 1).
    """

    shape: Shape
    affine_ijk_to_ras: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = tuple(int(size) for size in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            msg = f"a grid needs three sizes >= 1, got {tuple(self.shape)}"
            raise GeometryError(msg)
        affine = np.array(self.affine_ijk_to_ras, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.allclose(affine[3], (0, 0, 0, 1)):
            msg = f"affine_ijk_to_ras must be a finite (4, 4) matrix with last row 0 0 0 1, got {affine.tolist()}"
            raise GeometryError(msg)
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        # Relative to the voxel size, so that micrometer voxels are as legal as meter ones.
        if spacing.min() <= 0 or abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-6:
            msg = f"affine_ijk_to_ras must be invertible, got the axis vectors {affine[:3, :3].T.tolist()}"
            raise GeometryError(msg)
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine_ijk_to_ras", affine)

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """Distance between voxel centers along each array axis, `(3,)`, mm."""
        spacing: NDArray[np.float64] = np.sqrt(np.square(self.affine_ijk_to_ras[:3, :3]).sum(axis=0))
        return spacing

    @property
    def origin_ras_mm(self) -> NDArray[np.float64]:
        """Center of voxel (0, 0, 0), `(3,)`, RAS mm."""
        return self.affine_ijk_to_ras[:3, 3].copy()

    @property
    def axis_codes(self) -> AxisCodes:
        """Nearest anatomical direction of each array axis; each anatomical axis is named once, oblique or not."""
        cosines = self.affine_ijk_to_ras[:3, :3] / self.spacing_mm

        # Rounded, so that a grid turned by exactly 45 degrees does not change its codes with the last bit; there the
        # signs between two directions decide, which neither the order nor the signs of the array axes change.
        def fit(world: tuple[int, ...]) -> tuple[float, float]:
            along = sum(abs(cosines[world[i], i]) for i in range(3))
            between = sum(cosines[world[i], i] * cosines[(world[i] + 1) % 3, i] for i in range(3))
            return round(float(along), 6), round(float(between), 6)

        best = max(itertools.permutations(range(3)), key=fit)
        first, second, third = ((_POSITIVE if cosines[best[i], i] >= 0 else _NEGATIVE)[best[i]] for i in range(3))
        return first, second, third

    def ijk_to_ras_mm(self, points_ijk: ArrayLike) -> NDArray[np.float64]:
        """Map voxel indices `(N, 3)`, fractions allowed, to RAS mm `(N, 3)`."""
        points = np.asarray(points_ijk, dtype=np.float64)
        moved: NDArray[np.float64] = points @ self.affine_ijk_to_ras[:3, :3].T + self.affine_ijk_to_ras[:3, 3]
        return moved

    def ras_mm_to_ijk(self, points_ras_mm: ArrayLike) -> NDArray[np.float64]:
        """Map RAS mm `(N, 3)` to voxel indices `(N, 3)` with fractions."""
        points = np.asarray(points_ras_mm, dtype=np.float64) - self.affine_ijk_to_ras[:3, 3]
        return np.asarray(np.linalg.solve(self.affine_ijk_to_ras[:3, :3], points.T).T, dtype=np.float64)

    def close_to(self, other: Geometry, tolerance_mm: float = 1e-3) -> bool:
        """True if both grids have the same shape and no corner voxel lies more than `tolerance_mm` apart."""
        if self.shape != other.shape:
            return False
        corners = np.array(list(itertools.product(*((0, size - 1) for size in self.shape))))
        distances = np.linalg.norm(self.ijk_to_ras_mm(corners) - other.ijk_to_ras_mm(corners), axis=1)
        return bool(distances.max() <= tolerance_mm)


def coded_geometry(shape: Shape, codes: AxisCodes, spacing_mm: Sequence[float] = (1.0, 1.0, 1.0)) -> Geometry:
    """Grid whose axes run straight along `codes`, with voxel (0, 0, 0) at the world's origin.

    Args:
        shape: `(I, J, K)` voxels.
        codes: Anatomical direction each axis runs to.
        spacing_mm: Voxel size along each axis, mm.

    Raises:
        GeometryError: The codes do not name the three axes once each, or a spacing is not positive.
    """
    _check_codes(codes)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([_direction(code) for code in codes], axis=1) * np.asarray(spacing_mm, dtype=np.float64)
    return Geometry(shape, affine)


def right_handed(first: str, second: str) -> AxisCodes:
    """Codes of a right-handed grid from those of its first two axes, which must differ in axis."""
    normal = np.cross(_direction(first), _direction(second))
    axis = int(np.abs(normal).argmax())
    codes = (first, second, (_POSITIVE if normal[axis] > 0 else _NEGATIVE)[axis])
    _check_codes(codes)
    return codes


def film_axis_codes(geometry: Geometry) -> tuple[AxisCodes, bool]:
    """Anatomical directions of a one-slice image, and whether they had to be assumed.

    A coronal affine (singleton axis nearest to A/P) is believed. Any other one says nothing about a film, because
    picture files come with an identity affine whose rows would run backwards through the patient: such a film is taken
    as displayed, the first long axis running to the patient's left, the second to the feet.

    Args:
        geometry: Grid with exactly one axis of size 1, at any position.

    Returns:
        The codes of the three array axes (the singleton one is "A" or "P"), and True if they were assumed.

    Raises:
        GeometryError: Not exactly one axis has size 1.
    """
    if geometry.shape.count(1) != 1:
        msg = f"a film has exactly one axis of size 1, got the shape {geometry.shape}"
        raise GeometryError(msg)
    singleton = geometry.shape.index(1)
    if axis_of(geometry.axis_codes[singleton]) == 1:
        return geometry.axis_codes, False
    codes = [FILM_CODES[0], FILM_CODES[1]]
    codes.insert(singleton, FILM_CODES[2])
    return (codes[0], codes[1], codes[2]), True


@dataclass(frozen=True)
class Reorientation:
    """An exact change of array axes: a permutation, then flips. Anatomy and phrase stay as they are.

    Attributes:
        permutation: For each new axis the old axis it comes from.
        flips: For each new axis whether it runs against the old one.
    """

    permutation: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """Bring `(I, J, K)` or `(I, J, K, C)` to the new axes; contiguous, may share memory with `array`."""
        return np.ascontiguousarray(self.view(array))

    def view(self, array: NDArray[Any]) -> NDArray[Any]:
        """`apply` without a copy: what is written to the view is written to `array`."""
        _check_spatial(array)
        return self._flip(array.transpose(*self.permutation, *range(3, array.ndim)))

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """Exact inverse of `apply`, for any array on the new grid."""
        _check_spatial(array)
        inverse = [int(axis) for axis in np.argsort(self.permutation)]
        return np.ascontiguousarray(self._flip(array).transpose(*inverse, *range(3, array.ndim)))

    def apply_to_geometry(self, geometry: Geometry) -> Geometry:
        """Grid of `apply(array)`: every voxel keeps its place in the patient."""
        shape = tuple(geometry.shape[axis] for axis in self.permutation)
        return Geometry((shape[0], shape[1], shape[2]), geometry.affine_ijk_to_ras @ self._old_from_new(geometry.shape))

    def undo_geometry(self, geometry: Geometry) -> Geometry:
        """Grid of `undo(array)`, equal to the first grid within rounding."""
        sizes = dict(zip(self.permutation, geometry.shape, strict=True))
        shape = (sizes[0], sizes[1], sizes[2])
        return Geometry(shape, geometry.affine_ijk_to_ras @ np.linalg.inv(self._old_from_new(shape)))

    def _flip(self, array: NDArray[Any]) -> NDArray[Any]:
        return array[tuple(slice(None, None, -1 if flipped else 1) for flipped in self.flips)]

    def _old_from_new(self, old_shape: Shape) -> NDArray[np.float64]:
        """Matrix from homogeneous indices of the new grid to those of the old one."""
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1.0
        for new, (old, flipped) in enumerate(zip(self.permutation, self.flips, strict=True)):
            matrix[old, new] = -1.0 if flipped else 1.0
            matrix[old, 3] = old_shape[old] - 1.0 if flipped else 0.0
        return matrix


def _check_spatial(array: NDArray[Any]) -> None:
    if array.ndim not in (3, 4):
        msg = f"expected an array (I, J, K) or (I, J, K, C), got the shape {array.shape}"
        raise GeometryError(msg)


def reorientation(codes: AxisCodes, target: AxisCodes) -> Reorientation:
    """The exact step from axes running to `codes` to axes running to `target`.

    Raises:
        GeometryError: One of the two does not name each of the axes R/L, A/P and S/I once.
    """
    _check_codes(codes)
    _check_codes(target)
    world_axes = [axis_of(code) for code in codes]
    first, second, third = (world_axes.index(axis_of(code)) for code in target)
    permutation = (first, second, third)
    flips = [codes[old] != target[new] for new, old in enumerate(permutation)]
    return Reorientation(permutation, (flips[0], flips[1], flips[2]))
