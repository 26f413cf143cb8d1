"""Held-out wordings: unlike everything that training says, unlike each other, and of the same meaning."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from Testing.training.tiny import LESIONS
from TextGuidedSegLib.phrase import Phrase, parse
from training import grammar, grammar_picture, grammar_volume, heldout
from training.rewording import MOST_WORDINGS, plain_input, says_the_same

ROOT = Path(__file__).resolve().parents[2]
STRUCTURES: dict[str, list[str]] = heldout.content()["structures"]
POLYPS = tuple(
    f"{what} located in {where} of the image."
    for what in ("One small pink round polyp,", "Two medium tan oval polyp,", "polyp,")
    for where in (
        "top left",
        "center",
        "right",
        "bottom",
        "top left, center",
        "top right, bottom right",
        "left, center",
    )
)
TUMORS = tuple(
    f"{what}{where} in the breast ultrasound image."
    for what in ("One small circle-shaped benign tumor", "Two large oval-shaped irregular tumors", "Tumor", "No tumor")
    for where in ("", " at the top", " at the bottom left", " at the center", " at the top left, center")
)
FINDINGS = (
    *(row.caption for row in LESIONS), "Consolidation.", "Ground-glass opacities in the left lung.", "LLL pneumonia",
    "Bilateral pulmonary infection, two infected areas, middle lower left lung and all right lung.",
    "Bilateral pulmonary infection, two infected areas, all left lung and all right lung.",
)  # fmt: skip


def taught() -> Iterator[str]:
    """What the grammars say of structures, and many of their phrases for findings."""
    for structures in (grammar.STRUCTURES, grammar_volume.STRUCTURES):
        for texts in structures.values():
            yield from texts
    yield from (*grammar.corpus(1000), *grammar_volume.corpus(100))
    for picture in grammar_picture.ABSENT:
        yield from grammar_picture.corpus(picture, 300)
    rng = random.Random(0)
    for _ in range(500):
        zones = {side: tuple(level for level in grammar.LEVELS if rng.random() < 0.5) for side in ("left", "right")}
        yield grammar.place_words(zones, rng)


@pytest.fixture(scope="module")
def inputs_of_training() -> frozenset[str]:
    """As the network sees them."""
    return frozenset(plain_input(text) for text in taught() if text)


def flags(phrase: Phrase) -> tuple[str, bool, bool, bool]:
    return phrase.side, phrase.negated, phrase.contradictory, phrase.known


class TestStructures:
    def test_all_structures_that_are_measured_in_several_wordings_have_them(self) -> None:
        assert set(STRUCTURES) == {"left lung", "right lung", "both lungs", *grammar_volume.STRUCTURES}

    @pytest.mark.parametrize("name", STRUCTURES)
    def test_they_are_unlike_training_and_unlike_each_other(
        self, name: str, inputs_of_training: frozenset[str]
    ) -> None:
        inputs = {plain_input(text) for text in STRUCTURES[name]}
        assert len(inputs) == len(STRUCTURES[name]) >= MOST_WORDINGS
        assert not inputs & inputs_of_training
        assert name not in inputs

    @pytest.mark.parametrize("name", STRUCTURES)
    def test_none_says_another_side_or_takes_it_back_and_most_are_fully_understood(self, name: str) -> None:
        own = parse(name)
        assert {flags(parse(text)) for text in STRUCTURES[name]} == {flags(own)}
        assert sum(says_the_same(parse(text), own) for text in STRUCTURES[name]) >= len(STRUCTURES[name]) / 2

    def test_left_and_right_are_said_alike(self) -> None:
        left, right = STRUCTURES["left lung"], STRUCTURES["right lung"]
        assert [text.replace("left", "right") for text in left] == right

    @pytest.mark.parametrize("phrase", ["Left lung.", "the left lung", "lung on the left"])
    def test_whole_lungs_are_known_in_any_words(self, phrase: str) -> None:
        assert set(heldout.wordings(phrase, 9, 0)) <= set(STRUCTURES["left lung"])


class TestFindings:
    @pytest.mark.parametrize("phrase", [*FINDINGS, *POLYPS, *TUMORS])
    def test_ten_others_say_the_same_in_words_that_training_never_said(
        self, phrase: str, inputs_of_training: frozenset[str]
    ) -> None:
        said, own = heldout.wordings(phrase, MOST_WORDINGS, 0), parse(phrase)
        inputs = {plain_input(text) for text in said}
        assert len(inputs) == MOST_WORDINGS
        assert not inputs & (inputs_of_training | {plain_input(phrase)})
        assert all(says_the_same(parse(text), own) for text in said)

    def test_a_description_stays(self) -> None:
        for text in heldout.wordings(POLYPS[0], MOST_WORDINGS, 0):
            assert "one small pink round " in text

    def test_a_seed_decides(self) -> None:
        assert heldout.wordings(FINDINGS[0], 5, 1) == heldout.wordings(FINDINGS[0].upper(), 5, 1)
        assert heldout.wordings(FINDINGS[0], 5, 1) != heldout.wordings(FINDINGS[0], 5, 2)

    @pytest.mark.parametrize("phrase", ["aorta", "left pleural effusion", "colon"])
    def test_what_the_file_does_not_know_is_told(self, phrase: str) -> None:
        with pytest.raises(
            ValueError, match=rf"the phrase '{phrase}' has 0 other wordings .* 1 were asked for; ask for"
        ):
            heldout.wordings(phrase, 1, 0)


def imported_by(name: str) -> set[str]:
    """Modules of `training` that one of them loads, and those that these load."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        file = ROOT / Path(*module.split("."))
        file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
        if module in found or not file.is_file():
            continue
        found.add(module)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("training"):
                waiting += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names if alias.name.startswith("training")]
    return found


def test_nothing_that_draws_training_samples_can_see_them() -> None:
    assert "training.heldout" in imported_by("training.evaluate")
    assert "training.datasets.chest_infection" in imported_by("training.train")
    for name in ("training.train", "training.tokenizer", "training.calibrate"):
        assert "training.heldout" not in imported_by(name), name
    sources = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "training").rglob("*.py")}
    assert [name for name, text in sources.items() if heldout.FILE.stem in text] == ["heldout"]
