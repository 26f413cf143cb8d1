"""The overlay as chosen in the panel: text map or probability, colors, legend; there again after a scene was loaded."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from Testing.slicer.panel_fixtures import add_film

pytestmark = pytest.mark.slicer


@pytest.fixture
def widget(list_widget, film):
    """The module's widget with a film chosen and the text map shown."""
    list_widget.ui.inputVolumeSelector.setCurrentNode(film)
    return list_widget


@pytest.fixture
def slice_view(scene):
    """Composite node of a slice view with a background and a foreground of the user's."""
    view = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    view.SetBackgroundVolumeID(add_film(scene, name="below").GetID())
    view.SetForegroundVolumeID(add_film(scene, name="mine").GetID())
    return view


def run(widget, client, phrase: str) -> None:
    widget.ui.phraseEdit.text = phrase
    widget.ui.applyButton.click()
    client.run()


def layers(view) -> list[str]:
    return [view.GetNthLayerVolumeID(3 + index) for index in range(view.GetNumberOfAdditionalLayers())]


def legends() -> list:
    return slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")


def choose(widget, content: str) -> None:
    widget.ui.overlayContentBox.currentIndex = {"text map": 0, "probability": 1}[content]


def test_the_probability_is_shown_by_choice_and_the_users_layers_stay(widget, client, slice_view) -> None:
    before = slice_view.GetBackgroundVolumeID(), slice_view.GetForegroundVolumeID()
    run(widget, client, "left lung")
    text_map = widget.logic.getParameters().pseudoImage
    assert layers(slice_view) == [text_map.GetID()]
    choose(widget, "probability")
    probability = widget.logic.getParameters().probabilityMap
    assert layers(slice_view) == [probability.GetID()]
    assert probability.GetName() == "left lung (probability)"
    assert probability.GetAttribute("TextGuidedSeg.Role") == "Probability"
    assert (slice_view.GetBackgroundVolumeID(), slice_view.GetForegroundVolumeID()) == before
    choose(widget, "text map")
    assert layers(slice_view) == [text_map.GetID()]


def test_the_probability_is_that_of_the_segment(widget, client, slice_view) -> None:
    choose(widget, "probability")
    run(widget, client, "left lung")
    parameters = widget.logic.getParameters()
    values = slicer.util.arrayFromVolume(parameters.probabilityMap)
    segment = slicer.util.arrayFromSegmentBinaryLabelmap(
        parameters.segmentation, parameters.segmentId, parameters.inputVolume
    )
    assert np.array_equal(values >= np.float32(0.5), segment > 0)
    assert 0.5 < values.max() < 1


def test_no_node_is_made_for_a_probability_that_nobody_asked_for(widget, client, slice_view) -> None:
    run(widget, client, "left lung")
    assert widget.logic.getParameters().probabilityMap is None


def test_the_overlay_follows_the_next_phrase_and_the_chosen_segment_in_one_node(widget, client, slice_view) -> None:
    choose(widget, "probability")
    run(widget, client, "left lung")
    node = widget.logic.getParameters().probabilityMap
    left = slicer.util.arrayFromVolume(node).copy()
    run(widget, client, "right lung")
    assert widget.logic.getParameters().probabilityMap is node
    assert node.GetName() == "right lung (probability)"
    first = widget.logic.getParameters().segmentation.GetSegmentation().GetNthSegmentID(0)
    widget.ui.segmentsTable.setSelectedSegmentIDs([first])
    widget.ui.segmentsTable.selectionChanged(None, None)
    assert np.array_equal(slicer.util.arrayFromVolume(node), left)
    assert node.GetName() == "left lung (probability)"
    assert "left lung" in legends()[0].GetTitleText().replace("\n", " ")


def test_a_phrase_that_is_not_found_shows_its_probability_too(widget, client, slice_view) -> None:
    choose(widget, "probability")
    client.presence = 0.1
    run(widget, client, "left lung")
    assert widget.logic.getParameters().segmentation is None
    assert layers(slice_view) == [widget.logic.getParameters().probabilityMap.GetID()]


def test_what_is_hidden_below_the_lowest_value_stays_hidden_with_the_next_phrase(widget, client, slice_view) -> None:
    run(widget, client, "left lung")
    widget.ui.overlayLowestSlider.value = 0.6
    run(widget, client, "right lung")
    display = widget.logic.getParameters().pseudoImage.GetDisplayNode()
    assert display.GetLowerThreshold() == pytest.approx(0.6)


def test_the_legend_is_in_the_views_and_in_the_panel_and_goes_with_the_overlay(widget, client, slice_view) -> None:
    assert legends() == []
    run(widget, client, "left lung")
    assert [one.GetTitleText().replace("\n", " ") for one in legends()] == ["left lung (text map)"]
    assert "bgcolor" in widget.ui.legendLabel.text
    widget.ui.showLegendCheckBox.checked = False
    assert legends() == []
    assert "bgcolor" in widget.ui.legendLabel.text
    widget.ui.showLegendCheckBox.checked = True
    widget.ui.showOverlayCheckBox.checked = False
    assert legends() == []
    assert widget.ui.legendLabel.isHidden()
    assert not widget.ui.overlayContentBox.enabled


def test_the_legend_has_the_chosen_colors(widget, client, slice_view) -> None:
    run(widget, client, "left lung")
    before = widget.ui.legendLabel.text
    widget.ui.overlayColorsBox.currentText = "Ocean"
    assert legends()[0].GetPrimaryDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeOcean"
    assert widget.ui.legendLabel.text != before


def test_the_default_colors_are_safe_for_any_color_vision(widget) -> None:
    assert widget.logic.getParameters().overlayColors == "Viridis"
    assert [widget.ui.overlayColorsBox.itemText(index) for index in range(2)] == ["Viridis", "Cividis"]


def test_leaving_the_module_takes_all_of_it_away_and_coming_back_brings_it_again(widget, client, slice_view) -> None:
    choose(widget, "probability")
    run(widget, client, "left lung")
    shown = layers(slice_view)
    widget.exit()
    assert (layers(slice_view), legends()) == ([], [])
    widget.enter()
    assert layers(slice_view) == shown
    assert len(legends()) == 1


def test_closing_the_scene_leaves_neither_layer_nor_legend(widget, client, slice_view, scene) -> None:
    slice_view.SetSingletonTag("Red")  # as Slicer's own views, which stay when the scene closes
    run(widget, client, "left lung")
    scene.Clear(0)
    assert legends() == []
    assert slice_view.GetNumberOfAdditionalLayers() == 0
    assert widget.ui.legendLabel.isHidden() or "bgcolor" not in widget.ui.legendLabel.text


def saved(scene, tmp_path):
    """The scene with all its volumes, in files."""
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
        storage.SetFileName(str(tmp_path / f"{node.GetID()}.nrrd"))
        node.SetAndObserveStorageNodeID(storage.GetID())
        assert storage.WriteData(node)
    path = tmp_path / "scene.mrml"
    scene.SetRootDirectory(str(tmp_path))
    scene.SetURL(str(path))
    assert scene.Commit(str(path))
    return path


@pytest.mark.parametrize("content", ["text map", "probability"])
def test_a_loaded_scene_has_its_overlay_again(widget, client, slice_view, scene, tmp_path, content: str) -> None:
    choose(widget, content)
    run(widget, client, "left lung")
    widget.ui.overlayOpacitySlider.value = 0.8
    name = {"text map": "pseudoImage", "probability": "probabilityMap"}[content]
    before = slicer.util.arrayFromVolume(getattr(widget.logic.getParameters(), name)).copy()
    path = saved(scene, tmp_path)
    scene.Clear(0)
    scene.SetURL(str(path))
    assert scene.Connect()
    parameters = widget.logic.getParameters()
    node = getattr(parameters, name)
    assert np.allclose(slicer.util.arrayFromVolume(node), before)
    view = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    assert layers(view) == [node.GetID()]
    assert view.GetNthLayerOpacity(3) == pytest.approx(0.8)
    assert len(legends()) == 1
    assert (widget.ui.overlayContentBox.currentIndex, parameters.overlayContent) == (content == "probability", content)
    widget.exit()
    assert (layers(view), legends()) == ([], [])


def test_a_layer_that_a_scene_file_brought_along_goes_when_the_overlay_is_off(widget, client, slice_view) -> None:
    run(widget, client, "left lung")
    left = widget.logic.getParameters().pseudoImage.GetID()
    users = slice_view.GetForegroundVolumeID()
    widget.ui.showOverlayCheckBox.checked = False
    slice_view.SetNthLayerVolumeID(3, left)
    slice_view.SetNthLayerVolumeID(4, users)
    widget.panel.update()
    assert layers(slice_view) == [users]


def test_a_view_that_comes_later_shows_it_too(widget, client, slice_view, scene) -> None:
    run(widget, client, "left lung")
    later = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    widget.panel.update()
    assert layers(later) == layers(slice_view) != []


def test_without_a_map_the_panel_says_what_to_do(widget) -> None:
    assert "run a phrase" in widget.ui.legendLabel.text
