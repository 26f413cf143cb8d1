"""The patient behind the synthetic film: where the organs lie and how much each of them absorbs.

Two coordinates describe the anatomy, both in half thorax widths: `x` from the midline towards the patient's left,
`y` from the lung apex downwards. Density has no unit; soft tissue of the chest wall is about 0.6.

Reading order: `Body`, the silhouettes (`heart_mask`, `lung_mask`), the densities (`tissue`, `bones`), and the strokes
that draw them (`step`, `blur`, `texture`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Side = Literal["left", "right"]
FloatArray = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]

SIGN: dict[Side, int] = {"left": 1, "right": -1}


@dataclass(frozen=True, eq=False)
class Body:
    """One patient and pose: the coordinates of every pixel and the numbers that shape the anatomy.

    Attributes:
        seed: Seed of the patient's textures.
        x: `(rows, columns)` float32, from the midline towards the patient's left, in half thorax widths.
        y: `(rows, columns)` float32, from the lung apex downwards, in half thorax widths.
        unit_px: Half a thorax width in pixels.
        lung_height: From apex to the middle of the diaphragm, in half thorax widths.
        dome: Height of each dome of the diaphragm, as a share of `lung_height`; the right one is higher.
        heart_size: Size of the heart relative to the average.
        rib_gap: Distance from rib to rib, in half thorax widths.
        rib_density: Density of the ribs relative to the average.
        stout: From 0, slim, to 1, stout.
        gas: From 0, no gas in the stomach, to 1, a clear bubble.
    """

    seed: int
    x: FloatArray
    y: FloatArray
    unit_px: float
    lung_height: float
    dome: dict[Side, float]
    heart_size: float
    rib_gap: float
    rib_density: float
    stout: float
    gas: float

    def side(self, side: Side) -> FloatArray:
        """Distance of every pixel from the midline towards `side`, negative on the other side."""
        return self.x * SIGN[side]

    def texture(self, cells: int) -> FloatArray:
        """Smooth random field of about unit variance, `cells` waves across the film, the same at every call."""
        return texture(np.random.default_rng((self.seed, cells)), (self.x.shape[0], self.x.shape[1]), cells)


def draw_body(seed: int, size: tuple[int, int]) -> Body:
    """Draw a patient and a pose.

    Args:
        seed: >= 0; the same seed gives the same patient.
        size: Rows and columns of the film, in pixels.

    Returns:
        The patient, placed on the film.
    """
    rng = np.random.default_rng(seed)
    rows, columns = size
    unit = min(columns, rows * 0.9) * rng.uniform(0.37, 0.425)
    turn = np.deg2rad(rng.uniform(-4, 4))
    middle = columns * (0.5 + rng.uniform(-0.03, 0.03))
    apex = rows * rng.uniform(0.09, 0.16)
    down, across = np.meshgrid(np.arange(rows) - apex, np.arange(columns) - middle, indexing="ij")
    right_dome = rng.uniform(0.90, 0.96)
    return Body(
        seed=seed,
        x=((across * np.cos(turn) + down * np.sin(turn)) / unit).astype(np.float32),
        y=((down * np.cos(turn) - across * np.sin(turn)) / unit).astype(np.float32),
        unit_px=float(unit),
        lung_height=float(rng.uniform(1.30, 1.60)),
        dome={"right": float(right_dome), "left": float(right_dome + rng.uniform(0.02, 0.08))},
        heart_size=float(rng.uniform(0.88, 1.10)),
        rib_gap=float(rng.uniform(0.18, 0.22)),
        rib_density=float(rng.uniform(0.6, 1.2)),
        stout=float(rng.uniform(0.0, 1.0)),
        gas=float(np.clip(rng.uniform(-0.8, 1.0), 0, None)),
    )


def heart_mask(body: Body) -> BoolArray:
    """Heart silhouette: a tilted ellipse whose apex points to the patient's left, and the smaller right border.

    Args:
        body: The patient.

    Returns:
        `(rows, columns)` mask.
    """
    y = body.y - (body.lung_height * body.dome["left"] - 0.20)
    x = body.x - 0.19
    along, across = x * 0.86 + y * 0.51, y * 0.86 - x * 0.51
    ventricle = (along / 0.46) ** 2 + np.abs(across / 0.36) ** 2.4 < body.heart_size**2
    atrium = ((body.x + 0.02) / 0.25) ** 2 + ((y + 0.06) / 0.34) ** 2 < body.heart_size**2
    dome = np.minimum(_diaphragm(body, "left"), _diaphragm(body, "right"))
    result: BoolArray = (ventricle | atrium) & (body.y < dome + 0.12)
    return result


def lung_mask(body: Body, side: Side, heart: BoolArray) -> BoolArray:
    """One lung: between the mediastinum and the ribs, under the apex, above the diaphragm, outside the heart.

    Args:
        body: The patient.
        side: Side of the patient.
        heart: `(rows, columns)` mask of the heart.

    Returns:
        `(rows, columns)` mask.
    """
    x = body.side(side)
    t = body.y / body.lung_height
    outer = 0.42 + 0.44 * (1 - (1 - np.clip(t / 0.72, 0, 1)) ** 2.6) + 0.08 * np.clip(t - 0.6, 0, 1)
    inner = 0.36 - 0.19 * (1 - (1 - np.clip(t / 0.22, 0, 1)) ** 2.2)
    result: BoolArray = (t > 0) & (x > inner) & (x < outer) & (body.y < _diaphragm(body, side)) & ~heart
    return result


def _diaphragm(body: Body, side: Side) -> FloatArray:
    """The `y` of the dome over each `x`: highest near the middle of the lung, deep at the costophrenic angle."""
    off = np.clip(body.side(side) - 0.40, -0.5, 0.55)
    result: FloatArray = body.lung_height * body.dome[side] + np.where(off > 0, 1.15, 0.45) * off**2
    return result


def tissue(body: Body, air: FloatArray, heart: BoolArray) -> FloatArray:
    """Density of everything but bone: chest wall, mediastinum, heart, abdomen and vessels, minus the air.

    Args:
        body: The patient.
        air: `(rows, columns)` float32 in [0, 1], both lungs with a soft border.
        heart: `(rows, columns)` mask of the heart.

    Returns:
        `(rows, columns)` float32 density.
    """
    x, y = np.abs(body.x), body.y
    flank = np.exp(-(((x - 0.95) / 0.11) ** 2)) * step(y - 0.5, 0.4)
    wall = 0.60 + 0.14 * body.stout + 0.16 * flank + 0.20 * step(y - body.lung_height, 0.6) + 0.04 * body.texture(4)
    great_vessels = 0.20 + 0.05 * step(body.x, 0.05)
    mediastinum = 0.34 * np.exp(-((np.abs(body.x - 0.01) / great_vessels) ** 3))
    knob = 0.16 * step(1 - ((body.x - 0.17) / 0.13) ** 2 - ((y - 0.30 * body.lung_height) / 0.15) ** 2, 0.5)
    trachea = 0.14 * step(0.07 - np.abs(body.x + 0.01), 0.04) * step(0.50 - y, 0.08)
    core = mediastinum + knob - trachea + 0.24 * blur(heart, 0.05 * body.unit_px)
    breath = 0.53 - 0.10 * step(y - 0.6 * body.lung_height, 0.4) + 0.02 * body.texture(5)
    solid = _outline(body) * (wall + core + _abdomen(body) + _breasts(body))
    result: FloatArray = solid - air * (breath - _vessels(body))
    return result


def _outline(body: Body) -> FloatArray:
    """1 inside neck, shoulders, trunk and upper arms, 0 in the air around them."""
    x, y = np.abs(body.x), body.y
    shoulder = -0.22 + 0.16 * np.clip(x - 0.35, 0, None) + 0.5 * np.clip(x - 1.0, 0, None) ** 2
    above = np.clip(y + 0.30, 0, None)
    neck = 0.34 - 0.25 * np.sqrt(above) + 0.8 * above
    upper = np.maximum(step(y - shoulder, 0.09), step(neck - x, 0.06))
    trunk = 1.06 + 0.16 * body.stout - 0.05 * np.clip(y - 0.9, 0, 1)
    armpit = trunk + 0.75 * step(0.62 + 0.5 * body.stout - y, 0.25)
    arm = 0.8 * step(0.20 - np.abs(x - 1.42 - 0.06 * y), 0.05) * step(y - 0.3, 0.2)
    result: FloatArray = upper * np.maximum(step(armpit - x, 0.06), arm)
    return result


def _abdomen(body: Body) -> FloatArray:
    """Liver, spleen and bowel below the domes, and in some patients the gas bubble of the stomach."""
    density: FloatArray = np.zeros_like(body.x)
    for side in SIGN:
        below = step(body.y - _diaphragm(body, side), 0.02)
        density += 0.40 * step(body.side(side), 0.10) * below
    x, y = body.x - 0.42, body.y - body.lung_height * body.dome["left"] - 0.15
    bubble = (x / 0.19) ** 2 + (y / 0.09 - 0.25 * np.cos(9 * x)) ** 2
    result: FloatArray = density * step(1.0 - np.abs(body.x), 0.2) - 0.45 * body.gas * step(1 - bubble, 0.4)
    return result


def _breasts(body: Body) -> FloatArray:
    """Faint round shadows over the lung bases, absent in slim patients."""
    center = body.lung_height * 0.82
    shadow = ((np.abs(body.x) - 0.55) / 0.44) ** 2 + ((body.y - center) / 0.34) ** 2
    result: FloatArray = 0.10 * body.stout * step(1 - shadow, 0.5)
    return result


def _vessels(body: Body) -> FloatArray:
    """Hila and the vessels that fan out of them, thinner and fainter towards the periphery."""
    warp, patchy = body.texture(9), body.texture(16)
    x = np.abs(body.x) - 0.22
    # The left hilum stands a little higher than the right one.
    y = body.y - (0.49 - 0.02 * np.sign(body.x)) * body.lung_height
    radius = np.hypot(x, y * 0.8) + 0.03
    angle = np.arctan2(y, x) + 0.22 * warp + 0.06 * patchy
    fading = 0.12 * np.clip(0.6 + 0.5 * patchy, 0, 1.2) * np.exp(-radius / 0.30)
    result: FloatArray = 0.13 * np.exp(-((radius / 0.15) ** 2)) + 0.012 * patchy
    for branches, width in ((9, 0.026), (19, 0.018)):
        across = np.sin(angle * branches + 2 * warp) * radius / branches
        result += np.exp(-((across / width) ** 2)) * fading
    return result


def bones(body: Body, air: FloatArray) -> FloatArray:
    """Density of ribs front and back, clavicles, spine, shoulder blades and upper arms.

    Args:
        body: The patient.
        air: `(rows, columns)` float32 in [0, 1], both lungs with a soft border; the ribs show over them.

    Returns:
        `(rows, columns)` float32 density, >= 0.
    """
    x, y, gap = np.abs(body.x), body.y, body.rib_gap
    back = (y + 0.30 * x - 0.62 * x**2) / gap
    front = (y + 0.55 * x - 0.45 * (1 - x) ** 2 + 0.06) / (gap * 1.15)
    ribs = 0.13 * _band(back, 0.25) + 0.07 * _band(front, 0.31) * step(x - 0.45, 0.15) * step(y - 0.3, 0.2)
    course = 0.18 - 0.24 * step(x - 0.52, 0.40) - 0.05 * np.sin((x - 0.1) * 6.0)
    clavicle = 0.15 * _tube(y - course, 0.048) * step(x - 0.13, 0.04) * step(1.08 - x, 0.06)
    disc = 0.5 + 0.5 * np.cos(2 * np.pi * y / (gap * 0.86))
    spine = step(0.115 - x, 0.03) * (0.05 + 0.05 * disc) * step(y + 0.6, 0.1)
    edge = x - 0.84 - 0.14 * np.abs(y - 0.25)
    blade = 0.10 * (step(edge, 0.02) - 0.6 * step(edge - 0.05, 0.02)) * step(0.80 - y, 0.15) * step(y, 0.1)
    arm = 0.18 * _tube(x - 1.36 - 0.10 * y, 0.10) * step(y - 0.02, 0.05)
    joint = 0.10 * step(1 - ((x - 1.28) / 0.15) ** 2 - ((y - 0.02) / 0.15) ** 2, 0.3)
    cage = body.rib_density * ribs * np.maximum(air, 0.35 * step(0.97 - x, 0.06) * step(y, 0.1))
    result: FloatArray = cage + clavicle + spine + blade * step(1.2 - x, 0.1) + arm + joint
    return result


def step(distance: FloatArray, softness: float) -> FloatArray:
    """Smooth 0 to 1 as `distance` passes zero, over `2 * softness` in the unit of `distance`."""
    ramp = distance * (0.5 / softness)
    ramp += 0.5
    np.clip(ramp, 0, 1, out=ramp)
    # In place, because this is most of the time a film takes: ramp^2 (3 - 2 ramp).
    result: FloatArray = ramp * -2
    result += 3
    result *= ramp
    result *= ramp
    return result


def blur(image: FloatArray | BoolArray, sigma_px: float) -> FloatArray:
    """Gaussian blur cut off at three sigma; what lies outside the film continues its border."""
    radius = max(1, math.ceil(3 * sigma_px))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma_px) ** 2)
    weights /= weights.sum()
    result: FloatArray = image.astype(np.float32)
    for length in image.shape:
        padded = np.pad(result, ((radius, radius), (0, 0)), mode="edge")
        smooth: FloatArray = np.zeros_like(result)
        for start, weight in enumerate(weights.tolist()):
            smooth += padded[start : start + length] * weight
        # Turned so that the next round blurs the other axis; after both, the image lies as before.
        result = np.ascontiguousarray(smooth.T)
    return result


def texture(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> FloatArray:
    """Smooth random field of about unit variance: values on a coarse grid, interpolated by one product an axis."""
    grid = rng.standard_normal((cells + 1, cells + 1), dtype=np.float32)
    down, across = (_weights(length, cells) for length in shape)
    result: FloatArray = 1.4 * down @ grid @ across.T
    return result


def _weights(length: int, cells: int) -> FloatArray:
    """`(length, cells + 1)` interpolation weights with a smooth transition from node to node; rows sum to 1."""
    position = np.linspace(0, cells, length, dtype=np.float32)
    node = np.arange(cells + 1, dtype=np.float32)
    return step(0.5 - np.abs(position[:, None] - node[None, :]), 0.5)


def _band(phase: FloatArray, width: float) -> FloatArray:
    """One soft-edged band in each unit of `phase`, with the bright margins that compact bone shows."""
    off = np.abs(phase - np.floor(phase) - 0.5)
    result: FloatArray = step(width - off, 0.06) * (0.75 + 0.45 * (off / width) ** 2)
    return result


def _tube(off: FloatArray, radius: float) -> FloatArray:
    """Projection of a hollow bone: bright margins, soft outside."""
    off = np.abs(off)
    result: FloatArray = step(radius - off, 0.012) * (0.65 + 0.35 * np.clip(off / radius, 0, 1) ** 2)
    return result
