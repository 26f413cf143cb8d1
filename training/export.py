"""Turn a run's averaged weights into a model of the weights store.

python -m training.export --run runs/chest-xray --about training/models/chest-xray/about.json \\
    --out TextGuidedSegLib/data/models/chest-xray
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file

from TextGuidedSegLib.config import from_json_dict, to_json_dict
from TextGuidedSegLib.export import atomic_path
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
from training.config import TrainConfig, read_config


def export(run: Path, about: Path, out: Path) -> ModelCard:
    """Write a model folder.

    Args:
        run: Run folder with `config.json`, `tokenizer.json` and `checkpoint.pt`.
        about: JSON with what a configuration does not know: name, version, summary, terms, limits. A file `LICENSE.txt`
            must lie beside it.
        out: Model folder; made if missing. Thresholds of a card that is there already are kept.

    Returns:
        The card that was written.

    Raises:
        ValueError: A file is missing or a key unknown.
    """
    config: TrainConfig = read_config(run / "config.json")
    checkpoint = load_checkpoint(run / "checkpoint.pt")
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / WEIGHTS_FILE) as part:
        save_file(half_precision(checkpoint["average"]), part)
    shutil.copyfile(run / "tokenizer.json", out / TOKENIZER_FILE)
    shutil.copyfile(about.parent / LICENSE_FILE, out / LICENSE_FILE)
    decision = read_model(out).card.decision if (out / CARD_FILE).is_file() else DecisionConfig()
    values = json.loads(about.read_text(encoding="utf-8"))
    values["figures"] = {"trained": {"steps": checkpoint["step"], "seed": config.seed}}
    card = from_json_dict(
        ModelCard,
        values
        | {
            "network": to_json_dict(config.network),
            "preprocessing": to_json_dict(config.preprocessing),
            "decision": to_json_dict(decision),
            "sha256": dict(hashes(out)),
        },
        where=str(about),
    )
    write_card(out, card)
    return card


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m training.export", description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, type=Path)
    parser.add_argument("--about", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args(arguments)
    try:
        card = export(options.run, options.about, options.out)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{card.name} {card.version} written to {options.out}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
