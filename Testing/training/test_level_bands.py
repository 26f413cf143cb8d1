"""Bands of levels: learned from captions, read again, and refused where they leave a gap."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from Testing.training.tiny import write_png
from training.datasets.index import Row
from training.level_bands import TAIL, learn, main
from training.levels import BANDS_FILE, LEVELS, level_bands
from training.lung_zones import LungZones, save_zones

SIZE = 100
# Where lesions of each level are drawn, as rows of a lung that reaches from row 0 to row 100.
ROWS = {"upper": (0, 40), "middle": (30, 70), "lower": (50, 100)}


def lungs() -> LungZones:
    left, right = np.zeros((SIZE, SIZE), dtype=bool), np.zeros((SIZE, SIZE), dtype=bool)
    left[60:90], right[10:40] = True, True
    return LungZones(left, right)


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """One film for each level, with a lesion that fills the left lung there."""
    made = []
    for number, (level, (first, last)) in enumerate(ROWS.items()):
        mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
        mask[first:last, 60:90] = 255  # rows and columns as shown: the patient's left is at the right
        write_png(tmp_path / f"{level}.png", mask)
        bits = "".join("1" if number == place else "0" for place in range(3)) + "000"
        columns = {"image": f"{level}.png", "mask": f"{level}.png", "zones_patient": bits, "split": "train"}
        made.append(Row(tmp_path / f"{level}.png", tmp_path / f"{level}.png", columns))
    return made


def test_a_band_is_where_the_lesions_lie_but_for_the_tails(rows: list[Row]) -> None:
    learned = learn(rows, {f"{level}.png": lungs() for level in LEVELS})
    for level, (first, last) in ROWS.items():
        tail = TAIL * (last - first)
        assert learned["bands"][level] == pytest.approx([(first + tail) / SIZE, (last - tail) / SIZE], abs=0.011)
    assert learned["sides"] == dict.fromkeys(LEVELS, 1)


def test_a_level_that_no_caption_names_alone_is_named(rows: list[Row]) -> None:
    with pytest.raises(ValueError, match="no caption names upper alone"):
        learn(rows[1:], {f"{level}.png": lungs() for level in LEVELS})


def test_the_committed_bands_are_in_order_and_come_from_training_films() -> None:
    bands, stored = level_bands(), json.loads(BANDS_FILE.read_text(encoding="utf-8"))
    assert stored["split"] == "train"
    assert stored["tail"] == TAIL
    assert bands["upper"][0] == -np.inf
    assert bands["lower"][1] == np.inf
    assert bands["middle"][0] < bands["upper"][1] < bands["lower"][0] < bands["middle"][1]


@pytest.mark.parametrize("bands", [
    {"upper": [0, 0.3], "middle": [0.4, 0.7], "lower": [0.6, 1]}, {"upper": [0, 0.5], "middle": [0.4, 0.7]}, [1, 2, 3],
])  # fmt: skip
def test_bands_with_a_gap_and_other_files_are_refused(bands: object, tmp_path: Path) -> None:
    (tmp_path / "bands.json").write_text(json.dumps({"bands": bands}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"bands\.json .* python -m training\.level_bands"):
        level_bands(tmp_path / "bands.json")


def test_the_command_says_what_is_missing_and_writes_nothing(
    tmp_path: Path, lesion_index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_zones(tmp_path / "lungs.npz", {"elsewhere.png": lungs()}, "note")
    out = tmp_path / "bands.json"
    command = ["--data", str(lesion_index), "--split", "train", "--lungs", str(tmp_path / "lungs.npz")]
    assert main([*command, "--out", str(out)]) == 2
    assert "take more films" in capsys.readouterr().err
    assert not out.exists()
