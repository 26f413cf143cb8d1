"""Films as they would have come out with the patient standing differently: for evaluation, on image and truth alike."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from TextGuidedSegLib.image import Image

_SHIFT = 0.15
_DEGREES = 15.0

# Name to (rotation in degrees, shift towards the patient's left, shift towards the feet), shifts in film sizes.
POSES: dict[str, tuple[float, float, float]] = {
    "original": (0.0, 0.0, 0.0),
    "shifted_left": (0.0, _SHIFT, 0.0),
    "shifted_right": (0.0, -_SHIFT, 0.0),
    "shifted_up": (0.0, 0.0, -_SHIFT),
    "shifted_down": (0.0, 0.0, _SHIFT),
    "rotated_clockwise": (_DEGREES, 0.0, 0.0),
    "rotated_counterclockwise": (-_DEGREES, 0.0, 0.0),
}
MIRRORED = "mirrored"


def posed(image: Image, truth: np.ndarray, pose: str) -> tuple[Image, np.ndarray]:
    """Move a film and its truth.

    Args:
        image: Film whose array axes already run as in the canonical film frame (every data set here).
        truth: Mask on the image's grid.
        pose: A key of `POSES`, or `mirrored`: the array is mirrored but not the affine, so the anatomy changes sides
            and the caller must swap the side words.

    Returns:
        The new film, black where nothing was, and its truth.
    """
    if pose == "original":
        return image, truth
    if pose == MIRRORED:
        return dataclasses.replace(image, array=image.array[::-1].copy()), truth[::-1].copy()
    flat = image.array[:, :, 0].astype(np.float32)
    channels = [_move(channel, pose, order=1) for channel in np.moveaxis(flat.reshape(*flat.shape[:2], -1), -1, 0)]
    array = np.stack(channels, axis=-1).reshape(image.array.shape).astype(image.array.dtype)
    return dataclasses.replace(image, array=array), _move(truth[:, :, 0], pose, order=0)[:, :, None]


def _move(array: np.ndarray, pose: str, order: int) -> np.ndarray:
    degrees, left, down = POSES[pose]
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    center = (np.array(array.shape) - 1) / 2
    shift = np.array([left, down]) * array.shape
    offset = center - rotation @ (center + shift)
    moved: np.ndarray = ndimage.affine_transform(array, rotation, offset, order=order, mode="constant", cval=0)
    return moved
