"""Takes out of a text what may point to a patient or a user: names, phrases, paths and everything in quotes.

Rather too much than too little: what is left is for a bug report that anyone may read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_TAKEN_OUT = "[…]"
_SHORTEST_SECRET = 2
# A source file in a traceback says where the error is and names nobody: its last two parts are kept.
_SOURCE = re.compile(
    r'^(?P<head>\s*File )"(?:[^"]*[\\/])?(?P<tail>[\w.-]+[\\/][\w.-]+\.pyx?)"(?P<rest>, line \d+, in \S+)$'
)
# From the first to the last slash of a line, and to the end of the file's name, which may have spaces.
_PATH = re.compile(r"[^\s\"'“(=]*[\\/](?:.*[\\/])?(?:[^\\/\"'”]*\.\w{1,8}\b|[^\s\"'”)]*)")
_QUOTED = re.compile(r"(?<!\w)'.*?'(?!\w)|\".*?\"|“.*?”")


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text without anything that may name somebody.

    Args:
        text: One or more lines, such as an error with its traceback.
        secrets: Words to take out wherever they stand, in upper or lower case.
    """
    words = sorted({one.strip() for one in secrets if len(one.strip()) >= _SHORTEST_SECRET}, key=len, reverse=True)
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(one)}(?!\w)" for one in words), re.IGNORECASE) if words else None
    return "\n".join(_redactedLine(line, pattern) for line in text.splitlines())


def _redactedLine(line: str, secrets: re.Pattern[str] | None) -> str:
    source = _SOURCE.match(line)
    if source is not None:
        return f'{source["head"]}"{source["tail"]}"{source["rest"]}'
    if secrets is not None:
        line = secrets.sub(_TAKEN_OUT, line)
    return _PATH.sub(_TAKEN_OUT, _QUOTED.sub(_TAKEN_OUT, line))
