"""The application's one inference process: shared by the panel and scripts, polled by a timer while it lives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import slicer

from TextGuidedSegLib.image import Image

from .inferenceClient import InferenceClient
from .inferenceRecords import Callbacks, LoadedModel, State
from .inferenceSettings import ClientSettings
from .ticker import Ticker


class WarmClient:
    """An inference client that polls itself.

    Args:
        settings: How the process is run; None for the usual way.
    """

    def __init__(self, settings: ClientSettings | None = None) -> None:
        self.onLog: Callable[[str], None] | None = None
        self.client = InferenceClient(Callbacks(onLog=self._onLog), settings)
        self._ticker = Ticker(self.poll)
        slicer.app.connect("aboutToQuit()", self._onAboutToQuit)

    @property
    def state(self) -> State:
        """What the process is doing."""
        return self.client.state

    @property
    def loadedModel(self) -> LoadedModel | None:
        """The model in the process; None if there is none."""
        return self.client.loadedModel

    @property
    def recentLog(self) -> tuple[str, ...]:
        """The last lines of the process's log."""
        return self.client.recentLog

    @property
    def isTelling(self) -> bool:
        """Whether a callback is being called, which must not wait for another run."""
        return self.client.isTelling

    def segment(self, image: Image, phrases: Sequence[str], **options) -> int:
        """As `InferenceClient.segment`; the callbacks come by themselves."""
        requestId = self.client.segment(image, phrases, **options)
        self._ticker.start()
        return requestId

    def poll(self) -> None:
        """Tell what has come; called by the timer, and by whoever waits."""
        self.client.poll()
        if self.client.state == "stopped" and not self.client.isBusy:
            self._ticker.stop()

    def cancel(self) -> None:
        """Cancel everything asked for."""
        self.client.cancel()

    def release(self) -> None:
        """Give the memory of model and GPU back."""
        self.client.release()

    def stop(self) -> None:
        """End the process."""
        self._ticker.stop()
        self.client.stop()

    def _onAboutToQuit(self) -> None:
        self._ticker.stop()
        # Behind this no thread of ours may ever run again, and images of patients must not stay on the disk.
        self.client.close()

    def _onLog(self, line: str) -> None:
        if self.onLog is not None:
            self.onLog(line)


_shared: list[WarmClient] = []


def sharedClient() -> WarmClient:
    """The one of this application, made when first asked for."""
    if not _shared:
        _shared.append(WarmClient())
    return _shared[0]


def stopSharedClient() -> None:
    """End the shared process, if there is one; the next request starts another."""
    while _shared:
        _shared.pop().stop()
