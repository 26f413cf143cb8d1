"""The widgets of the Segment Editor effect: the phrase, what becomes of the segment, run and cancel, the answer."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from TextGuidedSegLib.errors import TextGuidedSegError
from TextGuidedSegLib.weights import Model

from . import terms
from .answers import editSentence
from .editedSegment import MODES, EditedSegment
from .inferenceRecords import Failure
from .machineSettings import chosenDevice, chosenModel
from .modelChoice import suitableModel
from .modelFolder import installedModels, referenceOf
from .parameters import Parameters, parametersOf
from .phraseLine import PhraseLine, chipsOf
from .phrases import phrasesIn, remembered
from .requirements import neededPackages
from .results import PhraseRecord, VolumeSnapshot
from .runner import Runner
from .runView import RunView
from .segmentationRun import RunCallbacks, SegmentationRun
from .segmentEditorHandover import MODULE

PHRASE, MODE = "Phrase", "Mode"
"""Parameters of the effect, kept in the Segment Editor's node."""


class EffectControls:
    """Everything between the effect's widgets and the inference process, which it shares with the module's panel.

    Args:
        ui: Widgets by name.
        effect: The effect's `qSlicerSegmentEditorScriptedEffect`.
    """

    def __init__(self, ui, effect) -> None:
        self._ui, self._effect = ui, effect
        self._runner = Runner()
        self._view = RunView(ui, editSentence)
        self._models, self._modelProblem = installedModels()
        self._suitable: tuple[tuple[VolumeSnapshot, str], tuple[Model | None, str]] | None = None
        self._isInstalled = False
        self._line = PhraseLine(ui.phraseEdit, self._onEnter, self._onPhrase)
        ui.modeBox.addItems([_("Replace"), _("Add"), _("Subtract")])
        ui.modeBox.connect("currentIndexChanged(int)", self._onMode)
        ui.applyButton.connect("clicked()", self._onApply)
        ui.moduleButton.connect("clicked()", self._onModule)
        self._showChips()

    def begin(self) -> None:
        """The effect was chosen: look at what is there now."""
        self._isInstalled = all(one.isReady for one in neededPackages())
        self._models, self._modelProblem = installedModels()
        self._suitable = None
        self.update()

    def end(self) -> None:
        """Another effect was chosen, or the editor was left: what still runs would change a segment unasked."""
        self._runner.cancel()

    def stop(self) -> None:
        """The effect is deleted: nothing may call back later. The process stays, the panel shares it."""
        self._runner.abandon()

    def update(self) -> None:
        """Follow the Segment Editor's parameters."""
        phrase = self._effect.parameter(PHRASE)
        if self._ui.phraseEdit.text != phrase:
            self._ui.phraseEdit.text = phrase
        mode = self._effect.parameter(MODE)
        self._ui.modeBox.currentIndex = MODES.index(mode) if mode in MODES else 0
        history, (model, _why) = _panelParameters(), self._model()
        self._line.suggest(history.history if history else (), model.card.phrases if model else ())
        self._updateButton()

    def _updateButton(self) -> None:
        if self._runner.isBusy:
            self._ui.applyButton.text, self._ui.applyButton.enabled = _("Cancel"), True
            self._ui.reasonLabel.visible = self._ui.moduleButton.visible = False
            return
        unfit = self._whyUnfit()
        reason = unfit or self._whyNot()
        self._ui.applyButton.text, self._ui.applyButton.enabled = _("Segment"), not reason
        self._ui.reasonLabel.text, self._ui.reasonLabel.visible = reason, bool(reason)
        self._ui.moduleButton.visible = bool(unfit)

    def _whyUnfit(self) -> str:
        """What the module's own panel has to settle first; empty if nothing."""
        if not self._isInstalled:
            return _("Packages are missing: install them in the module Text Guided Segmentation.")
        model, why = self._model()
        if model is None:
            return why
        if not terms.areAccepted(model):
            return _("Accept the terms of the model first, in the module Text Guided Segmentation.")
        return ""

    def _model(self) -> tuple[Model | None, str]:
        """The model that reads the source volume, that of the user's choice if it does; none, and why."""
        node, chosen = self._effect.parameterSetNode(), chosenModel(self._models)
        volumeNode = node.GetSourceVolumeNode() if node is not None else None
        if volumeNode is None or chosen is None:
            return chosen, "" if chosen else self._modelProblem or _("No model is installed.")
        asked = (VolumeSnapshot.of(volumeNode), chosen.card.name)
        if self._suitable is None or self._suitable[0] != asked:  # typing shall not read the image at every key
            self._suitable = asked, suitableModel(volumeNode, tuple(self._models.values()), (chosen,))
        return self._suitable[1]

    def _whyNot(self) -> str:
        node = self._effect.parameterSetNode()
        if node is None or node.GetSegmentationNode() is None or node.GetSourceVolumeNode() is None:
            return _("Choose a segmentation and its source volume.")
        if node.GetSegmentationNode().GetSegmentation().GetSegment(node.GetSelectedSegmentID() or "") is None:
            return _("Choose a segment.")
        return "" if phrasesIn(self._ui.phraseEdit.text) else _("Type what to segment.")

    def _onPhrase(self, text: str) -> None:
        if self._effect.parameterSetNode() is not None and self._effect.parameter(PHRASE) != text:
            self._effect.setParameter(PHRASE, text)
        self._showChips()
        self._updateButton()

    def _showChips(self) -> None:
        phrases = phrasesIn(self._ui.phraseEdit.text)
        self._ui.chipsLabel.text = chipsOf(phrases[0]) if phrases else ""
        self._ui.chipsLabel.visible = bool(phrases)

    def _onMode(self, index: int) -> None:
        if self._effect.parameterSetNode() is not None:
            self._effect.setParameter(MODE, MODES[max(0, index)])

    def _onModule(self) -> None:
        slicer.util.selectModule(MODULE)

    def _onApply(self) -> None:
        if self._runner.isBusy:
            self._runner.cancel()
            self._ui.applyButton.enabled = False
        else:
            self._onEnter()

    def _onEnter(self) -> None:
        if self._runner.isBusy:
            return
        self.begin()
        if not self._ui.applyButton.enabled or not self._effect.confirmCurrentSegmentVisible():
            return
        node = self._effect.parameterSetNode()
        self._runner.results = EditedSegment(self._effect, node.GetSelectedSegmentID(), self._effect.parameter(MODE))
        callbacks = RunCallbacks(self._view.progress, self._onResult, self._onError, self._onFinished)
        phrases = phrasesIn(self._ui.phraseEdit.text)
        run = SegmentationRun(node.GetSourceVolumeNode(), phrases, node.GetSegmentationNode(), callbacks)
        self._view.begin()
        try:
            model, _why = self._model()
            self._runner.start(run, model=referenceOf(model), device=chosenDevice())
        except TextGuidedSegError as error:
            self._onError(Failure(0, None, type(error).__name__, str(error)))
            self._view.finish()
        panel = _panelParameters()
        if panel is not None:
            panel.history = remembered(panel.history, phrases)
        self._updateButton()

    def _onResult(self, record: PhraseRecord) -> None:
        self._view.result(record)

    def _onError(self, failure: Failure) -> None:
        self._view.error(failure)
        if failure.kind != "Cancelled":
            for line in self._runner.client.recentLog:
                self._view.log(line)

    def _onFinished(self, _records: list[PhraseRecord]) -> None:
        self._view.finish()
        self._updateButton()


def _panelParameters() -> Parameters | None:
    """What the module's panel remembers in this scene; None if it was never opened."""
    node = slicer.mrmlScene.GetSingletonNode(MODULE, "vtkMRMLScriptedModuleNode")
    return parametersOf(node) if node is not None else None
