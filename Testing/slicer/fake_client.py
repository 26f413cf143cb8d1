"""An inference client without a process: it answers what the vocabulary alone can answer, when it is polled.

Where a phrase names a side, that half of the film is the result. Tests decide when things happen: `poll` does one step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from TextGuidedSegLib.geometry import FILM_CODES, reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.phrase import Phrase, parse
from TextGuidedSegLib.worker_protocol import tight_crop, uncropped

PROBABILITY = 0.8
"""In the middle of what a phrase marks; falls to 0.2 at the border."""


class FakeClient:
    """Stands for `WarmClient`.

    Args:
        presence: What the model is said to be sure of.
        warnings: Sentences of every result.

    Attributes:
        marked: `marked(phrase, image)` is the probability, `(I, J, K)`; by default a spot in the half that is named.
    """

    def __init__(self, *, presence: float = 0.9, warnings: Sequence[str] = ()) -> None:
        self.onLog: Callable[[str], None] | None = None
        self.presence, self.warnings = presence, tuple(warnings)
        self.marked: Callable[[Phrase, Image], np.ndarray] = _marked
        self.asked: list[dict[str, Any]] = []
        self.released = self.stopped = 0
        self.state, self.loadedModel, self.recentLog = "stopped", None, ()
        self.isTelling = False
        self._steps: list[Callable[[], None]] = []
        self._callbacks: Any = None

    def segment(self, image: Image, phrases: Sequence[str], **options: Any) -> int:
        """Plan the steps of a run; refuses what the real one refuses."""
        from TextGuidedSegPanel.inferenceRequest import segmentCommand

        segmentCommand(phrases, options["signature"], options["threshold"])
        number = len(self.asked) + 1
        self._callbacks = callbacks = options["callbacks"]
        self.asked.append({"image": image, "phrases": tuple(phrases), **options})
        self._steps.append(lambda: callbacks.onProgress(self._progress(number, 0, len(phrases), None)))
        for index, phrase in enumerate(phrases):
            share = (index + 0.5) / len(phrases)
            self._steps.append(
                lambda index=index, share=share: callbacks.onProgress(
                    self._progress(number, index, len(phrases), share)
                )
            )
            self._steps.append(
                lambda index=index, phrase=phrase: callbacks.onResult(
                    self._result(number, index, phrase, image, options["threshold"])
                )
            )
        self._steps.append(lambda: callbacks.onFinished(number))
        return number

    def poll(self) -> None:
        """Do the next step."""
        if self._steps and not self.isTelling:
            self.isTelling = True
            try:
                self._steps.pop(0)()
            finally:
                self.isTelling = False

    def refuse(self, phrase: str, kind: str, sentence: str) -> None:
        """Of the run that was asked for last, answer one phrase with a failure."""
        from TextGuidedSegPanel.inferenceRecords import Failure

        callbacks, number = self._callbacks, len(self.asked)
        index = self.asked[-1]["phrases"].index(phrase)
        # A step of progress begins the run, each phrase has one of progress and one of its result.
        self._steps[2 + 2 * index] = lambda: callbacks.onError(Failure(number, index, kind, sentence))

    def run(self) -> None:
        """Do all steps."""
        while self._steps:
            self.poll()

    def cancel(self) -> None:
        """The rest of the run is a cancellation."""
        from TextGuidedSegPanel.inferenceRecords import Failure

        callbacks, number = self._callbacks, len(self.asked)
        self._steps = [
            lambda: callbacks.onError(Failure(number, None, "Cancelled", "cancelled")),
            lambda: callbacks.onFinished(number),
        ]

    def fail(self, kind: str, sentence: str) -> None:
        """The rest of the run is a failure."""
        from TextGuidedSegPanel.inferenceRecords import Failure

        callbacks, number = self._callbacks, len(self.asked)
        if self.onLog is not None:
            self.onLog(f"{kind}: {sentence}")
        callbacks.onError(Failure(number, None, kind, sentence))
        callbacks.onFinished(number)
        self._steps = []

    def release(self) -> None:
        """Count."""
        self.released += 1

    def stop(self) -> None:
        """Count."""
        self.stopped += 1

    def _progress(self, number: int, index: int, count: int, share: float | None) -> Any:
        from TextGuidedSegPanel.inferenceRecords import Progress

        left = None if share is None else 2.6 * (1 - share)
        return Progress(number, index, count, "network" if share is not None else "model", share, left)

    def _result(self, number: int, index: int, phrase: str, image: Image, threshold: float | None) -> Any:
        from TextGuidedSegPanel.inferenceRecords import PhraseResult

        parsed = parse(phrase)
        answer = self._answer(parsed)
        threshold = threshold or 0.5
        probability = tight_crop(self.marked(parsed, image), 0.005)
        tags = {
            "Phrase": phrase, "NormalizedPhrase": parsed.normalized, "Answer": answer,
            "Presence": f"{self.presence:.4f}", "Threshold": f"{threshold:g}", "Model": "chest-xray",
            "WeightsSha256": "0" * 64, "Version": "0", "Device": "cpu", "Date": f"2026-01-01T00:00:{index:02}+00:00",
        }  # fmt: skip
        return PhraseResult(
            requestId=number, phraseIndex=index, answer=answer, phrase=phrase, model="chest-xray",
            device="cpu", presence=self.presence, threshold=threshold, warnings=(*image.warnings, *self.warnings),
            seconds=0.1, tags={f"TextGuidedSeg.{key}": value for key, value in tags.items()},
            geometry=image.geometry, probability=probability,
            pseudoImage=uncropped(self.marked(parsed, image)),
        )  # fmt: skip

    def _answer(self, phrase: Phrase) -> str:
        if phrase.contradictory:
            return "contradictory"
        if phrase.negated:
            return "negated"
        if not phrase.known:
            return "not_understood"
        if self.presence < 0.4:
            return "not_found"
        return "found" if self.presence >= 0.6 else "unsure"


def _marked(phrase: Phrase, image: Image) -> np.ndarray:
    """A soft spot `(I, J, K)` in the half of the film that the phrase names, in the image's own axes."""
    _, turn = image.canonical()
    canonical = turn.apply(np.zeros(image.geometry.shape, np.float32))
    columns, rows = canonical.shape[:2]
    center = {"left": 0.72, "right": 0.28}.get(phrase.side, 0.5)
    levels = {level for place in phrase.places for level in place.levels}
    down = 0.65 if "lower" in levels else 0.3 if "upper" in levels else 0.5
    i, j = np.mgrid[:columns, :rows]
    distance = np.hypot((i / columns - center) / 0.13, (j / rows - down) / 0.16)
    canonical[:, :, 0] = np.where(distance < 1, PROBABILITY - 0.6 * distance, 0)
    return reorientation(FILM_CODES, image.axis_codes).apply(canonical)
