"""The logic alone: phrases on a volume node become segments, from a script and without a widget."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import slicer

from Testing.slicer.mrml import add_volume, mask_points, put_below, same_points, segment_points, shift
from Testing.slicer.panel_fixtures import FILM_AFFINE, add_film
from TextGuidedSegLib.errors import TextGuidedSegError

pytestmark = pytest.mark.slicer


def names_of(segmentation_node) -> list[str]:
    segmentation = segmentation_node.GetSegmentation()
    return [segmentation.GetNthSegment(index).GetName() for index in range(segmentation.GetNumberOfSegments())]


def started(module, logic, volume, phrases, **options):
    """A run that has not done anything yet, with all that it tells."""
    news: list = []
    callbacks = module.RunCallbacks(
        onResult=lambda record: news.append(("result", record.phrase)),
        onError=lambda failure: news.append((failure.kind, failure.sentence)),
        onFinished=lambda records: news.append(("finished", len(records))),
    )
    return logic.process(volume, phrases, wait=False, callbacks=callbacks, **options), news


def test_each_phrase_gives_one_record_and_one_segment(logic, film) -> None:
    records = logic.process(film, ["left lower lung opacity", "right lung"])
    assert [record.answer for record in records] == ["found", "found"]
    node = records[0].segmentationNode
    assert names_of(node) == ["left lower lung opacity", "right lung"]
    assert [record.segmentId for record in records] == list(node.GetSegmentation().GetSegmentIDs())
    assert records[0].pseudoImageNode.GetName() == "left lower lung opacity (text map)"
    assert records[0].pseudoImageNode is not records[1].pseudoImageNode
    assert records[0].threshold == 0.5


def test_left_is_the_patients_left_in_the_world(logic, film) -> None:
    (record,) = logic.process(film, "left lung")
    points = segment_points(record.segmentationNode, record.segmentId)
    middle = FILM_AFFINE[0, 3] - 80 / 2
    assert points[:, 0].mean() < middle - 5  # the patient's left is towards smaller R


def test_the_segment_lies_where_the_volume_is_seen(logic, client, scene) -> None:
    parents = (shift(50, -20, 8),)
    film = add_film(scene)
    put_below(film, parents)
    other = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    other.CreateDefaultDisplayNodes()
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    other.SetAndObserveTransformNodeID(transform.GetID())
    (record,) = logic.process(film, "left lung", other)
    array = slicer.util.arrayFromVolume(record.pseudoImageNode).T  # the client's spot, on the volume's own grid
    mask = (array >= 0.5).astype(np.uint8)
    assert mask.any()
    assert same_points(segment_points(other, record.segmentId), mask_points(mask, FILM_AFFINE, parents))


def test_a_string_may_hold_several_phrases_on_lines(logic, film) -> None:
    assert [record.phrase for record in logic.process(film, "left lung\n\n right   lung ")] == [
        "left lung",
        "right lung",
    ]


def test_without_its_packages_a_script_is_told_where_to_get_them(logic, film, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidfuzz", None)  # None: it cannot be imported
    with pytest.raises(TextGuidedSegError, match="rapidfuzz is not installed yet; open the module"):
        logic.process(film, "lefft lungg opacityy")
    assert not logic.isBusy


@pytest.mark.parametrize("threshold", [0.0, 1.0, 50.0, -0.5])
def test_an_impossible_threshold_is_refused_and_nothing_runs(logic, film, threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold must be at least"):
        logic.process(film, "left lung", threshold=threshold)
    assert not logic.isBusy
    assert logic.process(film, "left lung", threshold=0.3)[0].answer == "found"


@pytest.mark.parametrize(
    ("phrase", "answer"),
    [("no effusion", "negated"), ("left right lung", "contradictory"), ("qwertz uiop", "not_understood")],
)
def test_other_answers_add_no_segment_and_no_segmentation(logic, film, phrase: str, answer: str) -> None:
    (record,) = logic.process(film, phrase)
    assert (record.answer, record.segmentId, record.segmentationNode) == (answer, "", None)
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []
    assert (record.pseudoImageNode is None) == (answer == "not_understood")


def test_an_unsure_answer_is_flagged_and_its_warnings_are_told(logic, client, film) -> None:
    client.presence, client.warnings = 0.5, ("Check the side.",)
    (record,) = logic.process(film, "left lung")
    segment = record.segmentationNode.GetSegmentation().GetSegment(record.segmentId)
    terms = slicer.vtkSlicerSegmentationsModuleLogic
    assert terms.GetSegmentStatus(segment) == terms.Flagged
    assert record.warnings == ("Check the side.",)


def test_segments_that_are_there_stay_and_names_are_unique(logic, film) -> None:
    (first,) = logic.process(film, "left lung")
    before = segment_points(first.segmentationNode, first.segmentId)
    (second,) = logic.process(film, "left lung", first.segmentationNode)
    assert names_of(first.segmentationNode) == ["left lung", "left lung (2)"]
    assert second.segmentName == "left lung (2)"
    assert same_points(segment_points(first.segmentationNode, first.segmentId), before)


def test_a_new_threshold_needs_no_network(logic, client, film) -> None:
    (record,) = logic.process(film, "left lung")
    sizes = []
    for threshold in (0.3, 0.5, 0.7):
        assert logic.results.setThreshold(record.segmentationNode, record.segmentId, threshold)
        sizes.append(len(segment_points(record.segmentationNode, record.segmentId)))
    assert sizes[0] > sizes[1] > sizes[2] > 0
    assert len(client.asked) == 1


def test_undo_takes_a_result_back_and_redo_brings_it_again(logic, film) -> None:
    (first,) = logic.process(film, "left lung")
    node = first.segmentationNode
    logic.process(film, "right lung", node)
    assert logic.history.undo(node)
    assert names_of(node) == ["left lung"]
    assert logic.history.canRedo(node)
    assert logic.history.redo(node)
    assert names_of(node) == ["left lung", "right lung"]
    assert not logic.history.redo(node)
    logic.history.undo(node)
    logic.history.undo(node)
    assert names_of(node) == []
    assert not logic.history.undo(node)


@pytest.mark.parametrize("what", ["volume", "voxels", "grid", "segmentation"])
def test_a_result_without_its_node_is_dropped_with_a_message(module, logic, client, film, scene, what: str) -> None:
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    records, news = started(module, logic, film, ["left lung"], segmentation=node)
    if what == "volume":
        scene.RemoveNode(film)
    elif what == "voxels":
        film.GetImageData().Modified()
    elif what == "grid":
        film.SetOrigin(1, 2, 3)
    else:
        scene.RemoveNode(node)
    client.run()
    assert records == []
    assert [kind for kind, _ in news] == ["Dropped", "finished"]
    assert "dropped" in news[0][1]
    assert not logic.isBusy


def test_closing_the_scene_ends_the_run_and_nothing_comes_later(module, logic, client, film, scene) -> None:
    records, news = started(module, logic, film, ["left lung", "right lung"])
    client.poll()
    scene.Clear(0)
    assert not logic.isBusy
    assert [kind for kind, _ in news] == ["Dropped", "finished"]
    client.run()
    assert len(news) == 2
    assert records == []
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []


def test_cancelling_keeps_what_was_answered_and_says_so(module, logic, client, film) -> None:
    records, news = started(module, logic, film, ["left lung", "right lung"])
    for _ in range(3):
        client.poll()
    logic.cancel()
    client.run()
    assert [kind for kind, _ in news] == ["result", "Cancelled", "finished"]
    assert len(records) == 1


def test_what_goes_wrong_while_waiting_is_raised(module, logic, client, film) -> None:
    client.segment = lambda *_args, callbacks, **_options: client.__dict__.update(_callbacks=callbacks)
    client.poll = lambda: client.fail("DeviceError", "the device ran out of memory")
    from TextGuidedSegLib.errors import DeviceError

    with pytest.raises(DeviceError, match="out of memory"):
        logic.process(film, "left lung")
    assert not logic.isBusy


def test_bad_input_starts_nothing(module, logic, client, film, scene) -> None:
    label_map = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    for volume, phrases in (
        (film, ""),
        (film, ["left lung", " "]),
        (film, "x" * 501),
        (None, "left lung"),
        (label_map, "lung"),
    ):
        with pytest.raises(module.TextGuidedSegError):
            logic.process(volume, phrases)
    assert client.asked == []
    assert not logic.isBusy


def test_a_second_run_waits_for_the_first(module, logic, client, film) -> None:
    started(module, logic, film, ["left lung"])
    with pytest.raises(module.TextGuidedSegError, match="still running"):
        logic.process(film, "right lung")
    client.run()
    assert logic.process(film, "right lung")[0].answer == "found"


def test_the_same_voxels_are_sent_once_and_changed_ones_again(logic, client, film) -> None:
    logic.process(film, "left lung")
    logic.process(film, "right lung")
    film.GetImageData().Modified()
    logic.process(film, "right lung")
    first, second, third = (one["signature"] for one in client.asked)
    assert first == second != third


def test_codes_are_written_where_they_are_certain(logic, film) -> None:
    from TextGuidedSegPanel.terminology import terminologyOf

    from TextGuidedSegLib.phrase import parse

    (record,) = logic.process(film, "left lung")
    segment = record.segmentationNode.GetSegmentation().GetSegment(record.segmentId)
    assert "SCT^39607008^Lung~SCT^7771000^Left" in segment.GetTerminology()
    nodule = terminologyOf(parse("nodule in the right lung"))
    assert "SCT^27925004^Nodule" in nodule
    assert "SCT^39607008^Lung~SCT^24028007^Right" in nodule
    assert terminologyOf(parse("left lower lung opacity")) == ""
    entry = slicer.vtkSlicerTerminologyEntry()
    assert slicer.modules.terminologies.logic().DeserializeTerminologyEntry(nodule, entry)
    assert entry.GetTypeObject().GetCodeValue() == "27925004"


def test_volumes_are_answered_in_a_plain_array_frame_too(logic, scene) -> None:
    picture = add_volume(scene, np.random.default_rng(0).random((60, 70, 1)), np.diag([-1.0, -1, 1, 1]), name="png")
    (record,) = logic.process(picture, "left lung")
    assert any("does not say how the film is oriented" in one for one in record.warnings)


@pytest.mark.slow
def test_a_script_gets_its_records_from_the_real_process(module, film, tmp_path, monkeypatch) -> None:
    from Testing.lib.tiny import write_model

    monkeypatch.setenv("TEXTGUIDEDSEG_HOME", str(write_model(tmp_path / "models" / "tiny-film").parents[1]))
    logic = module.TextGuidedSegLogic()
    with pytest.raises(module.TextGuidedSegError, match="no model 'chest-ray'"):
        logic.process(film, "left lung", model="chest-ray")
    records = logic.process(film, ["left lung", "no effusion"], model="tiny-film")
    assert records[1].answer == "negated"
    assert records[0].pseudoImageNode.GetImageData().GetDimensions() == film.GetImageData().GetDimensions()
    logic.stop()
