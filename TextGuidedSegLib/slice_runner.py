"""A model of films on a stack of slices: each slice is a film of its own. An explicit choice, never a fallback."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from TextGuidedSegLib.film_runner import FilmRunner, NetworkMaps
from TextGuidedSegLib.geometry import FILM_CODES, VOLUME_CODES, AxisCodes, coded_geometry, reorientation
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.preprocessing import PreparedFilm
from TextGuidedSegLib.running import Maps, Reporter, device_of
from TextGuidedSegLib.text_encoder import PhraseTokenizer
from TextGuidedSegLib.weights import ModelCard
from TextGuidedSegLib.windows import WindowPlan

# How slices are looked at: columns, rows, and the axis across them, for axial, coronal and sagittal ones.
_DISPLAYS: dict[str, AxisCodes] = {"S": ("L", "P", "S"), "A": ("L", "I", "A"), "R": ("P", "I", "R")}


# Slices this many times as far apart as the larger side of their pixels are thick: nnU-Net, too, leaves its volumes
# for slices there.
_THICK = 3.0
# A picture has this many times as many pixels along its shorter side as a stack has slices: such a stack is one of
# thick slices also in a file that lost their distance, because no organ is seen in so thin a slab.
_FEW = 5
# Maps of earlier phrases that are kept for a new threshold.
_KEPT_BYTES = 256 << 20


def thick_axis(image: Image) -> int | None:
    """Array axis across the thick slices of a volume: by their distance, or because there are so few of them.

    Returns:
        0, 1 or 2; None for a film, and for a volume of thin slices.
    """
    if image.kind != "volume":
        return None
    spacing, shape = image.geometry.spacing_mm, image.geometry.shape
    _, pixel, slice_mm = sorted(spacing.tolist())
    if slice_mm >= _THICK * pixel:
        return int(spacing.argmax())
    slices, pixels, _ = sorted(shape)
    return shape.index(slices) if _FEW * slices <= pixels else None


class _Slice(Image):
    """A slice of a volume, or of a region of one, as a film; of any size."""

    def _check_film(self) -> None:
        """A film by itself needs some pixels; what is a part of a whole may be small."""


class Slices:
    """A volume as a stack of films.

    Slices lie across the axis with the largest voxels, as they were scanned, or with far fewer of them than the others;
    equal axes make axial slices. They are shown as a radiologist sees them: the patient's left on the right, front or
    head up.

    Args:
        image: The volume.
        neighbors: A slice is shown with the one before and the one after; beyond an end of the stack it is itself.
        thick: Axis across the slices, of the scan that the volume is a region of; None to find it.

    Attributes:
        mirrors: The films' first axis runs from one side of the patient to the other.
    """

    def __init__(self, image: Image, *, neighbors: bool = False, thick: int | None = None) -> None:
        across = _scanned_across(image, thick)
        self._step = reorientation(image.axis_codes, _DISPLAYS[across])
        self._source = image.source
        self._array = self.view(image.array)
        self._spacing = self._step.apply_to_geometry(image.geometry).spacing_mm.tolist()
        self._neighbors = neighbors
        self.mirrors = across != "R"

    def __len__(self) -> int:
        return int(self._array.shape[2])

    def view(self, array: np.ndarray) -> np.ndarray:
        """An array on the image's own grid as a stack `(I, J, number of slices)`; writing to it writes there."""
        return self._step.view(array)

    def film(self, number: int) -> Image:
        """One slice, `(I, J, 1)`; with neighbors `(I, J, 1, 3)`, itself in the middle."""
        array = self._array[:, :, number : number + 1]
        if self._neighbors:
            reach = np.clip([number - 1, number, number + 1], 0, len(self) - 1)
            array = self._array[:, :, reach][:, :, None]
        array = np.ascontiguousarray(array)
        geometry = coded_geometry((array.shape[0], array.shape[1], 1), FILM_CODES, self._spacing)
        return _Slice(array, geometry, FILM_CODES, "film", source=self._source)


class _Kept(NamedTuple):
    """What is kept of one phrase: any slice as it was prepared, for the way back, and the network's maps of all."""

    film: PreparedFilm
    slices: list[NetworkMaps]

    @property
    def size_bytes(self) -> int:
        return sum(maps.probability.nbytes + maps.pseudo_image.nbytes for maps in self.slices)


class SliceRunner:
    """Runs a network of films on the slices of a volume.

    Args:
        network: From `weights.load_network`.
        tokenizer: Likewise.
        card: Card of the model.
        image: The volume.
        thick: See `Slices`.
    """

    def __init__(
        self,
        network: FusedNetwork,
        tokenizer: PhraseTokenizer,
        *,
        card: ModelCard,
        image: Image,
        thick: int | None = None,
    ) -> None:
        self._network, self._tokenizer, self._card = network, tokenizer, card
        self._image = image
        self._slices = Slices(image, neighbors=card.preprocessing.neighbor_slices, thick=thick)
        self._kept: dict[str | None, _Kept] = {}

    def maps(self, words: str | None, report: Reporter) -> Maps:
        """Answer one phrase; the same words do not run the network again while they are kept.

        The evidence is that of the slice with the most.

        Args:
            words: Normalized phrase; None for no phrase.
            report: Told of every slice.

        Raises:
            Cancelled: The caller said so.
        """
        if words not in self._kept:
            self._keep(words, self._run(words, report.within(0.0, 0.9)))
        kept = self._kept[words]
        probability, pseudo_image = (np.zeros(self._image.geometry.shape, dtype=np.float32) for _ in range(2))
        views = [self._slices.view(one) for one in (probability, pseudo_image)]
        for number, maps in enumerate(kept.slices):
            report(0.9 + 0.1 * number / len(kept.slices), "original grid")
            for view, one in zip(views, (maps.probability, maps.pseudo_image), strict=True):
                view[:, :, number] = kept.film.undo(one)[:, :, 0]
        return Maps(max(maps.evidence for maps in kept.slices), probability, pseudo_image, self._plan(kept))

    def _run(self, words: str | None, report: Reporter) -> _Kept:
        count = len(self._slices)
        slices = []
        for number in range(count):
            film = self._slices.film(number)
            runner = FilmRunner(self._network, self._tokenizer, card=self._card, image=film)
            part = report.within(number / count, (number + 1) / count)
            part(0.0, f"slice {number + 1} of {count}")
            slices.append(runner.network_maps(words, part, mirrors=self._slices.mirrors))
        return _Kept(runner.film, slices)

    def _plan(self, kept: _Kept) -> WindowPlan:
        """Every slice is a window of its own."""
        first, second = kept.slices[0].probability.shape[-2:]
        device = device_of(self._network).type
        return WindowPlan((first, second, len(kept.slices)), (first, second, 1), 1, device, axis=2)

    def _keep(self, words: str | None, kept: _Kept) -> None:
        for earlier in list(self._kept):  # oldest first
            if sum(one.size_bytes for one in (*self._kept.values(), kept)) > _KEPT_BYTES:
                del self._kept[earlier]
        self._kept[words] = kept


def _scanned_across(image: Image, thick: int | None) -> str:
    """Positive code of the axis across the slices; of equal axes the one that runs to the head."""
    axis = thick_axis(image) if thick is None else thick
    step = reorientation(image.axis_codes, VOLUME_CODES)
    if axis is not None:
        return VOLUME_CODES[step.permutation.index(axis)]
    spacing = np.round(step.apply_to_geometry(image.geometry).spacing_mm, 4)
    return VOLUME_CODES[2 - int(spacing[::-1].argmax())]
