"""The `textguidedseg` command: segment, parse, models, info.

Exit codes: 0 answered (all six answers are normal endings), 2 bad input (one line on stderr), 3 could not run,
130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from TextGuidedSegLib import __version__
from TextGuidedSegLib.errors import Cancelled, DeviceError, TextGuidedSegError

if TYPE_CHECKING:
    from TextGuidedSegLib.image import Image
    from TextGuidedSegLib.inference import Result
    from TextGuidedSegLib.phrase import Phrase
    from TextGuidedSegLib.region import Region
    from TextGuidedSegLib.weights import Model

EXIT_ANSWERED, EXIT_BAD_INPUT, EXIT_COULD_NOT_RUN, EXIT_INTERRUPTED = 0, 2, 3, 130
RESEARCH_ONLY = "Research use only, not a medical device."
# Kinds of `Phrase.chips` that have a line of their own, in the words of the panel; the others are what was understood.
_CHIP_LINES = {"corrected": "read as", "expanded": "meaning", "unknown": "not known"}
_OUTPUTS = ("out", "pseudo", "probability", "uncertainty", "overlay", "film")

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        options = _parser().parse_args([_plain(word) for word in (sys.argv[1:] if arguments is None else arguments)])
        command: Callable[[argparse.Namespace], int] = options.command
        with _ends_when_asked():
            code = command(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # who read it (head, less) has enough; what is left must not fail again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ANSWERED
    except (KeyboardInterrupt, Cancelled):
        return _complain("interrupted", EXIT_INTERRUPTED)
    except DeviceError as error:
        return _complain(str(error), EXIT_COULD_NOT_RUN)
    except (TextGuidedSegError, ValueError) as error:
        return _complain(str(error), EXIT_BAD_INPUT)
    except Exception as error:  # the outer border: a fault of ours still ends in one line and an exit code
        logger.debug("unexpected failure", exc_info=True)
        return _complain(f"could not run: {type(error).__name__}: {error}", EXIT_COULD_NOT_RUN)


@contextlib.contextmanager
def _ends_when_asked() -> Iterator[None]:
    """`kill`, or a cluster that takes its machine back, ends the command like Ctrl-C: nothing half-written stays."""
    if threading.current_thread() is not threading.main_thread():  # only that one may say what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _plain(word: str) -> str:
    """*-3e1* and *-35.* as *-30.000000* and *-35.000000*: argparse takes other negative numbers for options."""
    try:
        number = float(word) if word.startswith("-") else math.inf
    except ValueError:
        return word
    return f"{number:f}" if math.isfinite(number) else word


def _threshold(word: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(word) < 1:
            return float(word)
    msg = f"a threshold is a number between 0 and 1, got {word!r}"
    raise argparse.ArgumentTypeError(msg)


class _OneLineParser(argparse.ArgumentParser):
    """Complains in one line, like everything else here, instead of printing its usage too."""

    def error(self, message: str) -> NoReturn:
        msg = f"{message}; see {self.prog} --help"
        raise ValueError(msg)


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(
        prog="textguidedseg", description=f"Text-guided segmentation of medical images. {RESEARCH_ONLY}"
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    segment = commands.add_parser("segment", help="segment what a phrase names on an image")
    segment.add_argument("image", metavar="IMAGE", help="DICOM file or folder, NRRD, NIfTI, MHA, PNG, JPEG")
    segment.add_argument("phrase", metavar="PHRASE", help='for example "left lower lung opacity"')
    segment.add_argument("--model", help="model name or folder (default: the one that is for such images)")
    segment.add_argument("--out", metavar="X.seg.nrrd", help="write the segmentation")
    segment.add_argument("--pseudo", metavar="X.nrrd", help="write the pseudo-image: where the words point")
    segment.add_argument("--probability", metavar="X.nrrd", help="write the probability of every voxel")
    segment.add_argument("--uncertainty", metavar="X.nrrd", help="write how unsure the mask is at every voxel")
    segment.add_argument("--overlay", metavar="X.png", help="write a picture with the result")
    segment.add_argument("--film", metavar="X.nrrd", help="write the image itself on the grid of the other files")
    segment.add_argument(
        "--threshold", type=_threshold, metavar="T", help="probability from which a voxel belongs to it"
    )
    corners = ("R0", "A0", "S0", "R1", "A1", "S1")
    segment.add_argument(
        "--region", nargs=6, type=float, metavar=corners, help="look at a box only: two corners in RAS mm"
    )
    segment.add_argument("--slices", action="store_true", help="let a model of films read a volume slice by slice")
    segment.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    segment.add_argument("--json", action="store_true", help="print a JSON summary")
    segment.set_defaults(command=_segment)
    parse = commands.add_parser("parse", help="show what is understood of a phrase")
    parse.add_argument("phrase", metavar="PHRASE")
    parse.add_argument("--json", action="store_true")
    parse.set_defaults(command=_parse)
    models = commands.add_parser("models", help="list the installed models with their terms")
    models.add_argument("--json", action="store_true")
    models.set_defaults(command=_models)
    info = commands.add_parser("info", help="versions and devices, for a bug report; no patient data")
    info.add_argument("--json", action="store_true")
    info.set_defaults(command=_info)
    return parser


def _segment(options: argparse.Namespace) -> int:
    from TextGuidedSegLib.io import read_image
    from TextGuidedSegLib.phrase import parse
    from TextGuidedSegLib.region import Region

    # Everything cheap that can be wrong is checked before torch is loaded and before anything is written.
    targets = _checked_outputs(options)
    phrase = parse(options.phrase)
    region = None if options.region is None else Region.ras_mm(options.region[:3], options.region[3:])
    model = _named_model(options)
    image = read_image(options.image)
    model, reason = _chosen_model(image, region) if model is None else (model, None)
    from TextGuidedSegLib.inference import Segmenter

    segmenter = Segmenter(model, device=options.device)
    segmenter.set_image(image, region, slices=options.slices)
    result = segmenter.segment(phrase, threshold=options.threshold)
    _write_outputs(targets, image, result, name=phrase.text.strip())
    summary = {
        "answer": result.answer,
        "phrase": phrase.text,
        "image": str(options.image),
        "model": result.model,
        "model_chosen_because": reason,
        "presence": round(result.presence, 4),
        "warnings": list(result.warnings),
        "voxels": result.voxels,
        "centroid_ras_mm": result.centroid_ras_mm,
        "spacing_known": image.spacing_known,
        "seconds": round(result.seconds, 3),
        "outputs": {name: str(path) for name, path in targets.items()},
        "threshold": result.threshold,
        "device": result.device,
        "windows": None if result.plan is None else result.plan.to_dict(),
        "parsed": phrase.to_dict(),
        "weights_sha256": result.weights_sha256,
        "weights_license": model.card.license,
        "version": __version__,
        "notice": RESEARCH_ONLY,
    }
    _print(summary if options.json else _sentences(summary, phrase))
    return EXIT_ANSWERED


def _named_model(options: argparse.Namespace) -> Model | None:
    from TextGuidedSegLib.weights import find_model, verify

    if options.model is None:
        if options.slices:
            message = "--slices needs --model NAME: only you know which model of films can read slices of this volume"
            raise ValueError(message)
        return None
    model = find_model(options.model)
    verify(model)
    return model


def _chosen_model(image: Image, region: Region | None) -> tuple[Model, str]:
    """The model for what is to be looked at, and why; the segmenter verifies it."""
    from TextGuidedSegLib.fit import choose_model, recognized
    from TextGuidedSegLib.region import cropped

    return choose_model(image if region is None else cropped(recognized(image), region.bounds(image.geometry)))


def _checked_outputs(options: argparse.Namespace) -> dict[str, Path]:
    from TextGuidedSegLib.export import IMAGE_SUFFIXES, PICTURE_SUFFIXES, SEGMENTATION_SUFFIXES, check_output

    suffixes = {"out": SEGMENTATION_SUFFIXES, "overlay": PICTURE_SUFFIXES}
    given = {name: getattr(options, name) for name in _OUTPUTS if getattr(options, name) is not None}
    targets = {name: check_output(path, suffixes.get(name, IMAGE_SUFFIXES)) for name, path in given.items()}
    if len(set(targets.values())) < len(targets):
        message = f"two outputs name the same file: {', '.join(str(path) for path in targets.values())}"
        raise ValueError(message)
    if Path(options.image).resolve() in targets.values():
        message = f"{options.image} is both the image and an output; choose another name for the output"
        raise ValueError(message)
    return targets


def _write_outputs(targets: dict[str, Path], image: Image, result: Result, *, name: str) -> None:
    from TextGuidedSegLib.export import atomic_path, write_image, write_segmentation
    from TextGuidedSegLib.overlay import display_planes, write_overlay_png
    from TextGuidedSegLib.provenance import provenance_tags

    tags = provenance_tags(result)
    with contextlib.ExitStack() as stack:
        # All files are complete before the first is put in place, so a failure leaves every old file as it was.
        parts = {key: stack.enter_context(atomic_path(path)) for key, path in targets.items()}
        if "out" in parts:
            write_segmentation(parts["out"], result.mask, result.geometry, name=name, tags=tags)
        if "pseudo" in parts:
            write_image(parts["pseudo"], result.pseudo_image, result.geometry, metadata=tags)
        if "probability" in parts:
            write_image(parts["probability"], result.probability, result.geometry, metadata=tags)
        if "uncertainty" in parts:
            write_image(parts["uncertainty"], result.uncertainty, result.geometry, metadata=tags)
        if "film" in parts:
            write_image(parts["film"], image.array, result.geometry)
        if "overlay" in parts:
            write_overlay_png(parts["overlay"], *display_planes(image, result.mask, result.pseudo_image))


def _sentences(summary: dict[str, Any], phrase: Phrase) -> str:
    lines = [f"{summary['answer'].replace('_', ' ')}: {summary['phrase']} ({summary['voxels']} voxels, "
             f"presence {summary['presence']:.2f}, model {summary['model']})"]  # fmt: skip
    lines += _understood(phrase)
    lines += [f"model: {summary['model_chosen_because']}"] if summary["model_chosen_because"] else []
    lines += [f"note: {warning}" for warning in summary["warnings"]]
    lines += [f"{name}: {path}" for name, path in summary["outputs"].items()]
    return "\n".join([*lines, f"{RESEARCH_ONLY} Weights: {summary['weights_license']}."])


def _understood(phrase: Phrase) -> list[str]:
    chips = phrase.chips()
    understood = ", ".join(word for kind, word in chips if kind not in _CHIP_LINES)
    told = {kind: ", ".join(word for one, word in chips if one == kind) for kind in _CHIP_LINES}
    lines = [f"{label}: {told[kind]}" for kind, label in _CHIP_LINES.items() if told[kind]]
    return [f"understood: {understood or 'nothing'}", *lines]


def _parse(options: argparse.Namespace) -> int:
    from TextGuidedSegLib.phrase import parse

    phrase = parse(options.phrase)
    lines = [f"{kind}: {word}" for kind, word in phrase.chips()] or ["nothing understood"]
    lines += [f"note: {doubt}" for doubt in phrase.doubts]
    _print(phrase.to_dict() if options.json else "\n".join(lines))
    return EXIT_ANSWERED


def _models(options: argparse.Namespace) -> int:
    from TextGuidedSegLib.weights import readable_models

    found, problems = readable_models()
    for problem in problems:
        _complain(str(problem), EXIT_ANSWERED)
    rows = [
        {
            "name": model.card.name,
            "version": model.card.version,
            "summary": model.card.summary,
            "kinds": list(model.card.kinds),
            "phrases": list(model.card.phrases),
            "license": model.card.license,
            "size_mb": round(model.size_bytes / 1e6, 1),
            "folder": str(model.folder),
        }
        for _, model in sorted(found.items())
    ]
    text = "\n".join(f"{row['name']} {row['version']} ({row['size_mb']} MB): {row['summary']}\n"
                     f"    license of the weights: {row['license']}" for row in rows)  # fmt: skip
    _print({"models": rows} if options.json else f"{text}\n{RESEARCH_ONLY}")
    return EXIT_ANSWERED


def _info(options: argparse.Namespace) -> int:
    import torch

    from TextGuidedSegLib.language.vocabulary import default_vocabulary_sources
    from TextGuidedSegLib.weights import model_folders

    vocabulary = default_vocabulary_sources()
    packages = ("torch", "monai", "transformers", "tokenizers", "safetensors", "SimpleITK", "numpy", "scipy")
    facts: dict[str, Any] = {
        "textguidedseg": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: metadata.version(name) for name in packages},
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "model_folders": [str(folder) for folder in model_folders()],
        "vocabulary_files": [str(path) for path in vocabulary.files],
        "vocabulary_problem": vocabulary.problem,
        "notice": RESEARCH_ONLY,
    }
    _print(facts if options.json else "\n".join(f"{key}: {value}" for key, value in facts.items()))
    return EXIT_ANSWERED


def _print(value: dict[str, Any] | str) -> None:
    # A console may lack a character (arrows, accents); the work is done by now and must not end as a failure.
    encoding = sys.stdout.encoding or "utf-8"
    ascii_only = not encoding.lower().startswith("utf")
    text = json.dumps(value, indent=2, ensure_ascii=ascii_only) if isinstance(value, dict) else value
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def _complain(message: str, code: int) -> int:
    print(f"textguidedseg: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
