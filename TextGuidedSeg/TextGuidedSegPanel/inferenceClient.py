"""Asks the warm inference process and never waits: a timer of the main thread calls `poll`, which tells what came.

    client = InferenceClient(Callbacks(onResult=show, onError=explain))
    client.segment(image, ["left lower lung opacity"], signature=f"{volumeNode.GetID()} {modifiedTime}")

The process is started by the first request and kept for the next ones. Whatever happens to it ends the request with one
sentence, and the next request starts a fresh process. Nothing here needs Qt, torch or Slicer.
"""

from __future__ import annotations

import itertools
import queue
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from TextGuidedSegLib.image import Image

from .inferenceEvents import Ended, Printed, Said
from .inferenceRecords import Callbacks, LoadedModel, State
from .inferenceRequest import News, Request, segmentCommand
from .inferenceSettings import ClientSettings
from .processKeeper import ProcessKeeper
from .silenceWatch import SilenceWatch

_POLL_S = 0.005  # the longest that one poll works through what has come
_YIELD_S = 0.002  # Slicer's main thread keeps Python's lock while it idles: here the reading threads get it
_LOG_LINES = 200


class InferenceClient:
    """Requests to one inference process at a time, first come, first served.

    Args:
        callbacks: Told about everything, unless a request has callbacks of its own.
        settings: How the process is run.
    """

    def __init__(self, callbacks: Callbacks | None = None, settings: ClientSettings | None = None) -> None:
        self._callbacks, self._settings = callbacks or Callbacks(), settings or ClientSettings()
        self._state: State = "stopped"
        self._ids = itertools.count(1)
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._news: News = deque()
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._keeper = ProcessKeeper(self._settings)
        self._verdict, self._silence = "", SilenceWatch()
        self._cancelBy, self._polling = 0.0, False

    @property
    def state(self) -> State:
        """What the process is doing."""
        return self._state

    @property
    def isBusy(self) -> bool:
        """True while `poll` has to be called: a request is not finished or something is still to be told."""
        return bool(self._current or self._waiting or self._news)

    @property
    def loadedModel(self) -> LoadedModel | None:
        """The model in the process and the memory the last request was expected to need; None before it is loaded."""
        return self._keeper.loadedModel

    @property
    def recentLog(self) -> tuple[str, ...]:
        """The last lines of the process's log, for diagnostics."""
        return tuple(self._log)

    def load(self, model: str = "chest-xray", device: str = "auto", *, callbacks: Callbacks | None = None) -> int:
        """Load a model ahead of the first phrase.

        Args:
            model: Model name or folder.
            device: "auto", "cpu" or "cuda".
            callbacks: Instead of the client's own.

        Returns:
            Number of the request.
        """
        return self._enqueue({"cmd": "load", "model": str(model), "device": device}, None, callbacks)

    def segment(
        self,
        image: Image,
        phrases: Sequence[str],
        *,
        signature: str | None = None,
        model: str = "chest-xray",
        device: str = "auto",
        threshold: float | None = None,
        callbacks: Callbacks | None = None,
    ) -> int:
        """Ask for phrases on an image; returns at once.

        Args:
            image: Its array must not change until the request is finished.
            phrases: What was typed, one or more.
            signature: Equal signatures mean equal images: voxels that the process holds are not sent again. None
                sends them.
            model: Model name or folder.
            device: "auto", "cpu" or "cuda".
            threshold: Probability from which a voxel belongs to the mask; None for the model's own.
            callbacks: Instead of the client's own.

        Returns:
            Number of the request, as in all that is told about it.

        Raises:
            ValueError: There is no phrase, or the threshold is out of range.
        """
        command = segmentCommand(phrases, signature, threshold)
        return self._enqueue({**command, "model": str(model), "device": device}, image, callbacks)

    def cancel(self) -> None:
        """Cancel everything asked for; the process stops by itself in time or is ended, with all its children."""
        self._dropWaiting()
        if self._current is None or self._state == "cancelling":
            return
        if self._state == "running":
            self._keeper.process.send({"cmd": "cancel", "id": self._current.requestId})
            self._cancelBy = time.monotonic() + self._settings.cancelS
        else:
            self._keeper.process.kill()
        self._setState("cancelling")

    def release(self) -> None:
        """Make an idle process drop model, image and GPU memory; only `stop` returns the GPU driver's own share too."""
        if self._state == "idle":
            self._keeper.process.send({"cmd": "release"})

    def stop(self) -> None:
        """End the process with all its children; returns at once, and does nothing when there is none.

        What was asked for is cancelled. A later request starts a fresh process.
        """
        self._dropWaiting()
        self._keeper.part()
        if self._current is not None:
            self._current.tellCancelled()
        self._finished("stopped")

    def close(self) -> None:
        """As `stop`, but wait a moment until nothing is left: for the end of the program, whose threads end with it."""
        self.stop()
        self._keeper.endAll()

    def poll(self) -> None:
        """Tell the callbacks what has happened, and end a process that hangs; takes a few milliseconds at most."""
        if self._polling:  # a callback let the timer run
            return
        self._polling = True
        try:
            self._hear()
            self._watch()
            self._dispatch()
            while self._news:
                self._news.popleft()()
        finally:
            self._polling = False

    @property
    def isTelling(self) -> bool:
        """Whether a callback is being called: whoever waits for another run in it waits forever."""
        return self._polling

    def waitUntilIdle(self, timeoutS: float | None = None) -> bool:
        """Poll until every request is finished, for scripts; False if the time is over before."""
        end = None if timeoutS is None else time.monotonic() + timeoutS
        while self.isBusy and (end is None or time.monotonic() < end):
            self.poll()
            time.sleep(_YIELD_S)
        return not self.isBusy

    def _enqueue(self, message: Mapping[str, Any], image: Image | None, callbacks: Callbacks | None) -> int:
        requestId = next(self._ids)
        message = {**message, "id": requestId}
        self._waiting.append(Request(requestId, message, image, callbacks or self._callbacks, self._news))
        self._dispatch()
        return requestId

    def _dispatch(self) -> None:
        if not self._waiting or self._current is not None:
            return
        request = self._current = self._waiting.popleft()
        request.sentToWarm = self._keeper.isThere
        self._silence.restart()
        self._verdict = ""
        if request.sentToWarm:
            self._setState("running")
        else:
            self._keeper.start()
            self._setState("starting")
            request.tellProgress("starting")
        self._keeper.ask(request)

    def _hear(self) -> None:
        end = time.monotonic() + _POLL_S
        wait = _YIELD_S if self._current is not None else 0.0
        while self._keeper.process is not None and time.monotonic() < end:
            try:
                event = self._keeper.process.events.get(block=wait > 0, timeout=wait or None)
            except queue.Empty:
                return
            wait = 0.0
            match event:
                case Said():
                    self._heed(event)
                case Printed():
                    self._note(event.text)
                case Ended():
                    self._ended(event)

    def _heed(self, event: Said) -> None:
        request, message = self._current, event.message
        match message["event"]:
            case "released":
                self._keeper.forget()
            case "log":
                self._note(f"{message['level']}: {message['text']}")
            case "ready" if self._state == "starting":
                self._setState("loading")
        if request is not None and message.get("id") == request.requestId:
            request.answered = True
            self._heedAnswer(request, event)

    def _heedAnswer(self, request: Request, event: Said) -> None:
        message = event.message
        match message["event"]:
            case "loading" | "loaded":
                self._heedLoading(request, event)
            case "progress":
                request.tellProgress(message["stage"], message["share"], message["index"])
            case "result":
                request.tellResult(event.content)
            case "need_image":
                self._keeper.forgetImage()
                self._keeper.ask(request)
            case "error":
                if message["index"] is None:
                    self._keeper.forgetImage()
                request.tellFailure(message["kind"], message["sentence"], message["index"])
            case "cancelled" | "done" as end:
                (request.tellCancelled if end == "cancelled" else request.tellFinished)()
                self._finished("idle")

    def _heedLoading(self, request: Request, event: Said) -> None:
        if event.content is not None:
            self._keeper.loadedModel = event.content
        else:
            request.tellProgress(f"loading {event.message['stage']}")
        if self._state != "cancelling":
            self._setState("loading" if event.content is None else "running")

    def _ended(self, event: Ended) -> None:
        request, wasCancelled, verdict = self._current, self._state == "cancelling", self._verdict
        self._keeper.part()
        if request is None:
            if event.exitCode != 0:  # after a long idle time it leaves by itself
                self._note(event.sentence(""))
        elif wasCancelled:
            request.tellCancelled()
        elif request.sentToWarm and not request.answered and not verdict:
            # It ended, as after a long idle time, before it could hear of the request; a fresh one is asked, once.
            self._waiting.appendleft(request)
        else:
            lastWords = self._log[-1] if self._log else ""
            request.tellFailure("ProcessError", verdict or event.sentence(lastWords))
            request.tellFinished()
        self._finished("stopped")

    def _finished(self, state: State) -> None:
        self._current = None
        self._setState(state)

    def _watch(self) -> None:
        if self._keeper.process is None or self._current is None:
            return
        # A process that only gives signs of life but never starts is given up, too.
        lastHeard = 0.0 if self._state == "starting" else self._keeper.process.lastHeard
        silenceS = self._silence.silenceS(lastHeard)
        if self._state == "cancelling":
            if time.monotonic() >= self._cancelBy:
                self._keeper.process.kill()
        elif silenceS > self._settings.longestSilenceS(self._state):
            self._verdict = self._settings.silenceSentence(self._state)
            self._keeper.process.kill()

    def _dropWaiting(self) -> None:
        while self._waiting:
            self._waiting.popleft().tellCancelled()

    def _note(self, text: str) -> None:
        self._log.append(text)
        self._news.append(partial(self._callbacks.onLog, text))

    def _setState(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self._news.append(partial(self._callbacks.onState, state))
