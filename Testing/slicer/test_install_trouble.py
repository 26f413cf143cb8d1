"""A failed installation is explained in a sentence that says what to do."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slicer


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: [WinError 5] Access is denied: 'c10.dll'", "in use"),
        ("Failed to establish a new connection: [Errno -2] Name or service not known getaddrinfo", "network"),
        ("ERROR: Cannot install a and b because these package versions have conflicting dependencies.", "do not fit"),
        ("ERROR: No matching distribution found for torch>=99", "has no torch>=99"),
        ("ERROR: something new went wrong.", "something new went wrong."),
        ("ImportError: DLL load failed", "DLL load failed"),
    ],
)
def test_each_failure_says_what_to_do(module, line: str, expected: str) -> None:
    from TextGuidedSegPanel.installTrouble import troubleSentence

    assert expected in troubleSentence(["Collecting a", line, "the end"], None)


def test_a_failure_without_a_word_is_a_sentence_too(module) -> None:
    from TextGuidedSegPanel.installTrouble import troubleSentence

    assert "it said nothing" in troubleSentence([], None)
