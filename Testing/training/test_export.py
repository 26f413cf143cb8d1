"""From a run to a model of the weights store, as a whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from Testing.training.conftest import ABOUT
from Testing.training.tiny import NETWORK, PREPROCESSING, SIZE
from TextGuidedSegLib.errors import WeightsError
from TextGuidedSegLib.image import Image
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.phantom import chest_film
from TextGuidedSegLib.preprocessing import prepare_film
from TextGuidedSegLib.text_encoder import PhraseTokenizer, TextEncoder
from TextGuidedSegLib.weights import DecisionConfig, file_sha256, find_model, load_network, verify, write_card
from training.checkpoint import load_checkpoint
from training.export import MANTISSA_BITS, export, main, rounded

FILM = Image.from_array(chest_film(7, size=(80, 72)).array)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def arguments(run: Path, about: Path, out: Path) -> list[str]:
    return ["--run", str(run), "--about", str(about), "--out", str(out)]


def test_an_exported_model_is_found_verified_and_segments(exported_model: Path) -> None:
    for name in (exported_model, exported_model / "weights.safetensors"):
        model = find_model(name)
        verify(model)
        segmenter = Segmenter(model, device="cpu")
        segmenter.set_image(FILM)
        result = segmenter.segment("left lower lung opacity")
        assert result.mask.shape == result.probability.shape == FILM.geometry.shape
        assert (result.model, result.weights_sha256) == ("tiny", model.card.sha256["weights.safetensors"])


def test_the_card_says_what_the_run_was(exported_model: Path, trained_run: Path) -> None:
    card = find_model(exported_model).card
    assert card.network == NETWORK
    assert card.preprocessing == PREPROCESSING
    assert card.decision == DecisionConfig()
    assert card.figures == {"trained": {"steps": 60, "seed": 0}}
    assert {key: getattr(card, key) for key in ("name", "version", "summary", "license")} == {
        key: ABOUT[key] for key in ("name", "version", "summary", "license")
    }
    assert card.sha256 == {
        name: file_sha256(exported_model / name) for name in ("weights.safetensors", "tokenizer.json")
    }
    assert (exported_model / "tokenizer.json").read_bytes() == (trained_run / "tokenizer.json").read_bytes()
    assert find_model(exported_model).license_text == "For tests only.\n"


def test_the_averaged_weights_are_shipped_in_half_precision_and_each_once(
    exported_model: Path, trained_run: Path
) -> None:
    shipped = load_file(exported_model / "weights.safetensors")
    average = load_checkpoint(trained_run / "checkpoint.pt")["average"]
    for name, tensor in shipped.items():
        assert tensor.dtype == (torch.float16 if average[name].is_floating_point() else average[name].dtype)
        assert torch.allclose(tensor.float(), average[name].float(), atol=1e-3, rtol=1e-3)
    weights = sum(tensor.numel() for tensor in shipped.values() if tensor.is_floating_point())
    network, _ = load_network(find_model(exported_model))
    unique = {tensor.data_ptr(): tensor.numel() for tensor in (*network.parameters(), *network.buffers())}
    assert weights <= sum(unique.values())


def test_the_shipped_network_computes_what_the_averaged_one_did(exported_model: Path, trained_run: Path) -> None:
    tokenizer = PhraseTokenizer.from_file(trained_run / "tokenizer.json", NETWORK.text.max_tokens)
    averaged = FusedNetwork(NETWORK, TextEncoder.compact(NETWORK.text, tokenizer.vocabulary_size))
    averaged.load_state_dict(load_checkpoint(trained_run / "checkpoint.pt")["average"])
    shipped, _ = load_network(find_model(exported_model))
    image = torch.from_numpy(prepare_film(FILM, PREPROCESSING).array)[None, None]
    with torch.inference_mode():
        before, after = (one.eval()(image, tokenizer(["right lung"])).logits.sigmoid() for one in (averaged, shipped))
    assert torch.allclose(before, after, atol=0.02)


@pytest.mark.parametrize("bits", [1, 5, MANTISSA_BITS])
def test_rounding_keeps_as_many_bits_as_were_asked_for(bits: int) -> None:
    values = torch.randn(5000, generator=torch.Generator().manual_seed(bits)).exp() * torch.tensor([-1.0, 1.0])[:, None]
    once = rounded(values, bits)
    assert ((once - values).abs() <= values.abs() * 2.0 ** -(bits + 1)).all()
    assert torch.equal(rounded(once, bits), once)
    assert torch.equal(rounded(-values, bits), -once)
    mantissa = torch.frexp(once)[0] * 2.0 ** (bits + 1)
    assert torch.equal(mantissa, mantissa.round())


def test_rounding_leaves_what_is_representable_and_whole_numbers() -> None:
    representable = torch.tensor([0.0, 1.0, -1.5, 2.0**-14, 1 + 2.0**-5])
    assert torch.equal(rounded(representable, 5), representable)
    assert torch.equal(rounded(torch.tensor([1025, 3]), 1), torch.tensor([1025, 3]))


def test_a_rounded_export_packs_smaller_and_says_so(trained_run: Path, about_file: Path, tmp_path: Path) -> None:
    packed, kernels = {}, {}
    for bits in (MANTISSA_BITS, 5):
        card = export(trained_run, about_file, tmp_path / str(bits), mantissa_bits=bits)
        data = (tmp_path / str(bits) / "weights.safetensors").read_bytes()
        packed[bits], kernels[bits] = len(zlib.compress(data)), load_file(tmp_path / str(bits) / "weights.safetensors")
        assert card.figures["trained"].get("mantissa_bits", MANTISSA_BITS) == bits
    assert packed[5] < 0.8 * packed[MANTISSA_BITS]
    for name, exact in kernels[MANTISSA_BITS].items():
        if exact.ndim < 2:
            assert torch.equal(exact, kernels[5][name])
        elif exact.is_floating_point():
            assert torch.allclose(exact.float(), kernels[5][name].float(), rtol=2.0**-6 + 2.0**-11, atol=1e-7)


@pytest.mark.parametrize("bits", [0, 11])
def test_a_mantissa_of_other_bits_is_an_error(
    bits: int, trained_run: Path, about_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments(trained_run, about_file, tmp_path / "out"), "--mantissa-bits", str(bits)]) == 2
    assert f"keeps 1 to 10 bits, got {bits}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "tokenizer.json"])
def test_a_changed_file_is_noticed(model_folder: Path, name: str) -> None:
    data = bytearray((model_folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (model_folder / name).write_bytes(data)
    with pytest.raises(WeightsError, match="the file was changed or cut off"):
        Segmenter(find_model(model_folder), device="cpu")


def test_a_second_export_keeps_the_thresholds(model_folder: Path, trained_run: Path, about_file: Path) -> None:
    decision = DecisionConfig(threshold=0.35, not_found_below=0.2, found_above=0.7, pseudo_threshold=0.25)
    card = find_model(model_folder).card
    write_card(model_folder, dataclasses.replace(card, decision=decision))
    export(trained_run, about_file, model_folder)
    assert find_model(model_folder).card == dataclasses.replace(card, decision=decision)


@pytest.mark.parametrize("fault", ["no license", "unknown key", "missing key", "not JSON", "no about", "no checkpoint"])
def test_a_failed_export_leaves_the_old_model_whole(
    fault: str, model_folder: Path, trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = tmp_path / "about" / "about.json"
    about.parent.mkdir()
    (about.parent / "LICENSE.txt").write_text("Other terms.\n", encoding="utf-8")
    changes = {"unknown key": {"sumary": "x"}, "missing key": {"summary": None}}.get(fault, {})
    values = {key: value for key, value in (ABOUT | {"version": "2"} | changes).items() if value is not None}
    about.write_text("{" if fault == "not JSON" else json.dumps(values), encoding="utf-8")
    if fault == "no license":
        (about.parent / "LICENSE.txt").unlink()
    if fault == "no about":
        about.unlink()
    before = contents(model_folder)
    run = tmp_path if fault == "no checkpoint" else trained_run
    assert main(arguments(run, about, model_folder)) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert contents(model_folder) == before


def test_the_command_makes_the_folder_and_says_where(
    tmp_path: Path, trained_run: Path, about_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "model"
    assert main(arguments(trained_run, about_file, out)) == 0
    assert capsys.readouterr().out == f"tiny 0.0.1 written to {out}\n"
    assert {path.name for path in out.iterdir()} == {
        "card.json", "weights.safetensors", "tokenizer.json", "LICENSE.txt",
    }  # fmt: skip
    assert len({path.stat().st_mode for path in out.iterdir()}) == 1  # who may read one may read all


def test_two_exports_of_one_run_are_the_same(tmp_path: Path, trained_run: Path, about_file: Path) -> None:
    for name in ("one", "other"):
        export(trained_run, about_file, tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_maps_of_the_model_are_probabilities(exported_model: Path) -> None:
    segmenter = Segmenter(find_model(exported_model), device="cpu")
    segmenter.set_image(FILM)
    result = segmenter.segment("both lungs")
    for values in (result.probability, result.pseudo_image):
        assert np.isfinite(values).all()
        assert 0 <= values.min() < values.max() <= 1
    assert max(FILM.geometry.shape) > SIZE


def test_the_mean_of_two_runs_lies_between_them(trained_run: Path, about_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained_run, other)
    checkpoint = torch.load(other / "checkpoint.pt", weights_only=True)
    rng = torch.Generator().manual_seed(0)
    for tensor in checkpoint["average"].values():
        if tensor.is_floating_point():
            tensor += torch.rand(tensor.shape, generator=rng)
    torch.save(checkpoint, other / "checkpoint.pt")
    cards = {
        name: export(trained_run, about_file, tmp_path / name, mean_with=with_run, share=share)
        for name, with_run, share in (
            ("alone", None, 0.5),
            ("middle", other, 0.5),
            ("near", other, 0.2),
            ("itself", trained_run, 0.3),
        )
    }
    export(other, about_file, tmp_path / "other alone")
    alone, middle, near, itself, others = (
        load_file(tmp_path / name / "weights.safetensors") for name in (*cards, "other alone")
    )
    assert set(middle) == set(alone)
    for name, tensor in alone.items():
        torch.testing.assert_close(itself[name], tensor)
        for found, share in ((middle, 0.5), (near, 0.2)):
            expected = (1 - share) * tensor.float() + share * others[name].float()
            torch.testing.assert_close(found[name].float(), expected, rtol=0, atol=4e-3)
    assert cards["near"].figures["trained"]["mean_with"] == {"run": "other", "share": 0.2}
    assert "mean_with" not in cards["alone"].figures["trained"]


@pytest.mark.parametrize("what", ["network", "tokenizer"])
def test_runs_that_cannot_be_averaged_are_refused(
    what: str, trained_run: Path, about_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained_run, other)
    if what == "network":
        config = json.loads((other / "config.json").read_text())
        config["network"]["presence"] = {}
        (other / "config.json").write_text(json.dumps(config))
    else:
        (other / "tokenizer.json").write_text("{}")
    given = [*arguments(trained_run, about_file, tmp_path / "out"), "--mean-with", str(other)]
    assert main(given) == 2
    assert f"another {what}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(share: float, trained_run: Path, about_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"between 0 and 1, got {share}"):
        export(trained_run, about_file, tmp_path / "out", mean_with=trained_run, share=share)
