"""What all tests share: generated cases are the same at every run."""

from __future__ import annotations

import os

from hypothesis import settings

from TextGuidedSegLib.home import HOME_VARIABLE

# Nobody's own models and words decide a test; those that need some set the variable themselves.
os.environ.pop(HOME_VARIABLE, None)

# Random cases would make a push fail for what another push did; the time of one case depends on the machine.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")
