"""A scene that is loaded brings all that was chosen in the panel: nodes come into it behind the parameters."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from Testing.slicer.panel_fixtures import add_film

pytestmark = pytest.mark.slicer
SELECTORS = {
    "inputVolume": "inputVolumeSelector", "segmentation": "segmentationSelector", "region": "regionSelector",
}  # fmt: skip


@pytest.fixture
def scene_file(list_widget, scene, tmp_path):
    """A scene in which the panel chose other nodes than the first ones, saved and closed."""
    add_film(scene, name="first")
    nodes = {
        "inputVolume": add_film(scene, name="chosen image"),
        "segmentation": scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "chosen segmentation"),
        "region": scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "chosen region"),
        "pseudoImage": add_film(scene, name="shown map"),
        "probabilityMap": add_film(scene, name="shown probability"),
    }
    for name, node in nodes.items():
        setattr(list_widget.logic.getParameters(), name, node)
    names = {name: node.GetName() for name, node in nodes.items()}
    path = tmp_path / "scene.mrml"
    scene.SetURL(str(path))
    assert scene.Commit(str(path))
    scene.Clear(0)
    return path, names


def load(scene, path) -> None:
    scene.SetURL(str(path))
    assert scene.Connect()


def chosen(parameters, names) -> dict[str, str | None]:
    """Names of the nodes in the parameters."""
    nodes = {name: getattr(parameters, name) for name in names}
    return {name: node.GetName() if node is not None else None for name, node in nodes.items()}


def test_everything_chosen_is_chosen_again(list_widget, scene, scene_file) -> None:
    path, names = scene_file
    load(scene, path)
    assert chosen(list_widget.logic.getParameters(), names) == names
    for name, selector in SELECTORS.items():
        assert getattr(list_widget.ui, selector).currentNode().GetName() == names[name]


def test_a_panel_that_was_left_finds_it_when_it_is_shown(list_widget, scene, scene_file) -> None:
    path, names = scene_file
    list_widget.exit()
    load(scene, path)
    list_widget.enter()
    assert chosen(list_widget.logic.getParameters(), names) == names


def test_a_script_finds_it_without_a_panel(module, list_widget, scene, scene_file) -> None:
    path, names = scene_file
    list_widget.exit()
    load(scene, path)
    assert chosen(module.TextGuidedSegLogic().getParameters(), names) == names


def test_a_node_that_is_removed_is_no_longer_chosen(list_widget, scene) -> None:
    parameters = list_widget.logic.getParameters()
    parameters.pseudoImage = node = add_film(scene)
    scene.RemoveNode(node)
    assert parameters.pseudoImage is None


def test_closing_a_scene_brings_the_defaults_back(list_widget, scene) -> None:
    parameters = list_widget.logic.getParameters()
    parameters.phrase, parameters.history, parameters.overlayOpacity = "left lung", ["left lung"], 0.9
    scene.Clear(0)
    assert list_widget.logic.getParameters() is parameters
    assert (parameters.phrase, list(parameters.history), parameters.overlayOpacity) == ("", [], 0.5)
    assert slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode") == [parameters.parameterNode]


def test_the_first_image_is_proposed_and_neither_a_label_map_nor_a_map(list_widget, scene) -> None:
    from TextGuidedSegPanel.overlay import makeSoftMap

    list_widget.exit()
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "label map")
    hidden = add_film(scene, name="hidden")
    hidden.SetHideFromEditors(True)
    list_widget.enter()
    assert list_widget.logic.getParameters().inputVolume is None
    list_widget.exit()
    image = add_film(scene, name="image")
    makeSoftMap(np.zeros(image.GetImageData().GetDimensions()), image, "left lung")
    list_widget.enter()
    assert list_widget.logic.getParameters().inputVolume is image
