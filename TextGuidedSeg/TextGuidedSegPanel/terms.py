"""The terms of the weights: accepted once on a computer, for each model, version and wording.

The panel runs nothing before they are accepted. A script may, as with the library and the command line: whoever writes
one is told the name of the license in the log, once for each model.
"""

from __future__ import annotations

import hashlib
import logging

import qt

from TextGuidedSegLib.weights import Model

_announced: set[str] = set()


def areAccepted(model: Model) -> bool:
    """Whether the license of a model's weights was accepted on this computer."""
    return qt.QSettings().value(_key(model)) == "accepted"


def accept(model: Model) -> None:
    """Remember that the license of a model's weights was accepted."""
    qt.QSettings().setValue(_key(model), "accepted")


def announce(model: Model) -> None:
    """Log the license of a model's weights, once, unless it was accepted."""
    key = _key(model)
    if key not in _announced and not areAccepted(model):
        _announced.add(key)
        logging.info(
            "The weights of the model %s have terms of their own: %s. Using them means accepting these terms.",
            model.card.name,
            model.card.license,
        )


def _key(model: Model) -> str:
    # Other weights, or other terms for the same weights, have to be accepted anew.
    digest = hashlib.sha256(model.license_text.encode()).hexdigest()[:12]
    return f"TextGuidedSeg/AcceptedTerms-{model.card.name}-{model.card.version}-{digest}"
