"""Train a network.

python -m training.train --config training/models/chest-xray/train.json
python -m training.train --config training/models/chest-xray/train.json --name try --steps 200

A run lives in `runs/NAME`: configuration, tokenizer, log (JSON lines), checkpoint. The same command resumes it. Batch
`t` depends on the seed and `t` alone, so a resumed run equals an uninterrupted one.
"""

from __future__ import annotations

import json
import logging
import math
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from TextGuidedSegLib.errors import DeviceError, TextGuidedSegError
from TextGuidedSegLib.inference import choose_device
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.phrase import swap_sides
from TextGuidedSegLib.text_encoder import PhraseTokenizer, TextEncoder
from training import grammar
from training.augment import apply_warps, photometric, sample_warps
from training.checkpoint import ExponentialMovingAverage, load_checkpoint, save_checkpoint
from training.config import TrainConfig, parse_command_line, save_config
from training.datasets.chest_infection import ChestInfection
from training.datasets.chest_structures import ChestStructures
from training.datasets.index import check_splits, read_index
from training.datasets.phantoms import PhantomFilms
from training.datasets.sample import Batch, SampleSource, collate
from training.losses import parts_are_finite, total_loss
from training.tokenizer import train_tokenizer

logger = logging.getLogger(__name__)

_LOG_EVERY = 50
_PHANTOM_SEED = 100_000  # test and demonstration phantoms have small seeds


class Run:
    """Everything that a step changes.

    Args:
        config: The run's configuration.
        folder: Where the run lives; made if missing.
    """

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer = _tokenizer(config, folder / "tokenizer.json")
        torch.manual_seed(config.seed)  # before anything is built: the initial weights are part of the seed
        self.device = torch.device(choose_device(config.device))
        encoder = TextEncoder.compact(config.network.text, self.tokenizer.vocabulary_size)
        self.network = FusedNetwork(config.network, encoder).to(self.device)
        if config.network.spatial_dims == 2:
            self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = ExponentialMovingAverage(self.network, config.ema_decay)
        groups = _parameter_groups(self.network, config.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
        self.step = 0
        self.seconds = 0.0

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one.

        Raises:
            ValueError: The checkpoint is of another network.
        """
        path = self.folder / "checkpoint.pt"
        if not path.is_file():
            return
        state = load_checkpoint(path)
        try:
            self.network.load_state_dict(state["network"])
            self.average.network.load_state_dict(state["average"])
        except RuntimeError as error:
            msg = f"{path} is of a run with another network or vocabulary; give this run another --name"
            raise ValueError(msg) from error
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        logger.info("resumed at step %d of %d", self.step, self.config.steps)

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        save_checkpoint(self.folder / "checkpoint.pt", state)

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One optimizer step; returns the parts of the loss.

        Raises:
            FloatingPointError: The loss or its gradient is not finite; the weights are as before the step.
        """
        config = self.config
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + self.step)
        torch.manual_seed(config.seed * 1_000_003 + self.step)  # dropout
        params = sample_warps(len(batch.phrases), config.augmentation, generator)
        image, mask = (_resize(array, film_size(self.step, config)) for array in (batch.image, batch.mask))
        image, target, pseudo_target, warp = apply_warps(image, mask, params)
        image = photometric(image, config.augmentation, generator)
        words = [swap_sides(text) if flip else text for text, flip in zip(batch.phrases, params.mirrored, strict=True)]
        tokens = self.tokenizer(words)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, config)
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16):
            output = self.network(
                image.to(self.device),
                tokens.to(self.device),
                absent=batch.absent.to(self.device),
                warp=warp.to(self.device),
            )
        # Mirrored films put the heart on the wrong side: the pseudo-image learns where things are from true ones only.
        loss, parts = total_loss(
            output.logits, target.to(self.device), output.pseudo_logits, pseudo_target.to(self.device),
            pointed=(batch.pointed & ~params.mirrored).to(self.device), config=config.loss,
        )  # fmt: skip
        if not parts_are_finite(parts):
            msg = f"the loss is not finite at step {self.step}: {parts}; the last checkpoint is kept"
            raise FloatingPointError(msg)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.gradient_clip)
        if not norm.isfinite():
            msg = f"the gradient is not finite at step {self.step}: {parts}; the last checkpoint is kept"
            raise FloatingPointError(msg)
        self.optimizer.step()
        self.average.update(self.network, self.step)
        self.step += 1
        return parts


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then a half cosine to zero at `config.steps`."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def film_size(step: int, config: TrainConfig) -> int:
    """Pixels of a film's side: small ones first, so that most of the films are seen at a third of the cost."""
    return config.coarse_size if step < config.coarse_steps else config.preprocessing.size


def draw_batch(sources: Sequence[tuple[float, SampleSource]], config: TrainConfig, step: int) -> Batch:
    """Batch `step`: a function of the seed and the step alone."""
    rng = random.Random(config.seed * 1_000_003 + step)
    weights = [weight for weight, _ in sources]
    chosen = rng.choices([source for _, source in sources], weights, k=config.batch_size)
    return collate([source.draw(rng) for source in chosen])


def build_sources(config: TrainConfig) -> list[tuple[float, SampleSource]]:
    """The data sets with the share of samples drawn from each."""
    data = config.data
    rows = read_index(data.chest_infection)
    check_splits(rows)
    check_splits(read_index(data.chest_structures))
    elsewhere = [row.columns for row in rows if row.columns["split"] != "train"]
    held_out = frozenset({cell for row in elsewhere for cell in (row["image"], row["patient"])} - {""})
    infection = ChestInfection(data.chest_infection, "train", config.preprocessing)
    structures = ChestStructures(data.chest_structures, ("train", "train_multi"), config.preprocessing, held_out)
    phantoms = PhantomFilms(data.phantoms, config.preprocessing, seed=_PHANTOM_SEED)
    rest = 1 - data.infection_share - data.structures_share
    return [(data.infection_share, infection), (data.structures_share, structures), (rest, phantoms)]


def train(config: TrainConfig, folder: Path) -> None:
    """Run until `config.steps`, with checkpoints; resumes by itself."""
    run = Run(config, folder)
    run.resume()
    save_config(config, folder / "config.json")  # not before: what describes the checkpoint stays until this run may
    sources = build_sources(config)
    logger.info("training %s on %s from step %d of %d", config.name, run.device, run.step, config.steps)
    saved = logged = time.monotonic()
    since = run.step
    sums: dict[str, float] = {}
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        while run.step < config.steps:
            for name, value in run.train_step(draw_batch(sources, config, run.step)).items():
                sums[name] = sums.get(name, 0.0) + value
            now = time.monotonic()
            if run.step % _LOG_EVERY == 0:
                run.seconds += now - logged
                means = {name: value / (run.step - since) for name, value in sums.items()}
                _log(log, run, means, (run.step - since) * config.batch_size / (now - logged))
                sums, logged, since = {}, now, run.step
            if now - saved > 60 * config.checkpoint_minutes:
                run.save()
                saved = now
    run.save()


def _log(log: Any, run: Run, means: dict[str, float], speed: float) -> None:
    entry = {"step": run.step, "images_per_second": round(speed, 1), **{name: round(v, 5) for name, v in means.items()}}
    log.write(json.dumps(entry) + "\n")
    log.flush()
    logger.info("%s", entry)


def _resize(array: Tensor, size: int) -> Tensor:
    return array if array.shape[-1] == size else functional.interpolate(array, size=(size, size), mode="area")


def _tokenizer(config: TrainConfig, path: Path) -> PhraseTokenizer:
    if not path.is_file():
        rows = [*read_index(config.data.chest_infection), *read_index(config.data.chest_structures)]
        captions = [row.columns["text"] for row in rows if row.columns["split"].startswith("train")]
        tokenizer: Tokenizer = train_tokenizer([*captions, *grammar.corpus(20_000)], config.vocabulary_size)
        tokenizer.save(str(path))
    return PhraseTokenizer.from_file(path, config.network.text.max_tokens)


def _parameter_groups(network: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices and kernels, not biases, norms and the null embedding."""
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    free = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 2 for a wrong configuration or data set, 3 for a missing device or a run that diverged."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        config, options = parse_command_line(arguments)
        train(config, options.runs / config.name)
    except (DeviceError, FloatingPointError) as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except (TextGuidedSegError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
