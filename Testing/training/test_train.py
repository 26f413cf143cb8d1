"""The loop: it learns, it resumes to the bit, and it never shows the truth to the network."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from Testing.training.tiny import Sources, assert_equal, steps
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.phrase import swap_sides
from TextGuidedSegLib.text_encoder import PhraseTokenizer, Tokens
from training import grammar
from training.augment import AugmentationConfig
from training.augmented import film_size
from training.checkpoint import load_checkpoint
from training.config import TrainConfig
from training.datasets.phantoms import PhantomFilms
from training.datasets.sample import Sample
from training.metrics import overlap
from training.train import Run, draw_batch, learning_rate, train

ONLY_MIRRORED = AugmentationConfig(cowarp=0.0, pose=0.0, photometric=0.0)


def phantoms(config: TrainConfig, count: int, seed: int) -> list[tuple[float, PhantomFilms]]:
    return [(1.0, PhantomFilms(count, config.preprocessing, seed=seed))]


class _OneLung(PhantomFilms):
    """Phantoms asked for one lung only."""

    def draw(self, rng: random.Random) -> Sample:
        array, film = rng.choice(self.films)
        side = rng.choice(("left", "right"))
        return Sample(array, film.lungs[side].T.astype(np.uint8), grammar.structure_phrase(f"{side} lung", rng))


def state_of(run: Run) -> dict[str, Any]:
    return {
        "network": run.network.state_dict(),
        "average": run.average.network.state_dict(),
        "optimizer": run.optimizer.state_dict(),
    }


class TestLearning:
    def test_forty_steps_lower_the_loss_clearly(self, config: TrainConfig, run_folder: Path) -> None:
        changes = {"steps": 40, "batch_size": 8, "learning_rate": 1e-2, "augmentation": ONLY_MIRRORED, "seed": 1}
        run = Run(dataclasses.replace(config, **changes), run_folder)
        losses = [parts["loss"] for parts in steps(run, phantoms(config, 30, seed=1000), 40)]
        assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])

    def test_every_weight_learns(self, config: TrainConfig, run_folder: Path, sources: Sources) -> None:
        run = Run(config, run_folder)
        before = {name: weight.detach().clone() for name, weight in run.network.named_parameters()}
        steps(run, sources, 12)
        still = [name for name, weight in run.network.named_parameters() if torch.equal(weight, before[name])]
        assert still == []

    @pytest.mark.slow
    def test_a_small_network_learns_which_lung_the_words_name(self, config: TrainConfig, run_folder: Path) -> None:
        changes = {"steps": 150, "batch_size": 8, "learning_rate": 1e-2, "augmentation": ONLY_MIRRORED, "seed": 1}
        run = Run(dataclasses.replace(config, **changes), run_folder)
        steps(run, [(1.0, _OneLung(60, config.preprocessing, seed=1000))], 150)
        unseen = PhantomFilms(8, config.preprocessing, seed=2000)
        scores: dict[bool, list[float]] = {True: [], False: []}
        for (array, film), word, side in itertools.product(unseen.films, ("left", "right"), ("left", "right")):
            image = torch.from_numpy(array.astype(np.float32))[None, None]
            with torch.inference_mode():
                logits = run.average.network(image, run.tokenizer([f"{word} lung"])).logits[0, 0]
            scores[word == side].append(overlap((logits > 0).numpy(), film.lungs[side].T).dice)
        assert np.mean(scores[True]) > 0.8
        assert np.mean(scores[False]) < 0.1


class TestReproducible:
    def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(
        self, config: TrainConfig, run_folder: Path, tmp_path: Path, sources: Sources
    ) -> None:
        whole = Run(config, run_folder)
        steps(whole, sources, 9)
        folder = Path(shutil.copytree(run_folder, tmp_path / "interrupted"))
        interrupted = Run(config, folder)
        steps(interrupted, sources, 4)
        interrupted.save()
        resumed = Run(config, folder)
        resumed.resume()
        assert resumed.step == 4
        steps(resumed, sources, 5)
        assert_equal(state_of(resumed), state_of(whole))

    def test_a_run_that_was_killed_ends_as_if_it_had_not_been(
        self, config: TrainConfig, run_folder: Path, tmp_path: Path, sources: Sources
    ) -> None:
        killed = Path(shutil.copytree(run_folder, tmp_path / "killed"))
        train(config, run_folder)
        run = Run(config, killed)
        steps(run, sources, 3)
        run.save()
        steps(run, sources, 2)  # lost with the process
        train(config, killed)
        one, other = (load_checkpoint(folder / "checkpoint.pt") for folder in (run_folder, killed))
        assert one.pop("seconds") > 0, "steps after the last line of the log count, too"
        other.pop("seconds")
        assert_equal(one, other)

    def test_equal_seeds_give_equal_numbers_and_others_do_not(
        self, config: TrainConfig, run_folder: Path, sources: Sources
    ) -> None:
        losses = {
            name: steps(Run(dataclasses.replace(config, seed=seed), run_folder), sources, 3)
            for name, seed in (("one", 1), ("same", 1), ("other", 2))
        }
        assert losses["one"] == losses["same"] != losses["other"]

    def test_the_initial_weights_are_part_of_the_seed(self, config: TrainConfig, run_folder: Path) -> None:
        torch.manual_seed(99)
        one = Run(config, run_folder)
        torch.rand(5)
        assert_equal(Run(config, run_folder).network.state_dict(), one.network.state_dict())

    def test_a_batch_is_a_function_of_seed_and_step_alone(self, config: TrainConfig, sources: Sources) -> None:
        forwards = [draw_batch(sources, config, step) for step in range(4)]
        backwards = [draw_batch(sources, config, step) for step in reversed(range(4))][::-1]
        for one, same in zip(forwards, backwards, strict=True):
            assert one.phrases == same.phrases
            assert torch.equal(one.image, same.image)
            assert torch.equal(one.mask, same.mask)
        assert len({batch.phrases for batch in forwards}) == 4

    def test_two_tokenizers_of_the_same_data_are_the_same(self, config: TrainConfig, tmp_path: Path) -> None:
        for name in ("one", "other"):
            Run(config, tmp_path / name)
        one, other = ((tmp_path / name / "tokenizer.json").read_bytes() for name in ("one", "other"))
        assert one == other


class TestTruthStaysOutside:
    def test_the_network_has_no_argument_for_it(self) -> None:
        assert list(inspect.signature(FusedNetwork.forward).parameters) == ["self", "image", "tokens", "absent", "warp"]
        assert list(inspect.signature(FusedNetwork.segment).parameters) == [
            "self", "image", "words", "pseudo_logits", "warp", "coordinates", "frame", "features",
        ]  # fmt: skip

    def test_the_output_of_a_training_step_does_not_depend_on_the_mask(
        self, config: TrainConfig, run_folder: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        batch = draw_batch(sources, config, 0)
        outputs = []
        for mask in (batch.mask, 1 - batch.mask):
            run = Run(config, run_folder)
            run.network.register_forward_hook(lambda _, __, output: outputs.append(output))
            run.train_step(dataclasses.replace(batch, mask=mask))
        assert torch.equal(outputs[0].logits, outputs[1].logits)
        assert torch.equal(outputs[0].pseudo_logits, outputs[1].pseudo_logits)

    def test_the_network_runs_without_any_mask(self, config: TrainConfig, run_folder: Path) -> None:
        run = Run(config, run_folder)
        output = run.network.eval()(torch.zeros(2, 1, 40, 56), run.tokenizer(["left lung", "right lung opacity"]))
        assert output.logits.shape == (2, 1, 40, 56)


class _Recorder:
    """A tokenizer that remembers what it was given."""

    def __init__(self, tokenizer: PhraseTokenizer) -> None:
        self.tokenizer, self.seen = tokenizer, []

    def __call__(self, phrases: Sequence[str]) -> Tokens:
        self.seen.append(list(phrases))
        return self.tokenizer(phrases)


class TestWordsFollowTheMirror:
    @pytest.mark.parametrize("mirror", [0.0, 1.0])
    def test_side_words_are_swapped_exactly_when_the_film_is_mirrored(
        self, config: TrainConfig, run_folder: Path, sources: Sources, mirror: float
    ) -> None:
        still = AugmentationConfig(mirror=mirror, cowarp=0.0, pose=0.0, photometric=0.0)
        run = Run(dataclasses.replace(config, augmentation=still), run_folder)
        run.tokenizer = recorder = _Recorder(run.tokenizer)
        images = []
        run.network.register_forward_pre_hook(lambda _, arguments: images.append(arguments[0]))
        batch = draw_batch(sources, config, 0)
        run.train_step(batch)
        expected = [swap_sides(text) for text in batch.phrases] if mirror else list(batch.phrases)
        assert recorder.seen == [expected]
        assert torch.allclose(images[0], batch.image.flip(2) if mirror else batch.image, atol=1e-4)

    @pytest.mark.parametrize("mirror", [0.0, 1.0])
    def test_the_pseudo_image_learns_from_films_that_are_not_mirrored(
        self, config: TrainConfig, run_folder: Path, sources: Sources, mirror: float
    ) -> None:
        run = Run(dataclasses.replace(config, augmentation=AugmentationConfig(mirror=mirror)), run_folder)
        assert (steps(run, sources, 1)[0]["pseudo"] == 0) == bool(mirror)

    def test_a_common_warp_reaches_the_network_and_leaves_the_words(
        self, config: TrainConfig, run_folder: Path, sources: Sources
    ) -> None:
        flips = AugmentationConfig(mirror=0.0, cowarp=1.0, cowarp_flip=1.0, pose=0.0)
        run = Run(dataclasses.replace(config, augmentation=flips), run_folder)
        run.tokenizer = recorder = _Recorder(run.tokenizer)
        given: list[dict[str, Any]] = []
        run.network.register_forward_pre_hook(lambda _, __, named: given.append(named), with_kwargs=True)
        batch = draw_batch(sources, config, 0)
        run.train_step(batch)
        assert recorder.seen == [list(batch.phrases)]
        along_i = given[0]["warp"][..., 1]
        assert (along_i[:, 0] > along_i[:, -1]).all()  # the grid runs backwards along I: a flip
        assert torch.equal(given[0]["absent"], batch.absent)


class TestSchedules:
    def test_the_rate_rises_linearly_and_falls_as_a_half_cosine(self) -> None:
        config = TrainConfig(steps=110, warmup_steps=10, learning_rate=2.0)
        rates = [learning_rate(step, config) for step in range(111)]
        assert rates[0] == pytest.approx(0.2)
        assert rates[9] == pytest.approx(2.0)
        assert rates[60] == pytest.approx(1.0)
        assert rates[110] == pytest.approx(0.0)
        assert rates[:10] == sorted(rates[:10])
        assert rates[10:] == sorted(rates[10:], reverse=True)

    def test_small_films_come_first(self, run_folder: Path, config: TrainConfig, sources: Sources) -> None:
        config = dataclasses.replace(config, coarse_steps=2, coarse_size=32)
        assert [film_size(step, config) for step in range(4)] == [32, 32, 64, 64]
        run = Run(config, run_folder)
        shapes = []
        run.network.register_forward_pre_hook(lambda _, arguments: shapes.append(tuple(arguments[0].shape[2:])))
        steps(run, sources, 3)
        assert shapes == [(32, 32), (32, 32), (64, 64)]
