"""What the library needs, what of it is there and how much has to be downloaded; nothing is imported to find out."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from slicer.packaging import load_requirements, pip_check

RESOURCES = Path(__file__).resolve().parents[1] / "Resources"
REQUIREMENTS_FILE = RESOURCES / "requirements.txt"
DOWNLOADS_FILE = RESOURCES / "downloads.json"
TORCH = "torch>=2.5,!=2.9.*"
"""Not in the file: PyTorch is installed by an extension of its own, where that is there."""

# Slicer brings these along and has them loaded; its SimpleITK even reads scenes. Replaced, they would break the
# running session, and pip's answer to a development version such as 2.5.0rc1 is to replace it.
_OF_SLICER = {"numpy", "scipy", "simpleitk"}


@dataclass(frozen=True)
class Package:
    """One thing that the library needs.

    Attributes:
        requirement: Name and range of versions.
        installedVersion: Version that is there; None if there is none, or if it does not say.
        isReady: Whether what is there will do.
        isOfSlicer: It is a part of Slicer: never installed or changed by this module.
    """

    requirement: Requirement
    installedVersion: str | None
    isReady: bool
    isOfSlicer: bool

    @property
    def name(self) -> str:
        """Its name in the package index."""
        return self.requirement.name

    @property
    def isTorch(self) -> bool:
        """Whether it is PyTorch."""
        return canonicalize_name(self.name) == "torch"


@dataclass(frozen=True)
class Download:
    """Size of a download, MB: from `least` to `most`, which differ where the graphics card decides."""

    least: int
    most: int


def neededPackages() -> tuple[Package, ...]:
    """Everything the library needs, PyTorch first.

    Raises:
        OSError: The module's own list is missing; the module has to be installed again.
    """
    importlib.invalidate_caches()
    return tuple(_package(one) for one in (Requirement(TORCH), *load_requirements(REQUIREMENTS_FILE)))


def toInstall(packages: Iterable[Package]) -> tuple[Package, ...]:
    """What this module has to install."""
    return tuple(one for one in packages if not one.isReady and not one.isOfSlicer)


def outdatedInSlicer(packages: Iterable[Package]) -> tuple[Package, ...]:
    """What only a newer Slicer can bring."""
    return tuple(one for one in packages if not one.isReady and one.isOfSlicer)


def download(packages: Iterable[Package], *, byExtension: bool) -> Download:
    """About how much is downloaded for some packages, with all that they bring along.

    Args:
        packages: What is to be installed.
        byExtension: The PyTorch extension installs torch and takes the build for the graphics card.
    """
    ranges = [_downloadOf(one, byExtension) for one in packages]
    return Download(sum(one.least for one in ranges), sum(one.most for one in ranges))


def pins() -> tuple[str, ...]:
    """Constraints that keep the packages of Slicer as they are, whatever is installed beside them."""
    versions = {name: _installedVersion(name) for name in sorted(_OF_SLICER)}
    return tuple(f"{name}=={version}" for name, version in versions.items() if version is not None)


def installFolder() -> Path:
    """Where packages are installed: the folder of Slicer's own Python."""
    return Path(sysconfig.get_path("purelib"))


def _package(requirement: Requirement) -> Package:
    version = _installedVersion(requirement.name)
    if canonicalize_name(requirement.name) in _OF_SLICER and find_spec(requirement.name) is not None:
        # What Slicer built itself may say no version.
        fits = version is None or requirement.specifier.contains(version, prereleases=True)
        return Package(requirement, version, fits, isOfSlicer=True)
    return Package(requirement, version, version is not None and pip_check(requirement), isOfSlicer=False)


def _installedVersion(name: str) -> str | None:
    """Version from the metadata; None also for a damaged installation, which says none or no proper one."""
    try:
        version = importlib.metadata.version(name)
        return str(Version(version)) if version else None
    except (importlib.metadata.PackageNotFoundError, InvalidVersion):
        return None


def _downloadOf(package: Package, byExtension: bool) -> Download:
    entry = _downloads()[canonicalize_name(package.name)]
    if isinstance(entry, int):
        return Download(entry, entry)
    builds = entry[sys.platform]
    if byExtension:
        return Download(builds["cpu"], builds.get("cuda", builds["cpu"]))
    return Download(builds[builds["pip"]], builds[builds["pip"]])


@cache
def _downloads() -> dict[str, int | dict[str, dict]]:
    return json.loads(DOWNLOADS_FILE.read_text(encoding="utf-8"))["megabytes"]
