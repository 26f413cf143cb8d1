"""Pictures of what the methods do, on synthetic films: pseudo-images, and transport plans of each expression.

python -m training.pictures --weights TextGuidedSegLib/data/models/chest-xray --out Resources/Screenshots
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from TextGuidedSegLib.errors import TextGuidedSegError
from TextGuidedSegLib.export import atomic_path
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.language.units import Unit
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.phantom import Level, PhantomFilm, chest_film
from TextGuidedSegLib.phantom_anatomy import Side
from TextGuidedSegLib.phrase import parse, read_units
from TextGuidedSegLib.preprocessing import prepare_film
from TextGuidedSegLib.symmetric_alignment import Plan
from TextGuidedSegLib.text_encoder import PhraseTokenizer
from TextGuidedSegLib.weights import ModelCard, find_model, load_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PHRASES = ("left lower lung opacity", "right upper lung opacity", "opacity in the left lower lung and right upper lung")
_LESIONS: tuple[tuple[Side, Level], ...] = (("left", "lower"), ("right", "upper"))
_INK = "#ffb000"


class Panel(NamedTuple):
    """One map over a film.

    Attributes:
        title: What it shows.
        values: `(rows, columns)` as displayed, in [0, 1].
        covers: Rows and columns of the network's grid that the map covers; more than the film's where it was padded.
    """

    title: str
    values: np.ndarray
    covers: tuple[int, int]


def panels(
    network: FusedNetwork, tokenizer: PhraseTokenizer, film: PhantomFilm, phrase: str, card: ModelCard
) -> dict[str, list[Panel]]:
    """What a network makes of one phrase.

    Args:
        network: In evaluation mode, for films.
        tokenizer: Its tokenizer.
        film: A synthetic film.
        phrase: What is asked for.
        card: The model's card.

    Returns:
        `pseudo` (the pseudo-image, then the probability) and `plans` (see `plan_panels`; the finest aligned level); a
        method that the network does not have has no entry.
    """
    prepared = prepare_film(Image.from_array(film.array), card.preprocessing, channels=card.image_channels)
    image = torch.from_numpy(prepared.channels_first)[None]
    words = parse(phrase).normalized
    with torch.inference_mode():
        output = network(image, tokenizer([words]))
    shape = (image.shape[3], image.shape[2])
    found: dict[str, list[Panel]] = {}
    if output.pseudo_logits is not None:
        found["pseudo"] = [
            Panel("pseudo-image", _displayed(output.pseudo_logits[0, 0].sigmoid()), shape),
            Panel("probability", _displayed(output.logits[0, 0].sigmoid()), shape),
        ]
    if output.spatial is not None:
        padded = tuple(-(-size // network.multiple) * network.multiple for size in shape)
        found["plans"] = plan_panels(output.spatial.plans[-1], read_units(words), (padded[0], padded[1]))
    return found


def plan_panels(plan: Plan, units: Sequence[Unit], covers: tuple[int, int]) -> list[Panel]:
    """The mass of each expression, then what goes to no word, as shares of the largest value among them all.

    Args:
        plan: Of one phrase on one film.
        units: Expressions of the phrase, in the order of the plan's columns.
        covers: See `Panel`.
    """
    names = [f"{unit.kind}{': ' if unit.directions else ''}{' '.join(unit.directions)}" for unit in units]
    columns = [*range(1, len(units) + 1), 0]
    maps = [_displayed(plan.mass[0, :, column].reshape(plan.grid)) for column in columns]
    # One scale for all of them: a unit with hardly any mass must not look as bright as one that has it.
    most = max(*(float(values.max()) for values in maps), 1e-12)
    return [Panel(name, values / most, covers) for name, values in zip([*names, "no word"], maps, strict=True)]


def _displayed(array: Tensor) -> np.ndarray:
    """`(I, J)` to rows and columns as displayed."""
    return array.float().numpy().T


def draw(path: Path, film: PhantomFilm, lines: Sequence[tuple[str, Sequence[Panel]]], size: int) -> None:
    """Write one picture: a line a phrase, the film first.

    Args:
        path: PNG to write.
        film: The film.
        lines: Phrase and its panels.
        size: Pixels of the film's long side on the network's grid.
    """
    from matplotlib.figure import Figure  # here, because only pictures need it

    scale = size / max(film.array.shape)
    rows, columns = (round(side * scale) for side in film.array.shape)
    width = 1 + max(len(shown) for _, shown in lines)
    figure = Figure(figsize=(2.1 * width, 2.5 * len(lines)), dpi=100, layout="constrained")
    axes = figure.subplots(len(lines), width, squeeze=False)
    for line, (phrase, shown) in zip(axes, lines, strict=True):
        for place in line:
            place.set_axis_off()
        _draw_film(line[0], film, (rows, columns))
        line[0].set_title(f"“{phrase}”", fontsize=7, wrap=True)
        for place, panel in zip(line[1:], shown, strict=False):
            _draw_film(place, film, (rows, columns))
            extent = (0, panel.covers[1], panel.covers[0], 0)
            place.imshow(panel.values, cmap="inferno", alpha=0.65, vmin=0, vmax=1, extent=extent)
            place.set_xlim(0, columns)
            place.set_ylim(rows, 0)
            place.set_title(panel.title, fontsize=7)
    with atomic_path(path) as part:
        figure.savefig(part, metadata={"Software": None})


def _draw_film(place: Axes, film: PhantomFilm, shape: tuple[int, int]) -> None:
    extent = (0, shape[1], shape[0], 0)
    place.imshow(film.array, cmap="gray", extent=extent)
    place.contour(film.lesions, levels=[0.5], colors=[_INK], linewidths=0.8, extent=extent, origin="upper")


def make_pictures(weights: str, out: Path) -> list[Path]:
    """Write `pseudo_images.png` and `transport_plans.png`, whichever the model has.

    Raises:
        WeightsError: No such model.
        ValueError: It has neither early fusion nor symmetric alignment, or does not read films.
    """
    model = find_model(weights)
    network, tokenizer = load_network(model)
    if model.card.network.spatial_dims != 2 or not (network.generator or network.alignment):
        msg = f"model {model.card.name!r} has neither pseudo-images nor transport plans of films; choose another"
        raise ValueError(msg)
    film = chest_film(3, lesions=_LESIONS)
    found = {phrase: panels(network, tokenizer, film, phrase, model.card) for phrase in PHRASES}
    written = []
    for kind, name in (("pseudo", "pseudo_images.png"), ("plans", "transport_plans.png")):
        lines = [(phrase, each[kind]) for phrase, each in found.items() if kind in each]
        if lines:
            draw(out / name, film, lines, model.card.preprocessing.size)
            written.append(out / name)
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m training.pictures", description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, help="model name, model folder, or weights file beside its card")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        for path in make_pictures(options.weights, options.out):
            sys.stdout.write(f"{path}\n")
    except (TextGuidedSegError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
