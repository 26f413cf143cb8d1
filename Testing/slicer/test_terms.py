"""The license of the weights: accepted once for these weights and these words; a script is told its name."""

from __future__ import annotations

import dataclasses

import pytest

pytestmark = pytest.mark.slicer


def test_terms_of_other_weights_are_accepted_anew(module) -> None:
    from TextGuidedSegPanel import terms

    from TextGuidedSegLib.weights import find_model

    model = find_model("chest-xray")
    assert not terms.areAccepted(model)
    terms.accept(model)
    assert terms.areAccepted(model)
    newer = dataclasses.replace(model, card=dataclasses.replace(model.card, version="99"))
    assert not terms.areAccepted(newer)


def test_a_script_is_told_the_license_once(module, logic, film, caplog) -> None:
    from TextGuidedSegPanel import terms

    terms._announced.clear()
    with caplog.at_level("INFO"):
        logic.process(film, "left lung")
        logic.process(film, "right lung")
    told = [one for one in caplog.messages if "CC BY-NC-SA" in one]
    assert len(told) == 1
    assert "chest-xray" in told[0]


def test_a_script_whose_user_accepted_the_license_is_told_nothing(module, logic, film, caplog) -> None:
    from TextGuidedSegPanel import terms

    from TextGuidedSegLib.weights import find_model

    terms._announced.clear()
    terms.accept(find_model("chest-xray"))
    with caplog.at_level("INFO"):
        logic.process(film, "left lung")
    assert not any("CC BY-NC-SA" in one for one in caplog.messages)


def test_the_whole_license_can_be_read_before_it_is_accepted(module, client, film, monkeypatch) -> None:
    from TextGuidedSegLib.weights import find_model

    monkeypatch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    widget = module.TextGuidedSegWidget()
    widget.ui.phraseEdit.text = "left lung"
    assert "CC BY-NC-SA 4.0" in widget.ui.termsLabel.text
    widget.ui.readTermsButton.click()
    assert widget.ui.termsLabel.text == find_model("chest-xray").license_text
    assert not widget.ui.termsFrame.isHidden()
    assert not widget.ui.applyButton.enabled  # read is not accepted
    widget.ui.acceptTermsButton.click()
    assert widget.ui.termsFrame.isHidden()
    assert widget.ui.applyButton.enabled
    widget.cleanup()
