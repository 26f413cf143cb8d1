"""Turn a run's averaged weights into a model of the weights store.

python -m training.export --run runs/chest-xray --about training/models/chest-xray/about.json \\
    --out TextGuidedSegLib/data/models/chest-xray

`--mean-with RUN` takes the mean of two runs' weights, of which one began with the other (Wortsman et al., Model soups,
2022): it often does what each of them does, at the cost of one. `--mean-share` is the share of RUN in it.

`--mantissa-bits 7` rounds the numbers of all matrices and kernels to that many bits behind the point, of the ten that
float16 has. The file is no smaller, but packs a sixth smaller in archives and in the history of a repository.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from TextGuidedSegLib.config import from_json_dict, to_json_dict
from TextGuidedSegLib.errors import TextGuidedSegError
from TextGuidedSegLib.network import second_names
from TextGuidedSegLib.weights import (
    CARD_FILE,
    LICENSE_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    DecisionConfig,
    ModelCard,
    hashes,
    read_model,
    write_card,
)
from training.checkpoint import half_precision, load_checkpoint
from training.config import read_config

MANTISSA_BITS = 10
"""Bits behind the point of a float16."""


def export(
    run: Path,
    about: Path,
    out: Path,
    *,
    mean_with: Path | None = None,
    share: float = 0.5,
    mantissa_bits: int = MANTISSA_BITS,
) -> ModelCard:
    """Write a model folder.

    Args:
        run: Run folder with `config.json`, `tokenizer.json` and `checkpoint.pt`.
        about: JSON with what a configuration does not know: name, version, summary, terms, limits, and the numbers of
            `decision` that no calibration fixes. A file `LICENSE.txt` must lie beside it.
        out: Model folder; made if missing. Thresholds of a card that is there already are kept.
        mean_with: A run of the same network and tokenizer whose weights are averaged with those of `run`.
        share: Share of its weights in the mean, in (0, 1).
        mantissa_bits: Bits behind the point that the numbers of matrices and kernels keep, 1 to `MANTISSA_BITS`.

    Returns:
        The card that was written. A model that was there before is replaced as a whole or not at all.

    Raises:
        ValueError: A key of `about` or of the run's configuration is unknown or missing, `mean_with` has another
            network or tokenizer, `share` is no share, or `mantissa_bits` is out of range.
        OSError: A file is missing or cannot be written.
    """
    config, checkpoint = read_config(run / "config.json"), load_checkpoint(run / "checkpoint.pt")
    described = json.loads(about.read_text(encoding="utf-8"))
    decision = from_json_dict(DecisionConfig, described.get("decision", {}), where=f"{about}.decision")
    if (out / CARD_FILE).is_file():
        decision = read_model(out).card.decision
    trained: dict[str, object] = {"steps": checkpoint["step"], "seed": config.seed}
    weights: dict[str, Tensor] = checkpoint["average"]
    if mean_with is not None:
        trained["mean_with"] = {"run": mean_with.name, "share": share}
        weights = _mean(weights, _weights_like(run, mean_with), share)
    if mantissa_bits != MANTISSA_BITS:
        trained["mantissa_bits"] = mantissa_bits
    described |= {
        "figures": {"trained": trained},
        "network": to_json_dict(config.network),
        "preprocessing": to_json_dict(config.preprocessing),
        "decision": to_json_dict(decision),
    }
    data = save(_shipped(weights, mantissa_bits))  # not `save_file`, whose files only their owner may read
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".export-") as name:
        staged = Path(name)
        (staged / WEIGHTS_FILE).write_bytes(data)
        shutil.copyfile(run / "tokenizer.json", staged / TOKENIZER_FILE)
        shutil.copyfile(about.parent / LICENSE_FILE, staged / LICENSE_FILE)
        card = from_json_dict(ModelCard, described | {"sha256": dict(hashes(staged))}, where=str(about))
        write_card(staged, card)
        for file in (WEIGHTS_FILE, TOKENIZER_FILE, LICENSE_FILE, CARD_FILE):
            (staged / file).replace(out / file)
    return card


def rounded(tensor: Tensor, mantissa_bits: int) -> Tensor:
    """The nearest numbers with fewer bits behind the point: off by less than one part in `2 ** (mantissa_bits + 1)`.

    Args:
        tensor: Of any shape; whole numbers come back as they are.
        mantissa_bits: 1 to `MANTISSA_BITS`.

    Raises:
        ValueError: `mantissa_bits` is out of range.
    """
    if not 1 <= mantissa_bits <= MANTISSA_BITS:
        msg = f"the mantissa of float16 keeps 1 to {MANTISSA_BITS} bits, got {mantissa_bits}"
        raise ValueError(msg)
    if not tensor.is_floating_point():
        return tensor
    mantissa, exponent = torch.frexp(tensor)  # mantissa in [0.5, 1): its first bit is the one that float16 omits
    steps = 2.0 ** (mantissa_bits + 1)
    return torch.ldexp((mantissa * steps).round() / steps, exponent)


def _weights_like(run: Path, other: Path) -> dict[str, Tensor]:
    """Averaged weights of a run that can be averaged with those of `run`."""
    network, others = (read_config(each / "config.json").network for each in (run, other))
    words, other_words = ((each / "tokenizer.json").read_bytes() for each in (run, other))
    if network != others or words != other_words:
        what = "network" if network != others else "tokenizer"
        msg = f"{other} has another {what} than {run}: the mean of their weights means nothing; name another run"
        raise ValueError(msg)
    weights: dict[str, Tensor] = load_checkpoint(other / "checkpoint.pt")["average"]
    return weights


def _mean(state: dict[str, Tensor], other: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Mean of each tensor, once; counters, which are whole numbers, are those of the first run."""
    if not 0 < share < 1:
        msg = f"the share of the other run must lie between 0 and 1, got {share}"
        raise ValueError(msg)
    repeated = second_names(state)  # the means of one tensor under two names would be two tensors
    return {
        name: torch.lerp(tensor, other[name], share) if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
        if name not in repeated
    }


def _shipped(state: dict[str, Tensor], mantissa_bits: int) -> dict[str, Tensor]:
    """Each tensor once, in half precision; vectors, which are few numbers and scale many, keep all bits of it."""
    repeated = second_names(state)
    return half_precision(
        {
            name: rounded(tensor, mantissa_bits) if tensor.ndim > 1 else tensor
            for name, tensor in state.items()
            if name not in repeated
        }
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m training.export", description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, type=Path)
    parser.add_argument("--mean-with", type=Path, metavar="RUN")
    parser.add_argument("--mean-share", type=float, default=0.5, metavar="SHARE")
    parser.add_argument("--mantissa-bits", type=int, default=MANTISSA_BITS, metavar="BITS")
    parser.add_argument("--about", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args(arguments)
    try:
        card = export(
            options.run,
            options.about,
            options.out,
            mean_with=options.mean_with,
            share=options.mean_share,
            mantissa_bits=options.mantissa_bits,
        )
    except (TextGuidedSegError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{card.name} {card.version} written to {options.out}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
