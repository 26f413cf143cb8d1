"""`python -m TextGuidedSegLib` is the command `textguidedseg`."""

from __future__ import annotations

import sys

from TextGuidedSegLib.cli import main

if __name__ == "__main__":
    sys.exit(main())
