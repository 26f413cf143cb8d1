"""Values of segment tags as files can hold them.

Slicer joins all tags of a segment with "|" and does not escape it, so values are percent-encoded to plain ASCII.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

# Kept as they are, so that a person can read the file's header; "|" would end the value and "%" starts an escape.
_PLAIN = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{}~"


def encode_tag(text: str) -> str:
    """Percent-encode a tag's value: plain ASCII without "|", line breaks and outer blanks."""
    encoded = quote(text, safe=_PLAIN)
    return re.sub(r"^ +| +$", lambda blanks: "%20" * len(blanks[0]), encoded)


def decode_tag(value: str) -> str:
    """Inverse of `encode_tag`."""
    return unquote(value)
