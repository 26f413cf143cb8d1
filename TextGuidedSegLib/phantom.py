"""A synthetic frontal chest film whose lungs, heart and lesions are known exactly.

For tests, demonstrations and dry runs of the training: no patient, no download, no license. The film adds up what
soft tissue, bones and lesions absorb, takes away the air of the lungs, and is shown as films are shown: the patient's
left on the right of the image, head up, dense structures bright.

Everything random is drawn from the seed. Patient, lesions and grain have streams of their own, so that the same seed
with other lesions is the same patient on the same film.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from TextGuidedSegLib.phantom_anatomy import (
    SIGN,
    Body,
    BoolArray,
    FloatArray,
    Side,
    blur,
    bones,
    draw_body,
    heart_mask,
    lung_mask,
    texture,
    tissue,
)

Level = Literal["upper", "middle", "lower"]

SMALLEST_SIDE = 64
_LESION_STREAM, _GRAIN_STREAM = 1, 2


@dataclass(frozen=True, eq=False)
class PhantomFilm:
    """A synthetic film and the truth about it; all arrays are `(rows, columns)` as displayed.

    Attributes:
        array: float32, gray values in [0, 255], dense structures bright.
        lungs: The air-filled lung of each side of the patient, without heart and mediastinum.
        lesions: Union of all lesions, inside the lungs.
        lesion_places: `(side, level, mask)` of each lesion, in the order asked for; each mask lies inside its level.
        heart: The heart's silhouette.
    """

    array: npt.NDArray[np.float32]
    lungs: dict[Side, BoolArray]
    lesions: BoolArray
    lesion_places: tuple[tuple[Side, Level, BoolArray], ...]
    heart: BoolArray


def chest_film(
    seed: int = 0,
    *,
    size: tuple[int, int] = (320, 288),
    lesions: Sequence[tuple[Side, Level]] = (("left", "lower"),),
) -> PhantomFilm:
    """Draw one frontal chest film.

    Args:
        seed: >= 0; the same seed gives the same film, another seed another patient, pose and exposure.
        size: Rows and columns in pixels, each at least 64.
        lesions: Side of the patient and level of each lesion; empty for a normal film.

    Returns:
        The film with its lungs, heart and lesions.

    Raises:
        ValueError: The size is too small, or a side or level is not one of the known words.
    """
    _check(size, lesions)
    body = draw_body(seed, size)
    heart = heart_mask(body)
    lungs: dict[Side, BoolArray] = {side: lung_mask(body, side, heart) for side in SIGN}
    air = blur(lungs["left"] | lungs["right"], 0.014 * body.unit_px)
    density = tissue(body, air, heart) + bones(body, air)
    union = np.zeros(size, dtype=np.bool_)
    places: list[tuple[Side, Level, BoolArray]] = []
    for number, (side, level) in enumerate(lesions):
        rng = np.random.default_rng((seed, _LESION_STREAM, number))
        opacity, mask = _lesion(body, rng, lungs[side] & level_band(lungs[side], level))
        density += opacity
        union |= mask
        places.append((side, level, mask))
    array = _expose(body, density, np.random.default_rng((seed, _GRAIN_STREAM, 0)))
    return PhantomFilm(array, lungs, union, tuple(places), heart)


def level_band(lung: BoolArray, level: Level) -> BoolArray:
    """Rows of one level of a lung: a third of the height of the lung's own box.

    Args:
        lung: `(rows, columns)` mask of one lung, not empty, head up.
        level: Upper, middle or lower third.

    Returns:
        `(rows, 1)` mask, to be combined with the lung by `&`.
    """
    rows = np.flatnonzero(lung.any(axis=1))
    edges = np.linspace(rows[0], rows[-1] + 1, 4)
    third = get_args(Level).index(level)
    row = np.arange(lung.shape[0]) + 0.5
    result: BoolArray = ((row >= edges[third]) & (row < edges[third + 1]))[:, None]
    return result


def _check(size: tuple[int, int], lesions: Sequence[tuple[Side, Level]]) -> None:
    if min(size) < SMALLEST_SIDE:
        message = f"size must be at least {SMALLEST_SIDE} rows and columns, got {size}"
        raise ValueError(message)
    for side, level in lesions:
        if side not in get_args(Side) or level not in get_args(Level):
            message = f"a lesion is a side of {get_args(Side)} and a level of {get_args(Level)}, got {(side, level)}"
            raise ValueError(message)


def _lesion(body: Body, rng: np.random.Generator, inside: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Density and mask of one soft opacity: a few textured patches that end at the border of `inside`."""
    rows, columns = np.nonzero(inside)
    wander = 0.12 * body.unit_px
    aim = np.array([rows.mean(), columns.mean()]) + rng.normal(0, wander / 2, 2)
    patches: FloatArray = np.zeros_like(body.x)
    for _ in range(int(rng.integers(2, 5))):
        nearest = np.argmin((rows - aim[0]) ** 2 + (columns - aim[1]) ** 2)
        center = rows[nearest], columns[nearest]
        off = np.hypot(body.x - body.x[center], (body.y - body.y[center]) * rng.uniform(0.8, 1.2))
        patches = np.maximum(patches, np.exp(-((off / rng.uniform(0.13, 0.21)) ** 2)))
        aim = np.array(center) + rng.normal(0, wander, 2)
    shape = (body.x.shape[0], body.x.shape[1])
    cloud = patches * (1 + 0.22 * texture(rng, shape, 22) + 0.12 * texture(rng, shape, 45))
    soft = np.clip(cloud, 0, 1.3) * blur(inside, 0.03 * body.unit_px)
    return (rng.uniform(0.24, 0.40) * soft).astype(np.float32), inside & (cloud > 0.40)


def _expose(body: Body, density: FloatArray, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """From density to gray values: dense parts saturate, blur, quantum noise, a random film curve."""
    hardness = rng.uniform(1.1, 1.8)
    absorbed = 1 - np.exp(-hardness * np.clip(density, 0, None))
    image = blur(absorbed.astype(np.float32), 0.007 * body.unit_px)
    image += rng.uniform(0.004, 0.012) * rng.standard_normal(image.shape, dtype=np.float32)
    black, white = rng.uniform(0.0, 0.12), 1 - np.exp(-hardness * rng.uniform(1.5, 2.0))
    image = np.clip((image - black) / (white - black), 0, 1) ** rng.uniform(0.9, 1.3)
    result: npt.NDArray[np.float32] = (255 * image).astype(np.float32)
    return result
