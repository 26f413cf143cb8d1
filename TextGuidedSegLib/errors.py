"""The errors the library raises on purpose; each message says what was wrong, what was expected and what to do.

Bad input (the command line ends with exit code 2) is every class here but `DeviceError` (could not run: 3) and
`Cancelled` (interrupted: 130).
"""

from __future__ import annotations


class TextGuidedSegError(Exception):
    """Root of the library's errors: catch it to show one sentence instead of a traceback."""


class GeometryError(TextGuidedSegError):
    """A grid or an orientation cannot be used: singular affine, impossible axis codes, wrong array shape."""


class ImageError(TextGuidedSegError):
    """An image file cannot be read or written, or an image is unfit for what was asked."""


class PhraseError(TextGuidedSegError):
    """A phrase is empty or too long."""


class RegionNeededError(ImageError):
    """A phrase names what the model finds in a smaller part of the patient only; other phrases can be answered."""


class WeightsError(TextGuidedSegError):
    """Weights are missing, damaged (checksum) or of an unknown name."""


class DeviceError(TextGuidedSegError):
    """The device that was asked for is missing or ran out of memory."""


class Cancelled(TextGuidedSegError):  # noqa: N818 - it ends a run as the user asked, it is no error of anyone
    """The caller's cancel callback stopped the run."""
