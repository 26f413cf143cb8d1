"""Directional guidance: soft regions for *left*, *lower*, *anterior*, the patient's, in coordinates of the organ.

Each location unit becomes a product of gates, one per axis of the patient; several locations are united. The gates are
measured in organ coordinates: an organ map over the image, read off the features, gives the center and the extent that
count as 0 and 1, so that a film that is shifted or taken closer keeps its left and its lower. An even map gives the
image's own frame, which is where training begins.

Bands of the levels start, on films, from those measured on chest films (rows that lesions of one level span, as a
share of the height: upper 0.16-0.39, middle 0.37-0.61, lower 0.44-0.73); equal thirds would be wrong. A volume is no
chest: there *superior* is all above the middle, up to the last slice. All borders are learned; an open end is none.
Sides have no offset: mirroring the image and swapping the words mirrors the region exactly.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from TextGuidedSegLib.language.units import DIRECTIONS
from TextGuidedSegLib.text_encoder import PhraseUnits

# The standard deviation of an even map over [-1, 1] is 1 / sqrt(3): it then counts as the whole image.
_EVEN = math.sqrt(3.0)
_LEAST_EXTENT = 0.25
_LEVELS = ("upper", "middle", "lower")
_ALONG = (("left", "right"), ("anterior", "posterior"), _LEVELS)  # directions along each axis of the patient
_LEVEL_BANDS = ((0.22, 0.68), (-0.22, 0.26), (-0.46, 0.12))  # low and high, 1 is the top and -1 the bottom
# Beyond what any organ's coordinates reach: the other end of the image is at most 2 half sizes from its center.
_OPEN = 2.5 / _LEAST_EXTENT
_OPEN_BANDS = ((0.0, _OPEN), (-0.5, 0.5), (-_OPEN, 0.0))
_START_WIDTH = 0.08
_LEAST_WIDTH = 0.02


class PatientAxes(NamedTuple):
    """Which axis of the canonical array runs along each axis of the patient, and in which direction.

    Attributes:
        left: Array axis and sign of patient's left; the others likewise.
        front: Anterior, or None where the image has no such axis.
        top: Superior.
    """

    left: tuple[int, float]
    front: tuple[int, float] | None
    top: tuple[int, float]


# Canonical frames of `geometry`: a film's axes run to the patient's left and down, a volume's to right, front and top.
FILM_AXES = PatientAxes(left=(0, 1.0), front=None, top=(1, -1.0))
VOLUME_AXES = PatientAxes(left=(0, -1.0), front=(1, 1.0), top=(2, 1.0))


class OrganFrame(NamedTuple):
    """Center and extent of the organ in canonical coordinates.

    Attributes:
        center: `(B, D)`.
        extent: `(B, D)`, half of the size; (0, 1) is the whole image.
    """

    center: Tensor
    extent: Tensor


class OrganMap(nn.Module):
    """Finds the organ that directions are measured in: a map over the deepest features, and its moments.

    Args:
        channels: Channels of the features.
        spatial_dims: 2 or 3.
    """

    def __init__(self, channels: int, spatial_dims: int) -> None:
        super().__init__()
        convolution = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
        self.head = convolution(channels, 1, kernel_size=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, coordinates: Tensor, inside: Tensor | None = None) -> OrganFrame:
        """Moments of the map, which is even within each cell of the grid: one cell may be as large as a thin volume.

        Args:
            features: `(B, C, *grid)`.
            coordinates: `(B, *shape, D)` canonical coordinates of each voxel, see `canonical_coordinates`; the grid's
                cells are made of whole voxels.
            inside: `(1, *shape, 1)` 1 on the image and 0 on padding; None where there is no padding.
        """
        grid, coordinates = features.shape[2:], coordinates.float()
        scores = self.head(features).float().flatten(1)
        if inside is not None:
            scores = scores + resized(inside, grid).flatten().log()
        weights = scores.softmax(dim=1)[..., None]  # (B, N, 1)
        center, square = (
            (weights * resized(moment, grid).flatten(1, -2)).sum(dim=1)
            for moment in (coordinates, coordinates.square())
        )
        variance = (square - center.square()).clamp_min(0)
        return OrganFrame(center, ((variance + 1e-6).sqrt() * _EVEN).clamp_min(_LEAST_EXTENT))


class DirectionalGuidance(nn.Module):
    """Soft regions of location units.

    Args:
        axes: Axes of the canonical frame.
    """

    def __init__(self, axes: PatientAxes) -> None:
        super().__init__()
        self.axes = axes
        bands = _LEVEL_BANDS if axes.front is None else _OPEN_BANDS
        self.low = nn.Parameter(torch.tensor([band[0] for band in bands]))
        self.high = nn.Parameter(torch.tensor([band[1] for band in bands]))
        self.front_edge = nn.Parameter(torch.zeros(()), requires_grad=axes.front is not None)
        start = math.log(math.expm1(_START_WIDTH - _LEAST_WIDTH))
        self.width = nn.Parameter(torch.full((3,), start))  # of the gates along left, front, top

    def forward(self, units: PhraseUnits, coordinates: Tensor, frame: OrganFrame) -> Tensor:
        """Region of each unit.

        Args:
            units: K units of B phrases.
            coordinates: `(B, *grid, D)` canonical coordinates.
            frame: Organ in the same coordinates.

        Returns:
            `(B, K, *grid)` float32 in [0, 1]; exactly 1 where the unit names no direction.
        """
        batch, dims = coordinates.shape[0], coordinates.shape[-1]
        shape = (batch, *[1] * (coordinates.ndim - 2), dims)
        organ = (coordinates.float() - frame.center.view(shape)) / frame.extent.view(shape)
        named = dict(zip(DIRECTIONS, units.directions.unbind(dim=2), strict=True))
        gates = self._gates(organ)
        axes = [[(named[name], gates[name]) for name in along if name in gates] for along in _ALONG]
        return functools.reduce(torch.mul, [_union(axis) for axis in axes if axis])

    def _gates(self, organ: Tensor) -> dict[str, Tensor]:
        """`(B, *grid)` gate of each direction that the frame has."""
        width = functional.softplus(self.width) + _LEAST_WIDTH
        left = _along(organ, self.axes.left)
        gates = {"left": (left / width[0]).sigmoid(), "right": (-left / width[0]).sigmoid()}
        if self.axes.front is not None:
            front = (_along(organ, self.axes.front) - self.front_edge) / width[1]
            gates |= {"anterior": front.sigmoid(), "posterior": (-front).sigmoid()}
        top = _along(organ, self.axes.top)
        for index, level in enumerate(_LEVELS):
            inside = ((top - self.low[index]) / width[2]).sigmoid() * ((self.high[index] - top) / width[2]).sigmoid()
            gates[level] = inside
        return gates


def united(regions: Tensor, units: PhraseUnits) -> Tensor:
    """Where the phrase as a whole points: the union of its locations.

    Args:
        regions: `(B, K, *grid)` from `DirectionalGuidance`.
        units: The units.

    Returns:
        `(B, 1, *grid)` in [0, 1]; 1 everywhere for a phrase without a direction.
    """
    points = units.directions.any(dim=2) & units.mask  # (B, K)
    weight = points.view(*points.shape, *[1] * (regions.ndim - 2)).to(regions.dtype)
    union = 1 - (1 - regions * weight).prod(dim=1, keepdim=True)
    silent = (~points.any(dim=1)).view(-1, *[1] * (regions.ndim - 1))
    return torch.where(silent, torch.ones_like(union), union)


def canonical_coordinates(shape: Sequence[int], device: torch.device) -> Tensor:
    """`(1, *shape, D)` coordinates of the voxel centers, from -1 to 1 along each array axis, in array order."""
    return window_coordinates(shape, [(0, size) for size in shape], device)


def window_coordinates(shape: Sequence[int], window: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
    """The part of `canonical_coordinates(shape, device)` in a window.

    Args:
        shape: Of the whole image.
        window: First voxel and one after the last along each axis.
        device: Where to make it.
    """
    axes = [
        (torch.arange(low, high, device=device) + 0.5) / size * 2 - 1
        for size, (low, high) in zip(shape, window, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)[None]


def resized(coordinates: Tensor, grid: Sequence[int]) -> Tensor:
    """Coordinates `(B, *shape, D)` averaged over the cells of a coarser grid."""
    return averaged(coordinates.movedim(-1, 1), grid).movedim(1, -1)


def averaged(maps: Tensor, grid: Sequence[int]) -> Tensor:
    """Maps `(B, C, *shape)` averaged over the cells of a coarser grid of two or three axes."""
    if len(grid) == 2:
        return functional.adaptive_avg_pool2d(maps, (grid[0], grid[1]))
    return functional.adaptive_avg_pool3d(maps, (grid[0], grid[1], grid[2]))


def _along(organ: Tensor, axis: tuple[int, float]) -> Tensor:
    return organ[..., axis[0]] * axis[1]


def _union(named: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Union of the gates that each unit names along one axis, `(B, K, *grid)`; 1 for units that name none of them.

    Args:
        named: For each direction whether a unit names it, `(B, K)` in {0, 1}, and its gate, `(B, *grid)`.
    """
    ones = [1] * (named[0][1].ndim - 1)
    weights = [weight.view(*weight.shape, *ones) for weight, _ in named]
    outside = [1 - weight * gate[:, None] for weight, (_, gate) in zip(weights, named, strict=True)]
    speaks = functools.reduce(torch.maximum, weights)
    return 1 - speaks * functools.reduce(torch.mul, outside)
