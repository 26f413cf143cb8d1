"""The module is reloaded, as developers do it, by Slicer's own function: a new panel comes, the old one is silent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import slicer

from Testing.slicer.panel_fixtures import add_film

pytestmark = [pytest.mark.slicer, pytest.mark.standins]


class Representation:
    """`qSlicerScriptedLoadableModuleWidget` as far as a reload needs it: where one widget follows another."""

    def __init__(self) -> None:
        import qt

        self._place = slicer.qMRMLWidget()
        self._place.setLayout(qt.QVBoxLayout())
        self.reload()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._place, name)

    def reload(self) -> None:
        """Make the widget of the file that is loaded now."""
        slicer.modules.TextGuidedSegWidget = sys.modules["TextGuidedSeg"].TextGuidedSegWidget(self)
        slicer.modules.TextGuidedSegWidget.setup()


@pytest.fixture
def shown(module, scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The panel in its place; the library as it was afterwards, for tests that hold parts of it."""
    for name, one in list(sys.modules.items()):
        if name.partition(".")[0] == "TextGuidedSegLib":
            monkeypatch.setitem(sys.modules, name, one)
    place = Representation()
    monkeypatch.setattr(slicer.modules.textguidedseg, "widgetRepresentation", lambda: place, raising=False)
    yield
    slicer.modules.TextGuidedSegWidget.cleanup()


def test_the_panel_comes_back_with_what_was_chosen(shown, scene) -> None:
    old = slicer.modules.TextGuidedSegWidget
    film = add_film(scene)
    old.ui.inputVolumeSelector.setCurrentNode(film)
    old.ui.phraseEdit.text = "left lung"
    old.onReload()
    new = slicer.modules.TextGuidedSegWidget
    assert type(new) is not type(old)
    assert type(new.panel) is not type(old.panel)
    assert new.ui.phraseEdit.text == "left lung"
    assert new.ui.inputVolumeSelector.currentNode() is film
    new.ui.phraseEdit.text = "right lung"
    assert new.logic.getParameters().phrase == "right lung"
    assert old.ui.phraseEdit.text == "left lung"


def test_the_old_panel_hears_nothing_more(shown, scene, monkeypatch: pytest.MonkeyPatch) -> None:
    old = slicer.modules.TextGuidedSegWidget
    old.onReload()
    told: list[object] = []
    monkeypatch.setattr(old.panel, "setParameters", told.append)
    monkeypatch.setattr(old.panel, "update", lambda: told.append(None))
    slicer.modules.TextGuidedSegWidget.ui.phraseEdit.text = "left lung"
    scene.Clear(0)
    assert told == []


def test_the_process_of_the_old_panel_is_ended(shown, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[object] = []
    old = slicer.modules.TextGuidedSegWidget
    client = old.logic.client
    monkeypatch.setattr(client, "stop", lambda: ended.append(client))
    old.onReload()
    assert client in ended
    assert slicer.modules.TextGuidedSegWidget.logic.client is not client


def test_the_effect_of_a_new_segment_editor_is_the_new_one(segment_editor, shown) -> None:
    slicer.modules.TextGuidedSegWidget.onReload()
    effect = slicer._TextGuidedSegEffect.self().clone().self()
    assert type(effect) is sys.modules["TextGuidedSegPanel.segmentEditorEffect"].SegmentEditorEffect
    assert type(effect) is not type(slicer._TextGuidedSegEffect.self())
