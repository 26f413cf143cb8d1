"""Where a segment came from, as tags that travel with it in files and scenes; `tags` says how values are written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from TextGuidedSegLib import __version__

if TYPE_CHECKING:
    from TextGuidedSegLib.inference import Result

PREFIX = "TextGuidedSeg."


def provenance_tags(result: Result) -> dict[str, str]:
    """Tags of one result, `TextGuidedSeg.Key` to a plain string; whoever writes them escapes what the file needs.

    Args:
        result: What the segmenter returned.

    Returns:
        Phrase, normalized phrase, answer, presence, threshold, model, hash of the weights, library version, device,
        time (UTC, ISO 8601), warnings (JSON list) and the notice that it is for research only.
    """
    values = {
        "Phrase": result.phrase.text if result.phrase else "",
        "NormalizedPhrase": result.phrase.heard if result.phrase else "",
        "Answer": result.answer,
        "Presence": f"{result.presence:.4f}",
        "Threshold": f"{result.threshold:g}",
        "Model": result.model,
        "WeightsSha256": result.weights_sha256,
        "Version": __version__,
        "Device": result.device,
        "Date": datetime.now(UTC).isoformat(timespec="seconds"),
        "Warnings": json.dumps(list(result.warnings), ensure_ascii=False),
        "ResearchUseOnly": "true",
    }
    return {f"{PREFIX}{key}": value for key, value in values.items()}
