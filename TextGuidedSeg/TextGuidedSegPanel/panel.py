"""The panel: the parts of the interface wired to the logic; it holds no state of its own but what runs now."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from TextGuidedSegLib.errors import TextGuidedSegError

from .correctionControls import CorrectionControls
from .diagnosticsControls import DiagnosticsControls
from .exampleControls import ExampleControls
from .inferenceRecords import Failure
from .memoryControls import MemoryControls
from .modelControls import ModelControls
from .modelFolder import referenceOf
from .overlayControls import OverlayControls
from .phraseEntry import PhraseEntry
from .phrases import remembered
from .regionControls import RegionControls, largestSide
from .results import PhraseRecord
from .runView import RunView
from .segmentationRun import RunCallbacks, SegmentationRun
from .segmentControls import SegmentControls
from .segments import isOfAnotherStudy
from .setupPage import SetupPage
from .worklistHost import WorklistHost
from .worklistView import WorklistView

RUN_KEYS = "Ctrl+Return"


class Panel:
    """Everything between the widgets and the logic.

    Args:
        ui: Widgets by name.
        logic: `TextGuidedSegLogic`, or anything with its `start`, `cancel`, `isBusy`, `getParameters`, `results` and
            `history`.
    """

    def __init__(self, ui, logic) -> None:
        self._ui, self._logic = ui, logic
        self._parameters = self._volumeNode = None
        self._isAwaited = False  # what ran as soon as packages are installed waits until the panel is shown again
        self._overlay = OverlayControls(ui, logic.results)
        self._region = RegionControls(ui, self._onRegionMoved, self._largestRegion)
        self._memory = MemoryControls(ui)
        self._segments = SegmentControls(ui, logic, self.update)
        self._corrections = CorrectionControls(ui, logic, self.update)
        self._view = RunView(ui)
        self._models = ModelControls(ui, self._onModelChanged)
        self._diagnostics = DiagnosticsControls(ui, logic, self._models)
        self._setup = SetupPage(ui, self._onSetup, self._onSetupTrouble)
        self._entry = PhraseEntry(ui, self._onEnter, self._updateButton)
        self._example = ExampleControls(ui, self._onEnter, self._onError)
        host = WorklistHost(
            logic,
            whyNot=self._whyNot,
            run=self._onEnter,
            phrases=self._entry.phrases,
            clear=self._view.clear,
            edit=self._onEdit,
        )
        self._worklist = WorklistView(ui, host)
        self._setExamples()
        ui.applyButton.connect("clicked()", self._onApply)
        ui.releaseButton.connect("clicked()", logic.release)
        ui.clearHistoryButton.connect("clicked()", self._onClearHistory)
        logic.client.onLog = self._view.log
        self._updateButton()

    def setParameters(self, parameters) -> None:
        """Show and change these parameters; None for none, as while the scene closes."""
        self._parameters = parameters
        self._volumeNode = parameters.inputVolume if parameters is not None else None
        self._entry.setParameters(parameters)
        self._corrections.setParameters(parameters)
        self._segments.setParameters(parameters)
        self._worklist.setParameters(parameters)
        self.update()
        if parameters is not None and self._isAwaited:
            self._isAwaited = False
            self._onEnter()

    def update(self) -> None:
        """Follow the parameters."""
        self._leaveSegmentation()
        self._entry.update()
        self._segments.update()
        self._corrections.update()
        self._overlay.update(self._parameters)
        self._region.update(self._parameters)
        self._followImage()
        self._updateButton()

    def focus(self) -> None:
        """The panel is shown: what is typed next is the phrase."""
        self._entry.focus()

    def close(self) -> None:
        """The module is unloaded."""
        self._setup.stop()
        self._worklist.close()
        self._corrections.forget()
        self.leave()

    def leave(self) -> None:
        """The user went to another module: the views are given back."""
        self._worklist.leave()
        self._overlay.hide()

    def forget(self) -> None:
        """The scene closes."""
        self._isAwaited = False
        self._worklist.forget()
        self._corrections.forget()
        self._overlay.forget()
        self._region.update(None)
        self._memory.forget()
        self._view.clear()

    def _updateButton(self) -> None:
        self._example.update(self._parameters, self._logic.isBusy)
        if self._logic.isBusy:
            self._offer(_("Cancel"), isEnabled=True)
            self._ui.reasonLabel.visible = False
            return
        reason = self._whyNot()
        self._offer(_("Segment"), isEnabled=not reason)
        # With packages missing the button works: it notes what is to be run once they are there.
        reason = reason or self._setup.reason
        self._ui.reasonLabel.text, self._ui.reasonLabel.visible = reason, bool(reason)
        volumeNode = self._parameters.inputVolume if self._parameters is not None else None
        card = self._models.model.card if self._models.model is not None else None
        self._memory.update(volumeNode, self._region.region, card, self._logic.client.loadedModel)

    def _offer(self, text: str, *, isEnabled: bool) -> None:
        button = self._ui.applyButton
        button.text, button.enabled = text, isEnabled
        # Qt takes a button's keys away with its text: those of the text, if any, take their place.
        button.shortcut = qt.QKeySequence(RUN_KEYS)

    def _setExamples(self) -> None:
        self._entry.setExamples(self._models.model.card.phrases if self._models.model else ())

    def _onModelChanged(self) -> None:
        self._setExamples()
        self._updateButton()

    def _leaveSegmentation(self) -> None:
        """Another image was chosen: segments of it do not belong with those of a stranger."""
        parameters = self._parameters
        if parameters is None or parameters.inputVolume is self._volumeNode:
            return
        self._volumeNode = parameters.inputVolume
        node = parameters.segmentation
        if node is not None and self._volumeNode is not None and isOfAnotherStudy(node, self._volumeNode):
            wasModified = parameters.StartModify()
            parameters.segmentation, parameters.segmentId = None, ""
            # Its maps stay in the scene, but no longer lie on the views.
            parameters.pseudoImage = parameters.probabilityMap = None
            self._logic.results.lookAtNothing()
            parameters.EndModify(wasModified)

    def _followImage(self) -> None:
        self._models.follow(self._parameters.inputVolume if self._parameters is not None else None, self._region.region)

    def _largestRegion(self) -> float | None:
        card = self._models.cardOfVolumes
        return None if card is None else largestSide(card, self._entry.phrases())

    def _onRegionMoved(self) -> None:
        self._region.update(self._parameters)
        self._followImage()
        self._updateButton()

    def _whyNot(self) -> str:
        """Why nothing can be run now; empty if it can."""
        if self._parameters is None or self._parameters.inputVolume is None:
            return _("Choose an image.")
        if self._models.model is None:
            return self._models.problem or _("No model is installed.")
        if not self._models.areTermsAccepted:
            return _("Accept the terms of the model first.")
        if self._region.problem:
            return self._region.problem
        return "" if self._entry.phrases() else _("Type what to segment.")

    def _onEnter(self) -> None:
        if self._parameters is None:
            self._isAwaited = True
            return
        if self._logic.isBusy or self._whyNot():
            return
        if self._setup.isReadyFor(self._onEnter):
            self._run()
        else:
            self._updateButton()

    def _onApply(self) -> None:
        if self._logic.isBusy:
            self._logic.cancel()
            self._ui.applyButton.enabled = False
        else:
            self._onEnter()

    def _onClearHistory(self) -> None:
        if self._parameters is not None:
            self._parameters.history = []

    def _onEdit(self, volumeNode, segmentationNode, segmentId: str) -> None:
        self._segments.select(segmentId)
        self._corrections.edit(volumeNode, segmentationNode, segmentId)

    def _onSetup(self) -> None:
        # A process that was started before does not see what was installed since.
        if not self._logic.isBusy:
            self._logic.client.stop()
        self._updateButton()

    def _onSetupTrouble(self, sentence: str) -> None:
        self._diagnostics.note(Failure(0, None, "SetupError", sentence))

    def _run(self) -> None:
        parameters, phrases = self._parameters, self._entry.phrases()
        parameters.history = remembered(parameters.history, phrases)
        self._view.begin()
        callbacks = RunCallbacks(
            self._view.progress, self._onResult, self._onError, lambda records: self._onFinished(run, records)
        )
        try:
            run = SegmentationRun(
                parameters.inputVolume,
                phrases,
                parameters.segmentation,
                callbacks,
                pseudoImageNode=parameters.pseudoImage,
                roiNode=parameters.region,
            )
            self._logic.start(run, model=referenceOf(self._models.model), device=self._models.device)
        except TextGuidedSegError as error:
            failure = Failure(0, None, type(error).__name__, str(error))
            self._onError(failure)
            self._view.finish()
            self._worklist.onRunFinished(parameters.inputVolume, (), failure)
        self._updateButton()

    def _onResult(self, record: PhraseRecord) -> None:
        # With another module shown the panel follows nothing, but what came is there when it is shown again.
        parameters = self._parameters if self._parameters is not None else self._logic.getParameters()
        wasModified = parameters.StartModify()  # the panel follows all of it at once
        if record.pseudoImageNode is not None:
            parameters.pseudoImage = record.pseudoImageNode
        if record.segmentId:
            parameters.segmentation, parameters.segmentId = record.segmentationNode, record.segmentId
            if self._parameters is not None:
                self._segments.select(record.segmentId)
            else:
                parameters.threshold = min(max(record.threshold, 0.01), 0.99)
        parameters.EndModify(wasModified)
        self._view.result(record)
        self._memory.note(record)
        self._overlay.update(self._parameters)

    def _onError(self, failure: Failure) -> None:
        self._view.error(failure)
        if failure.kind != "Cancelled":
            self._diagnostics.note(failure)
        if failure.kind == "ImportError":
            self._setup.check()

    def _onFinished(self, run: SegmentationRun, records: list[PhraseRecord]) -> None:
        self._view.finish()
        self.update()
        self._worklist.onRunFinished(run.volumeNode, records, run.failure)
