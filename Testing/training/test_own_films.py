"""Films of one's own: an index with four columns is enough to train on."""

from __future__ import annotations

import dataclasses
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from Testing.training.tiny import NETWORK, PREPROCESSING, SIZE, tiny_config, write_index, write_png
from TextGuidedSegLib.phantom import chest_film
from training import train as train_module
from training.augment import AugmentationConfig
from training.augmented import augmented
from training.config import DataConfig, TrainConfig, save_config
from training.datasets.own_films import OwnFilms
from training.sources import build_sources, training_texts
from training.train import draw_batch, main

TEXTS = {"left": "Left lung.", "right": "A  Right LUNG"}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three films with both lungs, one of which a text calls empty."""
    folder = tmp_path_factory.mktemp("own")
    rows = []
    for number, split in enumerate(("train", "train", "val")):
        film = chest_film(number, size=(SIZE, SIZE))
        write_png(folder / f"{number}.png", film.array)
        for side, text in TEXTS.items():
            write_png(folder / f"{number}_{side}.png", film.lungs[side])
            rows.append({"image": f"{number}.png", "mask": f"{number}_{side}.png", "text": text, "split": split})
    write_png(folder / "empty.png", np.zeros((SIZE, SIZE), dtype=bool))
    rows.append({"image": "0.png", "mask": "empty.png", "text": "Fracture of the left clavicle", "split": "train"})
    return write_index(folder / "index.csv", ("image", "mask", "text", "split"), rows)


def own_config(index: Path | str, **changes: object) -> TrainConfig:
    """Nothing but these films; the other sets are not there."""
    data = DataConfig("nowhere.csv", "nowhere.csv", infection_share=0.0, structures_share=0.0, own_films=str(index),
                      own_films_share=1.0)  # fmt: skip
    return dataclasses.replace(tiny_config(Path(), Path()), steps=2, data=data, **changes)


def test_each_caption_comes_with_its_mask_and_as_it_is_heard_in_use(index: Path) -> None:
    source = OwnFilms(index, "train", PREPROCESSING)
    assert len(source.films) == 2
    drawn = [source.draw(random.Random(seed)) for seed in range(400)]
    assert {sample.phrase for sample in drawn} == {"left lung", "right lung", "fracture of the left clavicle", ""}
    for sample in drawn:
        number = next(number for number, film in enumerate(source.films) if film.array is sample.array)
        lungs = chest_film(number, size=(SIZE, SIZE)).lungs
        masks = {"left lung": lungs["left"], "right lung": lungs["right"], "": lungs["left"] | lungs["right"]}
        expected = masks.get(sample.phrase, np.zeros((SIZE, SIZE), dtype=bool))
        np.testing.assert_array_equal(sample.mask, expected.T)
        assert sample.absent == (sample.phrase == "")
        assert sample.pointed == (sample.phrase in ("left lung", "right lung"))
        assert not sample.picture
    assert sum(sample.absent for sample in drawn) == pytest.approx(20, abs=12)


def test_a_mirrored_film_has_its_caption_with_the_sides_swapped(index: Path) -> None:
    mirrored = AugmentationConfig(mirror=1.0, cowarp=0.0, pose=0.0, photometric=0.0)
    config = own_config(index, augmentation=mirrored, batch_size=8)
    batch = draw_batch(build_sources(config), config, 0)
    words = augmented(batch, config, 0, torch.Generator().manual_seed(0)).words
    swapped = {"left lung": "right lung", "right lung": "left lung", "": "",
               "fracture of the left clavicle": "fracture of the right clavicle"}  # fmt: skip
    assert list(words) == [swapped[phrase] for phrase in batch.phrases]


def test_the_command_trains_on_them_alone(
    index: Path, tmp_path: Path, tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []

    def learned(found: list[str], size: int) -> None:
        texts.extend(found)
        msg = "enough"
        raise ValueError(msg)

    save_config(own_config(index), tmp_path / "own.json")
    command = ["--config", str(tmp_path / "own.json"), "--runs", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(train_module, "train_tokenizer", learned)
        assert main(command) == 2
    assert texts[:3] == ["Left lung.", "A  Right LUNG", "Left lung."]
    assert len(texts) > 20_000, "and the words of the library"
    shutil.copy(tokenizer_file, tmp_path / "tiny")
    assert main(command) == 0
    assert (tmp_path / "tiny" / "checkpoint.pt").is_file()


def test_a_network_that_does_not_read_is_shown_everything_that_is_marked(index: Path) -> None:
    deaf = dataclasses.replace(NETWORK, pseudo_image=None)
    ((share, source),) = build_sources(own_config(index, network=deaf))
    assert share == 1.0
    drawn = [source.draw(random.Random(seed)) for seed in range(20)]
    lungs = [chest_film(number, size=(SIZE, SIZE)).lungs for number in range(2)]
    assert all(sample.absent for sample in drawn)
    assert {int(sample.mask.sum()) for sample in drawn} == {int((each["left"] | each["right"]).sum()) for each in lungs}


def test_beside_other_sets_they_have_their_share(index: Path, lesion_index: Path, structure_index: Path) -> None:
    config = tiny_config(lesion_index, structure_index)
    data = dataclasses.replace(config.data, own_films=str(index), own_films_share=0.15)
    shares = [share for share, _ in build_sources(dataclasses.replace(config, data=data))]
    assert shares == pytest.approx([0.5, 0.3, 0.15, 0.05])
    texts = training_texts(data)
    assert {"Left lung.", "A  Right LUNG"} <= set(texts)
    too_much = dataclasses.replace(data, own_films_share=0.3)
    with pytest.raises(ValueError, match="add up to 1 at most"):
        build_sources(dataclasses.replace(config, data=too_much))


@pytest.mark.parametrize(
    ("columns", "row", "message"),
    [
        (("image", "mask", "split"), {}, r"index\.csv lacks the columns text; it has image, mask, split"),
        (("image", "mask", "text", "split"), {"text": " "}, r"the text of m\.png in \S*index\.csv is no phrase"),
        (("image", "mask", "text", "split"), {"split": "val"}, "has no row with the split train"),
    ],
)
def test_an_unfit_index_is_told(columns: tuple[str, ...], row: dict[str, str], message: str, tmp_path: Path) -> None:
    full = {"image": "i.png", "mask": "m.png", "text": "lung", "split": "train"} | row
    path = write_index(tmp_path / "index.csv", columns, [{name: full[name] for name in columns}])
    with pytest.raises(ValueError, match=message):
        OwnFilms(path, "train", PREPROCESSING)


def test_a_share_without_an_index_is_told() -> None:
    with pytest.raises(ValueError, match=r"data\.own_films_share is 1, but data\.own_films names no index\.csv"):
        build_sources(own_config(""))
