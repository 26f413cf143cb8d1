"""Where bfloat16 can be trusted.

torch 2.13's bfloat16 convolutions of thin volumes on a CPU cannot: in the forward pass where an axis of two voxels
becomes one, in the gradient of a kernel where an axis has four voxels or fewer, they return whatever was in memory; in
the gradient where the first axis is short and the others are long (8 x 96 x 96 voxels, 16 channels) they write past
their memory, and the process ends. The same steps are right in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_THIN, _THIN_FIRST = 4, 12  # voxels along any axis, along the first one
_CONVOLUTIONS = (torch.conv3d, torch.conv_transpose3d, functional.conv3d, functional.conv_transpose3d)


class ThinConvolutionsInFloat32(TorchFunctionMode):
    """Inside `torch.autocast` on a CPU, convolves thin volumes in float32 and leaves everything else as it is.

    The deepest levels alone are thin and cost little, so stacks of few slices keep most of bfloat16's speed.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by torch for each of its functions."""
        named = dict(kwargs or {})
        if func not in _CONVOLUTIONS or args[0].device.type != "cpu" or not _is_thin(args[0].shape[2:]):
            return func(*args, **named)
        with torch.autocast("cpu", enabled=False):
            return func(*map(_full, args), **{name: _full(value) for name, value in named.items()})


def _is_thin(shape: torch.Size) -> bool:
    return min(shape) <= _THIN or shape[0] <= _THIN_FIRST


def _full(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value
