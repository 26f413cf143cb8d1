"""Try an example: a film of the module's own, a phrase that is on it, and run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import slicer

from TextGuidedSegLib.errors import TextGuidedSegError

from .inferenceRecords import Failure
from .samples import Sample, loadSample, samplesIn


class ExampleControls:
    """The button.

    Args:
        ui: Widgets by name.
        run: Called when everything is filled in.
        onTrouble: Told why there is no example.
    """

    def __init__(self, ui, run: Callable[[], None], onTrouble: Callable[[Failure], None]) -> None:
        self._ui, self._run, self._onTrouble = ui, run, onTrouble
        self._parameters = None
        self._samples: tuple[Sample, ...] = samplesIn(sampleFolder())
        ui.exampleButton.visible = bool(self._samples)
        ui.exampleButton.connect("clicked()", self._onClicked)

    def update(self, parameters, isBusy: bool) -> None:
        """Follow the parameters; nothing can be tried while a phrase runs."""
        self._parameters = parameters
        self._ui.exampleButton.enabled = parameters is not None and not isBusy

    def _onClicked(self) -> None:
        sample, parameters = self._samples[0], self._parameters
        if parameters is None:
            return
        try:
            volumeNode = loadSample(sample)
        except TextGuidedSegError as error:
            self._onTrouble(Failure(0, None, type(error).__name__, str(error)))
            return
        wasModified = parameters.StartModify()
        # What was chosen for another image would not fit this one.
        parameters.inputVolume, parameters.segmentation, parameters.region = volumeNode, None, None
        parameters.phrase, parameters.severalPhrases = sample.phrase, False
        parameters.EndModify(wasModified)
        slicer.util.setSliceViewerLayers(background=volumeNode, fit=True)
        self._run()


def sampleFolder() -> Path:
    """Where the module's samples lie."""
    return Path(slicer.util.modulePath("TextGuidedSeg")).parent / "Resources" / "SampleData"
