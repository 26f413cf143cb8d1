"""How long a phrase takes to be understood: every phrase of the table of expected parses.

    python -m Testing.benchmarks.phrases           # some ten seconds; --json for a program

Of each phrase the shortest of several times of the processor counts, which other programs lengthen least.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from pathlib import Path

import numpy as np

from TextGuidedSegLib.phrase import parse

TABLE = Path(__file__).resolve().parents[1] / "lib" / "phrases.csv"


def milliseconds(text: str, repeats: int) -> float:
    """Time of the processor for one phrase, the shortest of several."""
    spent = []
    for _ in range(repeats):
        started = time.process_time()
        parse(text)
        spent.append(time.process_time() - started)
    return 1000 * min(spent)


def measure(repeats: int) -> dict[str, float | int | str]:
    """Times over the table, in milliseconds."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        phrases = [row["phrase"] for row in csv.DictReader(file)]
    parse(phrases[0])  # the vocabulary is read once
    spent = np.array([milliseconds(text, repeats) for text in phrases])
    return {
        "phrases": len(phrases),
        "median_ms": round(float(np.median(spent)), 3),
        "percentile_99_ms": round(float(np.percentile(spent, 99)), 3),
        "longest_ms": round(float(spent.max()), 3),
        "longest": phrases[int(spent.argmax())],
    }


def main() -> None:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=10, help="times each phrase is parsed")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    figures = measure(options.repeats)
    lines = (f"{name}: {value}" for name, value in figures.items())
    sys.stdout.write((json.dumps(figures) if options.json else "\n".join(lines)) + "\n")


if __name__ == "__main__":
    main()
