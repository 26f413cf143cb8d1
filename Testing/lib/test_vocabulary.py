"""The vocabulary file: what a clinician may add, and what is said about a mistake in it."""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path

import pytest

from TextGuidedSegLib.errors import TextGuidedSegError
from TextGuidedSegLib.home import HOME_VARIABLE
from TextGuidedSegLib.language.vocabulary import (
    VocabularyError,
    default_vocabulary,
    default_vocabulary_sources,
    load_vocabulary,
)
from TextGuidedSegLib.phrase import Place, parse, read_units, swap_sides

README = Path(__file__).resolve().parents[2] / "README.md"
OURS = {
    "abbreviations": {"luln": "left upper lung nodule", "ruln": "right upper lung nodule"},
    "findings": {"honeycombing": {"structure": "lung"}},
}

# Those that are certain; a new one is looked up before it is added here.
CERTAIN_CODES = {
    "mass": "4147007", "nodule": "27925004", "edema": "79654002", "pneumothorax": "36118008",
    "pleural effusion": "60046008", "effusion": "41699000", "pulmonary edema": "19242006",
    "plate-like atelectasis": "40779009", "coin lesion": "308689002", "lung": "39607008", "lower lobe": "90572001",
    "upper lobe": "45653009", "middle lobe": "72481006", "lobe": "31094006", "left": "7771000", "right": "24028007",
}  # fmt: skip


@pytest.fixture
def write(tmp_path: Path):
    """Writes a vocabulary file."""

    def write_file(content: object, name: str = "ours.json") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of one's own."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv(HOME_VARIABLE, str(folder))
    return folder


def test_codes_are_those_that_are_certain() -> None:
    assert {name: code.code for name, code in default_vocabulary().snomed.items()} == CERTAIN_CODES


def test_a_file_adds_findings_synonyms_plurals_abbreviations_and_codes(write) -> None:
    path = write(
        {
            "findings": {
                "honeycombing": {"synonyms": ["honeycomb change"], "plurals": ["honeycombs"], "structure": "lung"},
                "nodule": {"synonyms": ["nodulation"]},
            },
            "abbreviations": {"hc": "honeycombing"},
        }
    )
    ours = load_vocabulary(path)
    assert parse("HC left base", ours).finding == "honeycombing"
    assert parse("honeycombs", ours).finding == "honeycombing"
    assert parse("honeycomb changes", ours).finding == "honeycombing"
    assert parse("honycombing", ours).corrections == (("honycombing", "honeycombing"),)
    assert parse("nodulation", ours).finding == parse("nodules", ours).finding == "nodule"
    assert parse("honeycombing").finding is None


def test_a_synonym_goes_to_the_entry_that_the_later_file_gives_it_to(write) -> None:
    ours = load_vocabulary(write({"findings": {"mass": {"synonyms": ["shadow"]}}}))
    assert parse("left shadow", ours).finding == "mass"
    assert parse("left shadow").finding == "opacity"


def test_files_are_merged_in_their_order(write) -> None:
    first = write({"abbreviations": {"xy": "left lung"}}, "first.json")
    second = write({"abbreviations": {"xy": "right lung"}}, "second.json")
    assert parse("xy", load_vocabulary(first, second)).side == "right"
    assert parse("xy", load_vocabulary(second, first)).side == "left"


def test_a_new_region_with_levels(write) -> None:
    ours = load_vocabulary(
        write({"regions": {"suprahilar region": {"structure": "lung", "levels": ["upper", "middle"]}}})
    )
    assert parse("left suprahilar region", ours).places == (Place("lung", "left", ("upper", "middle")),)


def test_words_that_are_no_misspelling(write) -> None:
    assert parse("opacitor").corrections == (("opacitor", "opacity"),)
    assert parse("opacitor", load_vocabulary(write({"never_correct": ["opacitor"]}))).corrections == ()


def test_new_abbreviations_with_a_side_are_swapped(write) -> None:
    ours = load_vocabulary(
        write({"abbreviations": {"luln": "left upper lung nodule", "ruln": "right upper lung nodule"}})
    )
    assert swap_sides("LULN", ours) == "RULN"
    alone = load_vocabulary(write({"abbreviations": {"luln": "left upper lung nodule"}}))
    assert swap_sides("luln", alone) == "right upper lung nodule"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"finding": {}}, "'finding' is no section of a vocabulary; did you mean 'findings'"),
        (
            {"findings": {"x ray": {"synonims": []}}},
            "findings > x ray: 'synonims' is not legal; did you mean 'synonyms'",
        ),
        ({"findings": {"honeycomb": {"synonyms": "honey"}}}, "findings > honeycomb > synonyms must be a list of words"),
        ({"findings": {"honeycomb": {"synonyms": [7]}}}, "synonyms must be a text with at least one word, got 7"),
        ({"findings": {"honeycomb": {"structure": "lungs"}}}, "'lungs' is no structure; did you mean 'lung'"),
        ({"structures": {"valve": {"within": "hart"}}}, "'hart' is no structure; did you mean 'heart'"),
        ({"findings": {"honeycomb": []}}, "findings > honeycomb must be an object"),
        ({"findings": {"nodule": {"frame": "picture"}}}, '"picture" is not legal. Legal are: patient, image'),
        ({"structures": {"lung": {"paired": "yes"}}}, "structures > lung > paired must be true or false"),
        ({"regions": {"x": {"levels": ["uper"]}}}, "\"uper\" is not legal; did you mean 'upper'"),
        ({"regions": {"x": {"side": "left"}}}, "regions > x: it is on the left only, so it needs a twin"),
        ({"regions": {"lingula": {"adjectives": ["lingulate"]}}}, "same number of adjectives"),
        ({"sides": {"left": {"synonyms": ["sinister"]}}}, "left has 5 synonyms and right has 4"),
        ({"sides": {"lefty": {}}}, "\"lefty\" is not legal; did you mean 'left'"),
        ({"numbers": {"none": 0}}, "numbers > none must be a whole number from 1 to 999, got 0"),
        ({"abbreviations": {"hc": "honeycombing"}}, "hc: 'honeycombing': 'honeycombing' is no word of this vocabulary"),
        ({"abbreviations": {"hc": "lll"}}, "hc: 'lll': it has an abbreviation in it"),
        ({"negations": {"besides": ["x"]}}, "negations: 'besides' is not legal"),
        ({"format": 2}, "format must be 1, the only one this version reads, got 2"),
        (
            {"findings": {"nodule": {"snomed": {"code": "27925005", "meaning": "Nodule"}}}},
            "its last digit checks the others",
        ),
        ({"findings": {"nodule": {"snomed": {"code": "27925004"}}}}, "must be an object with code and meaning"),
        (
            {"findings": {"mass": {"synonyms": ["nodule"]}}},
            "'nodule' stands in findings > nodule and in findings > mass",
        ),
        ({"findings": {"a b": {}, "c": {"synonyms": ["A-B"]}}}, "'a b' stands in findings > a b and in findings > c"),
        ([], "the file must be an object of sections"),
        ('{"findings": {"a": {}, "a": {}}}', "'a' stands twice in the same place"),
        ('{"findings": }', "line 1, column 14: no valid JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(write, content: object, message: str) -> None:
    path = write(content)
    with pytest.raises(VocabularyError) as caught:
        load_vocabulary(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert isinstance(caught.value, TextGuidedSegError)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match=r"nowhere\.json: the vocabulary cannot be read"):
        load_vocabulary(tmp_path / "nowhere.json")


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "latin.json"
    path.write_bytes('{"descriptions": ["größer"]}'.encode("latin-1"))
    with pytest.raises(VocabularyError, match="not encoded as UTF-8"):
        load_vocabulary(path)


def test_a_mistake_in_one_file_leaves_the_vocabulary_of_the_library_as_it_is(write) -> None:
    with pytest.raises(VocabularyError):
        load_vocabulary(write({"findings": {"opacity": {"synonyms": ["zzqx"]}, "honeycomb": {"structure": "zz"}}}))
    assert parse("zzqx").finding is None


class TestTheFileOfOnesOwn:
    def test_everything_reads_it(self, home: Path, write) -> None:
        before = parse("left upper honeycombing")
        write(OURS, "home/vocabulary.json")
        phrase = parse("LULN")
        assert (phrase.finding, phrase.places) == ("nodule", (Place("lung", "left", ("upper",)),))
        assert phrase.normalized == "left upper lung nodule"
        assert swap_sides("LULN") == "RULN"
        assert (before.finding, parse("left upper honeycombing").finding) == (None, "honeycombing")
        diagnosis = next(unit for unit in read_units("left upper honeycombing") if unit.kind == "diagnosis")
        assert diagnosis.spans == ((11, 23),)
        assert ("honeycombing",) in default_vocabulary().wordings

    def test_it_comes_changes_and_goes_while_the_program_runs(
        self, home: Path, write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert parse("zzqx").side == "none"
        path = write({"abbreviations": {"zzqx": "left lung"}}, "home/vocabulary.json")
        assert parse("zzqx").side == "left"
        write({"abbreviations": {"zzqx": "right lung"}}, "home/vocabulary.json")
        os.utime(path, ns=(1, 1))
        assert parse("zzqx").side == "right"
        monkeypatch.delenv(HOME_VARIABLE)
        assert parse("zzqx").side == "none"
        monkeypatch.setenv(HOME_VARIABLE, str(home))
        path.unlink()
        assert parse("zzqx").side == "none"

    def test_the_files_that_are_used_are_named(self, home: Path, write) -> None:
        (built_in,) = default_vocabulary_sources().files
        assert built_in.is_file()
        path = write(OURS, "home/vocabulary.json")
        sources = default_vocabulary_sources()
        assert (sources.files, sources.problem) == ((built_in, path), None)

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (
                {"findings": {"honeycomb": {"synonims": []}}},
                "findings > honeycomb: 'synonims' is not legal; did you mean",
            ),
            ({"abbreviations": {"hc": "honeycombing"}}, "hc: 'honeycombing': 'honeycombing' is no word"),
            ('{"findings": }', "line 1, column 14: no valid JSON"),
            ('{"format": ' + "1" * 5000 + "}", "vocabulary.json: "),
            ("[" * 100_000, "vocabulary.json: "),
        ],
        ids=["key", "word", "json", "number", "depth"],
    )
    def test_a_broken_one_is_left_out_and_told_once(
        self, home: Path, write, caplog: pytest.LogCaptureFixture, content: object, told: str
    ) -> None:
        expected = parse("rigth LLL opacity")
        path = write(content, "home/vocabulary.json")
        with caplog.at_level(logging.WARNING):
            assert [parse("rigth LLL opacity") for _ in range(3)] == [expected] * 3
            assert swap_sides("LUL") == "RUL"
        (message,) = [record.getMessage() for record in caplog.records]
        assert message.startswith(str(path))
        assert told in message
        sources = default_vocabulary_sources()
        assert (len(sources.files), sources.problem is not None) == (1, True)

    @pytest.mark.parametrize("is_file", [True, False])
    def test_a_home_without_it_is_no_problem(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_file: bool
    ) -> None:
        monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "elsewhere"))
        if is_file:
            (tmp_path / "elsewhere").write_bytes(b"")
        assert default_vocabulary_sources().problem is None
        assert parse("left lung").side == "left"

    def test_a_folder_in_its_place_is_told(self, home: Path) -> None:
        (home / "vocabulary.json").mkdir()
        assert "cannot be read" in str(default_vocabulary_sources().problem)
        assert parse("left lung").side == "left"

    def test_a_file_that_begins_with_a_byte_order_mark_is_read(self, home: Path) -> None:
        (home / "vocabulary.json").write_text(json.dumps(OURS), encoding="utf-8-sig")
        assert parse("luln").finding == "nodule"

    def test_another_file_does_without_it(self, home: Path, write) -> None:
        write(OURS, "home/vocabulary.json")
        other = load_vocabulary(write({"findings": {"zzqx": {}}}))
        assert (parse("zzqx", other).finding, parse("luln", other).finding) == ("zzqx", None)

    def test_the_example_of_the_first_page_is_right(self, home: Path, write) -> None:
        page = README.read_text(encoding="utf-8")
        (example,) = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)
        assert "$TEXTGUIDEDSEG_HOME/vocabulary.json" in page
        assert len(example.splitlines()) == 5
        write(example, "home/vocabulary.json")
        assert default_vocabulary_sources().problem is None
        assert parse("LULN").normalized == "left upper lung nodule"
        assert swap_sides("LULN") == "RULN"
        phrase = parse("honeycomb change, right base")
        assert (phrase.finding, phrase.places) == ("honeycombing", (Place("lung", "right", ("lower",)),))
        assert parse("suprahilar opacity on the left").places == (Place("lung", "left", ("upper",)),)
