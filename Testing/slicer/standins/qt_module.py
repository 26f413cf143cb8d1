"""The modules `qt` and `ctk`, and the qMRML classes of `slicer`: listed classes only."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.slicer.standins import api, ctk_natives, mrml_natives
from Testing.slicer.standins.pythonqt import Item, Value, make_class

# Not described in `api.json`, which lists objects and widgets only; these are values and a name space.
_VALUES = ("QColor", "QFont", "QIcon", "QKeySequence", "QPixmap", "QSize")
_NAMESPACE = {
    "AlignCenter": "AlignmentFlag", "AlignTop": "AlignmentFlag", "CaseInsensitive": "CaseSensitivity",
    "MatchContains": "MatchFlag", "WaitCursor": "CursorShape",
}  # fmt: skip


def make_qt() -> ModuleType:
    """The module `qt`."""
    module = ModuleType("qt")
    module.QObject = make_class("QObject", QtCore.QObject)
    for name in api.content()["classes"]:
        native = next((getattr(one, name) for one in (QtWidgets, QtGui, QtCore) if hasattr(one, name)), None)
        if native is not None and name != "QObject":
            setattr(module, name, make_class(name, native))
    for name in _VALUES:
        setattr(module, name, _value_maker(getattr(QtGui, name, None) or getattr(QtCore, name)))
    module.QTableWidgetItem = lambda text="": Item(QtWidgets.QTableWidgetItem(text))
    module.Qt = _Namespace()
    module.QSettings = _SettingsOfTest
    module.QFileDialog = FileDialog
    return module


def make_ctk() -> ModuleType:
    """The module `ctk`."""
    module = ModuleType("ctk")
    for native in ctk_natives.ALL:
        setattr(module, native.__name__, make_class(native.__name__, native))
    return module


def make_qmrml() -> dict[str, type]:
    """The qMRML widgets that belong into `slicer`."""
    return {native.__name__: make_class(native.__name__, native) for native in mrml_natives.ALL}


def _value_maker(native: type) -> Any:
    def make(*args: Any) -> Any:
        return native(*args)

    return make


class _Namespace:
    """`qt.Qt`."""

    def __getattr__(self, name: str) -> Value:
        if name not in _NAMESPACE:
            msg = f"this stand-in lacks Qt.{name}"
            raise NotImplementedError(msg)
        return Value(getattr(getattr(QtCore.Qt, _NAMESPACE[name]), name))


class FileDialog:
    """`qt.QFileDialog`: the functions that ask a person, answered by a test; a dialog that nobody expects fails."""

    answer: str | None = None

    @staticmethod
    def getExistingDirectory(parent: Any = None, caption: str = "", folder: str = "") -> str:  # noqa: N802
        """A folder, or "" as if the dialog was closed."""
        return FileDialog._answered("getExistingDirectory", caption)

    @staticmethod
    def getOpenFileName(parent: Any = None, caption: str = "", folder: str = "", kinds: str = "") -> str:  # noqa: N802
        """A file to read, or "" as if the dialog was closed."""
        return FileDialog._answered("getOpenFileName", caption)

    @staticmethod
    def getSaveFileName(parent: Any = None, caption: str = "", path: str = "", kinds: str = "") -> str:  # noqa: N802
        """A file to write, or "" as if the dialog was closed."""
        return FileDialog._answered("getSaveFileName", caption)

    @staticmethod
    def _answered(name: str, caption: str) -> str:
        assert name in api.described("QFileDialog").methods
        if FileDialog.answer is None:
            msg = f"nobody is here to answer the dialog {caption!r}"
            raise AssertionError(msg)
        return FileDialog.answer


class _SettingsOfTest:
    """`qt.QSettings`: one store for the whole application, which a test starts empty."""

    store: dict[str, Any] = {}  # noqa: RUF012 - shared on purpose

    def __getattr__(self, name: str) -> Any:
        kind = NotImplementedError if name in api.described("QSettings").methods else AttributeError
        msg = f"QSettings has no attribute named '{name}' here"
        raise kind(msg)

    def value(self, key: str, default: Any = None) -> Any:
        """What was stored, lists as tuples."""
        found = self.store.get(key, default)
        return tuple(found) if isinstance(found, list) else found

    def setValue(self, key: str, value: Any) -> None:  # noqa: N802 - Qt's name
        """Store."""
        self.store[key] = value

    def allKeys(self) -> tuple[str, ...]:  # noqa: N802 - Qt's name
        """Everything that was stored."""
        return tuple(self.store)

    def contains(self, key: str) -> bool:
        """True if stored."""
        return key in self.store

    def remove(self, key: str) -> None:
        """Forget."""
        self.store.pop(key, None)
