"""`slicer.app` without an application: testing mode on, a main window only where a test asks for one."""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir
from types import SimpleNamespace
from typing import Any

import slicer
from PySide6.QtCore import QObject
from PySide6.QtCore import Signal as NativeSignal
from PySide6.QtWidgets import QApplication

from Testing.slicer.standins import api
from Testing.slicer.standins.io_manager import IOManager
from Testing.slicer.standins.pythonqt import Object, make_class
from Testing.slicer.standins.qt_module import _SettingsOfTest


class _ModuleManager(QObject):
    """The part of the module manager that a module's widget connects to."""

    moduleAboutToBeUnloaded = NativeSignal(str)  # noqa: N815


class _Application(QObject):
    """The methods of `slicer.app` that the module uses."""

    aboutToQuit = NativeSignal()  # noqa: N815
    startupCompleted = NativeSignal()  # noqa: N815

    def __init__(self) -> None:
        super().__init__()
        self.is_testing, self.logic = True, None
        self.manager, self.board = Modules(_ModuleManager()), Clipboard()
        self.io_manager = IOManager()

    def testingEnabled(self) -> bool:  # noqa: N802
        """True: no dialog waits for a person."""
        return self.is_testing

    def applicationLogic(self) -> Any:  # noqa: N802
        """The logic of the real scene."""
        return self.logic

    def layoutManager(self) -> None:  # noqa: N802
        """None, as without a main window."""

    def moduleManager(self) -> Any:  # noqa: N802
        """Announces modules that are about to be unloaded."""
        return self.manager

    def processEvents(self) -> None:  # noqa: N802
        """Let Qt do what is due."""
        QApplication.processEvents()

    def coreIOManager(self) -> Any:  # noqa: N802
        """Loads files."""
        return self.io_manager

    def clipboard(self) -> Any:
        """What other programs can paste."""
        return self.board

    def settings(self) -> Any:
        """The user's settings."""
        return _SettingsOfTest()

    userSettings = settings  # noqa: N815

    def setOverrideCursor(self, cursor: Any) -> None:  # noqa: N802
        """Nothing to see."""

    def restoreOverrideCursor(self) -> None:  # noqa: N802
        """Nothing to see."""


class Modules(Object):
    """What `slicer.app.moduleManager()` gives; not described by Slicer, so only the one signal is let through."""

    def __init__(self, native: QObject) -> None:
        self._hold(native)

    def connect(self, signature: str, callback: Any) -> bool:
        """Connect the one signal."""
        assert signature == "moduleAboutToBeUnloaded(QString)"
        self._native.moduleAboutToBeUnloaded.connect(callback)
        return True

    def disconnect(self, signature: str, callback: Any) -> bool:
        """Undo `connect`."""
        assert signature == "moduleAboutToBeUnloaded(QString)"
        return bool(self._native.moduleAboutToBeUnloaded.disconnect(callback))

    def module(self, name: str) -> Any:
        """A module by its name; None if there is none."""
        return getattr(slicer.modules, name.lower(), None)


class Clipboard:
    """`slicer.app.clipboard()`: text only."""

    def __init__(self) -> None:
        self._text = ""

    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Put a text there."""
        assert isinstance(text, str)
        self._text = text

    def text(self) -> str:
        """The text that is there."""
        return self._text


_PROPERTIES: dict[str, Any] = {
    "applicationName": "Slicer", "applicationVersion": "5.13.0", "majorVersion": 5, "minorVersion": 13,
    "os": "linux", "arch": "amd64", "slicerHome": "", "revision": "0",
}  # fmt: skip


def make_application() -> Object:
    """`slicer.app`; starts Qt off screen."""
    if QApplication.instance() is None:
        QApplication(["Slicer", "-platform", "offscreen"])
    base = make_class("slicer.app", _Application, "slicer.app")

    class Application(base):  # type: ignore[misc, valid-type]
        """Adds the properties that a bare object lacks."""

        def __getattr__(self, name: str) -> Any:
            if name == "temporaryPath":
                return str(Path(gettempdir()))
            if name in _PROPERTIES:
                assert name in api.described("slicer.app").properties
                return _PROPERTIES[name]
            return super().__getattr__(name)

    return Application()


def make_module_proxy(name: str, path: str) -> SimpleNamespace:
    """The `parent` that Slicer gives to a module class, with the attributes of qSlicerScriptedLoadableModule."""
    return SimpleNamespace(
        name=name, path=path, title="", categories=[], dependencies=[], contributors=[], helpText="",
        acknowledgementText="", hidden=False, icon=None, associatedNodeTypes=[],
        widgetRepresentationCreationEnabled=True,
    )  # fmt: skip
