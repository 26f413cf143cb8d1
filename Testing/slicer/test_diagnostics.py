"""The report for a bug: everything about the program, nothing about patients and users."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import slicer

from Testing.slicer.panel_fixtures import add_film

pytestmark = pytest.mark.slicer
SECRETS = ("Mustermann", "Erika", "Jane Doe", "opacity", "secret")


@pytest.fixture
def widget(module, client, film, monkeypatch: pytest.MonkeyPatch):
    """The panel on a client without a process."""
    monkeypatch.setattr(module.TextGuidedSegLogic, "client", property(lambda self: client))
    made = module.TextGuidedSegWidget()
    made.ui.acceptTermsButton.click()
    yield made
    made.cleanup()


def copied(widget) -> str:
    """Press the button and read the clipboard."""
    widget.ui.diagnosticsButton.click()
    return slicer.app.clipboard().text()


def test_versions_models_hashes_memory_and_the_process_are_in_it(widget, client) -> None:
    from importlib.metadata import version

    from TextGuidedSegLib import __version__
    from TextGuidedSegLib.memory import MemoryForecast

    client.state = "idle"
    client.loadedModel = SimpleNamespace(
        model="chest-xray", device="cpu", threads=2, hostMemory=MemoryForecast(10**9, 8 * 10**9), gpuMemory=None
    )
    report, card = copied(widget), widget.panel._models.model.card
    python = ".".join(map(str, sys.version_info[:3]))
    for expected in (
        f"TextGuidedSeg {__version__}", f"Slicer {slicer.app.applicationVersion}", f"Python {python}",
        f"numpy>=1.26: {version('numpy')}", version("torch"), f"chest-xray {card.version}: tokenizer.json ",
        card.sha256["weights.safetensors"], "Chosen: model chest-xray, device auto",
        "State: idle", "Loaded: chest-xray on cpu, 2 threads", "1.0 GB needed, 8.0 GB available", "Memory: ",
        "Operating system: ",
    ):  # fmt: skip
        assert expected in report
    assert widget.ui.diagnosticsButton.text == "Diagnostics copied"


def test_the_last_errors_are_in_it_and_a_cancelled_run_is_none(widget, client) -> None:
    widget.ui.phraseEdit.text = "left lung"
    widget.ui.applyButton.click()
    widget.ui.applyButton.click()
    client.run()
    assert "### Last errors\n- none" in copied(widget)
    widget.ui.applyButton.click()
    client.fail("DeviceError", "the device ran out of memory; use the CPU")
    report = copied(widget)
    assert "DeviceError: the device ran out of memory; use the CPU" in report


def test_neither_patients_nor_users_nor_phrases_are_in_it(widget, client, scene, monkeypatch) -> None:
    monkeypatch.setenv("USER", "secret")
    volume = add_film(scene, name="Mustermann^Erika")
    widget.ui.phraseEdit.text = "left lower lung opacity"
    widget.ui.applyButton.click()
    client.recentLog = (
        "INFO: reading /data/Erika Mustermann/film 1.dcm",
        r"INFO: C:\Users\Jane Doe\AppData\Local\Temp\x.npy is gone",
        "phrase: left lower lung opacity",
        'File "/home/secret/.venv/lib/python3.12/site-packages/torch/serialization.py", line 12, in load',
        "OSError: [Errno 2] No such file: 'Mustermann film.dcm'",
        "Mustermann^Erika has no voxels; load an image",
    )
    client.fail("ImageError", 'Mustermann^Erika has 3 voxels; "left lower lung opacity" was not run by secret')
    scene.RemoveNode(volume)
    widget.ui.phraseEdit.text = "right lung"
    report = copied(widget)
    for one in SECRETS:
        assert one not in report, one
    assert 'File "torch/serialization.py", line 12, in load' in report
    assert "ImageError: […] has 3 voxels" in report
    assert str(Path.home()) not in report


def test_an_error_of_a_closed_scene_says_no_more_than_before(widget, client, scene) -> None:
    add_film(scene, name="Mustermann^Erika")
    widget.ui.phraseEdit.text = "left lung"
    widget.ui.applyButton.click()
    client.fail("ImageError", "Mustermann^Erika has no voxels")
    client.recentLog = ("Mustermann^Erika was read",)
    scene.Clear(0)
    assert "Mustermann" not in copied(widget)


def test_a_failed_installation_is_among_the_errors(widget) -> None:
    widget.panel._onSetupTrouble("The disk is full.")
    assert "SetupError: The disk is full." in copied(widget)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "could not read /data/Max von Mustermann/a b.dcm; choose another file",
            "could not read […]; choose another file",
        ),
        (r"D:\Patients\Erika\x.nrrd is damaged", "[…] is damaged"),
        ("it's Slicer's own 'Erika O'Hara' and “Max”", "it's Slicer's own […] and […]"),
        (
            "threshold must be at least 0.01 and below 1, got 2.0",
            "threshold must be at least 0.01 and below 1, got 2.0",
        ),
        ('  File "C:\\Users\\Erika\\a\\b.py", line 3, in f', '  File "a\\b.py", line 3, in f'),
        ("Erika was here, ERIKA too, Erikas not", "[…] was here, […] too, Erikas not"),
        ("1 of 10 voxels", "1 of 10 voxels"),
    ],
)
def test_what_may_name_somebody_is_taken_out(module, text: str, expected: str) -> None:
    from TextGuidedSegPanel.redaction import redacted

    assert redacted(text, {"Erika", "1", ""}) == expected


def test_the_clipboard_holds_what_other_programs_can_paste(widget) -> None:
    assert copied(widget).startswith("### TextGuidedSeg diagnostics\n- TextGuidedSeg ")
