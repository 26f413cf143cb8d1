"""The export of a worklist in the panel: asks for a folder, writes case after case, can be cancelled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
from slicer.i18n import tr as _

from TextGuidedSegLib.errors import TextGuidedSegError

from .ticker import Ticker
from .worklistExport import IndexWriter, NnunetWriter
from .worklistExportRun import ExportRun
from .worklistSession import WorklistSession

_MOST_REASONS = 3


class ExportView:
    """The buttons of the export.

    Args:
        ui: Widgets by name.
        say: Told what came of it, in sentences.
    """

    def __init__(self, ui, say: Callable[[str], None]) -> None:
        self._ui, self._say = ui, say
        self._session: WorklistSession | None = None
        self._run: ExportRun | None = None
        self._ticker = Ticker(self._onTick)
        ui.worklistIndexButton.connect("clicked()", self._onIndex)
        ui.worklistNnunetButton.connect("clicked()", self._onNnunet)
        ui.worklistCancelButton.connect("clicked()", self._onCancel)
        self.update()

    @property
    def isRunning(self) -> bool:
        """Whether an export is under way."""
        return self._run is not None

    def setSession(self, session: WorklistSession | None) -> None:
        """Export from this list; None for none."""
        self.cancel()
        self._session = session

    def update(self) -> None:
        """Show what can be pressed, and how far the export is."""
        run = self._run
        # What goes, first: the panel would be widened for all of them.
        buttons = {"worklistIndexButton": run is None, "worklistNnunetButton": run is None}
        buttons["worklistCancelButton"] = run is not None
        for name in sorted(buttons, key=buttons.get):
            getattr(self._ui, name).visible = buttons[name]
        if run is not None:
            self._ui.worklistProgressBar.maximum, self._ui.worklistProgressBar.value = run.count, run.done
            sentence = _("Exporting {done} of {count}")
            self._ui.worklistProgressBar.format = sentence.format(done=run.done, count=run.count)

    def cancel(self) -> None:
        """Give an export up; nothing is left of it."""
        self._ticker.stop()
        if self._run is not None:
            self._run.cancel()
            self._run = None

    def _onIndex(self) -> None:
        self._start(IndexWriter)

    def _onNnunet(self) -> None:
        self._start(NnunetWriter)

    def _start(self, kind: type[IndexWriter] | type[NnunetWriter]) -> None:
        path = qt.QFileDialog.getExistingDirectory(
            self._ui.worklistFrame, _("A new, empty folder for the export"), str(self._session.folder)
        )
        if not path:
            return
        try:
            self._run = ExportRun(self._session, kind(path, self._session.labels))
        except TextGuidedSegError as error:
            self._say(str(error))
            return
        self._ticker.start()
        self._say("")

    def _onTick(self) -> None:
        run = self._run
        try:
            folder = run.step()
        except TextGuidedSegError as error:
            self.cancel()
            self._say(str(error))
            return
        if folder is None:
            self.update()
            return
        self.cancel()
        self._say(_summary(run, folder))

    def _onCancel(self) -> None:
        self.cancel()
        self._say(_("The export was cancelled; nothing is left of it."))


def _summary(run: ExportRun, folder: Path) -> str:
    written = run.count - len(run.skipped)
    sentences = [_("{count} cases were exported to {folder}.").format(count=written, folder=folder)]
    if run.skipped:
        sentences.append(_("Left out: {count}.").format(count=len(run.skipped)))
        sentences += [f"{one}." for one in run.skipped[:_MOST_REASONS]]
    return " ".join(sentences)
