"""How a segment remembers where it came from: phrase, model, threshold, answer and corrections, as its tags.

The tags travel with `.seg.nrrd` files and saved scenes; `TextGuidedSegLib.tags` says how values are encoded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import vtk

from TextGuidedSegLib.provenance import PREFIX
from TextGuidedSegLib.tags import decode_tag, encode_tag


@dataclass(frozen=True)
class Provenance:
    """Where one segment came from.

    Attributes:
        phrase: What was typed.
        normalizedPhrase: What the text encoder saw.
        answer: "found", "not_found", "unsure", "not_understood", "contradictory" or "negated".
        presence: How sure the model is that the phrase's target is in the image, in [0, 1].
        threshold: Probability from which a voxel belongs to the segment, in [0, 1].
        model: Name of the model that answered.
        weightsSha256: Checksum of its weights file, hexadecimal.
        version: Version of the library.
        device: Device the model ran on.
        date: When, ISO 8601 with the offset from UTC.
        warnings: Sentences that were shown with the result.
        corrections: What was changed by hand since, in its order, each with its date; empty for the model's own result.
        region: Voxels the run was limited to, first and first outside along each array axis, as "10:50,0:64,0:1"; empty
            for the whole image.
    """

    phrase: str
    normalizedPhrase: str
    answer: str
    presence: float
    threshold: float
    model: str
    weightsSha256: str
    version: str
    device: str
    date: str
    warnings: tuple[str, ...] = ()
    corrections: tuple[str, ...] = ()
    region: str = ""


def provenanceFromTags(tags: Mapping[str, str]) -> Provenance:
    """Read the tags that `TextGuidedSegLib.provenance.provenance_tags` makes of a result.

    Args:
        tags: Tag name to plain text, not encoded.

    Returns:
        A number that is missing or damaged is NaN, other missing values are empty.
    """
    values = {name.removeprefix(PREFIX): value for name, value in tags.items()}
    return Provenance(
        phrase=values.get("Phrase", ""),
        normalizedPhrase=values.get("NormalizedPhrase", ""),
        answer=values.get("Answer", ""),
        presence=_number(values.get("Presence", "")),
        threshold=_number(values.get("Threshold", "")),
        model=values.get("Model", ""),
        weightsSha256=values.get("WeightsSha256", ""),
        version=values.get("Version", ""),
        device=values.get("Device", ""),
        date=values.get("Date", ""),
        warnings=_sentences(values.get("Warnings", "")),
        corrections=_sentences(values.get("Corrections", "")),
        region=values.get("Region", ""),
    )


def tagsOf(provenance: Provenance) -> dict[str, str]:
    """Inverse of `provenanceFromTags`; says in addition that the segment is for research only."""
    values = {
        "Phrase": provenance.phrase,
        "NormalizedPhrase": provenance.normalizedPhrase,
        "Answer": provenance.answer,
        "Presence": f"{provenance.presence:.4f}",
        "Threshold": f"{provenance.threshold:g}",
        "Model": provenance.model,
        "WeightsSha256": provenance.weightsSha256,
        "Version": provenance.version,
        "Device": provenance.device,
        "Date": provenance.date,
        "Warnings": json.dumps(provenance.warnings, ensure_ascii=False),
        "ResearchUseOnly": "true",
    }
    if provenance.corrections:
        values["Corrections"] = json.dumps(provenance.corrections, ensure_ascii=False)
    if provenance.region:
        values["Region"] = provenance.region
    return {PREFIX + name: value for name, value in values.items()}


def writeProvenance(segment, provenance: Provenance) -> None:
    """Set the tags of a `vtkSegment`; older ones are replaced, corrections of an earlier result forgotten."""
    for name in _NOT_ALWAYS:
        segment.RemoveTag(name)
    for name, value in tagsOf(provenance).items():
        segment.SetTag(name, encode_tag(value))


def readProvenance(segment) -> Provenance | None:
    """Read back what `writeProvenance` set, or what a segmentation file of the library holds.

    Args:
        segment: A `vtkSegment`.

    Returns:
        None for a segment without a phrase, which this module did not make.
    """
    tags = {name: _tag(segment, name) for name in _TAG_NAMES if segment.HasTag(name)}
    return provenanceFromTags(tags) if PREFIX + "Phrase" in tags else None


def noteCorrection(segment, what: str) -> None:
    """Add to a segment's tags that a person changed it; one that no model made stays as it is.

    Args:
        segment: A `vtkSegment`.
        what: What was done; the date is put before it.
    """
    provenance = readProvenance(segment)
    if provenance is not None:
        dated = f"{datetime.now().astimezone().isoformat(timespec='seconds')} {what}"
        writeProvenance(segment, replace(provenance, corrections=(*provenance.corrections, dated)))


def _tag(segment, name: str) -> str:
    value = vtk.reference("")
    segment.GetTag(name, value)
    return decode_tag(str(value))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _sentences(text: str) -> tuple[str, ...]:
    try:
        found = json.loads(text)
    except ValueError:
        return (text,) if text else ()
    return tuple(str(sentence) for sentence in found) if isinstance(found, list) else (text,)


_NOT_ALWAYS = (PREFIX + "Corrections", PREFIX + "Region")
_TAG_NAMES = (*tagsOf(provenanceFromTags({})), *_NOT_ALWAYS)
