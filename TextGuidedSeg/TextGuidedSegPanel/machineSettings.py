"""What belongs to the computer and not to the scene: the model and the device that were chosen last."""

from __future__ import annotations

import qt

from TextGuidedSegLib.weights import Model

MODEL, DEVICE = "TextGuidedSeg/Model", "TextGuidedSeg/Device"
"""Keys of Slicer's settings."""

DEVICES = ("auto", "cpu", "cuda")


def chosenModel(models: dict[str, Model]) -> Model | None:
    """The model that was chosen last, else the first; None if none is installed."""
    first = next(iter(models.values()), None)
    return models.get(qt.QSettings().value(MODEL, ""), first)


def chosenDevice() -> str:
    """One of `DEVICES`."""
    device = qt.QSettings().value(DEVICE, DEVICES[0])
    return device if device in DEVICES else DEVICES[0]
