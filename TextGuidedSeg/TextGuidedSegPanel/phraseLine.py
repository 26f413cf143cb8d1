"""The line that phrases are typed in: suggestions while typing, Enter, chips for what was understood."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape

import qt
from slicer.i18n import tr as _

from TextGuidedSegLib.errors import PhraseError
from TextGuidedSegLib.phrase import parse

from .answers import chipsAsRichText
from .completions import Completions
from .phrases import suggestions

_CHIP_LINE_PERCENT = 130


class PhraseLine:
    """Makes a line edit complete phrases.

    Args:
        lineEdit: The line.
        onRun: Called when Enter is pressed.
        onChanged: Called with the text when another one is typed or set.
    """

    def __init__(self, lineEdit, onRun: Callable[[], None], onChanged: Callable[[str], None]) -> None:
        self._onRun, self._onChanged = onRun, onChanged
        self._typed = ""
        self._examples: tuple[str, ...] = ()
        self._completions = Completions()
        self._model = qt.QStringListModel()
        self._completer = qt.QCompleter()
        self._completer.setModel(self._model)
        self._completer.caseSensitivity = qt.Qt.CaseInsensitive
        self._completer.filterMode = qt.Qt.MatchContains
        lineEdit.setCompleter(self._completer)
        lineEdit.connect("textEdited(QString)", self._onTextEdited)
        lineEdit.connect("textChanged(QString)", self._onTextChanged)
        lineEdit.connect("returnPressed()", self._onReturn)

    def suggest(self, history: Sequence[str], examples: Iterable[str]) -> None:
        """Complete from these, and what was typed by words of the vocabulary.

        Args:
            history: Phrases that ran before, the newest first.
            examples: Phrases of the model.
        """
        examples = tuple(examples)
        if examples != self._examples:
            self._examples, self._completions = examples, _completionsFor(examples)
        suggested = suggestions(history, examples)
        completed = self._completions.of(self._typed)
        offered = [*suggested, *(one for one in completed if one not in suggested)]
        # Only if it must be: the list that is open would lose its place.
        if list(self._model.stringList()) != offered:
            self._model.setStringList(offered)

    def _onTextEdited(self, text: str) -> None:
        # Not what the line shows while one walks through the list, which must stay the same meanwhile.
        self._typed = text

    def _onTextChanged(self, text: str) -> None:
        self._onChanged(text)

    def _onReturn(self) -> None:
        self._onRun()


def _completionsFor(examples: tuple[str, ...]) -> Completions:
    try:
        return Completions(examples)
    except ImportError:  # the package that finds misspellings comes with the others, before the first run
        return Completions()


def chipsOf(phrase: str) -> str:
    """What is understood of a phrase, as a paragraph of rich text for a label."""
    try:
        text = chipsAsRichText(parse(phrase)) or _("No word is known yet.")
    except PhraseError as error:
        text = escape(str(error))
    except ImportError:  # the package that finds misspellings comes with the others, before the first run
        return ""
    # Higher lines than those of a text, or the chips of two lines would run into each other.
    return f'<p style="margin:0; line-height:{_CHIP_LINE_PERCENT}%;">{text}</p>'
