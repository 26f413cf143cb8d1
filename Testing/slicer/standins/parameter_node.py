"""`slicer.parameterNodeWrapper`: typed attributes kept in a scripted module node, bound to widgets by their name.

As in Slicer, only exact pairs of widget class and type have a connector; `QPlainTextEdit` has none, and a slider
refuses a number without range. What is bound observes its node for ever.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from types import ModuleType
from typing import Any

import vtk

from Testing.slicer.standins.parameter_values import Cached, Choice, Default, Parameter, WithinRange

_UPDATING = "_updating"
# What Slicer adds to the class besides what is here.
_RESERVED = frozenset({"Modified", "dataType", "default", "getValue", "isCached", "setValue"})


class _Connector:
    """A widget bound to a parameter."""

    def __init__(self, widget: Any, parameter: Parameter) -> None:
        self.widget = widget
        kind = widget.className()
        plain = parameter.type if isinstance(parameter.type, type) else None
        pairs: dict[tuple[str, Any], tuple[str, str]] = {
            ("QCheckBox", bool): ("stateChanged", "checked"),
            ("QPushButton", bool): ("toggled", "checked"),
            ("ctkSliderWidget", float): ("valueChanged", "value"),
            ("QLineEdit", str): ("textChanged", "text"),
            ("QTextEdit", str): ("textChanged", "plainText"),
            ("QComboBox", str): ("currentIndexChanged", "currentText"),
        }
        if kind == "qMRMLNodeComboBox" and parameter.node_types:
            widget.nodeTypes = list(parameter.node_types)
            self.signal, self.attribute = "currentNodeChanged", None
        elif (kind, plain) in pairs:
            self.signal, self.attribute = pairs[kind, plain]
        else:
            msg = f"Unable to create GUI connector from datatype '{parameter.type}' to widget type '{kind}'"
            raise RuntimeError(msg)
        if kind == "ctkSliderWidget":
            self._set_range(parameter)
        if kind == "QComboBox":
            self._set_choices(parameter)

    def _set_choices(self, parameter: Parameter) -> None:
        choices = [one for one in parameter.annotations if isinstance(one, Choice)]
        if not choices:
            msg = "ComboBoxToStringableConnector requires the Choice annotation to be used."
            raise RuntimeError(msg)
        self.widget.clear()
        self.widget.addItems(choices[0].choices)

    def _set_range(self, parameter: Parameter) -> None:
        limits = [one for one in parameter.annotations if isinstance(one, WithinRange)]
        if not limits:
            msg = "Cannot have a connection to ctkSliderWidget where the float types is unbounded."
            raise RuntimeError(msg)
        self.widget.minimum, self.widget.maximum = limits[0].minimum, limits[0].maximum

    def read(self) -> Any:
        return getattr(self.widget, self.attribute) if self.attribute else self.widget.currentNode()

    def write(self, value: Any) -> None:
        if self.attribute:
            setattr(self.widget, self.attribute, value)
        else:
            self.widget.setCurrentNode(value)


class _Wrapper:
    """What the decorated class gets."""

    allParameters: dict[str, Parameter] = {}  # noqa: RUF012, N815 - Slicer's name

    def __init__(self, parameterNode: Any) -> None:  # noqa: N803
        cached = {name: Cached(parameter, parameterNode) for name, parameter in self.allParameters.items()}
        for name, value in (("parameterNode", parameterNode), ("_guis", {}), (_UPDATING, False), ("_cached", cached)):
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name in type(self).allParameters:
            return self._cached[name].value
        msg = f"{type(self).__name__} has no attribute {name!r}"
        raise AttributeError(msg)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.allParameters:
            msg = f"{type(self).__name__} has no parameter {name!r}"
            raise AttributeError(msg)
        self._cached[name].write(value)

    def connectGui(self, gui: Any) -> None:  # noqa: N802
        """Bind each widget whose property SlicerParameterName is a parameter; no tag comes back, as in Slicer 5.12."""
        named = {widget.property("SlicerParameterName"): widget for widget in vars(gui).values()}
        self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:  # noqa: N802
        """Bind each widget to the parameter it is named by; the tag is for `disconnectGui`."""
        connectors = {}
        for name, widget in mapping.items():
            if name not in self.allParameters:
                msg = f"Cannot find a param with the given name: {name}"
                raise ValueError(msg)
            connectors[name] = _Connector(widget, self.allParameters[name])
        tag = max(self._guis, default=-1) + 1
        callbacks = {name: self._reader(name, connector) for name, connector in connectors.items()}
        self._guis[tag] = (connectors, callbacks)
        for name, connector in connectors.items():
            connector.write(getattr(self, name))
            getattr(connector.widget, connector.signal).connect(callbacks[name])
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._show())
        return tag

    def disconnectGui(self, guiTag: int) -> None:  # noqa: N802, N803
        """Undo `connectParametersToGui`."""
        connectors, callbacks = self._guis.pop(guiTag, ({}, {}))
        for name, connector in connectors.items():
            getattr(connector.widget, connector.signal).disconnect(callbacks[name])

    def _reader(self, name: str, connector: _Connector) -> Callable[[], None]:
        def changed() -> None:
            was_modified = self.StartModify()
            try:
                if not getattr(self, _UPDATING):
                    setattr(self, name, connector.read())
            finally:
                self.EndModify(was_modified)

        return changed

    def _show(self) -> None:
        if getattr(self, _UPDATING):
            return
        object.__setattr__(self, _UPDATING, True)
        was_modified = self.StartModify()
        try:
            for connectors, _ in self._guis.values():
                for name, connector in connectors.items():
                    connector.write(getattr(self, name))
        finally:
            self.EndModify(was_modified)
            object.__setattr__(self, _UPDATING, False)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:  # noqa: N802
        """The node's."""
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:  # noqa: N802
        """The node's."""
        self.parameterNode.RemoveObserver(tag)

    def StartModify(self) -> int:  # noqa: N802
        """The node's."""
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: int) -> None:  # noqa: N802, N803
        """The node's."""
        self.parameterNode.EndModify(wasModified)


def parameterNodeWrapper(classtype: type) -> type:  # noqa: N802
    """The class decorator."""
    hints = typing.get_type_hints(classtype, include_extras=True)
    parameters = {name: Parameter(name, hint, getattr(classtype, name, None)) for name, hint in hints.items()}
    taken = [name for name in parameters if name in dir(_Wrapper) or name in _RESERVED]
    if taken:
        msg = f"Cannot use reserved name '{taken[0]}' in a parameterNodeWrapper"
        raise ValueError(msg)
    return type(classtype.__name__, (_Wrapper,), {"allParameters": parameters, "__doc__": classtype.__doc__})


def make_parameter_node_wrapper() -> ModuleType:
    """The module `slicer.parameterNodeWrapper`."""
    module = ModuleType("slicer.parameterNodeWrapper")
    for one in (parameterNodeWrapper, WithinRange, Default, Choice):
        setattr(module, one.__name__, one)
    return module
