"""The Segment Editor effect: the same line to type in, for the segment that is being edited."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect
from slicer.i18n import tr as _

from .editedSegment import REPLACE
from .effectControls import MODE, PHRASE, EffectControls
from .effectRegistration import newEffect

NAME = "TextGuidedSeg"
_RESOURCES = Path(__file__).resolve().parents[1] / "Resources"


class SegmentEditorEffect(AbstractScriptedSegmentEditorEffect):
    """What the Segment Editor calls; it makes one of these for each of its panels.

    Args:
        scriptedEffect: `qSlicerSegmentEditorScriptedEffect` on the side of C++.
    """

    def __init__(self, scriptedEffect) -> None:
        super().__init__(scriptedEffect)
        scriptedEffect.name = NAME
        scriptedEffect.title = _("Text Guided")
        scriptedEffect.perSegment = True
        scriptedEffect.requireSegments = True
        scriptedEffect.showEffectCursorInSliceView = False
        self._widget, self._controls = None, None

    def clone(self):
        """Another one, for another panel."""
        return newEffect()

    def icon(self):
        """The module's icon."""
        return qt.QIcon(str(_RESOURCES / "Icons" / "TextGuidedSeg.svg"))

    def helpText(self) -> str:
        """Shown above the options."""
        return _(
            "Type what to segment and where, such as <i>left lower lung opacity</i>, and press Enter. The chosen "
            "segment is replaced, added to or subtracted from, within the mask. Left is the patient's left. "
            "<b>Research use only. Not a medical device.</b>"
        )

    def setupOptionsFrame(self) -> None:
        """Make the widgets."""
        self._widget = slicer.util.loadUI(str(_RESOURCES / "UI" / "SegmentEditorEffect.ui"))
        self.scriptedEffect.addOptionsWidget(self._widget)
        self._controls = EffectControls(slicer.util.childWidgetVariables(self._widget), self.scriptedEffect)

    def activate(self) -> None:
        """The effect was chosen."""
        self._controls.begin()

    def deactivate(self) -> None:
        """Another effect was chosen, or the editor was left."""
        if self._controls is not None:
            self._controls.end()

    def cleanup(self) -> None:
        """The effect is about to be deleted."""
        if self._controls is not None:
            self._controls.stop()
        self._widget, self._controls = None, None

    def setMRMLDefaults(self) -> None:
        """Parameters of a new Segment Editor node."""
        self.scriptedEffect.setParameterDefault(PHRASE, "")
        self.scriptedEffect.setParameterDefault(MODE, REPLACE)

    def sourceVolumeNodeChanged(self) -> None:
        """Another image was chosen."""
        self.updateGUIFromMRML()

    def updateGUIFromMRML(self) -> None:
        """Follow the Segment Editor node."""
        if self._controls is not None and self.scriptedEffect.parameterSetNode() is not None:
            self._controls.update()

    def updateMRMLFromGUI(self) -> None:
        """Nothing to do: what is typed is stored as it is typed."""
