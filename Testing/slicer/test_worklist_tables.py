"""Label map, export and times of the worklist, by the panel's own buttons."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from Testing.slicer.panel_fixtures import wait_until
from Testing.slicer.worklist_panel import open_folder, session, shown
from TextGuidedSegLib.io import read_image
from training.datasets.films import load_mask
from training.datasets.index import read_index

pytestmark = pytest.mark.slicer


def test_colors_and_values_of_a_label_are_the_same_on_every_case(list_widget, client, answer, films) -> None:
    table = list_widget.ui.worklistLabelsTable
    open_folder(list_widget, answer, films)
    client.run()
    list_widget.ui.worklistLabelsButton.click()
    assert not list_widget.ui.worklistLabelsFrame.isHidden()
    assert [table.item(0, column).text() for column in range(4)] == ["1", "#e69f00", "left lung", ""]
    table.item(0, 1).setText("#102030")
    segment = list_widget.ui.segmentationSelector.currentNode().GetSegmentation().GetNthSegment(0)
    assert segment.GetColor() == pytest.approx((0x10 / 255, 0x20 / 255, 0x30 / 255))
    table.item(0, 3).setText("LLL; left lungs")
    table.item(0, 0).setText("7")
    list_widget.ui.worklistAcceptButton.click()
    list_widget.ui.phraseEdit.text = "left lungs"
    client.run()
    segment = list_widget.ui.segmentationSelector.currentNode().GetSegmentation().GetNthSegment(0)
    assert segment.GetColor() == pytest.approx((0x10 / 255, 0x20 / 255, 0x30 / 255))
    stored = json.loads((films / "TextGuidedSeg.labels.json").read_text(encoding="utf-8"))["labels"]
    assert stored == [{"value": 7, "name": "left lung", "color": "#102030", "phrases": ["LLL", "left lungs"]}]


def test_an_impossible_label_is_refused_and_the_cell_put_back(list_widget, client, answer, films, tmp_path) -> None:
    table = list_widget.ui.worklistLabelsTable
    open_folder(list_widget, answer, films)
    list_widget.ui.worklistAddLabelButton.click()
    assert [table.item(row, 2).text() for row in range(2)] == ["left lung", "new label 2"]
    for column, text, message in (
        (0, "1", "two labels"),
        (0, "x", "no value"),
        (1, "red", "#e69f00"),
        (2, "", "no name"),
    ):
        table.item(1, column).setText(text)
        assert message in list_widget.ui.worklistMessageLabel.text
        assert [table.item(1, column).text() for column in range(3)] == ["2", "#56b4e9", "new label 2"]
    answer(tmp_path / "labels.json")
    list_widget.ui.worklistSaveLabelsButton.click()
    table.setCurrentCell(1, 0)
    list_widget.ui.worklistRemoveLabelButton.click()
    assert table.rowCount == 1
    list_widget.ui.worklistLoadLabelsButton.click()
    assert table.rowCount == 2


def test_accepted_cases_are_exported_for_training_as_the_panel_showed_them(
    list_widget, client, answer, films, tmp_path
) -> None:
    open_folder(list_widget, answer, films)
    client.run()
    node = list_widget.ui.segmentationSelector.currentNode()
    from TextGuidedSegPanel.scene import maskOfSegment

    expected = maskOfSegment(
        node, node.GetSegmentation().GetNthSegmentID(0), list_widget.ui.inputVolumeSelector.currentNode()
    )
    assert expected.any()
    list_widget.ui.worklistAcceptButton.click()
    client.run()
    answer(tmp_path / "export")
    list_widget.ui.worklistIndexButton.click()
    assert not list_widget.ui.worklistCancelButton.isHidden()
    wait_until(lambda: list_widget.ui.worklistCancelButton.isHidden())
    assert f"1 cases were exported to {tmp_path / 'export'}." in list_widget.ui.worklistMessageLabel.text
    (row,) = read_index(tmp_path / "export" / "index.csv")
    assert np.array_equal(load_mask(row.mask, read_image(row.image)), expected > 0)
    assert row.columns["text"] == "left lung"
    assert shown(list_widget) == "film_2"  # the open case is where it was


def test_an_export_that_is_cancelled_or_impossible_leaves_nothing(list_widget, client, answer, films, tmp_path) -> None:
    open_folder(list_widget, answer, films)
    client.run()
    answer(tmp_path / "export")
    list_widget.ui.worklistNnunetButton.click()
    assert "no case is accepted yet" in list_widget.ui.worklistMessageLabel.text
    list_widget.ui.worklistAcceptButton.click()
    client.run()
    list_widget.ui.worklistNnunetButton.click()
    list_widget.ui.worklistCancelButton.click()
    assert list_widget.ui.worklistMessageLabel.text == "The export was cancelled; nothing is left of it."
    assert sorted(path.name for path in tmp_path.iterdir()) == ["films"]


def test_the_time_of_each_case_is_in_the_state_and_in_the_export(list_widget, client, answer, films, tmp_path) -> None:
    open_folder(list_widget, answer, films)
    seconds = iter([100.0, 134.0, 134.0, 140.0, 140.0, 140.0])
    session(list_widget).worklist._clock = lambda: next(seconds)
    session(list_widget).worklist._openedAt = 100.0
    next(seconds)
    client.run()
    list_widget.ui.worklistAcceptButton.click()
    assert list_widget.ui.worklistList.item(0).text() == "film_1.png · 34 s · left lung"
    assert list_widget.ui.worklistProgressBar.format == "1 of 4 · 34 s a case · about 2 min left"
    client.run()
    answer(tmp_path / "export")
    list_widget.ui.worklistIndexButton.click()
    wait_until(lambda: list_widget.ui.worklistCancelButton.isHidden())
    with (tmp_path / "export" / "index.csv").open(encoding="utf-8") as file:
        assert [row["seconds"] for row in csv.DictReader(file)] == ["34.0"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(34.2, "34 s"), (89, "89 s"), (95, "2 min"), (5000, "83 min"), (7300, "2 h")]
)
def test_durations_are_said_in_the_unit_people_would_take(module, seconds: float, text: str) -> None:
    from TextGuidedSegPanel.worklistTexts import duration

    assert duration(seconds) == text
