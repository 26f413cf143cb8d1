"""A model kept loaded with its image between requests; out of memory it takes smaller windows, then the CPU, aloud."""

from __future__ import annotations

import dataclasses
import gc
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch

import TextGuidedSegLib.network  # noqa: F401 - MONAI and transformers take seconds: loaded with torch, not with the model
from TextGuidedSegLib.errors import DeviceError
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import IsCancelled, Progress, Result, Segmenter, choose_device
from TextGuidedSegLib.memory import MemoryForecast, host_forecast

logger = logging.getLogger(__name__)

STEPPED_DOWN = "The GPU ran out of memory; this was computed on the CPU instead, which is slower."
"""The warning of every result that was to come from the GPU and did not."""

SMALLER_WINDOWS = "Memory ran out; the volume was read by smaller windows instead, which takes longer."
"""The warning of every result on a volume for which the planned windows were too large."""

_Value = TypeVar("_Value")


class WarmSegmenter:
    """A `Segmenter` that is ready before the first phrase and survives a full GPU.

    Args:
        model: Model name, folder or weights file.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        WeightsError: No such model, or its files are damaged.
        DeviceError: `cuda` was asked for and is not there, or the computer ran out of memory.
    """

    def __init__(self, model: str, device: str) -> None:
        self.asked_for = (model, device)
        self.device = choose_device(device)
        self._segmenter: Segmenter | None = None
        self._image: Image | None = None
        self._key: str | None = None
        self._warnings: tuple[str, ...] = ()
        self._smaller = False  # windows than planned, on the image that is there
        self.card = self._within_memory(self._ready).card

    @property
    def threads(self) -> int:
        """Threads of the CPU that the network uses; the environment's OMP_NUM_THREADS caps them."""
        return torch.get_num_threads()

    def host_memory(self, shape: tuple[int, ...]) -> MemoryForecast:
        """Main memory for an image of that shape."""
        return host_forecast(self.card, shape)

    def gpu_memory(self) -> MemoryForecast | None:
        """Memory of the GPU for any image, measured when the model was loaded; None on the CPU."""
        if self.device != "cuda":
            return None
        free, _ = torch.cuda.mem_get_info()
        return MemoryForecast(torch.cuda.max_memory_reserved(), free + torch.cuda.memory_reserved())

    def set_image(self, key: str | None, image: Image) -> None:
        """Take an image unless it is the one that is there.

        Args:
            key: Names the image; equal keys are the same voxels on the same grid. None for one without a name, which
                is never the one that is there.
            image: The image.

        Raises:
            ImageError: The model does not read this kind of image.
        """
        if key is not None and key == self._key:
            return
        self._image = self._key = None
        self._smaller = False
        self._ready().set_image(image)
        self._image, self._key = image, key

    def segment(self, phrase: str, *, threshold: float | None, progress: Progress, is_cancelled: IsCancelled) -> Result:
        """Answer one phrase, see `Segmenter.segment`; a change of the device is among the warnings."""
        result = self._within_memory(
            lambda: self._ready().segment(phrase, threshold=threshold, progress=progress, is_cancelled=is_cancelled)
        )
        smaller = (SMALLER_WINDOWS,) if self._smaller else ()
        return dataclasses.replace(result, warnings=(*result.warnings, *self._warnings, *smaller))

    @property
    def phrases_at_once(self) -> int:
        """How many phrases `read_ahead` may be given; 1 where they share nothing."""
        return self._ready().phrases_at_once

    def read_ahead(self, phrases: Sequence[str], *, progress: Progress, is_cancelled: IsCancelled) -> None:
        """Run the network for several phrases of a volume together, see `Segmenter.read_ahead`."""
        self._within_memory(lambda: self._ready().read_ahead(phrases, progress=progress, is_cancelled=is_cancelled))

    def close(self) -> None:
        """Give the model, the image and the memory of the GPU back; only CUDA's own share stays until the end."""
        self._segmenter = self._image = self._key = None
        gc.collect()
        torch.cuda.empty_cache()  # does nothing where the GPU was never used

    def _ready(self) -> Segmenter:
        """The loaded model with the current image."""
        if self._segmenter is None:
            segmenter = Segmenter(self.asked_for[0], device=self.device)
            _run_once(segmenter)
            if self._image is not None:
                segmenter.set_image(self._image)
            self._segmenter = segmenter
        return self._segmenter

    def _within_memory(self, action: Callable[[], _Value]) -> _Value:
        while True:
            try:
                return action()
            except (RuntimeError, MemoryError, DeviceError) as error:
                if not _is_out_of_memory(error):
                    raise
                thriftier = self._segmenter is not None and self._segmenter.use_less_memory()
                if not thriftier and self.device == "cpu":
                    msg = "the computer ran out of memory; close other programs or images, then run the phrase again"
                    raise DeviceError(msg) from error
            # Not in the handler: until it is left, the traceback keeps what lies in the GPU's memory alive.
            if not thriftier:
                break
            logger.warning("memory ran out, going on with smaller windows")
            self._smaller = True
            gc.collect()
            torch.cuda.empty_cache()
        logger.warning("the GPU ran out of memory, going on with the CPU")
        image, key = self._image, self._key
        self.close()
        self._image, self._key = image, key
        self.device, self._warnings, self._smaller = "cpu", (STEPPED_DOWN,), False
        return action()


def _run_once(segmenter: Segmenter) -> None:
    """Segment an empty film: the first run is the slowest, and it shows what memory of the GPU is needed."""
    card = segmenter.card
    if "film" in card.kinds:
        size = card.preprocessing.size
        channels = () if card.image_channels == 1 else (card.image_channels,)
        segmenter.set_image(Image.from_array(np.zeros((size, size, *channels), np.float32)))
        segmenter.segment("warm up")


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was the reason; CUDA's libraries and torch's allocators say so in words only."""
    words = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)
