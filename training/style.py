"""Another hospital's look: films of every source are shown as other machines and other postprocessing would show them.

Grey histograms and borders alone tell the hospitals of the training data apart. These changes, beyond those of
`augment.photometric`, blur that difference, so that what is on a film is told by its anatomy. No words change.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_FINE, _COARSE = 0.04, 0.14
"""Scales of local contrast, as shares of the film's side."""

_FIELD = 3  # control points of the uneven brightness along each axis
_UNEVEN = 0.15
_BORDER = 0.06  # widest border, as a share of the side


def restyled(image: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Change local contrast, evenness of brightness and border of some films; equal generator states change equally.

    Args:
        image: `(B, C, I, J)` float32, normalized. Channels change alike, so grey stays grey.
        probability: Of each film, in [0, 1].
        generator: Source of the choice.
    """
    active = _uniform(image, 0, 1, generator) < probability
    changed = image
    for scale, most in ((_FINE, 0.8), (_COARSE, 0.6)):
        amount = _uniform(image, -0.4, most, generator)
        changed = changed + amount * (changed - blurred(changed, scale))
    changed = _unevenly_lit(changed, generator)
    return torch.where(active, _framed(changed, generator), image)


def _uniform(image: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """`(B, 1, 1, 1)`."""
    return (low + (high - low) * torch.rand(len(image), generator=generator))[:, None, None, None].to(image)


def blurred(image: Tensor, scale: float) -> Tensor:
    """Box blur, at the edge over what there is of the box; one axis after the other, which is as good and far faster.

    Args:
        image: `(B, C, I, J)` float32.
        scale: Width of the box as a share of the shorter side.
    """
    width = 2 * max(1, round(scale * min(image.shape[2:]) / 2)) + 1
    for kernel in ((width, 1), (1, width)):
        padding = (kernel[0] // 2, kernel[1] // 2)
        image = functional.avg_pool2d(image, kernel, stride=1, padding=padding, count_include_pad=False)
    return image


def _unevenly_lit(image: Tensor, generator: torch.Generator) -> Tensor:
    """A smooth gain over the film; what is black stays black."""
    field = _UNEVEN * torch.randn((len(image), 1, _FIELD, _FIELD), generator=generator).clamp(-2, 2)
    gain = 1 + functional.interpolate(field, size=image.shape[2:], mode="bicubic", align_corners=True).to(image)
    black = image.amin(dim=(1, 2, 3), keepdim=True)
    return (image - black) * gain + black


def _framed(image: Tensor, generator: torch.Generator) -> Tensor:
    """A border on each edge, of its own width, black or as bright as the film's brightest pixel."""
    height, width = image.shape[2:]
    shares = _BORDER * torch.rand((len(image), 4), generator=generator).square().to(image)
    first, last, top, bottom = (shares[:, place, None, None, None] for place in range(4))
    rows = torch.linspace(0, 1, height, device=image.device)[None, None, :, None]
    columns = torch.linspace(0, 1, width, device=image.device)[None, None, None, :]
    border = (rows < first) | (rows > 1 - last) | (columns < top) | (columns > 1 - bottom)
    bright = _uniform(image, 0, 1, generator) < 0.25
    value = torch.where(bright, image.amax(dim=(1, 2, 3), keepdim=True), image.amin(dim=(1, 2, 3), keepdim=True))
    return torch.where(border, value, image)
