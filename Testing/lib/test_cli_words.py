"""What the command says about words: understood, corrected, not known, doubtful; and about files of words."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from Testing.lib import tiny
from TextGuidedSegLib import cli
from TextGuidedSegLib.home import HOME_VARIABLE

PANEL_SENTENCES = Path(__file__).resolve().parents[2] / "TextGuidedSeg" / "TextGuidedSegPanel" / "answers.py"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one model, and room for words."""
    tiny.write_model(tmp_path / "models" / "certain", tiny.answering(0.97))
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    return tmp_path


def lines(capfd: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    """What a command prints when all is well."""
    assert cli.main([str(one) for one in arguments]) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


def test_what_was_understood_corrected_and_not_known(
    home: Path, film_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told = lines(capfd, "segment", film_file, "two opactiy, rigth base and LLL zzqx", "--model=certain")
    assert told[1:5] == [
        "understood: 2, opacity, right, lower, lung, left, lower, lung",
        "read as: opactiy → opacity, rigth → right",
        "meaning: lll → left lower lung",
        "not known: zzqx",
    ]
    plain = lines(capfd, "segment", film_file, "left lung", "--model=certain")
    assert plain[1] == "understood: left, lung"
    assert not any(line.startswith(("read as", "meaning", "not known")) for line in plain)
    assert "understood: nothing" in lines(capfd, "segment", film_file, "zzqx", "--model=certain")


def test_the_panel_says_the_same() -> None:
    said = re.findall(r'"(\w+)": _\("([\w ]+): {word}"\)', PANEL_SENTENCES.read_text(encoding="utf-8"))
    assert {kind: label for kind, label in said if kind != "count"} == {
        "corrected": "read as", "expanded": "meaning", "unknown": "not known",
    }  # fmt: skip


def test_a_doubtful_side_is_a_note(home: Path, film_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    phrase = "right image lower zone"
    told = lines(capfd, "segment", film_file, phrase, "--model=certain")
    (note,) = [line for line in told if line.startswith("note: ") and "patient's right" in line]
    assert note in lines(capfd, "parse", phrase)
    summary = json.loads("\n".join(lines(capfd, "segment", film_file, phrase, "--model=certain", "--json")))
    assert note.removeprefix("note: ") in summary["warnings"]
    assert summary["parsed"]["doubts"] == [note.removeprefix("note: ")]


def test_words_of_ones_own_are_understood(home: Path, film_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (home / "vocabulary.json").write_text('{"abbreviations": {"LULN": "left upper lung nodule"}}', encoding="utf-8")
    told = lines(capfd, "segment", film_file, "LULN", "--model=certain")
    assert told[1:3] == ["understood: nodule, left, upper, lung", "meaning: luln → left upper lung nodule"]
    assert "finding: nodule" in lines(capfd, "parse", "LULN")


def test_info_names_the_files_of_words(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def told() -> tuple[list[str], str | None]:
        facts = json.loads("\n".join(lines(capfd, "info", "--json")))
        return facts["vocabulary_files"], facts["vocabulary_problem"]

    (built_in,), problem = told()
    assert problem is None
    ours = home / "vocabulary.json"
    ours.write_text('{"abbreviations": {"LULN": "left upper lung nodule"}}', encoding="utf-8")
    assert told() == ([built_in, str(ours)], None)


def test_a_broken_file_of_words_does_not_stop_the_command(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (home / "vocabulary.json").write_text('{"findings": {"nodule": {"synonims": []}}}', encoding="utf-8")
    assert cli.main(["info", "--json"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert len(facts["vocabulary_files"]) == 1
    assert "findings > nodule: 'synonims' is not legal" in facts["vocabulary_problem"]
    assert lines(capfd, "parse", "left lung") == ["side: left", "structure: lung"]
