"""How much memory an image will need, and how much there is, before anything is loaded. No torch."""

from __future__ import annotations

import ctypes
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from TextGuidedSegLib.config import NetworkConfig
from TextGuidedSegLib.weights import ModelCard

# Python with torch, MONAI and transformers loaded, measured on Linux with torch 2.13 for CPUs.
_LIBRARIES_BYTES = 480 << 20
# A film of 3000 x 2500 voxels raised the peak by 13 to 25 bytes a voxel: the image, its resampling, two results in
# float32 with their reorientation, and the mask.
_BYTES_PER_VOXEL = 32
# A volume of 256 x 256 x 256 voxels: the image in 16 bits, its logits in 16 bits, probability and pseudo-image in
# float32, the mask, and what the reader held.
_BYTES_PER_VOXEL_OF_VOLUME = 20
# Copies of a feature map that are alive at once: input, output, skip connection, and the convolution's own buffers.
_LIVE_MAPS = 6
# Limit, use, and the part of the use that can be dropped, of the two versions of control groups.
_SECOND_VERSION = ("memory.max", "memory.current", "inactive_file")
_FIRST_VERSION = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


@dataclass(frozen=True)
class MemoryForecast:
    """Memory of one run.

    Attributes:
        needed_bytes: Estimated peak, right within a factor of two.
        available_bytes: What can be had without swapping; None where the system does not say.
    """

    needed_bytes: int
    available_bytes: int | None

    @property
    def fits(self) -> bool:
        """False if the run is likely to fail or to slow the whole computer down."""
        return self.available_bytes is None or self.needed_bytes <= self.available_bytes


def host_forecast(card: ModelCard, shape: Sequence[int]) -> MemoryForecast:
    """Main memory that the inference process needs for one image on the CPU.

    Args:
        card: Card of the model.
        shape: `(I, J, K)` voxels, or with channels.
    """
    network, preprocessing = card.network, card.preprocessing
    if network.spatial_dims == 2:
        needed = int(pass_bytes(network) * preprocessing.size**2) + _BYTES_PER_VOXEL * math.prod(shape)
    else:
        window = math.prod(min(size, side) for size, side in zip(shape, preprocessing.window, strict=False))
        needed = int(pass_bytes(network) * window) + _BYTES_PER_VOXEL_OF_VOLUME * math.prod(shape)
    return MemoryForecast(_LIBRARIES_BYTES + needed, available_host_bytes())


def pass_bytes(network: NetworkConfig) -> float:
    """Memory that one pass of a network needs for each pixel or voxel of its input, within a third."""
    backbone, dims = network.backbone, network.spatial_dims
    values: float = sum(
        filters / (backbone.stem_stride * 2**level) ** dims for level, filters in enumerate(backbone.filters)
    )
    return 4 * _LIVE_MAPS * values


def linux_host_bytes(root: Path = Path("/")) -> int | None:
    """Main memory that programs can get without swapping, as Linux tells it; None where there are no such files.

    A container, a batch system or a service may have less than the computer: the least of all limits counts.

    Args:
        root: Folder that `proc` and `sys` lie in.
    """
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    free = [1024 * int(found[1])] if found else []
    return min([*free, *_left_by_limits(root)], default=None)


def _left_by_limits(root: Path) -> Iterator[int]:
    """What each control group that this process is in leaves of its limit."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        is_first_version = "memory" in controllers.split(",")
        if controllers and not is_first_version:
            continue
        mount = root / "sys/fs/cgroup" / ("memory" if is_first_version else "")
        limit, used, cache = _FIRST_VERSION if is_first_version else _SECOND_VERSION
        group = mount / path.lstrip("/")
        # A limit of a group above counts too. In a container the path may be the host's, with only its end mounted.
        for folder in (group, *(above for above in group.parents if above.is_relative_to(mount))):
            numbers = [_number(folder / name) for name in (limit, used)]
            if numbers[0] is not None and numbers[1] is not None:
                yield max(0, numbers[0] - numbers[1] + _reclaimable(folder / "memory.stat", cache))


def _number(file: Path) -> int | None:
    """The number in a file; None for `max` and where there is no such file."""
    text = _text(file).strip()
    return int(text) if text.isdecimal() else None


def _reclaimable(statistics: Path, name: str) -> int:
    """Of what counts as used, copies of files that the system drops when memory is asked for."""
    found = re.search(rf"^{name} (\d+)$", _text(statistics), re.MULTILINE)
    return int(found[1]) if found else 0


def _text(file: Path) -> str:
    """Nothing where the system has no such file, or does not let this process read it."""
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


if sys.platform == "win32":

    class _MemoryStatus(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API."""

        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load_percent", ctypes.c_uint32),
            ("total", ctypes.c_uint64),
            ("available", ctypes.c_uint64),
            ("total_page_file", ctypes.c_uint64),
            ("available_page_file", ctypes.c_uint64),
            ("total_virtual", ctypes.c_uint64),
            ("available_virtual", ctypes.c_uint64),
            ("available_extended_virtual", ctypes.c_uint64),
        )

    def available_host_bytes() -> int | None:
        """Main memory that programs can get without swapping; None where the system does not say."""
        status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
        answered = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return int(status.available) if answered else None

else:

    def available_host_bytes() -> int | None:
        """Main memory that programs can get without swapping; None where the system does not say (macOS)."""
        return linux_host_bytes()
