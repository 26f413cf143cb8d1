"""One volume between phrases: read window by window, with progress, and with memory that its size hardly changes.

What several phrases share is done once: the windows of the image (cut, resampled and normalized for all phrases that
are asked for together), their features where no word is stacked on them, the plan, the token states and the cells of
each pseudo-image. Logits are kept in half precision on the network's grid, so that a new threshold runs nothing again.

*Left* means the same in every window: the organ that directions are measured in is found once, on an overview of the
whole volume, and given to all windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from TextGuidedSegLib.config import EVIDENCE_SHARE
from TextGuidedSegLib.guidance import OrganFrame, window_coordinates
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.memory import available_host_bytes, pass_bytes
from TextGuidedSegLib.mirroring import mirrored_words
from TextGuidedSegLib.network import FusedNetwork, Words
from TextGuidedSegLib.presence import HighestLogits
from TextGuidedSegLib.pseudo_image import interpolated_window
from TextGuidedSegLib.running import Maps, Reporter, device_of
from TextGuidedSegLib.slabs import rows_of
from TextGuidedSegLib.text_encoder import PhraseTokenizer, PhraseUnits
from TextGuidedSegLib.volume_preprocessing import PreparedVolume, prepare_volume
from TextGuidedSegLib.weights import ModelCard
from TextGuidedSegLib.windows import Blender, WindowBounds, WindowPlan, overview_shape, plan_windows, smaller_windows

# Of the free memory, for one pass of the network: the rest is for the results, which are not yet there.
_SHARE_OF_FREE = 0.5
# Logits of earlier phrases that are kept for a new threshold.
_KEPT_BYTES = 256 << 20

_Text = str | None


class _Spoken(NamedTuple):
    """What the network hears of one phrase.

    Attributes:
        words: Token states.
        cells: `(1, P, *grid)` of its pseudo-image.
        frame: Organ of the whole volume; None where no window needs it.
    """

    words: Words | None
    cells: Tensor | None
    frame: OrganFrame | None = None


class _View(NamedTuple):
    """Windows as the network sees them, straight or mirrored.

    Attributes:
        image: `(B, 1, *window)`.
        windows: Their places in the straight or the mirrored volume.
        features: What all phrases share, if anything.
    """

    image: Tensor
    windows: list[WindowBounds]
    features: list[Tensor] | None


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
        self._overview: Tensor | None = None

    @property
    def phrases_at_once(self) -> int:
        """How many phrases `run` may be given without holding more than is kept between phrases anyway."""
        return max(1, _KEPT_BYTES // (2 * math.prod(self.plan.shape)))

    def use_less_memory(self) -> bool:
        """Read by smaller windows from now on; False where they are the smallest. What was computed is forgotten."""
        plan = smaller_windows(self.plan, self._network.multiple)
        if plan is None:
            return False
        self.plan, self._overview = plan, None
        self._kept.clear()
        return True

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
        plan, spoken = self.plan, [self._spoken(words, report) for words in missing]
        blenders = [Blender(plan) for _ in missing]
        highest = [HighestLogits(self._evidence_voxels()) for _ in missing]
        logits = [np.empty(plan.shape, dtype=np.float16) for _ in missing]
        done = 0
        for start, following, windows in plan.slabs():
            rows = self._volume.rows(plan.axis, start, start + plan.window[plan.axis])
            for first in range(0, len(windows), plan.batch):
                group = windows[first : first + plan.batch]
                report(done / plan.count, f"window {done + 1} of {plan.count}")
                views = self._views(self._cut(rows, start, group), group)
                for each, blender in zip(spoken, blenders, strict=True):
                    values = self._averaged(views, each, report).cpu().numpy()
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

    def _spoken(self, words: _Text, report: Reporter) -> tuple[_Spoken, ...]:
        """What the network hears of a phrase, and of its mirrored words if both are averaged."""
        straight = self._heard(words)
        if not self._card.decision.mirror_average:
            return (self._framed(straight, report),)
        opposite = None if words is None else mirrored_words(words)
        mirrored = straight if opposite == words else self._heard(opposite)
        return self._framed(straight, report), self._framed(mirrored, report, mirrors=True)

    def _heard(self, words: _Text) -> _Spoken:
        device = device_of(self._network)
        absent = torch.tensor([words is None], device=device)
        read = self._network.read(self._tokenizer([words or ""]).to(device), absent=absent)
        generator = self._network.generator
        if read is None or generator is None:
            return _Spoken(read, None)
        return _Spoken(read, generator.cells(read.states, read.mask, self.plan.shape))

    def _framed(self, spoken: _Spoken, report: Reporter, *, mirrors: bool = False) -> _Spoken:
        """With the organ, found on the straight or the mirrored volume, if the words point anywhere."""
        alignment, words = self._network.alignment, spoken.words
        if self.plan.count == 1 or alignment is None or words is None or not alignment.points(words.units):
            return spoken
        if self._overview is None:
            values = self._volume.overview(overview_shape(self.plan), lambda: report(0.0, "whole volume"))
            self._overview = torch.from_numpy(values)[None, None].to(device_of(self._network))
        report(0.0, "whole volume")
        image = self._overview.flip(2) if mirrors else self._overview
        shape, pseudo = image.shape[2:], None
        if spoken.cells is not None:
            pseudo = interpolated_window(spoken.cells, shape, [(0, size) for size in shape])
        spatial = self._network.segment(image, words, pseudo).spatial
        assert spatial is not None
        return spoken._replace(frame=spatial.frame)

    def _cut(self, rows: np.ndarray, start: int, windows: Sequence[WindowBounds]) -> Tensor:
        """Windows `(B, 1, *window)` out of a slab."""
        parts = [
            rows[tuple(slice(low - start, high - start) if axis == self.plan.axis else slice(low, high)
                       for axis, (low, high) in enumerate(window))]
            for window in windows
        ]  # fmt: skip
        return torch.from_numpy(np.stack(parts)[:, None]).to(device_of(self._network))

    def _views(self, image: Tensor, windows: list[WindowBounds]) -> list[_View]:
        """Windows as they are, and mirrored if both are averaged."""
        encode = self._network.encode
        views = [_View(image, windows, encode(image))]
        if self._card.decision.mirror_average:
            width, flipped = self.plan.shape[0], image.flip(2)
            mirrored: list[WindowBounds] = [((width - high, width - low), *others) for (low, high), *others in windows]
            views.append(_View(flipped, mirrored, encode(flipped)))
        return views

    def _averaged(self, views: Sequence[_View], spoken: Sequence[_Spoken], report: Reporter) -> Tensor:
        """Logits `(B, *window)`, the mean with those of the mirrored windows if there are any."""
        report.ask("window")
        logits = self._logits(views[0], spoken[0])
        if len(views) == 1:
            return logits
        report.ask("mirrored window")
        return (logits + self._logits(views[1], spoken[1]).flip(1)) / 2

    def _logits(self, view: _View, spoken: _Spoken) -> Tensor:
        shape, network, windows = self.plan.shape, self._network, view.windows
        pseudo, coordinates = None, None
        if spoken.cells is not None:
            pseudo = torch.cat([interpolated_window(spoken.cells, shape, window) for window in windows])
        if network.alignment is not None:
            coordinates = torch.cat([window_coordinates(shape, window, view.image.device) for window in windows])
        words = None if spoken.words is None else _repeated(spoken.words, len(windows))
        return network.segment(
            view.image, words, pseudo, coordinates=coordinates, frame=spoken.frame, features=view.features
        ).logits[:, 0]

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
