"""What the command refuses, or cannot do: one line for every fault, old files untouched."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch

from Testing.lib.command_line import PHRASE, Command, assert_one_line, assert_untouched, noise, options, save
from TextGuidedSegLib.errors import ImageError
from TextGuidedSegLib.files import itk
from TextGuidedSegLib.weights import WEIGHTS_FILE

WriteFile = Callable[..., Path]


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
        self, phrase: str, words: str, command: Command, outputs: dict[str, Path], film_file: Path
    ) -> None:
        assert_one_line(command("segment", film_file, phrase, "--model", "tiny-film", *options(outputs)), 2, words)
        assert_one_line(command("parse", phrase), 2, words)
        assert_untouched(outputs)

    @pytest.mark.parametrize("threshold", ["0", "1", "2", "-0.1", "nan", "inf", "half", ""])
    def test_a_threshold_that_is_none(
        self, threshold: str, command: Command, outputs: dict[str, Path], film_file: Path
    ) -> None:
        done = command("segment", film_file, PHRASE, "--model=tiny-film", f"--threshold={threshold}", *options(outputs))
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
        self, name: str, words: str, command: Command, outputs: dict[str, Path], film_file: Path
    ) -> None:
        done = command("segment", film_file, PHRASE, "--model", name, *options(outputs))
        assert_one_line(done, 2, words)
        assert all(installed in done.err for installed in ("certain", "nothing", "tiny-film"))
        assert_untouched(outputs)

    def test_tampered_weights(
        self, command: Command, outputs: dict[str, Path], film_file: Path, tmp_path: Path, tiny_model: Path
    ) -> None:
        model = Path(shutil.copytree(tiny_model, tmp_path / "tampered"))
        weights = bytearray((model / WEIGHTS_FILE).read_bytes())
        weights[len(weights) // 2] ^= 1
        (model / WEIGHTS_FILE).write_bytes(weights)
        done = command("segment", film_file, PHRASE, "--model", model, *options(outputs))
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
    def test_of_the_wrong_kind(self, option: str, name: str, command: Command, film_file: Path, tmp_path: Path) -> None:
        target = tmp_path / name if name else ""
        assert_one_line(command("segment", film_file, PHRASE, "--model=tiny-film", option, target), 2, "expected")
        assert list(tmp_path.iterdir()) == []

    def test_in_a_folder_that_is_missing_a_file_or_closed(
        self, command: Command, film_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        for folder in (tmp_path / "missing", tmp_path / "file"):
            done = command("segment", film_file, PHRASE, "--model=tiny-film", "--out", folder / "a.seg.nrrd")
            assert_one_line(done, 2, "no such folder")
        # An administrator may write everywhere, so the refusal of the system is played.
        monkeypatch.setattr("TextGuidedSegLib.export.os.access", lambda *_: False)
        done = command("segment", film_file, PHRASE, "--model=tiny-film", "--out", tmp_path / "a.seg.nrrd")
        assert_one_line(done, 2, "cannot be written")
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def test_the_same_file_twice(self, command: Command, film_file: Path, outputs: dict[str, Path]) -> None:
        other = outputs["--pseudo"].parent / "." / outputs["--pseudo"].name
        same = ["--pseudo", outputs["--pseudo"], "--probability", other]
        assert_one_line(
            command("segment", film_file, PHRASE, "--model=tiny-film", *same), 2, "two outputs name the same file"
        )
        assert_untouched(outputs)

    @pytest.mark.parametrize("through", ["name", "link"])
    def test_the_image_itself(self, through: str, command: Command, film_file: Path, tmp_path: Path) -> None:
        image = Path(shutil.copy(film_file, tmp_path / "film.png"))
        target = image
        if through == "link":
            target = tmp_path / "link.png"
            target.symlink_to(image)
        done = command("segment", image, PHRASE, "--model=tiny-film", "--overlay", target)
        assert_one_line(done, 2, "both the image and an output")
        assert image.read_bytes() == film_file.read_bytes()


class TestCouldNotRun:
    def test_a_graphics_card_that_is_not_there(
        self, command: Command, film_file: Path, outputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        done = command("segment", film_file, PHRASE, "--model=tiny-film", "--device=cuda", *options(outputs))
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
        self, place: str, error: BaseException, code: int, words: str, command: Command, film_file: Path,
        outputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        def fail(*_arguments: object, **_options: object) -> None:
            raise error

        monkeypatch.setattr(f"TextGuidedSegLib.{place}", fail)
        assert_one_line(command("segment", film_file, PHRASE, "--model=tiny-film", *options(outputs)), code, words)
        assert_untouched(outputs)

    def test_asked_to_end_while_it_writes_it_leaves_nothing_half_written(
        self, command: Command, film_file: Path, outputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def begins_to_write(path: Path, *_arguments: object, **_options: object) -> None:
            path.write_bytes(b"half a fi")
            signal.raise_signal(signal.SIGTERM)

        monkeypatch.setattr("TextGuidedSegLib.export.write_image", begins_to_write)
        before = signal.getsignal(signal.SIGTERM)
        done = command("segment", film_file, PHRASE, "--model=tiny-film", *options(outputs))
        assert_one_line(done, 130, "interrupted")
        assert_untouched(outputs)
        assert signal.getsignal(signal.SIGTERM) is before

    def test_a_writer_that_fails_names_the_file_that_was_asked_for(
        self, command: Command, film_file: Path, outputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_arguments: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(itk, "write_voxels", fail)
        done = command("segment", film_file, PHRASE, "--model=tiny-film", *options(outputs))
        assert_one_line(done, 2, f"{outputs['--out']}: could not be written")
        assert_untouched(outputs)
