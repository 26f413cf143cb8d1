"""Sentences for a result that does not fit its phrase: another side, another level, one side of two, somewhere else.

Sides and levels are read off the film itself, not off the network, so they catch a film that is shown the wrong way
round as well as a network that errs. The bands are wide: a sentence that comes too often is not read.
"""

from __future__ import annotations

import numpy as np

from TextGuidedSegLib.geometry import FILM_CODES, VOLUME_CODES, AxisCodes, reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.language.places import Place
from TextGuidedSegLib.phrase import Phrase, is_named_by_side
from TextGuidedSegLib.region import Bounds

# Heights of a chest film, from head to feet as shares of it, where lesions of a level lie; lesions of the training data
# that are called upper span 0.16-0.40, middle 0.39-0.62 and lower ones 0.45-0.72.
_BANDS = {"upper": (0.0, 0.5), "middle": (0.28, 0.72), "lower": (0.38, 1.0)}
_MOST = 0.5  # of a result that lies elsewhere before it is said
_LEAST_OF_TWO = 0.02  # of a result for both sides that must lie on each of them


def disagreements(phrase: Phrase | None, mask: np.ndarray, film: Image) -> tuple[str, ...]:
    """Sentences about a film's result that lies elsewhere than its phrase says.

    Args:
        phrase: What was understood.
        mask: `(I, J, K)` on the film's own grid.
        film: The film.
    """
    if phrase is None or not mask.any():
        return ()
    flat = reorientation(film.axis_codes, FILM_CODES).apply(mask)[:, :, 0] > 0
    return (*_wrong_side(phrase, flat), *_wrong_level(phrase, flat))


def on_other_half(
    phrase: Phrase | None,
    mask: np.ndarray,
    region: Bounds,
    *,
    shape: tuple[int, ...],
    codes: AxisCodes,
    start: tuple[int, ...] = (0, 0, 0),
) -> tuple[str, ...]:
    """A sentence about a region of interest that lies on the other side of the patient than its phrase says.

    A model that is trained on crops finds the structure of either side, so the region decides; whether it is the right
    one only the whole volume shows.

    Args:
        phrase: What was understood.
        mask: A box of the result, bool, with everything that was found in it.
        region: The part of the volume that was looked at.
        shape: `(I, J, K)` of the whole volume.
        codes: Anatomical direction that each of its axes runs to.
        start: Index of the box's first voxel in the volume.
    """
    if phrase is None or phrase.side not in ("left", "right") or phrase.frame != "patient" or not mask.any():
        return ()
    step = reorientation(codes, VOLUME_CODES)
    across, runs_to_the_left = step.permutation[0], step.flips[0]
    low, high = region[across]
    # The left ventricle lies where it lies.
    if is_named_by_side(phrase.text) or 2 * (high - low) > shape[across]:
        return ()
    voxels = mask.sum(axis=tuple(axis for axis in range(3) if axis != across))
    places = start[across] + np.arange(len(voxels))
    is_right = 2 * places + 1 < shape[across] if runs_to_the_left else 2 * places + 1 > shape[across]
    share_right = float(voxels[is_right].sum() / voxels.sum())
    other, share = ("right", share_right) if phrase.side == "left" else ("left", 1 - share_right)
    if share <= _MOST:
        return ()
    return (
        f"The phrase says {phrase.side}, but {share:.0%} of the result lies in the {other} half of the image: "
        "is the region of interest on the side that is meant?",
    )


def found_elsewhere(phrase: Phrase, mask: np.ndarray, film: Image) -> str | None:
    """One sentence for a finding that is not where the phrase says, but somewhere on the film.

    Args:
        phrase: It names a finding and a place.
        mask: `(I, J, K)` bool, where the finding is without regard to the place; not empty.
        film: The film.

    Returns:
        None if that is the place that the phrase names: the network then only doubts what it sees there.
    """
    if not disagreements(phrase, mask, film):
        return None
    flat = reorientation(film.axis_codes, FILM_CODES).apply(mask)[:, :, 0] > 0
    high = _share_high(flat)
    side = ("left" if high >= _MOST else "right") if phrase.frame == "patient" else None
    where = f", mostly on the {side}" if side else ""
    return f"Nothing was found where the phrase says, but there seems to be {phrase.finding} elsewhere{where}."


def _wrong_side(phrase: Phrase, flat: np.ndarray) -> tuple[str, ...]:
    high = _share_high(flat)
    if phrase.side == "both" and phrase.frame == "patient" and _on_each_side(phrase.places):
        low_side, high_side = "right", "left"
        missing = high_side if high < _LEAST_OF_TWO else low_side if high > 1 - _LEAST_OF_TWO else None
        return (f"The phrase names both sides, but nothing was found on the {missing}.",) if missing else ()
    if phrase.side not in ("left", "right"):
        return ()
    # The first canonical axis runs to the patient's left, and to the right of a picture.
    share_named = high if (phrase.side == "left") == (phrase.frame == "patient") else 1 - high
    if share_named >= _MOST:
        return ()
    place = "film: check the orientation of the film." if phrase.frame == "patient" else "image."
    return (
        f"The phrase says {phrase.side}, but {1 - share_named:.0%} of the result lies on the other half of the {place}",
    )


def _wrong_level(phrase: Phrase, flat: np.ndarray) -> tuple[str, ...]:
    lungs = [place for place in phrase.places if place.structure == "lung"]
    levels = {level for place in lungs for level in place.levels}
    whole = any(not place.levels for place in lungs)
    if phrase.frame != "patient" or not levels or whole or len(lungs) != len(phrase.places):
        return ()
    height = (np.arange(flat.shape[1]) + 0.5) / flat.shape[1]
    inside = np.zeros(len(height), dtype=bool)
    for level in levels:
        top, bottom = _BANDS[level]
        inside |= (height >= top) & (height < bottom)
    outside = 1 - float(flat[:, inside].sum() / flat.sum())
    if outside <= _MOST:
        return ()
    named = " and ".join(level for level in _BANDS if level in levels)
    return (f"The phrase says {named}, but {outside:.0%} of the result lies at another height of the film.",)


def _share_high(flat: np.ndarray) -> float:
    """Share of a mask on the half at which the first axis ends: the patient's left."""
    return float(flat[flat.shape[0] // 2 :].sum() / flat.sum())


def _on_each_side(places: tuple[Place, ...]) -> bool:
    """Whether places of the lung, and no other, are named on both sides."""
    sides = {place.side for place in places}
    return all(place.structure == "lung" for place in places) and (sides == {"both"} or {"left", "right"} <= sides)
