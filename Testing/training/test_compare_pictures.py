"""Comparisons on sets of pictures: no split to tune on, a phrase for a set, and pages that leave others alone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from Testing.training.comparison import Comparison, prepared, tiny_grid
from Testing.training.picture_sets import TUMORS, write_polyp_set, write_ultrasound_set
from TextGuidedSegLib.weights import read_model
from training.compare import main, parse_options
from training.comparison.cells import missing
from training.comparison.grid import FIXED_THRESHOLD, read_grid

GRIDS = Path(__file__).resolve().parents[2] / "training" / "grids"
ASKED = "tumor in the breast ultrasound image"


def picture_grid(index: Path, picture: str) -> dict[str, Any]:
    """Two rows on one set of pictures, without films to tune on."""
    grid = tiny_grid(index, index)
    del grid["tuning"]
    grid["base"]["network"]["image_channels"] = 3 if picture == "polyp" else 1
    grid["base"]["data"] |= {"infection_share": 0.0, picture: str(index), f"{picture}_share": 1.0}
    where = {"index": str(index), "split": "val"}
    grid["sets"] = [{"name": "val", **where, "conditions": ["original", "none"]}]
    if picture == "breast_ultrasound":
        grid["sets"] = [
            {"name": "val tumors", **where, "where": ["klass=benign,malignant"]},
            {"name": "val normal", **where, "where": ["klass=normal"], "phrase": ASKED},
        ]
    grid["rows"] = [
        {"name": "no-text", "preset": "no-text"},
        {"name": "early-fusion", "preset": "early-fusion", "conditions": ["original", "none"]},
    ]
    grid["sections"] = [{"title": "Words", "rows": ["no-text", "early-fusion"], "curves": True}]
    return grid


@pytest.fixture(scope="module")
def polyps(tokenizer_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A comparison that is done; read it only."""
    folder = tmp_path_factory.mktemp("polyps")
    comparison = prepared(folder / "compare", picture_grid(write_polyp_set(folder), "polyp"), tokenizer_file)
    assert main(comparison.command()) == 0
    return comparison


@pytest.fixture(scope="module")
def ultrasound(tokenizer_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A comparison that is done; read it only."""
    folder = tmp_path_factory.mktemp("ultrasound")
    grid = picture_grid(write_ultrasound_set(folder), "breast_ultrasound")
    comparison = prepared(folder / "compare", grid, tokenizer_file)
    assert main(comparison.command()) == 0
    return comparison


def phrases(comparison: Comparison, number: int) -> set[str]:
    """What was said of one set."""
    cell = comparison.cells()[0]
    with cell.result(cell.grid.sets[number], "original").with_suffix(".csv").open(encoding="utf-8") as file:
        return {line["phrase"] for line in csv.DictReader(file)}


class TestNoSplitToTuneOn:
    def test_every_row_has_the_same_fixed_threshold_and_the_page_says_so(self, polyps: Comparison) -> None:
        assert {read_model(cell.model).card.decision.threshold for cell in polyps.cells()} == {FIXED_THRESHOLD}
        assert "no tuning: the threshold is 0.5 for every row" in polyps.text()
        assert "one tuning try" not in polyps.text()

    def test_differences_have_intervals(self, polyps: Comparison) -> None:
        (line,) = [line for line in polyps.text().splitlines() if line.startswith("| early-fusion − no-text |")]
        assert line.count("[") == 4, "both Dice and both IoU"

    def test_nothing_is_left_to_do(self, polyps: Comparison) -> None:
        assert [missing(cell) for cell in polyps.cells()] == [[], []]


class TestSetsWithAPhrase:
    def test_normal_pictures_are_asked_for_what_they_do_not_show(self, ultrasound: Comparison) -> None:
        assert phrases(ultrasound, 1) == {ASKED}
        assert phrases(ultrasound, 0) == {
            f"{said} in the breast ultrasound image." for _, split, spots, _, said in TUMORS if spots and split == "val"
        }
        assert "### Words: val normal" in ultrasound.text()

    def test_another_phrase_is_measured_anew(self, ultrasound: Comparison) -> None:
        changed = Comparison(ultrasound.folder, {**ultrasound.grid})
        tumors, normal = ultrasound.grid["sets"]
        changed.grid["sets"] = [tumors, {**normal, "phrase": "benign tumor"}]
        assert [[where.name for where, _ in missing(cell)] for cell in changed.cells()] == [["val normal"]] * 2
        assert not any(missing(cell) for cell in ultrasound.cells())

    def test_a_phrase_has_no_words_to_change(self, ultrasound: Comparison, capsys: pytest.CaptureFixture[str]) -> None:
        changed = Comparison(ultrasound.folder, {**ultrasound.grid})
        tumors, normal = ultrasound.grid["sets"]
        changed.grid["sets"] = [tumors, {**normal, "conditions": ["original", "none"]}]
        assert main(changed.command()) == 2
        assert "no words to change" in capsys.readouterr().err


class TestPages:
    def test_every_grid_has_places_of_its_own(self) -> None:
        chest, polyp = (parse_options(["--grid", f"training/grids/{name}.json"]) for name in ("chest", "polyp"))
        assert [str(path) for path in (chest.page, chest.runs, chest.out)] == [
            "training/RESULTS.md", "runs/compare", "runs/compare/results",
        ]  # fmt: skip
        assert [str(path) for path in (polyp.page, polyp.runs, polyp.out)] == [
            "training/RESULTS.polyp.md", "runs/compare-polyp", "runs/compare-polyp/results",
        ]  # fmt: skip

    def test_a_second_page_leaves_the_first_and_its_pictures_alone_and_they_name_each_other(
        self, polyps: Comparison, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("training.comparison.page.draw_curves", lambda path, *_: path.write_bytes(b"curve") > 0)
        before = polyps.text()
        other = polyps.folder / "RESULTS.other.md"
        assert main([*polyps.command(), "--page", str(other)]) == 0
        assert polyps.text() == before
        assert "Other comparisons: [Tiny](RESULTS.md)." in other.read_text(encoding="utf-8")
        assert "(results/other.words.png)" in other.read_text(encoding="utf-8")
        assert main(polyps.command()) == 0
        assert "Other comparisons: [Tiny](RESULTS.other.md)." in polyps.text()
        assert "(results/words.png)" in polyps.text()
        other.unlink()


@pytest.mark.parametrize("path", sorted(GRIDS.glob("*.json")), ids=lambda path: path.stem)
class TestShippedGrids:
    def test_it_can_be_read_and_compares_words_with_none(self, path: Path) -> None:
        grid = read_grid(path)
        assert {"no-text", "combined", "combined-shuffled"} <= {row.name for row in grid.rows}
        for name in ("no-text", "combined", "combined-shuffled"):
            row = grid.row(name)
            configs = [grid.run_config(row, seed) for seed in row.seeds]
            assert row.seeds == grid.row("no-text").seeds
            assert all(config.start_from == "" for config in configs)
            assert all(config.network.reads_words == (name != "no-text") for config in configs)
            assert all(config.data.shuffle_captions == (name == "combined-shuffled") for config in configs)

    def test_other_words_at_test_are_measured_wherever_captions_are(self, path: Path) -> None:
        grid = read_grid(path)
        combined = grid.row("combined")
        for where in grid.sets_of(combined):
            assert where.phrase is not None or where.ask or "shuffled" in where.conditions
        assert "shuffled" in combined.conditions
