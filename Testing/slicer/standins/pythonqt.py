"""Qt objects as PythonQt shows them: properties are attributes, nothing else may be set, constructors take no keywords.

Each class that Slicer listed becomes a Python class here; its objects hold a PySide6 object and let through only what
is listed for that class.
"""

from __future__ import annotations

import enum
import weakref
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.slicer.standins import api
from Testing.slicer.standins.signals import Signal, mistyped

_NATIVE_VALUES = (QtCore.QSize, QtGui.QIcon, QtGui.QKeySequence, QtGui.QColor, QtGui.QFont, QtGui.QPixmap)
_classes: dict[str, type] = {}


class Value(int):
    """A value of a Qt enumeration, an integer as in PythonQt; remembers what PySide6 calls it."""

    native: Any

    def __new__(cls, native: Any) -> Value:
        """The integer of a PySide6 enumeration value."""
        number = super().__new__(cls, native.value)
        number.native = native
        return number


class _ClassWithValues(type):
    """Lets `qt.QCompleter.PopupCompletion` through, if Slicer listed it."""

    def __getattr__(cls, name: str) -> Any:
        described = api.described(cls.described_as)
        if name not in described.values:
            msg = f"type object '{cls.__name__}' has no attribute '{name}'"
            raise AttributeError(msg)
        return Value(getattr(cls.native_class, name))


class Object(metaclass=_ClassWithValues):
    """A Qt object seen from PythonQt."""

    native_class: type = QtCore.QObject
    described_as = "QObject"

    def __init__(self, *args: Any, **keywords: Any) -> None:
        if keywords:
            msg = f"{type(self).__name__}: constructors take no keyword arguments, got {', '.join(keywords)}"
            raise ValueError(msg)
        self._hold(type(self).native_class(*(to_native(one) for one in args)))

    def _hold(self, native: QtCore.QObject) -> None:
        object.__setattr__(self, "_native", native)
        # Weak, as in PythonQt: an object without a parent and without a name in Python is deleted.
        native.__dict__["seen_from_python"] = weakref.ref(self)

    def __getattr__(self, name: str) -> Any:
        described = api.described(type(self).described_as)
        if name == "name":  # PythonQt's own short form
            name = "objectName"
        if name in described.signal_names:
            return Signal(self, name)
        if name in described.properties:
            return to_python(self._native.property(name))
        if name in described.methods:
            return _Method(self._native, name)
        msg = f"{type(self).__name__} has no attribute named '{name}'"
        raise AttributeError(msg)

    def __setattr__(self, name: str, value: Any) -> None:
        described = api.described(type(self).described_as)
        if name == "name":
            name = "objectName"
        if name not in described.properties:
            msg = f"attribute {name!r} of {type(self).__name__} object is not settable or does not exist"
            raise AttributeError(msg)
        if self._native.metaObject().indexOfProperty(name) < 0:
            msg = f"this stand-in of {type(self).__name__} lacks the property {name!r}"
            raise NotImplementedError(msg)
        if not self._native.setProperty(name, to_native(value)):
            msg = f"Property '{name}' of type '{type(self).__name__}' does not accept an object of type {type(value)}"
            raise ValueError(msg)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._native.objectName()!r}>"

    def connect(self, signature: str, callback: Any) -> bool:
        """Connect a signal by its exact signature; a mistyped one prints a line and returns False, as in PythonQt."""
        described = api.described(type(self).described_as)
        if signature not in described.signals:
            print(f"QObject::connect: no such signal {type(self).__name__}::{signature}")  # noqa: T201
            mistyped.append(f"{type(self).__name__}::{signature}")
            return False
        Signal(self, signature.partition("(")[0], signature).connect(callback)
        return True

    def disconnect(self, signature: str, callback: Any) -> bool:
        """Undo `connect`."""
        return Signal(self, signature.partition("(")[0], signature).disconnect(callback)

    def className(self) -> str:  # noqa: N802 - Qt's name
        """Name of the class in Qt."""
        return type(self).described_as

    def parent(self) -> Object | None:
        """Qt's parent."""
        return to_python(self._native.parent())

    def delete(self) -> None:
        """Delete the object at once."""
        import shiboken6

        shiboken6.delete(self._native)


class _Method:
    """A listed method: takes and gives what PythonQt would."""

    def __init__(self, native: Any, name: str) -> None:
        self._native, self._name = native, name

    def __call__(self, *args: Any) -> Any:
        method = getattr(self._native, self._name, None)
        if method is None:
            msg = f"this stand-in lacks {type(self._native).__name__}.{self._name}"
            raise NotImplementedError(msg)
        return to_python(method(*(to_native(one) for one in args)))


class Item:
    """A cell or row of a Qt item widget: no QObject, so PythonQt shows its methods and no properties.

    Slicer's description of itself lists objects only, so what is let through is named here.
    """

    _METHODS = frozenset({"icon", "setIcon", "setText", "setToolTip", "text", "toolTip"})

    def __init__(self, native: Any) -> None:
        object.__setattr__(self, "_native", native)

    def __getattr__(self, name: str) -> _Method:
        if name not in self._METHODS:
            msg = f"this stand-in of {type(self._native).__name__} lacks {name}"
            raise NotImplementedError(msg)
        return _Method(self._native, name)

    def __setattr__(self, name: str, value: Any) -> None:
        msg = f"attribute {name!r} of {type(self._native).__name__} is not settable; call a method"
        raise AttributeError(msg)


def make_class(name: str, native_class: type, described_as: str | None = None) -> type:
    """The class through which Python sees the objects of a PySide6 class."""
    made = type(name, (Object,), {"native_class": native_class, "described_as": described_as or name})
    _classes[native_class.__name__] = made
    return made


def to_python(value: Any) -> Any:
    """A PySide6 value as PythonQt would give it."""
    if isinstance(value, QtCore.QObject):
        seen = value.__dict__.get("seen_from_python")
        found = seen() if seen else None
        if found is None:
            found = object.__new__(_class_of(value))
            found._hold(value)
        return found
    if isinstance(value, QtWidgets.QListWidgetItem | QtWidgets.QTableWidgetItem):
        return Item(value)
    if isinstance(value, enum.Enum):
        return Value(value)
    if isinstance(value, list | tuple):
        return tuple(to_python(one) for one in value)
    return value


def to_native(value: Any) -> Any:
    """A value from Python as PySide6 wants it."""
    if isinstance(value, Object | Item):
        return value._native
    if isinstance(value, Value):
        return value.native
    if isinstance(value, type) and issubclass(value, Object):
        return value.native_class
    if isinstance(value, list | tuple):
        return [to_native(one) for one in value]
    return value


def _class_of(native: QtCore.QObject) -> type:
    for base in type(native).__mro__:
        if base.__name__ in _classes:
            return _classes[base.__name__]
    return _classes["QWidget"] if isinstance(native, QtWidgets.QWidget) else Object
