"""What a model says on development films: overlap at every threshold, and its evidence for what is there and not."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch

from TextGuidedSegLib.errors import RegionNeededError
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.phrase import parse, swap_sides
from TextGuidedSegLib.weights import DecisionConfig, Model
from training import grammar_volume
from training.cut_truth import is_doubtful
from training.datasets.index import Row
from training.datasets.label_maps import load_truth
from training.datasets.mr_volumes import open_volume
from training.lung_zones import LungZones
from training.metrics import Overlap, overlap
from training.questions import questions
from training.scoring import Scorer

THRESHOLDS = tuple(round(0.2 + 0.05 * step, 2) for step in range(13))
ASKED = ("one_side", "one_level", "part_level", "empty_side", "empty_level", "other_structure")
"""Questions that presence is fitted to; of the last, the easiest, one in three films is asked."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """What the segmenter says on the development films.

    Attributes:
        probability: Overlap of mask and truth at each of `THRESHOLDS`, one tuple a caption.
        pseudo_image: The same of the pseudo-image.
        present: Evidence for presence of each caption.
        parts: Evidence of each phrase for a part of what is there.
        empty: Evidence of each phrase for what is not.
    """

    probability: list[tuple[Overlap, ...]]
    pseudo_image: list[tuple[Overlap, ...]]
    present: list[float]
    parts: list[float]
    empty: list[float]


@dataclasses.dataclass(frozen=True)
class Asking:
    """What is asked of every row besides its caption.

    Attributes:
        swapped: Phrases for parts of what is there and for nothing; False for captions only.
        never_shown: Phrases for what no volume shows; empty for those of `grammar_volume`.
    """

    swapped: bool = True
    never_shown: tuple[str, ...] = ()


EVERYTHING = Asking()


def measure(
    segmenter: Segmenter,
    rows: Sequence[Row],
    lungs: Mapping[str, LungZones] | None = None,
    asking: Asking = EVERYTHING,
) -> Measured:
    """Run every caption and what else is asked.

    Args:
        segmenter: The model.
        rows: Development images.
        lungs: By image name; films that are among them are asked `ASKED`.
        asking: What is asked besides the caption.
    """
    return _joined([_asked(segmenter, asking, *each) for each in _numbered(rows, lungs)])


def measure_by(
    model: Model, rows: Sequence[Row], lungs: Mapping[str, LungZones] | None, asking: Asking, jobs: int
) -> Measured:
    """`measure` by several processes of one thread each: on a CPU two of them outpace one of two threads."""
    if jobs == 1:
        return measure(Segmenter(model), rows, lungs, asking)
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_start_worker, initargs=(model, asking)) as pool:
        return _joined(list(pool.map(_asked_by_worker, _numbered(rows, lungs), chunksize=8)))


_Numbered = tuple[int, Row, LungZones | None]


def _numbered(rows: Sequence[Row], lungs: Mapping[str, LungZones] | None) -> list[_Numbered]:
    return [(number, row, (lungs or {}).get(row.columns["image"])) for number, row in enumerate(rows)]


_worker: dict[str, Callable[[int, Row, LungZones | None], Measured]] = {}


def _start_worker(model: Model, asking: Asking) -> None:
    torch.set_num_threads(1)
    _worker["asked"] = functools.partial(_asked, Segmenter(model), asking)


def _asked_by_worker(numbered: _Numbered) -> Measured:
    return _worker["asked"](*numbered)


def _joined(parts: Sequence[Measured]) -> Measured:
    """One after the other, so that the order does not depend on how many processes there were."""
    fields = [field.name for field in dataclasses.fields(Measured)]
    return Measured(**{name: [value for part in parts for value in getattr(part, name)] for name in fields})


def _asked(segmenter: Segmenter, asking: Asking, number: int, row: Row, known: LungZones | None) -> Measured:
    """The answers on one image; `number` decides what else is asked."""
    measured, decision = Measured([], [], [], [], []), segmenter.card.decision
    image, text = open_volume(row), row.columns["text"]
    segmenter.set_image(image)
    truth = load_truth(row, image)
    if segmenter.card_for(text) is segmenter.card:  # a part for thick slices has limits of its own
        result = segmenter.segment(text)
        measured.probability.append(overlaps(result.probability, truth))
        measured.pseudo_image.append(overlaps(result.pseudo_image, truth))
        measured.present.append(_evidence(result.presence, decision))
    if not asking.swapped:
        return measured
    if known is not None:
        scorer = Scorer(image, truth, known, decision.pseudo_threshold)
        for question in questions(row, ASKED if number % 3 == 0 else ASKED[:-1], 1, 0):
            if scorer.target(question) is not None:
                found = measured.parts if question.expected == "present" else measured.empty
                found.append(_evidence(segmenter.segment(question.phrase).presence, decision))
        return measured
    nothing = _phrase_for_nothing(row, image, number, asking.never_shown)
    if nothing is not None and segmenter.card_for(nothing) is segmenter.card:
        with contextlib.suppress(RegionNeededError):  # refused with advice: the network was not asked
            measured.empty.append(_evidence(segmenter.segment(nothing).presence, decision))
    return measured


def overlaps(probability: np.ndarray, truth: np.ndarray) -> tuple[Overlap, ...]:
    """Overlap of mask and truth at each of `THRESHOLDS`; the maps of whole volumes would fill the memory.

    Args:
        probability: Any shape, in [0, 1].
        truth: Bool, same shape.
    """
    return tuple(overlap(probability >= threshold, truth) for threshold in THRESHOLDS)


def _phrase_for_nothing(row: Row, image: Image, number: int, never_shown: Sequence[str]) -> str | None:
    """A phrase for what is not there for sure, or None; `number` chooses among several."""
    text = row.columns["text"]
    if image.kind == "volume":
        if never_shown:
            return never_shown[number % len(never_shown)]
        return grammar_volume.absent_phrase(frozenset({grammar_volume.caption_key(text)}), random.Random(number))
    return swap_sides(text) if parse(text).side in ("left", "right") and not is_doubtful(row.columns) else None


def _evidence(presence: float, decision: DecisionConfig) -> float:
    """Undo the present calibration of a presence score."""
    clipped = min(max(presence, 1e-12), 1 - 1e-12)
    return (math.log(clipped / (1 - clipped)) - decision.presence_offset) / decision.presence_scale
