"""One image, many phrases: the way from what was typed to a mask on the original voxel grid."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence

import numpy as np

from TextGuidedSegLib import familiarity
from TextGuidedSegLib.disagreement import disagreements, found_elsewhere, on_other_half
from TextGuidedSegLib.errors import ImageError, PhraseError, RegionNeededError
from TextGuidedSegLib.film_runner import FilmRunner
from TextGuidedSegLib.fit import check_fit, check_phrase_fit, choose_model, recognized
from TextGuidedSegLib.image import Image, with_sound_values
from TextGuidedSegLib.phrase import Phrase, parse
from TextGuidedSegLib.presence import calibrated, presence_evidence, presence_score
from TextGuidedSegLib.readers import Readers, Reading, Readings, Runner
from TextGuidedSegLib.region import Bounds, Region, cropped, index_of
from TextGuidedSegLib.result import ANSWERS, Answer, Result, settled_answer
from TextGuidedSegLib.running import IsCancelled, Maps, Progress, Reporter, choose_device, memory_said
from TextGuidedSegLib.single_piece import largest_piece, names_one_piece
from TextGuidedSegLib.slice_runner import thick_axis
from TextGuidedSegLib.volume_runner import VolumeRunner
from TextGuidedSegLib.weights import DecisionConfig, Model, ModelCard, find_model

__all__ = [
    "ANSWERS",
    "Answer",
    "IsCancelled",
    "Progress",
    "Region",
    "Result",
    "Segmenter",
    "check_fit",
    "choose_device",
    "choose_model",
    "presence_evidence",
    "presence_score",
]

logger = logging.getLogger(__name__)

_SLICES_READ = "The model {name!r} reads films; each slice of this volume was read as a film of its own."
_ONLY_IN_THICK_SLICES = (
    "The model {name!r} was not measured on the {structure} in thin slices, as this volume has them: "
    "do not rely on what it finds here."
)


class Segmenter:
    """A loaded model with an image between phrases.

    Args:
        model: Model name, folder or weights file; `choose_model(image)` finds the one for an image.
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
        self._readers = Readers(self.model, self.device)
        self._image: Image | None = None
        self._part: Image | None = None
        self._region: Bounds | None = None
        self._unfamiliar: tuple[str, ...] = ()
        self._is_even = False
        known = self.card.familiarity
        self._familiarity = None if known is None else familiarity.Familiarity(known)
        self._readings: Readings | None = None

    @property
    def card(self) -> ModelCard:
        """The card of the loaded model."""
        return self.model.card

    def card_for(self, phrase: str | Phrase | None) -> ModelCard:
        """The card of what answers a phrase on the image: the model's own, or that of its part for thick slices."""
        return self._reading(parse(phrase) if isinstance(phrase, str) else phrase).card

    def set_image(self, image: Image, region: Region | None = None, *, slices: bool = False) -> None:
        """Take an image; phrases are answered on it until the next one.

        Args:
            image: A film or a volume.
            region: Part of it to look at, as if the image were cut to it; results are zero outside. None for all.
            slices: Let a model of films read a volume slice by slice.

        Raises:
            ImageError: The model does not read this kind of image, the image or its region is larger than what the
                model was made for, the region misses the image, or the image has no finite value.
        """
        _check_image(image)
        bounds = None if region is None else region.bounds(image.geometry)
        part = image if bounds is None else cropped(recognized(image), bounds)
        check_fit(part, self.card, slices=slices)
        part = with_sound_values(part)  # arrays and scenes come here without a reader's checks
        # A region of thick slices is still one, and a region of few slices is no stack.
        readings = self._readers.read(part, slices=slices, thick=thick_axis(image))
        # A part of a film looks like no film.
        unfamiliar = self._unlike_training(readings.own.runner) if bounds is None else ()
        self._image, self._part, self._region, self._readings = image, part, bounds, readings
        self._is_even = bool(part.array.min() == part.array.max())
        self._unfamiliar = unfamiliar

    def use_less_memory(self) -> bool:
        """After memory ran out: read the volume that was set by smaller windows; False where that is not possible."""
        runner = None if self._readings is None else self._readings.own.runner
        return isinstance(runner, VolumeRunner) and runner.use_less_memory()

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
            is_cancelled: Asked between stages, on a volume between windows.

        Returns:
            The result, on the image's own grid.

        Raises:
            PhraseError: The phrase is empty or too long.
            RegionNeededError: The phrase names what the model finds in a smaller region only; it says how large.
            ValueError: The threshold is not in (0, 1).
            Cancelled: `is_cancelled` said so; the segmenter stays usable.
            RuntimeError: There is no image yet.
        """
        _check_threshold(threshold, self.card.decision)
        return self._answered(self._fitting(phrase), threshold, Reporter(progress, is_cancelled))

    def segment_each(
        self,
        phrases: Sequence[str | Phrase | None],
        *,
        threshold: float | None = None,
        progress: Progress | None = None,
        is_cancelled: IsCancelled | None = None,
    ) -> Iterator[Result]:
        """Answer several phrases; the windows of a volume are read once for all that fit the memory together.

        Results come one by one, so that no more than one has to be held. Arguments and errors are those of `segment`,
        but a phrase that needs a region of interest keeps no other one from its answer: all others are answered first.

        Raises:
            RegionNeededError: After the last result, for all phrases that have none.
        """
        _check_threshold(threshold, self.card.decision)
        parsed: list[Phrase | None] = []
        refusals: dict[str, RegionNeededError] = {}
        for phrase in phrases:
            try:
                parsed.append(self._fitting(phrase))
            except RegionNeededError as error:
                refusals[str(error)] = error
        report = Reporter(progress, is_cancelled)
        at_once = self.phrases_at_once
        for first in range(0, len(parsed), at_once):
            group = parsed[first : first + at_once]
            part = report.within(first / len(parsed), (first + len(group)) / len(parsed))
            yield from self._answered_together(group, threshold, part)
        if refusals:
            raise RegionNeededError("; ".join(refusals))

    @property
    def phrases_at_once(self) -> int:
        """How many phrases `read_ahead` may be given; 1 on films and where slices are read, which share nothing."""
        if self._readings is None or self._readings.thick is not None:
            return 1
        runner = self._readings.own.runner
        return runner.phrases_at_once if isinstance(runner, VolumeRunner) else 1

    def read_ahead(
        self,
        phrases: Sequence[str | Phrase | None],
        *,
        progress: Progress | None = None,
        is_cancelled: IsCancelled | None = None,
    ) -> None:
        """Read the windows of a volume once for several phrases; `segment` then answers each without the network.

        For callers who want each answer, or its error, apart; `segment_each` does it by itself. Errors are those of
        `segment`, but its refusals of phrases are left for it.

        Args:
            phrases: At most `phrases_at_once`.
            progress: As for `segment`.
            is_cancelled: As for `segment`.
        """
        parsed = []
        for phrase in phrases:
            with contextlib.suppress(PhraseError, RegionNeededError):
                parsed.append(self._fitting(phrase))
        self._read(parsed, Reporter(progress, is_cancelled))

    def _read(self, phrases: Sequence[Phrase | None], report: Reporter) -> None:
        shared: dict[VolumeRunner, list[str | None]] = {}
        for phrase in phrases:
            runner = self._reading(phrase).runner
            if isinstance(runner, VolumeRunner):
                shared.setdefault(runner, []).append(_words(phrase))
        for runner, words in shared.items():  # one at most: only the model's own network reads whole volumes
            with memory_said(self.device):
                runner.run(words, report)

    def _answered_together(
        self, phrases: Sequence[Phrase | None], threshold: float | None, report: Reporter
    ) -> Iterator[Result]:
        share = 0.8 if len(phrases) > 1 else 0.0
        if share:
            self._read(phrases, report.within(0.0, share))
        for number, phrase in enumerate(phrases):
            start, end = (share + (1 - share) * done / len(phrases) for done in (number, number + 1))
            yield self._answered(phrase, threshold, report.within(start, end))

    def _fitting(self, phrase: str | Phrase | None) -> Phrase | None:
        if self._part is None:
            msg = "call set_image before segment"
            raise RuntimeError(msg)
        parsed = phrase if phrase is None or isinstance(phrase, Phrase) else parse(phrase)
        check_phrase_fit(parsed, self._part, self.card)
        return parsed

    def _reading(self, phrase: Phrase | None) -> Reading:
        if self._readings is None:
            msg = "call set_image first"
            raise RuntimeError(msg)
        return self._readings.by(phrase)

    def _answered(self, phrase: Phrase | None, threshold: float | None, report: Reporter) -> Result:
        started = time.monotonic()
        assert self._image is not None
        reading = self._reading(phrase)
        decision = reading.card.decision
        threshold = decision.threshold if threshold is None else float(threshold)
        report(0.0, "text")
        with memory_said(self.device):
            maps = reading.runner.maps(_words(phrase), report)
        if decision.single_piece and names_one_piece(phrase) and self._image.kind == "volume":
            maps = maps._replace(probability=largest_piece(maps.probability, decision.threshold))
        # Whatever a network makes of an even image, nothing can be seen in it.
        presence = 0.0 if self._is_even else calibrated(maps.evidence, decision)
        probability, pseudo_image, mask = self._on_whole_grid(maps, threshold)
        answer = settled_answer(
            phrase, presence, decision, understood=_understands(phrase, reading), any_voxel=bool(mask.any())
        )
        if answer not in ("found", "unsure"):
            mask = np.zeros_like(mask)
        elsewhere: tuple[str, ...] = ()
        if answer == "not_found" and presence < decision.not_found_below:
            elsewhere = self._elsewhere(phrase, threshold, report.within(0.85, 0.99))
        report(1.0, "done")
        return Result(
            answer=answer, phrase=phrase, model=self.card.name,
            weights_sha256=reading.card.sha256["weights.safetensors"],
            threshold=threshold, presence=presence, warnings=(*self._warnings(phrase, mask), *elsewhere),
            seconds=time.monotonic() - started, device=self.device, mask=mask, probability=probability,
            pseudo_image=pseudo_image, geometry=self._image.geometry, plan=maps.plan, region=self._region,
        )  # fmt: skip

    def _unlike_training(self, runner: Runner) -> tuple[str, ...]:
        if self._familiarity is None or not isinstance(runner, FilmRunner):
            return ()
        found = self._familiarity.unlike(familiarity.describe(runner.film.array))
        return () if found is None else (familiarity.warning(found, self.card.name),)

    def _on_whole_grid(self, maps: Maps, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Probability, pseudo-image and mask on the image's grid, zero outside the region."""
        assert self._image is not None
        probability, pseudo_image = maps.probability, maps.pseudo_image
        if self._region is not None:
            whole = [np.zeros(self._image.geometry.shape, dtype=np.float32) for _ in range(2)]
            for target, part in zip(whole, (probability, pseudo_image), strict=True):
                target[index_of(self._region)] = part
            probability, pseudo_image = whole
        return probability, pseudo_image, (probability >= threshold).view(np.uint8)

    def _warnings(self, phrase: Phrase | None, mask: np.ndarray) -> tuple[str, ...]:
        assert self._part is not None
        warnings = (*self._part.warnings, *(phrase.doubts if phrase else ()))
        if self._part.kind == "volume" and "volume" not in self.card.kinds:
            warnings = (*warnings, _SLICES_READ.format(name=self.card.name))
        structure = self._readings.not_measured(phrase) if self._readings is not None and mask.any() else None
        if structure is not None:
            warnings = (*warnings, _ONLY_IN_THICK_SLICES.format(name=self.card.name, structure=structure))
        if self._part.kind == "volume":  # without a region it may be a crop, which has no midline
            if self._region is None or self._image is None:
                return warnings
            whole = self._image
            other = on_other_half(phrase, mask > 0, self._region, shape=whole.geometry.shape, codes=whole.axis_codes)
            return (*warnings, *other)
        part = mask if self._region is None else mask[index_of(self._region)]
        return (*warnings, *self._unfamiliar, *disagreements(phrase, part, self._part))

    def _elsewhere(self, phrase: Phrase | None, threshold: float, report: Reporter) -> tuple[str, ...]:
        """A sentence when a finding is not where the phrase says but elsewhere on the film; costs one more run."""
        if phrase is None or phrase.finding is None or not phrase.places:
            return ()
        runner = self._reading(phrase).runner
        if not isinstance(runner, FilmRunner) or self._part is None:
            return ()
        with memory_said(self.device):
            maps = runner.maps(phrase.finding, report)
        mask = maps.probability >= threshold
        is_there = calibrated(maps.evidence, self.card.decision) >= self.card.decision.found_above
        sentence = found_elsewhere(phrase, mask, self._part) if is_there and mask.any() else None
        return () if sentence is None else (sentence,)


def _words(phrase: Phrase | None) -> str | None:
    return None if phrase is None else phrase.heard


def _understands(phrase: Phrase | None, reading: Reading) -> bool:
    return phrase is None or phrase.known or reading.tokenizer.knows_a_word(phrase.heard)


def _check_image(image: object) -> None:
    if not isinstance(image, Image):
        msg = (
            f"an image is what read_image(path) or Image.from_array(array) gives, got {type(image).__name__}; "
            "call one of them first"
        )
        raise ImageError(msg)


def _check_threshold(threshold: float | None, decision: DecisionConfig) -> None:
    if threshold is not None and not 0.0 < threshold < 1.0:
        msg = f"threshold must be between 0 and 1, got {threshold}; the model's own is {decision.threshold}"
        raise ValueError(msg)
