"""`slicer.packaging`: reads requirements and checks them as Slicer 5.12 does; what opens a window or installs fails.

As there, a remark behind a requirement is an error, a development version satisfies no ordinary range, and `pip_ensure`
does nothing in testing mode, so that its silence proves nothing.
"""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer
from packaging.requirements import Requirement


def load_requirements(path: str | Path) -> list[Requirement]:
    """Requirements of a file; whole-line remarks and options of pip are left out."""
    # Slicer opens it in the encoding of the computer, whatever that is.
    lines = [line.strip() for line in Path(path).read_text(encoding="ascii").splitlines()]
    return [Requirement(line) for line in lines if line and line[0] not in "#-"]


def load_pyproject_dependencies(path: str | Path) -> list[Requirement]:
    """Dependencies of a `pyproject.toml`; KeyError if it has no project."""
    project = tomllib.loads(Path(path).read_text(encoding="utf-8"))["project"]
    return [Requirement(line) for line in project.get("dependencies", [])]


def pip_check(req: str | Requirement | list[str | Requirement], _seen: Any = None) -> bool:
    """Whether requirements are satisfied, by the metadata alone."""
    if isinstance(req, str):
        return all(_is_satisfied(Requirement(one)) for one in ([req] if ";" in req else req.split()))
    if isinstance(req, Requirement | list):
        several = req if isinstance(req, list) else [req]
        return all(_is_satisfied(Requirement(one) if isinstance(one, str) else one) for one in several)
    msg = f"Expected str, Requirement, or list, got {type(req).__name__}"
    raise TypeError(msg)


def _is_satisfied(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    if requirement.extras:
        msg = f"this stand-in checks no extras, asked for {requirement}"
        raise NotImplementedError(msg)
    try:
        return importlib.metadata.version(requirement.name) in requirement.specifier
    except importlib.metadata.PackageNotFoundError:
        return False


def isPipInstallInProgress() -> bool:  # noqa: N802 - Slicer's name
    """Whether an installation that Slicer itself started is under way: never here."""
    return False


def pip_ensure(
    requirements: str | Requirement | list[str | Requirement],
    constraints: str | Path | None = None,
    skip_packages: list[str] | None = None,
    prompt_install: bool = True,
    prompt_restart: bool = True,
    requester: str | None = None,
    skip_in_testing: bool = True,
    show_progress: bool = True,
) -> list[str] | None:
    """Nothing if all is there, and nothing in testing mode either."""
    if pip_check(requirements) or (skip_in_testing and slicer.app.testingEnabled()):
        return None
    msg = "pip_ensure stops the window with a dialog; a cancellable installation is a process of its own"
    raise NotImplementedError(msg)


def pip_install(requirements: str | list[str], **keywords: Any) -> None:
    """Not here: it gives nothing back that could be cancelled."""
    msg = f"pip_install gives no process back that could be cancelled, asked for {requirements}"
    raise NotImplementedError(msg)


def pip_uninstall(requirements: str | list[str], **keywords: Any) -> None:
    """Not here: this module takes nothing away."""
    msg = f"nothing is taken away by this module, asked for {requirements}"
    raise NotImplementedError(msg)


def make_packaging() -> ModuleType:
    """The module `slicer.packaging`."""
    module = ModuleType("slicer.packaging")
    for one in (
        load_requirements, load_pyproject_dependencies, pip_check, isPipInstallInProgress, pip_ensure, pip_install,
        pip_uninstall,
    ):  # fmt: skip
        setattr(module, one.__name__, one)
    return module
