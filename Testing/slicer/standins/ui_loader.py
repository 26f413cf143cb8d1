"""`slicer.util.loadUI`, as strict as a reader of `.ui` files can be: each class, property and connection must exist."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from PySide6.QtCore import QBuffer, QByteArray
from PySide6.QtUiTools import QUiLoader
from PySide6.QtWidgets import QWidget

from Testing.slicer.standins import api, ctk_natives, mrml_natives
from Testing.slicer.standins.pythonqt import to_python

# Properties that are not Qt's but asked for by name: the binding to the parameter node.
_DYNAMIC = {"SlicerParameterName"}
# Properties of a .ui file that only mean something to the layout around.
_PLACEHOLDERS = {"Line": "QFrame", "Spacer": "QWidget"}


class UiFileError(RuntimeError):
    """The `.ui` file names something that Slicer does not have."""


def load_ui(path: str | Path) -> Any:
    """The widget of a `.ui` file, as PythonQt would show it.

    Raises:
        RuntimeError: The file is missing or names an unknown class, property, signal or slot.
    """
    if not Path(path).is_file():
        msg = f"Could not load UI file: file not found {path}"
        raise RuntimeError(msg)
    tree = ElementTree.parse(path)
    root = tree.getroot()
    classes = _check_widgets(root)
    connections = root.find("connections")
    if connections is not None:
        root.remove(connections)
    loader = QUiLoader()
    for native in (*ctk_natives.ALL, *mrml_natives.ALL):
        loader.registerCustomWidget(native)
    buffer = QBuffer()
    buffer.setData(QByteArray(ElementTree.tostring(root)))
    widget = to_python(loader.load(buffer))
    for connection in () if connections is None else connections:
        _connect(widget, connection, classes)
    return widget


def _check_widgets(root: ElementTree.Element) -> dict[str, str]:
    classes: dict[str, str] = {}
    for element in root.iter("widget"):
        name, kind = element.get("name", ""), element.get("class", "")
        if name in classes:
            msg = f"two widgets are named {name}"
            raise UiFileError(msg)
        classes[name] = kind
        _check_properties(element, kind, name)
    for element in root.iter("layout"):
        _check_properties(element, element.get("class", ""), element.get("name", ""))
    return classes


def _check_properties(element: ElementTree.Element, kind: str, name: str) -> None:
    try:
        described = api.described(_PLACEHOLDERS.get(kind, kind))
    except KeyError as error:
        msg = f"{name} is a {kind}, which is not among the classes of api.json"
        raise UiFileError(msg) from error
    layout_margins = {"leftMargin", "topMargin", "rightMargin", "bottomMargin"} if "Layout" in kind else set()
    for one in element.findall("property"):
        wanted = one.get("name", "")
        known = wanted in described.properties | layout_margins
        if not known and not (one.get("stdset") == "0" and wanted in _DYNAMIC):
            msg = f"{kind} {name} has no property {wanted}"
            raise UiFileError(msg)


def _connect(root: Any, connection: ElementTree.Element, classes: dict[str, str]) -> None:
    sender, signal, receiver, slot = (connection.findtext(tag, "") for tag in ("sender", "signal", "receiver", "slot"))
    if signal not in api.described(classes[sender]).signals:
        msg = f"{classes[sender]} {sender} has no signal {signal}"
        raise UiFileError(msg)
    slot_name = slot.partition("(")[0]
    if slot_name not in api.described(classes[receiver]).methods:
        msg = f"{classes[receiver]} {receiver} has no slot {slot}"
        raise UiFileError(msg)
    natives = {one.objectName(): one for one in (root._native, *root._native.findChildren(QWidget))}
    getattr(natives[sender], signal.partition("(")[0]).connect(getattr(natives[receiver], slot_name))
