"""Signals as PythonQt shows them: `object.clicked.connect(f)` and `object.connect("clicked(bool)", f)`.

PythonQt drops arguments that a Python function does not take, and prints an exception instead of passing it on; here
such exceptions are also kept in `failures`, so that a test can fail for them.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from typing import Any

from Testing.slicer.standins import api

failures: list[BaseException] = []
"""Exceptions raised by connected functions since the list was emptied."""

mistyped: list[str] = []
"""Signals that were to be connected and do not exist; PythonQt only prints a line, which nobody reads."""


class Signal:
    """One signal of one object."""

    def __init__(self, owner: Any, name: str, signature: str | None = None) -> None:
        self._owner, self._name, self._signature = owner, name, signature
        if not hasattr(owner._native, name):
            msg = f"this stand-in of {type(owner).__name__} lacks the signal {name}"
            raise NotImplementedError(msg)

    def connect(self, callback: Callable[..., Any]) -> bool:
        """Call `callback` with the signal's arguments, or as many of them as it takes."""
        slots = self._owner._native.__dict__.setdefault("slots", {})
        slot = slots[self._name, callback] = _adapted(callback, self._signature or self._longest())
        getattr(self._owner._native, self._name).connect(slot)
        return True

    def disconnect(self, callback: Callable[..., Any]) -> bool:
        """Undo `connect`; False if there was nothing to undo."""
        slot = self._owner._native.__dict__.get("slots", {}).pop((self._name, callback), None)
        if slot is None:
            return False
        getattr(self._owner._native, self._name).disconnect(slot)
        return True

    def _longest(self) -> str:
        """The signature that the short form connects to: the one with most arguments."""
        signals = api.described(type(self._owner).described_as).signals
        return max((one for one in signals if one.startswith(f"{self._name}(")), key=_arity)

    def __call__(self, *args: Any) -> None:
        """Emit it."""
        from Testing.slicer.standins.pythonqt import to_native

        getattr(self._owner._native, self._name).emit(*(to_native(one) for one in args))


def _adapted(callback: Callable[..., Any], signature: str) -> Callable[..., None]:
    from Testing.slicer.standins.pythonqt import to_python

    most = _taken(callback)

    def call(*args: Any) -> None:
        values = [to_python(one) for one in args]
        try:
            callback(*(values if most is None else values[:most]))
        except BaseException as error:  # noqa: BLE001 - PythonQt's border, too
            failures.append(error)
            traceback.print_exception(error)

    # PySide6 counts the parameters of what it calls, so each number needs a function of its own.
    return (lambda: call(), lambda first: call(first), lambda first, second: call(first, second))[_arity(signature)]


def _arity(signature: str) -> int:
    arguments = signature.partition("(")[2].rstrip(")")
    return len(arguments.split(",")) if arguments else 0


def _taken(callback: Callable[..., Any]) -> int | None:
    """Number of arguments that a function takes; None if it takes any."""
    if not (inspect.isfunction(callback) or inspect.ismethod(callback)):
        return None
    parameters = inspect.signature(callback).parameters.values()
    if any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in parameters):
        return None
    return sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in parameters)
