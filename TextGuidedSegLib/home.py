"""The folder of one's own, `$TEXTGUIDEDSEG_HOME`: models and words that do not come with the package."""

from __future__ import annotations

import os
from pathlib import Path

HOME_VARIABLE = "TEXTGUIDEDSEG_HOME"


def home_folder() -> Path | None:
    """Where it lies now; None if the variable is not set. It need not exist."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) if home else None
