"""What a bug report needs to know, without patient data: versions, models, memory, the process, the last errors."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import slicer

from TextGuidedSegLib import __version__
from TextGuidedSegLib.memory import MemoryForecast, available_host_bytes

from .inferenceRecords import Failure, LoadedModel
from .modelFolder import installedModels
from .redaction import redacted
from .requirements import installFolder, neededPackages

_KEPT_ERRORS = 10
_LOG_LINES = 40


class Diagnostics:
    """Notes what goes wrong and puts a report together.

    Args:
        logic: The module's logic.
    """

    def __init__(self, logic) -> None:
        self._logic = logic
        self._errors: deque[str] = deque(maxlen=_KEPT_ERRORS)
        self._secrets: set[str] = set()

    def note(self, failure: Failure) -> None:
        """Remember an error, already without what may name somebody; the scene may be another one later."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._errors.append(f"{now} {failure.kind}: {self._redacted(failure.sentence)}")

    def report(self, model: str, device: str) -> str:
        """Everything, as Markdown.

        Args:
            model: Name of the chosen model.
            device: The chosen device.
        """
        sections = (
            ("TextGuidedSeg diagnostics", [*_versions(), f"Chosen: model {model or 'none'}, device {device}"]),
            ("Packages", _packages()),
            ("Models", _models()),
            ("Inference process", self._process()),
            ("Last errors", self._errors or ["none"]),
            ("Log of the process", self._redacted("\n".join(self._logic.client.recentLog[-_LOG_LINES:])).splitlines()),
        )
        return "\n".join(_section(title, lines) for title, lines in sections)

    def _process(self) -> Iterator[str]:
        client = self._logic.client
        yield f"State: {client.state}"
        if client.loadedModel is not None:
            yield from _loaded(client.loadedModel)

    def _redacted(self, text: str) -> str:
        self._secrets |= set(self._sensitive())
        return redacted(text, self._secrets)

    def _sensitive(self) -> Iterator[str]:
        """What the scene and the computer know of patients and users."""
        yield from (node.GetName() or "" for node in slicer.util.getNodesByClass("vtkMRMLDisplayableNode"))
        parameters = self._logic.getParameters()
        yield from (parameters.phrase, *parameters.phrases.splitlines(), *parameters.history)
        yield from (os.environ.get(name, "") for name in ("USER", "USERNAME", "LOGNAME"))
        yield from (Path("~").expanduser().name, platform.node())


def _section(title: str, lines: Iterable[str]) -> str:
    return f"### {title}\n" + "".join(f"- {one}\n" for one in lines)


def _versions() -> Iterator[str]:
    app = slicer.app
    yield f"TextGuidedSeg {__version__}"
    yield f"Slicer {app.applicationVersion}, revision {app.revision}, {app.os}-{app.arch}"
    yield f"Operating system: {platform.system()} {platform.release()}, {platform.machine()}"
    yield f"Python {platform.python_version()}"
    available = available_host_bytes()
    yield f"Memory: {_gigabytes(available)} available; disk of the packages: {_freeDisk()} free"
    yield f"Driver of an NVIDIA graphics card: {'found' if shutil.which('nvidia-smi') else 'not found'}"


def _packages() -> Iterator[str]:
    for one in neededPackages():
        yield f"{one.requirement}: {one.installedVersion or 'none'}{'' if one.isReady else ' (missing or unfit)'}"
    for name in ("pip", "packaging", "light-the-torch"):
        try:
            yield f"{name}: {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"{name}: none"


def _models() -> Iterator[str]:
    models, problem = installedModels()
    if problem:
        yield "a model folder has an unreadable card"
    for model in models.values():
        hashes = ", ".join(f"{name} {digest}" for name, digest in sorted(model.card.sha256.items()))
        yield f"{model.card.name} {model.card.version}: {hashes}"


def _loaded(loaded: LoadedModel) -> Iterator[str]:
    yield f"Loaded: {loaded.model} on {loaded.device}, {loaded.threads} threads"
    yield f"Memory: {_forecast(loaded.hostMemory)}"
    if loaded.gpuMemory is not None:
        yield f"Graphics memory: {_forecast(loaded.gpuMemory)}"


def _forecast(forecast: MemoryForecast) -> str:
    return f"{_gigabytes(forecast.needed_bytes)} needed, {_gigabytes(forecast.available_bytes)} available"


def _gigabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e9:.1f} GB"


def _freeDisk() -> str:
    folder = installFolder()
    return _gigabytes(shutil.disk_usage(folder).free) if folder.is_dir() else "unknown"
