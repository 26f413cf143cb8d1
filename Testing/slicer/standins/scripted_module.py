"""`slicer.ScriptedLoadableModule` and `slicer.i18n`: the base classes of a scripted module, without developer tools."""

from __future__ import annotations

import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer


class ScriptedLoadableModule:
    """Base of the module class."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        for suffix in (".svg", ".png"):
            icon = Path(self.resourcePath(f"Icons/{self.moduleName}{suffix}"))
            if icon.is_file():
                import qt

                parent.icon = qt.QIcon(str(icon))
                break

    def resourcePath(self, filename: str) -> str:  # noqa: N802 - Slicer's name
        """Path below the module's `Resources`."""
        return str(Path(self.parent.path).parent / "Resources" / filename)

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:  # noqa: N802, N803
        """A sentence with a link."""
        return f'<p>For more information see the <a href="{docPage or ""}">online documentation</a>.</p>'

    def runTest(self, msec: int = 100, **keywords: Any) -> None:  # noqa: N802
        """Not used here: tests run under pytest."""
        msg = "the stand-in runs no self-test; run pytest"
        raise NotImplementedError(msg)


class ScriptedLoadableModuleWidget:
    """Base of the widget class."""

    def __init__(self, parent: Any = None) -> None:
        import qt

        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        if parent is None:
            self.parent = slicer.qMRMLWidget()
            self.parent.setLayout(qt.QVBoxLayout())
            self.parent.setMRMLScene(slicer.mrmlScene)
        else:
            self.parent = parent
        self.layout = self.parent.layout()
        if parent is None:
            self.setup()
            self.parent.show()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, filename: str) -> str:  # noqa: N802
        """Path below the module's `Resources`."""
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def setup(self) -> None:
        """Build the panel."""

    def cleanup(self) -> None:
        """Called when the module is unloaded."""

    def onReload(self) -> None:  # noqa: N802
        """Reload the module, by Slicer's own function."""
        slicer.util.reloadScriptedModule(self.moduleName)

    def _onModuleAboutToBeUnloaded(self, moduleName: str) -> None:  # noqa: N802, N803
        if moduleName == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)


class ScriptedLoadableModuleLogic:
    """Base of the logic class."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:  # noqa: N802
        """The module's node in the scene; created if there is none."""
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.AddNode(self.createParameterNode())
        if node.GetAttribute("ModuleName") != self.moduleName:
            node.SetAttribute("ModuleName", self.moduleName)
        return node

    def getAllParameterNodes(self) -> list[Any]:  # noqa: N802
        """All nodes of this module."""
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self) -> Any:  # noqa: N802
        """A new node, outside the scene."""
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base of the self-test class."""

    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:  # noqa: N802, N803
        """No one is looking."""

    def runTest(self) -> None:  # noqa: N802
        """Calls everything with "test" in its name."""
        for name in dir(self):
            if "test" in name and name != "runTest" and callable(getattr(self, name)):
                getattr(self, name)()


def make_scripted_module() -> ModuleType:
    """The module `slicer.ScriptedLoadableModule`."""
    module = ModuleType("slicer.ScriptedLoadableModule")
    names = (
        ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic, ScriptedLoadableModuleTest,
    )  # fmt: skip
    for one in names:
        setattr(module, one.__name__, one)
    module.__all__ = [one.__name__ for one in names]
    return module


def make_i18n() -> ModuleType:
    """The module `slicer.i18n`, in the language of the sources."""
    module = ModuleType("slicer.i18n")

    module.tr = lambda text: text
    module.translate = lambda context, text: text
    module.getContext = lambda source: Path(source).stem
    return module
