"""What helps while typing: words of the vocabulary that fit the model, phrases that ran, and a history to forget."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slicer

EXAMPLES = ("left lower lung opacity", "infection in both lower lungs", "left lung")


def offered(widget) -> tuple[str, ...]:
    """What the line completes from now."""
    return tuple(widget.panel._entry._line._model.stringList())


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("conso", "consolidation"),
        ("left lower CONSO", "left lower consolidation"),
        ("right costo", "right costophrenic angle"),
        ("left ground gl", "left ground glass opacity"),
        ("rig", "right"),
        ("infection in the low", "infection in the lower"),
    ],
)
def test_the_last_words_are_completed_and_the_usual_name_comes_first(module, typed: str, expected: str) -> None:
    from TextGuidedSegPanel.completions import Completions

    assert Completions(EXAMPLES).of(typed)[0] == expected


def test_every_completion_is_understood_and_goes_on_with_what_was_typed(module) -> None:
    from TextGuidedSegPanel.completions import Completions

    from TextGuidedSegLib.phrase import parse

    completions = Completions(EXAMPLES)
    for typed in ("opac", "left lower in", "right up", "ground", "left pneu"):
        found = completions.of(typed)
        assert found
        for one in found:
            assert one.startswith(typed)
            assert parse(one).unknown == ()


@pytest.mark.parametrize("typed", ["", "  ", "opacity ", "o", "left l", "xyzzy", "spleen"])
def test_nothing_is_completed_that_is_short_unknown_or_of_another_organ(module, typed: str) -> None:
    from TextGuidedSegPanel.completions import Completions

    assert Completions(EXAMPLES).of(typed) == []
    assert Completions().of("conso") == []


def test_words_of_ones_own_are_completed_and_coded(module, tmp_path, monkeypatch) -> None:
    from TextGuidedSegPanel.completions import Completions
    from TextGuidedSegPanel.terminology import terminologyOf

    from TextGuidedSegLib.phrase import parse

    codes = [terminologyOf(parse("left nodulation"))]
    monkeypatch.setenv("TEXTGUIDEDSEG_HOME", str(tmp_path))
    (tmp_path / "vocabulary.json").write_text(
        '{"findings": {"honeycombing": {"structure": "lung"}, "nodule": {"synonyms": ["nodulation"]}}}',
        encoding="utf-8",
    )
    assert Completions(EXAMPLES).of("left honey") == ["left honeycombing"]
    codes.append(terminologyOf(parse("left nodulation")))
    assert "27925004" not in codes[0]
    assert "27925004" in codes[1]


def test_another_model_has_other_words(module) -> None:
    from TextGuidedSegPanel.completions import Completions

    assert Completions(["polyp"]).of("poly")[0] == "polyp"
    assert Completions(["polyp"]).of("conso") == []


def test_the_line_offers_words_of_the_vocabulary_while_it_is_typed_in(list_widget) -> None:
    list_widget.ui.phraseEdit.text = ""
    list_widget.ui.phraseEdit.insert("right upper conso")
    assert "right upper consolidation" in offered(list_widget)
    list_widget.ui.phraseEdit.insert("xyz")
    assert "right upper consolidation" not in offered(list_widget)
    assert "left upper lung opacity" in offered(list_widget)  # an example of the model, at another level


@pytest.mark.standins
def test_one_walks_through_the_list_with_the_arrows_and_enter_runs_what_is_in_the_line(
    list_widget, client, film
) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    ui, window = list_widget.ui, list_widget.parent._native
    ui.inputVolumeSelector.setCurrentNode(film)
    ui.phraseEdit.text = ""
    line, popup = ui.phraseEdit._native, ui.phraseEdit._native.completer().popup()
    window.show()
    QTest.qWaitForWindowActive(window)
    line.setFocus()
    QTest.keyClicks(line, "left lower in")
    assert popup.isVisible()
    expected = [popup.model().index(row, 0).data() for row in range(3)]
    assert "left lower infiltrate" in expected
    walked = []
    for _ in expected:
        QTest.keyClick(popup, Qt.Key.Key_Down)
        walked.append(ui.phraseEdit.text)
    assert walked == expected
    QTest.keyClick(popup, Qt.Key.Key_Return)
    assert client.asked[-1]["phrases"] == (expected[-1],)


@pytest.mark.standins
@pytest.mark.parametrize("several", [False, True])
def test_what_is_typed_when_the_module_is_opened_is_the_phrase(list_widget, several: bool) -> None:
    native = list_widget.parent._native
    list_widget.ui.severalButton.checked = several
    list_widget.exit()
    list_widget.ui.releaseButton.setFocus()
    list_widget.enter()
    assert native.focusWidget().objectName() == ("phrasesEdit" if several else "phraseEdit")


def test_the_history_is_forgotten_on_demand(list_widget, client, film) -> None:
    list_widget.ui.inputVolumeSelector.setCurrentNode(film)
    list_widget.ui.phraseEdit.text = "haze of Jane Doe"
    list_widget.ui.applyButton.click()
    client.run()
    list_widget.ui.phraseEdit.text = ""
    assert offered(list_widget)[0] == "haze of Jane Doe"
    list_widget.ui.clearHistoryButton.click()
    assert list(list_widget.logic.getParameters().history) == []
    assert "haze of Jane Doe" not in offered(list_widget)
