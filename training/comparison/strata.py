"""Which films are hard: thirds of a set by the size of the lesion, and by how clearly its border shows."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from TextGuidedSegLib.export import atomic_path
from TextGuidedSegLib.io import read_image
from training.datasets.films import load_mask
from training.datasets.index import Row

_RING = 3  # pixels on each side of the border
THIRDS = ("low", "middle", "high")


def border_contrast(image: np.ndarray, mask: np.ndarray) -> float:
    """How clearly the border of a mask shows.

    Args:
        image: `(I, J)` grey values.
        mask: `(I, J)` bool.

    Returns:
        Difference of the mean grey value of two rings along the border, inside and outside, over the standard deviation
        of both together; nan where a ring is empty or all grey values are the same.
    """
    inside = mask & ~ndimage.binary_erosion(mask, iterations=_RING)
    outside = ndimage.binary_dilation(mask, iterations=_RING) & ~mask
    if not inside.any() or not outside.any():
        return math.nan
    grey = image.astype(np.float64)
    spread = grey[inside | outside].std()
    return float(abs(grey[inside].mean() - grey[outside].mean()) / spread) if spread else math.nan


def measure(row: Row) -> tuple[float, float]:
    """Share of the image that the lesion takes, and its border contrast; nan where there is none."""
    image = read_image(row.image)
    mask = load_mask(row.mask, image)[:, :, 0]
    flat = image.array[:, :, 0].astype(np.float64)
    grey = flat.mean(axis=-1) if flat.ndim == 3 else flat
    return (float(mask.mean()), border_contrast(grey, mask)) if mask.any() else (math.nan, math.nan)


def measured(rows: Sequence[Row], path: Path) -> dict[str, np.ndarray]:
    """`size` and `border contrast` of each row, `(N,)`; read from a file if it is there, else measured and written."""
    if not path.is_file():
        with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([f"{value:.6g}" for value in measure(row)] for row in rows)
    with path.open(newline="", encoding="utf-8") as file:
        values = np.array([[float(cell) for cell in line] for line in csv.reader(file)])
    return {"size": values[:, 0], "border contrast": values[:, 1]}


def thirds(values: np.ndarray) -> np.ndarray:
    """Third of each value by its rank: 0, 1 or 2, as equal in number as can be; -1 for nan.

    Args:
        values: `(N,)`.
    """
    third = np.full(len(values), -1)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    third[order] = np.arange(len(order)) * len(THIRDS) // max(1, len(order))
    return third
