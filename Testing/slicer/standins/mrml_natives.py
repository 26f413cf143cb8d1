"""qMRML widgets drawn with PySide6: they follow the real scene as Slicer's do."""

from __future__ import annotations

import weakref
from typing import Any

import shiboken6
from PySide6.QtCore import Property, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QColor, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QTableWidgetSelectionRange,
    QVBoxLayout,
    QWidget,
)
from vtk import vtkCommand


def _weakly(method: Any) -> Any:
    """An observer that does not keep its owner alive; a strong one in a dropped cycle would crash VTK when called."""
    weak = weakref.WeakMethod(method)

    def call(*_arguments: Any) -> None:
        found = weak()
        if found is not None and shiboken6.isValid(found.__self__):
            found()

    return call


class _Scene:
    """Follows a scene for a widget."""

    _EVENTS = ("NodeAddedEvent", "NodeRemovedEvent", "EndCloseEvent", "EndImportEvent", "EndBatchProcessEvent")

    def __init__(self, changed: Any) -> None:
        self._scene, self._tags, self._changed = None, [], changed

    def set(self, scene: Any) -> None:
        """Follow this scene instead; None for none."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        events = [getattr(type(scene), name) for name in self._EVENTS] if scene else []
        self._tags = [scene.AddObserver(event, _weakly(self._changed)) for event in events]
        self._changed()

    @property
    def scene(self) -> Any:
        """The scene followed."""
        return self._scene


class qMRMLWidget(QWidget):  # noqa: N801
    """A widget that passes the scene on."""

    mrmlSceneChanged = Signal(object)  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = None

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        """Set the scene and tell it."""
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:  # noqa: N802
        """The scene."""
        return self._scene


class qMRMLNodeComboBox(QWidget):  # noqa: N801
    """A box to choose a node of the scene in."""

    currentNodeChanged = Signal(object)  # noqa: N815
    nodeAddedByUser = Signal(object)  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QComboBox(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._types: list[str] = []
        self._hidden_types: list[str] = []
        self._options = {"noneEnabled": False, "addEnabled": True, "removeEnabled": True, "renameEnabled": False,
                         "editEnabled": False, "selectNodeUponCreation": True, "showHidden": False,
                         "showChildNodeTypes": True}  # fmt: skip
        self._none, self._base = "None", ""
        self._followed = _Scene(self._refill)
        self._current = None
        self._box.activated.connect(lambda _index: self._choose(self._box.currentData()))

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        """List the nodes of this scene."""
        self._followed.set(scene)

    def mrmlScene(self) -> Any:  # noqa: N802
        """The scene."""
        return self._followed.scene

    def currentNode(self) -> Any:  # noqa: N802
        """The chosen node or None."""
        scene = self._followed.scene
        return scene.GetNodeByID(self._current) if scene and self._current else None

    def setCurrentNode(self, node: Any) -> None:  # noqa: N802
        """Choose a node; None chooses none."""
        self._choose(node.GetID() if node is not None and self._accepts(node) else None)

    def addNode(self) -> Any:  # noqa: N802
        """Create a node of the first type, as the menu entry does."""
        node = self._followed.scene.AddNewNodeByClass(self._types[0], self._base)
        if self._options["selectNodeUponCreation"]:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def nodeCount(self) -> int:  # noqa: N802
        """Number of nodes to choose from."""
        return len(self._nodes())

    def _accepts(self, node: Any) -> bool:
        hidden = node.GetHideFromEditors() and not self._options["showHidden"]
        fits = any(
            node.IsA(one) if self._options["showChildNodeTypes"] else node.GetClassName() == one for one in self._types
        )
        return fits and not hidden and not any(node.IsA(one) for one in self._hidden_types)

    def _nodes(self) -> list[Any]:
        scene = self._followed.scene
        every = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())] if scene else []
        return [node for node in every if self._accepts(node)]

    def _choose(self, node_id: str | None) -> None:
        if node_id == self._current:
            self._refill_box()
            return
        self._current = node_id
        self._refill_box()
        self.currentNodeChanged.emit(self.currentNode())

    def _refill(self) -> None:
        ids = [node.GetID() for node in self._nodes()]
        if self._current not in ids:
            wanted = None if self._options["noneEnabled"] or not ids else ids[0]
            if self._current != wanted:
                self._choose(wanted)
        self._refill_box()

    def _refill_box(self) -> None:
        with QSignalBlocker(self._box):
            self._box.clear()
            if self._options["noneEnabled"]:
                self._box.addItem(self._none, None)
            for node in self._nodes():
                self._box.addItem(node.GetName(), node.GetID())
            self._box.setCurrentIndex(self._box.findData(self._current))

    def _set_types(self, types: Any) -> None:
        self._types = list(types)
        self._refill()

    def _hide_types(self, types: Any) -> None:
        self._hidden_types = list(types)
        self._refill()

    def _option(name: str) -> Property:  # noqa: N805 - makes properties of the class
        def write(self: Any, value: bool) -> None:
            self._options[name] = value
            self._refill()

        return Property(bool, lambda self: self._options[name], write)

    nodeTypes = Property("QStringList", lambda self: self._types, _set_types)  # noqa: N815
    hideChildNodeTypes = Property("QStringList", lambda self: self._hidden_types, _hide_types)  # noqa: N815
    noneEnabled, addEnabled, removeEnabled = _option("noneEnabled"), _option("addEnabled"), _option("removeEnabled")  # noqa: N815
    renameEnabled, editEnabled = _option("renameEnabled"), _option("editEnabled")  # noqa: N815
    selectNodeUponCreation, showHidden = _option("selectNodeUponCreation"), _option("showHidden")  # noqa: N815
    showChildNodeTypes = _option("showChildNodeTypes")  # noqa: N815
    noneDisplay = Property(str, lambda self: self._none, lambda self, v: setattr(self, "_none", v))  # noqa: N815
    baseName = Property(str, lambda self: self._base, lambda self, v: setattr(self, "_base", v))  # noqa: N815


class qMRMLSegmentsTableView(QWidget):  # noqa: N801
    """A table of the segments of one segmentation."""

    selectionChanged = Signal(object, object)  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._node, self._tag = None, None
        self._scene = _Scene(self._check)
        self._table = QTableWidget(0, 2, self)
        self._table.horizontalHeader().setStretchLastSection(True)
        self._table.setHorizontalHeaderLabels(["", "Name"])
        self._table.verticalHeader().hide()
        self._table.setColumnWidth(0, 26)
        self._table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self._table.itemSelectionChanged.connect(self._tell)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        """Follow this scene."""
        self._scene.set(scene)

    def mrmlScene(self) -> Any:  # noqa: N802
        """The scene."""
        return self._scene.scene

    def setSegmentationNode(self, node: Any) -> None:  # noqa: N802
        """Show the segments of this node."""
        if self._tag is not None:
            self._node.RemoveObserver(self._tag)
        self._node = node
        self._tag = node.AddObserver(vtkCommand.AnyEvent, _weakly(self._fill)) if node else None
        self._fill()

    def segmentationNode(self) -> Any:  # noqa: N802
        """The node shown."""
        return self._node

    def setSelectedSegmentIDs(self, ids: list[str]) -> None:  # noqa: N802
        """Select rows; whoever listens is told, as after a click."""
        self._table.clearSelection()
        for row in range(self._table.rowCount()):
            if self._table.item(row, 1).data(Qt.ItemDataRole.UserRole) in ids:
                self._table.setRangeSelected(QTableWidgetSelectionRange(row, 0, row, 1), True)

    def selectedSegmentIDs(self) -> list[str]:  # noqa: N802
        """Ids of the selected rows."""
        rows = sorted({index.row() for index in self._table.selectedIndexes()})
        return [self._table.item(row, 1).data(Qt.ItemDataRole.UserRole) for row in rows]

    def _tell(self) -> None:
        self.selectionChanged.emit(None, None)

    def _check(self) -> None:
        if self._node is not None and self._node.GetScene() is None:
            self.setSegmentationNode(None)

    def _fill(self) -> None:
        segmentation = self._node.GetSegmentation() if self._node else None
        ids = segmentation.GetSegmentIDs() if segmentation else ()
        self._table.setRowCount(len(ids))
        for row, segment_id in enumerate(ids):
            segment = segmentation.GetSegment(segment_id)
            swatch = QPixmap(14, 14)
            swatch.fill(QColor.fromRgbF(*segment.GetColor()))
            color, name = QTableWidgetItem(), QTableWidgetItem(segment.GetName())
            color.setIcon(swatch)
            name.setData(Qt.ItemDataRole.UserRole, segment_id)
            self._table.setItem(row, 0, color)
            self._table.setItem(row, 1, name)

    segmentCount = Property(int, lambda self: self._table.rowCount())  # noqa: N815
    readOnly = Property(bool, lambda self: False, lambda self, v: None)  # noqa: N815


class qMRMLSegmentationShow3DButton(QPushButton):  # noqa: N801
    """A button that shows the segments in 3D."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Show 3D", parent)
        self.setCheckable(True)
        self._node = None

    def setSegmentationNode(self, node: Any) -> None:  # noqa: N802
        """The segmentation to show."""
        self._node = node

    def segmentationNode(self) -> Any:  # noqa: N802
        """The segmentation shown."""
        return self._node


ALL = (qMRMLWidget, qMRMLNodeComboBox, qMRMLSegmentsTableView, qMRMLSegmentationShow3DButton)
