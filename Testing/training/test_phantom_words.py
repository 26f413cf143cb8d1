"""A network trained for a minute on synthetic heads obeys the words: side, depth, mirrored heads, part of a head."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from Testing.training.tiny import write_index
from Testing.training.volume_sets import COLUMNS, NETWORK, volume_config, write_volume
from TextGuidedSegLib.config import SymmetricAlignmentConfig
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Result, Segmenter
from TextGuidedSegLib.phantom_volume import DEPTHS, SIDES, head_volume
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from TextGuidedSegLib.region import Region
from training.augment_volume import VolumeAugmentationConfig
from training.datasets.mr_volumes import VolumeSet
from training.export import export
from training.metrics import overlap
from training.train import train

pytestmark = pytest.mark.slow

CENTER, SIZE_MM = np.array((0.0, -10.0, -14.0)), np.array((96.0, 60.0, 48.0))  # around both organs
REGION = Region.ras_mm(CENTER - SIZE_MM / 2, CENTER + SIZE_MM / 2)
PARTS = [(side, depth) for side in SIDES for depth in DEPTHS]
CAPTIONS = {
    f"{word.capitalize()} hippocampus.": [value for value, part in enumerate(PARTS, 1) if word in part]
    for word in (*SIDES, *DEPTHS)
}
OPPOSITE = {"left": "right", "right": "left", "anterior": "posterior", "posterior": "anterior"}
LARGEST_MM = 100.0
ABOUT = {
    "name": "heads", "version": "0.0.1", "summary": "A network for tests.", "kinds": ["volume"], "modalities": ["MR"],
    "image_channels": 1, "phrases": ["left hippocampus"], "license": "none, for tests only",
    "decision": {"mirror_average": True, "evidence_mm3": 300.0},
    "fields_of_view": [
        {"structures": ["hippocampus", "anterior hippocampus", "posterior hippocampus"], "largest_mm": LARGEST_MM},
        {"structures": [], "largest_mm": 400.0},
    ],
}  # fmt: skip


def write_heads(folder: Path, count: int = 8) -> Path:
    """Crops around both organs, labelled by side and depth; returns the index."""
    rows = []
    for number in range(count):
        volume = head_volume(number, size_mm=SIZE_MM, spacing_mm=(3.0, 3.0, 3.0), center_ras_mm=CENTER)
        labels = sum(value * volume.parts[part].astype(np.uint8) for value, part in enumerate(PARTS, 1))
        name = f"head{number}"
        write_volume(folder / f"{name}.nii.gz", volume.array.astype(np.int16), volume)
        write_volume(folder / f"{name}_label.nii.gz", np.asarray(labels), volume)
        common = {"image": f"{name}.nii.gz", "mask": f"{name}_label.nii.gz", "split": "train", "source": "pairs"}
        rows += [
            common | {"case": name, "patient": name, "spacing": "3", "text": text, "label": ",".join(map(str, values))}
            for text, values in CAPTIONS.items()
        ]
    return write_index(folder / "index.csv", COLUMNS, rows)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    folder = tmp_path_factory.mktemp("heads")
    config = volume_config(
        write_heads(folder), steps=220, batch_size=4, learning_rate=1e-2, warmup_steps=20, ema_decay=0.97,
        preprocessing=PreprocessingConfig(spacing_mm=(3.0, 3.0, 3.0), window=(32, 24, 16)),
        network=dataclasses.replace(NETWORK, alignment=SymmetricAlignmentConfig(levels=(1, 2), width=16)),
        volume_augmentation=VolumeAugmentationConfig(cowarp=0.0, pose=0.3, photometric=0.3),
    )  # fmt: skip
    data = dataclasses.replace(config.data, volume_sets=(VolumeSet("pairs", 1.0, (32, 20, 16)),))
    (folder / "run").mkdir()
    train(dataclasses.replace(config, data=data), folder / "run")
    (folder / "LICENSE.txt").write_text("For tests only.\n", encoding="utf-8")
    (folder / "about.json").write_text(json.dumps(ABOUT), encoding="utf-8")
    export(folder / "run", folder / "about.json", folder / "heads")
    return Segmenter(str(folder / "heads"), device="cpu")


def answered(segmenter: Segmenter, image: Image, word: str) -> Result:
    segmenter.set_image(image, REGION)
    return segmenter.segment(f"{word} hippocampus")


@pytest.mark.parametrize("word", OPPOSITE)
@pytest.mark.parametrize("patient", [50, 51])
def test_in_a_region_of_a_whole_head_the_named_part_is_found(segmenter: Segmenter, word: str, patient: int) -> None:
    head = head_volume(patient, spacing_mm=(2.0, 2.0, 2.0))
    result = answered(segmenter, head.image(), word)
    truths = {
        one: head.mask(side=one) if one in SIDES else head.mask(depth=one)  # type: ignore[arg-type]
        for one in (word, OPPOSITE[word])
    }
    assert result.answer == "found"
    assert overlap(result.mask, truths[word]).dice > 0.7
    assert overlap(result.mask, truths[OPPOSITE[word]]).dice < 0.05


@pytest.mark.parametrize("word", SIDES)
def test_on_a_mirrored_head_the_side_is_still_the_patients(segmenter: Segmenter, word: str) -> None:
    head = head_volume(52, spacing_mm=(2.0, 2.0, 2.0))
    image = head.image()
    mirrored = Image.from_array(image.array[::-1].copy(), image.geometry.affine_ijk_to_ras, "MR")
    result = answered(segmenter, mirrored, word)
    was_other, was_named = (head.mask(side=side)[::-1] for side in (OPPOSITE[word], word))  # type: ignore[arg-type]
    assert overlap(result.mask, was_other).dice > 0.7
    assert overlap(result.mask, was_named).dice < 0.05


def test_the_whole_head_asks_for_a_region(segmenter: Segmenter) -> None:
    segmenter.set_image(head_volume(50, spacing_mm=(4.0, 4.0, 4.0)).image())
    with pytest.raises(ImageError, match="Give a region of interest"):
        segmenter.segment("left hippocampus")
