"""The figures of a model card: abbreviations, the table, and the place they are written to."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from Testing.training.evaluation import Evaluation
from TextGuidedSegLib.weights import find_model, write_card
from training import figures

PAGE = f"# Card\n\nbefore\n\n{figures.BEGIN}\nold\n{figures.END}\n\nafter\n"
SCORES = {
    "n": 2, "dice_per_image": 0.5, "iou_per_image": 0.4, "dice_micro": 0.625, "iou_micro": 0.45, "hd95": None,
    "pseudo": {"dice_per_image": 0.25, "dice_micro": 0.3, "peak_in_target": 1.0, "named_side_mass": None},
}  # fmt: skip


def test_an_abbreviation_stands_for_words_that_may_hold_another() -> None:
    plan = {"@a": ["--data", "@b"], "@b": ["index.csv"]}
    assert figures.expand(["@a", "--split", "dev"], plan) == ["--data", "index.csv", "--split", "dev"]


def test_only_the_text_between_the_marks_changes_and_a_second_time_gives_the_same() -> None:
    once = figures.insert(PAGE, "new")
    assert once == figures.insert(once, "new")
    assert once.startswith("# Card\n\nbefore\n\n")
    assert once.endswith("\n\nafter\n")
    assert "old" not in once


def test_a_page_without_marks_is_refused_with_what_it_needs() -> None:
    with pytest.raises(ValueError, match="figures: begin"):
        figures.insert("# Card\n", "new")


def test_a_table_has_a_row_for_each_figure_in_percent() -> None:
    rows = figures.table({"lesions": SCORES}).splitlines()
    assert rows[-1] == "| lesions | 2 | 50.00 | 62.50 | 40.00 | 25.00 / 30.00 |"
    assert len({row.count("|") for row in rows}) == 1


def test_questions_have_a_table_of_their_own_without_the_columns_that_do_not_apply() -> None:
    asked = {
        **SCORES, "asked_present": 0, "command": "python -m training.evaluate --ask empty_side",
        "empty_accuracy": 0.975,
        **dict.fromkeys(
            ("wrong_side_leakage", "outside_level_excess", "found_recall", "unsure_rate", "presence_auroc", "ece",
             "error_auroc", "paraphrase_spread")
        ),
    }  # fmt: skip
    overlaps, obedience = figures.table({"lesions": SCORES, "empty sides": asked}).split("\n\n")
    assert overlaps == figures.table({"lesions": SCORES})
    assert obedience.splitlines()[-1] == "| empty sides | 2 | 97.50 |"


def test_lengths_have_the_unit_that_the_report_says() -> None:
    crop = {**SCORES, "hd95": 1.25, "hd95_unit": "mm", "surface_dice": 0.875}
    stack, film = {**SCORES, "hd95": 4.5, "hd95_unit": "mm"}, {**SCORES, "hd95": 3.0, "hd95_unit": "px"}
    header, _, *rows = figures.table({"crop": crop, "stack": stack, "film": film}).splitlines()
    assert [name.strip() for name in header.split("|")[6:9]] == ["HD95 px", "HD95 mm", "surface Dice at 1 mm"]
    cells = [[cell.strip() for cell in row.split("|")[6:9]] for row in rows]
    assert cells == [["", "1.2", "87.50"], ["", "4.5", ""], ["3.0", "", ""]]


def test_each_kind_of_question_is_a_figure(evaluation: Evaluation) -> None:
    plan = {"asked": ["--data", str(evaluation.index), "--split", "dev", "--ask", "other_structure,unseen_structure"]}
    measured = figures.measure(str(evaluation.model), plan)
    assert list(measured) == ["asked", "asked: other_structure", "asked: unseen_structure"]
    assert measured["asked"]["n"] == 8
    assert "--ask" in measured["asked: other_structure"]["command"]
    json.dumps(measured)
    assert figures.table(measured).count("asked") == 3


@pytest.mark.slow
def test_two_at_once_measure_the_same(evaluation: Evaluation) -> None:
    asked = ["--data", str(evaluation.index), "--split", "dev"]
    plan = {
        "lesions": asked,
        "no phrase": [*asked, "--condition", "none"],
        "asked": [*asked, "--ask", "other_structure"],
    }
    one, two = (figures.measure(str(evaluation.model), plan, jobs) for jobs in (1, 2))
    assert list(one) == list(two)
    assert json.dumps(one) == json.dumps(two)


def test_some_figures_are_measured_again_and_the_others_stay(evaluation: Evaluation, tmp_path: Path) -> None:
    asked = ["--data", str(evaluation.index), "--split", "dev"]
    plan = {
        "lesions": asked,
        "asked": [*asked, "--ask", "other_structure"],
        "no phrase": [*asked, "--condition", "none"],
    }
    (tmp_path / "figures.json").write_text(json.dumps(plan), encoding="utf-8")
    (tmp_path / "page.md").write_text(PAGE, encoding="utf-8")
    folder = Path(shutil.copytree(evaluation.model, tmp_path / "model"))
    command = [
        "--weights",
        str(folder),
        "--figures",
        str(tmp_path / "figures.json"),
        "--page",
        str(tmp_path / "page.md"),
    ]
    assert figures.main([*command, "--only", "lesions"]) == 2, "the others were never measured"
    assert figures.main(command) == 0
    before, page = find_model(folder).card.figures, (tmp_path / "page.md").read_text(encoding="utf-8")
    changed = {name: figure | {"n": -1} if name != "trained" else figure for name, figure in before.items()}
    write_card(folder, dataclasses.replace(find_model(folder).card, figures=changed))
    assert figures.main([*command, "--only", "lesions", "asked"]) == 0
    after = find_model(folder).card.figures
    assert list(after) == list(before)
    assert {name for name in after if after[name] != before[name]} == {"no phrase"}
    assert figures.main([*command, "--only", "no phrase"]) == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page
    assert figures.main([*command, "--only", "elsewhere"]) == 2


def test_every_figure_of_the_shipped_plan_is_a_legal_evaluation() -> None:
    path = Path(figures.__file__).parent / "models" / "chest-xray" / "figures.json"
    plan = json.loads(path.read_text(encoding="utf-8"))
    for name, arguments in plan.items():
        if not name.startswith("@"):
            words = ["--weights", "x", *figures.expand(arguments, plan), "--out", "x.json"]
            assert figures.parse_options(words).split in ("dev", "val")


def test_the_shipped_card_names_the_command_of_every_figure() -> None:
    card = find_model("chest-xray").card
    measured = {name: figure for name, figure in card.figures.items() if name != "trained"}
    assert measured
    assert all("python -m training.evaluate" in figure["command"] for figure in measured.values())
