"""The command: exit codes, one line for every fault, old files untouched, and a whole run with all its files."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
import pytest
import SimpleITK
import torch

from Testing.lib import tiny
from TextGuidedSegLib import __version__
from TextGuidedSegLib.cli import RESEARCH_ONLY, main
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.home import HOME_VARIABLE
from TextGuidedSegLib.phantom import chest_film
from TextGuidedSegLib.weights import WEIGHTS_FILE

WriteFile = Callable[..., Path]

ROOT = Path(__file__).resolve().parents[2]
PHRASE = "left lower lung opacity"
OUTPUTS = {
    "--out": "segment.seg.nrrd",
    "--pseudo": "pseudo.nrrd",
    "--probability": "probability.nii.gz",
    "--uncertainty": "uncertainty.nrrd",
    "--overlay": "overlay.png",
    "--film": "film.mha",
}
AGREED_KEYS = {
    "answer", "phrase", "model", "presence", "warnings", "voxels", "centroid_ras_mm", "seconds", "outputs",
}  # fmt: skip


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with three models: random, and sure of everything or of nothing."""
    home = tmp_path_factory.mktemp("cli")
    shutil.copytree(tiny_model, home / "models" / "tiny-film")
    tiny.write_model(home / "models" / "certain", tiny.answering(0.97))
    tiny.write_model(home / "models" / "nothing", tiny.answering(0.03))
    return home


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom as PNG."""
    path = tmp_path_factory.mktemp("film") / "film.png"
    array = chest_film(1, size=(90, 80)).array
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.round(array).astype(np.uint8)), str(path))
    return path


@pytest.fixture
def command(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run `textguidedseg` in this process; the terminal is captured below Python, where ITK writes."""
    monkeypatch.setenv(HOME_VARIABLE, str(home))

    def run(*arguments: object) -> Done:
        capfd.readouterr()
        code = main([str(one) for one in arguments])
        return Done(code, *capfd.readouterr())

    return run


@pytest.fixture
def outputs(tmp_path: Path) -> dict[str, Path]:
    """Every output option with a file that exists already."""
    folder = tmp_path / "results"
    folder.mkdir()
    paths = {option: folder / name for option, name in OUTPUTS.items()}
    for path in paths.values():
        path.write_bytes(f"old {path.name}".encode())
    return paths


def options(paths: dict[str, Path]) -> list[object]:
    return [part for pair in paths.items() for part in pair]


def assert_one_line(done: Done, code: int, words: str = "") -> None:
    assert done.code == code, done
    assert done.out == ""
    assert done.err.startswith("textguidedseg: ")
    assert done.err.count("\n") == 1
    assert done.err.endswith("\n")
    assert "Traceback" not in done.err
    assert words in done.err


def assert_untouched(paths: dict[str, Path]) -> None:
    folders = {path.parent for path in paths.values()}
    assert sorted(file for folder in folders for file in folder.iterdir()) == sorted(paths.values())
    for path in paths.values():
        assert path.read_bytes() == f"old {path.name}".encode()


def save(path: Path, array: np.ndarray) -> Path:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape)


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return path


def text_file(path: Path) -> Path:
    path.write_text("Dear colleague, please find attached the film.\n" * 20)
    return path


def huge_png(path: Path, write_png: WriteFile) -> Path:
    """20,000 x 20,000 by its header; the pixels are not there."""
    return write_png(path, (20_000, 20_000), b"\0")


def four_dimensional(path: Path) -> Path:
    frames = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(np.ones((4, 20, 20), np.float32))] * 3)
    SimpleITK.WriteImage(frames, str(path))
    return path


BAD_IMAGES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "nothing.png", "no such file"),
    "truncated": (lambda folder: cut(save(folder / "a.png", np.eye(200, dtype=np.uint8)), 0.5), "a.png"),
    "truncated volume": (lambda folder: cut(save(folder / "a.nrrd", noise(9, 30, 30)), 0.5), "a.nrrd"),
    "no image": (lambda folder: text_file(folder / "letter.png"), "not an image this software reads"),
    "empty file": (lambda folder: cut(text_file(folder / "letter.dcm"), 0), "the file is empty"),
    "empty folder": (lambda folder: folder, "no "),
    "4-D": (lambda folder: four_dimensional(folder / "a.nrrd"), "4-D image"),
    "all NaN": (
        lambda folder: save(folder / "a.nrrd", np.full((1, 40, 30), np.nan, np.float32)),
        "no voxel has a finite value",
    ),
    "1 x 1": (lambda folder: save(folder / "a.png", np.ones((1, 1), np.uint8)), "expected a picture or a volume"),
    "15 pixels": (lambda folder: save(folder / "a.png", np.ones((15, 90), np.uint8)), "at least 16 x 16"),
    "volume": (lambda folder: save(folder / "a.nrrd", noise(12, 30, 30)), "is a volume of 30 x 30 x 12"),
    "color": (lambda folder: _color(folder / "a.png"), "has 3 channels"),
    "long name": (lambda folder: folder / ("x" * 5000), "File name too long"),
}


def _color(path: Path) -> Path:
    colors = np.random.default_rng(0).integers(0, 255, (30, 30, 3), dtype=np.uint8)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(colors, isVector=True), str(path))
    return path


class TestBadInput:
    @pytest.mark.parametrize("kind", BAD_IMAGES)
    def test_an_image_that_cannot_be_used(
        self, kind: str, command: Command, outputs: dict[str, Path], tmp_path: Path
    ) -> None:
        make, words = BAD_IMAGES[kind]
        (tmp_path / "in").mkdir()
        done = command("segment", make(tmp_path / "in"), PHRASE, "--model", "tiny-film", *options(outputs))
        assert_one_line(done, 2, words)
        assert_untouched(outputs)

    def test_an_image_of_20000_by_20000_is_refused_by_its_header(
        self, command: Command, outputs: dict[str, Path], tmp_path: Path, write_png: WriteFile
    ) -> None:
        image = huge_png(tmp_path / "huge.png", write_png)
        done = command("segment", image, PHRASE, "--model", "tiny-film", *options(outputs))
        assert_one_line(done, 2, "20000 x 20000")
        assert_untouched(outputs)

    @pytest.mark.parametrize(("modality", "words"), [("MR", "is a volume"), ("MG", "has the modality MG")])
    def test_a_dicom_image_the_model_was_not_made_for(
        self, modality: str, words: str, command: Command, outputs: dict[str, Path], tmp_path: Path,
        write_dicom: WriteFile, a_picture: np.ndarray,
    ) -> None:  # fmt: skip
        image = write_dicom(tmp_path / "a.dcm", a_picture, modality=modality)
        done = command("segment", image, PHRASE, "--model", "tiny-film", *options(outputs))
        assert_one_line(done, 2, words)
        assert modality in done.err
        assert_untouched(outputs)

    @pytest.mark.parametrize(("phrase", "words"), [("", "empty"), ("  \t ", "empty"), ("opacity " * 625, "5000")])
    def test_a_phrase_that_is_none(
        self, phrase: str, words: str, command: Command, outputs: dict[str, Path], film: Path
    ) -> None:
        assert_one_line(command("segment", film, phrase, "--model", "tiny-film", *options(outputs)), 2, words)
        assert_one_line(command("parse", phrase), 2, words)
        assert_untouched(outputs)

    @pytest.mark.parametrize("threshold", ["0", "1", "2", "-0.1", "nan", "inf", "half", ""])
    def test_a_threshold_that_is_none(
        self, threshold: str, command: Command, outputs: dict[str, Path], film: Path
    ) -> None:
        done = command("segment", film, PHRASE, "--model=tiny-film", f"--threshold={threshold}", *options(outputs))
        assert_one_line(done, 2, "threshold")
        assert_untouched(outputs)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("tiny-flim", "did you mean 'tiny-film'?"),
            ("/no/model", "no model '/no/model'. Installed"),
            ("", "no model ''"),
        ],
    )
    def test_an_unknown_model(
        self, name: str, words: str, command: Command, outputs: dict[str, Path], film: Path
    ) -> None:
        done = command("segment", film, PHRASE, "--model", name, *options(outputs))
        assert_one_line(done, 2, words)
        assert all(installed in done.err for installed in ("certain", "nothing", "tiny-film"))
        assert_untouched(outputs)

    def test_tampered_weights(
        self, command: Command, outputs: dict[str, Path], film: Path, tmp_path: Path, tiny_model: Path
    ) -> None:
        model = Path(shutil.copytree(tiny_model, tmp_path / "tampered"))
        weights = bytearray((model / WEIGHTS_FILE).read_bytes())
        weights[len(weights) // 2] ^= 1
        (model / WEIGHTS_FILE).write_bytes(weights)
        done = command("segment", film, PHRASE, "--model", model, *options(outputs))
        assert_one_line(done, 2, "was changed or cut off; install the model again")
        assert_untouched(outputs)

    @pytest.mark.parametrize(
        "arguments",
        [
            [], ["nonsense"], ["segment"], ["segment", "a.png"], ["segment", "a.png", "left", "more"],
            ["segment", "a.png", "left", "--nonsense"], ["segment", "a.png", "left", "--device", "tpu"],
            ["parse"], ["models", "x"], ["--nonsense"], ["segment", "a.png", "left", "--out"],
        ],
        ids=" ".join,
    )  # fmt: skip
    def test_arguments_that_mean_nothing(self, arguments: list[str], command: Command) -> None:
        assert_one_line(command(*arguments), 2, "--help")


class TestOutputsThatCannotBe:
    @pytest.mark.parametrize(
        ("option", "name"),
        [
            ("--out", "a.nrrd"), ("--out", "a.nii.gz"), ("--pseudo", "a.png"), ("--probability", "a"),
            ("--overlay", "a.jpg"), ("--film", "a.dcm"), ("--out", ""), ("--overlay", "."),
        ],
    )  # fmt: skip
    def test_of_the_wrong_kind(self, option: str, name: str, command: Command, film: Path, tmp_path: Path) -> None:
        target = tmp_path / name if name else ""
        assert_one_line(command("segment", film, PHRASE, "--model=tiny-film", option, target), 2, "expected")
        assert list(tmp_path.iterdir()) == []

    def test_in_a_folder_that_is_missing_a_file_or_closed(
        self, command: Command, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        for folder in (tmp_path / "missing", tmp_path / "file"):
            done = command("segment", film, PHRASE, "--model=tiny-film", "--out", folder / "a.seg.nrrd")
            assert_one_line(done, 2, "no such folder")
        # An administrator may write everywhere, so the refusal of the system is played.
        monkeypatch.setattr("TextGuidedSegLib.export.os.access", lambda *_: False)
        done = command("segment", film, PHRASE, "--model=tiny-film", "--out", tmp_path / "a.seg.nrrd")
        assert_one_line(done, 2, "cannot be written")
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def test_the_same_file_twice(self, command: Command, film: Path, outputs: dict[str, Path]) -> None:
        other = outputs["--pseudo"].parent / "." / outputs["--pseudo"].name
        same = ["--pseudo", outputs["--pseudo"], "--probability", other]
        assert_one_line(
            command("segment", film, PHRASE, "--model=tiny-film", *same), 2, "two outputs name the same file"
        )
        assert_untouched(outputs)

    @pytest.mark.parametrize("through", ["name", "link"])
    def test_the_image_itself(self, through: str, command: Command, film: Path, tmp_path: Path) -> None:
        image = Path(shutil.copy(film, tmp_path / "film.png"))
        target = image
        if through == "link":
            target = tmp_path / "link.png"
            target.symlink_to(image)
        done = command("segment", image, PHRASE, "--model=tiny-film", "--overlay", target)
        assert_one_line(done, 2, "both the image and an output")
        assert image.read_bytes() == film.read_bytes()


class TestCouldNotRun:
    def test_a_graphics_card_that_is_not_there(
        self, command: Command, film: Path, outputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        done = command("segment", film, PHRASE, "--model=tiny-film", "--device=cuda", *options(outputs))
        assert_one_line(done, 3, "torch finds no CUDA device")
        assert_untouched(outputs)

    @pytest.mark.parametrize(
        ("error", "code", "words"),
        [
            (KeyboardInterrupt(), 130, "interrupted"),
            (MemoryError("no room"), 3, "could not run: MemoryError: no room"),
            (ZeroDivisionError("two\nlines"), 3, "could not run: ZeroDivisionError: two lines"),
            (ImageError("disk full"), 2, "disk full"),
        ],
    )
    @pytest.mark.parametrize(
        "place", ["io.read_image", "inference.Segmenter.segment", "export.write_image", "overlay.write_overlay_png"]
    )
    def test_whatever_fails_wherever_the_old_files_stay(
        self, place: str, error: BaseException, code: int, words: str, command: Command, film: Path,
        outputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        def fail(*_arguments: object, **_options: object) -> None:
            raise error

        monkeypatch.setattr(f"TextGuidedSegLib.{place}", fail)
        assert_one_line(command("segment", film, PHRASE, "--model=tiny-film", *options(outputs)), code, words)
        assert_untouched(outputs)


class TestAnswered:
    def test_a_whole_run_writes_everything_it_says_and_nothing_else(
        self, command: Command, film: Path, outputs: dict[str, Path]
    ) -> None:
        done = command("segment", film, PHRASE, "--model=certain", "--threshold=0.6", "--json", *options(outputs))
        assert (done.code, done.err) == (0, "")
        summary = json.loads(done.out)
        assert set(summary) >= AGREED_KEYS
        assert (summary["answer"], summary["phrase"], summary["model"]) == ("found", PHRASE, "certain")
        assert (summary["voxels"], summary["presence"]) == (90 * 80, 0.97)
        assert summary["centroid_ras_mm"] == pytest.approx([-39.5, 0, -44.5])
        assert "taken as displayed" in " ".join(summary["warnings"])
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
        self, model: str, phrase: str, answer: str, command: Command, film: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "a.seg.nrrd"
        done = command("segment", film, phrase, "--model", model, "--out", target, "--json")
        summary = json.loads(done.out)
        assert (done.code, done.err, summary["answer"]) == (0, "", answer)
        voxels = int(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(target))).sum())
        assert summary["voxels"] == voxels
        assert (voxels > 0) == (answer == "found") == (summary["centroid_ras_mm"] is not None)

    def test_the_threshold_is_the_one_given(self, command: Command, film: Path, tmp_path: Path) -> None:
        arguments = ("segment", film, PHRASE, "--model=certain", "--json", "--probability", tmp_path / "a.nrrd")
        assert json.loads(command(*arguments, "--threshold=0.98").out)["voxels"] == 0
        assert json.loads(command(*arguments, "--threshold=0.96").out)["voxels"] == 90 * 80

    def test_without_options_it_says_so_in_words_and_writes_nothing(
        self, command: Command, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        done = command("segment", film, PHRASE, "--model=certain")
        assert (done.code, done.err) == (0, "")
        first, *rest = done.out.splitlines()
        assert first == f"found: {PHRASE} (7200 voxels, presence 0.97, model certain)"
        assert rest[-1] == f"{RESEARCH_ONLY} Weights: test only."
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
    def test_a_terminal_that_lacks_a_character_is_no_failure(
        self, encoding: str, command: Command, film: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = []
        for arguments in (("--json",), ()):
            terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stdout", terminal)
                assert command("segment", film, "opacité → left lung", "--model=certain", *arguments).code == 0
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

    def test_models(self, command: Command, home: Path) -> None:
        rows = {row["name"]: row for row in json.loads(command("models", "--json").out)["models"]}
        assert {"certain", "nothing", "tiny-film"} <= set(rows)
        assert rows["tiny-film"]["license"] == "test only"
        assert rows["tiny-film"]["folder"] == str(home / "models" / "tiny-film")
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

    def test_info_names_versions_and_no_patient(self, command: Command, film: Path) -> None:
        facts = json.loads(command("info", "--json").out)
        assert facts["textguidedseg"] == __version__
        assert facts["packages"]["torch"].startswith(torch.__version__.split("+")[0])
        done = command("info")
        assert (done.code, done.err) == (0, "")
        assert str(film) not in done.out

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

    def test_nonsense(self, home: Path) -> None:
        assert_one_line(self.run(home, "nonsense"), 2, "invalid choice: 'nonsense'")

    def test_a_volume_is_refused_after_torch_was_loaded(
        self, home: Path, tmp_path: Path, outputs: dict[str, Path]
    ) -> None:
        volume = save(tmp_path / "mr.nrrd", noise(12, 30, 30))
        done = self.run(home, "segment", volume, PHRASE, "--model=tiny-film", *options(outputs))
        assert_one_line(done, 2, "is a volume of 30 x 30 x 12")
        assert_untouched(outputs)
