"""Write synthetic chest films: one for the demonstration, or all that the module offers as sample data.

    make_samples.py OUT.png [--seed N]
    make_samples.py TextGuidedSeg/Resources/SampleData

The films are drawn, not photographed: they show no patient and may be shared freely.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK

from TextGuidedSegLib.export import write_image
from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.overlay import write_overlay_png
from TextGuidedSegLib.phantom import Level, PhantomFilm, Side, chest_film

_PIXEL_MM = 0.7  # a chest of 460 columns is then 32 cm wide
_THUMBNAIL_PX = (280, 252)  # rows and columns; what Slicer's list of samples has room for


@dataclass(frozen=True)
class _Sample:
    """One film, and a phrase for what can be found on it."""

    name: str
    file: str
    seed: int
    lesions: tuple[tuple[Side, Level], ...]
    phrase: str


_SAMPLES = (
    _Sample("Synthetic chest film", "ChestFilm.nrrd", 1, (("left", "lower"),), "left lower lung opacity"),
    _Sample(
        "Synthetic chest film, both lungs", "ChestFilmBothLungs.nrrd", 3, (("left", "lower"), ("right", "upper")),
        "right upper lung opacity",
    ),
)  # fmt: skip


def write_chest_film(path: Path, *, seed: int = 1) -> None:
    """Write one film with an opacity in the left lower lung as an 8-bit PNG.

    Args:
        path: The PNG to write; its folder is made when missing.
        seed: Patient, pose and exposure.
    """
    film = chest_film(seed, size=(640, 576), lesions=(("left", "lower"),))
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(film.array.round().astype(np.uint8)), str(path))


def write_samples(folder: Path) -> list[Path]:
    """Write all samples, a picture of each, and `samples.json`, which lists them with their checksums.

    Args:
        folder: Made when missing.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files, entries = [], []
    for sample in _SAMPLES:
        path = folder / sample.file
        thumbnail = path.with_suffix(".png")
        _write_film(path, chest_film(sample.seed, size=(512, 460), lesions=sample.lesions))
        # The same patient, drawn at the size of the picture.
        _write_thumbnail(thumbnail, chest_film(sample.seed, size=_THUMBNAIL_PX, lesions=sample.lesions))
        files += [path, thumbnail]
        entries.append(
            {
                "name": sample.name,
                "file": path.name,
                "thumbnail": thumbnail.name,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "phrase": sample.phrase,
            }
        )
    listing = folder / "samples.json"
    listing.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    return [*files, listing]


def _write_film(path: Path, film: PhantomFilm) -> None:
    """As a film of known orientation and size: its coronal plane, in mm."""
    image = Image.from_array(film.array.round().astype(np.uint8))
    affine = image.geometry.affine_ijk_to_ras @ np.diag([_PIXEL_MM, _PIXEL_MM, 1.0, 1.0])
    write_image(path, image.array, Geometry(image.geometry.shape, affine))


def _write_thumbnail(path: Path, film: PhantomFilm) -> None:
    write_overlay_png(path, film.array, film.lesions.astype(np.uint8))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and write the film, or all samples.

    Args:
        arguments: Words of the command line; those of the process when None.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="PNG file to write, or a folder for all samples of the module")
    parser.add_argument("--seed", type=int, default=1, help="of a single film: another seed is another patient")
    options = parser.parse_args(arguments)
    if options.out.suffix:
        write_chest_film(options.out, seed=options.seed)
    else:
        write_samples(options.out)


if __name__ == "__main__":
    main()
