"""Stands for the module of the PyTorch extension: built alike, and wanting what the real one wants.

Its panel needs Qt and Slicer's base classes when the file is loaded; a question needs the application; what it installs
it installs through `slicer.util` and then imports.
"""

from __future__ import annotations

import qt
import slicer.util
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)


class PyTorchUtils(ScriptedLoadableModule):
    """The module."""


class PyTorchUtilsWidget(ScriptedLoadableModuleWidget):
    """Its panel."""

    def setup(self) -> None:
        """Needs a window."""
        qt.QPushButton()


class PyTorchUtilsLogic(ScriptedLoadableModuleLogic):
    """What other modules call."""

    def __init__(self) -> None:
        self._torch = None

    def installTorch(  # noqa: N802 - the extension's name
        self,
        askConfirmation: bool = False,  # noqa: N803
        forceComputationBackend: str | None = None,  # noqa: N803
        torchVersionRequirement: str | None = None,  # noqa: N803
        torchvisionVersionRequirement: str | None = None,  # noqa: N803
    ) -> object:
        """Install and import torch."""
        if askConfirmation and not slicer.app.testingEnabled():
            return None
        slicer.util.pip_install(f"torch{torchVersionRequirement or ''}")
        import torch

        return torch


class PyTorchUtilsTest(ScriptedLoadableModuleTest):
    """Its test."""
