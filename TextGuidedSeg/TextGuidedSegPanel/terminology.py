"""From a phrase to coded terminology: SNOMED CT where the code is certain, nothing where it is not."""

from __future__ import annotations

from pathlib import Path

import slicer

from TextGuidedSegLib.language.vocabulary import SnomedCode, default_vocabulary
from TextGuidedSegLib.phrase import Phrase

CONTEXT = "Segmentation category and type - TextGuidedSeg"
REGION_CONTEXT = "Anatomic codes - DICOM master list"
CODING_SCHEME = "SCT"

_ALTERED_STRUCTURE = SnomedCode("49755003", "Morphologically Altered Structure")
_ANATOMICAL_STRUCTURE = SnomedCode("123037004", "Anatomical Structure")
_NONE = ("", "", "")


def loadTerminology(folder: Path) -> None:
    """Offer the module's own list in Slicer's terminology selector; again is harmless.

    Args:
        folder: The module's `Resources/Terminology`.
    """
    slicer.modules.terminologies.logic().LoadTerminologyFromFile(str(folder / "TextGuidedSeg.term.json"))


def terminologyOf(phrase: Phrase) -> str:
    """The serialized terminology entry of a phrase.

    Returns:
        Category, type, side and region; empty if neither the finding nor, without one, the structure has a code. A
        level of a film is not a lobe, so levels are not coded.
    """
    codes = default_vocabulary().snomed
    side = _triple(codes.get(phrase.side))
    structures = {place.structure for place in phrase.places}
    region = _triple(codes.get(next(iter(structures)))) if len(structures) == 1 else _NONE
    if phrase.finding is not None:
        finding = _triple(codes.get(phrase.finding))
        parts = (_triple(_ALTERED_STRUCTURE), finding, _NONE, region, side if region != _NONE else _NONE)
        return _serialized(*parts) if finding != _NONE else ""
    if region == _NONE:
        return ""
    return _serialized(_triple(_ANATOMICAL_STRUCTURE), region, side, _NONE, _NONE)


def _triple(code: SnomedCode | None) -> tuple[str, str, str]:
    return (code.code, CODING_SCHEME, code.meaning) if code else _NONE


def _serialized(category, kind, modifier, region, regionModifier) -> str:
    serialize = slicer.vtkSlicerTerminologiesModuleLogic.SerializeTerminologyEntry
    regionContext = REGION_CONTEXT if region != _NONE else ""
    return serialize(CONTEXT, *category, *kind, *modifier, regionContext, *region, *regionModifier)
