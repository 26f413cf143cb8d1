"""Write the synthetic chest film that the demonstration segments: `make_samples.py OUT.png [--seed N]`.

The film is drawn, not photographed: it shows no patient and may be shared freely.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK

from TextGuidedSegLib.phantom import chest_film


def write_chest_film(path: Path, *, seed: int = 1) -> None:
    """Write one film with an opacity in the left lower lung as an 8-bit PNG.

    Args:
        path: The PNG to write; its folder is made when missing.
        seed: Patient, pose and exposure.
    """
    film = chest_film(seed, size=(640, 576), lesions=(("left", "lower"),))
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(film.array.round().astype(np.uint8)), str(path))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and write the film.

    Args:
        arguments: Words of the command line; those of the process when None.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="PNG file to write")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another patient")
    options = parser.parse_args(arguments)
    write_chest_film(options.out, seed=options.seed)


if __name__ == "__main__":
    main()
