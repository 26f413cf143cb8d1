"""Controls of a comparison: captions of other films, networks that hear nothing, fusion after the warp."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from Testing.training.picture_sets import draws, write_polyp_set, write_ultrasound_set
from Testing.training.tiny import LESIONS, NETWORK, PREPROCESSING, Sources, assert_equal, steps
from training.augment import AugmentationConfig, apply_warps, fused_after, sample_warps
from training.conditions import derangement
from training.config import TrainConfig
from training.datasets.chest_infection import ChestInfection
from training.datasets.index import read_index
from training.datasets.unworded import Unworded
from training.presets import apply_preset
from training.sources import build_sources
from training.train import Run

TRAIN = [row for row in LESIONS if row.split == "train"]


class TestShuffledCaptions:
    def test_every_film_gets_the_words_of_another_one(self, lesion_index: Path) -> None:
        own = ChestInfection(lesion_index, "train", PREPROCESSING).films
        for seed in range(3):
            films = ChestInfection(lesion_index, "train", PREPROCESSING, shuffle_seed=seed).films
            assert Counter(film.caption for film in films) == Counter(row.caption for row in TRAIN)
            for film, true in zip(films, own, strict=True):
                assert film.caption != true.caption
                np.testing.assert_array_equal(film.mask, true.mask)
                np.testing.assert_array_equal(film.array, true.array)

    def test_caption_places_and_count_come_from_the_same_film(self, lesion_index: Path) -> None:
        by_caption = {row.caption: row for row in TRAIN}
        for film in ChestInfection(lesion_index, "train", PREPROCESSING, shuffle_seed=0).films:
            giver = by_caption[film.caption]
            assert {(side, level) for side, levels in film.zones.items() for level in levels} == set(giver.lesions)
            assert film.count == len(giver.lesions)

    def test_they_name_no_side_of_the_mask(self, lesion_index: Path) -> None:
        source = ChestInfection(lesion_index, "train", PREPROCESSING, shuffle_seed=0)
        assert all(not film.sides for film in source.films)
        whole = {film.mask.tobytes() for film in source.films}
        rng = random.Random(0)
        drawn = [source.draw(rng) for _ in range(200)]
        assert all(sample.mask.tobytes() in whole or not sample.mask.any() for sample in drawn)

    def test_the_seed_of_the_run_fixes_them(self, config: TrainConfig) -> None:
        captions = []
        for seed in (0, 0, 1, 2):
            data = dataclasses.replace(config.data, shuffle_captions=True)
            ((_, source), *_) = build_sources(dataclasses.replace(config, data=data, seed=seed))
            assert isinstance(source, ChestInfection)
            captions.append([film.caption for film in source.films])
        assert captions[0] == captions[1]
        assert captions[2] != captions[0] or captions[3] != captions[0]


class TestShuffledCaptionsOfPictures:
    @pytest.fixture(params=["polyp", "breast_ultrasound"])
    def picture(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    @pytest.fixture
    def index(self, picture: str, tmp_path: Path) -> Path:
        return (write_polyp_set if picture == "polyp" else write_ultrasound_set)(tmp_path)

    @pytest.fixture
    def sources_of(self, picture: str, index: Path, config: TrainConfig) -> Callable[..., Any]:
        """The one source of a run that draws from that set alone."""

        def build(seed: int = 0, *, shuffled: bool = True) -> Any:
            shares = {"infection_share": 0.0, "structures_share": 0.0, "phantoms": 0, f"{picture}_share": 1.0}
            changes: dict[str, Any] = {**shares, picture: str(index), "shuffle_captions": shuffled}
            ((_, source),) = build_sources(
                dataclasses.replace(config, data=dataclasses.replace(config.data, **changes), seed=seed)
            )
            return source

        return build

    def test_every_picture_gets_the_words_of_another_one_and_all_that_follows_from_them(
        self, index: Path, sources_of: Callable[..., Any]
    ) -> None:
        own, captions = sources_of(shuffled=False).films, train_captions(index)
        for seed in range(3):
            films = sources_of(seed).films
            givers = derangement(captions, seed)
            assert sorted(givers) == list(range(len(own)))
            assert all(captions[giver] != caption for giver, caption in zip(givers, captions, strict=True))
            for film, true, giver in zip(films, own, givers, strict=True):
                np.testing.assert_array_equal(film.array, true.array)
                np.testing.assert_array_equal(film.mask, true.mask)
                assert film.prompts == own[giver].prompts
                assert film.known == (own[giver].known if own[giver].mask.any() else None)

    def test_the_words_name_no_part_of_the_mask_and_the_seed_fixes_them(self, sources_of: Callable[..., Any]) -> None:
        source, same = sources_of(1), sources_of(1)
        assert all(not film.named for film in source.films)
        whole = {film.mask.tobytes() for film in source.films}
        samples = draws(source, 400)
        assert all(sample.mask.tobytes() in whole or not sample.mask.any() for sample in samples)
        assert [sample.phrase for sample in samples] == [sample.phrase for sample in draws(same, 400)]

    @pytest.mark.parametrize("picture", ["breast_ultrasound"])
    def test_words_do_not_tell_whether_there_is_a_finding_either(self, sources_of: Callable[..., Any]) -> None:
        samples = [sample for seed in range(4) for sample in draws(sources_of(seed), 200)]
        assert any("no tumor" in sample.phrase and sample.mask.any() for sample in samples)
        assert any("one small" in sample.phrase and not sample.mask.any() for sample in samples)

    def test_a_run_without_captions_to_shuffle_is_refused(self, config: TrainConfig) -> None:
        data = dataclasses.replace(config.data, shuffle_captions=True, infection_share=0.0, structures_share=0.5)
        with pytest.raises(ValueError, match=r"data\.shuffle_captions is true.*draws from none of them"):
            build_sources(dataclasses.replace(config, data=data))
        volumes = dataclasses.replace(config.network, spatial_dims=3)
        data = dataclasses.replace(config.data, shuffle_captions=True)
        with pytest.raises(ValueError, match=r"data\.shuffle_captions is true"):
            build_sources(dataclasses.replace(config, network=volumes, data=data))


def train_captions(index: Path) -> list[str]:
    return [row.columns["text"] for row in read_index(index) if row.columns["split"] == "train"]


class TestNetworksThatDoNotRead:
    def test_they_see_whole_masks_and_hear_nothing(self, config: TrainConfig) -> None:
        deaf = dataclasses.replace(config, network=apply_preset(NETWORK, "no-text"))
        ((_, source), *_) = build_sources(deaf)
        assert isinstance(source, Unworded)
        masks = {film.array.tobytes(): film.mask for film in source.films}
        rng = random.Random(0)
        drawn = [source.draw(rng) for _ in range(60)]
        for sample in drawn:
            assert (sample.phrase, sample.absent, sample.pointed) == ("", True, False)
            np.testing.assert_array_equal(sample.mask, masks[sample.array.tobytes()])
        assert len({sample.array.tobytes() for sample in drawn}) == len(TRAIN)

    def test_all_others_hear_phrases(self, config: TrainConfig) -> None:
        ((_, source), *_) = build_sources(config)
        assert isinstance(source, ChestInfection)


class TestFusionAfterTheWarp:
    def test_film_and_mask_move_alike_and_what_the_words_say_stays(self) -> None:
        generator = torch.Generator().manual_seed(0)
        image, mask = torch.randn(6, 1, 40, 56), (torch.rand(6, 1, 40, 56) > 0.5).float()
        params = sample_warps(6, AugmentationConfig(cowarp=1.0, pose=1.0), generator)
        before, after = apply_warps(image, mask, params), apply_warps(image, mask, fused_after(params))
        for one, other in zip(before[:3], after[:3], strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
        still = torch.nn.functional.affine_grid(torch.eye(2, 3).expand(6, 2, 3), [6, 1, 40, 56], align_corners=False)
        torch.testing.assert_close(after[3], still)
        assert (before[3] - still).abs().amax(dim=(1, 2, 3)).min() > 0.01

    @pytest.mark.parametrize("cowarp", [0.0, 1.0])
    def test_the_order_matters_exactly_where_there_is_a_warp(
        self, config: TrainConfig, run_folder: Path, sources: Sources, cowarp: float
    ) -> None:
        losses = []
        for fuse_before in (True, False):
            augmentation = AugmentationConfig(cowarp=cowarp, mirror=0.0, pose=0.0, fuse_before=fuse_before)
            run = Run(dataclasses.replace(config, augmentation=augmentation), run_folder)
            losses.append(steps(run, sources, 2)[-1])
        if cowarp:
            assert losses[0]["dice"] != losses[1]["dice"]
        else:
            assert_equal(losses[0], losses[1])
