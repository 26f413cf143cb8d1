"""Small sets of pictures in the form of the real ones: colored endoscopy, grey ultrasound, known spots."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from Testing.training.tiny import SIZE, write_index
from training.datasets.pictures import PictureFilm, caption_place
from training.datasets.sample import Sample, SampleSource

COLUMNS = ("image", "mask", "text", "prompts", "split", "flag", "klass", "loc_mask")
PINK, RED = (150, 60, 50), (240, 200, 150)
# Name, split, spots as (column, row, radius) in shares of the picture, caption, flag.
POLYPS = (
    ("left", "train", [(0.2, 0.5, 0.12)], "One small white round polyp, located in left of the image.", ""),
    ("corner", "train", [(0.8, 0.2, 0.12)], "One small white round polyp, located in top right of the image.", ""),
    ("two", "train", [(0.2, 0.8, 0.12), (0.8, 0.8, 0.12)],
     "Two small white round polyp, located in bottom left, bottom right of the image.", ""),
    ("flagged", "train", [(0.3, 0.3, 0.15)], "Two small tan oval polyp, located in top left, right of the image.",
     "text_count_2_mask_1"),
    ("middle", "val", [(0.5, 0.5, 0.2)], "One medium pink round polyp, located in center of the image.", ""),
    ("val_left", "val", [(0.2, 0.5, 0.15)], "One small white it is round polyp, located in left of the image.", ""),
)  # fmt: skip
TUMORS = (
    ("benign_1", "train", [(0.2, 0.2, 0.12)], "benign", "One small circle-shaped benign tumor at the top left"),
    ("malignant_1", "train", [(0.8, 0.5, 0.12)], "malignant", "One small square-shaped irregular tumor at the right"),
    ("doubtful", "train", [(0.2, 0.5, 0.12)], "benign", "Two small oval-shaped regular tumors at the left, right"),
    ("normal_1", "train", [], "normal", "No tumor"),
    ("normal_2", "val", [], "normal", "No tumor"),
    ("benign_2", "val", [(0.5, 0.5, 0.2)], "benign", "One medium circle-shaped benign tumor at the center"),
)
ULTRASOUND = " in the breast ultrasound image."


def disks(spots: list[tuple[float, float, float]], size: int = SIZE) -> np.ndarray:
    """`(rows, columns)` mask."""
    row, column = (np.indices((size, size)) + 0.5) / size
    mask = np.zeros((size, size), dtype=bool)
    for x, y, radius in spots:
        mask |= np.hypot(column - x, row - y) < radius
    return mask


def write_pair(folder: Path, name: str, spots: list[tuple[float, float, float]], *, color: bool) -> dict[str, str]:
    mask = disks(spots)
    grain = np.random.default_rng(len(name)).normal(0, 8, (SIZE, SIZE, 1))
    picture = np.clip(np.where(mask[..., None], RED, PINK) + grain, 0, 255).astype(np.uint8)
    files = {"image": f"{name}.png", "mask": f"{name}_mask.png"}
    picture = picture if color else picture[..., 0]
    sitk.WriteImage(sitk.GetImageFromArray(picture, isVector=color), str(folder / files["image"]))
    sitk.WriteImage(sitk.GetImageFromArray(255 * mask.astype(np.uint8)), str(folder / files["mask"]))
    return files


def write_polyp_set(folder: Path) -> Path:
    """Write pictures, masks and index of `POLYPS`; returns the index."""
    rows = []
    for name, split, spots, text, flag in POLYPS:
        words = text.partition(", located")[0].lower().split()
        ladder = {f"p{step}": " ".join(words[-step:]) for step in range(1, 6)} | {"p6": text.lower().rstrip(".")}
        rows.append({"text": text, "prompts": json.dumps(ladder), "split": split, "flag": flag,
                     "loc_mask": caption_place(text), **write_pair(folder, name, spots, color=True)})  # fmt: skip
    return write_index(folder / "index.csv", COLUMNS, rows)


def write_ultrasound_set(folder: Path) -> Path:
    """Write pictures, masks and index of `TUMORS`; returns the index."""
    rows = []
    for name, split, spots, klass, said in TUMORS:
        text = said + ULTRASOUND
        ladder: dict[str, Any] = dict.fromkeys(("p1", "p2", "p3", "p4", "p5", "p6"), text)
        if spots:
            kinds = [f"{klass.capitalize()} tumor{ULTRASOUND}", f"Some {klass} tumor{ULTRASOUND}"]
            ladder |= {"p1": f"Tumor{ULTRASOUND}", "p2": kinds, "p6": [text, text]}
        rows.append({"text": text, "prompts": json.dumps(ladder), "split": split, "klass": klass,
                     "loc_mask": caption_place(text), **write_pair(folder, name, spots, color=False)})  # fmt: skip
    return write_index(folder / "index.csv", COLUMNS, rows)


def draws(source: SampleSource, count: int, seed: int = 0) -> list[Sample]:
    """Samples of a source."""
    rng = random.Random(seed)
    return [source.draw(rng) for _ in range(count)]


def of_film(samples: list[Sample], film: PictureFilm) -> list[Sample]:
    """Those that show one film."""
    return [sample for sample in samples if sample.array is film.array]
