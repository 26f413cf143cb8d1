"""Small files made on the spot, byte by byte, so that tests decide about every tag; models; the command."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import SimpleITK

from Testing.lib.command_line import OUTPUTS, Command, Done
from TextGuidedSegLib.cli import main
from TextGuidedSegLib.home import HOME_VARIABLE
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.phantom import chest_film

if TYPE_CHECKING:
    from TextGuidedSegLib.inference import Segmenter

WriteDicom = Callable[..., Path]
WritePng = Callable[..., Path]

_LONG_FORMS = {"OB", "OW", "SQ", "UN"}
_COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
_TAGS = {
    "sop_class": (0x0008, 0x0016, "UI"),
    "sop_instance": (0x0008, 0x0018, "UI"),
    "modality": (0x0008, 0x0060, "CS"),
    "presentation_intent": (0x0008, 0x0068, "CS"),
    "series_description": (0x0008, 0x103E, "LO"),
    "slice_thickness": (0x0018, 0x0050, "DS"),
    "slice_distance": (0x0018, 0x0088, "DS"),
    "imager_pixel_spacing": (0x0018, 0x1164, "DS"),
    "view_position": (0x0018, 0x5101, "CS"),
    "study": (0x0020, 0x000D, "UI"),
    "series": (0x0020, 0x000E, "UI"),
    "patient_orientation": (0x0020, 0x0020, "CS"),
    "image_position": (0x0020, 0x0032, "DS"),
    "image_orientation": (0x0020, 0x0037, "DS"),
    "samples": (0x0028, 0x0002, "US"),
    "photometric": (0x0028, 0x0004, "CS"),
    "planar": (0x0028, 0x0006, "US"),
    "frames": (0x0028, 0x0008, "IS"),
    "rows": (0x0028, 0x0010, "US"),
    "columns": (0x0028, 0x0011, "US"),
    "pixel_spacing": (0x0028, 0x0030, "DS"),
    "bits_allocated": (0x0028, 0x0100, "US"),
    "bits_stored": (0x0028, 0x0101, "US"),
    "high_bit": (0x0028, 0x0102, "US"),
    "signed": (0x0028, 0x0103, "US"),
    "padding": (0x0028, 0x0120, "SS"),
    "padding_limit": (0x0028, 0x0121, "SS"),
    "window_center": (0x0028, 0x1050, "DS"),
    "window_width": (0x0028, 0x1051, "DS"),
    "rescale_intercept": (0x0028, 0x1052, "DS"),
    "rescale_slope": (0x0028, 0x1053, "DS"),
    "window_function": (0x0028, 0x1056, "CS"),
}


_NUMBER_FORMS = {"US": "<H", "SS": "<h", "UL": "<I"}


def _element(group: int, element: int, kind: str, value: str | int | bytes) -> bytes:
    """One data element, explicit VR little endian."""
    if kind in _NUMBER_FORMS:
        data = struct.pack(_NUMBER_FORMS[kind], value)
    else:
        data = value if isinstance(value, bytes) else str(value).encode("latin-1")
    if len(data) % 2:
        data += b"\0" if kind in ("UI", "OB", "OW") else b" "
    form = "<HH2sxxI" if kind in _LONG_FORMS else "<HH2sH"
    return struct.pack(form, group, element, kind.encode(), len(data)) + data


def _dicom_values(pixels: np.ndarray, tags: Mapping[str, str | int]) -> dict[str, str | int]:
    color = pixels.ndim == 3 and pixels.shape[2] == 3
    rows, columns = pixels.shape[:2] if color or pixels.ndim == 2 else pixels.shape[1:]
    bits = 8 * pixels.itemsize
    values: dict[str, str | int] = {
        "sop_class": _COMPUTED_RADIOGRAPHY,
        "sop_instance": f"1.2.826.0.1.{zlib.crc32(repr(sorted(tags.items())).encode())}",
        "study": "1.2.826.0.1.1",
        "series": "1.2.826.0.1.1.1",
        "samples": 3 if color else 1,
        "photometric": "RGB" if color else "MONOCHROME2",
        "rows": rows,
        "columns": columns,
        "bits_allocated": bits,
        "bits_stored": bits,
        "high_bit": int(tags.get("bits_stored", bits)) - 1,
        "signed": int(pixels.dtype.kind == "i"),
    }
    if color:
        values["planar"] = 0
    elif pixels.ndim == 3:
        values["frames"] = len(pixels)
    return values | dict(tags)


@pytest.fixture
def write_dicom() -> WriteDicom:
    """Write `(rows, columns)`, `(frames, rows, columns)` or `(rows, columns, 3)` as a DICOM file with the tags named.

    By hand, because SimpleITK's writer turns MONOCHROME1 into MONOCHROME2 and writes spacings of its own.
    """

    def write(path: Path, pixels: np.ndarray, **tags: str | int) -> Path:
        values = _dicom_values(pixels, tags)
        body = b"".join(_element(*_TAGS[name], values[name]) for name in sorted(values, key=_TAGS.__getitem__))
        meta = (
            _element(2, 1, "OB", b"\0\1")
            + _element(2, 2, "UI", values["sop_class"])
            + _element(2, 3, "UI", values["sop_instance"])
            + _element(2, 0x10, "UI", "1.2.840.10008.1.2.1")
        )
        start = b"\0" * 128 + b"DICM" + _element(2, 0, "UL", len(meta)) + meta
        path.write_bytes(start + body + _element(0x7FE0, 0x10, "OW", pixels.tobytes()))
        return path

    return write


@pytest.fixture
def write_png() -> WritePng:
    """Write a PNG from its raw parts: `color` 0 gray, 2 RGB, 3 palette, 4 gray + alpha, 6 RGBA; `lines` unfiltered."""

    def write(
        path: Path, size: tuple[int, int], lines: bytes, *, depth: int = 8, color: int = 0, palette: bytes = b""
    ) -> Path:
        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, color, 0, 0, 0))
        colors = chunk(b"PLTE", palette) if palette else b""
        data = chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + colors + data)
        return path

    return write


@pytest.fixture
def a_picture() -> np.ndarray:
    """A 40 x 30 (rows x columns) uint8 picture without any symmetry."""
    rows, columns = np.mgrid[:40, :30]
    return (rows * 5 + columns * 2 + 30 * (rows < 12) * (columns > 20)).astype(np.uint8)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a whole model with random weights; tests that change a file copy it first."""
    from Testing.lib.tiny import write_model  # loads torch, which tests of files and grids do without

    return write_model(tmp_path_factory.mktemp("home") / "models" / "tiny-film")


@pytest.fixture(scope="session")
def displayed() -> np.ndarray:
    """A film of an even number of columns, larger than the input of the tiny model."""
    return chest_film(3, size=(110, 92)).array


@pytest.fixture(scope="session")
def film(displayed: np.ndarray) -> Image:
    """The same as an image."""
    from Testing.lib import tiny

    return tiny.film_image(displayed)


@pytest.fixture(scope="module")
def shared_segmenter(tiny_model: Path) -> Segmenter:
    """The tiny model, loaded once."""
    from TextGuidedSegLib.inference import Segmenter

    return Segmenter(str(tiny_model), device="cpu")


@pytest.fixture
def segmenter(shared_segmenter: Segmenter, film: Image) -> Segmenter:
    """The tiny model with the film set and nothing computed yet."""
    shared_segmenter.set_image(film)
    return shared_segmenter


@pytest.fixture(scope="session")
def command_home(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with three models: random, and sure of everything or of nothing."""
    from Testing.lib import tiny  # loads torch, too

    home = tmp_path_factory.mktemp("cli")
    shutil.copytree(tiny_model, home / "models" / "tiny-film")
    tiny.write_model(home / "models" / "certain", tiny.answering(0.97))
    tiny.write_model(home / "models" / "nothing", tiny.answering(0.03))
    return home


@pytest.fixture(scope="session")
def film_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom as PNG."""
    path = tmp_path_factory.mktemp("film") / "film.png"
    array = chest_film(1, size=(90, 80)).array
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.round(array).astype(np.uint8)), str(path))
    return path


@pytest.fixture
def command(command_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run `textguidedseg` in this process; the terminal is captured below Python, where ITK writes."""
    monkeypatch.setenv(HOME_VARIABLE, str(command_home))

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


@pytest.fixture
def silent_terminal(capfd: pytest.CaptureFixture[str]) -> object:
    """ITK and the libraries below it must stay silent, whatever they are given."""
    yield
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
