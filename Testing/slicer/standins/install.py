"""Puts the stand-ins where the module looks for them; not for use inside a real Slicer, which has the real things."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import slicer
import slicer.util

from Testing.slicer.standins import api, signals, singletons
from Testing.slicer.standins.application import make_application, make_module_proxy
from Testing.slicer.standins.packaging_module import make_packaging
from Testing.slicer.standins.parameter_node import make_parameter_node_wrapper
from Testing.slicer.standins.qt_module import _SettingsOfTest, make_ctk, make_qmrml, make_qt
from Testing.slicer.standins.sample_data import make_sample_data
from Testing.slicer.standins.scripted_module import make_i18n, make_scripted_module
from Testing.slicer.standins.ui_loader import load_ui

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
_made: dict[str, Any] = {}


def install(monkeypatch: pytest.MonkeyPatch, logic: Any) -> None:
    """Make `import qt`, `import ctk`, `slicer.app` and the rest work for one test, with empty settings.

    Args:
        monkeypatch: Takes everything away again.
        logic: The application logic of the scene.
    """
    singletons.hold()
    if not _made:
        _made.update(app=make_application(), qt=make_qt(), ctk=make_ctk(), qmrml=make_qmrml())
    _SettingsOfTest.store.clear()
    signals.failures.clear()
    signals.mistyped.clear()
    modules = {
        "qt": _made["qt"],
        "ctk": _made["ctk"],
        "slicer.ScriptedLoadableModule": make_scripted_module(),
        "slicer.i18n": make_i18n(),
        "slicer.packaging": make_packaging(),
        "slicer.parameterNodeWrapper": make_parameter_node_wrapper(),
        "SampleData": make_sample_data(),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
        _check_names(name, module)
    monkeypatch.setattr(slicer, "packaging", modules["slicer.packaging"], raising=False)
    for name, one in _made["qmrml"].items():
        monkeypatch.setattr(slicer, name, one, raising=False)
    _made["app"]._native.logic = logic
    monkeypatch.setattr(slicer, "app", _made["app"], raising=False)
    monkeypatch.setattr(slicer.util, "loadUI", load_ui)
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: None)


def _check_names(name: str, module: ModuleType) -> None:
    if name in api.content()["python"]:
        strange = {one for one in vars(module) if not one.startswith("_")} - api.package_names(name)
        assert not strange, f"{name} has no {strange}"


@contextmanager
def loaded_module(monkeypatch: pytest.MonkeyPatch, folder: str, name: str) -> Iterator[ModuleType]:
    """Load a scripted module as Slicer does: the folder on the path, the file by its name, the module class made."""
    monkeypatch.syspath_prepend(folder)
    for known in _of_module(name):
        monkeypatch.delitem(sys.modules, known)
    module = importlib.import_module(name)
    proxy = make_module_proxy(name, str(module.__file__))
    monkeypatch.setattr(slicer.modules, name.lower(), SimpleNamespace(path=proxy.path), raising=False)
    module.instance = getattr(module, name)(proxy)
    yield module
    # All of it: what stays would be mixed with the modules that come back, and know other classes of the same names.
    for known in _of_module(name):
        del sys.modules[known]


def _of_module(name: str) -> list[str]:
    return [one for one in sys.modules if one == name or one.partition(".")[0] == "TextGuidedSegPanel"]
