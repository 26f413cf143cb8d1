"""One image, many phrases: the way from what was typed to a mask on the original voxel grid."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch

from TextGuidedSegLib.errors import Cancelled, DeviceError, ImageError
from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.image import Image, with_sound_values
from TextGuidedSegLib.phrase import Phrase, parse, swap_sides
from TextGuidedSegLib.preprocessing import PreparedFilm, prepare_film
from TextGuidedSegLib.weights import DecisionConfig, Model, ModelCard, find_model, load_network

logger = logging.getLogger(__name__)

Answer = Literal["found", "not_found", "unsure", "not_understood", "contradictory", "negated"]
ANSWERS: tuple[Answer, ...] = ("found", "not_found", "unsure", "not_understood", "contradictory", "negated")
Progress = Callable[[float, str], None]
IsCancelled = Callable[[], bool]

# Share of the network's grid whose highest logits are the evidence for presence: the area of the smallest lesions of
# the training data. Logits, because the probabilities of anything the words point at are all near one.
_EVIDENCE_SHARE = 0.01
_LARGEST_LOGIT = 12.0


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """What one phrase gave on one image.

    Attributes:
        answer: How the call ended; only `found` and `unsure` have a non-empty mask.
        phrase: The parsed phrase; None when there was none.
        model: Name of the model.
        weights_sha256: Hash of its weights.
        threshold: Probability from which a voxel belongs to the mask.
        presence: In [0, 1]: how sure the model is that what the phrase names is there.
        warnings: Sentences for people.
        seconds: Wall-clock time of this call.
        device: Device it ran on.
        mask: `(I, J, K)` uint8 in {0, 1} on the image's own grid.
        probability: `(I, J, K)` float32 in [0, 1] on the image's own grid.
        pseudo_image: `(I, J, K)` float32 in [0, 1] on the image's own grid: where the words point.
        geometry: That grid.
    """

    answer: Answer
    phrase: Phrase | None
    model: str
    weights_sha256: str
    threshold: float
    presence: float
    warnings: tuple[str, ...]
    seconds: float
    device: str
    mask: np.ndarray
    probability: np.ndarray
    pseudo_image: np.ndarray
    geometry: Geometry

    @property
    def voxels(self) -> int:
        """Number of voxels of the mask."""
        return int(self.mask.sum())

    @property
    def centroid_ras_mm(self) -> tuple[float, float, float] | None:
        """Center of the mask in world coordinates (mm where the spacing is known), or None for an empty one."""
        if not self.voxels:
            return None
        center = np.argwhere(self.mask).mean(axis=0)
        x, y, z = self.geometry.ijk_to_ras_mm(center[None])[0]
        return float(x), float(y), float(z)


class _Maps(NamedTuple):
    """Network output on the network's grid, `(I, J)` float32 in [0, 1]."""

    probability: np.ndarray
    pseudo_image: np.ndarray


class Segmenter:
    """A loaded model with an image between phrases.

    Args:
        model: Model name, folder or weights file.
        device: `auto` (GPU if there is one), `cpu` or `cuda`.

    Raises:
        WeightsError: No such model, or its files are damaged.
        DeviceError: `cuda` was asked for and is not there.

    Example:
        segmenter = Segmenter("chest-xray")
        segmenter.set_image(read_image("film.dcm"))
        result = segmenter.segment("left lower lung opacity")
    """

    def __init__(self, model: str | Model = "chest-xray", *, device: str = "auto") -> None:
        self.model = model if isinstance(model, Model) else find_model(model)
        self.device = choose_device(device)
        self._network, self._tokenizer = load_network(self.model, self.device)
        self._image: Image | None = None
        self._film: PreparedFilm | None = None
        self._maps: dict[str | None, _Maps] = {}

    @property
    def card(self) -> ModelCard:
        """The card of the loaded model."""
        return self.model.card

    def set_image(self, image: Image) -> None:
        """Take an image; phrases are answered on it until the next one.

        Raises:
            ImageError: The model does not read this kind of image, or the image has no finite value.
        """
        check_fit(image, self.card)
        image = with_sound_values(image)  # arrays and scenes come here without a reader's checks
        self._film = prepare_film(image, self.card.preprocessing)
        self._image, self._maps = image, {}

    def segment(
        self,
        phrase: str | Phrase | None,
        *,
        threshold: float | None = None,
        progress: Progress | None = None,
        is_cancelled: IsCancelled | None = None,
    ) -> Result:
        """Answer one phrase. The same phrase with another threshold does not run the network again.

        Args:
            phrase: What was typed, at most 500 characters; None for the model's guess without any words.
            threshold: In (0, 1); None for the model's own.
            progress: Called with the share done in [0, 1] and the name of the stage.
            is_cancelled: Asked between stages.

        Returns:
            The result, on the image's own grid.

        Raises:
            PhraseError: The phrase is empty or too long.
            ValueError: The threshold is not in (0, 1).
            Cancelled: `is_cancelled` said so; the segmenter stays usable.
            RuntimeError: There is no image yet.
        """
        started = time.monotonic()
        if self._image is None or self._film is None:
            msg = "call set_image before segment"
            raise RuntimeError(msg)
        parsed = parse(phrase) if isinstance(phrase, str) else phrase
        threshold = _checked_threshold(threshold, self.card.decision)
        report = _Reporter(progress, is_cancelled)
        report(0.0, "text")
        maps = self._network_maps(parsed, report)
        report(0.8, "original grid")
        presence = presence_score(maps.probability, self.card.decision)
        probability, pseudo_image = self._film.undo(maps.probability), self._film.undo(maps.pseudo_image)
        mask = (probability >= threshold).astype(np.uint8)
        answer = self._answer(parsed, presence, bool(mask.any()))
        if answer not in ("found", "unsure"):
            mask = np.zeros_like(mask)
        warnings = (*self._image.warnings, *_side_warning(parsed, mask, self._film))
        report(1.0, "done")
        return Result(
            answer=answer, phrase=parsed, model=self.card.name, weights_sha256=self.card.sha256["weights.safetensors"],
            threshold=threshold, presence=presence, warnings=warnings, seconds=time.monotonic() - started,
            device=self.device, mask=mask, probability=probability, pseudo_image=pseudo_image,
            geometry=self._image.geometry,
        )  # fmt: skip

    def _network_maps(self, phrase: Phrase | None, report: _Reporter) -> _Maps:
        key = None if phrase is None else phrase.normalized
        if key not in self._maps:
            self._maps[key] = self._run(key, report)
        return self._maps[key]

    @torch.inference_mode()
    def _run(self, words: str | None, report: _Reporter) -> _Maps:
        try:
            return self._averaged(words, report)
        except torch.OutOfMemoryError as error:
            msg = f"the device {self.device} ran out of memory; close what else uses it, or use --device cpu"
            raise DeviceError(msg) from error

    def _averaged(self, words: str | None, report: _Reporter) -> _Maps:
        assert self._film is not None
        image = torch.from_numpy(self._film.array)[None, None].to(self.device)
        report(0.1, "network")
        logits, occupancy = self._logits(image, words)
        if self.card.decision.mirror_average:
            report(0.4, "network, mirrored")
            mirrored, _ = self._logits(image.flip(2), None if words is None else swap_sides(words))
            logits = (logits + mirrored.flip(2)) / 2
        return _Maps(logits.sigmoid()[0, 0].cpu().numpy(), occupancy.sigmoid()[0, 0].cpu().numpy())

    def _logits(self, image: torch.Tensor, words: str | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Segmentation and pseudo-image occupancy, `(1, 1, I, J)` each."""
        device = torch.device(self.device)
        tokens = self._tokenizer([words or ""]).to(device)
        absent = torch.tensor([words is None], device=device)
        output = self._network(image, tokens, absent=absent)
        return output.logits, output.pseudo_logits[:, :1]

    def _answer(self, phrase: Phrase | None, presence: float, any_voxel: bool) -> Answer:
        decision = self.card.decision
        if phrase is not None and phrase.contradictory:
            return "contradictory"
        if phrase is not None and phrase.negated:
            return "negated"
        if phrase is not None and not (phrase.known or self._tokenizer.knows_a_word(phrase.normalized)):
            return "not_understood"
        if presence < decision.not_found_below or not any_voxel:
            return "not_found"
        return "found" if presence >= decision.found_above else "unsure"


class _Reporter:
    """Tells progress and raises `Cancelled`."""

    def __init__(self, progress: Progress | None, is_cancelled: IsCancelled | None) -> None:
        self._progress, self._is_cancelled = progress, is_cancelled

    def __call__(self, share: float, stage: str) -> None:
        if self._is_cancelled is not None and self._is_cancelled():
            msg = f"cancelled before the stage {stage!r}"
            raise Cancelled(msg)
        if self._progress is not None:
            self._progress(share, stage)


def choose_device(device: str) -> str:
    """`cpu` or `cuda` for `auto`, `cpu` or `cuda`.

    Raises:
        ValueError: Another word.
        DeviceError: `cuda` was asked for and is not there; nothing falls back silently.
    """
    if device not in ("auto", "cpu", "cuda"):
        msg = f"device must be auto, cpu or cuda, got {device!r}"
        raise ValueError(msg)
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        msg = "device cuda was asked for, but torch finds no CUDA device; use --device cpu or auto"
        raise DeviceError(msg)
    return device


def check_fit(image: Image, card: ModelCard) -> None:
    """Refuse an image that the model was not made for.

    Raises:
        ImageError: Says what the image is, what the model reads, and what to do.
    """
    name = image.source or "the image"
    if image.kind not in card.kinds:
        msg = (
            f"{name} is a {image.kind} of {' x '.join(map(str, image.geometry.shape))} voxels"
            f"{f' ({image.modality})' if image.modality else ''}; the model {card.name!r} reads "
            f"{' and '.join(card.kinds)}s: "
            f"{card.summary} Choose another model or image"
        )
        raise ImageError(msg)
    if image.modality is not None and image.modality not in card.modalities:
        msg = (
            f"{name} has the modality {image.modality}; the model {card.name!r} reads {', '.join(card.modalities)}. "
            "Choose another model or image"
        )
        raise ImageError(msg)
    if image.channels != card.image_channels:
        msg = (
            f"{name} has {image.channels} channels; the model {card.name!r} reads {card.image_channels}. "
            "Convert a color picture of a grey film to grey first"
        )
        raise ImageError(msg)


def presence_evidence(probability: np.ndarray) -> float:
    """Mean of the highest logits of a map: large when a region of lesion size is sure, very negative when no pixel is.

    Args:
        probability: On the network's grid, in [0, 1].

    Returns:
        In [-12, 12].
    """
    clipped = np.clip(probability.astype(np.float64), 1e-9, 1 - 1e-9)
    logits = np.clip(np.log(clipped / (1 - clipped)), -_LARGEST_LOGIT, _LARGEST_LOGIT)
    count = max(1, round(_EVIDENCE_SHARE * logits.size))
    return float(np.partition(logits, -count, axis=None)[-count:].mean())


def presence_score(probability: np.ndarray, decision: DecisionConfig) -> float:
    """How sure it is, in [0, 1], that what the phrase names is there: the evidence, calibrated as the card says."""
    return 1 / (1 + math.exp(-(decision.presence_scale * presence_evidence(probability) + decision.presence_offset)))


def _checked_threshold(threshold: float | None, decision: DecisionConfig) -> float:
    if threshold is None:
        return decision.threshold
    if not 0.0 < threshold < 1.0:
        msg = f"threshold must be between 0 and 1, got {threshold}; the model's own is {decision.threshold}"
        raise ValueError(msg)
    return float(threshold)


def _side_warning(phrase: Phrase | None, mask: np.ndarray, film: PreparedFilm) -> tuple[str, ...]:
    """One sentence when most of a one-sided result lies on the other half of the film."""
    if phrase is None or phrase.side not in ("left", "right") or not mask.any():
        return ()
    canonical = film.reorientation.apply(mask)
    half = canonical.shape[0] // 2
    share_left = float(canonical[half:].sum() / canonical.sum())
    share_named = share_left if phrase.side == "left" else 1 - share_left
    if share_named >= 0.5:
        return ()
    return (
        f"The phrase says {phrase.side}, but {1 - share_named:.0%} of the result lies on the other half of the film: "
        "check the orientation of the film.",
    )
