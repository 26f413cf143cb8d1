"""What the set-up page says about packages: which, how large, where to, and how PyTorch is installed."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from html import escape

from slicer.i18n import tr as _

from .requirements import Download, Package, download, installFolder

# Unpacked packages take about this many times the size of their download, and both are there for a moment.
_ROOM = 3


def packageTable(packages: Iterable[Package], *, byExtension: bool) -> str:
    """Rich text: one row for each package that will not do as it is."""
    heads = (_("Package"), _("Installed"), _("Download"))
    rows = ["".join(f"<th align='left'>{head}</th>" for head in heads)]
    for one in packages:
        if not one.isReady:
            size = _("with Slicer") if one.isOfSlicer else sizeText(download((one,), byExtension=byExtension))
            cells = (_wanted(one), one.installedVersion or _("no"), size)
            rows.append("".join(f"<td>{escape(cell)}</td>" for cell in cells))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table cellspacing='0' cellpadding='2' width='100%'>{body}</table>"


def torchSentence(missing: Iterable[Package], *, byExtension: bool) -> str:
    """How PyTorch gets in; empty if it is there."""
    if not any(one.isTorch for one in missing):
        return ""
    if byExtension:
        return _("PyTorch is installed by its extension, which takes the build for your graphics card.")
    if sys.platform == "win32":
        return _(
            "The extension PyTorch is not installed: pip takes the build without graphics card. For an NVIDIA card, "
            "install the extension first (Extensions Manager)."
        )
    if sys.platform == "linux":
        return _(
            "The extension PyTorch is not installed: pip takes the large build for NVIDIA cards. For the build that "
            "fits this computer, install the extension first (Extensions Manager)."
        )
    return _("The extension PyTorch is not installed: pip takes the usual build.")


def placeSentence(missing: Sequence[Package], outdated: Sequence[Package], *, byExtension: bool) -> str:
    """How much goes where, and what is in the way."""
    sentences = []
    if outdated:
        names = ", ".join(one.name for one in outdated)
        sentences.append(_("{names} belong to Slicer: install a newer Slicer.").format(names=names))
    if missing:
        sentences.append(_placeOf(download(missing, byExtension=byExtension)))
    return " ".join(sentences)


def sizeText(size: Download) -> str:
    """A download in MB or GB; a range where the graphics card decides."""
    if size.least == size.most:
        return _("about {size}").format(size=_amount(size.most))
    return _("{least} to {most}").format(least=_amount(size.least), most=_amount(size.most))


def breakable(text: str) -> str:
    """The text with invisible spaces behind slashes, so that a long path goes on in the next line."""
    return re.sub(r"(?<=[\\/])", "\u200b", text)


def _wanted(package: Package) -> str:
    """Such as "torch ≥2.5, ≠2.9.*"."""
    bounds = sorted(map(str, package.requirement.specifier), reverse=True)
    return f"{package.name} {', '.join(bounds)}".replace(">=", "≥").replace("!=", "≠")


def _placeOf(size: Download) -> str:
    folder = installFolder()
    sentence = _("Download: {size}, into {folder}.").format(size=sizeText(size), folder=breakable(str(folder)))
    if folder.is_dir() and not os.access(folder, os.W_OK):
        return f"{sentence} " + _("You may not write there: ask whoever installed Slicer.")
    free = shutil.disk_usage(folder).free / 1e6 if folder.is_dir() else None
    if free is not None and free < _ROOM * size.most:
        return f"{sentence} " + _("Only {free} are free there.").format(free=_amount(round(free)))
    return sentence


def _amount(megabytes: int) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes} MB"
