"""Model, its terms, and device. These belong to the machine, so Slicer's settings keep them, not the scene."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
from slicer.i18n import tr as _

from TextGuidedSegLib.errors import WeightsError
from TextGuidedSegLib.weights import Model, ModelCard

from . import terms
from .machineSettings import DEVICE, DEVICES, MODEL, chosenDevice, chosenModel
from .modelChoice import suitableModel
from .modelFolder import chooseFolder, chosenFolder, installedModels
from .regionOfInterest import RunRegion
from .setupTexts import breakable


class ModelControls:
    """The widgets of the group of model and device, and the terms of the weights.

    Args:
        ui: Widgets by name.
        onChanged: Called when another model is chosen or its terms are accepted.
    """

    def __init__(self, ui, onChanged: Callable[[], None]) -> None:
        self._ui, self._onChanged = ui, onChanged
        self._models: dict[str, Model] = {}
        self.problem, self._isFilling = "", False
        self._volumeNode, self._why = None, ""
        self._size: list[int] | None = None  # of the region
        self._isRead = True
        self._fillModels()
        ui.deviceBox.addItems([_("Automatic"), _("CPU"), _("Graphics card (CUDA)")])
        ui.deviceBox.currentIndex = DEVICES.index(chosenDevice())
        ui.modelBox.connect("currentIndexChanged(int)", self._onModelChanged)
        ui.deviceBox.connect("currentIndexChanged(int)", self._onDeviceChanged)
        ui.readTermsButton.connect("clicked()", self._onReadTerms)
        ui.acceptTermsButton.connect("clicked()", self._onAcceptTerms)
        ui.modelFolderButton.connect("clicked()", self._onChooseFolder)
        ui.noModelFolderButton.connect("clicked()", self._onForgetFolder)
        self._show()

    @property
    def model(self) -> Model | None:
        """The chosen model; None if none is installed."""
        return self._models.get(self._ui.modelBox.currentText)

    @property
    def device(self) -> str:
        """`auto`, `cpu` or `cuda`."""
        return DEVICES[max(0, self._ui.deviceBox.currentIndex)]

    @property
    def areTermsAccepted(self) -> bool:
        """Whether the license of the chosen model's weights was accepted on this computer."""
        return self.model is not None and terms.areAccepted(self.model)

    @property
    def cardOfVolumes(self) -> ModelCard | None:
        """Card of the chosen model if it reads volumes, else of the first one that does; None if none is installed."""
        cards = [model.card for model in (self.model, *self._models.values()) if model is not None]
        return next((card for card in cards if "volume" in card.kinds), None)

    def follow(self, volumeNode, region: RunRegion | None = None) -> None:
        """Take the model that is for a newly chosen image, and say why if it is not the one that was chosen.

        Args:
            volumeNode: The image; None for none. What is chosen by hand afterwards stays until the next image.
            region: What runs are limited to; None for the whole image. A part may be read where the whole was not.
        """
        size = None if region is None else [high - low for low, high in region.bounds]
        isAnother = volumeNode is not self._volumeNode
        if not isAnother and (self._isRead or size == self._size):
            return
        self._volumeNode, self._size, self._why, self._isRead = volumeNode, size, "", True
        if volumeNode is not None:
            preferred = (self.model, chosenModel(self._models))
            model, self._why = suitableModel(volumeNode, tuple(self._models.values()), preferred, region)
            self._isRead = model is not None
            if model is not None and model is not self.model:
                self._isFilling = True  # the next image may be for the user's own choice again
                self._ui.modelBox.currentIndex = list(self._models).index(model.card.name)
                self._isFilling = False
        self._show()
        self._onChanged()

    def _fillModels(self) -> None:
        self._models, self.problem = installedModels()
        self._isFilling = True  # what Qt chooses on the way is no choice of the user
        self._ui.modelBox.clear()
        self._ui.modelBox.addItems(list(self._models))
        model = chosenModel(self._models)
        if model is not None:
            self._ui.modelBox.currentIndex = list(self._models).index(model.card.name)
        self._isFilling = False
        self._sayFolder(self.problem)

    def _sayFolder(self, problem: str = "") -> None:
        folder = chosenFolder()
        text = problem or (str(folder) if folder is not None else _("none"))
        self._ui.modelFolderLabel.text = breakable(text)
        self._ui.noModelFolderButton.enabled = folder is not None

    def _show(self) -> None:
        card = self.model.card if self.model else None
        summary = card.summary if card else self.problem or _("No model is installed.")
        self._ui.modelLabel.text = self._why or summary
        self._ui.termsFrame.visible = card is not None and not self.areTermsAccepted
        if card is not None:
            sentence = _("The weights of the model “{name}” have terms of their own: {license}.")
            self._ui.termsLabel.text = sentence.format(name=card.name, license=card.license)

    def _onModelChanged(self, _index: int) -> None:
        if self._isFilling:
            return
        qt.QSettings().setValue(MODEL, self._ui.modelBox.currentText)
        self._why, self._isRead = "", True
        self._show()
        self._onChanged()

    def _onDeviceChanged(self, _index: int) -> None:
        qt.QSettings().setValue(DEVICE, self.device)

    def _onChooseFolder(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(None, _("Folder with models"), "")
        if folder:
            self._useFolder(Path(folder))

    def _onForgetFolder(self) -> None:
        self._useFolder(None)

    def _useFolder(self, folder: Path | None) -> None:
        try:
            chooseFolder(folder)
        except WeightsError as error:
            self._sayFolder(str(error))
            return
        self._fillModels()
        self._show()
        self._onChanged()

    def _onReadTerms(self) -> None:
        self._ui.termsLabel.text = self.model.license_text

    def _onAcceptTerms(self) -> None:
        terms.accept(self.model)
        self._show()
        self._onChanged()
