"""One volume between phrases: read window by window, with progress, and with memory that its size hardly changes.

What several phrases share is done once: the windows of the image (cut, resampled and normalized for all phrases that
are asked for together), the plan, the token states and the cells of each pseudo-image. Logits are kept in half
precision on the network's grid, so that a new threshold runs nothing again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from TextGuidedSegLib.guidance import window_coordinates
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.memory import available_host_bytes, pass_bytes
from TextGuidedSegLib.mirroring import mirrored_words
from TextGuidedSegLib.network import FusedNetwork, Words
from TextGuidedSegLib.presence import EVIDENCE_SHARE, HighestLogits
from TextGuidedSegLib.pseudo_image import interpolated_window
from TextGuidedSegLib.running import Maps, Reporter, device_of
from TextGuidedSegLib.slabs import rows_of
from TextGuidedSegLib.text_encoder import PhraseTokenizer, PhraseUnits
from TextGuidedSegLib.volume_preprocessing import PreparedVolume, prepare_volume
from TextGuidedSegLib.weights import ModelCard
from TextGuidedSegLib.windows import Blender, WindowBounds, WindowPlan, plan_windows

# Of the free memory, for one pass of the network: the rest is for the results, which are not yet there.
_SHARE_OF_FREE = 0.5
# Logits of earlier phrases that are kept for a new threshold.
_KEPT_BYTES = 256 << 20

_Text = str | None


class _Spoken(NamedTuple):
    """What the network hears of one phrase: token states, and `(1, P, *grid)` cells of its pseudo-image."""

    words: Words | None
    cells: Tensor | None


class _Kept(NamedTuple):
    """What is kept of one phrase: evidence, float16 logits on the network's grid, cells of the pseudo-image."""

    evidence: float
    logits: np.ndarray
    cells: Tensor | None


class VolumeRunner:
    """Runs a network on one volume.

    Args:
        network: From `weights.load_network`, of three spatial dimensions.
        tokenizer: Likewise.
        card: Card of the model.
        image: The volume.

    Attributes:
        plan: The windows, chosen once for all phrases.

    Raises:
        ImageError: The volume has colors or values that are not finite.
    """

    def __init__(self, network: FusedNetwork, tokenizer: PhraseTokenizer, *, card: ModelCard, image: Image) -> None:
        self._network, self._tokenizer, self._card = network, tokenizer, card
        self._volume: PreparedVolume = prepare_volume(image, card.preprocessing)
        self.plan: WindowPlan = plan_windows(
            self._volume.plan.model_shape,
            card.preprocessing.window,
            multiple=network.multiple,
            pass_bytes=pass_bytes(card.network),
            free_bytes=_free_bytes(device_of(network)),
            device=device_of(network).type,
        )
        self._kept: dict[_Text, _Kept] = {}

    def maps(self, words: _Text, report: Reporter) -> Maps:
        """Answer one phrase; the same words do not run the network again while they are kept.

        Args:
            words: Normalized phrase; None for no phrase.
            report: Told of every window.

        Raises:
            Cancelled: The caller said so; what other phrases gave stays.
        """
        self.run([words], report.within(0.0, 0.8))
        kept, volume, axis = self._kept[words], self._volume, self.plan.axis
        probability, pseudo_image = volume.empty_map(), volume.empty_map()

        def read_probability(start: int, stop: int) -> np.ndarray:
            return _sigmoid(torch.from_numpy(kept.logits[rows_of(axis, start, stop)].astype(np.float32)))

        def read_pseudo_image(start: int, stop: int) -> np.ndarray:
            assert kept.cells is not None
            shape = self.plan.shape
            window = [(start, stop) if one == axis else (0, size) for one, size in enumerate(shape)]
            return _sigmoid(interpolated_window(kept.cells[:, :1], shape, window)[0, 0])

        portions = volume.portions(axis)
        for number, portion in enumerate(portions):
            report(0.8 + 0.2 * number / len(portions), "original grid")
            volume.write(probability, axis, portion, read_probability)
            if kept.cells is not None:  # without early fusion nothing is painted: black, not a guess
                volume.write(pseudo_image, axis, portion, read_pseudo_image)
        return Maps(kept.evidence, probability, pseudo_image, self.plan)

    @torch.inference_mode()
    def run(self, phrases: Sequence[_Text], report: Reporter) -> None:
        """Run the network for all phrases that are not kept, window by window.

        Args:
            phrases: Normalized phrases; None for no phrase.
            report: Told of every window; a cancelled run leaves what was kept before.
        """
        missing = [words for words in dict.fromkeys(phrases) if words not in self._kept]
        if not missing:
            return
        plan, spoken = self.plan, [self._spoken(words) for words in missing]
        blenders = [Blender(plan) for _ in missing]
        highest = [HighestLogits(self._evidence_voxels()) for _ in missing]
        logits = [np.empty(plan.shape, dtype=np.float16) for _ in missing]
        done = 0
        for start, following, windows in plan.slabs():
            rows = self._volume.rows(plan.axis, start, start + plan.window[plan.axis])
            for first in range(0, len(windows), plan.batch):
                group = windows[first : first + plan.batch]
                report(done / plan.count, f"window {done + 1} of {plan.count}")
                image = self._cut(rows, start, group)
                for each, blender in zip(spoken, blenders, strict=True):
                    values = self._averaged(image, each, group).cpu().numpy()
                    for window, value in zip(group, values, strict=True):
                        blender.add(window, value)
                done += len(group)
            for blender, store, evidence in zip(blenders, logits, highest, strict=True):
                finished = blender.finished(following - start).astype(np.float16)
                store[rows_of(plan.axis, start, following)] = finished
                evidence.add(finished)
        self._keep(missing, [_Kept(one.evidence, store, each[0].cells)
                             for one, store, each in zip(highest, logits, spoken, strict=True)])  # fmt: skip

    def _keep(self, phrases: Sequence[_Text], kept: Sequence[_Kept]) -> None:
        for words in list(self._kept):  # oldest first
            if sum(one.logits.nbytes for one in (*self._kept.values(), *kept)) > _KEPT_BYTES:
                del self._kept[words]
        self._kept |= dict(zip(phrases, kept, strict=True))

    def _spoken(self, words: _Text) -> tuple[_Spoken, ...]:
        """What the network hears of a phrase, and of its mirrored words if both are averaged."""
        heard = [self._heard(words)]
        if self._card.decision.mirror_average:
            mirrored = None if words is None else mirrored_words(words)
            heard.append(heard[0] if mirrored == words else self._heard(mirrored))
        return tuple(heard)

    def _heard(self, words: _Text) -> _Spoken:
        device = device_of(self._network)
        absent = torch.tensor([words is None], device=device)
        read = self._network.read(self._tokenizer([words or ""]).to(device), absent=absent)
        generator = self._network.generator
        if read is None or generator is None:
            return _Spoken(read, None)
        return _Spoken(read, generator.cells(read.states, read.mask, self.plan.shape))

    def _cut(self, rows: np.ndarray, start: int, windows: Sequence[WindowBounds]) -> Tensor:
        """Windows `(B, 1, *window)` out of a slab."""
        parts = [
            rows[tuple(slice(low - start, high - start) if axis == self.plan.axis else slice(low, high)
                       for axis, (low, high) in enumerate(window))]
            for window in windows
        ]  # fmt: skip
        return torch.from_numpy(np.stack(parts)[:, None]).to(device_of(self._network))

    def _averaged(self, image: Tensor, spoken: tuple[_Spoken, ...], windows: Sequence[WindowBounds]) -> Tensor:
        """Logits `(B, *window)`, the mean with those of the mirrored windows if there are mirrored words."""
        logits = self._logits(image, spoken[0], windows)
        if len(spoken) == 1:
            return logits
        width = self.plan.shape[0]
        mirrored = [((width - high, width - low), *others) for (low, high), *others in windows]
        return (logits + self._logits(image.flip(2), spoken[1], mirrored).flip(1)) / 2

    def _logits(self, image: Tensor, spoken: _Spoken, windows: Sequence[WindowBounds]) -> Tensor:
        shape, network = self.plan.shape, self._network
        pseudo, coordinates = None, None
        if spoken.cells is not None:
            pseudo = torch.cat([interpolated_window(spoken.cells, shape, window) for window in windows])
        if network.alignment is not None:
            coordinates = torch.cat([window_coordinates(shape, window, image.device) for window in windows])
        words = None if spoken.words is None else _repeated(spoken.words, len(windows))
        return network.segment(image, words, pseudo, coordinates=coordinates).logits[:, 0]

    def _evidence_voxels(self) -> int:
        cubic_mm = self._card.decision.evidence_mm3
        voxels = EVIDENCE_SHARE * float(np.prod(self.plan.shape))
        if cubic_mm is not None:
            voxels = cubic_mm / float(np.prod(self._volume.spacing_mm))
        return max(1, round(voxels))


def _repeated(words: Words, count: int) -> Words:
    """One phrase as a batch."""

    def repeated(tensor: Tensor) -> Tensor:
        return tensor.expand(count, *tensor.shape[1:])

    units = None if words.units is None else PhraseUnits(*map(repeated, words.units))
    return Words(repeated(words.states), repeated(words.mask), units)


def _sigmoid(logits: Tensor) -> np.ndarray:
    values: np.ndarray = logits.sigmoid().cpu().numpy()
    return values


def _free_bytes(device: torch.device) -> float | None:
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_host_bytes()
    return None if free is None else _SHARE_OF_FREE * free
