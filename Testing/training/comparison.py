"""A comparison of three networks and a prior on the tiny data set, in a folder of its own."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from Testing.training.tiny import tiny_config
from TextGuidedSegLib.config import to_json_dict
from training.comparison.cell import Cell, cells
from training.comparison.grid import read_grid


@dataclasses.dataclass
class Comparison:
    """One comparison in a folder of its own."""

    folder: Path
    grid: dict[str, Any]

    def command(self, *more: str) -> list[str]:
        """The command line; writes the grid as it now is."""
        path = self.folder / "grid.json"
        path.write_text(json.dumps(self.grid), encoding="utf-8")
        places = {"--grid": path, "--out": self.folder / "out", "--runs": self.folder / "runs", "--page": self.page}
        return [str(word) for pair in places.items() for word in pair] + list(more)

    @property
    def page(self) -> Path:
        return self.folder / "RESULTS.md"

    def text(self) -> str:
        """The page but for the command, which names folders."""
        lines = self.page.read_text(encoding="utf-8").splitlines()
        return "\n".join(line for line in lines if not line.startswith("Made by"))

    def cells(self) -> list[Cell]:
        self.command()
        return cells(read_grid(self.folder / "grid.json"), self.folder / "runs", self.folder / "out")

    def files(self) -> dict[Path, int]:
        """Every file with the time of its last change, but for grid and page."""
        kept = (path for path in self.folder.rglob("*") if path.is_file() and path.parent != self.folder)
        return {path.relative_to(self.folder): path.stat().st_mtime_ns for path in kept}

    def copy(self, folder: Path) -> Comparison:
        shutil.copytree(self.folder, folder)
        return Comparison(folder, json.loads(json.dumps(self.grid)))


def tiny_grid(infection: Path, structures: Path) -> dict[str, Any]:
    base = to_json_dict(tiny_config(infection, structures, steps=2, batch_size=2, warmup_steps=1))
    base["data"] |= {"infection_share": 1.0, "structures_share": 0.0, "phantoms": 0}
    where = {"index": str(infection), "split": "dev"}
    rows = [
        {"name": "no-text", "preset": "no-text", "seeds": [0, 1]},
        {"name": "early-fusion", "preset": "early-fusion", "conditions": ["original", "none", "count_removed"]},
        {
            "name": "shuffled", "preset": "early-fusion", "against": ["early-fusion"],
            "overrides": {"data.shuffle_captions": True, "network.text.kind": "table"},
        },
        {"name": "prior", "baseline": "zone-prior"},
    ]  # fmt: skip
    sets = [{"name": "dev films", **where, "conditions": ["original", "none", "count_removed"], "strata": True}]
    sections = [{"title": "Methods", "rows": [row["name"] for row in rows], "text": "All of them.", "curves": True}]
    return {
        "title": "Tiny", "about": "Two steps say nothing.", "base": base, "tuning": {"name": "dev", **where},
        "sets": sets, "rows": rows, "sections": sections, "against": ["no-text"], "mirror_average": False,
    }  # fmt: skip


def prepared(folder: Path, grid: dict[str, Any], tokenizer: Path) -> Comparison:
    """A comparison whose runs need not wait for a tokenizer."""
    folder.mkdir()
    made = Comparison(folder, grid)
    for cell in made.cells():
        cell.run.mkdir(parents=True)
        shutil.copy(tokenizer, cell.run)
    return made
