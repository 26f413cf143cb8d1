"""The command that lets a model notice other pictures: it fits on training images, and measures on others."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from Testing.training.picture_sets import write_polyp_set
from Testing.training.tiny import INFECTION_COLUMNS, write_index, write_png
from TextGuidedSegLib.familiarity import VIEWS, describe
from TextGuidedSegLib.phantom import chest_film
from TextGuidedSegLib.weights import find_model, verify
from training.familiarity import fit, image_paths, main


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of forty phantoms to learn from, and some for each of the other splits."""
    folder = tmp_path_factory.mktemp("films")
    rows = []
    for number in range(60):
        name = f"film_{number}.png"
        write_png(folder / name, chest_film(number, size=(64, 64)).array)
        split = "train" if number < 44 else "dev" if number < 50 else "val"
        rows += [{"image": name, "mask": name, "split": split}] * 2
    return write_index(folder / "index.csv", INFECTION_COLUMNS, rows)


def arguments(command: str, model: Path, *more: object) -> list[str]:
    return [command, "--weights", str(model), *map(str, more)]


def test_it_fits_what_it_then_measures(model_folder: Path, films: Path, tmp_path: Path) -> None:
    before = find_model(model_folder).card
    assert main(arguments("fit", model_folder, "--data", films)) == 0
    model = find_model(model_folder)
    assert model.card == dataclasses.replace(before, familiarity=model.card.familiarity)
    verify(model)
    (tmp_path / "polyps").mkdir()
    polyps = write_polyp_set(tmp_path / "polyps")
    out = tmp_path / "report.json"
    more = ("--data", films, "--unlike", polyps, "--split", "val", "--out", out)
    assert main(arguments("measure", model_folder, *more)) == 0
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["false_alarms"] <= 0.3
    assert set(report["caught_of"]) == {*VIEWS, str(polyps)}
    assert report["caught"] == min(report["caught_of"].values()) >= 0.9
    assert (report["n"][str(films)], report["n"][str(polyps)]) == (10, 2)


def test_the_same_images_give_the_same_numbers(model_folder: Path, films: Path) -> None:
    cards = []
    for _ in range(2):
        assert main(arguments("fit", model_folder, "--data", films)) == 0
        cards.append(find_model(model_folder).card.familiarity)
    assert cards[0] == cards[1]


def test_an_image_of_several_rows_counts_once(films: Path) -> None:
    paths = image_paths(films, ("train",), 100)
    assert len(paths) == len(set(paths)) == 44
    assert image_paths(films, ("train",), 5) == paths[:5]
    assert image_paths(films, ("test",), 5, needed=False) == []


def test_a_view_that_training_images_are_often_taken_for_is_not_looked_for() -> None:
    rng = np.random.default_rng(0)
    # As likely one way up as the other, like endoscopy.
    noise = [describe(rng.normal(size=(60, 60))) for _ in range(60)]
    assert fit(noise[:40], [noise[40:]]).views == ()


@pytest.mark.parametrize(
    ("command", "more", "message"),
    [
        ("fit", ["--data", "nowhere.csv"], "index file nowhere.csv does not exist"),
        ("measure", ["--data", "FILMS", "--split", "val", "--out", "OUT"], "has no familiarity"),
        ("measure", ["--data", "FILMS", "--split", "val", "--out", "missing/x.json"], "no such folder"),
        ("fit", ["--data", "FILMS", "--most", "2"], "at least 4 images"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_the_card(
    command: str, more: list[str], message: str, *, model_folder: Path, films: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    card = (model_folder / "card.json").read_bytes()
    places = {"FILMS": str(films), "OUT": str(tmp_path / "report.json")}
    assert main(arguments(command, model_folder, *(places.get(word, word) for word in more))) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "images," not in line]
    assert message in line
    assert (model_folder / "card.json").read_bytes() == card
