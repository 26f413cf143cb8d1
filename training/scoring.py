"""One image, its truth and its lungs; what each question about it scores."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy import ndimage

from TextGuidedSegLib.geometry import FILM_CODES, AxisCodes, reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Result
from TextGuidedSegLib.phrase import Phrase, is_named_by_side, swap_sides
from training.cases import SURFACE_TOLERANCE_MM, Case
from training.cut_truth import Places, canonical, half_zones, named_pixels
from training.lung_zones import EMPTY_MARGIN, LEAST_PART, LungZones
from training.metrics import hd95, named_side_mass, overlap, peak_in_target, surface_dice
from training.obedience import Share, error_counts
from training.questions import Question
from training.rewording import zones_of


@dataclasses.dataclass(frozen=True)
class Label:
    """What is written beside a case.

    Attributes:
        group: Value of the grouping column.
        image: Image file name.
        source: Where the image comes from.
    """

    group: str
    image: str
    source: str


class Scorer:
    """Scores answers on one image. The truth comes after the answers: nothing of it is known before.

    Args:
        image: The image.
        truth: `(I, J, K)` bool on the image's own grid.
        lungs: Its lungs in the canonical film frame; None where they are not known.
        pseudo_threshold: Threshold of the pseudo-image.
    """

    def __init__(self, image: Image, truth: np.ndarray, lungs: LungZones | None, pseudo_threshold: float) -> None:
        self._image, self._truth, self._pseudo_threshold = image, truth, pseudo_threshold
        self._knows_lungs = lungs is not None
        self._zones: np.ndarray | None = None
        if image.kind == "film":
            self._flat = canonical(truth, image)
            self._zones = half_zones(*self._flat.shape) if lungs is None else lungs.zones()

    def target(self, question: Question) -> np.ndarray | None:
        """The part of the truth that a question names, or None where the film leaves that in doubt."""
        if question.places is None:
            return self._truth
        if not question.places and not question.doubt:
            return np.zeros_like(self._truth)
        assert self._zones is not None
        part = self._flat & named_pixels(self._zones, question.places)
        if question.places and part.mean() < LEAST_PART:
            return None
        if question.doubt:
            near = ndimage.distance_transform_edt(~self._flat) <= EMPTY_MARGIN * len(self._flat)
            # The other lung is far from a one-sided lesion only where the lungs are far from each other.
            around = near if any(levels for _, levels in question.doubt) else self._flat
            if (around & named_pixels(self._zones, question.doubt)).any():
                return None
        back: np.ndarray = reorientation(self._image.axis_codes, FILM_CODES).undo(part[:, :, None])
        return back

    def case(self, question: Question, result: Result, label: Label) -> Case | None:
        """Score one answer; None where the film leaves the truth in doubt."""
        truth = self.target(question)
        if truth is None:
            return None
        image, pseudo = self._image, result.pseudo_image
        return Case(
            group=label.group,
            image=label.image,
            phrase=question.phrase,
            answer=result.answer,
            presence=result.presence,
            overlap=overlap(result.mask, truth),
            hd95=hd95(*_without_single_slices(image, result.mask, truth)),
            pseudo=overlap(pseudo >= self._pseudo_threshold, truth),
            peak=float(peak_in_target(pseudo, truth)) if truth.any() else math.nan,
            side_mass=_side_mass(result, image.axis_codes),
            surface_dice=surface_dice(result.mask, truth, image.geometry.spacing_mm.tolist(), SURFACE_TOLERANCE_MM)
            if image.kind == "volume" and image.spacing_known
            else math.nan,
            hd95_unit="mm" if image.kind == "volume" or image.spacing_known else "px",
            kind=question.kind,
            subject=question.subject,
            wording=question.wording,
            source=label.source,
            expected=question.expected,
            wrong_side=self._wrong_side(result),
            outside=self._outside(result, truth) if question.expected == "present" else None,
            errors=None
            if question.expected == "unknown"
            else error_counts(result.uncertainty, (result.mask > 0) != truth),
        )

    def _wrong_side(self, result: Result) -> Share | None:
        phrase = result.phrase
        if self._zones is None or phrase is None or phrase.side not in ("left", "right"):
            return None
        flat = canonical(result.mask, self._image)
        excluded = swap_sides(phrase.side) if phrase.frame == "patient" else phrase.side
        # Pictures without a patient's side are divided in the middle; what is shown at the right is the patient's left.
        zones = self._zones if phrase.frame == "patient" else half_zones(*flat.shape)
        return Share(int((flat & named_pixels(zones, ((excluded, ()),))).sum()), int(flat.sum()))

    def _outside(self, result: Result, truth: np.ndarray) -> tuple[Share, Share] | None:
        places = _named_levels(result.phrase)
        if self._zones is None or not self._knows_lungs or places is None:
            return None
        named = named_pixels(self._zones, places)
        flat = [canonical(mask, self._image) for mask in (result.mask, truth)]
        predicted, true = (Share(int((mask & ~named).sum()), int(mask.sum())) for mask in flat)
        return predicted, true


def _named_levels(phrase: Phrase | None) -> Places | None:
    """Sides and levels of a phrase that names some but not all levels of a lung."""
    zones = None if phrase is None else zones_of(phrase)
    if phrase is None or zones is None or all(len(levels) in (0, 3) for levels in zones.values()):
        return None
    return tuple((side, levels) for side, levels in zones.items() if levels)


def _side_mass(result: Result, axis_codes: AxisCodes) -> float:
    if result.phrase is None or result.phrase.side not in ("left", "right"):
        return math.nan
    if is_named_by_side(result.phrase.text):
        return math.nan  # the left ventricle is named so, wherever it lies
    # The first axis runs to the patient's left, and to the right of a picture.
    side = result.phrase.side if result.phrase.frame == "patient" else swap_sides(result.phrase.side)
    shown = reorientation(axis_codes, FILM_CODES).apply(result.pseudo_image)
    return named_side_mass(shown.sum(axis=2), side)


def _without_single_slices(
    image: Image, prediction: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Masks and voxel sizes as `hd95` reads them: a film has two axes."""
    long = [axis for axis, size in enumerate(prediction.shape) if size > 1]
    shape = [prediction.shape[axis] for axis in long]
    return prediction.reshape(shape), truth.reshape(shape), image.geometry.spacing_mm[long].tolist()
