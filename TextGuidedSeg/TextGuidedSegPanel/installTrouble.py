"""Why an installation failed, in a sentence with what to do, read from what pip printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from slicer.i18n import tr as _

# The sentences are functions because Slicer translates when they are asked for.
_CAUSES: tuple[tuple[str, Callable[[], str]], ...] = (
    (
        r"No space left on device|not enough space on the disk|Errno 28",
        lambda: _("The disk is full. Make room, then press Install again."),
    ),
    (
        r"Permission denied|Access is denied|Errno 13|WinError (?:5|32)\b",
        lambda: _(
            "A file may not be written or is in use. Close other Slicer windows, or ask who may write to Slicer's "
            "folder, then press Install again."
        ),
    ),
    (
        r"ResolutionImpossible|conflicting dependencies",
        lambda: _(
            "The packages do not fit those that Slicer has; the output says which. A newer Slicer may help; nothing "
            "was changed."
        ),
    ),
    (
        r"getaddrinfo|name resolution|NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError"
        r"|Max retries exceeded|Connection (?:refused|reset|aborted)",
        lambda: _(
            "The package index could not be reached. Check the network or the proxy, or install from a folder with "
            "wheels."
        ),
    ),
)
_MISSING = re.compile(r"No matching distribution found for (\S+)")
_ERROR = re.compile(r"(?:ERROR|error|\w*Error): (.+)")


def troubleSentence(lines: Sequence[str], folder: Path | None) -> str:
    """Why it failed and what to do.

    Args:
        lines: What was printed, the end last.
        folder: Folder with wheels, if it was to be installed from one.
    """
    text = "\n".join(lines)
    for pattern, sentence in _CAUSES:
        if re.search(pattern, text):
            return sentence()
    missing = _MISSING.search(text)
    if missing and folder is not None:
        msg = _("The folder “{folder}” has no wheel of {package} for this computer. Add it, then try again.")
        return msg.format(folder=folder, package=missing[1])
    if missing:
        return _("The package index has no {package} for this version of Slicer; use a newer one.").format(
            package=missing[1]
        )
    errors = [found[1] for line in lines if (found := _ERROR.match(line))]
    reason = errors[-1] if errors else lines[-1] if lines else _("it said nothing")
    return _("The installation failed: {reason}. The output below says more.").format(reason=reason.rstrip("."))
