"""Let a model notice pictures unlike its training data: fit the numbers of its card, and measure what they catch.

python -m training.familiarity fit --weights TextGuidedSegLib/data/models/chest-xray \\
    --data ../shared/data/chest_infection/index.csv --data ../shared/data/chest_structures/index.csv
python -m training.familiarity measure --weights chest-xray --split val --out unlike.json \\
    --data ../shared/data/chest_infection/index.csv --data ../shared/data/chest_structures/index.csv \\
    --unlike ../shared/data/polyp/index.csv --unlike ../shared/data/breast_ultrasound/index.csv \\
    --unlike ../shared/data/mr_volumes/index.csv

The numbers follow from the training images and the preprocessing alone: refit them after the data or the preprocessing
changed, or after `training.export` wrote a new card.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from TextGuidedSegLib.errors import TextGuidedSegError
from TextGuidedSegLib.export import atomic_path, check_output
from TextGuidedSegLib.familiarity import VIEWS, Familiarity, FamiliarityConfig, describe, encoded, feature_vector
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.preprocessing import prepare_film
from TextGuidedSegLib.weights import ModelCard, find_model, write_card
from training.datasets.index import read_index

logger = logging.getLogger(__name__)

FALSE_ALARMS = 0.02
"""Share of held-out images of each index that may lie beyond the limit, and of all that may fit a view better."""

_HELD_OUT = 0.1  # of the training images; the development split, where there is one, is held out too
_SHRINKAGE, _FLOOR = 0.02, 2e-3
_SLICES = (0.35, 0.5, 0.65)  # of a volume that is shown as a film


def fit(descriptions: Sequence[np.ndarray], held_out: Sequence[Sequence[np.ndarray]]) -> FamiliarityConfig:
    """The numbers of a card.

    Args:
        descriptions: `familiarity.describe` of training images.
        held_out: Of other images of the right kind, one list a source.

    Raises:
        ValueError: There are too few images, or none is held out.
    """
    features = np.stack([feature_vector(maps) for maps in descriptions])
    if len(features) < 4 or not any(held_out):
        msg = f"a fit takes at least 4 images and some held out, got {len(features)} and {sum(map(len, held_out))}"
        raise ValueError(msg)
    covariance = np.cov(features.T)
    covariance = (1 - _SHRINKAGE) * covariance + np.diag(_SHRINKAGE * np.diag(covariance) + _FLOOR)
    factor = np.linalg.cholesky(np.linalg.inv(covariance))
    config = FamiliarityConfig(
        mean=encoded(features.mean(axis=0)),
        factor=encoded(factor[np.tril_indices(len(factor))]),
        limit=0.0,
        margin=1.0,
        views=(),
    )
    judge = Familiarity(config)
    own = [np.array([judge.distance(maps) for maps in source]) for source in held_out if source]
    every, distances = [maps for source in held_out for maps in source], np.concatenate(own)
    ratios = {view: np.array([judge.distance(change(maps)) for maps in every]) / distances
              for view, change in VIEWS.items()}  # fmt: skip
    views = tuple(view for view, ratio in ratios.items() if (ratio < 1).mean() <= FALSE_ALARMS)
    nearest = np.min([ratios[view] for view in views], axis=0) if views else np.ones(1)
    return dataclasses.replace(
        config,
        limit=round(max(float(np.quantile(distance, 1 - FALSE_ALARMS)) for distance in own), 4),
        margin=round(min(1.0, float(np.quantile(nearest, FALSE_ALARMS / 4))), 4),
        views=views,
    )


def fit_card(weights: str, data: Sequence[Path], most: int) -> FamiliarityConfig:
    """Fit on the training images of some indexes and write the result into the card of a model.

    Raises:
        ValueError: An index has no training image, or the model reads no films.
    """
    model = find_model(weights)
    if "film" not in model.card.kinds:
        msg = f"the model {model.card.name!r} reads {', '.join(model.card.kinds)}s; only films are compared"
        raise ValueError(msg)
    training, held_out = [], []
    for index in data:
        paths = image_paths(index, ("train",), most)
        kept = round(_HELD_OUT * len(paths)) or 1
        dev = image_paths(index, ("dev",), most, needed=False)
        held_out.append([maps for path in (*paths[:kept], *dev) for maps in described(path, model.card)])
        training += [maps for path in paths[kept:] for maps in described(path, model.card)]
        logger.info("%s: %d images, %d held out", index, len(paths) - kept, len(held_out[-1]))
    config = fit(training, held_out)
    write_card(model.folder, dataclasses.replace(model.card, familiarity=config))
    return config


def measure(card: ModelCard, like: Sequence[Path], unlike: Sequence[Path], split: str, most: int) -> dict[str, Any]:
    """False alarms on images of the right kind, and what is caught of the others and of changed ones.

    Raises:
        ValueError: The card has no such numbers, or an index has no image of the split.
    """
    if card.familiarity is None:
        msg = f"the card of {card.name!r} has no familiarity; make it with python -m training.familiarity fit"
        raise ValueError(msg)
    judge = Familiarity(card.familiarity)
    right = {str(index): _all_described(index, split, most, card) for index in like}
    wrong = {str(index): _all_described(index, split, most, card) for index in unlike}
    every = [maps for source in right.values() for maps in source]
    wrong |= {view: [change(maps) for maps in every] for view, change in VIEWS.items()}
    caught = {name: _share_caught(judge, source) for name, source in wrong.items()}
    return {
        "false_alarms": _share_caught(judge, every),
        "false_alarms_by_index": {name: _share_caught(judge, source) for name, source in right.items()},
        "caught": min(caught.values()),
        "caught_of": caught,
        "n": {name: len(source) for name, source in (right | wrong).items()},
    }


def described(path: Path, card: ModelCard) -> Iterator[np.ndarray]:
    """Descriptions of an image as the model would see it: colors averaged for a gray model, slices of a volume."""
    image = read_image(path)
    for film in _films(image):
        if film.channels not in (1, card.image_channels):
            film = dataclasses.replace(film, array=film.array.astype(np.float32).mean(axis=-1))
        yield describe(prepare_film(film, card.preprocessing, channels=card.image_channels).array)


def image_paths(index: Path, splits: Sequence[str], most: int, *, needed: bool = True) -> list[Path]:
    """Images of some splits in a fixed random order, each once.

    Raises:
        ValueError: There is none although some are needed.
    """
    paths = sorted({row.image for row in read_index(index) if row.columns["split"] in splits})
    if needed and not paths:
        msg = f"{index} has no image with a split in {', '.join(splits)}"
        raise ValueError(msg)
    random.Random(0).shuffle(paths)
    return paths[:most]


def _all_described(index: Path, split: str, most: int, card: ModelCard) -> list[np.ndarray]:
    return [maps for path in image_paths(index, (split,), most) for maps in described(path, card)]


def _films(image: Image) -> Iterator[Image]:
    if image.kind == "film":
        yield image
        return
    canonical = image.canonical()[0]
    for axis in range(3):
        for place in _SLICES:
            slice_ = np.take(canonical, int(place * canonical.shape[axis]), axis=axis)
            if min(slice_.shape) >= 16 and slice_.std() > 0:
                yield Image.from_array(slice_.T)


def _share_caught(judge: Familiarity, source: Sequence[np.ndarray]) -> float:
    return float(np.mean([judge.unlike(maps) is not None for maps in source]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 2 for bad input."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(prog="python -m training.familiarity", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, dest="command")
    for name in ("fit", "measure"):
        command = commands.add_parser(name)
        command.add_argument("--weights", required=True)
        command.add_argument("--data", required=True, type=Path, action="append", help="index.csv of the right kind")
        command.add_argument("--most", type=int, default=2500, metavar="N", help="images of an index at most")
        if name == "measure":
            command.add_argument("--split", required=True)
            command.add_argument("--unlike", type=Path, action="append", default=[], help="index.csv of another kind")
            command.add_argument("--out", required=True, type=Path, metavar="FILE.json")
    options = parser.parse_args(arguments)
    try:
        if options.command == "fit":
            config = fit_card(options.weights, options.data, options.most)
            logger.info(
                "limit %g, margin %g, views: %s", config.limit, config.margin, ", ".join(config.views) or "none"
            )
            return 0
        check_output(options.out, ("",))
        card = find_model(options.weights).card
        report = measure(card, options.data, options.unlike, options.split, options.most)
        with atomic_path(options.out) as part:
            part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except (TextGuidedSegError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logger.info("%s", json.dumps(report))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
