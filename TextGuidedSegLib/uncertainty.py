"""How unsure a mask is at every voxel: the entropy of the probability, seen from the threshold that cut the mask."""

from __future__ import annotations

import numpy as np

_SMALLEST = 1e-7


def uncertainty_map(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Uncertainty of each voxel, highest where a little more or less would change its side.

    The odds are taken relative to those of the threshold: a voxel at the threshold has 1 bit whatever the threshold is,
    and what is far from it has none. The probability is the mean of the film and its mirror image where the model
    averages both (`DecisionConfig.mirror_average`), so a voxel on which the two disagree comes near the threshold and
    counts as unsure; their difference as a term of its own was measured and ranks errors no better.

    Args:
        probability: Any shape, in [0, 1].
        threshold: Probability from which a voxel belongs to the mask, in (0, 1).

    Returns:
        float32 in [0, 1], entropy in bits, same shape.
    """
    clipped = np.clip(probability.astype(np.float32, copy=False), _SMALLEST, 1 - _SMALLEST)
    odds = clipped / (1 - clipped) * np.float32((1 - threshold) / threshold)
    inside = odds / (1 + odds)
    outside = 1 / (1 + odds)
    bits = -(inside * np.log2(inside) + outside * np.log2(outside))
    # What is surely outside, such as all that lies outside a region of interest, is exactly sure.
    bits[probability <= _SMALLEST] = 0
    return np.clip(bits, 0, 1).astype(np.float32, copy=False)
