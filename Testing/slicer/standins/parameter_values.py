"""Values of `slicer.parameterNodeWrapper`: how they are stored in a node, checked and cached, as in Slicer."""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass
from typing import Any

import slicer
import vtk


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


class ObservedList(MutableSequence):
    """What a list is read as: a change of it changes the node; it is no `list` and cannot be added to one."""

    def __init__(self, values: list[Any], save: Callable[[list[Any]], None]) -> None:
        self._values, self._save = values, save

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self._values == (other._values if isinstance(other, ObservedList) else other)

    __hash__ = None  # type: ignore[assignment]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._values[index] = value
        self._save(self._values)

    def __delitem__(self, index: Any) -> None:
        del self._values[index]
        self._save(self._values)

    def insert(self, index: int, value: Any) -> None:
        """Put a value before an index."""
        self._values.insert(index, value)
        self._save(self._values)


class Parameter:
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
        """The value in a node; the default is written where there is none."""
        if not node.HasParameter(f"{self.name}_len" if self._is_list else self.name):  # as after the scene was closed
            self.write(node, self.default)
        if self.node_types:
            return node.GetNodeReference(self.name)
        if self._is_list:
            count = int(node.GetParameter(f"{self.name}_len"))
            values = [node.GetParameter(f"{self.name}_{index}") for index in range(count)]
            return ObservedList(values, lambda new: self.write(node, new))
        text = node.GetParameter(self.name)
        if self.type is bool:
            return text == "True"
        return self.type[text] if issubclass(self.type, enum.Enum) else self.type(text)

    def write(self, node: Any, value: Any) -> None:
        """Store a value as the text that Slicer makes of it, or refuse it."""
        if self.node_types:
            if value is not None and not any(value.IsA(name) for name in self.node_types):
                msg = f"{self.name} takes {self.node_types}, got {value.GetClassName()}"
                raise ValueError(msg)
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
            return
        value = list(value) if self._is_list else value
        self._check(value)
        if not self._is_list:
            node.SetParameter(self.name, value.name if isinstance(value, enum.Enum) else str(value))
            return
        was_modified = node.StartModify()
        for index, one in enumerate(value):
            node.SetParameter(f"{self.name}_{index}", one)
        for index in range(len(value), int(node.GetParameter(f"{self.name}_len") or 0)):
            node.UnsetParameter(f"{self.name}_{index}")
        node.SetParameter(f"{self.name}_len", str(len(value)))
        node.EndModify(was_modified)

    @property
    def _is_list(self) -> bool:
        if typing.get_origin(self.type) is not list:
            return False
        assert typing.get_args(self.type) == (str,), "this stand-in knows lists of texts only"
        return True

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


class Cached:
    """A parameter of one node: read once, and again whenever the node tells that it was modified, as in Slicer."""

    def __init__(self, parameter: Parameter, node: Any) -> None:
        self._parameter, self._node, self._is_writing = parameter, node, False
        self.value = parameter.read(node)
        node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._on_modified)

    def _on_modified(self, *_arguments: Any) -> None:
        if not self._is_writing:
            self.value = self._parameter.read(self._node)

    def write(self, value: Any) -> None:
        """Store a value; the node tells it when it can be read."""
        self._is_writing = True
        was_modified = self._node.StartModify()
        try:
            self._parameter.write(self._node, value)
            self.value = self._parameter.read(self._node)
        finally:
            self._node.EndModify(was_modified)
            self._is_writing = False
