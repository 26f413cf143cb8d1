"""Keeps one inference process at a time, knows what it holds, and lets none outlive the program."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from .inferenceProcess import InferenceProcess
from .inferenceRecords import LoadedModel
from .inferenceRequest import Request
from .inferenceSettings import ClientSettings

_END_S = 1.0  # the longest that the end of the program waits for a folder to be removed


class ProcessKeeper:
    """Starts and drops processes.

    Args:
        settings: How they are run.

    Attributes:
        process: The present one, dead or alive, or None.
        loadedModel: What it last told about its model.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self.process: InferenceProcess | None = None
        self.loadedModel: LoadedModel | None = None
        self._settings = settings
        self._heldKey: str | None = None
        self._living: list[InferenceProcess] = []
        # Called when this object is dropped, and at the latest when the program ends.
        weakref.finalize(self, _endAll, self._living)

    @property
    def isThere(self) -> bool:
        """Whether there is a process that can be asked, as far as is known."""
        return self.process is not None and not self.process.isOver.is_set()

    def start(self) -> None:
        """Start a fresh process."""
        self.part()
        greeting = {"idle_release_s": self._settings.idleReleaseS, "idle_exit_s": self._settings.idleExitS}
        command, environment = self._settings.processCommand(), self._settings.processEnvironment()
        self.process = InferenceProcess(command, environment, self._settings.folder, greeting)
        self._living[:] = [*(one for one in self._living if not one.isOver.is_set()), self.process]

    def ask(self, request: Request) -> None:
        """Send a request, and the voxels of its image unless the process holds them."""
        if request.image is None:
            self.process.send(request.message)
            return
        key = request.message["image"]["key"]
        self.process.send(request.message, None if key is not None and key == self._heldKey else request.image)
        self._heldKey = key

    def forgetImage(self) -> None:
        """The process may not hold the image any more."""
        self._heldKey = None

    def forget(self) -> None:
        """The process holds neither image nor model any more."""
        self._heldKey = self.loadedModel = None

    def part(self) -> None:
        """Have no process any more; the one that was is ended by threads of its own, if it is not gone already."""
        if self.process is not None:
            self.process.kill()
        self.process = None
        self.forget()

    def endAll(self) -> None:
        """End all processes and wait a moment until nothing is left of them, folders included."""
        self.part()
        _endAll(self._living)


def _endAll(processes: Sequence[InferenceProcess]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.waitForEnd(_END_S)
