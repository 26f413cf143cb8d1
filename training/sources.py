"""What a run draws from, and the text its tokenizer learns: every data set that has a share, and no other is read."""

from __future__ import annotations

from training import grammar, grammar_picture, grammar_volume
from training.config import DataConfig, TrainConfig
from training.datasets.blended import BlendedFilms
from training.datasets.breast_ultrasound import BreastUltrasound
from training.datasets.chest_infection import ChestInfection
from training.datasets.chest_structures import ChestStructures
from training.datasets.index import check_splits, read_index
from training.datasets.mr_volumes import SYNTHETIC, WHOLE_HEADS, LabelledVolumes, MrVolumes, VolumeSet
from training.datasets.own_films import OwnFilms
from training.datasets.phantoms import PhantomFilms
from training.datasets.polyp import Polyps
from training.datasets.sample import SampleSource
from training.datasets.synthetic_heads import synthetic_heads
from training.datasets.unlike import UnlikeImages
from training.datasets.unworded import Unworded
from training.datasets.volume_sample import VolumeSource
from training.datasets.volume_slices import LabelledSlices, SliceSet, VolumeSlices
from training.datasets.whole_heads import head_slices, whole_heads
from training.grammar_picture import Picture
from training.lung_zones import load_zones

Source = SampleSource | VolumeSource

_PHANTOM_SEED = 100_000  # test and demonstration phantoms have small seeds
_LEAST_SHARE = 1e-9  # of phantoms: what is left of shares that add up to one


def build_sources(config: TrainConfig) -> list[tuple[float, Source]]:
    """The data sets with the share of samples drawn from each; a set without a share is not read.

    A network that does not read words is shown whole masks of the sets of findings.

    Raises:
        ValueError: An index is wrong or leaks between splits, a share is negative, the shares add up to more than one,
            or the rest is for phantoms and there are none; a network of three dimensions has no set of volumes;
            captions are to be shuffled and no set that is drawn from has any.
    """
    data, reads = config.data, config.network.reads_words
    _check_shuffled(config)
    if config.network.spatial_dims == 3:
        return _volume_sources(config)
    if data.slice_sets:
        return _slice_sources(config)
    phantom_share = _checked_rest(data)
    sources = _chest_sources(config)
    if data.unlike_share:
        unlike = UnlikeImages((data.polyp, data.breast_ultrasound), "train", config.preprocessing)
        sources.append((data.unlike_share, unlike))
    if data.polyp_share:
        check_splits(read_index(data.polyp))
        polyps = Polyps(data.polyp, "train", config.preprocessing, shuffle_seed=_shuffle_seed(config))
        sources.append((data.polyp_share, polyps if reads else Unworded(polyps.films, picture=True)))
    if data.breast_ultrasound_share:
        check_splits(read_index(data.breast_ultrasound))
        ultrasound = BreastUltrasound(
            data.breast_ultrasound, "train", config.preprocessing, shuffle_seed=_shuffle_seed(config)
        )
        sources.append(
            (data.breast_ultrasound_share, ultrasound if reads else Unworded(ultrasound.films, picture=True))
        )
    sources += _own_sources(config)
    if phantom_share:
        sources.append((phantom_share, PhantomFilms(data.phantoms, config.preprocessing, seed=_PHANTOM_SEED)))
    return sources


def _own_sources(config: TrainConfig) -> list[tuple[float, Source]]:
    data = config.data
    if not data.own_films_share:
        return []
    check_splits(read_index(_own_index(data)))
    own = OwnFilms(data.own_films, "train", config.preprocessing)
    return [(data.own_films_share, own if config.network.reads_words else Unworded(own.films))]


def _own_index(data: DataConfig) -> str:
    """The index of one's own films.

    Raises:
        ValueError: They have a share and no index.
    """
    if not data.own_films:
        msg = f"data.own_films_share is {data.own_films_share:g}, but data.own_films names no index.csv to read"
        raise ValueError(msg)
    return data.own_films


def _shuffle_seed(config: TrainConfig) -> int | None:
    return config.seed if config.data.shuffle_captions else None


def _check_shuffled(config: TrainConfig) -> None:
    data = config.data
    has_captions = data.infection_share or data.polyp_share or data.breast_ultrasound_share
    if data.shuffle_captions and (config.network.spatial_dims == 3 or not has_captions):
        msg = (
            "data.shuffle_captions is true: it gives lesion films, polyps and breast ultrasound another one's caption, "
            "but this run draws from none of them; give one of them a share, or leave it out"
        )
        raise ValueError(msg)


def _volume_sources(config: TrainConfig) -> list[tuple[float, Source]]:
    data = config.data
    if not data.volume_sets or min(chosen.share for chosen in data.volume_sets) <= 0:
        msg = "a network of three dimensions needs data.volume_sets, each with a share above 0"
        raise ValueError(msg)
    if any(chosen.source not in (SYNTHETIC, WHOLE_HEADS) for chosen in data.volume_sets):
        check_splits(read_index(data.mr_volumes))
    return [(chosen.share, _volumes(chosen, config)) for chosen in data.volume_sets]


def _slice_sources(config: TrainConfig) -> list[tuple[float, Source]]:
    sets = config.data.slice_sets
    if min(chosen.share for chosen in sets) <= 0:
        msg = f"every set of data.slice_sets needs a share above 0, got {[chosen.share for chosen in sets]}"
        raise ValueError(msg)
    if any(chosen.source != WHOLE_HEADS for chosen in sets):
        check_splits(read_index(config.data.mr_volumes))
    return [(chosen.share, _slices(chosen, config)) for chosen in sets]


def _slices(chosen: SliceSet, config: TrainConfig) -> LabelledSlices:
    if chosen.source == WHOLE_HEADS:
        return head_slices(chosen, config.preprocessing)
    return VolumeSlices(config.data.mr_volumes, chosen, "train", config.preprocessing)


def _volumes(chosen: VolumeSet, config: TrainConfig) -> LabelledVolumes:
    if chosen.source == SYNTHETIC:
        return synthetic_heads(chosen, config.preprocessing)
    if chosen.source == WHOLE_HEADS:
        return whole_heads(chosen, config.preprocessing)
    return MrVolumes(config.data.mr_volumes, chosen, "train", config.preprocessing)


def _checked_rest(data: DataConfig) -> float:
    """The share of the phantoms."""
    shares = (data.infection_share, data.structures_share, data.blended_share, data.unlike_share, data.polyp_share,
              data.breast_ultrasound_share, data.own_films_share)  # fmt: skip
    if not 0 <= data.captions_share <= 1:
        msg = f"data.captions_share must lie in [0, 1], got {data.captions_share:g}"
        raise ValueError(msg)
    rest = 1 - sum(shares)
    if min(shares) < 0 or rest < -_LEAST_SHARE:
        msg = f"the shares of the data sets must be 0 or more and add up to 1 at most, got {shares}"
        raise ValueError(msg)
    if rest < _LEAST_SHARE:
        return 0.0
    if data.phantoms < 1:
        msg = f"the shares {shares} leave {rest:g} for phantoms, but data.phantoms is {data.phantoms}"
        raise ValueError(msg)
    return rest


def _chest_sources(config: TrainConfig) -> list[tuple[float, Source]]:
    data = config.data
    sources: list[tuple[float, Source]] = []
    if not _has_chest(data):
        return sources
    rows = read_index(data.chest_infection, ("patient",))
    check_splits(rows)
    if data.infection_share or data.blended_share:
        lungs = load_zones(data.lungs) if data.lungs else None
        infection = ChestInfection(
            data.chest_infection, "train", config.preprocessing, shuffle_seed=_shuffle_seed(config), lungs=lungs,
            captions_share=data.captions_share,
        )  # fmt: skip
        reads = config.network.reads_words
        sources.append((data.infection_share, infection if reads else Unworded(infection.films)))
    if data.structures_share or data.blended_share:
        check_splits(read_index(data.chest_structures))
        elsewhere = [row.columns for row in rows if row.columns["split"] != "train"]
        held_out = frozenset({cell for row in elsewhere for cell in (row["image"], row["patient"])} - {""})
        structures = ChestStructures(data.chest_structures, ("train", "train_multi"), config.preprocessing, held_out)
        sources.append((data.structures_share, structures))
    if data.blended_share:
        sources.append((data.blended_share, BlendedFilms(structures.films["plain"], infection.films)))
    return sources


def training_texts(data: DataConfig) -> list[str]:
    """Captions of the training splits and phrases of the grammars of every set that has a share."""
    if data.volume_sets or data.slice_sets:
        return _captions(data.mr_volumes) + grammar_volume.corpus(5_000)
    texts: list[str] = []
    has_pictures = bool(data.polyp_share or data.breast_ultrasound_share)
    if _has_chest(data) or not (has_pictures or data.own_films_share):
        texts += _captions(data.chest_infection) + _captions(data.chest_structures)
    if data.own_films_share:
        texts += _captions(_own_index(data))
    if _has_chest(data) or not has_pictures:  # phantoms speak the grammar of the chest
        texts += grammar.corpus(20_000)
    pictures: tuple[tuple[Picture, str, float], ...] = (
        ("polyp", data.polyp, data.polyp_share),
        ("breast_ultrasound", data.breast_ultrasound, data.breast_ultrasound_share),
    )
    for picture, index, share in pictures:
        if share:
            texts += _captions(index) + grammar_picture.corpus(picture, 5_000)
    return texts


def _captions(index: str) -> list[str]:
    return [row.columns["text"] for row in read_index(index, ("text",)) if row.columns["split"].startswith("train")]


def _has_chest(data: DataConfig) -> bool:
    return bool(data.infection_share or data.structures_share or data.blended_share)
