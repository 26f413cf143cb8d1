"""A loaded network between images, and what it makes of one image: films, volumes, or volumes slice by slice."""

from __future__ import annotations

from typing import NamedTuple

from TextGuidedSegLib.film_runner import FilmRunner
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.phrase import Phrase
from TextGuidedSegLib.slice_runner import SliceRunner
from TextGuidedSegLib.text_encoder import PhraseTokenizer
from TextGuidedSegLib.volume_runner import VolumeRunner
from TextGuidedSegLib.weights import Model, ModelCard, load_network

Runner = FilmRunner | SliceRunner | VolumeRunner


class Reading(NamedTuple):
    """A network with an image.

    Attributes:
        card: Of the network.
        tokenizer: Of the network.
        runner: Answers phrases on the image.
    """

    card: ModelCard
    tokenizer: PhraseTokenizer
    runner: Runner


class Reader(NamedTuple):
    """A loaded network."""

    card: ModelCard
    network: FusedNetwork
    tokenizer: PhraseTokenizer

    @classmethod
    def load(cls, model: Model, device: str) -> Reader:
        """Verify and load, see `weights.load_network`."""
        return cls(model.card, *load_network(model, device))

    def read(self, image: Image, *, slices: bool = False, thick: int | None = None) -> Reading:
        """Take an image.

        Args:
            image: The image, or its region of interest.
            slices: Read a volume slice by slice; a network of films that is made for volumes always does.
            thick: Axis across thick slices; None where it is to be told from the image.

        Raises:
            ImageError: The image holds values that the network cannot read.
        """
        if slices or (image.kind == "volume" and self.network.config.spatial_dims == 2):
            runner: Runner = SliceRunner(self.network, self.tokenizer, card=self.card, image=image, thick=thick)
        else:
            kind = VolumeRunner if image.kind == "volume" else FilmRunner
            runner = kind(self.network, self.tokenizer, card=self.card, image=image)
        return Reading(self.card, self.tokenizer, runner)


class Readers:
    """All networks of a model: its own, and that of its part for thick slices if it has one.

    Args:
        model: The model.
        device: `cpu` or `cuda`.

    Raises:
        WeightsError: A file is missing or damaged.
    """

    def __init__(self, model: Model, device: str) -> None:
        self._own = Reader.load(model, device)
        part = model.for_thick_slices
        self._thick = None if part is None else Reader.load(part, device)
        thick = model.card.thick_slices
        self._left_to_volumes = frozenset(() if thick is None else thick.left_to_volumes)

    def read(self, image: Image, *, slices: bool = False, thick: int | None = None) -> Readings:
        """Take an image.

        Args:
            image: The image, or its region of interest.
            slices: See `Reader.read`.
            thick: Axis across the thick slices of the whole image, from `slice_runner.thick_axis`; None if it has none.
        """
        part = None
        if self._thick is not None and not slices and thick is not None:
            part = self._thick.read(image, thick=thick)
        lacks_part = self._thick is not None and part is None and not slices
        return Readings(self._own.read(image, slices=slices, thick=thick), part, self._left_to_volumes, lacks_part)


class Readings(NamedTuple):
    """All networks of a model with one image.

    Attributes:
        own: The model's own network.
        thick: The part for thick slices, where the image has such slices.
        left_to_volumes: Structures for which the model's own network answers all the same.
        lacks_part: The model has such a part, and the image no such slices.
    """

    own: Reading
    thick: Reading | None
    left_to_volumes: frozenset[str]
    lacks_part: bool = False

    def by(self, phrase: Phrase | None) -> Reading:
        """Who answers a phrase."""
        named = set() if phrase is None else {place.structure for place in phrase.places}
        return self.own if self.thick is None or named & self.left_to_volumes else self.thick

    def not_measured(self, phrase: Phrase | None) -> str | None:
        """A structure of the phrase that is left to the part for thick slices, on an image without such slices."""
        if phrase is None or not self.lacks_part:
            return None
        named = [place.structure for place in phrase.places if place.structure]
        return next((structure for structure in named if structure not in self.left_to_volumes), None)
