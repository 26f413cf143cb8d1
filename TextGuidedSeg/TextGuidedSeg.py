"""The Slicer module: what Slicer needs to know of it, its panel's life, and the logic that scripts use.

Nothing here loads torch: networks run in a process of their own (`TextGuidedSegPanel/inferenceClient.py`).
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

try:
    import slicer.packaging
except ImportError as error:
    msg = f"Text Guided Segmentation needs Slicer 5.12 or newer; this is {slicer.app.applicationVersion}"
    raise ImportError(msg) from error
if importlib.util.find_spec("TextGuidedSegLib") is None:
    # In the source tree the library is this folder's sibling; installed, it lies beside this file.
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from TextGuidedSegPanel.effectRegistration import registerEffect
from TextGuidedSegPanel.machineSettings import chosenDevice
from TextGuidedSegPanel.modelChoice import suitableModel
from TextGuidedSegPanel.modelFolder import installedModels, referenceOf, referenceOfName
from TextGuidedSegPanel.panel import Panel
from TextGuidedSegPanel.parameters import Parameters, parametersOf
from TextGuidedSegPanel.phrases import phrasesIn
from TextGuidedSegPanel.regionOfInterest import RunRegion, regionOf
from TextGuidedSegPanel.results import PhraseRecord
from TextGuidedSegPanel.runner import DEFAULT_MODEL, Runner
from TextGuidedSegPanel.samples import registerSamples, samplesIn
from TextGuidedSegPanel.segmentationRun import RunCallbacks, SegmentationRun
from TextGuidedSegPanel.terminology import loadTerminology
from TextGuidedSegPanel.terms import announce
from TextGuidedSegPanel.warmClient import WarmClient, stopSharedClient
from TextGuidedSegPanel.worklistScene import imageNodes

from TextGuidedSegLib.errors import ImageError, TextGuidedSegError
from TextGuidedSegLib.phrase import parse
from TextGuidedSegLib.weights import find_model


class TextGuidedSeg(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent) -> None:
        super().__init__(parent)
        parent.title = _("Text Guided Segmentation")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["The TextGuidedSeg authors"]
        parent.helpText = _(
            "Type what to segment and where, such as <i>left lower lung opacity</i>, and press Enter. "
            "The result is a new segment; the text map shows where the words point. Left is the patient's left.<br/>"
            "Models read frontal chest films, MR of hippocampus and heart, endoscopy pictures and breast ultrasound. "
            "<b>Research use only. Not a medical device.</b>"
        )
        parent.acknowledgementText = _(
            "Weights are trained on public data and have a license of their own, which the module shows."
        )
        slicer.app.connect("startupCompleted()", self._onStartupCompleted)

    def _onStartupCompleted(self) -> None:
        _offer(Path(self.resourcePath("")))


def _offer(resources: Path) -> None:
    """Tell other modules what there is; again is harmless."""
    loadTerminology(resources / "Terminology")
    registerSamples(samplesIn(resources / "SampleData"))
    registerEffect()


class TextGuidedSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Ties the panel to the module's life: opened, left, scene closed, unloaded."""

    def setup(self) -> None:
        """Build the panel; called when the module is first opened."""
        super().setup()
        _offer(Path(self.resourcePath("")))  # for a module that was added after Slicer's start
        self.logic = TextGuidedSegLogic()
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/TextGuidedSeg.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        self._parameters, self._guiTag, self._isShown = None, None, True
        self.panel = Panel(self.ui, self.logic)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._onSceneStartClose)
        self.addObserver(scene, scene.StartImportEvent, self._onSceneStartImport)
        for event in (scene.EndCloseEvent, scene.EndImportEvent):
            self.addObserver(scene, event, self._onSceneReplaced)
        self._setParameters(self.logic.getParameters())

    def cleanup(self) -> None:
        """The module is unloaded: nothing may call back later."""
        self.logic.stop()
        self._setParameters(None)
        self.panel.close()
        self.removeObservers()

    def enter(self) -> None:
        """The module is shown."""
        self._isShown = True
        self._setParameters(self.logic.getParameters())
        self.panel.focus()

    def exit(self) -> None:
        """Another module is shown: the panel no longer follows the scene, and the views are given back."""
        self._isShown = False
        self._setParameters(None)
        self.panel.leave()

    def onReload(self) -> None:
        """Reload the module with the files it is made of; Slicer itself would only reload this one."""
        stopSharedClient()
        for name in list(sys.modules):
            if name.partition(".")[0] in ("TextGuidedSegPanel", "TextGuidedSegLib"):
                del sys.modules[name]
        super().onReload()

    def _onSceneStartClose(self, caller, event) -> None:
        self.logic.abandon()
        self._setParameters(None)
        self.panel.forget()

    def _onSceneStartImport(self, caller, event) -> None:
        # Selectors that find their nodes not there yet would choose none, and that would be stored.
        self._setParameters(None)

    def _onSceneReplaced(self, caller, event) -> None:
        # Also after a second scene was added to this one: its parameters took the place of ours.
        if self._isShown:
            self._setParameters(self.logic.getParameters())

    def _setParameters(self, parameters: Parameters | None) -> None:
        if self._parameters is not None:
            self._parameters.disconnectGui(self._guiTag)
            self.removeObserver(self._parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._onModified)
        self._parameters = parameters
        if parameters is not None:
            if parameters.inputVolume is None:
                parameters.inputVolume = next(iter(imageNodes()), None)
            # Not connectGui, which gives no tag back, so that its bindings outlive the panel.
            self._guiTag = parameters.connectParametersToGui(self._boundWidgets())
            self.addObserver(parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._onModified)
        self.panel.setParameters(parameters)

    def _boundWidgets(self) -> dict:
        named = {widget.property("SlicerParameterName"): widget for widget in vars(self.ui).values()}
        return {name: widget for name, widget in named.items() if name}

    def _onModified(self, caller, event) -> None:
        self.panel.update()


class TextGuidedSegLogic(ScriptedLoadableModuleLogic, Runner):
    """From a volume node and phrases to segments; needs no widget and no window.

        logic = TextGuidedSegLogic()
        records = logic.process(volumeNode, ["left lower lung opacity", "right lung"])
        print(records[0].answer, records[0].segmentId, records[0].warnings)

    Args:
        client: Runs the network; None for the process that all of this application share.
    """

    def __init__(self, client: WarmClient | None = None) -> None:
        super().__init__()
        self._client = client

    def getParameters(self) -> Parameters:
        """The panel's state in the scene."""
        return parametersOf(self.getParameterNode())

    def process(
        self,
        volume,
        phrases: str | list[str],
        segmentation=None,
        model: str | None = None,
        threshold: float | None = None,
        wait: bool = True,
        *,
        region=None,
        callbacks: RunCallbacks | None = None,
    ) -> list[PhraseRecord]:
        """Segment what each phrase names; every result becomes a new segment. The device is the chosen one.

        The panel asks to accept the license of the weights; here its name is logged once, as by the command line, and
        using the weights means accepting it.

        Args:
            volume: A volume node that an installed model reads: a film, a color picture or a volume.
            phrases: One phrase, or several in a list or on lines.
            segmentation: Segmentation node that gets the segments; None makes one when the first is found.
            model: Name or folder of a model; None for the one that reads such images.
            threshold: Probability from which a voxel belongs to the segment, at least 0.01 and below 1; None for the
                model's own.
            wait: Return when all is done; otherwise at once, and the list fills while Slicer goes on.
            region: Markups ROI node that the segments are limited to; None for the whole image.
            callbacks: Whom to tell on the way.

        Returns:
            One record for each phrase, in their order; see `PhraseRecord`. A phrase that needs a region of interest has
            none, which is logged, if others are answered.

        Raises:
            PhraseError: A phrase is empty or too long.
            WeightsError: There is no such model.
            ImageError: There is no volume, no model reads it, or no voxel of it lies in the region.
            TextGuidedSegError: The run failed, was cancelled, or another one is under way; or packages are missing; or
                a callback of another run waits, whose end would never be told.
            ValueError: The threshold is out of range.
        """
        if wait and self.client.isTelling:
            msg = "a callback cannot wait for another run, because nothing is told meanwhile; pass wait=False"
            raise TextGuidedSegError(msg)
        lines = phrasesIn(phrases) if isinstance(phrases, str) else list(phrases)
        _requireReadable(lines or [""])
        if volume is None:
            msg = "there is no volume to segment; load an image and pass its node"
            raise ImageError(msg)
        reference = referenceOfName(model) if model else _referenceFor(volume, regionOf(region, volume))
        announce(find_model(reference))
        run = SegmentationRun(volume, lines, segmentation, callbacks or RunCallbacks(), roiNode=region)
        self.start(run, model=reference, threshold=threshold, device=chosenDevice())
        if wait:
            self.waitFor(run)
        return run.records


def _referenceFor(volume, region: RunRegion | None) -> str:
    models = installedModels()[0]
    model, why = suitableModel(volume, tuple(models.values()), (models.get(DEFAULT_MODEL),), region)
    if model is None:
        raise ImageError(why)
    if why:
        logging.info(why)
    return referenceOf(model)


def _requireReadable(phrases: list[str]) -> None:
    try:
        for phrase in phrases:
            parse(phrase)
    except ImportError as error:
        msg = _("{package} is not installed yet; open the module Text Guided Segmentation and press Install")
        raise TextGuidedSegError(msg.format(package=error.name)) from error


class TextGuidedSegTest(ScriptedLoadableModuleTest):
    """Self-test, also run by `slicer_add_python_unittest`; it needs neither torch nor a window."""

    def setUp(self) -> None:
        """Start with an empty scene."""
        slicer.mrmlScene.Clear()

    def test_parametersAreKeptInTheScene(self) -> None:
        """What is typed stays with the scene."""
        logic = TextGuidedSegLogic()
        logic.getParameters().phrase = "left lung"
        assert TextGuidedSegLogic().getParameters().phrase == "left lung"

    def test_badInputIsRefusedBeforeAnythingRuns(self) -> None:
        """No process is started for nothing."""
        logic = TextGuidedSegLogic()
        for volume, phrases in ((None, ["left lung"]), (None, "")):
            self.assertRaises(TextGuidedSegError, logic.process, volume, phrases)  # noqa: PT027 - no pytest in Slicer
        assert not logic.isBusy
