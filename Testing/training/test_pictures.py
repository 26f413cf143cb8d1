"""Pictures of pseudo-images and transport plans."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from Testing.training.tiny import NETWORK
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.phantom import chest_film
from TextGuidedSegLib.phrase import read_units
from TextGuidedSegLib.symmetric_alignment import Plan
from TextGuidedSegLib.text_encoder import build_text_encoder
from TextGuidedSegLib.weights import find_model, load_network
from training.pictures import PHRASES, draw, main, panels, plan_panels
from training.presets import apply_preset


def test_a_model_with_early_fusion_gives_its_pseudo_images(exported_model: Path, tmp_path: Path) -> None:
    assert main(["--weights", str(exported_model), "--out", str(tmp_path)]) == 0
    (picture,) = tmp_path.iterdir()
    assert picture.name == "pseudo_images.png"
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(picture)))
    assert pixels.std() > 10


def test_panels_show_where_each_expression_sends_its_mass(exported_model: Path, tmp_path: Path) -> None:
    model = find_model(exported_model)
    _, tokenizer = load_network(model)
    config = apply_preset(NETWORK, "combined")
    assert config.alignment is not None
    config = dataclasses.replace(
        config, alignment=dataclasses.replace(config.alignment, levels=(1, 2), width=16), contrast=None
    )
    torch.manual_seed(0)
    network = FusedNetwork(config, build_text_encoder(config.text, tokenizer.vocabulary_size)).eval()
    film = chest_film(0, size=(96, 70))
    found = panels(network, tokenizer, film, PHRASES[2], model.card)
    assert [panel.title for panel in found["plans"]] == [
        "diagnosis", "location: left lower", "location: right upper", "no word",
    ]  # fmt: skip
    pseudo, probability = found["pseudo"]
    size = model.card.preprocessing.size
    assert pseudo.values.shape == probability.values.shape == (size, round(70 / 96 * size))
    assert max(panel.values.max() for panel in found["plans"]) == pytest.approx(1.0)
    for panel in found["plans"]:
        assert panel.values.min() >= 0
        assert all(covered % network.multiple == 0 for covered in panel.covers)
    left, right = (found["plans"][number].values for number in (1, 2))
    assert not np.allclose(left, right)
    draw(tmp_path / "plans.png", film, [("phrase", found["plans"])], size)
    assert (tmp_path / "plans.png").stat().st_size > 1000


def test_panels_of_one_phrase_have_one_scale() -> None:
    plan = Plan(
        mass=torch.tensor([[[0.5, 0.001, 0.25], [0.1, 0.002, 0.25]]]),
        mask=torch.ones(1, 3, dtype=torch.bool),
        grid=(1, 2),
    )
    shown = [panel.values.max() for panel in plan_panels(plan, read_units("left lung opacity"), (8, 16))]
    assert shown == pytest.approx([0.004, 0.5, 1.0])


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--weights", "no-such-model", "--out", str(tmp_path)]) == 2
    assert "there is no model 'no-such-model'" in capsys.readouterr().err
