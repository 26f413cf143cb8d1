"""Whether a picture looks like those that a model was trained on: right kind, right way up, bright where it should be.

A picture is described by its coarse gray values, its texture in each part, and the spread of both; a Gaussian fitted to
training pictures says how far it is from them. The same is asked of the picture inverted, turned and upside down: one
that fits better then is told so, whatever hospital it comes from. No network runs; the numbers stand on the card
(`python -m training.familiarity fit`) and do not depend on the weights.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from TextGuidedSegLib.errors import WeightsError

_GRID, _COARSE, _TEXTURE = 56, 8, 7
_FAINT = 0.02  # added to textures before the logarithm: flat parts differ by nothing else than rounding

VIEWS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "inverted": lambda maps: np.concatenate([-maps[:1], maps[1:]]),
    "upside_down": lambda maps: maps[:, :, ::-1],
    "half_turn": lambda maps: maps[:, ::-1, ::-1],
    "quarter_turn_left": lambda maps: maps.transpose(0, 2, 1)[:, :, ::-1],
    "quarter_turn_right": lambda maps: maps.transpose(0, 2, 1)[:, ::-1],
}
"""What may have been done to a picture: changes of its `describe` maps `(2 or 3, I, J)`."""

_SAID = {
    "inverted": "dark and bright seem exchanged",
    "upside_down": "it seems to be upside down",
    "half_turn": "it seems to be turned by half",
    "quarter_turn_left": "it seems to be turned by a quarter",
    "quarter_turn_right": "it seems to be turned by a quarter",
}


@dataclasses.dataclass(frozen=True)
class FamiliarityConfig:
    """What pictures of the training data look like, as stored on a card.

    Attributes:
        mean: Mean description, base64 of little-endian float32 `(D,)`.
        factor: Lower triangle, row by row, of the factor `L` of the inverse covariance `L @ L.T`, base64 of
            little-endian float32.
        limit: Mean squared deviation in units of the spread from which a picture is unlike the training data.
        margin: A changed picture must come nearer by this factor to be the better one.
        views: Names of `VIEWS` that are looked for: those that training pictures themselves are hardly ever taken for.
    """

    mean: str
    factor: str
    limit: float
    margin: float
    views: tuple[str, ...]


class Familiarity:
    """Judges pictures by the numbers of a card.

    Args:
        config: From the card.

    Raises:
        WeightsError: The numbers do not belong together, or a view is not known.
    """

    def __init__(self, config: FamiliarityConfig) -> None:
        self.config = config
        self._mean = _decoded(config.mean)
        size, values = len(self._mean), _decoded(config.factor)
        if len(values) != size * (size + 1) // 2 or not set(config.views) <= set(VIEWS):
            msg = (
                f"the card's familiarity has {size} means, {len(values)} factors and the views "
                f"{', '.join(config.views)}; make it again with python -m training.familiarity fit"
            )
            raise WeightsError(msg)
        self._factor = np.zeros((size, size))
        self._factor[np.tril_indices(size)] = values

    def distance(self, maps: np.ndarray) -> float:
        """How far a picture is from the training data; about 1 for training pictures.

        Args:
            maps: From `describe`.

        Raises:
            WeightsError: The card's numbers are for pictures with another number of channels.
        """
        features = feature_vector(maps)
        if features.shape != self._mean.shape:
            msg = (
                f"the card's familiarity describes pictures by {len(self._mean)} numbers, this one has {len(features)}"
            )
            raise WeightsError(msg)
        return float(np.mean(((features - self._mean) @ self._factor) ** 2))

    def unlike(self, maps: np.ndarray) -> str | None:
        """What is wrong with a picture: a name of `VIEWS`, `unlike` for anything else, None for nothing.

        Args:
            maps: From `describe`.
        """
        own = self.distance(maps)
        viewed = {view: self.distance(VIEWS[view](maps)) for view in self.config.views}
        best = min(viewed, key=viewed.__getitem__, default=None)
        if best is not None and viewed[best] < self.config.margin * own:
            return best if viewed[best] <= self.config.limit else "unlike"
        return "unlike" if own > self.config.limit else None


def warning(found: str, model: str) -> str:
    """One sentence for people about what `Familiarity.unlike` found."""
    what = _SAID.get(found, "it may show something else, or in another way")
    return f"This image does not look like those that the model {model!r} was trained on: {what}. Do not rely on it."


def describe(array: np.ndarray) -> np.ndarray:
    """Coarse gray values and texture of a prepared picture, stretched to a square.

    Args:
        array: `(I, J)` or `(C, I, J)`, as `preprocessing.prepare_film` gives it.

    Returns:
        `(2, 56, 56)` float64, mean and standard deviation within each cell; for several channels `(3, 56, 56)`, the
        third being how much the channels differ.
    """
    channels = (array if array.ndim == 3 else array[None]).astype(np.float64)
    gray = channels.mean(axis=0)
    rows, columns = (_averaging(length, _GRID) for length in gray.shape)
    mean = rows @ gray @ columns.T
    spread = np.sqrt(np.maximum(rows @ gray**2 @ columns.T - mean**2, 0))
    maps = [mean, spread]
    if len(channels) > 1:
        maps.append(rows @ channels.std(axis=0) @ columns.T)
    return np.stack(maps)


def feature_vector(maps: np.ndarray) -> np.ndarray:
    """The numbers by which a picture is compared, `(D,)` float64.

    Args:
        maps: From `describe`.
    """
    mean = maps[0]
    parts = [_pooled(mean, _COARSE).ravel(), np.log(_pooled(maps[1], _TEXTURE) + _FAINT).ravel()]
    for size in (_GRID, _GRID // 2, _GRID // 4):
        pooled = _pooled(mean, size)
        parts.append(np.log([np.abs(np.diff(pooled, axis=axis)).mean() + _FAINT for axis in (0, 1)]))
    ordered = np.sort(_pooled(mean, _GRID // 4), axis=None)
    parts.append(np.quantile(ordered, (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)))
    parts += [np.log(_pooled(extra, 2) + _FAINT).ravel() for extra in maps[2:]]
    return np.concatenate(parts)


def encoded(values: np.ndarray) -> str:
    """Numbers as a card stores them."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")


def _decoded(text: str) -> np.ndarray:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float64)
    except ValueError as error:
        msg = f"the card's familiarity is damaged ({error}); make it again with python -m training.familiarity fit"
        raise WeightsError(msg) from error


def _averaging(length: int, cells: int) -> np.ndarray:
    """Matrix `(cells, length)` that averages pixels over equal cells, shares of pixels included."""
    edges = np.linspace(0, length, cells + 1)
    pixel = np.arange(length)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weights: np.ndarray = np.clip(covered, 0, None) * cells / length
    return weights


def _pooled(values: np.ndarray, cells: int) -> np.ndarray:
    """Means of a `(56, 56)` map over cells; `cells` divides 56."""
    step = _GRID // cells
    pooled: np.ndarray = values.reshape(cells, step, cells, step).mean(axis=(1, 3))
    return pooled
