"""The inference process: `python -m TextGuidedSegLib.worker` keeps a model warm for a parent that must never freeze.

It reads commands from stdin and writes events to stdout, as `worker_protocol` lists them. One thread listens, so that a
cancel or the parent's death is noticed while the main thread is busy; one sends heartbeats; the main thread works.
Nobody types these commands: the panel's client does.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import logging
import os
import platform
import queue
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from TextGuidedSegLib import __version__
from TextGuidedSegLib.errors import Cancelled, PhraseError, RegionNeededError, TextGuidedSegError
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.memory import MemoryForecast, available_host_bytes
from TextGuidedSegLib.provenance import provenance_tags
from TextGuidedSegLib.weights import find_model
from TextGuidedSegLib.worker_channel import Channel, ChannelHandler, private_streams
from TextGuidedSegLib.worker_protocol import (
    FLOOR,
    HEARTBEAT_S,
    Message,
    decode_line,
    describe_geometry,
    read_image,
    tight_crop,
    write_array,
)

if TYPE_CHECKING:
    from TextGuidedSegLib.inference import Progress, Result
    from TextGuidedSegLib.warm_segmenter import WarmSegmenter

logger = logging.getLogger(__name__)

# A library that hangs in C code without letting any thread run would outlive its parent; Python's own watchdog, which
# needs no interpreter, ends it. Loading torch from a slow network disk stays far below this.
_STUCK_S = 300.0
# Of the time for phrases that are read together, the part until the first is answered.
_READ_SHARE = 0.8


class Worker:
    """Obeys one parent.

    Args:
        channel: Where events go.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._commands: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._cancelled: set[int | None] = set()
        self._folder = Path()
        self._idle_release_s, self._idle_exit_s = 600.0, 3600.0
        self._warm: WarmSegmenter | None = None
        self._image: tuple[str, Image] | None = None

    def run(self, commands: BinaryIO) -> None:
        """Obey until told to quit or idle for too long; at the end of `commands` the process ends on the spot."""
        for duty, arguments in ((self._listen, (commands,)), (self._beat, ())):
            threading.Thread(target=duty, args=arguments, daemon=True).start()
        while (command := self._next()) is not None:
            self._obey(command)

    def _listen(self, commands: BinaryIO) -> None:
        for line in commands:
            message = decode_line(line)
            if message is None or "cmd" not in message:
                logger.warning("a line on stdin is no command and was left out: %.80r", line)
            elif message["cmd"] == "cancel":
                self._cancelled.add(message.get("id"))
            else:
                self._commands.put(message)
        # The parent closed its end or died. The main thread may be deep in torch, so it is not asked.
        if self._folder.name:
            shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(0)

    def _beat(self) -> None:
        while True:
            faulthandler.dump_traceback_later(_STUCK_S, exit=True)
            self._channel.send("heartbeat")
            time.sleep(HEARTBEAT_S)

    def _next(self) -> Message | None:
        try:
            command = self._commands.get(timeout=self._idle_release_s)
        except queue.Empty:
            self._release("idle")
            try:
                command = self._commands.get(timeout=self._idle_exit_s)
            except queue.Empty:
                self._channel.send("bye", reason="idle")
                return None
        return None if command["cmd"] == "quit" else command

    def _obey(self, command: Message) -> None:
        request = command.get("id")
        try:
            finished = self._carry_out(command)
        except Cancelled:
            self._channel.send("cancelled", id=request)
            return
        except Exception as error:  # the process's border: one request fails, the next one finds the process alive
            if not isinstance(error, TextGuidedSegError):
                logger.exception("a request failed")
            self._channel.send("error", id=request, index=None, **_described(error))
            finished = True
        if finished and request is not None:
            self._channel.send("done", id=request)

    def _carry_out(self, command: Message) -> bool:
        """True when the request is finished; False when it has to be repeated with the voxels."""
        match command["cmd"]:
            case "hello":
                self._hello(command)
            case "load":
                self._say_loaded(command, self._loaded(command), ())
            case "segment":
                return self._segment(command)
            case "release":
                self._release("asked for")
            case unknown:
                msg = f"there is no command {unknown!r}"
                raise ValueError(msg)
        return True

    def _hello(self, command: Message) -> None:
        self._folder = Path(command["folder"])
        self._idle_release_s, self._idle_exit_s = command["idle_release_s"], command["idle_exit_s"]
        self._channel.send(
            "ready",
            pid=os.getpid(),
            version=__version__,
            python=platform.python_version(),
            memory_available_bytes=available_host_bytes(),
        )

    def _loaded(self, command: Message) -> WarmSegmenter:
        asked_for = (command["model"], command["device"])
        if self._warm is not None and self._warm.asked_for == asked_for:
            return self._warm
        find_model(command["model"])  # before the seconds that torch takes
        self._channel.send("loading", id=command["id"], stage="libraries")
        from TextGuidedSegLib.warm_segmenter import WarmSegmenter

        self._channel.send("loading", id=command["id"], stage="model")
        if self._warm is not None:
            self._warm.close()
            self._warm = None
        self._warm = WarmSegmenter(*asked_for)
        return self._warm

    def _say_loaded(self, command: Message, warm: WarmSegmenter, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Tell what the run will need; what does not fit becomes a warning of the results."""
        forecasts = {"host": warm.host_memory(shape), "gpu": warm.gpu_memory()}
        self._channel.send(
            "loaded",
            id=command["id"],
            model=warm.card.name,
            device=warm.device,
            threads=warm.threads,
            memory={
                where: one and {"needed_bytes": one.needed_bytes, "available_bytes": one.available_bytes}
                for where, one in forecasts.items()
            },
        )
        return tuple(_memory_warning(one) for one in forecasts.values() if one is not None and not one.fits)

    def _segment(self, command: Message) -> bool:
        request, entry = command["id"], command["image"]
        if "array" in entry:
            self._image = (entry["key"], read_image(self._folder, entry))
        if self._image is None or self._image[0] != entry["key"]:
            self._channel.send("need_image", id=request)
            return False
        key, image = self._image
        warm = self._loaded(command)
        warnings = self._say_loaded(command, warm, image.array.shape)
        if request in self._cancelled:
            msg = "cancelled before the image was prepared"
            raise Cancelled(msg)
        warm.set_image(key, image)
        count, at_once = len(command["phrases"]), warm.phrases_at_once
        for first in range(0, count, at_once):
            group = range(first, min(first + at_once, count))
            read = _READ_SHARE * len(group) if len(group) > 1 else 0.0
            if read:
                warm.read_ahead(
                    command["phrases"][group.start : group.stop],
                    progress=self._progress(command, first, first, read),
                    is_cancelled=lambda: request in self._cancelled,
                )
            rest = (len(group) - read) / len(group)
            for index in group:
                progress = self._progress(command, index, first + read + rest * (index - first), rest)
                self._answer(command, index, warm, progress, warnings)
        return True

    def _progress(self, command: Message, index: int, start: float, length: float) -> Progress:
        """Tells of a part of a request that lasts from `start` on for a `length`, both counted in phrases."""
        request, count = command["id"], len(command["phrases"])

        def tell(share: float, stage: str) -> None:
            overall = (start + share * length) / count
            self._channel.send("progress", id=request, index=index, count=count, stage=stage, share=overall)

        return tell

    def _answer(
        self, command: Message, index: int, warm: WarmSegmenter, progress: Progress, warnings: tuple[str, ...]
    ) -> None:
        request, phrases = command["id"], command["phrases"]
        try:
            result = warm.segment(
                phrases[index],
                threshold=command["threshold"],
                progress=progress,
                is_cancelled=lambda: request in self._cancelled,
            )
        except (PhraseError, RegionNeededError) as error:  # the other phrases are answered
            self._channel.send("error", id=request, index=index, **_described(error))
            return
        result = dataclasses.replace(result, warnings=(*result.warnings, *warnings))
        values = _result_values(result, self._folder, f"{request}-{index}")
        self._channel.send("result", id=request, index=index, phrase=phrases[index], **values)

    def _release(self, reason: str) -> None:
        held = self._warm is not None or self._image is not None
        if self._warm is not None:
            self._warm.close()
        self._warm = self._image = None
        if held or reason != "idle":
            self._channel.send("released", reason=reason)


def main() -> None:
    """Obey the parent at the other end of stdin and stdout."""
    commands, channel = private_streams()
    logging.basicConfig(level=logging.INFO, handlers=[ChannelHandler(channel)], format="%(name)s: %(message)s")
    faulthandler.enable()
    Worker(channel).run(commands)
    # Past the interpreter's clean-up, which would wait for the thread that listens.
    os._exit(0)


def _described(error: Exception) -> Message:
    """The class of an error and one sentence about it."""
    match error:
        case TextGuidedSegError():
            return {"kind": type(error).__name__, "sentence": str(error)}
        case MemoryError():
            sentence = "the computer ran out of memory; close other programs or images, then run the phrase again"
            return {"kind": "DeviceError", "sentence": sentence}
        case ImportError():
            sentence = f"a Python package is missing or damaged ({error}); install the required packages again"
            return {"kind": "ImportError", "sentence": sentence}
        case OSError():
            return {"kind": "OSError", "sentence": f"image or result could not be handed over: {error}"}
    reason = " ".join(str(error).split())[:300]
    return {"kind": "InternalError", "sentence": f"the inference failed ({type(error).__name__}: {reason})"}


def _memory_warning(forecast: MemoryForecast) -> str:
    needed, available = forecast.needed_bytes / 1e9, (forecast.available_bytes or 0) / 1e9
    return f"This run needs about {needed:.1f} GB of memory, {available:.1f} GB are free: it may be slow or fail."


def _result_values(result: Result, folder: Path, name: str) -> Message:
    """Everything about a result but the mask, which is where the probability reaches the threshold."""
    return {
        "answer": result.answer,
        "model": result.model,
        "presence": result.presence,
        "threshold": result.threshold,
        "seconds": result.seconds,
        "device": result.device,
        "warnings": list(result.warnings),
        "tags": provenance_tags(result),
        "geometry": describe_geometry(result.geometry),
        "probability": write_array(folder, f"{name}-probability", tight_crop(result.probability, FLOOR)),
        "pseudo_image": write_array(folder, f"{name}-pseudo-image", tight_crop(result.pseudo_image, FLOOR)),
    }


if __name__ == "__main__":
    main()
