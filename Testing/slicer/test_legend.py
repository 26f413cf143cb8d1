"""The legend tells the map's colors, is no part of the saved scene, and leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest
from TextGuidedSegPanel.legend import hideLegend, legendAsRichText, showLegend
from TextGuidedSegPanel.overlay import PROBABILITY, makeSoftMap, setColors

from Testing.slicer.mrml import add_volume

pytestmark = pytest.mark.slicer

SHAPE = (6, 5, 4)


@pytest.fixture
def soft_map(scene):
    volume = add_volume(scene, np.zeros(SHAPE, np.float32), np.eye(4))
    return makeSoftMap(np.zeros(SHAPE, np.float32), volume, "left lower lung opacity", content=PROBABILITY)


def count(scene) -> int:
    return scene.GetNumberOfNodes()


def test_it_has_the_colors_of_the_map_from_0_to_1_and_its_name(soft_map) -> None:
    legend = showLegend(soft_map)
    display = legend.GetPrimaryDisplayNode()
    assert display.GetColorNode() is soft_map.GetDisplayNode().GetColorNode()
    assert display.GetScalarRange() == (0.0, 1.0)
    assert display.GetScalarRangeFlag() == display.UseManualScalarRange
    assert legend.GetTitleText().replace("\n", " ") == "left lower lung opacity (probability)"
    assert max(map(len, legend.GetTitleText().splitlines())) <= 13


def test_it_is_seen_in_slice_views_and_not_in_3d(scene, soft_map) -> None:
    legend = showLegend(soft_map)
    slice_view = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    view = scene.AddNewNodeByClass("vtkMRMLViewNode")
    for node in (legend, legend.GetPrimaryDisplayNode()):
        assert node.GetVisibility(slice_view.GetID())
        assert not node.GetVisibility(view.GetID())


def test_the_next_map_takes_the_same_legend(scene, soft_map) -> None:
    legend = showLegend(soft_map)
    before = count(scene)
    setColors(soft_map, "Ocean")
    soft_map.SetName("right lung (text map)")
    assert showLegend(soft_map) is legend
    assert count(scene) == before
    assert legend.GetPrimaryDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeOcean"
    assert "right lung" in legend.GetTitleText()


def test_hiding_leaves_nothing_behind(scene, soft_map) -> None:
    before = count(scene)
    hideLegend(scene)
    showLegend(soft_map)
    assert count(scene) > before
    hideLegend(scene)
    assert count(scene) == before


def test_it_is_neither_saved_nor_listed(scene, soft_map, tmp_path) -> None:
    legend = showLegend(soft_map)
    model = legend.GetDisplayableNode()
    assert model.GetHideFromEditors()
    path = tmp_path / "scene.mrml"
    scene.SetURL(str(path))
    assert scene.Commit(str(path))
    text = path.read_text(encoding="utf-8")
    assert "TextGuidedSeg legend" not in text
    assert legend.GetID() not in text


def test_a_very_long_phrase_gets_a_short_title(scene, soft_map) -> None:
    soft_map.SetName("opacity " * 60)
    lines = showLegend(soft_map).GetTitleText().splitlines()
    assert len(lines) <= 4
    assert lines[-1] == "…"


def test_in_the_panel_colors_below_the_lowest_value_are_blank(soft_map) -> None:
    all_colors, some = legendAsRichText(soft_map, 0.0), legendAsRichText(soft_map, 0.5)
    assert all_colors.count("bgcolor") == 20
    assert some.count("bgcolor") == 10
    color_node = soft_map.GetDisplayNode().GetColorNode()
    brightest = [0.0] * 4
    color_node.GetColor(int(0.975 * color_node.GetNumberOfColors()), brightest)
    assert "#" + "".join(f"{round(255 * part):02x}" for part in brightest[:3]) in some
    assert "opacity (probability)" in some


def test_a_name_is_no_markup(soft_map) -> None:
    soft_map.SetName("<b>x</b>")
    assert "&lt;b&gt;x&lt;/b&gt;" in legendAsRichText(soft_map, 0.2)


def test_a_map_without_colors_has_no_legend(scene, soft_map) -> None:
    before = count(scene)
    showLegend(soft_map)
    soft_map.GetDisplayNode().SetAndObserveColorNodeID("")
    assert legendAsRichText(soft_map, 0.2) == ""
    assert showLegend(soft_map) is None
    assert count(scene) == before
