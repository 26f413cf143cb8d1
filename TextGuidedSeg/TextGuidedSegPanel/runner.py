"""Carries runs out: one at a time, on the shared inference process, ended by the end of the scene."""

from __future__ import annotations

import logging
import time

import slicer
from slicer.util import VTKObservationMixin

from TextGuidedSegLib.errors import TextGuidedSegError

from .inferenceRecords import Callbacks
from .results import Results
from .segmentationRun import SegmentationRun
from .undo import UndoHistory
from .warmClient import WarmClient, sharedClient

DEFAULT_MODEL = "chest-xray"
_WAIT_S = 0.005


class Runner(VTKObservationMixin):
    """What the module's logic is made of.

    Attributes:
        results: What came back, by segment; `results.setThreshold` needs no network.
        history: Undo and redo.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history = UndoHistory()
        self.results = Results(self.history)
        self._client: WarmClient | None = None
        self._run: SegmentationRun | None = None

    @property
    def client(self) -> WarmClient:
        """What runs the network: the process that all of this application share, unless another one was set."""
        self._client = self._client or sharedClient()
        return self._client

    @property
    def isBusy(self) -> bool:
        """Whether a run is under way."""
        return self._run is not None and self._run.isRunning

    def start(
        self, run: SegmentationRun, *, model: str | None = None, threshold: float | None = None, device: str = "auto"
    ) -> None:
        """Begin a run and return; `model`, `threshold` and `device` are those of `process`.

        Raises:
            ImageError: No model reads the volume.
            TextGuidedSegError: Another run is under way.
            ValueError: There is no phrase, or the threshold is out of range.
        """
        if self.isBusy:
            msg = "another phrase is still running; cancel it or wait until it is done"
            raise TextGuidedSegError(msg)
        image, signature = run.image()
        self.client.segment(
            image,
            run.phrases,
            signature=signature,
            model=model or DEFAULT_MODEL,
            device=device,
            threshold=threshold,
            callbacks=Callbacks(
                onProgress=run.progress,
                onResult=lambda result: run.take(result, self.results),
                onError=run.fail,
                onFinished=lambda requestId: self._finish(run),
            ),
        )
        # Only now: what was refused does not run. Nothing is told before the client is polled.
        self._run = run
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._onSceneStartClose)
        logging.info("Text Guided Segmentation: %d phrase(s) on %s", len(run.phrases), run.volumeNode.GetName())

    def cancel(self) -> None:
        """Cancel the run; its end is told by the callbacks."""
        if self.isBusy:
            self.client.cancel()

    def abandon(self) -> None:
        """Cancel the run and forget everything, as when the scene closes."""
        run = self._run
        if run is not None and run.isRunning:
            self.client.cancel()
            run.abandon()
            self._finish(run)
        self.results.clear()
        self.history.clear()

    def release(self) -> None:
        """Give the memory of model and graphics card back; the next run loads the model again."""
        if self._client is not None:
            self._client.release()

    def stop(self) -> None:
        """End the inference process; the next run starts another."""
        self.abandon()
        if self._client is not None:
            self._client.stop()

    def _finish(self, run: SegmentationRun) -> None:
        scene = slicer.mrmlScene
        if self.hasObserver(scene, scene.StartCloseEvent, self._onSceneStartClose):
            self.removeObserver(scene, scene.StartCloseEvent, self._onSceneStartClose)
        run.finish()

    def waitFor(self, run: SegmentationRun) -> None:
        """Return when a run is done, or raise what went wrong; Slicer's window goes on meanwhile."""
        while run.isRunning:
            self.client.poll()
            slicer.app.processEvents()
            time.sleep(_WAIT_S)
        run.raiseFailure()

    def _onSceneStartClose(self, caller, event) -> None:
        self.abandon()
