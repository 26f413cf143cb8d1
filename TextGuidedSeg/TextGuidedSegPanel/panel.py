"""The panel: the parts of the interface wired to the logic; it holds no state of its own but what runs now."""

from __future__ import annotations

from slicer.i18n import tr as _

from TextGuidedSegLib.errors import TextGuidedSegError

from .inferenceRecords import Failure
from .modelControls import ModelControls
from .overlayControls import OverlayControls
from .phraseEntry import PhraseEntry
from .phrases import remembered
from .results import PhraseRecord
from .runView import RunView
from .segmentationRun import RunCallbacks, SegmentationRun
from .segmentControls import SegmentControls


class Panel:
    """Everything between the widgets and the logic.

    Args:
        ui: Widgets by name.
        logic: `TextGuidedSegLogic`, or anything with its `start`, `cancel`, `isBusy`, `results` and `history`.
    """

    def __init__(self, ui, logic) -> None:
        self._ui, self._logic = ui, logic
        self._parameters, self._hasFailed = None, False
        self._overlay = OverlayControls(ui)
        self._segments = SegmentControls(ui, logic)
        self._view = RunView(ui)
        self._models = ModelControls(ui, self._updateButton)
        self._entry = PhraseEntry(ui, self._onEnter, self._updateButton)
        self._entry.setExamples(self._models.model.card.phrases if self._models.model else ())
        ui.applyButton.connect("clicked()", self._onApply)
        ui.releaseButton.connect("clicked()", logic.release)
        logic.client.onLog = self._view.log
        self._updateButton()

    def setParameters(self, parameters) -> None:
        """Show and change these parameters; None for none, as while the scene closes."""
        self._parameters = parameters
        self._entry.setParameters(parameters)
        self._segments.setParameters(parameters)
        self.update()

    def update(self) -> None:
        """Follow the parameters."""
        self._entry.update()
        self._segments.update()
        self._overlay.update(self._parameters)
        self._updateButton()

    def leave(self) -> None:
        """The user went to another module: the views are given back."""
        self._overlay.hide()

    def forget(self) -> None:
        """The scene closes."""
        self._overlay.forget()
        self._view.clear()

    def _updateButton(self) -> None:
        if self._logic.isBusy:
            self._ui.applyButton.text, self._ui.applyButton.enabled = _("Cancel"), True
            self._ui.reasonLabel.visible = False
            return
        reason = self._whyNot()
        self._ui.applyButton.text, self._ui.applyButton.enabled = _("Segment"), not reason
        self._ui.reasonLabel.text, self._ui.reasonLabel.visible = reason, bool(reason)

    def _whyNot(self) -> str:
        """Why nothing can be run now; empty if it can."""
        if self._parameters is None or self._parameters.inputVolume is None:
            return _("Choose an image.")
        if self._models.model is None:
            return self._models.problem or _("No model is installed.")
        if not self._models.areTermsAccepted:
            return _("Accept the terms of the model first.")
        return "" if self._entry.phrases() else _("Type what to segment.")

    def _onEnter(self) -> None:
        if not self._logic.isBusy and not self._whyNot():
            self._run()

    def _onApply(self) -> None:
        if self._logic.isBusy:
            self._logic.cancel()
            self._ui.applyButton.enabled = False
        else:
            self._run()

    def _run(self) -> None:
        parameters, phrases = self._parameters, self._entry.phrases()
        parameters.history = remembered(parameters.history, phrases)
        self._hasFailed = False
        self._view.begin()
        callbacks = RunCallbacks(self._view.progress, self._onResult, self._onError, self._onFinished)
        try:
            run = SegmentationRun(
                parameters.inputVolume,
                phrases,
                parameters.segmentation,
                callbacks,
                pseudoImageNode=parameters.pseudoImage,
            )
            self._logic.start(run, model=self._models.model.card.name, device=self._models.device)
        except TextGuidedSegError as error:
            self._onError(Failure(0, None, type(error).__name__, str(error)))
            self._view.finish(hasFailed=True)
        self._updateButton()

    def _onResult(self, record: PhraseRecord) -> None:
        if self._parameters is None:
            return
        if record.pseudoImageNode is not None:
            self._parameters.pseudoImage = record.pseudoImageNode
        if record.segmentId:
            self._parameters.segmentation = record.segmentationNode
            self._segments.select(record.segmentId)
        self._view.result(record)
        self._overlay.update(self._parameters)

    def _onError(self, failure: Failure) -> None:
        self._hasFailed = failure.kind != "Cancelled"
        self._view.error(failure)

    def _onFinished(self, _records: list[PhraseRecord]) -> None:
        self._view.finish(hasFailed=self._hasFailed)
        self.update()
