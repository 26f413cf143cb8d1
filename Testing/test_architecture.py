"""The shape of the code base: who may import whom, what an import costs, how large files and functions get."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import TextGuidedSegLib

ROOT = Path(__file__).resolve().parents[1]
LIBRARY, TRAINING, MODULE = ROOT / "TextGuidedSegLib", ROOT / "training", ROOT / "TextGuidedSeg"
SOURCE_FOLDERS = (LIBRARY, TRAINING, MODULE, ROOT / "Resources")

SLICER = {"slicer", "qt", "ctk", "vtk", "TextGuidedSeg", "TextGuidedSegPanel"}
HEAVY = {"torch", "monai", "transformers", "tokenizers", "safetensors", "SimpleITK"}
# These answer questions about files and phrases in a process that has no torch.
LIGHT_FILES = ("errors", "geometry", "image", "io", "phantom", "phrase", "weights")
# Only these may know the run from phrase to segment; everything else lies below it.
ABOVE_INFERENCE = {"__init__", "__main__", "cli", "inference", "provenance", "warm_segmenter", "worker"}

MOST_FILE_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS = 400, 60, 8

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files(*folders: Path) -> list[Path]:
    """All Python files below the folders that exist."""
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def shown(path: Path) -> str:
    """Path below the repository root, the name of a test case."""
    return path.relative_to(ROOT).as_posix()


def parsed(path: Path) -> ast.Module:
    """Syntax tree of one file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(tree: ast.AST, package: str = "") -> set[str]:
    """Dotted names a tree imports, however deep; `package` is what a leading dot stands for."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = ".".join(filter(None, (package if node.level else "", node.module)))
            names |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
    return names


def imported_packages(tree: ast.AST) -> set[str]:
    """Top-level packages a tree imports, however deep."""
    return {name.split(".")[0] for name in imported(tree)}


def run_at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements that an import executes: everything outside functions and `if TYPE_CHECKING`."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def imported_at_import(path: Path) -> set[str]:
    """Top-level packages that loading one file loads by its own statements."""
    statements = [node for node in run_at_import(parsed(path)) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {package for statement in statements for package in imported_packages(statement)}


def functions(tree: ast.AST) -> list[Function]:
    """All functions and methods of a file."""
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def body_lines(function: Function) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def parameters(function: Function) -> list[str]:
    """Names of all parameters but `self` and `cls`."""
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return [name for name in names if name not in {"self", "cls"}]


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Public classes, functions and methods without a docstring; overloads and setters repeat another's."""
    waiting: list[tuple[str, ast.stmt]] = [("", node) for node in tree.body]
    while waiting:
        prefix, node = waiting.pop()
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        repeats = any(ast.unparse(one).endswith(("overload", ".setter")) for one in node.decorator_list)
        if ast.get_docstring(node) is None and not repeats:
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            waiting.extend((f"{prefix}{node.name}.", child) for child in node.body)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter at the repository root."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", python_files(LIBRARY), ids=shown)
def test_the_library_imports_neither_slicer_nor_training(path: Path) -> None:
    assert not imported_packages(parsed(path)) & (SLICER | {"training", "Testing", "torchvision"})


@pytest.mark.parametrize("path", python_files(TRAINING), ids=shown)
def test_training_imports_no_slicer(path: Path) -> None:
    assert not imported_packages(parsed(path)) & (SLICER | {"Testing"})


@pytest.mark.parametrize("path", python_files(MODULE), ids=shown)
def test_the_module_imports_no_training_and_no_torch(path: Path) -> None:
    assert not imported_packages(parsed(path)) & {"training", "Testing", "torch", "torchvision", "monai"}


@pytest.mark.parametrize("path", python_files(LIBRARY), ids=shown)
def test_only_the_top_of_the_library_knows_the_run_from_phrase_to_segment(path: Path) -> None:
    names = imported(parsed(path), LIBRARY.name)
    if path.stem not in ABOVE_INFERENCE:
        assert not names & {"TextGuidedSegLib.inference", "TextGuidedSegLib.cli"}
    if path.stem != "__main__":
        assert "TextGuidedSegLib.cli" not in names


@pytest.mark.parametrize("name", LIGHT_FILES)
def test_a_light_file_imports_nothing_heavy_by_its_own_statements(name: str) -> None:
    assert not imported_at_import(LIBRARY / f"{name}.py") & HEAVY


@pytest.mark.parametrize("name", ["", *LIGHT_FILES])
def test_an_import_loads_nothing_heavy_changes_nothing_and_prints_nothing(name: str) -> None:
    module = ".".join(filter(None, ("TextGuidedSegLib", name)))
    code = f"""
import json, os, sys, warnings
import numpy
before = (list(warnings.filters), dict(os.environ), numpy.geterr())
import {module}
after = (list(warnings.filters), dict(os.environ), numpy.geterr())
loaded = sorted(set({sorted(HEAVY)!r}) & set(sys.modules))
json.dump([loaded, before == after], sys.stdout)
"""
    done = run_python(code)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [[], True]


@pytest.mark.parametrize("name", TextGuidedSegLib.__all__)
def test_every_public_name_is_found_and_listed(name: str) -> None:
    assert getattr(TextGuidedSegLib, name) is not None
    assert name in dir(TextGuidedSegLib)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Segmentor'"):
        importlib.import_module("TextGuidedSegLib").Segmentor  # noqa: B018 - the look-up is what is tested


@pytest.mark.parametrize("path", python_files(*SOURCE_FOLDERS), ids=shown)
def test_files_and_functions_stay_small(path: Path) -> None:
    tree = parsed(path)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_FILE_LINES
    assert [one.name for one in functions(tree) if body_lines(one) > MOST_FUNCTION_LINES] == []
    assert [one.name for one in functions(tree) if len(parameters(one)) > MOST_PARAMETERS] == []


@pytest.mark.parametrize("path", python_files(*SOURCE_FOLDERS), ids=shown)
def test_every_public_name_has_a_docstring(path: Path) -> None:
    tree = parsed(path)
    assert ast.get_docstring(tree), "the first line of a file says its idea"
    assert list(undocumented(tree)) == []


@pytest.mark.parametrize("path", python_files(*SOURCE_FOLDERS), ids=shown)
def test_only_the_command_line_prints(path: Path) -> None:
    calls = [node.func for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    prints = [call for call in calls if isinstance(call, ast.Name) and call.id in {"print", "pprint"}]
    assert not prints or path == LIBRARY / "cli.py"


def test_slicer_finds_at_most_one_module_in_the_module_folder() -> None:
    # Slicer loads every .py directly in this folder as a module of its own.
    assert [path.name for path in MODULE.glob("*.py")] in ([], ["TextGuidedSeg.py"])
