"""A region of interest: a box of an image, given in voxels or in the patient's world."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.image import Image

Bounds = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""First voxel and the one after the last along each array axis."""

# A box drawn on voxel centers includes them, also after its corners went through two matrices.
_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class Region:
    """A box; made by `Region.ijk` or `Region.ras_mm`.

    Attributes:
        low: Lowest corner, three numbers.
        high: Highest corner.
        in_world: The corners are RAS mm; otherwise voxel indices of which `high` is the first outside.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    in_world: bool

    def __post_init__(self) -> None:
        corners = (*self.low, *self.high)
        if len(self.low) != 3 or len(self.high) != 3 or not np.isfinite(corners).all():
            msg = f"a region needs two corners of three finite numbers each, got {self.low} and {self.high}"
            raise ImageError(msg)
        if any(low >= high for low, high in zip(self.low, self.high, strict=True)):
            msg = f"the low corner of a region must be below the high one on every axis, got {self.low} and {self.high}"
            raise ImageError(msg)

    @classmethod
    def ijk(cls, *bounds: tuple[int, int]) -> Region:
        """From voxel indices: `Region.ijk((10, 50), (0, 64), (20, 60))`, first inside and first outside of each axis.

        Raises:
            ImageError: Not three pairs of growing numbers.
        """
        if len(bounds) != 3 or any(len(pair) != 2 for pair in bounds):
            msg = f"a region in voxels needs three pairs (first inside, first outside), got {bounds}"
            raise ImageError(msg)
        (i0, i1), (j0, j1), (k0, k1) = bounds
        return cls((i0, j0, k0), (i1, j1, k1), in_world=False)

    @classmethod
    def ras_mm(cls, low: Sequence[float], high: Sequence[float]) -> Region:
        """From two opposite corners of a box in RAS mm, in any order.

        Raises:
            ImageError: The corners are not three finite numbers each, or the box is flat.
        """
        if len(low) != 3 or len(high) != 3:
            msg = f"a region needs two corners of three numbers each, got {tuple(low)} and {tuple(high)}"
            raise ImageError(msg)
        pairs = [sorted((float(one), float(other))) for one, other in zip(low, high, strict=True)]
        (r0, r1), (a0, a1), (s0, s1) = pairs
        return cls((r0, a0, s0), (r1, a1, s1), in_world=True)

    def bounds(self, geometry: Geometry) -> Bounds:
        """The voxels of a grid in this region, clipped to the grid.

        In an oblique grid these are the voxels of the smallest box along the array axes that holds the region.

        Raises:
            ImageError: No voxel lies in it.
        """
        low, high = np.array(self.low), np.array(self.high)
        if self.in_world:
            corners = geometry.ras_mm_to_ijk(list(itertools.product(*zip(self.low, self.high, strict=True))))
            low = np.ceil(corners.min(axis=0) - _ROUNDING)
            high = np.floor(corners.max(axis=0) + _ROUNDING) + 1
        # Clipped first: a corner may lie too far away for whole numbers.
        low, high = (np.clip(corner, 0, geometry.shape).astype(int) for corner in (low, high))
        if (low >= high).any():
            unit = "RAS mm" if self.in_world else "voxels"
            msg = (
                f"no voxel of the image ({' x '.join(map(str, geometry.shape))}) lies in the region from {self.low} to "
                f"{self.high} ({unit}); move or enlarge it"
            )
            raise ImageError(msg)
        first, second, third = ((int(one), int(other)) for one, other in zip(low, high, strict=True))
        return first, second, third


def cropped(image: Image, bounds: Bounds) -> Image:
    """The part of an image, every voxel at its place in the patient; shares memory with the image.

    Raises:
        ImageError: A film of which less than its least size is left.
    """
    offset = np.eye(4)
    offset[:3, 3] = [low for low, _ in bounds]
    first, second, third = (high - low for low, high in bounds)
    geometry = Geometry((first, second, third), image.geometry.affine_ijk_to_ras @ offset)
    return dataclasses.replace(image, array=image.array[index_of(bounds)], geometry=geometry)


def index_of(bounds: Bounds) -> tuple[slice, ...]:
    """Index of the part of an array."""
    return tuple(slice(low, high) for low, high in bounds)
