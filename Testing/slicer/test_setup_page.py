"""The set-up page: shown when something is missing, installs in the background, then runs what was asked for."""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from types import SimpleNamespace

import pytest
import slicer

from Testing.slicer.installing import EXTENSION, deaf_index, install_into
from Testing.slicer.panel_fixtures import wait_until
from Testing.slicer.wheels import write_installed, write_wheel

pytestmark = pytest.mark.slicer


@pytest.fixture
def wheels(module, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """A folder with the wheel of the one package that is missing, and a private folder to install into."""
    from TextGuidedSegPanel import requirements

    listed = tmp_path / "requirements.txt"
    listed.write_text("numpy>=1.26\ntgsdemo>=1.0\n", encoding="utf-8")
    monkeypatch.setattr(requirements, "REQUIREMENTS_FILE", listed)
    monkeypatch.setattr(requirements, "_downloads", lambda: {"torch": 200, "numpy": 16, "tgsdemo": 3})
    install_into(tmp_path / "target", monkeypatch)
    monkeypatch.delitem(sys.modules, "tgsdemo", raising=False)  # other tests load one of that name
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    write_wheel(tmp_path / "wheels", "tgsdemo", "1.5")
    yield tmp_path / "wheels"
    importlib.invalidate_caches()


@pytest.fixture
def open_panel(module, client, film, monkeypatch: pytest.MonkeyPatch):
    """Opens the module's widget with a film, a phrase and the terms accepted."""
    monkeypatch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    made = []

    def make():
        widget = module.TextGuidedSegWidget()
        widget.ui.acceptTermsButton.click()
        widget.ui.phraseEdit.text = "left lung"
        made.append(widget)
        return widget

    yield make
    for one in made:
        one.cleanup()


@pytest.fixture
def widget(wheels, open_panel):
    """The panel while one package is missing."""
    return open_panel()


def choose(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """What the user chooses when a folder is asked for."""
    from TextGuidedSegPanel import setupPage

    monkeypatch.setattr(setupPage, "_chosenFolder", lambda: folder)


def install_from(widget, monkeypatch: pytest.MonkeyPatch, folder) -> None:
    """Press the button, choose the folder, wait for the end."""
    choose(monkeypatch, str(folder))
    widget.ui.installFolderButton.click()
    wait_until(lambda: not widget.panel._setup.isInstalling)


def test_with_everything_installed_there_is_no_page(module, open_panel) -> None:
    widget = open_panel()
    assert widget.ui.setupFrame.isHidden()
    widget.ui.applyButton.click()
    assert widget.logic.isBusy


def test_the_page_says_what_how_much_and_where(widget) -> None:
    from TextGuidedSegPanel.requirements import installFolder

    assert not widget.ui.setupFrame.isHidden()
    table = widget.ui.setupTableLabel.text
    assert "tgsdemo ≥1.0" in table
    assert "about 3 MB" in table
    assert "numpy" not in table
    place = widget.ui.setupPlaceLabel.text
    assert "about 3 MB" in place
    assert str(installFolder()) in place.replace("\u200b", "")
    assert widget.ui.setupTorchLabel.isHidden()


@pytest.mark.parametrize("has_extension", [False, True])
def test_without_torch_the_page_says_who_installs_it_and_run_explains(
    module, open_panel, client, monkeypatch, tmp_path, has_extension: bool
) -> None:
    write_installed(tmp_path / "there", "torch", "2.9.1")
    monkeypatch.syspath_prepend(tmp_path / "there")
    if has_extension:
        monkeypatch.setattr(slicer.modules, "pytorchutils", SimpleNamespace(path=str(EXTENSION)), raising=False)
    else:
        monkeypatch.delattr(slicer.modules, "pytorchutils", raising=False)
    widget = open_panel()
    assert "torch ≥2.5, ≠2.9.*" in widget.ui.setupTableLabel.text
    assert "2.9.1" in widget.ui.setupTableLabel.text
    assert ("by its extension" in widget.ui.setupTorchLabel.text) == has_extension
    assert widget.ui.reasonLabel.text == "Packages are missing: install them above."
    widget.ui.applyButton.click()
    assert "runs by itself when all is installed" in widget.ui.setupStatusLabel.text
    assert client.asked == []
    assert not widget.logic.isBusy


def test_after_the_installation_what_was_asked_for_runs(widget, wheels, client, monkeypatch) -> None:
    widget.ui.applyButton.click()
    assert client.asked == []
    install_from(widget, monkeypatch, wheels)
    assert widget.ui.setupFrame.isHidden()
    assert [one["phrases"] for one in client.asked] == [("left lung",)]
    client.run()
    assert "Found “left lung”" in widget.ui.answerLabel.text
    assert widget.ui.reasonLabel.text == ""
    widget.ui.applyButton.click()
    assert len(client.asked) == 2


def test_nothing_runs_by_itself_that_was_not_asked_for(widget, wheels, client, monkeypatch) -> None:
    install_from(widget, monkeypatch, wheels)
    assert widget.ui.setupFrame.isHidden()
    assert client.asked == []
    assert client.stopped  # a process from before would not see the new packages


def test_a_wish_that_cannot_run_any_more_is_dropped(widget, wheels, client, scene, monkeypatch) -> None:
    widget.ui.applyButton.click()
    scene.Clear(0)
    install_from(widget, monkeypatch, wheels)
    assert client.asked == []
    assert widget.ui.reasonLabel.text == "Choose an image."


def test_the_output_is_shown_while_it_installs(widget, wheels, monkeypatch) -> None:
    choose(monkeypatch, str(wheels))
    assert widget.ui.setupLogEdit.isHidden()
    widget.ui.installFolderButton.click()
    assert not widget.ui.setupLogEdit.isHidden()
    assert not widget.ui.setupProgressBar.isHidden()
    assert (widget.ui.installButton.enabled, widget.ui.cancelInstallButton.enabled) == (False, True)
    assert widget.ui.reasonLabel.text == "Packages are being installed."
    wait_until(lambda: not widget.panel._setup.isInstalling)
    assert "Successfully installed tgsdemo-1.5" in widget.ui.setupLogEdit.plainText


def test_a_failing_pip_is_explained_with_its_output_and_can_be_repeated(widget, wheels, monkeypatch) -> None:
    write_wheel(wheels, "tgsdemo", "1.5", requires=["tgshelper>=1"])
    install_from(widget, monkeypatch, wheels)
    assert not widget.ui.setupFrame.isHidden()
    assert "has no wheel of tgshelper>=1" in widget.ui.setupStatusLabel.text
    assert "No matching distribution found for tgshelper>=1" in widget.ui.setupLogEdit.plainText
    assert widget.ui.setupProgressBar.isHidden()
    assert (widget.ui.installButton.enabled, widget.ui.cancelInstallButton.enabled) == (True, False)
    write_wheel(wheels, "tgshelper", "1.0")
    install_from(widget, monkeypatch, wheels)
    assert widget.ui.setupFrame.isHidden()


def test_cancel_ends_a_running_pip_within_a_second_and_takes_the_wish_back(widget, wheels, client, monkeypatch) -> None:
    with deaf_index(monkeypatch) as asked:
        widget.ui.applyButton.click()
        widget.ui.installButton.click()
        wait_until(asked.is_set)
        started = time.monotonic()
        widget.ui.cancelInstallButton.click()
        wait_until(lambda: not widget.panel._setup.isInstalling)
        assert time.monotonic() - started < 1.0
    assert "Cancelled" in widget.ui.setupStatusLabel.text
    assert widget.ui.installButton.enabled
    install_from(widget, monkeypatch, wheels)
    assert client.asked == []


def test_an_unloaded_module_installs_no_more(widget, monkeypatch, tmp_path) -> None:
    with deaf_index(monkeypatch) as asked:
        widget.ui.installButton.click()
        wait_until(asked.is_set)
        widget.cleanup()
        assert not widget.panel._setup.isInstalling
        assert list((tmp_path / "temporary").iterdir()) == []


def test_leaving_the_module_or_closing_the_scene_does_not_end_an_installation(
    widget, wheels, scene, monkeypatch
) -> None:
    choose(monkeypatch, str(wheels))
    widget.ui.installFolderButton.click()
    widget.exit()
    scene.Clear(0)
    assert widget.panel._setup.isInstalling
    wait_until(lambda: not widget.panel._setup.isInstalling)
    assert widget.ui.setupFrame.isHidden()
    widget.enter()


def test_a_folder_without_wheels_shows_the_command_that_fills_one(widget, tmp_path, monkeypatch) -> None:
    choose(monkeypatch, str(tmp_path / "target"))
    widget.ui.installFolderButton.click()
    assert not widget.panel._setup.isInstalling
    assert "There are no wheels" in widget.ui.setupStatusLabel.text
    assert 'pip download --only-binary :all: --dest wheels "tgsdemo>=1.0"' in widget.ui.setupLogEdit.plainText


def test_no_folder_chosen_changes_nothing(widget, monkeypatch) -> None:
    choose(monkeypatch, "")
    widget.ui.installFolderButton.click()
    assert not widget.panel._setup.isInstalling
    assert widget.ui.setupStatusLabel.isHidden()


def test_the_folder_is_asked_for_by_the_dialog_of_the_system(module, monkeypatch) -> None:
    import qt
    from TextGuidedSegPanel import setupPage

    if not hasattr(slicer, "slicer_core"):
        return  # there it would wait for a person
    with pytest.raises(AssertionError, match="nobody is here"):
        setupPage._chosenFolder()
    monkeypatch.setattr(qt.QFileDialog, "answer", "/wheels")
    assert setupPage._chosenFolder() == "/wheels"


def test_another_modules_installation_is_waited_for(widget, wheels, monkeypatch) -> None:
    from TextGuidedSegPanel import setupPage

    monkeypatch.setattr(setupPage, "isPipInstallInProgress", lambda: True)
    choose(monkeypatch, str(wheels))
    widget.ui.installFolderButton.click()
    assert not widget.panel._setup.isInstalling
    assert "Another module is installing" in widget.ui.setupStatusLabel.text


def test_what_was_installed_in_another_way_is_noticed_when_it_is_needed(widget, wheels, client, tmp_path) -> None:
    write_installed(tmp_path / "target", "tgsdemo", "1.0")
    widget.ui.applyButton.click()
    assert widget.ui.setupFrame.isHidden()
    assert len(client.asked) == 1


def test_a_process_that_misses_a_package_brings_the_page(module, open_panel, client, wheels) -> None:
    write_installed(wheels.parent / "target", "tgsdemo", "1.0")
    widget = open_panel()
    assert widget.ui.setupFrame.isHidden()
    widget.ui.applyButton.click()
    for path in (wheels.parent / "target" / "tgsdemo-1.0.dist-info").iterdir():
        path.unlink()
    client.fail("ImportError", "a Python package is missing or damaged")
    assert not widget.ui.setupFrame.isHidden()


def test_a_package_that_slicer_still_uses_asks_for_a_restart_in_the_panel(widget, wheels, monkeypatch) -> None:
    from TextGuidedSegPanel.installer import Outcome

    write_installed(wheels.parent / "target", "tgsdemo", "2.0")
    widget.panel._setup._onEnd(Outcome("done", changed=("numpy 2.4.6 → 2.5.0",)))
    assert "Restart Slicer" in widget.ui.setupStatusLabel.text
    assert not widget.ui.setupFrame.isHidden()
    assert widget.ui.setupTableLabel.isHidden()
    assert not widget.ui.installButton.enabled


def test_slicer_too_old_is_said_and_not_installed(module, open_panel, monkeypatch, tmp_path) -> None:
    write_installed(tmp_path / "there", "numpy", "1.20.0")
    monkeypatch.syspath_prepend(tmp_path / "there")
    widget = open_panel()
    assert "numpy belong to Slicer: install a newer Slicer." in widget.ui.setupPlaceLabel.text
    assert not widget.ui.installButton.enabled
    assert widget.ui.reasonLabel.text == "A newer Slicer is needed: see above."
