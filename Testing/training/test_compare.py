"""A comparison: nothing twice, interrupted equals uninterrupted, and the page says what was measured."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from Testing.training.comparison import Comparison, prepared, tiny_grid
from Testing.training.tiny import LESIONS
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.weights import read_model
from training import calibrate, evidence
from training import train as train_module
from training.checkpoint import load_checkpoint
from training.compare import main
from training.comparison import cells as cells_module
from training.comparison.cell import rows_of
from training.comparison.results import Results, read_overlaps
from training.config import TrainConfig
from training.metrics import mean

DEV = [row for row in LESIONS if row.split == "dev"]


@pytest.fixture
def make(
    lesion_index: Path, structure_index: Path, tokenizer_file: Path, tmp_path: Path
) -> Callable[[str], Comparison]:
    return lambda name: prepared(tmp_path / name, tiny_grid(lesion_index, structure_index), tokenizer_file)


@pytest.fixture(scope="module")
def finished(
    lesion_index: Path, structure_index: Path, tokenizer_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Comparison:
    """A comparison that is done; read it only."""
    folder = tmp_path_factory.mktemp("compare") / "finished"
    comparison = prepared(folder, tiny_grid(lesion_index, structure_index), tokenizer_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "_LOG_EVERY", 1)  # two steps make a curve
        assert main(comparison.command()) == 0
    return comparison


@pytest.fixture
def copied(finished: Comparison, tmp_path: Path) -> Comparison:
    """The same, to be changed."""
    return finished.copy(tmp_path / "copied")


def test_an_interrupted_comparison_ends_like_an_uninterrupted_one_and_trains_nothing_twice(
    make: Callable[[str], Comparison], finished: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "_LOG_EVERY", 1)
    trained: list[str] = []
    measured: list[tuple[str, ...]] = []
    train, evaluate = cells_module.train, cells_module.evaluate

    def counting_train(config: TrainConfig, folder: Path) -> None:
        trained.append(f"{folder.parent.name} {folder.name}")
        train(config, folder)

    def interrupted(options: Any) -> dict[str, Any]:
        measured.append((options.weights, options.condition))
        report = evaluate(options)
        if len(measured) == 3:
            raise KeyboardInterrupt
        return report

    monkeypatch.setattr(cells_module, "train", counting_train)
    monkeypatch.setattr(cells_module, "evaluate", interrupted)
    comparison = make("parts")
    with pytest.raises(KeyboardInterrupt):
        main(comparison.command())
    assert trained == ["no-text seed-0", "no-text seed-1", "early-fusion seed-0"]
    assert main(comparison.command()) == 0
    assert trained == ["no-text seed-0", "no-text seed-1", "early-fusion seed-0", "shuffled seed-0"]
    assert (len(measured), len(set(measured))) == (7, 6), "only the interrupted evaluation is repeated"
    assert comparison.text() == finished.text()


def test_a_second_call_has_nothing_to_do(copied: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    before, text = copied.files(), copied.text()
    copied.page.unlink()
    monkeypatch.setattr("training.compare.finish", None)  # whoever starts to work fails otherwise
    assert main(copied.command()) == 0
    kept = {path: time for path, time in copied.files().items() if path.parts[0] != "results"}
    assert kept == {path: time for path, time in before.items() if path.parts[0] != "results"}
    assert copied.text() == text


class TestPage:
    def test_it_has_every_row_with_the_scores_of_its_cases(self, finished: Comparison) -> None:
        text = finished.text()
        for name in ("no-text", "early-fusion", "shuffled", "prior"):
            chosen = [cell for cell in finished.cells() if cell.row.name == name]
            seeds = []
            for cell in chosen:
                where = cell.grid.sets[0]
                overlaps = read_overlaps(cell.result(where, "original").with_suffix(".csv"))
                assert len(overlaps) == len(DEV)
                seeds.append(mean([each.dice for each in overlaps]) or 0.0)
            spread = f" ± {50 * (max(seeds) - min(seeds)):.2f}" if len(seeds) > 1 else ""
            assert f"| {name} | {100 * sum(seeds) / len(seeds):.2f}{spread} |" in text

    def test_it_compares_each_row_with_what_the_grid_says(self, finished: Comparison) -> None:
        lines = [line.split(" | ")[0] for line in finished.text().splitlines() if " − " in line]
        assert lines == ["| early-fusion − no-text", "| shuffled − early-fusion", "| prior − no-text"]

    def test_it_shows_conditions_thirds_and_curves(self, finished: Comparison) -> None:
        text = finished.text()
        assert "| early-fusion | none |" in text
        assert "| early-fusion | count_removed |" in text
        assert "| no-text | none |" not in text
        assert "### dev films, by size" in text
        assert "### dev films, by border contrast" in text
        assert "![Learning curves](results/methods.png)" in text
        assert (finished.folder / "results" / "methods.png").stat().st_size > 1000

    def test_it_says_what_all_rows_share(self, finished: Comparison) -> None:
        text = finished.text()
        assert "2 steps of 2 films at 64 pixels" in text
        assert "the best of the same 13 thresholds on dev" in text
        assert "3 networks in 4 runs; 4 of these runs have figures here" in text
        assert "Not trained yet" not in text

    def test_it_says_on_what_the_times_were_measured(self, copied: Comparison) -> None:
        assert re.search(r"minutes of training on CPU \(.*threads: 1\), 1 run at once \(4 runs\)", copied.text())
        (copied.folder / "runs" / "no-text" / "seed-1" / "machine.json").unlink()
        assert main(copied.command()) == 0
        assert "1 run at once (3 runs); on a device that was not noted (1 run)" in copied.text()

    def test_thirds_show_differences_of_chosen_rows(self, copied: Comparison) -> None:
        assert "| early-fusion − shuffled |" not in copied.text()
        copied.grid["sections"][0]["strata"] = [["early-fusion", "shuffled"]]
        assert main(copied.command()) == 0
        (by_size, by_contrast) = [line for line in copied.text().splitlines() if "early-fusion − shuffled" in line]
        assert by_size.count("[") == by_contrast.count("[") == 3

    def test_thirds_are_of_the_films_that_are_shown(self, copied: Comparison) -> None:
        copied.grid["sets"][0]["where"] = ["flag="]
        assert main(copied.command()) == 0
        assert f"### {copied.grid['sets'][0]['name']}, by size" in copied.text()
        assert f"| size | {' | '.join(f'{word} (1 films)' for word in ('low', 'middle', 'high'))} |" in copied.text()

    def test_a_row_of_one_seed_is_compared_with_that_seed_of_the_other(self, finished: Comparison) -> None:
        results, where = Results(finished.cells()), finished.cells()[0].grid.sets[0]
        fusion, deaf = results.get("early-fusion", where), results.get("no-text", where)
        assert fusion is not None
        assert deaf is not None
        assert (fusion.seeds, deaf.seeds) == ((0,), (0, 1))
        (line,) = [line for line in finished.text().splitlines() if line.startswith("| early-fusion − no-text |")]
        difference = 100 * (fusion.mean("dice_per_image") - float(np.mean([each.dice for each in deaf.overlaps[0]])))
        assert line.startswith(f"| early-fusion − no-text | {difference:+.2f} [")
        assert line.endswith("| one seed |")
        assert "**" not in line


class TestThreshold:
    def test_every_row_has_the_best_one_of_its_own_on_the_tuning_films(self, finished: Comparison) -> None:
        for cell in finished.cells()[:3]:
            model = read_model(cell.model)
            measured = evidence.measure(Segmenter(model, device="cpu"), rows_of(cell.grid.tuning))
            best = calibrate.best_threshold(measured.probability)
            assert model.card.decision.threshold == best
            assert not model.card.decision.mirror_average


class TestOnlyWhatIsMissing:
    def test_a_dry_run_lists_it_and_does_nothing(self, copied: Comparison, capsys: pytest.CaptureFixture[str]) -> None:
        copied.grid["rows"][1]["seeds"] = [0, 7]
        next((copied.folder / "out").glob("no-text.seed-1*.json")).unlink()
        before = copied.files()
        assert main(copied.command("--dry-run")) == 0
        assert capsys.readouterr().out.splitlines() == [
            "no-text, seed 1: 0 steps; measure dev films (original)",
            "early-fusion, seed 7: 2 steps; measure dev films (original), dev films (none), dev films (count_removed)",
            "2 cells, 2 steps, 4 films to train on",
        ]
        assert copied.files() == before
        assert main(copied.command("--dry-run", "--only", "no-*")) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "1 cells, 0 steps, 0 films to train on"
        assert main(copied.command("--dry-run", "--seed", "0")) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "0 cells, 0 steps, 0 films to train on"

    def test_another_seed_trains_that_one_only(self, copied: Comparison) -> None:
        copied.grid["rows"][2]["seeds"] = [0, 3]
        new = copied.folder / "runs" / "shuffled" / "seed-3"
        new.mkdir()
        shutil.copy(copied.folder / "runs" / "shuffled" / "seed-0" / "tokenizer.json", new)
        before = copied.files()
        assert main(copied.command()) == 0
        after = copied.files()
        changed = {path for path in after if after[path] != before.get(path) and path.parts[0] != "results"}
        assert all("seed-3" in str(path) for path in changed)
        assert load_checkpoint(new / "checkpoint.pt")["step"] == 2

    def test_other_films_are_measured_anew_and_nothing_is_trained(
        self, copied: Comparison, lesion_index: Path, tmp_path: Path
    ) -> None:
        films = Path(shutil.copytree(lesion_index.parent, tmp_path / "films")) / "index.csv"
        lines = films.read_text(encoding="utf-8").splitlines(keepends=True)
        films.write_text("".join(line for line in lines if "dev_flagged" not in line), encoding="utf-8")
        copied.grid["sets"][0]["index"] = str(films)
        before = copied.files()
        assert main(copied.command()) == 0
        after = copied.files()
        assert {path.suffix for path in after if before.get(path) != after[path] and path.parts[0] == "out"} == {
            ".csv", ".json",
        }  # fmt: skip
        assert {path for path in after if before.get(path) != after[path] and path.parts[0] == "runs"} == set()
        for cell in copied.cells():
            assert len(read_overlaps(cell.result(cell.grid.sets[0], "original").with_suffix(".csv"))) == len(DEV) - 1

    def test_only_chosen_rows_run(self, make: Callable[[str], Comparison]) -> None:
        comparison = make("some")
        assert main(comparison.command("--only", "pri*", "--only", "nothing")) == 0
        assert [path.name for path in (comparison.folder / "out").glob("*.json")] == [
            "prior.seed-0.dev-films.original.json"
        ]
        assert "| prior |" in comparison.text()
        assert "| no-text |" not in comparison.text()
        assert "Not trained yet: no-text, early-fusion" in comparison.text()

    def test_where_and_how_often_a_run_saves_is_no_other_configuration(
        self, copied: Comparison, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copied.grid["base"] |= {"checkpoint_minutes": 9.0, "device": "auto"}
        monkeypatch.setattr("training.compare.finish", None)  # whoever starts to work fails otherwise
        assert main(copied.command()) == 0


class TestFailure:
    def test_one_run_that_diverges_leaves_the_others(
        self,
        make: Callable[[str], Comparison],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        train = cells_module.train

        def diverging(config: TrainConfig, folder: Path) -> None:
            if folder.parent.name == "no-text":
                msg = "the loss is not finite at step 1"
                raise FloatingPointError(msg)
            train(config, folder)

        monkeypatch.setattr(cells_module, "train", diverging)
        comparison = make("one")
        comparison.grid["rows"][0]["seeds"] = [0]
        assert main(comparison.command("--only", "no-text", "--only", "prior")) == 3
        assert "no-text, seed 0: the loss is not finite at step 1" in capsys.readouterr().err
        assert "| prior |" in comparison.text()

    @pytest.mark.parametrize(
        "error", [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), RuntimeError("device lost")]
    )
    def test_one_run_without_memory_leaves_the_others(
        self,
        error: Exception,
        make: Callable[[str], Comparison],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def failing(config: TrainConfig, folder: Path) -> None:
            raise error

        monkeypatch.setattr(cells_module, "train", failing)
        comparison = make("one")
        comparison.grid["rows"][0]["seeds"] = [0]
        assert main(comparison.command("--only", "no-text", "--only", "prior")) == 3
        assert f"no-text, seed 0: {error}" in capsys.readouterr().err
        assert error.__traceback__ is None, "it would hold the memory of the run while the next one needs it"
        assert "| prior |" in comparison.text()

    def test_a_damaged_checkpoint_stops_its_own_row_only(
        self, copied: Comparison, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = copied.folder / "runs" / "no-text" / "seed-1"
        shutil.rmtree(run / "model")
        (run / "checkpoint.pt").write_bytes((run / "checkpoint.pt").read_bytes()[:3000])
        missing = next((copied.folder / "out").glob("early-fusion.*none.json"))
        missing.unlink()
        assert main(copied.command("--dry-run")) == 0
        damaged, other, total = capsys.readouterr().out.splitlines()
        assert damaged.startswith("no-text, seed 1: ")
        assert damaged.endswith("delete it to start again")
        assert other == "early-fusion, seed 0: 0 steps; measure dev films (none)"
        assert total.startswith("2 cells, 0 steps")
        assert main(copied.command()) == 3
        (line,) = [each for each in capsys.readouterr().err.splitlines() if "damaged" in each]
        assert line.startswith("no-text, seed 1: ")
        assert missing.is_file()

    def test_a_folder_of_another_configuration_is_refused(
        self, copied: Comparison, capsys: pytest.CaptureFixture[str]
    ) -> None:
        copied.grid["base"] |= {"learning_rate": 0.5, "weight_decay": 0.5}
        before = copied.files()
        assert main(copied.command()) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "seed-0 was trained with another learning_rate, weight_decay than row 'no-text'" in line
        assert copied.files() == before

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"rows": []}, "needs rows with different names, got none"),
            ({"rows": [{"name": "a"}, {"name": "a"}]}, "rows with different names, got a"),
            ({"rows": [{"name": "A b"}]}, "row 'A b' needs a name of lower-case letters"),
            ({"rows": [{"name": "a", "preset": "sas"}]}, "no preset 'sas'; did you mean 'ssa'"),
            ({"rows": [{"name": "a", "seeds": []}]}, "row 'a' needs one seed or several"),
            ({"rows": [{"name": "a", "seeds": [1, 1]}]}, r"got [1, 1]"),
            ({"rows": [{"name": "a", "overrides": {"stepz": 1}}]}, "unknown key 'stepz' in row 'a'"),
            ({"rows": [{"name": "a", "conditions": ["loud"]}]}, "names 'loud', which the grid does not have"),
            ({"rows": [{"name": "a", "baseline": "zones"}]}, "expected one of zone-prior, mean-mask"),
            ({"rows": [{"name": "a", "sets": ["test"]}]}, "names 'test'"),
            ({"rows": [{"name": "a", "against": ["b"]}]}, "names 'b'"),
            ({"against": ["b"]}, "against names 'b'"),
            ({"sections": [{"title": "T", "rows": ["b"]}]}, "section 'T' names 'b'"),
            ({"base": {"steps": "many"}}, "steps must be int"),
            ({"rowz": []}, "unknown key 'rowz'"),
            (
                {"sections": [{"title": "T", "rows": [], "strata": [["prior"]]}]},
                "needs pairs of rows as strata, got ['prior']",
            ),
            ({"sections": [{"title": "T", "rows": [], "strata": [["prior", "b"]]}]}, "section 'T' names 'b'"),
            ({"tuning": None}, "row 'prior' is a mean of masks, whose threshold is chosen on films"),
            ({"sections": [{"title": "T", "rows": [], "sets": ["test"]}]}, "section 'T' names 'test'"),
        ],
    )
    def test_a_wrong_grid_is_told_before_anything_runs(
        self,
        make: Callable[[str], Comparison],
        capsys: pytest.CaptureFixture[str],
        change: dict[str, Any],
        message: str,
    ) -> None:
        comparison = make("wrong")
        comparison.grid |= {"sections": [], "against": []} | change
        assert main(comparison.command()) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert not (comparison.folder / "out").exists()

    def test_a_missing_grid_and_a_page_elsewhere(self, copied: Comparison, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([*copied.command(), "--grid", "nowhere.json"]) == 2
        assert "nowhere.json is not a readable grid" in capsys.readouterr().err
        assert main([*copied.command(), "--page", str(copied.folder / "missing" / "RESULTS.md")]) == 2
        assert "no such folder" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_write_the_page_of_one(make: Callable[[str], Comparison]) -> None:
    one, two = make("one"), make("two")
    assert main(one.command()) == main(two.command("--jobs", "2")) == 0
    texts = [re.sub("(?m)^[*] minutes of training on .*$", "", each.text()) for each in (one, two)]
    assert texts[0] == texts[1]
    assert "2 runs at once (4 runs)" in two.text()
