"""Keeps a run of the tests on Python 3.11 from being aborted by PySide6."""

from __future__ import annotations

import ctypes
import sys

_MANY = 1 << 40


def hold() -> None:
    """Give None, True and False so many references that they never run out.

    From Python 3.12 on they are immortal, and PySide6 6.12 counts on it: each call of a function without a result takes
    a reference to None that it never gave. On Python 3.11 that ends a long run with "deallocating None".
    """
    if sys.version_info < (3, 12) and sys.getrefcount(None) < _MANY:
        for one in (None, True, False):
            ctypes.c_ssize_t.from_address(id(one)).value += _MANY
