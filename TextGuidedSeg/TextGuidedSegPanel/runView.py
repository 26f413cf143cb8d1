"""What a run tells: how far it is, what the answer means, warnings, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from slicer.i18n import tr as _

from .answers import answerSentence, timeLeftSentence
from .inferenceRecords import Failure, Progress
from .results import WITH_SEGMENT, PhraseRecord

_STEPS = 1000
# On any theme, light or dark.
_OK_COLOR, _CARE_COLOR, _ERROR_COLOR = "#2e9e5b", "#c98a00", "#d9534f"


class RunView:
    """The widgets below the button.

    Args:
        ui: Widgets by name.
        sentence: Says what an answer means, of answer, phrase and name of the segment.
    """

    def __init__(self, ui, sentence: Callable[[str, str, str], str] = answerSentence) -> None:
        self._ui, self._sentence = ui, sentence
        self._answers: list[str] = []
        self._warnings: list[str] = []
        ui.progressBar.maximum = _STEPS
        ui.detailsButton.connect("toggled(bool)", self._onDetailsToggled)
        self.clear()

    def clear(self) -> None:
        """Show nothing."""
        self._answers, self._warnings = [], []
        self._ui.progressBar.visible = False
        self._ui.detailsButton.visible = self._ui.detailsEdit.visible = False
        self._ui.detailsButton.checked = False
        self._ui.detailsEdit.plainText = ""
        self._show()

    def begin(self) -> None:
        """A run starts."""
        self.clear()
        self._ui.progressBar.visible = True
        self._ui.progressBar.maximum = 0  # moves to and fro until there is a share
        self._say(_("Starting the inference process…"))

    def progress(self, news: Progress) -> None:
        """How far it is."""
        if news.share is None:
            self._ui.progressBar.maximum = 0
            self._say(_("Loading the model…") if news.stage in ("libraries", "model") else _("Starting…"))
            return
        self._ui.progressBar.maximum = _STEPS
        self._ui.progressBar.value = round(_STEPS * news.share)
        left = timeLeftSentence(news.secondsLeft)
        self._ui.progressBar.format = f"%p% · {left}" if left else "%p%"
        if news.phraseCount > 1:
            self._say(_("Phrase {number} of {count}…").format(number=news.phraseIndex + 1, count=news.phraseCount))
        else:
            self._say(_("Segmenting…"))

    def result(self, record: PhraseRecord) -> None:
        """One phrase is answered."""
        sentence = escape(self._sentence(record.answer, record.phrase, record.segmentName))
        color = _OK_COLOR if record.answer == "found" else _CARE_COLOR
        sign = "✔" if record.answer == "found" else "?" if record.answer in WITH_SEGMENT else "○"
        self._answers.append(f'<span style="color:{color};"><b>{sign}</b></span> {sentence}')
        self._warnings += [one for one in record.warnings if one not in self._warnings]
        self._show()

    def error(self, failure: Failure) -> None:
        """Something went wrong, or the run was cancelled."""
        if failure.kind == "Cancelled":
            self._answers.append(_("Cancelled. Nothing was changed.") if not self._answers else _("Cancelled."))
        else:
            sign = f'<span style="color:{_ERROR_COLOR};"><b>✘</b></span>'
            sentence = failure.sentence[:1].upper() + failure.sentence[1:].rstrip(".") + "."
            self._answers.append(f"{sign} {escape(sentence)}")
        self._show()

    def log(self, line: str) -> None:
        """One line from the process, for the details, which can be read while it runs."""
        self._ui.detailsEdit.append(line)
        self._ui.detailsButton.visible = True

    def finish(self) -> None:
        """The run ended."""
        self._ui.progressBar.visible = False
        self._ui.progressBar.maximum = _STEPS
        self._show()

    def _say(self, text: str) -> None:
        self._ui.answerLabel.text = "<br/>".join([*self._answers, escape(text)])
        self._ui.answerLabel.visible = True

    def _show(self) -> None:
        self._ui.answerLabel.text = "<br/>".join(self._answers)
        self._ui.answerLabel.visible = bool(self._answers)
        sign = f'<span style="color:{_CARE_COLOR};"><b>⚠</b></span>'
        self._ui.warningsLabel.text = "<br/>".join(f"{sign} {escape(one)}" for one in self._warnings)
        self._ui.warningsLabel.visible = bool(self._warnings)

    def _onDetailsToggled(self, shown: bool) -> None:
        self._ui.detailsEdit.visible = shown
