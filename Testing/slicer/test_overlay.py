"""The pseudo-image is drawn above the views, and the views get back what they showed before."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from TextGuidedSegPanel.overlay import ROLE_ATTRIBUTE, Overlay, makeSoftMap, setLowest
from TextGuidedSegPanel.scene import imageFromVolume

from Testing.slicer.mrml import PARENTS, add_volume, orientations
from TextGuidedSegLib.errors import ImageError

pytestmark = pytest.mark.slicer

SHAPE = (6, 5, 4)
VIRIDIS = "vtkMRMLColorTableNodeFileViridis.txt"


class OlderCompositeNode:
    """A composite node of Slicer before 5.9, without extra layers: only what such a node has."""

    def __init__(self, node) -> None:
        self.GetForegroundVolumeID = node.GetForegroundVolumeID
        self.SetForegroundVolumeID = node.SetForegroundVolumeID
        self.GetForegroundOpacity = node.GetForegroundOpacity
        self.SetForegroundOpacity = node.SetForegroundOpacity


@pytest.fixture
def volume(scene):
    return add_volume(scene, np.zeros(SHAPE, np.float32), orientations()[11], parents=PARENTS["nested"])


@pytest.fixture
def pseudo_image(volume):
    return makeSoftMap(np.linspace(0, 1, 120, dtype=np.float32).reshape(SHAPE), volume, "left lung")


@pytest.fixture
def composite(scene):
    node = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    for setter in (node.SetBackgroundVolumeID, node.SetForegroundVolumeID):
        setter(add_volume(scene, np.zeros(SHAPE, np.float32), np.eye(4)).GetID())
    node.SetForegroundOpacity(0.3)
    return node


def layers(composite) -> list[tuple[str, float]]:
    numbers = range(3, 3 + composite.GetNumberOfAdditionalLayers())
    return [(composite.GetNthLayerVolumeID(n), composite.GetNthLayerOpacity(n)) for n in numbers]


def usual_layers(composite) -> tuple:
    return (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID(), composite.GetForegroundOpacity())


def test_the_pseudo_image_lies_on_the_volume_and_says_what_it_is(volume, pseudo_image) -> None:
    image = imageFromVolume(pseudo_image)
    assert np.array_equal(image.array, np.linspace(0, 1, 120, dtype=np.float32).reshape(SHAPE))
    assert np.allclose(image.geometry.affine_ijk_to_ras, orientations()[11])
    assert pseudo_image.GetParentTransformNode() is volume.GetParentTransformNode()
    assert pseudo_image.GetName() == "left lung (text map)"
    assert pseudo_image.GetAttribute(ROLE_ATTRIBUTE) == "PseudoImage"
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volume.GetScene())
    assert hierarchy.GetItemByDataNode(pseudo_image)


def test_its_display_shows_0_to_1_and_hides_what_is_low(pseudo_image) -> None:
    display = pseudo_image.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 1.0)
    assert (display.GetAutoWindowLevel(), display.GetApplyThreshold()) == (0, 1)
    assert display.GetLowerThreshold() == pytest.approx(0.2)
    setLowest(pseudo_image, 0.6)
    assert display.GetLowerThreshold() == pytest.approx(0.6)
    assert display.GetUpperThreshold() > 1


def test_its_colors_are_viridis_where_the_application_has_it_and_iron_elsewhere(scene, volume, pseudo_image) -> None:
    assert pseudo_image.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeIron"
    viridis = slicer.vtkMRMLColorTableNode()
    viridis.SetSingletonTag("FileViridis.txt")
    scene.AddNode(viridis)
    values = np.zeros(SHAPE, np.float32)
    assert makeSoftMap(values, volume, "right lung").GetDisplayNode().GetColorNodeID() == VIRIDIS
    scene.RemoveNode(viridis)


def test_a_node_is_used_again_for_the_next_phrase(scene, volume, pseudo_image) -> None:
    count = scene.GetNumberOfNodes()
    again = makeSoftMap(np.ones(SHAPE, np.float32), volume, "right\nlung", node=pseudo_image, lowest=0.4)
    assert again is pseudo_image
    assert scene.GetNumberOfNodes() == count
    assert again.GetName() == "right lung (text map)"
    assert imageFromVolume(again).array.min() == 1
    assert again.GetDisplayNode().GetLowerThreshold() == pytest.approx(0.4)


def test_a_map_of_another_size_is_refused(volume) -> None:
    with pytest.raises(ImageError, match=r"\(6, 5, 3\) voxels but film has \(6, 5, 4\)"):
        makeSoftMap(np.zeros((6, 5, 3), np.float32), volume, "left lung")


def test_it_is_shown_as_an_extra_layer_and_taken_away_again(composite, pseudo_image) -> None:
    before = usual_layers(composite)
    overlay = Overlay()
    assert not overlay.isShown
    overlay.show(pseudo_image, [composite], opacity=0.6)
    assert layers(composite) == [(pseudo_image.GetID(), 0.6)]
    assert overlay.isShown
    overlay.setOpacity(0.25)
    assert layers(composite) == [(pseudo_image.GetID(), 0.25)]
    assert usual_layers(composite) == before
    overlay.hide()
    assert layers(composite) == []
    assert usual_layers(composite) == before
    assert not overlay.isShown


def test_a_second_phrase_takes_the_layer_of_the_first(volume, composite, pseudo_image) -> None:
    overlay = Overlay()
    overlay.show(pseudo_image, [composite])
    other = makeSoftMap(np.ones(SHAPE, np.float32), volume, "right lung")
    overlay.show(other, [composite], opacity=0.7)
    assert layers(composite) == [(other.GetID(), 0.7)]
    overlay.hide()
    assert layers(composite) == []


def test_extra_layers_of_others_keep_volume_and_opacity(scene, composite, pseudo_image) -> None:
    below, above = (add_volume(scene, np.zeros(SHAPE, np.float32), np.eye(4)).GetID() for _ in range(2))
    composite.SetNthLayerVolumeID(3, below)
    composite.SetNthLayerOpacity(3, 0.9)
    overlay = Overlay()
    overlay.show(pseudo_image, [composite], opacity=0.5)
    composite.SetNthLayerVolumeID(5, above)
    composite.SetNthLayerOpacity(5, 0.1)
    assert layers(composite) == [(below, 0.9), (pseudo_image.GetID(), 0.5), (above, 0.1)]
    overlay.hide()
    assert layers(composite) == [(below, 0.9), (above, 0.1)]


def test_every_view_is_given_back_on_its_own(scene, composite, pseudo_image) -> None:
    empty = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    before = usual_layers(composite), usual_layers(empty)
    overlay = Overlay()
    overlay.show(pseudo_image, [composite, empty])
    assert layers(empty) == layers(composite) == [(pseudo_image.GetID(), 0.5)]
    overlay.hide()
    assert (usual_layers(composite), usual_layers(empty)) == before
    assert layers(empty) == layers(composite) == []


def test_hiding_after_the_node_or_the_layer_is_gone_changes_nothing(scene, composite, pseudo_image) -> None:
    overlay = Overlay()
    overlay.show(pseudo_image, [composite])
    scene.RemoveNode(pseudo_image)
    overlay.setOpacity(0.1)
    before = usual_layers(composite)
    overlay.hide()
    assert layers(composite) == []
    assert usual_layers(composite) == before


def test_older_versions_lend_the_foreground_and_get_it_back(volume, composite, pseudo_image) -> None:
    older = OlderCompositeNode(composite)
    before = usual_layers(composite)
    overlay = Overlay()
    overlay.show(pseudo_image, [older], opacity=0.6)
    assert usual_layers(composite) == (before[0], pseudo_image.GetID(), 0.6)
    other = makeSoftMap(np.ones(SHAPE, np.float32), volume, "right lung")
    overlay.show(other, [older])
    overlay.setOpacity(0.7)
    assert usual_layers(composite) == (before[0], other.GetID(), 0.7)
    overlay.hide()
    assert usual_layers(composite) == before


def test_a_foreground_the_user_chose_meanwhile_is_kept(scene, composite, pseudo_image) -> None:
    older = OlderCompositeNode(composite)
    chosen = add_volume(scene, np.zeros(SHAPE, np.float32), np.eye(4)).GetID()
    overlay = Overlay()
    overlay.show(pseudo_image, [older])
    composite.SetForegroundVolumeID(chosen)
    composite.SetForegroundOpacity(0.8)
    overlay.setOpacity(0.1)
    overlay.hide()
    assert usual_layers(composite)[1:] == (chosen, 0.8)
    # Shown again, the new choice is what is given back.
    overlay.show(pseudo_image, [older])
    overlay.hide()
    assert usual_layers(composite)[1:] == (chosen, 0.8)


def test_a_choice_made_between_two_phrases_is_the_one_given_back(scene, composite, pseudo_image) -> None:
    older = OlderCompositeNode(composite)
    chosen = add_volume(scene, np.zeros(SHAPE, np.float32), np.eye(4)).GetID()
    overlay = Overlay()
    overlay.show(pseudo_image, [older])
    composite.SetForegroundVolumeID(chosen)
    composite.SetForegroundOpacity(0.8)
    overlay.show(pseudo_image, [older])
    overlay.hide()
    assert usual_layers(composite)[1:] == (chosen, 0.8)


def test_a_closed_scene_is_forgotten_without_touching_it(composite, pseudo_image) -> None:
    overlay = Overlay()
    overlay.show(pseudo_image, [composite], opacity=0.4)
    overlay.forget()
    assert not overlay.isShown
    overlay.hide()
    assert layers(composite) == [(pseudo_image.GetID(), 0.4)]
