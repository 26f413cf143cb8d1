"""Sets of questions in a comparison: what a phrase names in part, or what is not there, instead of captions."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from Testing.training.comparison import Comparison, prepared, tiny_grid
from training.compare import main
from training.comparison.results import Results

ROWS = ["no-text", "early-fusion"]


@pytest.fixture
def make(
    lesion_index: Path, structure_index: Path, tokenizer_file: Path, tmp_path: Path
) -> Callable[[str], Comparison]:
    """Two networks that are asked for what no film shows, beside their captions."""

    def made(name: str) -> Comparison:
        grid = tiny_grid(lesion_index, structure_index)
        grid["rows"] = [row for row in grid["rows"] if row["name"] in ROWS]
        where = {"index": str(lesion_index), "split": "train"}
        asked = {"name": "train, elsewhere", **where, "ask": ["other_structure", "unseen_structure"]}
        grid["sets"] = [{"name": "dev films", **where, "split": "dev"}, asked]
        grid["sections"] = [
            {"title": "Captions", "rows": ROWS, "sets": ["dev films"]},
            {"title": "Elsewhere", "rows": ROWS, "sets": ["train, elsewhere"]},
        ]
        return prepared(tmp_path / name, grid, tokenizer_file)

    return made


def test_questions_are_compared_by_patient_and_shown_where_the_grid_says(make: Callable[[str], Comparison]) -> None:
    comparison = make("asked")
    assert main(comparison.command()) == 0
    text = comparison.text()
    captions, asked = text.split("\n## Elsewhere\n")
    assert "* 2 steps of 2 films" in text
    assert "### Captions: dev films" in captions
    assert "elsewhere" not in captions.lower()
    assert "Sets of *questions* do not say captions." in captions
    (head,) = [line for line in asked.splitlines() if line.startswith("| method |")]
    assert "| left empty |" in head
    assert "drawn" not in head, "nothing that was asked for is there"
    assert "| early-fusion − no-text |" in asked

    cell = comparison.cells()[0]
    where = cell.grid.sets[1]
    with cell.result(where, "original").with_suffix(".csv").open(encoding="utf-8") as file:
        images = [line["image"] for line in csv.DictReader(file)]
    results = Results(comparison.cells())
    assert len(images) == 2 * len(set(images)), "two questions a film"
    names = dict(zip(images, results.clusters(where), strict=True))
    assert results.clusters(where) == [names[image] for image in images]
    measured = results.get("no-text", where)
    assert measured is not None
    left = 100 * measured.mean("empty_accuracy")
    assert f"{left:.2f}" in asked
    assert len(measured.overlaps[0]) == len(images)


def test_other_questions_are_measured_again_and_captions_are_not(
    make: Callable[[str], Comparison], monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = make("other")
    assert main(comparison.command()) == 0
    before = comparison.files()
    comparison.grid["sets"][1]["ask"] = ["other_structure"]
    assert main(comparison.command()) == 0
    changed = {path.name for path, time in comparison.files().items() if before.get(path) != time}
    assert {name for name in changed if name.endswith(".csv")} == {
        f"{row}.seed-{seed}.train,-elsewhere.original.csv"
        for row, seed in (("no-text", 0), ("no-text", 1), ("early-fusion", 0))
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ask": ["where"]}, "set 'train, elsewhere' names 'where', which the grid does not have"),
        ({"strata": True}, "asks other_structure, unseen_structure instead of captions: leave its phrase"),
        ({"phrase": "left lung"}, "instead of captions"),
        ({"conditions": ["original", "none"]}, "instead of captions"),
    ],
)
def test_questions_take_the_place_of_captions(
    make: Callable[[str], Comparison], capsys: pytest.CaptureFixture[str], change: dict[str, Any], message: str
) -> None:
    comparison = make("wrong")
    comparison.grid["sets"][1] |= change
    assert main(comparison.command()) == 2
    assert message in capsys.readouterr().err


def test_a_mean_of_masks_answers_no_questions(
    make: Callable[[str], Comparison], capsys: pytest.CaptureFixture[str]
) -> None:
    comparison = make("prior")
    comparison.grid["rows"].append({"name": "prior", "baseline": "zone-prior"})
    assert main(comparison.command()) == 2
    assert "row 'prior' is a mean of masks, which answers no questions" in capsys.readouterr().err
