"""Out of memory, windows shrink and a GPU hands over to the CPU, both aloud; what a run needs is told before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from Testing.lib import tiny, tiny_volumes
from TextGuidedSegLib import warm_segmenter
from TextGuidedSegLib.errors import DeviceError, WeightsError
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Result, Segmenter
from TextGuidedSegLib.memory import MemoryForecast, available_host_bytes, host_forecast
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.phantom import chest_film
from TextGuidedSegLib.warm_segmenter import SMALLER_WINDOWS, STEPPED_DOWN, WarmSegmenter
from TextGuidedSegLib.weights import read_model

PHRASE = "left lung opacity"
MakeGpu = Callable[[set[str], Exception], list[str]]


@pytest.fixture
def film() -> Image:
    return tiny.film_image(chest_film(1, size=(80, 66)).array)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> MakeGpu:
    """A make-believe GPU on which some steps fail; returns what is done, step by step."""

    def make(failing: set[str], error: Exception) -> list[str]:
        steps: list[str] = []

        class OnGpu(Segmenter):
            def __init__(self, model: str, *, device: str) -> None:
                steps.append(f"load {device}")
                if "load" in failing and device == "cuda":
                    raise error
                super().__init__(model, device="cpu")
                self.device = device

            def segment(self, phrase: Any, **options: Any) -> Result:
                device, self.device = self.device, "cpu"
                try:
                    if phrase != "warm up":
                        steps.append(f"segment {device}")
                        if "segment" in failing and device == "cuda":
                            raise error
                    return super().segment(phrase, **options)
                finally:
                    self.device = device

        monkeypatch.setattr(warm_segmenter, "Segmenter", OnGpu)
        monkeypatch.setattr(warm_segmenter, "choose_device", lambda device: "cuda" if device != "cpu" else "cpu")
        return steps

    return make


def answer(segmenter: WarmSegmenter, film: Image) -> Result:
    segmenter.set_image("film", film)
    return segmenter.segment(PHRASE, threshold=None, progress=lambda _share, _stage: None, is_cancelled=lambda: False)


FULL = [
    DeviceError("the device cuda ran out of memory; close what else uses it, or use --device cpu"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


@pytest.mark.parametrize("error", FULL)
@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        ("load", ["load cuda", "load cpu", "segment cpu"]),
        ("segment", ["load cuda", "segment cuda", "load cpu", "segment cpu"]),
    ],
)
def test_a_full_gpu_hands_over_to_the_cpu_and_every_result_says_so(
    failing: str, expected: list[str], error: Exception, gpu: MakeGpu, tiny_model: Path, film: Image
) -> None:
    steps = gpu({failing}, error)
    segmenter = WarmSegmenter(str(tiny_model), "auto")
    first, second = answer(segmenter, film), answer(segmenter, film)
    assert steps == [*expected, "segment cpu"]
    assert segmenter.device == "cpu"
    assert STEPPED_DOWN in first.warnings
    assert STEPPED_DOWN in second.warnings
    alone = Segmenter(str(tiny_model), device="cpu")
    alone.set_image(film)
    np.testing.assert_array_equal(first.probability, alone.segment(PHRASE).probability)


@pytest.fixture(scope="module")
def volume_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    large = dataclasses.replace(tiny_volumes.PREPROCESSING, window=(32, 32, 32))
    return tiny_volumes.write_model(tmp_path_factory.mktemp("warm") / "tiny-volume", preprocessing=large)


def small_memory(monkeypatch: pytest.MonkeyPatch, voxels: int, error: Exception) -> list[int]:
    """Networks run out of memory on more voxels than these; returns the voxels of each attempt."""
    segment, seen = FusedNetwork.segment, []

    def limited(self: FusedNetwork, image: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        seen.append(image.numel())
        if image.numel() > voxels:
            raise error
        return segment(self, image, *arguments, **options)

    monkeypatch.setattr(FusedNetwork, "segment", limited)
    return seen


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_a_volume_is_read_by_smaller_windows_when_memory_runs_out(
    error: Exception, volume_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = tiny_volumes.volume_image(tiny_volumes.values((40, 30, 30)))
    whole = answer(WarmSegmenter(str(volume_model), "cpu"), volume)
    largest = int(np.prod(whole.plan.window))
    seen = small_memory(monkeypatch, largest - 1, error)
    thrifty = WarmSegmenter(str(volume_model), "cpu")
    for _ in range(2):  # the second run, too, is told of
        result = answer(thrifty, volume)
        assert result.warnings == (*whole.warnings, SMALLER_WINDOWS)
        assert np.prod(result.plan.window) < largest
        assert result.plan.device == "cpu"
    assert seen.count(largest) == 1, "it is not tried again"
    assert result.mask.shape == whole.mask.shape
    monkeypatch.undo()
    thrifty.set_image("another", volume)
    thrifty.set_image("film", volume)
    assert SMALLER_WINDOWS not in answer(thrifty, volume).warnings


def test_the_smallest_windows_that_do_not_fit_either_are_one_sentence(
    volume_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_memory(monkeypatch, 1, MemoryError())
    with pytest.raises(DeviceError, match="the computer ran out of memory; close other programs"):
        answer(WarmSegmenter(str(volume_model), "cpu"), tiny_volumes.volume_image(tiny_volumes.values()))


def test_without_trouble_nothing_is_warned_of(tiny_model: Path, film: Image) -> None:
    assert STEPPED_DOWN not in answer(WarmSegmenter(str(tiny_model), "cpu"), film).warnings


def test_other_errors_of_the_gpu_are_not_swallowed(gpu: MakeGpu, tiny_model: Path, film: Image) -> None:
    gpu({"segment"}, RuntimeError("CUDA error: an illegal memory access was encountered"))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        answer(WarmSegmenter(str(tiny_model), "auto"), film)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_a_full_computer_is_one_sentence(
    error: Exception, tiny_model: Path, film: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = WarmSegmenter(str(tiny_model), "cpu")

    def fail(*_arguments: Any, **_options: Any) -> Result:
        raise error

    monkeypatch.setattr(Segmenter, "segment", fail)
    with pytest.raises(DeviceError, match="the computer ran out of memory; close other programs"):
        answer(segmenter, film)


def test_a_model_that_is_not_there_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no model"):
        WarmSegmenter(str(tmp_path / "nothing"), "cpu")


def test_the_same_key_is_not_prepared_again(tiny_model: Path, film: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = WarmSegmenter(str(tiny_model), "cpu")
    answer(segmenter, film)
    prepared: list[Image] = []
    monkeypatch.setattr(Segmenter, "set_image", lambda _self, image: prepared.append(image))
    segmenter.set_image("film", film)
    assert prepared == []
    segmenter.set_image("another", film)
    assert prepared == [film]


def test_larger_images_and_networks_need_more_memory(tiny_model: Path) -> None:
    card = read_model(tiny_model).card
    small, large = host_forecast(card, (100, 100, 1)), host_forecast(card, (3000, 2500, 1))
    assert 100 << 20 < small.needed_bytes < large.needed_bytes < 4 << 30
    assert WarmSegmenter(str(tiny_model), "cpu").gpu_memory() is None


def test_memory_that_the_system_does_not_tell_is_no_alarm() -> None:
    available = available_host_bytes()
    assert available is None or available > 1 << 20
    assert MemoryForecast(10, None).fits
    assert MemoryForecast(10, 10).fits
    assert not MemoryForecast(11, 10).fits


@pytest.mark.gpu
def test_a_really_full_gpu_hands_over_and_its_need_is_measured(tiny_model: Path, film: Image) -> None:
    segmenter = WarmSegmenter(str(tiny_model), "cuda")
    memory = segmenter.gpu_memory()
    assert memory is not None
    assert memory.fits
    assert memory.needed_bytes > 0
    first = answer(segmenter, film)
    segmenter.close()
    assert torch.cuda.memory_allocated() == 0
    torch.cuda.set_per_process_memory_fraction(1e-9)
    try:
        second = answer(WarmSegmenter(str(tiny_model), "cuda"), film)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert (first.device, second.device) == ("cuda", "cpu")
    assert STEPPED_DOWN in second.warnings
    np.testing.assert_allclose(first.probability, second.probability, atol=1e-3)


def test_an_image_without_a_name_is_never_taken_for_the_one_before(tiny_model: Path, film: Image) -> None:
    segmenter = WarmSegmenter(str(tiny_model), "cpu")
    turned = dataclasses.replace(film, array=film.array[::-1].copy())
    found = []
    for image in (film, turned, film):
        segmenter.set_image(None, image)
        result = segmenter.segment(
            PHRASE, threshold=None, progress=lambda _share, _stage: None, is_cancelled=lambda: False
        )
        found.append(result.probability)
        assert result.probability.shape == film.geometry.shape
    np.testing.assert_array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[1])
