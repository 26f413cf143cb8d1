"""The stand-ins fail where PythonQt and Slicer fail; inside a real Slicer the same tests run against the real thing."""

from __future__ import annotations

from typing import Annotated

import pytest
import slicer

pytestmark = pytest.mark.slicer


@pytest.fixture(autouse=True)
def application(slicer_application) -> None:
    """Qt, ctk and the application."""


def test_a_property_is_an_attribute_and_calling_it_fails() -> None:
    import qt

    line = qt.QLineEdit()
    line.text = "left lung"
    assert line.text == "left lung"
    assert line.isEnabled()
    with pytest.raises(TypeError, match="'str' object is not callable"):
        line.text()


@pytest.mark.parametrize("name", ["tex", "getText", "isEnabledd"])
def test_an_unknown_attribute_is_neither_read_nor_set(name: str) -> None:
    import qt

    line = qt.QLineEdit()
    with pytest.raises(AttributeError):
        getattr(line, name)
    with pytest.raises(AttributeError):
        setattr(line, name, "x")


def test_what_only_newer_qt_has_is_not_there() -> None:
    import qt

    assert not hasattr(qt.QCheckBox(), "checkStateChanged")  # Qt 6.7; PySide6 has it


def test_constructors_take_no_keywords() -> None:
    import qt

    with pytest.raises(ValueError, match="keyword"):
        qt.QPushButton(text="x")


def test_a_mistyped_signal_connects_nothing_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    import qt

    calls: list[bool] = []
    button = qt.QPushButton("go")
    assert button.connect("clickedd(bool)", calls.append) is False
    assert button.connect("clicked(bool)", calls.append) is True
    button.clicked.connect(lambda: calls.append(True))
    button.click()
    assert calls == [False, True]
    if hasattr(slicer, "slicer_core"):
        from Testing.slicer.standins import signals

        assert "clickedd" in capsys.readouterr().out
        assert signals.mistyped == ["QPushButton::clickedd(bool)"]
        signals.mistyped.clear()


def test_plain_text_is_a_property_and_enumerations_are_integers() -> None:
    import qt

    edit = qt.QTextEdit()
    edit.plainText = "one\ntwo"
    assert edit.plainText == edit.toPlainText() == "one\ntwo"
    assert qt.QMessageBox.Ok == 1024


def test_a_cell_of_a_table_has_methods() -> None:
    import qt

    table = qt.QTableWidget()
    table.setRowCount(1)
    table.setColumnCount(1)
    table.setItem(0, 0, qt.QTableWidgetItem("1"))
    table.item(0, 0).setText("2")
    assert table.item(0, 0).text() == "2"
    with pytest.raises((AttributeError, NotImplementedError)):
        table.item(0, 0).textt()


def test_a_question_is_answered_no_in_testing_mode() -> None:
    assert slicer.app.testingEnabled()
    assert slicer.util.confirmOkCancelDisplay("Sure?") is False
    assert slicer.util.confirmYesNoDisplay("Sure?") is False


def bound(kind, value_type, default=None):
    """A widget bound to a parameter of a type."""
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    members = {"__annotations__": {"value": value_type}} | ({} if default is None else {"value": default})
    wrapper = parameterNodeWrapper(type("Parameters", (), members))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    widget = kind()
    widget.objectName = "widget"
    widget.setProperty("SlicerParameterName", "value")
    parameters = wrapper(node)
    gui = type("", (), {})()
    gui.widget = widget
    parameters.connectGui(gui)
    return widget, parameters


def test_a_plain_text_editor_has_no_connector(scene) -> None:
    import qt

    with pytest.raises(RuntimeError, match="Unable to create GUI connector"):
        bound(qt.QPlainTextEdit, str)
    widget, parameters = bound(qt.QTextEdit, str)
    widget.plainText = "left\nright"
    assert parameters.value == "left\nright"


def test_a_slider_needs_a_range_and_keeps_to_it(scene) -> None:
    import ctk
    from slicer.parameterNodeWrapper import WithinRange

    with pytest.raises(RuntimeError, match="unbounded"):
        bound(ctk.ctkSliderWidget, float)
    slider, parameters = bound(ctk.ctkSliderWidget, Annotated[float, WithinRange(0.0, 1.0)], 0.5)
    assert slider.value == 0.5
    slider.value = 7.0
    assert (slider.value, parameters.value) == (1.0, 1.0)
    parameters.value = 0.25
    assert slider.value == 0.25


def test_a_node_selector_follows_the_scene(scene) -> None:
    selector, parameters = bound(slicer.qMRMLNodeComboBox, slicer.vtkMRMLScalarVolumeNode)
    selector.noneEnabled = True
    selector.setMRMLScene(scene)
    assert selector.currentNode() is None
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "film")
    selector.setCurrentNode(node)
    assert parameters.value.GetID() == node.GetID()
    scene.RemoveNode(node)
    assert selector.currentNode() is None
    assert parameters.value is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ('<widget class="QLabel" name="a"><property name="texxt"><string>x</string></property></widget>', "texxt"),
        ('<widget class="QLabell" name="a"/>', "QLabell"),
    ],
)
def test_a_ui_file_with_a_mistake_is_not_loaded(tmp_path, wrong: str, message: str) -> None:
    if not hasattr(slicer, "slicer_core"):
        return  # Slicer itself prints a warning only
    path = tmp_path / "panel.ui"
    path.write_text(
        f'<ui version="4.0"><widget class="qMRMLWidget" name="root">{wrong}</widget></ui>', encoding="utf-8"
    )
    with pytest.raises(RuntimeError, match=message):
        slicer.util.loadUI(str(path))


@pytest.mark.standins
def test_an_exception_in_a_callback_is_kept_for_the_test(scene) -> None:
    import qt

    from Testing.slicer.standins import signals

    if not hasattr(slicer, "slicer_core"):
        return
    button = qt.QPushButton("go")
    button.clicked.connect(lambda: 1 / 0)
    button.click()
    assert isinstance(signals.failures.pop(), ZeroDivisionError)


@pytest.mark.standins
def test_the_segment_editor_has_no_more_than_slicers() -> None:
    from Testing.slicer.standins import api
    from Testing.slicer.standins.segment_editor import SegmentEditorWidget

    names = {name for name in vars(SegmentEditorWidget) if not name.startswith("_")}
    assert names
    assert names <= api.described("qMRMLSegmentEditorWidget").methods
