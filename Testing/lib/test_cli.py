"""The command: exit codes, and a whole run with all its files."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
import SimpleITK
import torch

from Testing.lib.command_line import (
    PHRASE,
    Command,
    Done,
    assert_one_line,
    assert_untouched,
    noise,
    options,
    save,
)
from TextGuidedSegLib import __version__
from TextGuidedSegLib.cli import RESEARCH_ONLY, main
from TextGuidedSegLib.home import HOME_VARIABLE
from TextGuidedSegLib.weights import WEIGHTS_FILE

ROOT = Path(__file__).resolve().parents[2]
AGREED_KEYS = {
    "answer", "phrase", "model", "presence", "warnings", "voxels", "centroid_ras_mm", "seconds", "outputs",
}  # fmt: skip


class TestAnswered:
    def test_a_whole_run_writes_everything_it_says_and_nothing_else(
        self, command: Command, film_file: Path, outputs: dict[str, Path]
    ) -> None:
        done = command("segment", film_file, PHRASE, "--model=certain", "--threshold=0.6", "--json", *options(outputs))
        assert (done.code, done.err) == (0, "")
        summary = json.loads(done.out)
        assert set(summary) >= AGREED_KEYS
        assert (summary["answer"], summary["phrase"], summary["model"]) == ("found", PHRASE, "certain")
        assert (summary["voxels"], summary["presence"]) == (90 * 80, 0.97)
        assert summary["centroid_ras_mm"] == pytest.approx([-39.5, 0, -44.5])
        assert "taken as displayed" in " ".join(summary["warnings"])
        assert (summary["image"], summary["spacing_known"]) == (str(film_file), False)
        assert summary["seconds"] > 0
        assert {f"--{name}": Path(path) for name, path in summary["outputs"].items()} == outputs
        assert sorted(outputs["--out"].parent.iterdir()) == sorted(outputs.values())
        self.check_files(outputs)

    @staticmethod
    def check_files(outputs: dict[str, Path]) -> None:
        images = {option: SimpleITK.ReadImage(str(path)) for option, path in outputs.items() if option != "--overlay"}
        mask = images.pop("--out")
        for image in images.values():
            assert image.GetSize() == mask.GetSize() == (80, 90, 1)
            assert image.GetDirection() == pytest.approx(mask.GetDirection())
        assert mask.GetPixelID() == SimpleITK.sitkUInt8
        assert SimpleITK.GetArrayFromImage(mask).all()
        assert SimpleITK.GetArrayFromImage(images["--probability"]) == pytest.approx(0.97)
        # The entropy of odds of 0.97 to 0.03, seen from a threshold of 0.6.
        assert SimpleITK.GetArrayFromImage(images["--uncertainty"]) == pytest.approx(0.2618, abs=1e-3)
        pseudo = SimpleITK.GetArrayFromImage(images["--pseudo"])
        assert 0 <= pseudo.min() < pseudo.max() <= 1
        assert mask.GetMetaData("Segment0_Name") == PHRASE
        tags = dict(tag.split(":", 1) for tag in mask.GetMetaData("Segment0_Tags").strip("|").split("|"))
        assert unquote(tags["TextGuidedSeg.Phrase"]) == images["--pseudo"].GetMetaData("TextGuidedSeg.Phrase") == PHRASE
        assert (tags["TextGuidedSeg.Answer"], tags["TextGuidedSeg.ResearchUseOnly"]) == ("found", "true")
        assert SimpleITK.ReadImage(str(outputs["--overlay"])).GetSize() == (80, 90)

    @pytest.mark.parametrize(
        ("model", "phrase", "answer"),
        [
            ("certain", PHRASE, "found"),
            ("nothing", PHRASE, "not_found"),
            ("certain", "xqzt wvkp", "not_understood"),
            ("certain", "left right lung", "contradictory"),
            ("certain", "no effusion", "negated"),
        ],
    )
    def test_every_answer_is_a_normal_end(
        self, model: str, phrase: str, answer: str, command: Command, film_file: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "a.seg.nrrd"
        done = command("segment", film_file, phrase, "--model", model, "--out", target, "--json")
        summary = json.loads(done.out)
        assert (done.code, done.err, summary["answer"]) == (0, "", answer)
        voxels = int(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(target))).sum())
        assert summary["voxels"] == voxels
        assert (voxels > 0) == (answer == "found") == (summary["centroid_ras_mm"] is not None)

    def test_the_threshold_is_the_one_given(self, command: Command, film_file: Path, tmp_path: Path) -> None:
        arguments = ("segment", film_file, PHRASE, "--model=certain", "--json", "--probability", tmp_path / "a.nrrd")
        assert json.loads(command(*arguments, "--threshold=0.98").out)["voxels"] == 0
        assert json.loads(command(*arguments, "--threshold=0.96").out)["voxels"] == 90 * 80

    def test_without_options_it_says_so_in_words_and_writes_nothing(
        self, command: Command, film_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        done = command("segment", film_file, PHRASE, "--model=certain")
        assert (done.code, done.err) == (0, "")
        first, *rest = done.out.splitlines()
        assert first == f"found: {PHRASE} (7200 voxels, presence 0.97, model certain)"
        assert rest[-1] == f"{RESEARCH_ONLY} Weights: test only."
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
    def test_a_terminal_that_lacks_a_character_is_no_failure(
        self, encoding: str, command: Command, film_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = []
        for arguments in (("--json",), ()):
            terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stdout", terminal)
                assert command("segment", film_file, "opacité → left lung", "--model=certain", *arguments).code == 0
            terminal.seek(0)
            said.append(terminal.read())
        assert json.loads(said[0])["phrase"] == "opacité → left lung"
        assert "left lung" in said[1]


class TestOtherCommands:
    def test_parse(self, command: Command) -> None:
        parsed = json.loads(command("parse", "LLL consolidation", "--json").out)
        assert (parsed["normalized"], parsed["side"]) == ("left lower lung consolidation", "left")
        done = command("parse", "rigth lung")
        assert (done.code, done.err) == (0, "")
        assert "side: right" in done.out.splitlines()
        assert command("parse", "xqzt").code == 0

    def test_models(self, command: Command, command_home: Path) -> None:
        rows = {row["name"]: row for row in json.loads(command("models", "--json").out)["models"]}
        assert {"certain", "nothing", "tiny-film"} <= set(rows)
        assert rows["tiny-film"]["license"] == "test only"
        assert rows["tiny-film"]["folder"] == str(command_home / "models" / "tiny-film")
        done = command("models")
        assert (done.code, done.err) == (0, "")
        assert "tiny-film 0.0" in done.out
        assert RESEARCH_ONLY in done.out

    def test_models_with_a_file_missing(
        self, command: Command, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = Path(shutil.copytree(tiny_model, tmp_path / "models" / "tiny-film"))
        (model / WEIGHTS_FILE).unlink()
        monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
        assert_one_line(command("models"), 2, "lacks")

    def test_info_names_versions_and_no_patient(self, command: Command, film_file: Path) -> None:
        facts = json.loads(command("info", "--json").out)
        assert facts["textguidedseg"] == __version__
        assert facts["packages"]["torch"].startswith(torch.__version__.split("+")[0])
        done = command("info")
        assert (done.code, done.err) == (0, "")
        assert str(film_file) not in done.out

    @pytest.mark.parametrize("option", ["--version", "--help"])
    def test_version_and_help(self, option: str, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main([option])
        captured = capfd.readouterr()
        assert (ended.value.code, captured.err) == (0, "")
        assert (__version__ if option == "--version" else "Research use only") in captured.out


class TestAsAProgram:
    """A fresh process has no test around it that would hide a traceback or a warning of some package."""

    @staticmethod
    def run(home: Path, *arguments: object) -> Done:
        line = [sys.executable, "-m", "TextGuidedSegLib", *map(str, arguments)]
        environment = {**os.environ, HOME_VARIABLE: str(home)}
        done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    def test_nonsense(self, command_home: Path) -> None:
        assert_one_line(self.run(command_home, "nonsense"), 2, "invalid choice: 'nonsense'")

    def test_a_volume_is_refused_after_torch_was_loaded(
        self, command_home: Path, tmp_path: Path, outputs: dict[str, Path]
    ) -> None:
        volume = save(tmp_path / "mr.nrrd", noise(12, 30, 30))
        done = self.run(command_home, "segment", volume, PHRASE, "--model=tiny-film", *options(outputs))
        assert_one_line(done, 2, "is a volume of 30 x 30 x 12")
        assert_untouched(outputs)
