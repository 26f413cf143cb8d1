"""What a network that halves its grid asks of an image: sizes that are multiples, and the way back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Zeros after the end of each axis; zero is the mean of a normalized image and 'no word points here'.

    The last axis becomes twice the multiple where the whole image would be one cell of the deepest level: over a single
    position a normalization has no variance.

    Args:
        image: `(B, C, *shape)`.
        multiple: What each size becomes a multiple of.
    """
    shape = image.shape[2:]
    padded = [_round_up(size, multiple) for size in shape]
    if max(padded) == multiple > 1:
        padded[-1] *= 2
    pads = _pads(shape, padded)
    return functional.pad(image, pads) if any(pads) else image


def inside(shape: Sequence[int], padded: Sequence[int], like: Tensor) -> Tensor | None:
    """Which voxels of a padded image are the image.

    Args:
        shape: Of the image.
        padded: With its padding.
        like: A tensor on the device where to make it.

    Returns:
        `(1, *padded, 1)` float32, 1 on the image and 0 on its padding; None where there is none.
    """
    if tuple(shape) == tuple(padded):
        return None
    ones = torch.ones(1, 1, *shape, device=like.device)
    return functional.pad(ones, _pads(shape, padded)).movedim(1, -1)


def extended(coordinates: Tensor, shape: Sequence[int]) -> Tensor:
    """Coordinates `(B, *shape, D)` with the last ones repeated over the padding, `(B, *padded, D)`.

    Args:
        coordinates: Of the image.
        shape: With its padding.
    """
    for axis, size in enumerate(shape, start=1):
        missing = size - coordinates.shape[axis]
        if missing:
            last = coordinates.narrow(axis, coordinates.shape[axis] - 1, 1)
            repeats = [missing if each == axis else 1 for each in range(coordinates.ndim)]
            coordinates = torch.cat([coordinates, last.repeat(repeats)], dim=axis)
    return coordinates


def cropped(logits: Tensor, shape: Sequence[int], padded: Sequence[int]) -> Tensor:
    """Logits at full resolution without the padding, float32.

    Args:
        logits: `(B, 1, *grid)`; a coarser grid than `padded` is interpolated.
        shape: Of the image.
        padded: With its padding.
    """
    if logits.shape[2:] != tuple(padded):
        mode = "bilinear" if len(shape) == 2 else "trilinear"
        logits = functional.interpolate(logits.float(), size=tuple(padded), mode=mode, align_corners=False)
    window = (slice(None), slice(None), *(slice(0, size) for size in shape))
    return logits[window].float()


def _round_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _pads(shape: Sequence[int], padded: Sequence[int]) -> list[int]:
    """What `torch.nn.functional.pad` adds after the end of each axis; it names the last axis first."""
    missing = [large - small for small, large in zip(shape, padded, strict=True)]
    return [pad for after in reversed(missing) for pad in (0, after)]
