"""The panel as the worklist sees it: choose what a case needs in the panel's own controls and press its button."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import slicer

from .worklist import WorklistError


class WorklistHost:
    """Puts cases into the panel, so that all that works on a single image works on a case.

    Args:
        logic: The module's logic.
        whyNot: Why nothing can be run now; empty if it can.
        run: Runs what the panel shows.
        phrases: What is typed.
        clear: Takes away what was said of a run.
        edit: Lets the user correct a segment; called with volume, segmentation and the id of the chosen segment ("" for
            none).
    """

    def __init__(
        self,
        logic,
        *,
        whyNot: Callable[[], str],
        run: Callable[[], None],
        phrases: Callable[[], list[str]],
        clear: Callable[[], None],
        edit: Callable[[object, object, str], None],
    ) -> None:
        self._logic, self._whyNot, self._run, self._edit = logic, whyNot, run, edit
        self.phrases, self.clear = phrases, clear
        self.parameters = None

    @property
    def isBusy(self) -> bool:
        """Whether a run is under way."""
        return self._logic.isBusy

    def show(self, volumeNode, segmentationNode, phrases: Sequence[str]) -> None:
        """Choose image, segmentation and phrases; the maps of the image before would lie on the wrong one and go."""
        if self.parameters is None:
            return
        self._logic.results.lookAtNothing()  # else the panel would fill a new map with the old one
        before = [node for node in (self.parameters.pseudoImage, self.parameters.probabilityMap) if node is not None]
        self.parameters.pseudoImage = self.parameters.probabilityMap = None
        for node in before:
            slicer.mrmlScene.RemoveNode(node)
        self.parameters.inputVolume, self.parameters.segmentation = volumeNode, segmentationNode
        self.parameters.segmentId = ""
        self.parameters.severalPhrases = len(phrases) > 1
        if len(phrases) > 1:
            self.parameters.phrases = "\n".join(phrases)
        elif phrases:
            self.parameters.phrase = phrases[0]

    def run(self) -> None:
        """Run what the panel shows.

        Raises:
            WorklistError: It cannot be run; the message is the panel's own reason.
        """
        reason = self._whyNot()
        if reason:
            raise WorklistError(reason)
        self._run()

    def cancel(self) -> None:
        """Cancel the run; its end is told as that of any run."""
        self._logic.cancel()

    def edit(self, volumeNode, segmentationNode) -> None:
        """Let the user correct the chosen segment, or the first."""
        segmentation = segmentationNode.GetSegmentation()
        chosen = self.parameters.segmentId if self.parameters is not None else ""
        if segmentation.GetSegment(chosen) is None:
            chosen = next(iter(segmentation.GetSegmentIDs()), "")
        self._edit(volumeNode, segmentationNode, chosen)
