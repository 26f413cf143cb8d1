"""Smooth random deformations of images of any number of dimensions: no two patients differ by an affine map alone.

Displacements are drawn at a few control points along each axis and interpolated linearly between them. They are shares
of the distance between the points. Along each axis neighboring points come closer or go apart by twice a share at most,
so with D dimensions nothing folds below 1 / (2 D).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

CONTROL_POINTS = 5
"""Along each axis, from the first pixel to the last."""

_MODES = {2: "bilinear", 3: "trilinear"}


def sample_deformation(
    batch: int, dims: int, generator: torch.Generator, *, probability: float, share: float
) -> Tensor | None:
    """Draw displacements of the control points.

    Args:
        batch: Images.
        dims: 2 or 3.
        generator: Source of the choice; not touched where the probability is 0.
        probability: That an image is deformed.
        share: Largest displacement along each axis, in distances between control points; below 1 / (2 D).

    Returns:
        `(B, D, 5, ...)` where -1 to 1 reaches over the image, in the order of `grid_sample`, zeros for images that
        stay; None where the probability is 0.

    Raises:
        ValueError: Such displacements could fold the image.
    """
    most = 1 / (2 * dims)
    if not 0 <= share < most:
        msg = f"deform_share must be 0 or more and below {most:.3g}, so that nothing folds, got {share}"
        raise ValueError(msg)
    if not probability:
        return None
    active = torch.rand(batch, generator=generator) < probability
    drawn = 2 * torch.rand(batch, dims, *[CONTROL_POINTS] * dims, generator=generator) - 1
    distance = 2 / (CONTROL_POINTS - 1)
    return drawn * share * distance * active.view(-1, *[1] * (dims + 1))


def displaced(grid: Tensor, displacements: Tensor | None) -> Tensor:
    """A sampling grid with displacements added.

    Args:
        grid: `(B, *shape, D)` for `grid_sample`.
        displacements: From `sample_deformation`, or None for the grid itself.
    """
    if displacements is None:
        return grid
    mode = _MODES[displacements.shape[1]]
    dense = functional.interpolate(displacements, size=grid.shape[1:-1], mode=mode, align_corners=True)
    # The outermost pixels' centers lie half a pixel inside the borders.
    inner = torch.tensor([(size - 1) / size for size in reversed(dense.shape[2:])], device=dense.device)
    return grid + dense.movedim(1, -1) * inner
