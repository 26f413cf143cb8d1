"""Small real wheels, and what they leave behind, for tests of what installs packages."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

_WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_wheel(folder: Path, name: str, version: str, *, requires: Sequence[str] = (), files: int = 1) -> Path:
    """Write a wheel that pip installs.

    Args:
        folder: Made if it is missing.
        name: Of the package, with a module of the same name.
        version: Of the package.
        requires: Requirements that it brings along.
        files: Number of its source files: many take a while to install.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    content = {f"{name}/part_{index}.py": f"VALUE = {index}\n" for index in range(1, files)}
    content |= {
        f"{name}/__init__.py": f"__version__ = {version!r}\n",
        f"{name}-{version}.dist-info/METADATA": _metadata(name, version, requires),
        f"{name}-{version}.dist-info/WHEEL": _WHEEL,
    }
    record = f"{name}-{version}.dist-info/RECORD"
    content[record] = "".join(f"{one},,\n" for one in (*content, record))
    with zipfile.ZipFile(path, "w") as archive:
        for one, text in content.items():
            archive.writestr(one, text)
    return path


def write_installed(folder: Path, name: str, version: str) -> None:
    """Write what an installed package says of itself, without the package."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(_metadata(name, version, ()), encoding="utf-8")


def _metadata(name: str, version: str, requires: Sequence[str]) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    return "\n".join([*lines, *(f"Requires-Dist: {one}" for one in requires)]) + "\n"
