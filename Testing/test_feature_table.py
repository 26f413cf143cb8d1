"""The table of features keeps its word: every test it names exists, and what it says of the repository is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "Resources" / "Slicer" / "features.md"

# Rows that the page has to answer, by section.
ROWS = {
    "Asking": 7,
    "Running": 13,
    "The result": 15,
    "Installation, models, license": 9,
    "Engineering": 9,
    "Also wanted there": 9,
    "Beyond the list": 5,
}
CONNECTIONS = (
    "aiohttp",
    "ftplib",
    "http",
    "httpx",
    "requests",
    "smtplib",
    "socket",
    "ssl",
    "urllib.request",
    "urllib3",
)
ROW = re.compile(r"^\| (?P<feature>[^|]+) \| (?P<answer>[^|]+) \| (?P<tests>[^|]+) \|$")


def sections() -> dict[str, list[re.Match[str]]]:
    """Rows by section."""
    found: dict[str, list[re.Match[str]]] = {}
    rows: list[re.Match[str]] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            rows = found[line[3:]] = []
        row = ROW.match(line)
        if row and row["feature"] not in ("Feature", "---"):
            rows.append(row)
    return found


def named_tests() -> list[str]:
    """Every test that the page names."""
    text = " ".join(row["tests"] for rows in sections().values() for row in rows)
    return sorted(set(re.findall(r"`([^`]+::[^`]+)`", text)))


def defined(path: Path) -> set[str]:
    """Names of the tests of a file, those of classes with the class before them."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return names


def python_files() -> list[Path]:
    """Everything that runs for a user."""
    return sorted(path for name in ("TextGuidedSegLib", "TextGuidedSeg") for path in (ROOT / name).rglob("*.py"))


@pytest.mark.parametrize("name", named_tests())
def test_every_named_test_exists(name: str) -> None:
    file, _, test = name.partition("::")
    assert test in defined(Path(__file__).parent / file)


def test_every_row_is_answered_and_names_a_test() -> None:
    found = sections()
    assert {name: len(rows) for name, rows in found.items()} == ROWS
    for row in (row for rows in found.values() for row in rows):
        assert "::test_" in row["tests"], row["feature"]
        assert len(row["answer"].strip()) > 5, row["feature"]


def test_the_page_is_linked_from_the_readme() -> None:
    assert "(Resources/Slicer/features.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", python_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_neither_library_nor_module_can_open_a_connection(path: Path) -> None:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {f"{node.module}.{one.name}" for one in node.names}
    assert [name for name in names if any(f"{name}.".startswith(f"{one}.") for one in CONNECTIONS)] == []


def test_every_push_runs_the_tests() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^make .*\bcheck$", script, re.MULTILINE)
    recipe = makefile.partition("\ncheck:")[2].partition("\n\n")[0]
    assert "$(MAKE) --no-print-directory test" in recipe


@pytest.mark.parametrize("page", ["README.md", "Resources/Slicer/features.md", "CHANGELOG.md"])
def test_pictures_and_pages_that_are_linked_exist(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    missing = [one for one in links if "://" not in one and not (path.parent / one).exists()]
    assert missing == []
    assert page != "README.md" or any(one.endswith(".png") for one in links)
    assert (ROOT / "CITATION.cff").is_file()
