"""Cut what the stand-ins need out of a running Slicer's description of itself.

    python -m Testing.slicer.standins.make_api slicer_api.json

The description names, for each Qt, ctk and qMRML class, its properties, methods, signals and values, and the call
signatures of Slicer's own Python packages. What a class shares with its base is left out here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

CLASSES = (
    "QAction", "QCheckBox", "QComboBox", "QCompleter", "QFileDialog", "QFormLayout", "QFrame", "QGridLayout",
    "QHBoxLayout", "QLabel", "QLineEdit", "QListWidget", "QMenu", "QMessageBox", "QPlainTextEdit", "QProgressBar",
    "QPushButton", "QSettings", "QStringListModel", "QTableWidget", "QTextEdit", "QTimer", "QToolButton",
    "QVBoxLayout", "QWidget", "ctkCollapsibleButton", "ctkSliderWidget", "qMRMLNodeComboBox",
    "qMRMLSegmentEditorWidget", "qMRMLSegmentationShow3DButton", "qMRMLSegmentsTableView", "qMRMLSliceWidget",
    "qMRMLWidget", "slicer.app", "slicer.app.layoutManager()",
)  # fmt: skip
PACKAGES = (
    "slicer.ScriptedLoadableModule", "slicer.i18n", "slicer.packaging", "slicer.parameterNodeWrapper", "slicer.util",
)  # fmt: skip
OBJECT, WIDGET = "QTimer", "QWidget"


def shortened(description: dict[str, Any]) -> dict[str, Any]:
    """The classes above, each without what it shares with `QWidget` or with every object."""
    classes = {name: description["classes"][name] for name in CLASSES}
    common = _common(classes.values())
    widgets = _common(one for one in classes.values() if "sizePolicy" in one["properties"])
    result: dict[str, Any] = {
        "slicer_version": description["slicer_version"],
        "classes": {"QObject": {"base": None, **common}, WIDGET: {"base": "QObject", **_without(widgets, common)}},
        "python": {name: description["python"][name] for name in PACKAGES},
    }
    for name, one in classes.items():
        if name == WIDGET:
            continue
        base = WIDGET if _covers(one, widgets) else "QObject"
        result["classes"][name] = {"base": base, **_without(one, widgets if base == WIDGET else common)}
    return result


def _common(classes: Any) -> dict[str, list[str]]:
    parts = [_parts(one) for one in classes]
    return {key: sorted(set.intersection(*(set(one[key]) for one in parts))) for key in parts[0]}


def _parts(one: dict[str, Any]) -> dict[str, list[str]]:
    if "methods" in one:
        return one
    return {
        "properties": sorted(one["properties"]),
        "methods": sorted(one["python_methods"]),
        "signals": sorted(one["signals"]),
        "values": sorted(one["python_values"]),
    }


def _without(one: dict[str, Any], base: dict[str, list[str]]) -> dict[str, list[str]]:
    return {key: sorted(set(values) - set(base[key])) for key, values in _parts(one).items()}


def _covers(one: dict[str, Any], base: dict[str, list[str]]) -> bool:
    return all(set(values) <= set(_parts(one)[key]) for key, values in base.items())


def main() -> None:
    """Write `api.json` beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("description", type=Path)
    description = json.loads(parser.parse_args().description.read_text(encoding="utf-8"))
    target = Path(__file__).with_name("api.json")
    target.write_text(_lines(shortened(description)), encoding="utf-8")


def _lines(result: dict[str, Any]) -> str:
    """JSON with one class or package a line."""
    groups = []
    for key, value in result.items():
        if isinstance(value, dict):
            entries = ",\n".join(f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in value.items())
            groups.append(f" {json.dumps(key)}: {{\n{entries}\n }}")
        else:
            groups.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(groups) + "\n}\n"


if __name__ == "__main__":
    main()
