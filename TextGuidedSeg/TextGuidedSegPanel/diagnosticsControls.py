"""The button that copies the diagnostics."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from .diagnostics import Diagnostics
from .inferenceRecords import Failure
from .modelControls import ModelControls


class DiagnosticsControls:
    """Copies a report to the clipboard when it is asked for.

    Args:
        ui: Widgets by name.
        logic: The module's logic.
        models: Knows the chosen model and device.
    """

    def __init__(self, ui, logic, models: ModelControls) -> None:
        self._ui, self._models = ui, models
        self._diagnostics = Diagnostics(logic)
        ui.diagnosticsButton.connect("clicked()", self._onCopy)

    def note(self, failure: Failure) -> None:
        """Remember an error for the report."""
        self._ui.diagnosticsButton.text = _("Copy diagnostics")
        self._diagnostics.note(failure)

    def _onCopy(self) -> None:
        model = self._models.model
        report = self._diagnostics.report(model.card.name if model else "", self._models.device)
        slicer.app.clipboard().setText(report)
        # No message box: the button says it itself.
        self._ui.diagnosticsButton.text = _("Diagnostics copied")
