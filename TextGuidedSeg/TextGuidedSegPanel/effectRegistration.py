"""Makes the effect known to the Segment Editor; a module of its own is not needed for that."""

from __future__ import annotations

import sys
from pathlib import Path

import slicer

_SOURCE = Path(__file__).with_name("segmentEditorEffect.py")
_KEPT = "_TextGuidedSegEffect"


def registerEffect() -> None:
    """Register the effect, once for as long as Slicer runs; a Slicer without Segment Editor goes without."""
    if hasattr(slicer.modules, "segmenteditor") and not hasattr(slicer, _KEPT):
        effect = newEffect()
        effect.self().register()
        # The factory clones it for each panel, also after this module was loaded again.
        setattr(slicer, _KEPT, effect)


def newEffect():
    """One `qSlicerSegmentEditorScriptedEffect` that works by `SegmentEditorEffect`."""
    # Slicer has these only when its Segment Editor is there.
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    from .segmentEditorEffect import SegmentEditorEffect

    # Slicer takes the attribute of the folder's package that is called like the file. Without this that is the file as
    # a module; and without any, Slicer would load the file in the place of the whole package.
    setattr(sys.modules[__package__], _SOURCE.stem, SegmentEditorEffect)
    made = effects.qSlicerSegmentEditorScriptedEffect(None)
    made.setPythonSource(_SOURCE.as_posix())
    return made
