"""The commands that draw the panel or measure it make a panel outside of pytest, where no fixture helps them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PANEL = """
from Testing.slicer.outside import loaded_outside
with loaded_outside() as (module, patch):
    widget = module.TextGuidedSegWidget()
    assert widget.ui.inputVolumeSelector is not None
"""


def test_they_have_what_the_panel_asks_of_its_application() -> None:
    done = subprocess.run([sys.executable, "-c", PANEL], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
