"""A data set of a dozen phantoms in the form of the real ones, and a network small enough to train in a test."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from TextGuidedSegLib.config import BackboneConfig, NetworkConfig, PseudoImageConfig, TextEncoderConfig
from TextGuidedSegLib.phantom import Level, PhantomFilm, Side, chest_film
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from training.config import DataConfig, TrainConfig
from training.datasets.sample import SampleSource
from training.train import Run, draw_batch

Sources = list[tuple[float, SampleSource]]
SIZE = 64
PREPROCESSING = PreprocessingConfig(size=SIZE)
NETWORK = NetworkConfig(
    text=TextEncoderConfig(embedding_size=32, layers=1, heads=2, feedforward_size=64),
    pseudo_image=PseudoImageConfig(channels=2, width=32, layers=1, heads=2, frequencies=3, cell_px=8),
    backbone=BackboneConfig(filters=(8, 16, 32)),
)

INFECTION_COLUMNS = (
    "image", "mask", "text", "text_published", "text_lvit", "split", "zones_patient", "published_side", "flag",
    "patient", "view", "frac_image_right", "area", "n_areas_text", "n_components", "source", "licence",
)  # fmt: skip
STRUCTURE_COLUMNS = (
    "image", "mask", "text", "split", "kind", "patient", "area", "note", "source", "licence", "chest_infection_twin",
)  # fmt: skip
LEVELS: tuple[Level, ...] = ("upper", "middle", "lower")
KINDS = {"left": "left lung", "right": "right lung", "both": "both lungs"}


@dataclasses.dataclass(frozen=True)
class LesionRow:
    """One film of the lesion set; the caption follows from the lesions."""

    name: str
    split: str
    lesions: tuple[tuple[Side, Level], ...]
    patient: str
    flag: str = ""
    published_side: str = "image"
    size: tuple[int, int] = (SIZE, SIZE)

    @property
    def zones(self) -> str:
        """Six bits: upper, middle, lower of the left lung, then of the right."""
        return "".join(str(int((side, level) in self.lesions)) for side in ("left", "right") for level in LEVELS)

    @property
    def caption(self) -> str:
        """The caption as the corrected column has it."""
        lateral = "Bilateral" if {side for side, _ in self.lesions} == {"left", "right"} else "Unilateral"
        words = {1: "one infected area", 2: "two infected areas", 3: "three infected areas"}[len(self.lesions)]
        places = " and ".join(f"{level} {side} lung" for side, level in self.lesions)
        return f"{lateral} pulmonary infection, {words}, {places}."


LESIONS = (
    LesionRow("train_left", "train", (("left", "lower"),), "a"),
    LesionRow("train_right", "train", (("right", "upper"),), "b"),
    LesionRow("train_both", "train", (("left", "upper"), ("right", "lower")), "c"),
    LesionRow("train_both_too", "train", (("left", "lower"), ("right", "lower")), ""),
    LesionRow("train_doubt", "train", (("left", "middle"),), "", flag="side_doubt"),
    LesionRow("train_odd", "train", (("right", "middle"),), "", published_side="patient"),
    LesionRow("dev_left", "dev", (("left", "middle"),), "d"),
    LesionRow("dev_right", "dev", (("right", "lower"),), "e", size=(80, 72)),
    LesionRow("dev_both", "dev", (("left", "lower"), ("right", "middle")), "f"),
    LesionRow("dev_flagged", "dev", (("right", "upper"),), "f", flag="side_doubt"),
)
# Name, split, note, patient, twin in the lesion set.
STRUCTURES = (
    ("normal", "train", "normal", "s1", ""),
    ("tuberculosis", "train", "TB", "s2", ""),
    ("val_normal", "val", "normal", "s3", ""),
    ("val_tuberculosis", "val", "TB", "s4", ""),
    ("multi_train", "train_multi", "COVID-19 PA", "c", "images/train_both.png"),
    ("multi_twin", "train_multi", "COVID-19 PA", "", "images/dev_both.png"),
    ("multi_patient", "train_multi", "COVID-19 PA", "d", ""),
)


def lesion_film(number: int) -> PhantomFilm:
    """The phantom behind `LESIONS[number]`."""
    return chest_film(number, size=LESIONS[number].size, lesions=LESIONS[number].lesions)


def structure_film(number: int) -> PhantomFilm:
    """The phantom behind `STRUCTURES[number]`; tuberculosis films have an opacity that nobody drew."""
    lesions: Sequence[tuple[Side, Level]] = () if STRUCTURES[number][2] == "normal" else (("left", "upper"),)
    return chest_film(50 + number, size=(SIZE, SIZE), lesions=lesions)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write `(rows, columns)` in [0, 255], or a mask, as an 8-bit PNG."""
    values = 255 * pixels if pixels.dtype == bool else np.clip(np.round(pixels), 0, 255)
    sitk.WriteImage(sitk.GetImageFromArray(values.astype(np.uint8)), str(path))


def write_index(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write an index file; cells that a row leaves out stay empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_lesion_set(folder: Path) -> Path:
    """Write films, masks and index of `LESIONS`; returns the index."""
    rows = []
    for number, row in enumerate(LESIONS):
        film = lesion_film(number)
        rows.append(
            {
                "text": row.caption, "text_published": row.caption.lower(), "split": row.split, "flag": row.flag,
                "zones_patient": row.zones, "published_side": row.published_side, "patient": row.patient,
                "n_areas_text": len(row.lesions), **_write_pair(folder, row.name, film.array, film.lesions),
            }
        )  # fmt: skip
    return write_index(folder / "index.csv", INFECTION_COLUMNS, rows)


def write_structure_set(folder: Path) -> Path:
    """Write films, masks and index of `STRUCTURES`, three rows a film; returns the index."""
    rows = []
    for number, (name, split, note, patient, twin) in enumerate(STRUCTURES):
        film = structure_film(number)
        masks = {**film.lungs, "both": film.lungs["left"] | film.lungs["right"]}
        for part, kind in KINDS.items():
            pair = _write_pair(folder, name, film.array, masks[part], f"{name}__{part}")
            rows.append(
                {
                    "text": f"{kind.capitalize()}.", "split": split, "kind": kind, "patient": patient, "note": note,
                    "chest_infection_twin": twin, **pair,
                }
            )  # fmt: skip
    return write_index(folder / "index.csv", STRUCTURE_COLUMNS, rows)


def _write_pair(folder: Path, name: str, film: np.ndarray, mask: np.ndarray, mask_name: str = "") -> dict[str, str]:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    pair = {"image": f"images/{name}.png", "mask": f"masks/{mask_name or name}.png"}
    write_png(folder / pair["image"], film)
    write_png(folder / pair["mask"], mask)
    return pair


def tiny_config(infection: Path, structures: Path, **changes: Any) -> TrainConfig:
    """A run of some seconds on one processor core."""
    data = DataConfig(str(infection), str(structures), infection_share=0.5, structures_share=0.3, phantoms=6)
    config = TrainConfig(
        name="tiny", steps=12, batch_size=4, learning_rate=3e-3, warmup_steps=4, ema_decay=0.9, vocabulary_size=300,
        device="cpu", network=NETWORK, preprocessing=PREPROCESSING, data=data,
    )  # fmt: skip
    return dataclasses.replace(config, **changes)


def steps(run: Run, sources: Sources, count: int) -> list[dict[str, float]]:
    """Train some steps from where a run stands; the parts of the loss of each."""
    return [run.train_step(draw_batch(sources, run.config, run.step)) for _ in range(count)]


def assert_equal(one: Any, other: Any) -> None:
    """Every number of two nested states is the same, to the bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, Mapping):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, Sequence) and not isinstance(one, str):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_equal(left, right)
    else:
        assert one == other
