"""Which of the three methods a network has, by one name: `python -m training.train --preset combined`.

A preset only switches parts on or off; sizes that a configuration gives for a part stay as they are.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

from TextGuidedSegLib.config import (
    ContrastiveAlignmentConfig,
    NetworkConfig,
    PseudoImageConfig,
    SymmetricAlignmentConfig,
)

_PARTS = {
    "pseudo_image": PseudoImageConfig(),
    "alignment": SymmetricAlignmentConfig(),
    "contrast": ContrastiveAlignmentConfig(),
}
PRESETS: dict[str, frozenset[str]] = {
    "no-text": frozenset(),
    "early-fusion": frozenset({"pseudo_image"}),
    "ssa": frozenset({"alignment"}),
    "tmca": frozenset({"contrast"}),
    "combined": frozenset(_PARTS),
}
"""Name to the parts of `NetworkConfig` that are there; all others are None."""


def apply_preset(config: NetworkConfig, name: str) -> NetworkConfig:
    """The network with exactly the parts that a preset names.

    Args:
        config: Sizes; a part that the preset names and this lacks gets its default sizes.
        name: A key of `PRESETS`.

    Raises:
        ValueError: There is no such preset; the nearest one is named.
    """
    if name not in PRESETS:
        nearest = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.0)[0]
        msg = f"there is no preset {name!r}; did you mean {nearest!r}? Presets: {', '.join(PRESETS)}"
        raise ValueError(msg)
    parts: dict[str, Any] = {
        part: (getattr(config, part) or default) if part in PRESETS[name] else None for part, default in _PARTS.items()
    }
    return dataclasses.replace(config, **parts)
