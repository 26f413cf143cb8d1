"""The device that a network runs on."""

from __future__ import annotations

import pytest
import torch

from TextGuidedSegLib.errors import DeviceError, WeightsError
from TextGuidedSegLib.inference import Segmenter, choose_device


def test_a_graphics_card_that_is_not_there_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (choose_device("auto"), choose_device("cpu")) == ("cpu", "cpu")
    with pytest.raises(DeviceError, match=r"cuda was asked for, but torch finds no CUDA device; use --device cpu"):
        choose_device("cuda")


def test_a_graphics_card_is_taken_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [choose_device(name) for name in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]


@pytest.mark.parametrize("device", ["tpu", "", "CPU", "cuda:7"])
def test_other_words_are_refused(device: str) -> None:
    with pytest.raises(ValueError, match="auto, cpu or cuda, got"):
        choose_device(device)


def test_an_unknown_model_is_refused_before_anything_else() -> None:
    with pytest.raises(WeightsError, match="there is no model"):
        Segmenter("no-such-model", device="cuda")
