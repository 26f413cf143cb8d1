"""Train a network.

python -m training.train --config training/models/chest-xray/train.json
python -m training.train --config training/models/chest-xray/train.json --name try --steps 200
torchrun --nproc-per-node 2 -m training.train --config training/models/chest-xray/train.json

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
from typing import Any, cast

import torch
from tokenizers import Tokenizer

from TextGuidedSegLib.errors import DeviceError, TextGuidedSegError
from TextGuidedSegLib.export import atomic_path
from TextGuidedSegLib.inference import choose_device
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.text_encoder import PhraseTokenizer, build_text_encoder
from training.augmented import augmented
from training.checkpoint import ExponentialMovingAverage, load_checkpoint, save_checkpoint, with_neighbors
from training.config import OPERATIONAL, TrainConfig, differences, parse_command_line, read_config, save_config
from training.datasets.sample import Batch, SampleSource, collate
from training.datasets.volume_sample import VolumeBatch, VolumeSource, collate_volumes
from training.distributed import join_workers, leave_workers
from training.losses import Truth, parts_are_finite, total_loss
from training.precision import ThinConvolutionsInFloat32
from training.sources import build_sources, training_texts
from training.start import keep_still, pretrained_encoder, tokenizer_of, train_mode, weights_of
from training.tokenizer import train_tokenizer

logger = logging.getLogger(__name__)

_LOG_EVERY = 50
_CHANGEABLE = OPERATIONAL | {"name", "steps"}
"""What a run may be resumed with that it did not begin with: a copy under another name, and a longer schedule."""


class Run:
    """Everything that a step changes.

    Args:
        config: The run's configuration.
        folder: Where the run lives; made if missing.
    """

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.workers, self.device = join_workers(choose_device(config.device))
        self.share = self.workers.share(config.batch_size)
        with self.workers.first_alone():
            self.tokenizer = _tokenizer(config, folder / "tokenizer.json")
        torch.manual_seed(config.seed)  # before anything is built: the initial weights are part of the seed
        encoder = build_text_encoder(config.network.text, self.tokenizer.vocabulary_size)
        self.network = FusedNetwork(config.network, encoder).to(self.device)
        keep_still(self.network, config.train_parts)
        if config.mixed_precision and self.network.trains_channels_last(self.device):  # float32 is never safe with it
            self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._model = self.workers.wrapped(self.network)
        self.average = ExponentialMovingAverage(self.network, config.ema_decay)
        groups = _parameter_groups(self.network, config.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
        self.step = 0
        self.seconds = 0.0

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one.

        Raises:
            ValueError: The checkpoint is of another network, or damaged.
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

    def start_from(self, path: Path) -> None:
        """Take over the weights of another run or model wherever names and sizes agree; the rest stays as it is.

        A network with more parts can so go on from one with fewer: each part begins as the identity. A text encoder
        of another vocabulary is not taken over. A network of slices may go on from one that saw no neighbors.

        Raises:
            ValueError: The runs have nothing in common.
        """
        theirs, ours = weights_of(path), self.network.state_dict()
        if self.config.preprocessing.neighbor_slices:
            theirs = with_neighbors(theirs, ours)
        common = {name: tensor for name, tensor in theirs.items() if name in ours and ours[name].shape == tensor.shape}
        if tokenizer_of(path).read_bytes() != (self.folder / "tokenizer.json").read_bytes():
            common = {name: tensor for name, tensor in common.items() if not name.startswith("text_encoder.")}
        if not common:
            msg = f"{path} cannot be started from: its network has no tensor in common with this one"
            raise ValueError(msg)
        self._begin_with(common)
        logger.info("started from %s: %d of %d tensors", path, len(common), len(ours))

    def start_encoder(self, source: str) -> None:
        """Begin with an encoder that has seen natural pictures.

        Raises:
            ValueError: This network has another encoder, or the weights are not there.
        """
        weights = pretrained_encoder(source, self.config.network)
        try:
            self._begin_with(weights)
        except RuntimeError as error:
            msg = f"{source} has the weights of another network than EfficientNet-Lite0: its kernels have other sizes"
            raise ValueError(msg) from error

    def _begin_with(self, weights: dict[str, torch.Tensor]) -> None:
        for network in (self.network, self.average.network):
            network.load_state_dict(weights, strict=False)

    def save(self) -> None:
        """Write the checkpoint, from the first process."""
        if not self.workers.is_first:
            return
        state = {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        save_checkpoint(self.folder / "checkpoint.pt", state)

    def train_step(self, batch: Batch | VolumeBatch) -> dict[str, float]:
        """One optimizer step; returns the parts of the loss.

        Raises:
            FloatingPointError: The loss or its gradient is not finite; the weights are as before the step.
        """
        config = self.config
        seed = config.seed * 1_000_003 + self.step
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # dropout, and the pixels that losses draw
        image, target, pseudo_target, warp, words, painted = augmented(batch, config, self.step, generator)
        share, device = self.share, self.device
        truth = Truth(
            target[share].to(device), pseudo_target[share].to(device), tuple(words[share]),
            batch.pointed[share].to(device), painted[share].to(device),
        )  # fmt: skip
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, config)
        train_mode(self.network, config.train_parts)
        half = torch.autocast(device.type, torch.bfloat16, enabled=config.mixed_precision)
        with half, ThinConvolutionsInFloat32(), self.workers.own_dropout(seed):
            output = self._model(
                image[share].to(device),
                self.tokenizer(words[share]).to(device),
                absent=batch.absent[share].to(device),
                warp=warp[share].to(device),
            )
        loss, parts = total_loss(output, truth, config.loss, self.workers)
        if not parts_are_finite(parts):
            msg = f"the loss is not finite at step {self.step}: {parts}; the last checkpoint is kept"
            raise FloatingPointError(msg)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
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


def draw_batch(
    sources: Sequence[tuple[float, SampleSource | VolumeSource]], config: TrainConfig, step: int
) -> Batch | VolumeBatch:
    """Batch `step`: a function of the seed and the step alone."""
    rng = random.Random(config.seed * 1_000_003 + step)
    weights = [weight for weight, _ in sources]
    if config.network.spatial_dims == 3:  # of one set, because crops of another have another size
        volumes = cast(VolumeSource, rng.choices([source for _, source in sources], weights)[0])
        return collate_volumes(volumes.draw(rng, config.batch_size))
    chosen = cast(list[SampleSource], rng.choices([source for _, source in sources], weights, k=config.batch_size))
    return collate([source.draw(rng) for source in chosen], config.network.image_channels)


def train(config: TrainConfig, folder: Path) -> None:
    """Run until `config.steps`, with checkpoints; resumes by itself. Of several processes the first one writes.

    Raises:
        ValueError: The configuration or a data set is wrong, the folder has a run of another configuration, or its
            checkpoint is damaged.
        OSError: A file could not be read or written.
        DeviceError: The device is missing.
        FloatingPointError: The run diverged.
    """
    _check_same(config, folder)
    run = Run(config, folder)
    run.resume()
    if run.step == 0 and config.encoder_from:
        run.start_encoder(config.encoder_from)
    if run.step == 0 and config.start_from:
        run.start_from(Path(config.start_from))
    if run.workers.is_first:  # not before: what describes the checkpoint stays until this run may
        save_config(config, folder / "config.json")
    sources = build_sources(config)
    logger.info("training %s on %s from step %d of %d", config.name, run.device, run.step, config.steps)
    saved = logged = counted = time.monotonic()
    since = run.step
    sums: dict[str, float] = {}
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        while run.step < config.steps:
            for name, value in run.train_step(draw_batch(sources, config, run.step)).items():
                sums[name] = sums.get(name, 0.0) + value
            now = time.monotonic()
            run.seconds, counted = run.seconds + now - counted, now
            if run.step % _LOG_EVERY == 0:
                means = {name: value / (run.step - since) for name, value in sums.items()}
                if run.workers.is_first:
                    _log(log, run, means, (run.step - since) * config.batch_size / (now - logged))
                sums, logged, since = {}, now, run.step
            if now - saved > 60 * config.checkpoint_minutes:
                run.save()
                saved = now
    run.save()


def _check_same(config: TrainConfig, folder: Path) -> None:
    """A checkpoint goes on as it began; only `_CHANGEABLE` may be changed on the way.

    Raises:
        ValueError: Names what differs.
    """
    stored = folder / "config.json"
    if not (stored.is_file() and (folder / "checkpoint.pt").is_file()):
        return
    differing = differences(read_config(stored), config, _CHANGEABLE)
    if differing:
        changes = ", ".join(
            f"{key} was {json.dumps(before)} and is now {json.dumps(now)}" for key, (before, now) in differing.items()
        )
        msg = (
            f"{folder} has a run of another configuration: {changes}; give this run another --name, or delete that "
            "folder to start again"
        )
        raise ValueError(msg)


def _log(log: Any, run: Run, means: dict[str, float], speed: float) -> None:
    entry = {"step": run.step, "images_per_second": round(speed, 1), **{name: round(v, 5) for name, v in means.items()}}
    log.write(json.dumps(entry) + "\n")
    log.flush()
    logger.info("%s", entry)


def _tokenizer(config: TrainConfig, path: Path) -> PhraseTokenizer:
    if not path.is_file():
        tokenizer: Tokenizer = train_tokenizer(training_texts(config.data), config.vocabulary_size)
        with atomic_path(path) as part:  # its own `save` says what is wrong in an exception without a class
            part.write_bytes(tokenizer.to_str(pretty=True).encode())
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
    finally:
        leave_workers()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
