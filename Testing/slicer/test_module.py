"""The module as Slicer meets it: loaded without torch and without a window, with its texts, pictures and codes."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import slicer

from Testing.slicer.panel_fixtures import MODULE_FOLDER

pytestmark = pytest.mark.slicer
ROOT = MODULE_FOLDER.parent


@pytest.mark.standins
def test_it_says_what_it_is(module) -> None:
    parent = module.instance.parent
    assert parent.title == "Text Guided Segmentation"
    assert parent.categories == ["Segmentation"]
    assert parent.contributors
    assert parent.acknowledgementText
    assert "Research use only" in parent.helpText
    assert parent.icon is not None


@pytest.mark.standins
def test_loading_it_loads_no_torch_and_makes_no_widget_and_starts_no_process(module) -> None:
    code = f"""
import sys
from types import SimpleNamespace
import pytest, slicer
from Testing.slicer.standins import install
slicer.mrmlScene, slicer.modules = slicer.vtkMRMLScene(), SimpleNamespace()
patch = pytest.MonkeyPatch()
install.install(patch, None)
sys.path.insert(0, {str(MODULE_FOLDER)!r})
import TextGuidedSeg
heavy = sorted({{"torch", "monai", "transformers", "SimpleITK"}} & set(sys.modules))
assert heavy == [], heavy
from PySide6.QtWidgets import QApplication
assert QApplication.allWidgets() == []
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.standins
def test_an_older_slicer_is_told_so_in_one_sentence(module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    with pytest.raises(ImportError, match=r"needs Slicer 5\.12 or newer; this is \S+"):
        importlib.reload(module)


@pytest.mark.standins
def test_its_codes_are_offered_after_start(module) -> None:
    slicer.app.startupCompleted()
    logic = slicer.modules.terminologies.logic()
    entry = slicer.vtkSlicerTerminologyEntry()
    context = "Segmentation category and type - TextGuidedSeg"
    assert logic.FindTypeInTerminologyBy3dSlicerLabel(context, "pleural effusion", entry)
    assert entry.GetTypeObject().GetCodeValue() == "60046008"


def test_the_terminology_file_agrees_with_the_vocabulary(module) -> None:
    from TextGuidedSegLib.language.vocabulary import default_vocabulary

    path = MODULE_FOLDER / "Resources" / "Terminology" / "TextGuidedSeg.term.json"
    categories = json.loads(path.read_text(encoding="utf-8"))["SegmentationCodes"]["Category"]
    codes = {one["CodeMeaning"]: one["CodeValue"] for category in categories for one in category["Type"]}
    known = {one.meaning: one.code for one in default_vocabulary().snomed.values()}
    assert codes.items() <= known.items()


def test_every_file_the_module_needs_is_packaged() -> None:
    listed = (MODULE_FOLDER / "CMakeLists.txt").read_text(encoding="utf-8")
    for path in (MODULE_FOLDER / "Resources").rglob("*.*"):
        name = path.relative_to(MODULE_FOLDER).as_posix().replace("TextGuidedSeg.", "${MODULE_NAME}.")
        assert name in listed, name
    assert (
        'GLOB PANEL_SCRIPTS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS "TextGuidedSegPanel/*.py"' in listed
    )
    assert {path.parent.name for path in MODULE_FOLDER.rglob("*.py")} == {"TextGuidedSeg", "TextGuidedSegPanel"}
    extension = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    wheel = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for folder in {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "TextGuidedSegLib").rglob("*.py")}:
        assert f'"{folder}/*.py"' in extension
        assert f'"{folder.replace("/", ".")}"' in wheel


def test_each_extension_line_is_one_line() -> None:
    lines = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if "set(EXTENSION_" in line]
    assert all(re.fullmatch(r'set\(EXTENSION_[A-Z]+ ".*"\)', line) for line in found)
    assert len(found) >= 6


@pytest.mark.parametrize("name", ["TextGuidedSeg", "SegmentEditorEffect"])
def test_every_control_has_a_tooltip(name: str) -> None:
    text = (MODULE_FOLDER / "Resources" / "UI" / f"{name}.ui").read_text(encoding="utf-8")
    classes = r"QPushButton|QLineEdit|QComboBox|QCheckBox|ctkSliderWidget|qMRML(?:Node|Segm)\w+"
    controls = re.findall(rf'<widget class="(?:{classes})" name="(\w+)">\s*<property name="(\w+)"', text)
    assert controls
    assert [name for name, first in controls if first != "toolTip"] == []


def test_the_self_test_passes(module, scene) -> None:
    test = module.TextGuidedSegTest()
    for name in (one for one in dir(test) if one.startswith("test_")):
        test.setUp()
        getattr(test, name)()


def shown_literals(path: Path) -> list[str]:
    """Texts of at least two words that code gives to a widget without offering them for translation."""
    assigned = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Assign)]
    to_widgets = [
        node.value
        for node in assigned
        if any(isinstance(one, ast.Attribute) and one.attr in ("text", "toolTip", "title") for one in node.targets)
    ]
    texts = [one.value for one in to_widgets if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return [one for one in texts if re.search(r"[A-Za-z]{2,} [A-Za-z]{2,}", one)]


def untranslatable(path: Path) -> list[str]:
    """Calls of the translation function with anything but one literal, which no tool could collect."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    translated = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "_"]
    wrong = [node for node in translated if [type(one) for one in node.args] != [ast.Constant] or bool(node.keywords)]
    return [ast.unparse(node) for node in wrong]


@pytest.mark.parametrize("path", sorted(MODULE_FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_texts_for_people_can_be_translated(path: Path) -> None:
    assert shown_literals(path) == []
    assert untranslatable(path) == []
