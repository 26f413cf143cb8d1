"""What a run will need, said before it, and where the last one ran, said after it."""

from __future__ import annotations

from slicer.i18n import tr as _

from TextGuidedSegLib.memory import MemoryForecast, host_forecast
from TextGuidedSegLib.weights import ModelCard

from .inferenceRecords import LoadedModel
from .regionOfInterest import RunRegion
from .results import PhraseRecord

# On any theme, light or dark; what is said in passing steps back behind the answer.
_CARE_COLOR, _ASIDE_COLOR = "#c98a00", "#808080"
_DEVICES = {"cpu": _("CPU"), "cuda": _("graphics card")}


class MemoryControls:
    """One line below the button.

    Args:
        ui: Widgets by name.
    """

    def __init__(self, ui) -> None:
        self._ui = ui
        self._lastRun = ""
        ui.memoryLabel.visible = False

    def note(self, record: PhraseRecord) -> None:
        """A phrase was answered."""
        device = _DEVICES.get(record.device, record.device)
        sentence = _("Ran on the {device} in {seconds:.1f} s.").format(device=device, seconds=record.seconds)
        self._lastRun = _aside(sentence)

    def forget(self) -> None:
        """The scene closes."""
        self._lastRun = ""

    def update(self, volumeNode, region: RunRegion | None, card: ModelCard | None, loaded: LoadedModel | None) -> None:
        """Say it anew.

        Args:
            volumeNode: What would be segmented; None says nothing.
            region: What the run is limited to; None for the whole image.
            card: Card of the chosen model; None for none.
            loaded: What runs in the inference process; None for nothing.
        """
        sentences = [self._lastRun] if self._lastRun else []
        if volumeNode is not None and volumeNode.GetImageData() is not None and card is not None:
            isLoaded = loaded is not None and loaded.model == card.name
            gpu = loaded.gpuMemory if isLoaded else None
            sentences.append(forecastSentence(host_forecast(card, voxelsSeen(volumeNode, region, card)), gpu))
        self._ui.memoryLabel.text = " ".join(sentences)
        self._ui.memoryLabel.visible = bool(sentences)


def forecastSentence(host: MemoryForecast, gpu: MemoryForecast | None) -> str:
    """What the next run needs, for a label with rich text.

    Args:
        host: Main memory.
        gpu: Memory of the graphics card; None on the CPU, and before a model was loaded there.
    """
    if not host.fits:
        sentence = _(
            "A run needs about {needed} of memory and only {available} are free: it may be slow or fail. Close "
            "other programs, or choose a smaller region."
        )
        sign = f'<span style="color:{_CARE_COLOR};"><b>⚠</b></span> '
        return sign + sentence.format(needed=_gigabytes(host.needed_bytes), available=_gigabytes(host.available_bytes))
    needed = _("A run needs about {needed} of memory").format(needed=_gigabytes(host.needed_bytes))
    parts = [needed + _free(host)]
    if gpu is not None:
        onCard = _("on the graphics card {needed}").format(needed=_gigabytes(gpu.needed_bytes))
        parts.append(onCard + _free(gpu))
    return _aside("; ".join(parts) + ".")


def _aside(sentence: str) -> str:
    return f'<span style="color:{_ASIDE_COLOR};">{sentence}</span>'


def _free(forecast: MemoryForecast) -> str:
    if forecast.available_bytes is None:
        return ""
    return _(" ({available} free)").format(available=_gigabytes(forecast.available_bytes))


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def voxelsSeen(volumeNode, region: RunRegion | None, card: ModelCard) -> tuple[int, ...]:
    """Voxels along each axis that the model will be given: a film's whole grid, of a volume the region's."""
    whole = volumeNode.GetImageData().GetDimensions()
    if region is None or card.network.spatial_dims == 2:
        return whole
    return tuple(high - low for low, high in region.bounds)
