"""The Segment Editor without its widgets: masking and undo are Slicer's own logic, the rest follows its sources.

`slicer_api.json` does not describe effects. What a scripted effect may call and set is listed here as the headers of
`qSlicerSegmentEditorAbstractEffect` and `qSlicerSegmentEditorScriptedEffect` declare it; nothing else is let through.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import slicer

_PROPERTIES = ("name", "title", "perSegment", "requireSegments", "showEffectCursorInSliceView")
_MASK_BYPASSED = False
registered: dict[str, Any] = {}
"""Effects by name, as in the factory."""


class ScriptedEffect:
    """`qSlicerSegmentEditorScriptedEffect`."""

    def __init__(self, parent: Any) -> None:
        assert parent is None
        self.__dict__.update(dict.fromkeys(_PROPERTIES), _self=None, _editor=None, _widgets=[])

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _PROPERTIES:
            msg = f"attribute {name!r} of qSlicerSegmentEditorScriptedEffect is not settable or does not exist"
            raise AttributeError(msg)
        self.__dict__[name] = value

    def setPythonSource(self, path: str) -> bool:  # noqa: N802
        """Make the Python side: an attribute of the package, named like folder and file, as in Slicer."""
        source = Path(path)
        name = source.stem if source.stem.endswith("Effect") else f"{source.stem}Effect"
        package = sys.modules.get(source.parent.name)
        assert package is not None, f"Slicer would make an empty module {source.parent.name}"
        assert hasattr(package, name), f"Slicer would load {source.name} in the place of the package {package.__name__}"
        self.__dict__["_self"] = getattr(package, name)(self)
        return True

    def self(self) -> Any:
        """The Python side."""
        return self._self

    def parameterSetNode(self) -> Any:  # noqa: N802
        """The node of the editor."""
        return self._editor.mrmlSegmentEditorNode() if self._editor is not None else None

    def addOptionsWidget(self, widget: Any) -> None:  # noqa: N802
        """Keep it on the side of C++, as a layout does."""
        self._widgets.append(widget)

    def parameter(self, name: str) -> str:
        """A parameter of this effect, kept in the editor's node."""
        value = self.parameterSetNode().GetAttribute(f"{self.name}.{name}")
        assert value is not None, f"Parameter named {name} cannot be found for effect {self.name}"
        return value

    def setParameter(self, name: str, value: str) -> None:  # noqa: N802
        """Store a parameter; the editor follows."""
        assert isinstance(value, str)
        if self.parameterSetNode().GetAttribute(f"{self.name}.{name}") != value:
            self.parameterSetNode().SetAttribute(f"{self.name}.{name}", value)
            self._editor._follow()

    def setParameterDefault(self, name: str, value: str) -> None:  # noqa: N802
        """Store a parameter that is not there yet."""
        if self.parameterSetNode().GetAttribute(f"{self.name}.{name}") is None:
            self.setParameter(name, value)

    def confirmCurrentSegmentVisible(self) -> int:  # noqa: N802
        """`ConfirmedWithoutDialog`: nobody is asked."""
        return 1

    def defaultModifierLabelmap(self) -> Any:  # noqa: N802
        """An empty labelmap on the editor's grid."""
        logic = self._editor._logic
        logic.UpdateReferenceGeometryImage()
        logic.ResetModifierLabelmapToDefault()
        return logic.GetModifierLabelmap()

    def saveStateForUndo(self) -> None:  # noqa: N802
        """Keep the segmentation as it is now."""
        self._editor._logic.SaveStateForUndo()

    def modifySegmentByLabelmap(self, node: Any, segmentId: str, labelmap: Any, mode: int) -> None:  # noqa: N802, N803
        """Change a segment within the mask."""
        self._editor._logic.ModifySegmentByLabelmap(node, segmentId, labelmap, mode, self.perSegment, _MASK_BYPASSED)


class SegmentEditorWidget:
    """`qMRMLSegmentEditorWidget`, as far as tests of an effect need it; each name is one that Slicer listed."""

    def __init__(self) -> None:
        self._effects: dict[str, ScriptedEffect] = {}
        self._active: ScriptedEffect | None = None
        self._logic = slicer.vtkSlicerSegmentEditorLogic()

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        """Work in this scene."""
        self._logic.SetMRMLScene(scene)

    def setMRMLSegmentEditorNode(self, node: Any) -> None:  # noqa: N802
        """Keep choices in this node."""
        self._logic.SetSegmentEditorNode(node)

    def mrmlSegmentEditorNode(self) -> Any:  # noqa: N802
        """Where choices are kept."""
        return self._logic.GetSegmentEditorNode()

    def setSegmentationNode(self, node: Any) -> None:  # noqa: N802
        """Edit this segmentation."""
        self._logic.SetSegmentationNode(node)
        history = slicer.vtkSegmentationHistory()
        history.SetSegmentation(node.GetSegmentation())
        self._logic.SetSegmentationHistory(history)
        self._follow()

    def setSourceVolumeNode(self, node: Any) -> None:  # noqa: N802
        """Edit on this image."""
        self._logic.SetSourceVolumeNode(node)
        self._follow()

    def setCurrentSegmentID(self, segmentId: str) -> None:  # noqa: N802, N803
        """Edit this segment."""
        self._logic.SetCurrentSegmentID(segmentId)
        self._follow()

    def setActiveEffectByName(self, name: str) -> None:  # noqa: N802
        """Choose an effect; an empty name chooses none."""
        if self._active is not None:
            self._active.self().deactivate()
        self._active = self._effect(name) if name else None
        if self._active is not None:
            self._active.self().activate()
            self._active.self().updateGUIFromMRML()

    def activeEffect(self) -> ScriptedEffect | None:  # noqa: N802
        """The effect that was chosen."""
        return self._active

    def undo(self) -> None:
        """One step back."""
        self._logic.Undo()

    def deleteLater(self) -> None:  # noqa: N802
        """Delete it with its effects."""
        for effect in self._effects.values():
            effect.self().cleanup()

    def _follow(self) -> None:
        """Tell the effects that something changed."""
        for effect in self._effects.values():
            effect.self().updateGUIFromMRML()

    def _effect(self, name: str) -> ScriptedEffect:
        if name not in self._effects:
            made = registered[name].self().clone()
            made.__dict__["_editor"] = self
            made.self().setMRMLDefaults()
            made.self().setupOptionsFrame()
            self._effects[name] = made
        return self._effects[name]


class _AbstractEffect:
    """`AbstractScriptedSegmentEditorEffect`."""

    def __init__(self, scriptedEffect: ScriptedEffect) -> None:  # noqa: N803
        self.scriptedEffect = scriptedEffect

    def register(self) -> None:
        """Make the effect known to the factory."""
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        effects.qSlicerSegmentEditorEffectFactory().instance().registerEffect(self.scriptedEffect)


class _Factory:
    """`qSlicerSegmentEditorEffectFactory`."""

    def instance(self) -> _Factory:
        """The only one."""
        return self

    def registerEffect(self, effect: ScriptedEffect) -> bool:  # noqa: N802
        """False if there is one of that name."""
        assert effect.name
        if effect.name in registered:
            return False
        registered[effect.name] = effect
        return True


class SegmentEditorPanel:
    """The Python side of the module SegmentEditor: chooses nodes by itself when it is opened for the first time."""

    def __init__(self) -> None:
        import qt

        self.parent = slicer.qMRMLWidget()
        self.parent.setLayout(qt.QVBoxLayout())
        self.layout = self.parent.layout()
        self._isSetUp = False

    def enter(self) -> None:
        """Shown; without a segmentation it makes one."""
        node = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
        if node is None:
            node = slicer.vtkMRMLSegmentEditorNode()
            node.SetSingletonTag("SegmentEditor")
            node = slicer.mrmlScene.AddNode(node)
        if not self._isSetUp:
            self._isSetUp = True
            node.SetAndObserveSourceVolumeNode(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"))
        if node.GetSegmentationNode() is None:
            node.SetAndObserveSegmentationNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode"))

    def exit(self) -> None:
        """Another module is shown."""


class _Representation:
    """`qSlicerScriptedLoadableModuleWidget`."""

    def __init__(self, panel: SegmentEditorPanel) -> None:
        self._panel = panel

    def self(self) -> SegmentEditorPanel:
        """The Python side."""
        return self._panel


class MainWindow:
    """The main window, as far as modules are chosen in it.

    Attributes:
        panels: Module widgets by name.
        shown: Name of the module that is shown.
    """

    def __init__(self) -> None:
        self.panels: dict[str, Any] = {}
        self.shown = "TextGuidedSeg"

    def moduleSelector(self) -> MainWindow:  # noqa: N802
        """Itself: one object does."""
        return self

    @property
    def selectedModule(self) -> str:  # noqa: N802
        """Name of the module that is shown."""
        return self.shown

    def selectModule(self, name: str) -> None:  # noqa: N802
        """Show another module."""
        if name != self.shown:
            self.panels[self.shown].exit()
            self.shown = name
            self.panels[name].enter()


def install(monkeypatch: pytest.MonkeyPatch) -> MainWindow:
    """Make this Slicer one with a Segment Editor; call before its start is completed.

    Args:
        monkeypatch: Takes everything away again.

    Returns:
        A main window that shows the module TextGuidedSeg, whose widget the test puts among the `panels`.
    """
    registered.clear()
    panel = SegmentEditorPanel()
    effects = ModuleType("qSlicerSegmentationsEditorEffectsPythonQt")
    effects.qSlicerSegmentEditorScriptedEffect = ScriptedEffect
    effects.qSlicerSegmentEditorEffectFactory = _Factory
    abstract = ModuleType("SegmentEditorEffects")
    abstract.AbstractScriptedSegmentEditorEffect = _AbstractEffect
    for one in (effects, abstract):
        monkeypatch.setitem(sys.modules, one.__name__, one)
    logic = slicer.vtkSlicerSegmentEditorLogic
    kinds = {name: getattr(logic, name) for name in vars(logic) if name.startswith("ModificationMode")}
    monkeypatch.setattr(slicer, "qSlicerSegmentEditorAbstractEffect", SimpleNamespace(**kinds), raising=False)
    monkeypatch.setattr(slicer, "qSlicerScriptedLoadableModuleWidget", _Representation, raising=False)
    monkeypatch.setattr(slicer, "qMRMLSegmentEditorWidget", SegmentEditorWidget, raising=False)
    module = SimpleNamespace(name="SegmentEditor", widgetRepresentation=lambda: _Representation(panel))
    monkeypatch.setattr(slicer.modules, "segmenteditor", module, raising=False)
    # What the module keeps there goes with the test.
    monkeypatch.setattr(slicer, "_TextGuidedSegEffect", None, raising=False)
    monkeypatch.delattr(slicer, "_TextGuidedSegEffect")
    window = MainWindow()
    window.panels["SegmentEditor"] = panel
    return window
