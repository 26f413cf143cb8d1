"""The evaluation, end to end on the tiny set: its figures are recomputed here from masks and maps."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from Testing.training.evaluation import Evaluation
from Testing.training.tiny import LESIONS
from TextGuidedSegLib.inference import Result, Segmenter
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.phrase import swap_sides
from TextGuidedSegLib.weights import DecisionConfig, ThickSlices, find_model, write_card
from training.conditions import CONDITIONS, shuffled
from training.datasets.index import Row, read_index, select
from training.evaluate import parse_options, phrases_for
from training.metrics import hd95

FIGURES = {"n", "dice_per_image", "iou_per_image", "dice_micro", "iou_micro", "hd95", "pseudo"}
PSEUDO_FIGURES = {"dice_per_image", "dice_micro", "peak_in_target", "named_side_mass"}


def truth_of(row: Row) -> np.ndarray:
    """`(I, J)`, read with nothing of the package under test."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(row.mask))).T > 0


def results(model: Path, rows: list[Row], phrases: list[str | None]) -> list[Result]:
    segmenter = Segmenter(find_model(model), device="cpu")
    answers = []
    for row, phrase in zip(rows, phrases, strict=True):
        segmenter.set_image(read_image(row.image))
        answers.append(segmenter.segment(phrase))
    return answers


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def figures_by_hand(masks: list[np.ndarray], truths: list[np.ndarray]) -> dict[str, float]:
    pairs = list(zip(masks, truths, strict=True))
    shared, union = sum((a & b).sum() for a, b in pairs), sum((a | b).sum() for a, b in pairs)
    return {
        "dice_per_image": float(np.mean([dice(a, b) for a, b in pairs])),
        "iou_per_image": float(np.mean([(a & b).sum() / (a | b).sum() for a, b in pairs])),
        "dice_micro": float(2 * shared / (shared + union)),
        "iou_micro": float(shared / union),
        "hd95": float(np.mean([hd95(a, b, (1.0, 1.0)) for a, b in pairs])),
    }


class TestFigures:
    def test_all_figures_are_those_of_the_masks_and_maps_on_the_films_own_grid(self, evaluation: Evaluation) -> None:
        rows = select(read_index(evaluation.index), ["split=dev"])
        answers = results(evaluation.model, rows, [row.columns["text"] for row in rows])
        truths = [truth_of(row) for row in rows]
        assert {truth.shape for truth in truths} == {(64, 64), (72, 80)}
        masks = [answer.mask[:, :, 0] > 0 for answer in answers]
        maps = [answer.pseudo_image[:, :, 0] for answer in answers]
        assert all(mask.any() for mask in masks)
        report = evaluation.report()
        assert report["n"] == 4
        expected = figures_by_hand(masks, truths)
        assert {name: report[name] for name in expected} == pytest.approx(expected)
        pseudo = report["pseudo"]
        pointed = figures_by_hand([each >= 0.15 for each in maps], truths)
        assert pseudo["dice_per_image"] == pytest.approx(pointed["dice_per_image"])
        assert pseudo["dice_micro"] == pytest.approx(pointed["dice_micro"])
        peaks = [truth[np.unravel_index(each.argmax(), each.shape)] for each, truth in zip(maps, truths, strict=True)]
        assert pseudo["peak_in_target"] == pytest.approx(np.mean(peaks))
        # dev_left, dev_right and dev_flagged (right) name one side; the left of the patient is the end of axis I.
        shares = [maps[0][32:].sum() / maps[0].sum(), maps[1][:36].sum() / maps[1].sum()]
        shares.append(maps[3][:32].sum() / maps[3].sum())
        assert pseudo["named_side_mass"] == pytest.approx(np.mean(shares))

    def test_the_identities_between_the_scores_hold(self, evaluation: Evaluation) -> None:
        report = evaluation.report()
        assert report["iou_micro"] == pytest.approx(report["dice_micro"] / (2 - report["dice_micro"]))
        assert report["iou_per_image"] >= report["dice_per_image"] / (2 - report["dice_per_image"]) - 1e-12

    def test_the_keys_are_the_promised_ones_in_all_groups(self, evaluation: Evaluation) -> None:
        report = evaluation.report("--by", "patient")
        assert set(report["groups"]) == {"d", "e", "f"}
        for figures in (report, *report["groups"].values()):
            assert set(figures) >= FIGURES
            assert set(figures["pseudo"]) == PSEUDO_FIGURES
        assert all(set(group) == set(report) - {"groups", "settings"} for group in report["groups"].values())

    def test_groups_part_the_rows(self, evaluation: Evaluation) -> None:
        report = evaluation.report("--by", "patient")
        groups = report["groups"]
        assert {name: group["n"] for name, group in groups.items()} == {"d": 1, "e": 1, "f": 2}
        mean = sum(group["n"] * group["dice_per_image"] for group in groups.values()) / 4
        assert mean == pytest.approx(report["dice_per_image"])
        alone = evaluation.report("--where", "patient=f")
        assert {key: alone[key] for key in FIGURES} == {key: groups["f"][key] for key in FIGURES}

    def test_empty_masks_have_no_distance_and_are_counted_out(
        self, exported_model: Path, tmp_path: Path, lesion_index: Path
    ) -> None:
        folder = Path(shutil.copytree(exported_model, tmp_path / "mute"))
        card = find_model(folder).card
        write_card(folder, dataclasses.replace(card, decision=DecisionConfig(not_found_below=1.0, found_above=1.0)))
        report = Evaluation(folder, lesion_index, tmp_path).report()
        assert (report["hd95"], report["hd95_n"], report["dice_per_image"], report["dice_micro"]) == (None, 0, 0, 0)
        assert report["answers"] == {"not_found": 4}
        assert "NaN" not in (tmp_path / "report.json").read_text(encoding="utf-8")

    def test_the_report_says_how_it_was_made(self, evaluation: Evaluation) -> None:
        settings = evaluation.report("--where", "flag=", "--condition", "swapped")["settings"]
        card = find_model(evaluation.model).card
        assert settings["weights_sha256"] == card.sha256["weights.safetensors"]
        assert settings["decision"] == dataclasses.asdict(card.decision)
        assert (settings["split"], settings["where"], settings["condition"]) == ("dev", ["flag="], "swapped")
        assert settings["thick_slices"] is None

    def test_the_report_names_both_networks_of_a_model_with_two(
        self, exported_model: Path, tmp_path: Path, lesion_index: Path
    ) -> None:
        folder = Path(shutil.copytree(exported_model, tmp_path / "both"))
        part = Path(shutil.copytree(exported_model, folder / "slices"))
        write_card(part, dataclasses.replace(find_model(part).card, decision=DecisionConfig(threshold=0.3)))
        write_card(folder, dataclasses.replace(find_model(folder).card, thick_slices=ThickSlices("slices")))
        settings = Evaluation(folder, lesion_index, tmp_path).report()["settings"]
        assert settings["thick_slices"]["weights_sha256"] == settings["weights_sha256"]
        assert settings["thick_slices"]["decision"]["threshold"] == 0.3 != settings["decision"]["threshold"]

    def test_the_same_command_gives_the_same_report(self, evaluation: Evaluation) -> None:
        assert evaluation.report("--condition", "shuffled") == evaluation.report("--condition", "shuffled")


class TestSelection:
    def test_conditions_choose_rows(self, evaluation: Evaluation) -> None:
        assert evaluation.report("--where", "flag=")["n"] == 3
        assert evaluation.report("--where", "flag=", "--where", "patient=d,f")["n"] == 2
        assert evaluation.report(split="train")["n"] == sum(row.split == "train" for row in LESIONS)

    def test_rows_of_one_film_are_cases_of_their_own(self, structure_evaluation: Evaluation) -> None:
        report = structure_evaluation.report("--where", "kind=left lung,right lung", "--by", "kind", split="val")
        assert report["n"] == 4
        assert {name: group["n"] for name, group in report["groups"].items()} == {"left lung": 2, "right lung": 2}


class TestConditions:
    def phrases(self, evaluation: Evaluation, *more: str) -> list[str]:
        return [case["phrase"] for case in evaluation.cases(*more)]

    def test_original_gives_every_row_its_text(self, evaluation: Evaluation) -> None:
        assert self.phrases(evaluation) == [row.caption for row in LESIONS if row.split == "dev"]

    def test_swapped_swaps_the_sides(self, evaluation: Evaluation) -> None:
        captions = [row.caption for row in LESIONS if row.split == "dev"]
        assert self.phrases(evaluation, "--condition", "swapped") == [swap_sides(text) for text in captions]
        assert self.phrases(evaluation, "--pose", "mirrored") == [swap_sides(text) for text in captions]
        assert self.phrases(evaluation, "--pose", "mirrored", "--condition", "swapped") == captions

    def test_none_gives_no_phrase(self, evaluation: Evaluation) -> None:
        cases = evaluation.cases("--condition", "none")
        assert {case["phrase"] for case in cases} == {""}
        rows = select(read_index(evaluation.index), ["split=dev"])
        answers = results(evaluation.model, rows, [None] * 4)
        assert [int(case["voxels"]) for case in cases] == [answer.voxels for answer in answers]
        assert evaluation.report("--condition", "none")["pseudo"]["named_side_mass"] is None

    def test_one_phrase_for_all_and_another_text_column(self, evaluation: Evaluation) -> None:
        assert set(self.phrases(evaluation, "--phrase", "left lung")) == {"left lung"}
        published = self.phrases(evaluation, "--text-column", "text_published")
        assert published == [row.caption.lower() for row in LESIONS if row.split == "dev"]

    def test_shuffled_gives_nobody_their_own_phrase(self, evaluation: Evaluation) -> None:
        captions = [row.caption for row in LESIONS if row.split == "dev"]
        seen = set()
        for seed in range(4):
            phrases = self.phrases(evaluation, "--condition", "shuffled", "--seed", str(seed))
            assert sorted(phrases) == sorted(captions)
            assert not any(own == given for own, given in zip(captions, phrases, strict=True))
            seen.add(tuple(phrases))
        assert len(seen) > 1

    @pytest.mark.parametrize("counts", [(1, 1), (5, 5), (3, 2, 1), (10, 4, 3, 3), (1,) * 30], ids=str)
    @pytest.mark.parametrize("seed", range(5))
    def test_also_where_many_rows_have_the_same_sentence(self, counts: tuple[int, ...], seed: int) -> None:
        phrases = [str(number) for number, count in enumerate(counts) for _ in range(count)]
        given = shuffled(phrases, seed)
        assert Counter(given) == Counter(phrases)
        assert not any(own == other for own, other in zip(phrases, given, strict=True))

    def test_a_sentence_of_the_majority_meets_itself_as_rarely_as_can_be(self) -> None:
        given = shuffled(["a"] * 6 + ["b", "c"], 0)
        assert sum(phrase == "a" for phrase in given[:6]) == 4
        assert given[6:] == ["a", "a"]

    def test_every_condition_runs(self, evaluation: Evaluation) -> None:
        for condition in CONDITIONS:
            assert evaluation.report("--condition", condition)["n"] == 4


class TestPoses:
    def test_a_mirrored_film_with_swapped_words_scores_the_same(self, evaluation: Evaluation) -> None:
        one, other = evaluation.report(), evaluation.report("--pose", "mirrored")
        for name in FIGURES - {"pseudo", "n"}:
            assert other[name] == pytest.approx(one[name], abs=2e-3), name

    @pytest.mark.parametrize("pose", ["shifted_down", "rotated_clockwise"])
    def test_a_moved_film_is_another_film(self, evaluation: Evaluation, pose: str) -> None:
        assert evaluation.report("--pose", pose)["dice_micro"] != evaluation.report()["dice_micro"]


class TestTruthStaysOutside:
    def test_other_masks_change_the_scores_and_no_prediction(self, evaluation: Evaluation, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(evaluation.index.parent, tmp_path / "other"))
        for mask in (copy / "masks").iterdir():
            picture = sitk.ReadImage(str(mask))
            sitk.WriteImage(sitk.BinaryThreshold(picture, 0, 0, 255, 0), str(mask))
        mine, theirs = evaluation.cases(), dataclasses.replace(evaluation, index=copy / "index.csv").cases()
        for name in ("phrase", "answer", "presence", "voxels"):
            assert [case[name] for case in mine] == [case[name] for case in theirs]
        assert [case["dice"] for case in mine] != [case["dice"] for case in theirs]


def test_the_phrases_follow_the_condition_alone(lesion_index: Path) -> None:
    rows = select(read_index(lesion_index), ["split=dev"])
    arguments = ["--weights", "w", "--data", "d", "--split", "dev", "--out", "o.json"]
    assert phrases_for(rows, parse_options([*arguments, "--condition", "none"])) == [None] * 4
    assert phrases_for(rows, parse_options(arguments)) == [row.columns["text"] for row in rows]
