"""What a running Slicer said exists: properties, methods, signals and values of each class, names of each package."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Described:
    """One class of Slicer with all it has, that of its base included."""

    name: str
    properties: frozenset[str]
    methods: frozenset[str]
    signals: frozenset[str]
    values: frozenset[str]

    @property
    def signal_names(self) -> frozenset[str]:
        """Signals without their arguments."""
        return frozenset(signal.partition("(")[0] for signal in self.signals)


@functools.cache
def content() -> dict:
    """The file beside this one."""
    return json.loads(Path(__file__).with_name("api.json").read_text(encoding="utf-8"))


@functools.cache
def described(name: str) -> Described:
    """All that a class has; KeyError for a class that is not listed."""
    entry = content()["classes"][name]
    keys = ("properties", "methods", "signals", "values")
    own = {key: frozenset(entry[key]) for key in keys}
    if entry["base"]:
        base = described(entry["base"])
        own = {key: own[key] | getattr(base, key) for key in keys}
    return Described(name, **own)


def package_names(name: str) -> frozenset[str]:
    """Public names of one of Slicer's Python packages."""
    return frozenset(content()["python"][name])
