"""Overlap, surface and pointing metrics: pure functions with both Dice conventions and every empty case decided.

The literature mixes two incompatible scores: the mean of per-image Dice, and "micro" Dice over all pixels of a set.
Both are always reported. Micro scores satisfy IoU = D / (2 - D); per-image means satisfy IoU >= that (Jensen).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice


@dataclasses.dataclass(frozen=True)
class Overlap:
    """Counts of one image, in voxels.

    Attributes:
        intersection: In prediction and truth.
        predicted: In the prediction.
        true: In the truth.
    """

    intersection: int
    predicted: int
    true: int

    @property
    def dice(self) -> float:
        """Dice in [0, 1]; 1 when both are empty, 0 when only one is."""
        total = self.predicted + self.true
        return 2 * self.intersection / total if total else 1.0

    @property
    def iou(self) -> float:
        """Intersection over union in [0, 1]; 1 when both are empty, 0 when only one is."""
        union = self.predicted + self.true - self.intersection
        return self.intersection / union if union else 1.0


def overlap(prediction: np.ndarray, truth: np.ndarray) -> Overlap:
    """Count voxels of two masks of equal shape.

    Raises:
        ValueError: The shapes differ.
    """
    if prediction.shape != truth.shape:
        message = f"prediction and truth must have the same shape, got {prediction.shape} and {truth.shape}"
        raise ValueError(message)
    predicted, true = prediction > 0, truth > 0
    return Overlap(int((predicted & true).sum()), int(predicted.sum()), int(true.sum()))


def pooled(overlaps: Sequence[Overlap]) -> Overlap:
    """One count over a whole set, for the micro scores."""
    return Overlap(
        sum(each.intersection for each in overlaps),
        sum(each.predicted for each in overlaps),
        sum(each.true for each in overlaps),
    )


def hd95(prediction: np.ndarray, truth: np.ndarray, spacing_mm: Sequence[float]) -> float:
    """95th percentile of the symmetric surface distance.

    Args:
        prediction: Mask, 2-D or 3-D.
        truth: Mask of the same shape.
        spacing_mm: Size of a voxel along each axis; ones give pixels.

    Returns:
        Distance in the unit of the spacing; nan when either mask is empty: no distance is defined then, and the mean
        over a set leaves such images out and says how many remain.
    """
    if not prediction.any() or not truth.any():
        return math.nan
    tensors = [torch.from_numpy(mask > 0)[None, None] for mask in (prediction, truth)]
    distance = compute_hausdorff_distance(*tensors, include_background=True, percentile=95, spacing=list(spacing_mm))
    return float(distance)


def surface_dice(prediction: np.ndarray, truth: np.ndarray, spacing_mm: Sequence[float], tolerance_mm: float) -> float:
    """Share of both surfaces that lies within a tolerance of the other (normalized surface Dice).

    Args:
        prediction: Mask, 2-D or 3-D.
        truth: Mask of the same shape.
        spacing_mm: Size of a voxel along each axis.
        tolerance_mm: In the unit of the spacing.

    Returns:
        In [0, 1]; 0 when only one mask is empty: a structure that was missed agrees nowhere. nan when both are: there
        is no surface to agree about, and the mean over a set leaves such images out and says how many remain.
    """
    if not prediction.any() and not truth.any():
        return math.nan
    if not prediction.any() or not truth.any():
        return 0.0
    tensors = [torch.from_numpy(mask > 0)[None, None] for mask in (prediction, truth)]
    return float(compute_surface_dice(*tensors, [tolerance_mm], include_background=True, spacing=list(spacing_mm)))


def peak_in_target(pseudo_image: np.ndarray, truth: np.ndarray) -> bool:
    """Whether the highest value of the pseudo-image lies inside the truth."""
    return bool(truth.flat[int(pseudo_image.argmax())])


def named_side_mass(pseudo_image: np.ndarray, side: str) -> float:
    """Share of a pseudo-image's mass on the named half.

    Args:
        pseudo_image: `(I, J)`, canonical film frame: I from the patient's right to left.
        side: `left` or `right`.

    Returns:
        In [0, 1]; the middle column of an odd width counts for neither side; nan for a black pseudo-image.
    """
    total = float(pseudo_image.sum())
    if total == 0:
        return math.nan
    width = pseudo_image.shape[0]
    right, left = pseudo_image[: width // 2].sum(), pseudo_image[-(width // 2) :].sum()
    return float(left if side == "left" else right) / total


def mean(values: Sequence[float]) -> float | None:
    """Mean of the numbers that are not nan; None when there are none (JSON has no nan)."""
    numbers = [value for value in values if not math.isnan(value)]
    return float(np.mean(numbers)) if numbers else None
