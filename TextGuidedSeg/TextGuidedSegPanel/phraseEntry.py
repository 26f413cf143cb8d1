"""Where phrases are typed: one line with history and completion, or several lines; chips say what was understood."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .phraseLine import PhraseLine, chipsOf
from .phrases import phrasesIn

_MOST_CHIP_LINES = 6


class PhraseEntry:
    """The widgets around the phrase.

    Typing is bound to the parameter node by hand: the automatic binding writes the text back at every key and moves
    the cursor to its end.

    Args:
        ui: Widgets by name.
        onRun: Called when Enter is pressed in the line.
        onChanged: Called when other phrases are typed.
    """

    def __init__(self, ui, onRun: Callable[[], None], onChanged: Callable[[], None]) -> None:
        self._ui, self._onChanged = ui, onChanged
        self._parameters = None
        self._examples: tuple[str, ...] = ()
        self._line = PhraseLine(ui.phraseEdit, onRun, self._onLineChanged)
        ui.phrasesEdit.connect("textChanged()", self._onLinesChanged)
        ui.severalButton.connect("toggled(bool)", self._onSeveralToggled)
        self._showMode(several=False)

    def setParameters(self, parameters) -> None:
        """Read from and write to these parameters; None for none."""
        self._parameters = parameters
        self.update()

    def setExamples(self, phrases: Iterable[str]) -> None:
        """Complete from these phrases, too."""
        self._examples = tuple(phrases)
        self.update()

    def update(self) -> None:
        """Show what the parameters say."""
        if self._parameters is None:
            return
        if self._ui.phraseEdit.text != self._parameters.phrase:
            self._ui.phraseEdit.text = self._parameters.phrase
        if self._ui.phrasesEdit.plainText != self._parameters.phrases:
            self._ui.phrasesEdit.plainText = self._parameters.phrases
        if self._ui.severalButton.checked != self._parameters.severalPhrases:
            self._ui.severalButton.checked = self._parameters.severalPhrases
        self._line.suggest(self._parameters.history, self._examples)
        self._showMode(self._parameters.severalPhrases)
        self._showChips()

    def focus(self) -> None:
        """Let the keys go to where phrases are typed."""
        (self._ui.phrasesEdit if self._ui.severalButton.checked else self._ui.phraseEdit).setFocus()

    def phrases(self) -> list[str]:
        """What to run."""
        several = self._ui.severalButton.checked
        return phrasesIn(self._ui.phrasesEdit.plainText if several else self._ui.phraseEdit.text)

    def _onLineChanged(self, text: str) -> None:
        if self._parameters is not None and self._parameters.phrase != text:
            self._parameters.phrase = text
        self._showChips()
        self._onChanged()

    def _onLinesChanged(self) -> None:
        text = self._ui.phrasesEdit.plainText
        if self._parameters is not None and self._parameters.phrases != text:
            self._parameters.phrases = text
        self._showChips()
        self._onChanged()

    def _onSeveralToggled(self, several: bool) -> None:
        if self._parameters is not None:
            self._parameters.severalPhrases = several
        # What was typed comes along.
        line, lines = self._ui.phraseEdit.text, self._ui.phrasesEdit.plainText
        if several and line.strip() and line not in lines.splitlines():
            self._ui.phrasesEdit.plainText = f"{lines.rstrip()}\n{line}".lstrip()
        self._showMode(several)
        self._showChips()
        self._onChanged()

    def _showMode(self, several: bool) -> None:
        self._ui.phraseEdit.visible = not several
        self._ui.phrasesEdit.visible = several

    def _showChips(self) -> None:
        lines = [chipsOf(phrase) for phrase in self.phrases()[:_MOST_CHIP_LINES]]
        self._ui.chipsLabel.text = "".join(lines)
        self._ui.chipsLabel.visible = bool(lines)
