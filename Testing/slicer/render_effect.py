"""The options of the Segment Editor effect, drawn to a PNG without a screen, as a part of `render_panel`."""

from __future__ import annotations

from pathlib import Path

import pytest
import slicer

from Testing.slicer.fake_client import FakeClient
from Testing.slicer.panel_fixtures import add_film
from Testing.slicer.standins import segment_editor

WIDTH_PX = 430


def draw_effect(patch: pytest.MonkeyPatch, path: Path) -> Path:
    """Draw the options after an answer; the module TextGuidedSeg is loaded.

    Args:
        patch: Takes the Segment Editor away again.
        path: The picture.

    Returns:
        The same path.
    """
    import qt
    from PySide6.QtWidgets import QApplication
    from TextGuidedSegPanel import runner, terms
    from TextGuidedSegPanel.effectRegistration import registerEffect
    from TextGuidedSegPanel.machineSettings import chosenModel
    from TextGuidedSegPanel.modelFolder import installedModels
    from TextGuidedSegPanel.segments import newSegmentation

    client = FakeClient()
    with patch.context() as inner:
        inner.setattr(runner, "sharedClient", lambda: client)
        segment_editor.install(inner)
        registerEffect()
        terms.accept(chosenModel(installedModels()[0]))
        film = add_film(slicer.mrmlScene, name="chest film")
        node = newSegmentation(film)
        editor = segment_editor.SegmentEditorWidget()
        editor.setMRMLScene(slicer.mrmlScene)
        editor.setMRMLSegmentEditorNode(slicer.mrmlScene.AddNode(slicer.vtkMRMLSegmentEditorNode()))
        editor.setSegmentationNode(node)
        editor.setSourceVolumeNode(film)
        editor.setCurrentSegmentID(node.GetSegmentation().AddEmptySegment("opacity", "opacity"))
        editor.setActiveEffectByName("TextGuidedSeg")
        effect = editor.activeEffect().self()
        effect._controls._ui.phraseEdit.text = "left lower lung opacity"
        effect._controls._ui.phraseEdit.returnPressed()
        client.run()
        native = effect._widget._native
        native.resize(WIDTH_PX, native.layout().heightForWidth(WIDTH_PX))
        native.show()
        QApplication.processEvents()
        native.grab().save(str(path))
        native.close()
        editor.deleteLater()
    for key in qt.QSettings().allKeys():
        qt.QSettings().remove(key)
    return path
