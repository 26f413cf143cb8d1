"""Write synthetic images: one for the demonstration, or all that the module offers as sample data.

    make_samples.py OUT.png [--seed N]       a chest film
    make_samples.py OUT.nii.gz [--seed N]    an MR volume: a part of a head
    make_samples.py TextGuidedSeg/Resources/SampleData

They are drawn, not photographed: they show no patient and may be shared freely.
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
from TextGuidedSegLib.phantom_volume import PhantomVolume, head_volume, organ_center_ras_mm

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
_HEAD = ("Synthetic MR, right hippocampus", "HeadCrop.nrrd", 1, "anterior hippocampus")
_HEAD_SIZE_MM = (48.0, 68.0, 50.0)


def head_crop(seed: int) -> PhantomVolume:
    """A part of a head around its right hippocampus, in voxels of 1 mm."""
    center = organ_center_ras_mm(seed, "right")
    return head_volume(seed, size_mm=_HEAD_SIZE_MM, spacing_mm=(1.0, 1.0, 1.0), center_ras_mm=center)


def write_head_crop(path: Path, *, seed: int = 1) -> None:
    """Write one part of a head as a volume of 8 bits.

    Args:
        path: NRRD, NIfTI or MHA; its folder is made when missing.
        seed: Patient.
    """
    volume = head_crop(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, volume.array.round().astype(np.uint8), volume.geometry)


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
        _write_film(path, chest_film(sample.seed, size=(512, 460), lesions=sample.lesions))
        # The same patient, drawn at the size of the picture.
        _write_thumbnail(path.with_suffix(".png"), chest_film(sample.seed, size=_THUMBNAIL_PX, lesions=sample.lesions))
        files += [path, path.with_suffix(".png")]
        entries.append(_entry(sample.name, path, sample.phrase))
    name, file, seed, phrase = _HEAD
    write_head_crop(folder / file, seed=seed)
    _write_head_thumbnail((folder / file).with_suffix(".png"), head_crop(seed))
    files += [folder / file, (folder / file).with_suffix(".png")]
    entries.append(_entry(name, folder / file, phrase))
    listing = folder / "samples.json"
    listing.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    return [*files, listing]


def _entry(name: str, path: Path, phrase: str) -> dict[str, str]:
    """What `samples.json` says of one sample."""
    return {
        "name": name,
        "file": path.name,
        "thumbnail": path.with_suffix(".png").name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "phrase": phrase,
    }


def _write_film(path: Path, film: PhantomFilm) -> None:
    """As a film of known orientation and size: its coronal plane, in mm."""
    image = Image.from_array(film.array.round().astype(np.uint8))
    affine = image.geometry.affine_ijk_to_ras @ np.diag([_PIXEL_MM, _PIXEL_MM, 1.0, 1.0])
    write_image(path, image.array, Geometry(image.geometry.shape, affine))


def _write_thumbnail(path: Path, film: PhantomFilm) -> None:
    write_overlay_png(path, film.array, film.lesions.astype(np.uint8))


def _write_head_thumbnail(path: Path, volume: PhantomVolume) -> None:
    """The sagittal slice through the organ, its anterior part outlined, in the middle of a black picture."""
    columns, rows = volume.array.shape[1:]
    times = min(_THUMBNAIL_PX[0] // rows, _THUMBNAIL_PX[1] // columns)
    top, left = (_THUMBNAIL_PX[0] - times * rows) // 2, (_THUMBNAIL_PX[1] - times * columns) // 2
    middle, planes = volume.array.shape[0] // 2, []
    for slab in (volume.array, volume.mask("right", "anterior")):
        plane = np.zeros(_THUMBNAIL_PX, dtype=np.float32)
        # Rows from the top and columns from anterior, as Slicer shows a sagittal slice.
        enlarged = np.kron(slab[middle, ::-1, ::-1].T, np.ones((times, times)))
        plane[top : top + times * rows, left : left + times * columns] = enlarged
        planes.append(plane)
    write_overlay_png(path, planes[0], planes[1].astype(np.uint8))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and write the image, or all samples.

    Args:
        arguments: Words of the command line; those of the process when None.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="PNG or volume to write, or a folder for all samples of the module")
    parser.add_argument("--seed", type=int, default=1, help="of a single image: another seed is another patient")
    options = parser.parse_args(arguments)
    if options.out.name.endswith((".nrrd", ".nii", ".nii.gz", ".mha")):
        write_head_crop(options.out, seed=options.seed)
    elif options.out.suffix:
        write_chest_film(options.out, seed=options.seed)
    else:
        write_samples(options.out)


if __name__ == "__main__":
    main()
