"""What an installation does, as a list of steps: from the package index or from a folder, PyTorch by its extension."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import slicer

from .requirements import Package, pins

_PIP_INSTALL = ("-m", "pip", "install", "--only-binary", ":all:")
_TORCH_CHILD = Path(__file__).with_name("torchChild.py")


@dataclass(frozen=True)
class InstallPlan:
    """Steps that are carried out one by one until one fails.

    Attributes:
        steps: Arguments of Python, for each step.
        pins: Constraints that every step has to keep to.
        folder: Folder with wheels, if nothing may be downloaded.
    """

    steps: tuple[tuple[str, ...], ...]
    pins: tuple[str, ...]
    folder: Path | None = None


def planFromIndex(packages: Iterable[Package], extension: Path | None) -> InstallPlan:
    """Download and install.

    Args:
        packages: What is missing.
        extension: File of the PyTorch extension's module, which then installs torch; None if it is not there.
    """
    wanted = tuple(packages)
    steps = []
    if extension is not None:
        # First, so that no other package brings a torch along that does not fit the graphics card.
        steps = [(str(_TORCH_CHILD), str(extension), str(one.requirement.specifier)) for one in wanted if one.isTorch]
        wanted = tuple(one for one in wanted if not one.isTorch)
    if wanted:
        steps.append((*_PIP_INSTALL, *_requirements(wanted)))
    return InstallPlan(tuple(steps), pins())


def planFromFolder(packages: Iterable[Package], folder: Path) -> InstallPlan:
    """Install from wheels in a folder; nothing is downloaded.

    Args:
        packages: What is missing.
        folder: Where the wheels lie.
    """
    step = (*_PIP_INSTALL, "--no-index", "--find-links", str(folder), *_requirements(packages))
    return InstallPlan((step,), pins(), folder)


def fillCommand(packages: Iterable[Package]) -> str:
    """Command that fills a folder with wheels, for a computer of the same kind that has a network."""
    wanted = " ".join(f'"{one}"' for one in _requirements(packages))
    return f"PythonSlicer -m pip download --only-binary :all: --dest wheels {wanted}"


def pyTorchExtension() -> Path | None:
    """File of the PyTorch extension's module; None if the extension is not installed."""
    module = getattr(slicer.modules, "pytorchutils", None)
    return None if module is None else Path(module.path)


def _requirements(packages: Iterable[Package]) -> list[str]:
    return [str(one.requirement) for one in packages]
