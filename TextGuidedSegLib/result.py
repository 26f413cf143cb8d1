"""What one phrase gave on one image, and which of the six answers that is."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

import numpy as np

from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.phrase import Phrase
from TextGuidedSegLib.region import Bounds
from TextGuidedSegLib.uncertainty import uncertainty_map
from TextGuidedSegLib.windows import WindowPlan

if TYPE_CHECKING:
    from TextGuidedSegLib.weights import DecisionConfig

Answer = Literal["found", "not_found", "unsure", "not_understood", "contradictory", "negated"]
ANSWERS: tuple[Answer, ...] = ("found", "not_found", "unsure", "not_understood", "contradictory", "negated")


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """What one phrase gave on one image.

    Attributes:
        answer: How the call ended; only `found` and `unsure` have a non-empty mask.
        phrase: The parsed phrase; None when there was none.
        model: Name of the model.
        weights_sha256: Hash of its weights.
        threshold: Probability from which a voxel belongs to the mask.
        presence: In [0, 1]: how sure the model is that what the phrase names is there.
        warnings: Sentences for people.
        seconds: Wall-clock time of this call.
        device: Device it ran on.
        mask: `(I, J, K)` uint8 in {0, 1} on the image's own grid.
        probability: `(I, J, K)` float32 in [0, 1] on the image's own grid.
        pseudo_image: `(I, J, K)` float32 in [0, 1] on the image's own grid: where the words point.
        geometry: That grid.
        plan: Windows or slices that a volume was read by; equal plans give equal bits. None for a film.
        region: Voxels that the run was limited to, outside of which all three maps are zero; None for all of them.
    """

    answer: Answer
    phrase: Phrase | None
    model: str
    weights_sha256: str
    threshold: float
    presence: float
    warnings: tuple[str, ...]
    seconds: float
    device: str
    mask: np.ndarray
    probability: np.ndarray
    pseudo_image: np.ndarray
    geometry: Geometry
    plan: WindowPlan | None = None
    region: Bounds | None = None

    @property
    def uncertainty(self) -> np.ndarray:
        """`(I, J, K)` float32 in [0, 1] on the image's own grid, computed at each call; 1 at the mask's border."""
        return uncertainty_map(self.probability, self.threshold)

    @property
    def voxels(self) -> int:
        """Number of voxels of the mask."""
        return int(self.mask.sum())

    @property
    def centroid_ras_mm(self) -> tuple[float, float, float] | None:
        """Center of the mask in world coordinates (mm where the spacing is known), or None for an empty one."""
        count = self.voxels
        if not count:
            return None
        # Sums along the axes, not a list of voxels: that would be 24 times as large as the mask.
        center = []
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            totals = self.mask.sum(axis=others, dtype=np.int64)
            center.append(float((totals * np.arange(len(totals))).sum() / count))
        x, y, z = self.geometry.ijk_to_ras_mm([center])[0]
        return float(x), float(y), float(z)


def settled_answer(
    phrase: Phrase | None, presence: float, decision: DecisionConfig, *, understood: bool, any_voxel: bool
) -> Answer:
    """How a call ends.

    Args:
        phrase: What was understood; None for no phrase.
        presence: How sure the model is.
        decision: The model's thresholds.
        understood: Vocabulary or model know some word of the phrase.
        any_voxel: Some voxel reaches the threshold.
    """
    if phrase is not None and phrase.contradictory:
        return "contradictory"
    if phrase is not None and phrase.negated:
        return "negated"
    if not understood:
        return "not_understood"
    if presence < decision.not_found_below or not any_voxel:
        return "not_found"
    return "found" if presence >= decision.found_above else "unsure"
