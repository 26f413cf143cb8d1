"""`slicer.parameterNodeWrapper`: typed attributes kept in a scripted module node, bound to widgets by their name.

As in Slicer, only exact pairs of widget class and type have a connector; `QPlainTextEdit` has none, and a slider
refuses a number without range.
"""

from __future__ import annotations

import enum
import json
import typing
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import slicer
import vtk

_UPDATING = "_updating"


@dataclass
class WithinRange:
    """The value must lie between two numbers, both included."""

    minimum: float
    maximum: float


@dataclass
class Default:
    """Value before anyone sets one."""

    value: Any


@dataclass
class Choice:
    """The value must be one of these."""

    choices: list[Any]


class _Parameter:
    """One typed attribute: how it is stored in the node."""

    def __init__(self, name: str, hint: Any, default: Any) -> None:
        annotated = typing.get_origin(hint) is typing.Annotated
        self.name = name
        self.type = typing.get_args(hint)[0] if annotated else hint
        self.annotations = typing.get_args(hint)[1:] if annotated else ()
        for one in self.annotations:
            default = one.value if isinstance(one, Default) else default
        self.default = self._empty() if default is None else default

    @property
    def node_types(self) -> tuple[str, ...]:
        """Names of the node classes; empty for a plain value."""
        kinds = typing.get_args(self.type) or (self.type,)
        named = [kind.__name__ for kind in kinds if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)]
        return tuple(named)

    def _empty(self) -> Any:
        if self.node_types:
            return None
        origin = typing.get_origin(self.type) or self.type
        if origin not in (str, bool, int, float, list) and not issubclass(origin, enum.Enum):
            msg = f"no serializer for {self.type} of the parameter {self.name}"
            raise TypeError(msg)
        return next(iter(origin)) if issubclass(origin, enum.Enum) else origin()

    def read(self, node: Any) -> Any:
        if self.node_types:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if not text:
            return list(self.default) if isinstance(self.default, list) else self.default
        value = json.loads(text)
        return self.type[value] if isinstance(self.type, type) and issubclass(self.type, enum.Enum) else value

    def write(self, node: Any, value: Any) -> None:
        if self.node_types:
            if value is not None and not any(value.IsA(name) for name in self.node_types):
                msg = f"{self.name} takes {self.node_types}, got {value.GetClassName()}"
                raise ValueError(msg)
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
            return
        self._check(value)
        node.SetParameter(self.name, json.dumps(value.name if isinstance(value, enum.Enum) else value))

    def _check(self, value: Any) -> None:
        origin = typing.get_origin(self.type) or self.type
        accepted = (int, float) if origin is float else origin
        if not isinstance(value, accepted) or (isinstance(value, bool) and origin is not bool):
            msg = f"{self.name} takes {self.type}, got {value!r}"
            raise TypeError(msg)
        for one in self.annotations:
            if isinstance(one, WithinRange) and not one.minimum <= value <= one.maximum:
                msg = f"{self.name} must lie in [{one.minimum}, {one.maximum}], got {value}"
                raise ValueError(msg)
            if isinstance(one, Choice) and value not in one.choices:
                msg = f"{self.name} must be one of {one.choices}, got {value!r}"
                raise ValueError(msg)


class _Connector:
    """A widget bound to a parameter."""

    def __init__(self, widget: Any, parameter: _Parameter) -> None:
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

    def _set_choices(self, parameter: _Parameter) -> None:
        choices = [one for one in parameter.annotations if isinstance(one, Choice)]
        if not choices:
            msg = "ComboBoxToStringableConnector requires the Choice annotation to be used."
            raise RuntimeError(msg)
        self.widget.clear()
        self.widget.addItems(choices[0].choices)

    def _set_range(self, parameter: _Parameter) -> None:
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

    allParameters: dict[str, _Parameter] = {}  # noqa: RUF012, N815 - Slicer's name

    def __init__(self, parameterNode: Any) -> None:  # noqa: N803
        for name, value in (("parameterNode", parameterNode), ("_guis", {}), (_UPDATING, False)):
            object.__setattr__(self, name, value)
        for name, parameter in self.allParameters.items():
            if not parameter.node_types and not parameterNode.GetParameter(name):
                parameter.write(parameterNode, parameter.default)

    def __getattr__(self, name: str) -> Any:
        if name in type(self).allParameters:
            return self.allParameters[name].read(self.parameterNode)
        msg = f"{type(self).__name__} has no attribute {name!r}"
        raise AttributeError(msg)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.allParameters:
            msg = f"{type(self).__name__} has no parameter {name!r}"
            raise AttributeError(msg)
        self.allParameters[name].write(self.parameterNode, value)

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
            if not getattr(self, _UPDATING):
                setattr(self, name, connector.read())

        return changed

    def _show(self) -> None:
        if getattr(self, _UPDATING):
            return
        object.__setattr__(self, _UPDATING, True)
        try:
            for connectors, _ in self._guis.values():
                for name, connector in connectors.items():
                    connector.write(getattr(self, name))
        finally:
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
    parameters = {name: _Parameter(name, hint, getattr(classtype, name, None)) for name, hint in hints.items()}
    taken = [name for name in parameters if name in dir(_Wrapper)]
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
