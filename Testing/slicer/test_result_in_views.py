"""A result is brought into sight: slice views go to it, the table lists it, the 3D button shows it."""

from __future__ import annotations

import pytest
import slicer

from Testing.slicer.mrml import PARENTS, add_volume, from_matrix4x4, mask_points
from Testing.slicer.panel_fixtures import FILM_AFFINE
from TextGuidedSegLib.phantom import chest_film

pytestmark = pytest.mark.slicer


@pytest.fixture
def slice_node(scene):
    """A slice view far away from everything."""
    node = scene.GetFirstNodeByClass("vtkMRMLSliceNode")
    if node is None:
        node = slicer.vtkMRMLSliceNode()
        node.SetLayoutName("Red")
        node = scene.AddNode(node)
    node.SetSliceOffset(-987.0)
    return node


@pytest.mark.parametrize("parents", [PARENTS["none"], PARENTS["linear"]], ids=["none", "linear"])
def test_slice_views_go_to_the_new_segment(logic, client, scene, slice_node, parents) -> None:
    film = add_volume(scene, chest_film(size=(64, 64)).array.T[:, :, None], FILM_AFFINE, parents=parents)
    records = logic.process(film, "left lung", wait=False)
    client.run()
    from TextGuidedSegPanel.scene import maskOfSegment

    mask = maskOfSegment(records[0].segmentationNode, records[0].segmentId, film)
    depths = mask_points(mask, FILM_AFFINE, parents) @ from_matrix4x4(slice_node.GetSliceToRAS())[:3, 2]
    assert depths.min() - 1 <= slice_node.GetSliceOffset() <= depths.max() + 1


def test_table_and_3d_button_follow_the_segmentation(module, client, film, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    widget = module.TextGuidedSegWidget()
    assert not widget.ui.show3DButton.enabled
    widget.ui.acceptTermsButton.click()
    widget.ui.phraseEdit.text = "left lung"
    widget.ui.applyButton.click()
    client.run()
    node = widget.ui.segmentationSelector.currentNode()
    assert widget.ui.segmentsTable.segmentationNode() is node
    assert widget.ui.show3DButton.segmentationNode() is node
    assert widget.ui.show3DButton.enabled
    widget.cleanup()
