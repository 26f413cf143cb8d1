"""The Segment Editor effect: one phrase changes the edited segment, by the editor's own rules of masking and undo."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from TextGuidedSegPanel.scene import maskOfSegment

from Testing.slicer.mrml import PARENTS, add_volume, mask_points, same_points, segment_points
from Testing.slicer.panel_fixtures import FILM_AFFINE, add_film
from TextGuidedSegLib.phantom import chest_film

pytestmark = pytest.mark.slicer


def drawn(shape) -> np.ndarray:
    """What a person has drawn before: a block over both lungs."""
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(size // 4, 3 * size // 4) if size > 1 else slice(0, 1) for size in shape)] = 1
    return mask


class Editing:
    """A Segment Editor with the effect chosen, on a film with two segments: an empty one and what a person drew."""

    def __init__(self, volume, client) -> None:
        from TextGuidedSegPanel.provenance import provenanceFromTags
        from TextGuidedSegPanel.segments import addSegment, newSegmentation

        self.volume, self.client = volume, client
        self.node = newSegmentation(volume)
        self.shape = volume.GetImageData().GetDimensions()
        self.drawn_id = addSegment(drawn(self.shape), volume, self.node, provenanceFromTags({}))
        for tag in ("Phrase", "Model"):
            self.node.GetSegmentation().GetSegment(self.drawn_id).RemoveTag(f"TextGuidedSeg.{tag}")
        self.empty_id = self.node.GetSegmentation().AddEmptySegment("new", "new")
        self.editor = slicer.qMRMLSegmentEditorWidget()
        self.editor.setMRMLScene(slicer.mrmlScene)
        editor_node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
        editor_node.SetOverwriteMode(editor_node.OverwriteNone)
        self.editor.setMRMLSegmentEditorNode(editor_node)
        self.editor.setSegmentationNode(self.node)
        self.editor.setSourceVolumeNode(volume)
        self.editor.setCurrentSegmentID(self.empty_id)
        self.editor.setActiveEffectByName("TextGuidedSeg")

    @property
    def parameters(self):
        """The editor's node."""
        return self.editor.mrmlSegmentEditorNode()

    @property
    def ui(self) -> SimpleNamespace:
        """The effect's widgets."""
        return self.editor.activeEffect().self()._controls._ui

    def run(self, phrase: str, mode: str = "Replace") -> None:
        """Type a phrase, press Enter, wait for the end."""
        self.ui.modeBox.currentText = mode
        self.ui.phraseEdit.text = phrase
        self.ui.phraseEdit.returnPressed()
        self.client.run()

    def mask(self, segment_id: str) -> np.ndarray:
        """A segment on the film's grid."""
        return maskOfSegment(self.node, segment_id, self.volume)

    def origin(self, segment_id: str):
        """What its tags say."""
        from TextGuidedSegPanel.provenance import readProvenance

        return readProvenance(self.node.GetSegmentation().GetSegment(segment_id))


@pytest.fixture
def accepted(module) -> None:
    """The terms of the model are accepted."""
    from TextGuidedSegPanel import terms
    from TextGuidedSegPanel.machineSettings import chosenModel
    from TextGuidedSegPanel.modelFolder import installedModels

    terms.accept(chosenModel(installedModels()[0]))


@pytest.fixture
def editing(segment_editor, accepted, film, client):
    """The effect on a film."""
    made = Editing(film, client)
    yield made
    made.editor.deleteLater()


@pytest.fixture
def left_lung(logic, client, film):
    """What the phrase gives on the film when the module's logic puts it into a new segment."""
    records = logic.process(film, "left lung", wait=False)
    client.run()
    return maskOfSegment(records[0].segmentationNode, records[0].segmentId, film)


def test_it_is_registered_once_and_only_where_there_is_a_segment_editor(module, segment_editor) -> None:
    import qSlicerSegmentationsEditorEffectsPythonQt as effects
    from TextGuidedSegPanel.effectRegistration import registerEffect

    first = slicer._TextGuidedSegEffect
    assert (first.name, first.perSegment) == ("TextGuidedSeg", True)
    registerEffect()
    assert slicer._TextGuidedSegEffect is first
    again = effects.qSlicerSegmentEditorScriptedEffect(None)
    again.name = "TextGuidedSeg"
    assert not effects.qSlicerSegmentEditorEffectFactory().instance().registerEffect(again)


def test_enter_gives_the_segment_what_a_new_segment_would_get(editing, left_lung) -> None:
    editing.run("left lung")
    assert np.array_equal(editing.mask(editing.empty_id), left_lung)
    assert "the segment “new” was changed" in editing.ui.answerLabel.text
    assert np.array_equal(editing.mask(editing.drawn_id), drawn(editing.shape))
    assert editing.node.GetSegmentation().GetNumberOfSegments() == 2


def test_the_image_says_which_model_is_asked(segment_editor, module, client) -> None:
    from TextGuidedSegPanel import terms
    from TextGuidedSegPanel.exampleControls import sampleFolder
    from TextGuidedSegPanel.modelFolder import installedModels
    from TextGuidedSegPanel.samples import loadSample, samplesIn

    terms.accept(installedModels()[0]["mr-structures"])  # those of the film's model are not asked for
    head = next(sample for sample in samplesIn(sampleFolder()) if "Head" in sample.path.name)
    editing = Editing(loadSample(head), client)
    editing.run(head.phrase)
    assert [one["model"] for one in client.asked] == ["mr-structures"]
    editing.editor.deleteLater()


@pytest.mark.parametrize("mode", ["Replace", "Add", "Subtract"])
def test_the_segment_is_replaced_added_to_or_subtracted_from(editing, left_lung, mode: str) -> None:
    before = drawn(editing.shape)
    editing.editor.setCurrentSegmentID(editing.drawn_id)
    editing.run("left lung", mode)
    expected = {"Replace": left_lung, "Add": before | left_lung, "Subtract": before & ~left_lung & 1}[mode]
    assert 0 < left_lung.sum() < (before | left_lung).sum()
    assert np.array_equal(editing.mask(editing.drawn_id), expected)


@pytest.mark.parametrize("mode", ["Replace", "Add", "Subtract"])
def test_the_mask_of_the_editor_holds(editing, left_lung, mode: str) -> None:
    before, intensities = drawn(editing.shape), editing.volume.GetImageData().GetScalarRange()
    middle = sum(intensities) / 2
    editing.parameters.SourceVolumeIntensityMaskOn()
    editing.parameters.SetSourceVolumeIntensityMaskRange(middle, intensities[1])
    allowed = slicer.util.arrayFromVolume(editing.volume).transpose(2, 1, 0) >= middle
    editing.editor.setCurrentSegmentID(editing.drawn_id)
    editing.run("left lung", mode)
    free = {"Replace": left_lung, "Add": before | left_lung, "Subtract": before & ~left_lung & 1}[mode]
    expected = np.where(allowed, free, before)
    assert not np.array_equal(expected, free)
    assert np.array_equal(editing.mask(editing.drawn_id), expected)


def test_inside_another_segment_only(editing, left_lung) -> None:
    editing.parameters.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment)
    editing.parameters.SetMaskSegmentID(editing.drawn_id)
    editing.run("left lung")
    assert np.array_equal(editing.mask(editing.empty_id), left_lung & drawn(editing.shape))
    assert editing.origin(editing.empty_id).corrections[0].endswith("within the mask of the Segment Editor only")


def test_the_undo_of_the_editor_takes_it_back(editing) -> None:
    editing.editor.setCurrentSegmentID(editing.drawn_id)
    editing.run("left lung")
    assert not np.array_equal(editing.mask(editing.drawn_id), drawn(editing.shape))
    editing.editor.undo()
    assert np.array_equal(editing.mask(editing.drawn_id), drawn(editing.shape))
    assert editing.origin(editing.drawn_id) is None


def expected_points(editing: Editing, parents) -> np.ndarray:
    """Where in the world the last answer lies, by matrix arithmetic alone."""
    asked = editing.client.asked[-1]
    probability = editing.client._result(1, 0, asked["phrases"][0], asked["image"], None).probability
    mask = np.zeros(editing.shape, np.uint8)
    mask[probability.box] = probability.array >= np.float32(0.5)
    return mask_points(mask, FILM_AFFINE, parents)


@pytest.mark.parametrize("parents", PARENTS.values(), ids=PARENTS)
def test_it_lies_on_the_film_under_any_transform(segment_editor, accepted, scene, client, parents) -> None:
    film = add_volume(scene, chest_film(size=(64, 64)).array.T[:, :, None], FILM_AFFINE, parents=parents)
    editing = Editing(film, client)
    editing.run("left lung")
    assert same_points(segment_points(editing.node, editing.empty_id, parents), expected_points(editing, parents))
    editing.editor.deleteLater()


def test_a_segmentation_elsewhere_gets_the_mask_where_the_film_is_seen(segment_editor, accepted, scene, client) -> None:
    parents = PARENTS["nested"]
    film = add_volume(scene, chest_film(size=(64, 64)).array.T[:, :, None], FILM_AFFINE, parents=parents)
    editing = Editing(film, client)
    editing.node.SetAndObserveTransformNodeID(None)
    editing.node.SetReferenceImageGeometryParameterFromVolumeNode(film)
    editing.run("left lung")
    assert same_points(
        segment_points(editing.node, editing.empty_id), expected_points(editing, parents), tolerance_mm=1e-3
    )
    editing.editor.deleteLater()


@pytest.mark.parametrize(
    ("presence", "phrase", "sentence"),
    [(0.2, "left lung", "was not found"), (0.9, "no effusion", "is absent"), (0.9, "xyzzy", "No word of")],
)
def test_an_answer_without_a_segment_changes_nothing(editing, presence: float, phrase: str, sentence: str) -> None:
    editing.client.presence = presence
    editing.editor.setCurrentSegmentID(editing.drawn_id)
    editing.run(phrase)
    assert np.array_equal(editing.mask(editing.drawn_id), drawn(editing.shape))
    assert sentence in editing.ui.answerLabel.text
    assert "nothing was changed" in editing.ui.answerLabel.text


def test_the_tags_tell_the_model_from_the_hand(editing) -> None:
    editing.run("left lung", "Add")
    origin = editing.origin(editing.empty_id)
    assert (origin.phrase, origin.model, origin.corrections) == ("left lung", "chest-xray", ())
    editing.run("right lung", "Add")
    origin = editing.origin(editing.empty_id)
    assert origin.phrase == "left lung"
    assert origin.corrections[0].endswith("added “right lung” (chest-xray, threshold 0.5) in the Segment Editor")
    editing.editor.setCurrentSegmentID(editing.drawn_id)
    editing.run("left lung", "Subtract")
    assert editing.origin(editing.drawn_id) is None
    editing.run("left lung", "Add")
    assert editing.origin(editing.drawn_id).corrections[0].endswith("added to what was drawn by hand")


def test_it_shares_the_process_the_history_and_the_choices_with_the_panel(editing, logic, client) -> None:
    logic.getParameters().history = ["right lung"]
    editing.run("left lung")
    assert [one["phrases"] for one in client.asked] == [("left lung",)]
    assert list(logic.getParameters().history) == ["left lung", "right lung"]
    assert (client.asked[0]["model"], client.asked[0]["device"]) == ("chest-xray", "auto")


def test_what_is_typed_stays_with_the_scene(editing) -> None:
    editing.ui.phraseEdit.text = "left lung"
    editing.ui.modeBox.currentText = "Subtract"
    assert editing.parameters.GetAttribute("TextGuidedSeg.Phrase") == "left lung"
    assert editing.parameters.GetAttribute("TextGuidedSeg.Mode") == "subtract"
    assert ">&nbsp;left&nbsp;<" in editing.ui.chipsLabel.text


def test_without_the_packages_it_leads_to_the_module(editing, monkeypatch: pytest.MonkeyPatch) -> None:
    from TextGuidedSegPanel import requirements

    monkeypatch.setattr(requirements, "_installedVersion", {}.get)
    editing.run("left lung")
    assert not editing.client.asked
    assert "Packages are missing" in editing.ui.reasonLabel.text
    assert not editing.ui.moduleButton.isHidden()
    assert not editing.ui.applyButton.enabled


def test_before_the_terms_are_accepted_it_leads_to_the_module(segment_editor, film, client) -> None:
    editing = Editing(film, client)
    editing.run("left lung")
    assert not client.asked
    assert "Accept the terms" in editing.ui.reasonLabel.text
    assert not editing.ui.moduleButton.isHidden()
    editing.editor.deleteLater()


@pytest.mark.parametrize(
    ("missing", "reason"), [("volume", "source volume"), ("segment", "Choose a segment"), ("phrase", "Type what")]
)
def test_it_says_what_is_missing(editing, missing: str, reason: str) -> None:
    editing.ui.phraseEdit.text = "left lung"
    assert editing.ui.applyButton.enabled
    if missing == "volume":
        editing.editor.setSourceVolumeNode(None)
    elif missing == "segment":
        editing.node.GetSegmentation().RemoveSegment(editing.empty_id)
        editing.editor.setCurrentSegmentID("")
    else:
        editing.ui.phraseEdit.text = ""
    assert reason in editing.ui.reasonLabel.text
    assert not editing.ui.applyButton.enabled
    editing.ui.phraseEdit.returnPressed()
    assert not editing.client.asked


def test_another_effect_cancels_what_runs(editing) -> None:
    editing.ui.phraseEdit.text = "left lung"
    editing.ui.applyButton.click()
    assert editing.ui.applyButton.text == "Cancel"
    ui = editing.ui
    editing.editor.setActiveEffectByName("")
    editing.client.run()
    assert not editing.mask(editing.empty_id).any()
    assert "Cancelled" in ui.answerLabel.text


@pytest.mark.parametrize("gone", ["segment", "segmentation", "film"])
def test_what_was_removed_during_the_run_drops_the_result(editing, scene, gone: str) -> None:
    editing.ui.phraseEdit.text = "left lung"
    editing.ui.applyButton.click()
    editing.client.poll()
    if gone == "segment":
        editing.node.GetSegmentation().RemoveSegment(editing.empty_id)
    elif gone == "film":
        scene.RemoveNode(editing.volume)
    else:
        editing.editor.setSegmentationNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode"))
    editing.client.run()
    assert "Run it again" in editing.ui.answerLabel.text
    assert editing.ui.applyButton.text == "Segment"


def test_a_scene_closed_during_the_run_leaves_a_usable_effect(editing, scene, client) -> None:
    editing.ui.phraseEdit.text = "left lung"
    editing.ui.applyButton.click()
    scene.Clear(0)
    client.run()
    fresh = Editing(add_film(scene), client)
    fresh.run("left lung")
    assert fresh.mask(fresh.empty_id).any()
    fresh.editor.deleteLater()


def test_errors_are_said_in_the_effect(editing) -> None:
    editing.ui.phraseEdit.text = "left lung"
    editing.ui.applyButton.click()
    editing.client.fail("DeviceError", "the device ran out of memory; use the CPU")
    assert "The device ran out of memory; use the CPU" in editing.ui.answerLabel.text
    assert editing.ui.applyButton.text == "Segment"
