"""Cases of a worklist without a panel: files, a list over them, segments drawn, accepted and exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK

from TextGuidedSegLib.export import write_image
from TextGuidedSegLib.geometry import Geometry
from TextGuidedSegLib.phantom import chest_film
from training.datasets.index import Row, read_index


class Host:
    """A panel in which nothing runs."""

    isBusy = False  # noqa: N815 - the panel's name

    def show(self, *_what: Any) -> None:
        """Nothing to see."""

    def run(self) -> None:
        """Whatever is segmented, the test draws it."""

    def clear(self) -> None:
        """Nothing was said."""

    def cancel(self) -> None:
        """Nothing runs."""

    def edit(self, *_what: Any) -> None:
        """Nobody draws."""


def open_list(folder: Path, cases: Sequence[Any]) -> Any:
    """A list over cases whose images lie in a folder, as it would be opened again."""
    from TextGuidedSegPanel.worklist import Worklist
    from TextGuidedSegPanel.worklistFile import StateFile
    from TextGuidedSegPanel.worklistSession import WorklistSession

    store = StateFile(folder / "list.worklist.json")
    known = store.read()
    return WorklistSession(Worklist(cases, store, known), folder, store.path, Host())


def case(image: str, *texts: str, **columns: str) -> Any:
    """A case with phrases and further columns of the list."""
    from TextGuidedSegPanel.worklist import Case, CasePhrase

    return Case(image, tuple(CasePhrase(text, columns=columns) for text in texts))


def draw(session: Any, text: str, mask: np.ndarray) -> str:
    """A segment as the model would make it."""
    from TextGuidedSegPanel.provenance import provenanceFromTags
    from TextGuidedSegPanel.segments import addSegment

    provenance = provenanceFromTags({"TextGuidedSeg.Phrase": text, "TextGuidedSeg.Answer": "found"})
    return addSegment(mask, session.opened.volumeNode, session.opened.segmentationNode, provenance)


def accept(session: Any, index: int, **masks: np.ndarray) -> None:
    """Open a case, draw, accept; underscores in names stand for blanks."""
    session.open(index)
    assert session.worklist.cases[index].state != "failed", session.worklist.cases[index].sentence
    for text, mask in masks.items():
        draw(session, text.replace("_", " "), mask)
    session.accept()


def export(session: Any, kind: str, folder: Path) -> Path:
    """Run an export to its end."""
    from TextGuidedSegPanel.worklistExport import IndexWriter, NnunetWriter
    from TextGuidedSegPanel.worklistExportRun import ExportRun

    writer = {"index": IndexWriter, "nnunet": NnunetWriter}[kind](folder, session.labels)
    run = ExportRun(session, writer)
    while (finished := run.step()) is None:
        pass
    assert not run.isRunning
    assert run.skipped == []
    return finished


def write_film(path: Path, *, size: tuple[int, int] = (72, 66)) -> tuple[int, int, int]:
    """A film as a picture or an NRRD; its grid."""
    array = chest_film(size=size).array.astype(np.uint8)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))
    return size[1], size[0], 1


def write_volume(path: Path, affine: np.ndarray, shape: tuple[int, int, int] = (20, 18, 12)) -> None:
    """A volume of noise on an oblique grid."""
    write_image(path, np.random.default_rng(0).normal(size=shape).astype(np.float32), Geometry(shape, affine))


def by_text(folder: Path) -> dict[str, Row]:
    """The rows of an index, as training reads it, by their text."""
    return {row.columns["text"]: row for row in read_index(folder / "index.csv")}


def random_mask(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """A mask that no turn or shift leaves as it is."""
    return (np.random.default_rng(seed).random(shape) < 0.3).astype(np.uint8)
