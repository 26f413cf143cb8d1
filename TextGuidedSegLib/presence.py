"""How sure it is that what a phrase names is there: the highest logits of a map, calibrated as the card says."""

from __future__ import annotations

import math

import numpy as np

from TextGuidedSegLib.config import EVIDENCE_SHARE
from TextGuidedSegLib.weights import DecisionConfig

_LARGEST_LOGIT = 12.0


def presence_evidence(probability: np.ndarray) -> float:
    """Mean of the highest logits of a map: large when a region of lesion size is sure, very negative when no pixel is.

    Args:
        probability: On the network's grid, in [0, 1].

    Returns:
        In [-12, 12].
    """
    clipped = np.clip(probability.astype(np.float64), 1e-9, 1 - 1e-9)
    logits = np.clip(np.log(clipped / (1 - clipped)), -_LARGEST_LOGIT, _LARGEST_LOGIT)
    count = max(1, round(EVIDENCE_SHARE * logits.size))
    return float(np.partition(logits, -count, axis=None)[-count:].mean())


class HighestLogits:
    """The evidence of a map that is seen in parts.

    Args:
        count: Voxels whose highest logits count, at least 1.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._highest = np.empty(0, dtype=np.float32)

    def add(self, logits: np.ndarray) -> None:
        """Take one more part, of any shape."""
        both = np.concatenate([self._highest, logits.astype(np.float32, copy=False).ravel()])
        self._highest = both if both.size <= self._count else np.partition(both, -self._count)[-self._count :]

    @property
    def evidence(self) -> float:
        """Mean of the highest logits so far, in [-12, 12]; the lowest when there were none."""
        if not self._highest.size:
            return -_LARGEST_LOGIT
        # Sorted, so that the order of the parts changes no bit of the sum.
        return float(np.sort(np.clip(self._highest, -_LARGEST_LOGIT, _LARGEST_LOGIT)).mean(dtype=np.float64))


def calibrated(evidence: float, decision: DecisionConfig) -> float:
    """Presence in [0, 1] from the evidence."""
    return 1 / (1 + math.exp(-(decision.presence_scale * evidence + decision.presence_offset)))


def presence_score(probability: np.ndarray, decision: DecisionConfig) -> float:
    """How sure it is, in [0, 1], that what the phrase names is there: the evidence, calibrated as the card says."""
    return calibrated(presence_evidence(probability), decision)
