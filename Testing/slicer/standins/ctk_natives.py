"""ctk widgets drawn with PySide6: what they look like hardly matters, what they do does."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QHBoxLayout,
    QSlider,
    QStyle,
    QStyleOptionButton,
    QStylePainter,
    QWidget,
)

_STEPS = 1000


class ctkCollapsibleButton(QWidget):  # noqa: N801 - ctk's name
    """A headline that shows and hides its children."""

    contentsCollapsed = Signal(bool)  # noqa: N815
    clicked = Signal(bool)
    _HEAD_PX = 26

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text, self._collapsed = "", False
        self.setContentsMargins(0, self._HEAD_PX, 0, 0)

    def _set_collapsed(self, value: bool) -> None:
        self._collapsed = value
        for child in self.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
            child.setVisible(not value)
        self.setMaximumHeight(self._HEAD_PX if value else 16777215)
        self.contentsCollapsed.emit(value)

    def _set_text(self, value: str) -> None:
        self._text = value
        self.update()

    text = Property(str, lambda self: self._text, _set_text)
    collapsed = Property(bool, lambda self: self._collapsed, _set_collapsed)

    def paintEvent(self, _event: Any) -> None:  # noqa: N802
        """The headline."""
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect = self.rect().adjusted(0, 0, -1, self._HEAD_PX - 3 - self.height())
        option.text = f"{'▸' if self._collapsed else '▾'}  {self._text}"
        QStylePainter(self).drawControl(QStyle.ControlElement.CE_PushButton, option)

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802
        """A click on the headline folds."""
        if event.position().y() < self._HEAD_PX:
            self._set_collapsed(not self._collapsed)
            self.clicked.emit(self._collapsed)


class ctkSliderWidget(QWidget):  # noqa: N801
    """A slider with a box for the number."""

    valueChanged = Signal(float)  # noqa: N815
    valueIsChanging = Signal(float)  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider, self._box = QSlider(Qt.Orientation.Horizontal, self), QDoubleSpinBox(self)
        self._slider.setRange(0, _STEPS)
        self._value = 0.0
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        layout.addWidget(self._box)
        self._slider.valueChanged.connect(self._slid)
        self._box.valueChanged.connect(self._set_value)

    def _slid(self, position: int) -> None:
        low, high = self._box.minimum(), self._box.maximum()
        self._set_value(low + (high - low) * position / _STEPS)

    def _set_value(self, value: float) -> None:
        value = round(min(max(value, self._box.minimum()), self._box.maximum()), self._box.decimals())
        if value == self._value:
            return
        self._value = value
        self._show()
        self.valueChanged.emit(value)

    def _show(self) -> None:
        low, high = self._box.minimum(), self._box.maximum()
        with QSignalBlocker(self._slider), QSignalBlocker(self._box):
            self._box.setValue(self._value)
            self._slider.setValue(round(_STEPS * (self._value - low) / ((high - low) or 1)))

    def setValue(self, value: float) -> None:  # noqa: N802
        """Set the value; one out of range is clamped."""
        self._set_value(value)

    def _set_minimum(self, value: float) -> None:
        self._box.setMinimum(value)
        self._set_value(max(self._value, value))
        self._show()

    def _set_maximum(self, value: float) -> None:
        self._box.setMaximum(value)
        self._set_value(min(self._value, value))
        self._show()

    value = Property(float, lambda self: self._value, _set_value)
    minimum = Property(float, lambda self: self._box.minimum(), _set_minimum)
    maximum = Property(float, lambda self: self._box.maximum(), _set_maximum)
    singleStep = Property(float, lambda self: self._box.singleStep(), lambda self, v: self._box.setSingleStep(v))  # noqa: N815
    decimals = Property(int, lambda self: self._box.decimals(), lambda self, v: self._box.setDecimals(v))
    tracking = Property(bool, lambda self: self._slider.hasTracking(), lambda self, v: self._slider.setTracking(v))
    suffix = Property(str, lambda self: self._box.suffix(), lambda self, v: self._box.setSuffix(v))


ALL = (ctkCollapsibleButton, ctkSliderWidget)
