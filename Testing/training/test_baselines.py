"""The image-free prior: a mean of masks that never sees a film."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from Testing.training.tiny import INFECTION_COLUMNS, LESIONS, write_index, write_png
from TextGuidedSegLib.io import read_image
from training.baselines import MaskPrior, choose_threshold, prior_cases
from training.cases import summarize
from training.datasets.index import Row, read_index, select

SIZE = 224


def half(side: str, rows: int = SIZE, columns: int = SIZE) -> np.ndarray:
    """A mask of one half of a picture; the patient's left is on the right of it."""
    mask = np.zeros((rows, columns), dtype=bool)
    mask[:, columns // 2 :] = side == "left"
    mask[:, : columns // 2] = side == "right"
    return mask


def write_set(folder: Path, rows: list[tuple[str, str, np.ndarray]]) -> list[Row]:
    """Rows of split, zones and mask, as a data set whose films are black."""
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    lines = []
    for number, (split, zones, mask) in enumerate(rows):
        line = {"image": f"images/{number}.png", "mask": f"masks/{number}.png"}
        write_png(folder / line["image"], np.zeros(mask.shape))
        write_png(folder / line["mask"], mask)
        lines.append({"split": split, "zones_patient": zones, "text": "infection", **line})
    return read_index(write_index(folder / "index.csv", INFECTION_COLUMNS, lines))


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    return write_set(
        tmp_path,
        [
            ("train", "111000", half("left")),
            ("train", "111000", half("left")),
            ("train", "111000", np.zeros((SIZE, SIZE), dtype=bool)),
            ("train", "000111", half("right")),
            ("dev", "111000", half("left")),
            ("dev", "000111", half("right")),
            ("dev", "111000", half("left", 96, 80)),
            ("val", "111111", half("left")),
        ],
    )


def probability(prior: MaskPrior, row: Row) -> np.ndarray:
    """`(rows, columns)` as displayed."""
    return prior.probability(row, read_image(row.mask))[:, :, 0].T


def test_it_is_the_mean_of_the_masks_with_the_same_zones(rows: list[Row]) -> None:
    prior = MaskPrior(select(rows, ["split=train"]), "zone-prior")
    np.testing.assert_allclose(probability(prior, rows[4]), 2 / 3 * half("left"), atol=1e-6)
    np.testing.assert_allclose(probability(prior, rows[5]), half("right"), atol=1e-6)


def test_zones_that_nobody_named_and_a_prior_that_is_deaf_give_the_mean_of_all(rows: list[Row]) -> None:
    train = select(rows, ["split=train"])
    everything = (2 * half("left").astype(float) + half("right")) / 4
    np.testing.assert_allclose(probability(MaskPrior(train, "zone-prior"), rows[7]), everything, atol=1e-6)
    for row in rows[4:6]:
        np.testing.assert_allclose(probability(MaskPrior(train, "mean-mask"), row), everything, atol=1e-6)


def test_it_has_the_size_of_each_film(rows: list[Row]) -> None:
    prior = MaskPrior(select(rows, ["split=train"]), "zone-prior")
    assert probability(prior, rows[6]).shape == (96, 80)


def test_masks_that_follow_from_their_zones_are_found_exactly(rows: list[Row]) -> None:
    prior = MaskPrior(select(rows, ["split=train"]), "zone-prior")
    tuning = select(rows, ["split=dev"])[:2]
    threshold = choose_threshold(prior, tuning)
    assert threshold <= 0.65, "a half that two of three films have is drawn"
    scores = summarize(prior_cases(prior, tuning, threshold))
    assert (scores["dice_per_image"], scores["dice_micro"], scores["hd95"]) == (1.0, 1.0, 0.0)


def test_phantoms_have_lesions_where_their_captions_say(lesion_index: Path) -> None:
    rows = read_index(lesion_index)
    prior = MaskPrior(select(rows, ["split=train"]), "zone-prior")
    cases = prior_cases(prior, select(rows, ["split=dev"]), 0.2)
    assert [case.phrase for case in cases] == [row.caption for row in LESIONS if row.split == "dev"]
    deaf = MaskPrior(select(rows, ["split=train"]), "mean-mask")
    told, untold = (summarize(prior_cases(each, select(rows, ["split=dev"]), 0.2)) for each in (prior, deaf))
    assert told["dice_per_image"] > untold["dice_per_image"] + 0.05


def test_the_film_is_never_read(rows: list[Row]) -> None:
    for row in rows:
        row.image.unlink()
    prior = MaskPrior(select(rows, ["split=train"]), "zone-prior")
    assert len(prior_cases(prior, select(rows, ["split=dev"]), 0.5)) == 3


def test_an_index_without_zones_has_no_zone_prior(rows: list[Row]) -> None:
    bare = [
        dataclasses.replace(row, columns={name: row.columns[name] for name in ("image", "mask", "text")})
        for row in rows
    ]
    with pytest.raises(
        ValueError, match="needs an index with the column 'zones_patient', this one has image, mask, text"
    ):
        MaskPrior(bare, "zone-prior")
    prior = MaskPrior(rows, "zone-prior")
    with pytest.raises(ValueError, match="take mean-mask"):
        prior_cases(prior, bare, 0.5)
    assert len(prior_cases(MaskPrior(bare, "mean-mask"), bare, 0.5)) == len(rows)


@pytest.mark.parametrize(("count", "name"), [(0, "zone-prior"), (1, "zones")])
def test_a_mistake_is_told(rows: list[Row], count: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"zone-prior, mean-mask, got {count} and '{name}'"):
        MaskPrior(rows[:count], name)
