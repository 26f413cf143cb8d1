"""Learning curves of runs as one picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from TextGuidedSegLib.export import atomic_path

Curve = tuple[list[int], list[float]]


def read_curve(run: Path, part: str = "dice") -> Curve:
    """Steps and one part of the loss from a run's log; a step that was logged twice, after a resume, counts once."""
    path = run / "log.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    values = {entry["step"]: entry[part] for entry in map(json.loads, lines) if part in entry}
    return sorted(values), [values[step] for step in sorted(values)]


def draw_curves(path: Path, curves: Mapping[str, Sequence[Curve]], label: str) -> bool:
    """Draw curves, one color a name and one line a seed.

    Args:
        path: PNG to write.
        curves: Name to the curves of its seeds.
        label: What is drawn.

    Returns:
        Whether there was anything to draw; if not, nothing is written.
    """
    if not any(steps for seeds in curves.values() for steps, _ in seeds):
        return False
    from matplotlib.figure import Figure  # here, because only pages with pictures need it

    figure = Figure(figsize=(7, 4), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for number, (name, seeds) in enumerate(curves.items()):
        for index, (steps, values) in enumerate(seeds):
            axes.plot(steps, values, color=f"C{number % 10}", linewidth=1.2, label=name if index == 0 else None)
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    with atomic_path(path) as part:
        figure.savefig(part, metadata={"Software": None})
    return True
