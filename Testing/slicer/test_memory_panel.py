"""Memory is told before a run, the device after it, and a graphics card that was too small is not passed over."""

from __future__ import annotations

import re

import numpy as np
import pytest
import slicer

from Testing.slicer.mrml import add_volume
from Testing.slicer.panel_fixtures import add_film
from TextGuidedSegLib.memory import MemoryForecast, host_forecast
from TextGuidedSegLib.weights import find_model

pytestmark = pytest.mark.slicer

GB = 10**9


@pytest.fixture
def widget(list_widget, film):
    """The module's widget with a film chosen."""
    list_widget.ui.inputVolumeSelector.setCurrentNode(film)
    return list_widget


@pytest.fixture
def free(slicer_application, monkeypatch: pytest.MonkeyPatch):
    """Set how much main memory is free."""
    import TextGuidedSegLib.memory as memory

    return lambda count: monkeypatch.setattr(memory, "available_host_bytes", lambda: count)


def run(widget, client) -> None:
    widget.ui.applyButton.click()
    client.run()


def told(widget) -> str:
    """What the line says, without its color."""
    return re.sub("<[^>]*>", "", widget.ui.memoryLabel.text)


def needed(shape) -> str:
    card = find_model("chest-xray").card
    return f"{host_forecast(card, shape).needed_bytes / 1e9:.1f} GB"


def test_the_forecast_of_the_library_is_shown_before_anything_runs(widget, client, free) -> None:
    free(12 * GB)
    widget.panel.update()
    assert told(widget) == f"A run needs about {needed((80, 96, 1))} of memory (12.0 GB free)."
    assert client.asked == []


def test_a_larger_image_needs_more(widget, free, scene) -> None:
    free(12 * GB)
    large = add_volume(scene, np.zeros((9000, 7000, 1), np.uint8), np.eye(4), name="large")
    widget.ui.inputVolumeSelector.setCurrentNode(large)
    assert needed((9000, 7000, 1)) != needed((80, 96, 1))
    assert f"about {needed((9000, 7000, 1))} of memory" in told(widget)


def test_too_little_memory_is_a_caution_with_a_way_out_and_no_refusal(widget, free) -> None:
    free(GB // 10)
    widget.panel.update()
    text = told(widget)
    assert "⚠" in text
    assert "only 0.1 GB are free: it may be slow or fail. Close other programs, or choose a smaller region." in text
    assert widget.ui.applyButton.enabled


def test_where_the_system_does_not_say_what_is_free_nothing_is_made_up(widget, free) -> None:
    free(None)
    widget.panel.update()
    assert told(widget) == f"A run needs about {needed((80, 96, 1))} of memory."


def test_without_an_image_there_is_no_forecast(widget) -> None:
    widget.ui.inputVolumeSelector.setCurrentNode(None)
    assert widget.ui.memoryLabel.isHidden()


def test_the_device_that_was_used_is_told(widget, client) -> None:
    run(widget, client)
    assert told(widget).startswith("Ran on the CPU in 0.1 s. ")


def test_a_graphics_card_that_ran_out_of_memory_is_told_with_the_device_that_took_over(widget, client) -> None:
    client.warnings = ("The GPU ran out of memory; this was computed on the CPU instead, which is slower.",)
    widget.ui.deviceBox.currentIndex = 2
    run(widget, client)
    assert client.asked[0]["device"] == "cuda"
    assert "The GPU ran out of memory; this was computed on the CPU instead" in widget.ui.warningsLabel.text
    assert "Ran on the CPU" in told(widget)


def test_the_graphics_cards_memory_is_told_once_a_model_is_there(widget, client, free) -> None:
    from TextGuidedSegPanel.inferenceRecords import LoadedModel

    free(12 * GB)
    gpu = MemoryForecast(GB // 2, 7 * GB)
    client.loadedModel = LoadedModel("chest-xray", "cuda", 2, MemoryForecast(GB, 12 * GB), gpu)
    widget.panel.update()
    assert told(widget).endswith("; on the graphics card 0.5 GB (7.0 GB free).")


def test_a_closed_scene_forgets_the_last_run(widget, client, scene) -> None:
    run(widget, client)
    scene.Clear(0)
    add_film(scene)
    widget.ui.inputVolumeSelector.setCurrentNode(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")[0])
    assert "Ran on" not in told(widget)


def test_of_a_volume_only_the_region_counts(scene, slicer_application) -> None:
    from dataclasses import replace

    from TextGuidedSegPanel.memoryControls import voxelsSeen
    from TextGuidedSegPanel.regionOfInterest import RunRegion
    from TextGuidedSegPanel.scene import geometryOf

    card = find_model("chest-xray").card
    volume = add_volume(scene, np.zeros((30, 20, 10), np.uint8), np.eye(4))
    region = RunRegion(((2, 9), (1, 10), (3, 7)), geometryOf(volume))
    of_volumes = replace(card, network=replace(card.network, spatial_dims=3))
    assert voxelsSeen(volume, region, of_volumes) == (7, 9, 4)
    assert voxelsSeen(volume, region, card) == (30, 20, 10)
    assert voxelsSeen(volume, None, of_volumes) == (30, 20, 10)
