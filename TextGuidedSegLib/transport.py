"""Entropic optimal transport between image regions and phrase units, in the log domain.

Cuturi 2013; Peyre and Cuturi 2019, section 4.
A balanced plan is direction-symmetric: solving from text to image gives the transpose of solving from image to text, so
one plan serves both directions by two barycentric projections.
"""

from __future__ import annotations

import torch
from torch import Tensor


def transport_plan(
    cost: Tensor, source: Tensor, target: Tensor, *, epsilon: float = 0.1, iterations: int = 100
) -> Tensor:
    """Plan P that minimizes <P, C> - epsilon H(P) among those with the given marginals.

    Computed in the cost's own precision, at least float32, also under autocast. The last update is that of the target
    side, so its marginal is exact and the source's converges with the iterations: the smaller epsilon is beside the
    cost, the slower.

    Args:
        cost: `(B, N, K)`, finite, any scale; epsilon is in its unit.
        source: `(B, N)` non-negative masses; a mass of zero excludes its row.
        target: `(B, K)` non-negative masses with the same sum, not zero; a mass of zero excludes its column.
        epsilon: Strength of the entropy; larger plans are softer.
        iterations: Pairs of updates.

    Returns:
        `(B, N, K)` non-negative masses, float32 or float64.

    Raises:
        ValueError: The shapes do not fit, or epsilon or iterations are not positive.
    """
    if cost.shape[:2] != source.shape or (cost.shape[0], cost.shape[2]) != target.shape:
        got = f"{tuple(source.shape)}, {tuple(target.shape)}"
        msg = f"cost {tuple(cost.shape)} as (B, N, K) needs source (B, N) and target (B, K), got {got}"
        raise ValueError(msg)
    if epsilon <= 0 or iterations < 1:
        msg = f"epsilon and iterations must be positive, got {epsilon} and {iterations}"
        raise ValueError(msg)
    with torch.autocast(cost.device.type, enabled=False):
        precision = torch.float64 if cost.dtype == torch.float64 else torch.float32
        kernel = -cost.to(precision) / epsilon
        log_source, log_target = (_log(masses.to(precision)) for masses in (source, target))
        # Minus infinity keeps an excluded column out of every sum, whatever it costs.
        column = torch.zeros_like(log_target).masked_fill(target <= 0, -torch.inf)
        for _ in range(iterations):
            row = log_source - torch.logsumexp(kernel + column[:, None, :], dim=2)
            column = log_target - torch.logsumexp(kernel + row[:, :, None], dim=1)
        exponent = kernel + row[:, :, None] + column[:, None, :]
        return exponent.exp()


def standardized(cost: Tensor, mask: Tensor) -> Tensor:
    """Cost with mean 0 and standard deviation 1 over the valid columns of each sample.

    Makes epsilon mean the same for features of any scale; adding a constant to a cost or a function of only one side
    changes no plan, so nothing is lost.

    Args:
        cost: `(B, N, K)`.
        mask: `(B, K)` bool, True on valid columns.
    """
    weight = mask[:, None, :].to(cost.dtype).expand_as(cost)
    count = weight.sum(dim=(1, 2), keepdim=True).clamp_min(1)
    mean = (cost * weight).sum(dim=(1, 2), keepdim=True) / count
    variance = ((cost - mean).square() * weight).sum(dim=(1, 2), keepdim=True) / count
    return (cost - mean) / (variance + 1e-8).sqrt()


def _log(masses: Tensor) -> Tensor:
    """Logarithm, minus infinity and without a gradient where there is no mass."""
    tiny = torch.finfo(masses.dtype).tiny
    return masses.clamp_min(tiny).log().masked_fill(masses <= 0, -torch.inf)
