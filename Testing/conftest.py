"""What all tests share: generated cases are the same at every run."""

from __future__ import annotations

from hypothesis import settings

# Random cases would make a push fail for what another push did; the time of one case depends on the machine.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")
