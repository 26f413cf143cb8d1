"""What the sets of pictures share: a film with its findings, where each is for sure, and samples of them."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from TextGuidedSegLib.preprocessing import PreprocessingConfig
from training import grammar_picture
from training.conditions import derangement
from training.datasets.films import load_pair
from training.datasets.index import Row
from training.datasets.sample import Sample
from training.grammar_picture import COLUMNS, PLACES, ROWS, Description, Picture

# Share of phrase kinds; what is left goes to the captions.
_OTHER_STRUCTURE, _NO_PHRASE, _ONE_PLACE, _PARAPHRASE = 0.05, 0.08, 0.12, 0.2
# How often the full caption stands among the six prompts: figures are measured with it.
_CAPTION_COPIES = 4
_COUNT_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
# Shares of the image below which the captions say small and medium; they do so without exception.
_SMALL, _MEDIUM = 0.08, 0.30
# Smaller parts of a mask are crumbs of the drawing (13 pixels of 256 x 256), not findings.
_LEAST_SHARE = 2e-4


@dataclasses.dataclass(frozen=True, eq=False)
class PictureFilm:
    """A film, its findings, and what may be said about them.

    Attributes:
        picture: Which kind of picture.
        array: `(I, J)` or `(C, I, J)` float16, normalized; I from the left to the right of the picture, J downwards.
        mask: `(I, J)` uint8, all findings; empty for a normal film.
        findings: Mask of each.
        prompts: Captions that are true of the mask as a whole, lower case.
        known: What the grammar may say; None for captions only.
        named: For each place that is certain, the numbers of the findings there; none where the place is free.
    """

    picture: Picture
    array: np.ndarray
    mask: np.ndarray
    findings: tuple[np.ndarray, ...]
    prompts: tuple[str, ...]
    known: Description | None
    named: dict[str, tuple[int, ...]]

    def draw(self, rng: random.Random) -> Sample:
        """The film with a caption, a paraphrase, a phrase for one place, for what no such film shows, or with none."""
        draw = rng.random()
        if draw < _OTHER_STRUCTURE:
            return self.denied(rng.choice(grammar_picture.ABSENT[self.picture]))
        if draw < _OTHER_STRUCTURE + _NO_PHRASE:
            return self.unworded()
        if self.named and rng.random() < _ONE_PLACE:
            return self._one_place(rng)
        return self._sample(self.phrase(rng), self.mask)

    def phrase(self, rng: random.Random) -> str:
        """A caption or a paraphrase for all findings."""
        if self.known is not None and rng.random() < _PARAPHRASE:
            return grammar_picture.finding_phrase(self.picture, self.known, rng)
        return rng.choice(self.prompts)

    def unworded(self) -> Sample:
        """The film without a phrase."""
        return Sample(self.array, self.mask, "", absent=True, pointed=False, picture=True)

    def denied(self, phrase: str) -> Sample:
        """The film with a phrase for what is not there."""
        return Sample(self.array, np.zeros_like(self.mask), phrase, pointed=False, picture=True)

    def _one_place(self, rng: random.Random) -> Sample:
        """A phrase for one certain place, as often a free one as one with findings."""
        groups = [[place for place, there in self.named.items() if bool(there) == taken] for taken in (False, True)]
        place = rng.choice(rng.choice([group for group in groups if group]))
        phrase = grammar_picture.placed(self.picture, grammar_picture.noun(self.picture, rng), place, rng)
        parts = [self.findings[number] for number in self.named[place]]
        return self._sample(phrase, np.maximum.reduce(parts)) if parts else self.denied(phrase)

    def _sample(self, phrase: str, mask: np.ndarray) -> Sample:
        return Sample(self.array, mask, phrase, picture=True)


def picture_film(
    row: Row, config: PreprocessingConfig, picture: Picture, *, known: Description, without_count: Sequence[str]
) -> PictureFilm:
    """Read one row.

    A caption whose count disagrees with the mask names places of findings that nobody drew: of such a film, and of
    those with a `flag`, only prompts without count and place are used, and nothing is said about its places.

    Args:
        row: Of an index with the columns `text`, `prompts` (a JSON object with p1 to p6, each a phrase or a list of
            them) and `loc_mask`.
        config: Preprocessing.
        picture: Which kind of picture.
        known: What the row says about color, shape and kind.
        without_count: Prompts that name neither count nor place.

    Raises:
        ValueError: The prompts are not JSON.
    """
    array, (mask,) = load_pair(row.image, [row.mask], config)
    findings = split_findings(mask)
    caption = row.columns["text"].lower()
    count = _COUNT_WORDS.get(caption.split()[0])
    ladder = _ladder(row)
    if row.columns.get("flag") or count != len(findings):
        prompts = [prompt for step in without_count for prompt in ladder[step]]
        return PictureFilm(picture, array, mask, findings, tuple(prompts), known, {})
    prompts = [prompt for step in ladder.values() for prompt in step] + [caption] * _CAPTION_COPIES
    if len(findings) == 1:
        places = {row.columns["loc_mask"], caption_place(caption)} - {""}
        known = dataclasses.replace(known, size=size_word(mask), places=tuple(sorted(places)))
    known = dataclasses.replace(known, count=count)
    return PictureFilm(picture, array, mask, findings, tuple(prompts), known, certain_places(findings))


def with_words_of_others(films: Sequence[PictureFilm], rows: Sequence[Row], seed: int) -> list[PictureFilm]:
    """The same films, each with another one's captions and with what follows from those.

    Normal films give and take words as all others do, so that words do not tell whether there is a finding either. No
    place is named for sure: another film's words tell none of this one's findings apart.

    Args:
        films: One film a row.
        rows: The rows, with the column `text`.
        seed: Fixes who gets whose words.

    Raises:
        ValueError: All films have the same caption.
    """
    givers = [films[number] for number in derangement([row.columns["text"] for row in rows], seed)]
    return [
        dataclasses.replace(film, prompts=giver.prompts, known=giver.known if giver.mask.any() else None, named={})
        for film, giver in zip(films, givers, strict=True)
    ]


def _ladder(row: Row) -> dict[str, list[str]]:
    """The prompts p1 to p6 in lower case, each as a list of wordings."""
    try:
        ladder = json.loads(row.columns["prompts"])
    except ValueError as error:
        msg = f"the prompts of {row.image.name} are not JSON: {row.columns['prompts'][:80]!r}"
        raise ValueError(msg) from error
    wordings = {step: [said] if isinstance(said, str) else said for step, said in ladder.items()}
    return {step: [wording.lower() for wording in several] for step, several in wordings.items()}


def caption_place(caption: str) -> str:
    """The one place that a caption names, such as `top left`; empty if it names none or several."""
    _, _, said = caption.lower().rpartition("located in " if "located in " in caption.lower() else " at the ")
    place = said.partition(" of the image")[0].partition(" in the ")[0]
    return place if place in ("center", *PLACES) else ""


def split_findings(mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """Connected parts of a mask `(I, J)`, uint8 in {0, 1}, without crumbs."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    parts = [(labels == number).astype(np.uint8) for number in range(1, count + 1)]
    return tuple(part for part in parts if part.mean() >= _LEAST_SHARE)


def size_word(mask: np.ndarray) -> str:
    """`small`, `medium` or `large`, as the captions say."""
    share = float(mask.mean())
    return "small" if share < _SMALL else "medium" if share < _MEDIUM else "large"


def certain_places(findings: Sequence[np.ndarray]) -> dict[str, tuple[int, ...]]:
    """Which findings lie at each place, for the places where no finding is in doubt.

    A finding lies on a side if its center lies in that outer third, and does not if no pixel of it lies in that half:
    the captions draw the line between the two somewhere in between, and not the same on the left and on the right.

    Args:
        findings: Masks `(I, J)`, I from the left to the right of the picture, J downwards.

    Returns:
        Place to the numbers of the findings there, `()` where there is none for sure.
    """
    lies = [_lies_on(finding) for finding in findings]
    named: dict[str, tuple[int, ...]] = {}
    for place in PLACES:
        there = [_all_of([sides[word] for word in place.split()]) for sides in lies]
        if None not in there:
            named[place] = tuple(number for number, is_there in enumerate(there) if is_there)
    return named


def _all_of(answers: Sequence[bool | None]) -> bool | None:
    """Whether all are true, None if that is in doubt."""
    if False in answers:
        return False
    return None if None in answers else True


def _lies_on(finding: np.ndarray) -> dict[str, bool | None]:
    """For each of the four sides whether a finding lies there, None in doubt."""
    lies: dict[str, bool | None] = {}
    for axis, (low, _, high) in enumerate((COLUMNS, ROWS)):
        used = np.flatnonzero(finding.any(axis=1 - axis))
        size = finding.shape[axis]
        weights = finding.sum(axis=1 - axis)
        center = float(((np.arange(size) + 0.5) * weights).sum() / weights.sum()) / size
        lies[low] = True if center < 1 / 3 else False if used[0] >= size / 2 else None
        lies[high] = True if center > 2 / 3 else False if used[-1] < size / 2 else None
    return lies
