"""The module outside of tests: for commands that draw its panel or measure it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import slicer

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from Testing.slicer.mrml_application import make_application, modules_of
from Testing.slicer.panel_fixtures import MODULE_FOLDER
from Testing.slicer.standins import install


@contextmanager
def loaded_outside() -> Iterator[tuple[Any, pytest.MonkeyPatch]]:
    """The module `TextGuidedSeg` in a scene of its own, and what undoes every change at the end."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        application = make_application(Path(folder))
        patch.setattr(slicer, "mrmlScene", application.scene, raising=False)
        patch.setattr(slicer, "modules", modules_of(application), raising=False)
        install.install(patch, application.logic)
        with install.loaded_module(patch, str(MODULE_FOLDER), "TextGuidedSeg") as module:
            yield module, patch
