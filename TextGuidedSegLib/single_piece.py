"""What a phrase names may be known to be one piece: a ventricle, not two. Of several pieces the largest is kept."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from TextGuidedSegLib.phrase import Phrase

_TOUCHING = np.ones((3, 3, 3), dtype=bool)


def names_one_piece(phrase: Phrase | None) -> bool:
    """Whether a phrase names a single structure: not *ventricles*, not *LV cavity and RV cavity*."""
    return phrase is not None and len(phrase.places) == 1 and phrase.side != "both"


def largest_piece(probability: np.ndarray, threshold: float) -> np.ndarray:
    """A map without what lies apart from the largest piece.

    Pieces are those at the threshold; what surrounds the others is cleared down to half of it, so that they do not
    come back as rings when the threshold is lowered.

    Args:
        probability: `(I, J, K)` float32 in [0, 1]; changed in place.
        threshold: In (0, 1).

    Returns:
        The same array; untouched where there is one piece, or none.
    """
    # Structures are small beside scans: all labels of 157 million voxels would cost more than finding what they are of.
    box = probability[_box(probability >= threshold / 2)]
    pieces, count = ndimage.label(box >= threshold, structure=_TOUCHING)
    if count > 1:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        kept = pieces == sizes.argmax()
        around, _ = ndimage.label(box >= threshold / 2, structure=_TOUCHING)
        apart = (around > 0) & ~np.isin(around, np.unique(around[kept]))
        box[apart | ((pieces > 0) & ~kept)] = 0
    return probability


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box around what is marked, empty where nothing is."""
    slices = []
    for axis in range(mask.ndim):
        marked = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        slices.append(slice(marked[0], marked[-1] + 1) if marked.size else slice(0))
    return tuple(slices)
