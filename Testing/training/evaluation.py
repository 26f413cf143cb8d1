"""The evaluation command, run in a folder of its own."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

from training.evaluate import main


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One model on one index; reports go to `folder`."""

    model: Path
    index: Path
    folder: Path

    def arguments(self, *more: str, split: str = "dev") -> list[str]:
        """The command line."""
        options = {"--weights": self.model, "--data": self.index, "--split": split, "--device": "cpu"}
        pairs = [str(part) for pair in options.items() for part in pair]
        return [*pairs, "--out", str(self.folder / "report.json"), *more]

    def report(self, *more: str, split: str = "dev") -> dict[str, Any]:
        """The JSON that the command writes."""
        assert main(self.arguments(*more, split=split)) == 0
        return json.loads((self.folder / "report.json").read_text(encoding="utf-8"))

    def cases(self, *more: str) -> list[dict[str, str]]:
        """The lines that it writes for each case."""
        self.report("--cases", str(self.folder / "cases.csv"), *more)
        with (self.folder / "cases.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
