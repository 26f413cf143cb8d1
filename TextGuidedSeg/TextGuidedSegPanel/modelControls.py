"""Model, its terms, and device. These belong to the machine, so Slicer's settings keep them, not the scene."""

from __future__ import annotations

from collections.abc import Callable

import qt
from slicer.i18n import tr as _

from TextGuidedSegLib.weights import Model

from . import terms
from .machineSettings import DEVICE, DEVICES, MODEL, chosenDevice, chosenModel, installedModels


class ModelControls:
    """The widgets of the group of model and device, and the terms of the weights.

    Args:
        ui: Widgets by name.
        onChanged: Called when another model is chosen or its terms are accepted.
    """

    def __init__(self, ui, onChanged: Callable[[], None]) -> None:
        self._ui, self._onChanged = ui, onChanged
        self._models, self.problem = installedModels()
        self._fill()
        ui.modelBox.connect("currentIndexChanged(int)", self._onModelChanged)
        ui.deviceBox.connect("currentIndexChanged(int)", self._onDeviceChanged)
        ui.readTermsButton.connect("clicked()", self._onReadTerms)
        ui.acceptTermsButton.connect("clicked()", self._onAcceptTerms)
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

    def _fill(self) -> None:
        self._ui.modelBox.addItems(list(self._models))
        self._ui.deviceBox.addItems([_("Automatic"), _("CPU"), _("Graphics card (CUDA)")])
        model = chosenModel(self._models)
        if model is not None:
            self._ui.modelBox.currentIndex = list(self._models).index(model.card.name)
        self._ui.deviceBox.currentIndex = DEVICES.index(chosenDevice())

    def _show(self) -> None:
        card = self.model.card if self.model else None
        self._ui.modelLabel.text = card.summary if card else self.problem or _("No model is installed.")
        self._ui.termsFrame.visible = card is not None and not self.areTermsAccepted
        if card is not None:
            sentence = _("The weights of the model “{name}” have terms of their own: {license}.")
            self._ui.termsLabel.text = sentence.format(name=card.name, license=card.license)

    def _onModelChanged(self, _index: int) -> None:
        qt.QSettings().setValue(MODEL, self._ui.modelBox.currentText)
        self._show()
        self._onChanged()

    def _onDeviceChanged(self, _index: int) -> None:
        qt.QSettings().setValue(DEVICE, self.device)

    def _onReadTerms(self) -> None:
        self._ui.termsLabel.text = self.model.license_text

    def _onAcceptTerms(self) -> None:
        terms.accept(self.model)
        self._show()
        self._onChanged()
