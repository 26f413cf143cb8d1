"""What the inference process tells the panel, as records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.memory import MemoryForecast
from TextGuidedSegLib.worker_protocol import Crop, read_array, read_geometry

State = Literal["stopped", "starting", "loading", "idle", "running", "cancelling"]


@dataclass(frozen=True)
class Progress:
    """How far a request is.

    Attributes:
        requestId: Number of the request.
        phraseIndex: Phrase that is being answered.
        phraseCount: Phrases of the request.
        stage: Name of the stage.
        share: Share of the whole request that is done, in [0, 1]; None while the process starts or loads.
        secondsLeft: Estimate from time and share so far; None while there is nothing to estimate from.
    """

    requestId: int
    phraseIndex: int
    phraseCount: int
    stage: str
    share: float | None
    secondsLeft: float | None


@dataclass(frozen=True)
class Failure:
    """Why a request, or one of its phrases, has no result.

    Attributes:
        requestId: Number of the request.
        phraseIndex: The phrase, or None if the whole request ended.
        kind: Class of the error: one of the library's ("ImageError", "PhraseError", "RegionNeededError",
            "WeightsError", "DeviceError", "Cancelled"), "ImportError" (packages are missing), "OSError" (disk),
            "ProcessError" (the process died, hung or did not start) or "InternalError".
        sentence: What was wrong and what to do, for people.
    """

    requestId: int
    phraseIndex: int | None
    kind: str
    sentence: str


@dataclass(frozen=True)
class LoadedModel:
    """What runs in the process, and what the current request will need.

    Attributes:
        model: Name of the model.
        device: "cpu" or "cuda".
        threads: Threads of the CPU.
        hostMemory: Main memory.
        gpuMemory: Memory of the GPU; None on the CPU.
    """

    model: str
    device: str
    threads: int
    hostMemory: MemoryForecast
    gpuMemory: MemoryForecast | None


@dataclass(frozen=True, eq=False)
class PhraseResult:
    """The answer to one phrase; the mask is where the probability reaches a threshold.

    Attributes:
        requestId: Number of the request.
        phraseIndex: Which of its phrases.
        phrase: What was typed.
        answer: "found", "not_found", "unsure", "not_understood", "contradictory" or "negated"; only the first and the
            third have a mask.
        model: Name of the model.
        device: Where it ran: "cpu" or "cuda".
        presence: How sure the model is that what the phrase names is there, in [0, 1].
        threshold: Probability from which a voxel belongs to the mask.
        warnings: Sentences for people.
        seconds: Time of the inference itself.
        tags: Where the result came from, for `provenanceFromTags`.
        geometry: Grid of the image.
        probability: float32 in [0, 1]; outside its box below the protocol's `FLOOR`, under which no threshold may lie.
        pseudoImage: float32 in [0, 1], where the words point; outside its box below `FLOOR`.
    """

    requestId: int
    phraseIndex: int
    phrase: str
    answer: str
    model: str
    device: str
    presence: float
    threshold: float
    warnings: tuple[str, ...]
    seconds: float
    tags: Mapping[str, str]
    geometry: Geometry
    probability: Crop
    pseudoImage: Crop


def _ignore(_news: Any) -> None:
    """Whoever does not ask is not told."""


@dataclass(frozen=True)
class Callbacks:
    """Whom to tell; all are called by the client's `poll` alone, in the thread that polls.

    Attributes:
        onProgress: Called with `Progress`.
        onResult: Called with a `PhraseResult` as soon as a phrase is answered.
        onError: Called with a `Failure`; for a cancelled request too (kind "Cancelled").
        onFinished: Called with the request's number once, whatever became of it; nothing about it follows.
        onLog: Called with one line of text.
        onState: Called with the new `State`.
    """

    onProgress: Callable[[Progress], None] = _ignore
    onResult: Callable[[PhraseResult], None] = _ignore
    onError: Callable[[Failure], None] = _ignore
    onFinished: Callable[[int], None] = _ignore
    onLog: Callable[[str], None] = _ignore
    onState: Callable[[State], None] = _ignore


def readResult(folder: Path, message: Mapping[str, Any]) -> PhraseResult:
    """Read a result whose arrays lie in the private folder, and remove them there.

    Raises:
        OSError: A file is missing.
        ValueError: A file is damaged.
        KeyError: The message lacks a part.
    """
    return PhraseResult(
        requestId=message["id"],
        phraseIndex=message["index"],
        phrase=message["phrase"],
        answer=message["answer"],
        model=message["model"],
        device=message["device"],
        presence=message["presence"],
        threshold=message["threshold"],
        warnings=tuple(message["warnings"]),
        seconds=message["seconds"],
        tags=message["tags"],
        geometry=read_geometry(message["geometry"]),
        probability=_inOrderOfDisplay(read_array(folder, message["probability"])),
        pseudoImage=_inOrderOfDisplay(read_array(folder, message["pseudo_image"])),
    )


def _inOrderOfDisplay(crop: Crop) -> Crop:
    # Here in a thread; turning a large volume in the main thread would hold the application up.
    return replace(crop, array=np.asfortranarray(crop.array))


def readLoadedModel(message: Mapping[str, Any]) -> LoadedModel:
    """Read the process's report about a loaded model.

    Raises:
        KeyError: The message lacks a part.
    """
    forecasts = {where: entry and MemoryForecast(**entry) for where, entry in message["memory"].items()}
    return LoadedModel(message["model"], message["device"], message["threads"], forecasts["host"], forecasts["gpu"])


def secondsLeft(elapsedS: float, share: float) -> float | None:
    """Remaining time if the rest goes as fast as what is done.

    Args:
        elapsedS: Time since the share was 0.
        share: Done, in [0, 1].

    Returns:
        None before a twentieth is done, when the estimate would be a guess.
    """
    return None if share < 0.05 else elapsedS * (1.0 - share) / share
