"""How long volumes take and how much memory, by size: voxels per second, peak, wait for a cancel; JSON and a plot.

    python -m Testing.benchmarks.volumes --out volumes.json --plot volumes.png                # small sizes, minutes
    python -m Testing.benchmarks.volumes --shapes 512x512x600 --memory-gb 6 --out large.json  # a quarter of an hour

Each size runs in a process of its own, so that the peak of its memory is its own. Without `--model` the model
mr-structures is taken, and where that is not installed an untrained network of its configuration: the numbers of its
weights change no figure here. `--filters` makes that network smaller, to see what everything else costs. The volumes
are synthetic heads with voxels of `--spacing` mm. Seconds of the CPU, summed over threads, are told beside those of the
clock, which other programs slow down.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from TextGuidedSegLib.image import Image
from TextGuidedSegLib.phantom_volume import head_volume
from TextGuidedSegLib.weights import find_model, list_models

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("96x96x96", "128x128x128", "160x160x160", "192x192x192")
SHIPPED, RECIPE = "mr-structures", ROOT / "training" / "models" / "mr-structures" / "train.json"
# Details of the phantom are no finer than this; more voxels repeat them.
_FINEST = 128

Shape = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Case:
    """One run.

    Attributes:
        shape: `(I, J, K)` of the volume.
        spacing_mm: Size of its voxels along each axis.
        model: Model folder or name.
        phrase: What is asked for.
    """

    shape: Shape
    spacing_mm: float
    model: str
    phrase: str


def phantom(shape: Sequence[int], spacing_mm: float) -> Image:
    """A head that fills the volume, int16 as scanned; made without holding more than the volume itself."""
    small = [min(size, _FINEST) for size in shape]
    drawn = head_volume(spacing_mm=[160 / small[0], 200 / small[1], 170 / small[2]]).array.astype(np.int16)
    places = [np.arange(size) * one // size for size, one in zip(shape, drawn.shape, strict=True)]
    array = np.empty(tuple(shape), dtype=np.int16)
    for index, row in enumerate(places[0]):
        array[index] = drawn[row][np.ix_(places[1], places[2])]
    return Image.from_array(array, np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0]), "MR")


def measured(case: Case) -> dict[str, Any]:
    """Figures of one run in this process."""
    from TextGuidedSegLib.inference import Segmenter

    image = phantom(case.shape, case.spacing_mm)
    segmenter = Segmenter(case.model, device="cpu")
    asked, told = [], []

    def is_cancelled() -> bool:
        asked.append(time.perf_counter())
        return False

    started, started_cpu = time.perf_counter(), time.process_time()
    segmenter.set_image(image)
    prepared = time.perf_counter()
    result = segmenter.segment(
        case.phrase, is_cancelled=is_cancelled, progress=lambda share, stage: told.append((share, stage))
    )
    ended, cpu_seconds = time.perf_counter(), time.process_time() - started_cpu
    assert result.plan is not None
    voxels, seconds = math.prod(result.plan.shape), ended - started
    return {
        "shape": list(case.shape),
        "network_shape": list(result.plan.shape),
        "voxels": voxels,
        "seconds": round(seconds, 3),
        "voxels_per_second": round(voxels / seconds),
        "cpu_seconds": round(cpu_seconds, 3),
        "voxels_per_cpu_second": round(voxels / cpu_seconds),
        "prepare_seconds": round(prepared - started, 3),
        "plan": result.plan.to_dict(),
        "read_per_voxel": round(result.plan.count * math.prod(result.plan.window) / voxels, 3),
        "mirror_average": segmenter.card.decision.mirror_average,
        "peak_bytes": _peak_bytes(),
        "image_bytes": image.array.nbytes,
        "result_bytes": sum(one.nbytes for one in (result.mask, result.probability, result.pseudo_image)),
        "progress_events": len(told),
        "progress_grows": [share for share, _ in told] == sorted(share for share, _ in told),
        "longest_wait_for_cancel_s": round(max(np.diff([started, *asked, ended])), 3),
    }


def fit(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Seconds of the CPU as a line over the voxels, and the power of the voxels they grow with (1: linear)."""
    voxels, seconds = (np.array([row[name] for row in rows], dtype=float) for name in ("voxels", "cpu_seconds"))
    slope, offset = np.polyfit(voxels, seconds, 1)
    power = np.polyfit(np.log(voxels), np.log(seconds), 1)[0]
    residual, spread = seconds - slope * voxels - offset, seconds - seconds.mean()
    return {
        "seconds_per_million_voxels": round(1e6 * float(slope), 4),
        "seconds_at_zero": round(float(offset), 3),
        "power": round(float(power), 3),
        "r_squared": round(1 - float((residual**2).sum() / (spread**2).sum()), 4),
    }


def draw(report: dict[str, Any], path: Path) -> None:
    """Seconds and memory over the voxels."""
    from matplotlib.figure import Figure

    rows = report["rows"]
    millions = np.array([row["voxels"] for row in rows]) / 1e6
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    time_axes, memory_axes = figure.subplots(1, 2)
    time_axes.plot(millions, [row["cpu_seconds"] for row in rows], "o", label="measured")
    if "fit" in report:
        line = report["fit"]["seconds_at_zero"] + report["fit"]["seconds_per_million_voxels"] * millions
        time_axes.plot(millions, line, "-", label=f"line, R² = {report['fit']['r_squared']:.3f}")
    memory_axes.plot(millions, [row["peak_bytes"] / 1e9 for row in rows], "o-", label="peak of the process")
    own = [(row["image_bytes"] + row["result_bytes"]) / 1e9 for row in rows]
    memory_axes.plot(millions, own, "s--", label="image and results")
    for axes, unit in ((time_axes, "seconds of the CPU"), (memory_axes, "GB")):
        axes.set(xlabel="million voxels on the network's grid", ylabel=unit, xlim=(0, None), ylim=(0, None))
        axes.legend()
    time_axes.set_title(f"{report['network']}, {report['threads']} thread(s)", fontsize=9)
    figure.savefig(path, dpi=120)


def untrained_model(folder: Path, filters: Sequence[int] = ()) -> Path:
    """A model folder of the shipped configuration with random weights.

    Args:
        folder: Where to; must not exist.
        filters: Channels of each level in the place of the configuration's own.
    """
    from Testing.lib import tiny
    from training.config import read_config

    config = read_config(RECIPE)
    network = config.network
    if filters:
        network = dataclasses.replace(network, backbone=dataclasses.replace(network.backbone, filters=tuple(filters)))
        if network.alignment is not None:  # as in the recipe, the two deepest levels
            levels = (len(filters) - 2, len(filters) - 1)
            network = dataclasses.replace(network, alignment=dataclasses.replace(network.alignment, levels=levels))
    return tiny.write_model(
        folder, tiny.network(network), kinds=("volume",), modalities=("MR",), preprocessing=config.preprocessing
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, tell."""
    options = _parser().parse_args(arguments)
    if options.case:
        values = json.loads(options.case)
        sys.stdout.write(json.dumps(measured(Case(**values | {"shape": tuple(values["shape"])}))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        model, network = _chosen(options, Path(folder))
        rows = []
        for shape in options.shapes:
            case = Case(_shape(shape), options.spacing, model, options.phrase)
            rows.append(_in_own_process(case, options))
            _tell(rows[-1])
    report = {"network": network, "threads": options.threads, "spacing_mm": options.spacing, "rows": rows}
    if len(rows) > 1:
        report["fit"] = fit(rows)
        sys.stdout.write(f"{json.dumps(report['fit'])}\n")
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if options.plot:
        draw(report, options.plot)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Time and memory of volumes by their size.")
    parser.add_argument("--shapes", nargs="+", default=list(SMALL), metavar="IxJxK")
    parser.add_argument("--spacing", type=float, default=1.0, help="mm, of the volume's voxels (default: %(default)s)")
    parser.add_argument("--model", help="model name or folder")
    parser.add_argument("--filters", nargs="+", type=int, default=(), help="of an untrained network")
    # Not the hippocampus, for which the shipped model asks for a region: the cost of a volume is that of any phrase.
    parser.add_argument("--phrase", default="myocardium")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU (default: %(default)s)")
    parser.add_argument("--memory-gb", type=float, help="end a run that takes more memory")
    parser.add_argument("--out", type=Path, metavar="X.json")
    parser.add_argument("--plot", type=Path, metavar="X.png")
    parser.add_argument("--case", help=argparse.SUPPRESS)  # a run in a process of its own
    return parser


def _chosen(options: argparse.Namespace, folder: Path) -> tuple[str, str]:
    """Model to load, and how it is called in the report."""
    installed = {model.card.name for model in list_models()}
    if options.model or (SHIPPED in installed and not options.filters):
        found = find_model(options.model or SHIPPED)
        return str(found.folder), found.card.name
    model, sizes = untrained_model(folder / "untrained", options.filters), "-".join(map(str, options.filters))
    return str(model), f"untrained, as {RECIPE.parent.name}{f' with filters {sizes}' if sizes else ''}"


def _shape(text: str) -> Shape:
    found = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text)
    if not found:
        msg = f"a shape is written IxJxK, for example 512x512x600, got {text!r}"
        raise ValueError(msg)
    first, second, third = map(int, found.groups())
    return first, second, third


def _in_own_process(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "Testing.benchmarks.volumes", "--case", json.dumps(dataclasses.asdict(case))]
    limited: Callable[[], None] | None = None
    if options.memory_gb:
        import resource

        # Of the heap: what is mapped from files of the libraries is no memory that a run takes.
        most = int(options.memory_gb * 1e9)

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))

    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": str(options.threads)}, stdout=subprocess.PIPE,
        check=True, text=True, preexec_fn=limited,
    )  # fmt: skip
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def _tell(row: dict[str, Any]) -> None:
    shape = " x ".join(map(str, row["shape"]))
    sys.stdout.write(
        f"{shape}: {row['seconds']:.1f} s ({row['cpu_seconds']:.1f} s CPU), {row['voxels_per_second']:,} voxels/s "
        f"({row['voxels_per_cpu_second']:,} per CPU second), peak {row['peak_bytes'] / 1e9:.2f} GB, "
        f"{row['plan']['count']} windows, cancel within {row['longest_wait_for_cancel_s']:.2f} s\n"
    )
    sys.stdout.flush()


def _peak_bytes() -> int:
    """Most memory that this process has held so far; of the system's own count, which a parent's peak is not in."""
    status = Path("/proc/self/status")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
    return 1024 * int(found[1]) if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
