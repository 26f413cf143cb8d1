"""One request on its way: what was asked, and what is to be told about it when its client is polled."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from TextGuidedSegLib.image import Image
from TextGuidedSegLib.worker_protocol import FLOOR

from .inferenceRecords import Callbacks, Failure, PhraseResult, Progress, secondsLeft

News = deque[Callable[[], None]]


@dataclass(eq=False)
class Request:
    """A request and its state.

    Attributes:
        requestId: Its number.
        message: The command for the process, without voxels.
        image: The image; None for a request that only loads.
        callbacks: Whom to tell.
        news: Where calls of the callbacks are put until the client delivers them.
        sentToWarm: It went to a process that had been there before.
        answered: The process has said something about it.
        startedAt: When the first share of it was told, in monotonic seconds.
    """

    requestId: int
    message: Mapping[str, Any]
    image: Image | None
    callbacks: Callbacks
    news: News
    sentToWarm: bool = False
    answered: bool = False
    startedAt: float | None = None

    def tellProgress(self, stage: str, share: float | None = None, phraseIndex: int = 0) -> None:
        """Tell how far it is; the remaining time is estimated from the shares told so far."""
        now = time.monotonic()
        if share is not None and self.startedAt is None:
            self.startedAt = now
        left = None if share is None else secondsLeft(now - self.startedAt, share)
        count = len(self.message.get("phrases", ()))
        progress = Progress(self.requestId, phraseIndex, count, stage, share, left)
        self.news.append(partial(self.callbacks.onProgress, progress))

    def tellResult(self, result: PhraseResult) -> None:
        """Tell the answer to one phrase."""
        self.news.append(partial(self.callbacks.onResult, result))

    def tellFailure(self, kind: str, sentence: str, phraseIndex: int | None = None) -> None:
        """Tell why it, or one phrase of it, has no result."""
        self.news.append(partial(self.callbacks.onError, Failure(self.requestId, phraseIndex, kind, sentence)))

    def tellCancelled(self) -> None:
        """Tell that it was cancelled, and that nothing follows."""
        self.tellFailure("Cancelled", "Cancelled.")
        self.tellFinished()

    def tellFinished(self) -> None:
        """Tell that nothing follows."""
        self.news.append(partial(self.callbacks.onFinished, self.requestId))


def segmentCommand(phrases: Sequence[str], signature: str | None, threshold: float | None) -> dict[str, Any]:
    """The command for phrases on an image, without the image's voxels, the model and the device.

    Args:
        phrases: One or more.
        signature: Name of the image, or None.
        threshold: In [`FLOOR`, 1), or None for the model's own.

    Raises:
        ValueError: There is no phrase, one is no text, or the threshold is out of range.
    """
    if isinstance(phrases, str) or not phrases:
        msg = f"phrases must be a list with at least one phrase, got {phrases!r}"
        raise ValueError(msg)
    if other := [phrase for phrase in phrases if not isinstance(phrase, str)]:
        msg = f"each phrase must be text, got {other[0]!r}"
        raise ValueError(msg)
    if threshold is not None and not FLOOR <= threshold < 1.0:
        msg = f"threshold must be at least {FLOOR} and below 1, got {threshold}"
        raise ValueError(msg)
    # Plain values: a NumPy number or a path cannot be sent.
    value = None if threshold is None else float(threshold)
    return {"cmd": "segment", "image": {"key": signature}, "phrases": list(phrases), "threshold": value}
