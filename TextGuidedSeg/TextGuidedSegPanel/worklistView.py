"""The worklist in the panel: where lists are opened, the cases with their states, decisions by button and key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import qt
from slicer.i18n import tr as _

from TextGuidedSegLib.errors import TextGuidedSegError

from .inferenceRecords import Failure
from .results import PhraseRecord
from .worklist import STATES, Case, Worklist, WorklistError
from .worklistExportView import ExportView
from .worklistFile import StateFile
from .worklistHost import WorklistHost
from .worklistLabelView import LabelView
from .worklistScene import volumeNames
from .worklistSession import WorklistSession
from .worklistSources import casesInCsv, casesInFolder, casesOfVolumes, stateFileOf, withPhrases
from .worklistTexts import caseSentence, progressSentence, rowText

KEYS = {
    "worklistPreviousButton": "Alt+P",
    "worklistAcceptButton": "Alt+A",
    "worklistRejectButton": "Alt+R",
    "worklistEditButton": "Alt+D",
    "worklistNextButton": "Alt+N",
}
"""Keys that work in the whole window while the panel is shown; letters of Slicer's menus are left alone."""

_LAST_SETTING = "TextGuidedSeg/Worklist"
_STATE_ENDING = ".worklist.json"
_ICONS = Path(__file__).resolve().parents[1] / "Resources" / "Icons"


class WorklistView:
    """The widgets of the section "Worklist".

    Args:
        ui: Widgets by name.
        host: The panel around it.
    """

    def __init__(self, ui, host: WorklistHost) -> None:
        self._ui, self._host = ui, host
        self._session: WorklistSession | None = None
        self._shown: list[Case] = []
        self._message = ""
        self._icons = {state: qt.QIcon(str(_ICONS / f"Worklist{state.capitalize()}.svg")) for state in STATES}
        self._labels = LabelView(ui, self._say)
        self._exports = ExportView(ui, self._say)
        self._connect()
        self._update()

    def setParameters(self, parameters) -> None:
        """The panel shows these parameters now; None for none."""
        self._host.parameters = parameters
        self._updateButtons()

    def onRunFinished(self, volumeNode, records: Sequence[PhraseRecord], failure: Failure | None) -> None:
        """A run of the panel ended."""
        if self._session is not None:
            self._do(lambda: self._session.onRunFinished(volumeNode, records, failure))

    def leave(self) -> None:
        """The user went to another module, such as the Segment Editor: what was drawn is saved."""
        if self._session is not None:
            self._do(self._session.keep)

    def forget(self) -> None:
        """The scene closes; the list stays open."""
        if self._session is not None:
            self._exports.cancel()
            self._do(self._session.forget)

    def close(self) -> None:
        """The module is unloaded: nothing may call back later."""
        self._exports.cancel()
        self.leave()

    def _connect(self) -> None:
        ui = self._ui
        ui.worklistFolderButton.connect("clicked()", self._onFolder)
        ui.worklistCsvButton.connect("clicked()", self._onCsv)
        ui.worklistVolumesButton.connect("clicked()", self._onVolumes)
        ui.worklistContinueButton.connect("clicked()", self._onContinue)
        ui.worklistCloseButton.connect("clicked()", self._onClose)
        ui.worklistList.connect("clicked(QModelIndex)", self._onRowChosen)
        ui.worklistList.connect("activated(QModelIndex)", self._onRowChosen)
        commands: dict[str, Callable[[], None]] = {
            "worklistPreviousButton": lambda: self._session.step(-1),
            "worklistAcceptButton": lambda: self._session.accept(),
            "worklistRejectButton": lambda: self._session.reject(),
            "worklistEditButton": lambda: self._session.edit(),
            "worklistNextButton": lambda: self._session.step(1),
        }
        self._actions = [self._command(getattr(ui, name), KEYS[name], do) for name, do in commands.items()]

    def _command(self, button, key: str, do: Callable[[], None]):
        """A button with a key of its own: that of a button is lost when its text changes, and comes late."""

        def command() -> None:
            if button.enabled:
                self._do(do)

        button.connect("clicked()", command)
        action = qt.QAction(self._ui.worklistButton)
        action.shortcut = qt.QKeySequence(key)
        action.connect("triggered()", command)
        self._ui.worklistButton.addAction(action)
        return action

    def _do(self, action: Callable[[], None]) -> None:
        """Carry something out, and show what went wrong in the panel."""
        self._message = ""
        try:
            action()
        except TextGuidedSegError as error:
            self._message = str(error)
        self._update()

    def _say(self, sentence: str) -> None:
        self._message = sentence
        self._update()

    def _onFolder(self) -> None:
        path = qt.QFileDialog.getExistingDirectory(
            self._ui.worklistFrame, _("A folder with images"), self._lastFolder()
        )
        if path:
            self._do(lambda: self._open(Path(path)))

    def _onCsv(self) -> None:
        path = qt.QFileDialog.getOpenFileName(
            self._ui.worklistFrame,
            _("A list with the columns image and phrase"),
            self._lastFolder(),
            _("Lists (*.csv *.tsv *.txt)"),
        )
        if path:
            self._do(lambda: self._open(Path(path)))

    def _onVolumes(self) -> None:
        path = qt.QFileDialog.getSaveFileName(
            self._ui.worklistFrame,
            _("Where the state of the list is kept; choose an old one to go on with it"),
            str(Path(self._lastFolder()) / f"volumes{_STATE_ENDING}"),
            f"{_('Worklists')} (*{_STATE_ENDING})",
        )
        if path:
            ending = "" if path.endswith(_STATE_ENDING) else _STATE_ENDING
            self._do(lambda: self._open(Path(path + ending)))

    def _onContinue(self) -> None:
        self._do(lambda: self._open(Path(self._lastSource())))

    def _onClose(self) -> None:
        self._exports.cancel()
        self._do(self._closeSession)

    def _onRowChosen(self) -> None:
        row = self._ui.worklistList.currentRow
        # A double click is told as a click and as an activation.
        if self._session is not None and 0 <= row != self._session.worklist.currentIndex:
            self._do(lambda: self._session.open(row))

    def _open(self, source: Path) -> None:
        """Open the list of a folder, a CSV file, or a state file for the loaded volumes, where it was left."""
        isOfVolumes = source.name.endswith(_STATE_ENDING)
        if not isOfVolumes and not source.exists():
            msg = _("{path}: it is no longer there; choose the folder or file anew").format(path=source)
            raise WorklistError(msg)
        self._exports.cancel()
        self._closeSession()
        store = StateFile(source if isOfVolumes else stateFileOf(source))
        known = store.read()
        if isOfVolumes:
            cases = casesOfVolumes(volumeNames(), known)
        else:
            cases = casesInFolder(source) if source.is_dir() else casesInCsv(source)
        worklist = Worklist(withPhrases(cases, known, self._host.phrases()), store, known)
        worklist.save()
        session = WorklistSession(worklist, store.path.parent, store.path, self._host)
        self._setSession(session)
        qt.QSettings().setValue(_LAST_SETTING, str(source))
        self._message = store.notice
        first = worklist.nextOpen()
        if first is not None:
            session.open(first)

    def _closeSession(self) -> None:
        if self._session is not None:
            if self._host.isBusy:
                self._host.cancel()
            self._session.close()
            self._setSession(None)

    def _setSession(self, session: WorklistSession | None) -> None:
        self._session, self._shown = session, []
        self._labels.setSession(session)
        self._exports.setSession(session)
        self._ui.worklistList.clear()

    def _update(self) -> None:
        session = self._session
        self._ui.worklistOpenFrame.visible = session is not None
        self._ui.worklistContinueButton.visible = session is None and bool(self._lastSource())
        self._ui.worklistContinueButton.text = _("Continue with “{name}”").format(name=Path(self._lastSource()).name)
        problem = self._message or (session.problem if session is not None else "")
        self._ui.worklistMessageLabel.text = escape(problem)
        self._ui.worklistMessageLabel.visible = bool(problem)
        if session is not None:
            self._updateList()
            self._ui.worklistCaseLabel.text = caseSentence(session.worklist)
            self._labels.update()
            self._exports.update()
            if not self._exports.isRunning:
                self._showProgress()
        self._updateButtons()

    def _updateList(self) -> None:
        cases, rows = self._session.worklist.cases, self._ui.worklistList
        if len(self._shown) != len(cases):
            rows.clear()
            rows.addItems([rowText(case) for case in cases])
            self._shown = [None] * len(cases)
        for index, case in enumerate(cases):
            if self._shown[index] is not case:
                item = rows.item(index)
                if self._shown[index] is not None:
                    item.setText(rowText(case))
                item.setIcon(self._icons[case.state])
                item.setToolTip(case.sentence)
        self._shown = list(cases)
        current = self._session.worklist.currentIndex
        rows.currentRow = -1 if current is None else current

    def _showProgress(self) -> None:
        progress, bar = self._session.worklist.progress, self._ui.worklistProgressBar
        bar.maximum, bar.value = progress.total, progress.done
        bar.format = progressSentence(progress)

    def _updateButtons(self) -> None:
        session, ui = self._session, self._ui
        index = session.worklist.currentIndex if session is not None else None
        last = len(session.worklist.cases) - 1 if session is not None else -1
        ui.worklistCloseButton.enabled = session is not None
        ui.worklistAcceptButton.enabled = ui.worklistEditButton.enabled = session is not None and session.canAccept
        ui.worklistRejectButton.enabled = index is not None
        ui.worklistPreviousButton.enabled = index is not None and index > 0
        ui.worklistNextButton.enabled = session is not None and (index is None or index < last)

    def _lastSource(self) -> str:
        return str(qt.QSettings().value(_LAST_SETTING, "") or "")

    def _lastFolder(self) -> str:
        return str(Path(self._lastSource()).parent) if self._lastSource() else ""
