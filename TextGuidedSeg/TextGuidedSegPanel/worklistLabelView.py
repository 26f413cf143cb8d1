"""The table of the fixed label map: value, color, label and its phrases, changed in place."""

from __future__ import annotations

from collections.abc import Callable

import qt
from slicer.i18n import tr as _

from TextGuidedSegLib.errors import TextGuidedSegError

from .worklist import WorklistError
from .worklistLabels import LabelMap, phrasesOf, readLabelMap, writeLabelMap
from .worklistSession import WorklistSession

_VALUE, _COLOR, _NAME, _PHRASES = range(4)
_VALUE_WIDTH_PX, _COLOR_WIDTH_PX, _NAME_WIDTH_PX = 46, 84, 134


class LabelView:
    """The widgets around the label map; shown while a list is open.

    Args:
        ui: Widgets by name.
        say: Told what went wrong, in a sentence; "" when all is well.
    """

    def __init__(self, ui, say: Callable[[str], None]) -> None:
        self._ui, self._say = ui, say
        self._session: WorklistSession | None = None
        self._isFilling = False
        self._shown: LabelMap | None = None
        table = ui.worklistLabelsTable
        for column, width in ((_VALUE, _VALUE_WIDTH_PX), (_COLOR, _COLOR_WIDTH_PX), (_NAME, _NAME_WIDTH_PX)):
            table.setColumnWidth(column, width)
        table.connect("cellChanged(int,int)", self._onCellChanged)
        ui.worklistLabelsButton.connect("toggled(bool)", self._onToggled)
        ui.worklistAddLabelButton.connect("clicked()", self._onAdd)
        ui.worklistRemoveLabelButton.connect("clicked()", self._onRemove)
        ui.worklistLoadLabelsButton.connect("clicked()", self._onLoad)
        ui.worklistSaveLabelsButton.connect("clicked()", self._onSave)
        ui.worklistLabelsFrame.visible = False

    def setSession(self, session: WorklistSession | None) -> None:
        """Show and change the label map of this list; None for none."""
        self._session = session
        self.update()

    def update(self) -> None:
        """Follow the label map, which grows when a case brings a new phrase."""
        labelMap = self._session.labels if self._session is not None else LabelMap()
        if self._shown is labelMap:
            return
        self._shown = labelMap
        self._fill()

    def _fill(self) -> None:
        labels, table = self._shown.labels, self._ui.worklistLabelsTable
        self._isFilling = True
        table.setRowCount(len(labels))
        for row, label in enumerate(labels):
            texts = str(label.value), label.color, label.name, "; ".join(label.phrases)
            for column, text in enumerate(texts):
                table.setItem(row, column, qt.QTableWidgetItem(text))
            swatch = qt.QPixmap(12, 12)
            swatch.fill(qt.QColor(label.color))
            table.item(row, _COLOR).setIcon(qt.QIcon(swatch))
        self._isFilling = False

    def _change(self, make: Callable[[], LabelMap]) -> None:
        try:
            self._session.labels = make()
            self._say("")
        except TextGuidedSegError as error:
            self._say(str(error))
        # Also puts a refused cell back.
        self._shown = self._session.labels
        self._fill()

    def _onCellChanged(self, row: int, column: int) -> None:
        if self._isFilling or self._session is None:
            return
        text = self._ui.worklistLabelsTable.item(row, column).text().strip()
        self._change(lambda: self._shown.withLabel(row, **_cell(column, text)))

    def _onToggled(self, shown: bool) -> None:
        self._ui.worklistLabelsFrame.visible = shown

    def _onAdd(self) -> None:
        number = len(self._shown.labels) + 1
        name = _("new label")
        while self._shown.find(f"{name} {number}") is not None:
            number += 1
        self._change(lambda: self._shown.including([f"{name} {number}"]))

    def _onRemove(self) -> None:
        row = self._ui.worklistLabelsTable.currentRow()
        if 0 <= row < len(self._shown.labels):
            self._change(lambda: self._shown.without(row))

    def _onLoad(self) -> None:
        path = qt.QFileDialog.getOpenFileName(
            self._ui.worklistFrame, _("Take the label map of another list"), "", _("Label maps (*.json)")
        )
        if path:
            self._change(lambda: readLabelMap(path))

    def _onSave(self) -> None:
        path = qt.QFileDialog.getSaveFileName(
            self._ui.worklistFrame, _("Save the label map"), "labels.json", _("Label maps (*.json)")
        )
        if not path:
            return
        try:
            writeLabelMap(path, self._session.labels)
            self._say("")
        except TextGuidedSegError as error:
            self._say(str(error))


def _cell(column: int, text: str) -> dict:
    """The field of `Label` that a cell of the table stands for."""
    if column == _VALUE:
        if not text.isdecimal():
            msg = _("“{text}” is no value; type a whole number from 1 to 255.").format(text=text)
            raise WorklistError(msg)
        return {"value": int(text)}
    if column == _PHRASES:
        return {"phrases": phrasesOf(text)}
    return {"color": text.lower()} if column == _COLOR else {"name": text}
