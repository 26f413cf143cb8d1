"""The page for what is missing: what will be installed, how much and where; installing it; going on afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
from slicer.i18n import tr as _
from slicer.packaging import isPipInstallInProgress

from .installer import Installer, InstallNews, Outcome
from .installPlan import InstallPlan, fillCommand, planFromFolder, planFromIndex, pyTorchExtension
from .requirements import Package, neededPackages, outdatedInSlicer, toInstall
from .setupTexts import breakable, packageTable, placeSentence, torchSentence

_STEPS = 1000


class SetupPage:
    """Shown as long as packages are missing; nothing is downloaded before Install is pressed.

    Args:
        ui: Widgets by name.
        onChanged: Called when an installation begins or ends, or something else was found to be missing.
        onTrouble: Called with a sentence when an installation fails.
    """

    def __init__(self, ui, onChanged: Callable[[], None], onTrouble: Callable[[str], None]) -> None:
        self._ui, self._onChanged, self._onTrouble = ui, onChanged, onTrouble
        self._packages: tuple[Package, ...] = ()
        self._wish: Callable[[], None] | None = None
        self._needsRestart = False
        self._installer = Installer(ui.setupLogEdit.appendPlainText, self._onNews, self._onEnd)
        ui.installButton.connect("clicked()", self._onInstall)
        ui.installFolderButton.connect("clicked()", self._onInstallFromFolder)
        ui.cancelInstallButton.connect("clicked()", self._onCancel)
        ui.setupProgressBar.maximum = _STEPS
        ui.setupLogEdit.visible = ui.setupProgressBar.visible = ui.setupStatusLabel.visible = False
        self.check()

    @property
    def isInstalling(self) -> bool:
        """Whether an installation is under way."""
        return self._installer.isRunning

    @property
    def reason(self) -> str:
        """Why nothing can run yet; empty if nothing is missing."""
        if self._isReady():
            return ""
        if self.isInstalling:
            return _("Packages are being installed.") if self._wish is None else _("Runs when all is installed.")
        if not toInstall(self._packages):
            return _("A newer Slicer is needed: see above.")
        return _("Packages are missing: install them above.")

    def check(self) -> None:
        """Look again what is there, and show the page if something is missing."""
        self._packages = neededPackages()
        self._show()

    def isReadyFor(self, wish: Callable[[], None]) -> bool:
        """Whether everything is there.

        Args:
            wish: Called once when it is, if it is not yet.
        """
        if not self._isReady() and not self.isInstalling:
            self.check()  # it may have been installed in another way
        self._wish = None if self._isReady() else wish
        if self._wish is not None and not self.isInstalling:
            self._say(_("What you asked for runs by itself when all is installed."))
        return self._wish is None

    def stop(self) -> None:
        """The module is unloaded: an installation is ended, and nothing is called later."""
        self._wish = None
        self._installer.stop()

    def _isReady(self) -> bool:
        return all(one.isReady for one in self._packages)

    def _show(self) -> None:
        missing, isInstalling = toInstall(self._packages), self.isInstalling
        self._ui.setupFrame.visible = isInstalling or self._needsRestart or not self._isReady()
        for label in (self._ui.setupLabel, self._ui.setupTableLabel, self._ui.setupPlaceLabel):
            label.visible = not self._isReady()
        self._ui.installButton.enabled = bool(missing) and not isInstalling
        self._ui.installFolderButton.enabled = bool(missing) and not isInstalling
        self._ui.cancelInstallButton.enabled = isInstalling
        if not isInstalling:
            extension = pyTorchExtension()
            self._ui.setupTableLabel.text = packageTable(self._packages, byExtension=extension is not None)
            self._ui.setupTorchLabel.text = torchSentence(missing, byExtension=extension is not None)
            self._ui.setupTorchLabel.visible = bool(self._ui.setupTorchLabel.text)
            self._ui.setupPlaceLabel.text = placeSentence(
                missing, outdatedInSlicer(self._packages), byExtension=extension is not None
            )

    def _say(self, sentence: str) -> None:
        self._ui.setupStatusLabel.text = breakable(sentence)
        self._ui.setupStatusLabel.visible = bool(sentence)

    def _onInstall(self) -> None:
        self._start(planFromIndex(toInstall(self._packages), pyTorchExtension()))

    def _onInstallFromFolder(self) -> None:
        folder = _chosenFolder()
        if not folder:
            return
        missing = toInstall(self._packages)
        if any(Path(folder).glob("*.whl")):
            self._start(planFromFolder(missing, Path(folder)))
            return
        sentence = _("There are no wheels in “{folder}”. On a like computer with a network, this command gets them:")
        self._say(sentence.format(folder=folder))
        self._ui.setupLogEdit.plainText = fillCommand(missing)
        self._ui.setupLogEdit.visible = True

    def _start(self, plan: InstallPlan) -> None:
        if isPipInstallInProgress():
            self._say(_("Another module is installing packages; wait until it is done, then press Install again."))
            return
        self._ui.setupLogEdit.plainText = ""
        self._ui.setupLogEdit.visible = self._ui.setupProgressBar.visible = True
        self._installer.start(plan)
        self._show()
        self._onChanged()

    def _onCancel(self) -> None:
        self._wish = None
        self._installer.cancel()
        self._ui.cancelInstallButton.enabled = False
        self._say(_("Cancelling…"))

    def _onNews(self, news: InstallNews) -> None:
        self._say(news.sentence)
        # Without a share the bar moves to and fro.
        self._ui.setupProgressBar.maximum = 0 if news.share is None else _STEPS
        if news.share is not None:
            self._ui.setupProgressBar.value = round(_STEPS * news.share)

    def _onEnd(self, outcome: Outcome) -> None:
        self._ui.setupProgressBar.visible = False
        self._needsRestart = self._needsRestart or bool(outcome.changed)
        self.check()
        self._say(self._endSentence(outcome))
        if outcome.kind == "failed":
            self._onTrouble(outcome.sentence)
        wish = self._wish
        if self._isReady():
            self._wish = None
        self._onChanged()
        if wish is not None and self._isReady():
            wish()

    def _endSentence(self, outcome: Outcome) -> str:
        if outcome.kind == "failed":
            return outcome.sentence
        if outcome.kind == "cancelled":
            return _("Cancelled. Install goes on where it was stopped.")
        if not self._isReady():
            names = ", ".join(one.name for one in toInstall(self._packages))
            return _("pip reported no error, but {names} are still missing; see its output.").format(names=names)
        if outcome.changed:
            names = ", ".join(outcome.changed)
            return _("Restart Slicer when you can: it still uses the old version of {names}.").format(names=names)
        return ""


def _chosenFolder() -> str:
    """A folder that the user chooses; empty if none."""
    return qt.QFileDialog.getExistingDirectory(None, _("Folder with wheels"), "")
