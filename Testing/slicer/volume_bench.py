"""The part of the interaction bench that measures a large volume: with the real process, and call by call."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from Testing.slicer.fake_client import FakeClient
from Testing.slicer.heartbeat import Row, beating, let_work
from Testing.slicer.mrml import add_volume
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from TextGuidedSegLib.weights import DecisionConfig
from TextGuidedSegLib.worker_protocol import Crop

MOST_MS = 300
_PROCESS = "Testing.slicer.organ_process"
# So coarse that the random network takes no time: what is measured is everything around it.
_PREPROCESSING = PreprocessingConfig(spacing_mm=(8.0, 8.0, 8.0), window=(16, 16, 16))
_ALWAYS = DecisionConfig(not_found_below=0.0, found_above=0.0, mirror_average=False)


def real_volume(widget: Any, folder: Path, shape: tuple[int, int, int]) -> list[Row]:
    """A volume through the panel and the real process, to a segment and two maps in the scene.

    Args:
        widget: The module's widget.
        folder: An empty one, for a model.
        shape: Voxels along each axis.
    """
    from TextGuidedSegPanel.inferenceSettings import ClientSettings
    from TextGuidedSegPanel.modelFolder import chooseFolder
    from TextGuidedSegPanel.warmClient import WarmClient

    from Testing.lib import tiny_volumes

    tiny_volumes.write_model(folder / "anything", preprocessing=_PREPROCESSING, decision=_ALWAYS, modalities=("OT",))
    chooseFolder(folder)
    widget.logic.stop()
    widget.logic._client = WarmClient(ClientSettings(command=(sys.executable, "-u", "-m", _PROCESS)))
    widget.panel._models._fillModels()
    ui = widget.ui
    ui.modelBox.currentText = "anything"
    ui.acceptTermsButton.click()
    values = np.random.default_rng(0).integers(0, 2000, shape, np.int16)
    ui.inputVolumeSelector.setCurrentNode(add_volume(slicer.mrmlScene, values, np.eye(4), name="noise"))
    ui.phraseEdit.text = "left lower lung opacity"
    name = " x ".join(map(str, shape))
    rows = []
    for what in ("first phrase", "warm phrase"):
        with beating() as heartbeat:
            ui.applyButton.click()
            assert widget.logic.isBusy, ui.reasonLabel.text
            let_work(lambda: not widget.logic.isBusy)
        assert ui.segmentFactsLabel.text, ui.answerLabel.text
        rows.append(heartbeat.row(f"{name}, real process: {what}, longest stall", MOST_MS))
    return rows


class PreparedClient(FakeClient):
    """Answers every phrase with the same arrays, in VTK's order as the reading thread leaves them."""

    def __init__(self, probability: Crop, pseudo_image: Crop) -> None:
        super().__init__()
        self._maps = probability, pseudo_image

    def _result(self, number: int, index: int, phrase: str, image: Any, threshold: float | None) -> Any:
        from TextGuidedSegPanel.inferenceRecords import PhraseResult

        probability, pseudo_image = self._maps
        return PhraseResult(
            requestId=number, phraseIndex=index, phrase=phrase, answer="found", model="none", device="cpu",
            presence=0.9, threshold=0.5, warnings=(), seconds=0.0, tags={"TextGuidedSeg.Phrase": phrase},
            geometry=image.geometry, probability=probability, pseudoImage=pseudo_image,
        )  # fmt: skip


def prepared_volume(module: Any, shape: tuple[int, int, int]) -> list[Row]:
    """What the main thread does for a volume: hand it over, put a result into the scene, follow a threshold."""
    volume = add_volume(slicer.mrmlScene, np.zeros(shape, np.int16, order="F"), np.eye(4), name="volume")
    quarter = [size // 4 for size in shape]
    box = np.full([2 * size for size in quarter], 0.8, np.float32, order="F")
    probability = Crop(box, (quarter[0], quarter[1], quarter[2]), shape)
    pseudo_image = Crop(np.full(shape, 0.3, np.float32, order="F"), (0, 0, 0), shape)
    logic = module.TextGuidedSegLogic(PreparedClient(probability, pseudo_image))
    name = " x ".join(map(str, shape))
    rows = []

    def timed(what: str, call: Callable[[], Any]) -> Any:
        started, worked = time.perf_counter(), time.thread_time()
        value = call()
        own_ms = 1000 * (time.thread_time() - worked)
        rows.append(Row(f"{name}: {what}", 1000 * (time.perf_counter() - started), MOST_MS, own_ms))
        return value

    records = timed(
        "hand over to the process, stall", lambda: logic.process(volume, "heart", model="chest-xray", wait=False)
    )
    timed("result into the scene, stall", logic.client.run)
    record = records[0]
    timed(
        "threshold to mask, stall",
        lambda: logic.results.setThreshold(record.segmentationNode, record.segmentId, 0.4),
    )
    return rows
