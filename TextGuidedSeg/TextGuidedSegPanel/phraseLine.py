"""The line that phrases are typed in: suggestions while typing, Enter, chips for what was understood."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import qt
from slicer.i18n import tr as _

from TextGuidedSegLib.errors import PhraseError
from TextGuidedSegLib.phrase import parse

from .answers import chipsAsRichText
from .phrases import suggestions


class PhraseLine:
    """Makes a line edit complete phrases.

    Args:
        lineEdit: The line.
        onRun: Called when Enter is pressed.
        onChanged: Called with the text when another one is typed or set.
    """

    def __init__(self, lineEdit, onRun: Callable[[], None], onChanged: Callable[[str], None]) -> None:
        self._onRun, self._onChanged = onRun, onChanged
        self._model = qt.QStringListModel()
        self._completer = qt.QCompleter()
        self._completer.setModel(self._model)
        self._completer.caseSensitivity = qt.Qt.CaseInsensitive
        self._completer.filterMode = qt.Qt.MatchContains
        lineEdit.setCompleter(self._completer)
        lineEdit.connect("textChanged(QString)", self._onTextChanged)
        lineEdit.connect("returnPressed()", self._onReturn)

    def suggest(self, history: Sequence[str], examples: Iterable[str]) -> None:
        """Complete from these: phrases that ran before, the newest first, and the model's examples."""
        self._model.setStringList(suggestions(history, examples))

    def _onTextChanged(self, text: str) -> None:
        self._onChanged(text)

    def _onReturn(self) -> None:
        self._onRun()


def chipsOf(phrase: str) -> str:
    """What is understood of a phrase, as rich text for a label."""
    try:
        return chipsAsRichText(parse(phrase)) or _("No word is known yet.")
    except PhraseError as error:
        return str(error)
    except ImportError:  # the package that finds misspellings comes with the others, before the first run
        return ""
