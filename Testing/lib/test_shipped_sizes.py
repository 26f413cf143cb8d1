"""What ships stays small: the extension catalogue counts every version of a file in the history of the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

import TextGuidedSegLib
from TextGuidedSegLib.weights import CARD_FILE

MODELS = Path(TextGuidedSegLib.__file__).parent / "data" / "models"
FOLDERS = sorted(card.parent for card in MODELS.glob(f"*/{CARD_FILE}"))
MEGABYTE = 1_000_000
MOST_A_MODEL, MOST_OF_ALL = 15 * MEGABYTE, 40 * MEGABYTE


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_model_is_small(folder: Path) -> None:
    assert 1000 < size(folder) < MOST_A_MODEL


def test_all_models_together_are_small() -> None:
    assert FOLDERS
    assert size(MODELS) < MOST_OF_ALL
