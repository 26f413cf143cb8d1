"""The weights store: found by name, folder or file; verified; every fault is one sentence; no network."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from Testing.lib import tiny
from TextGuidedSegLib.errors import WeightsError
from TextGuidedSegLib.home import HOME_VARIABLE
from TextGuidedSegLib.weights import (
    CARD_FILE,
    LICENSE_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    DecisionConfig,
    Model,
    file_sha256,
    find_model,
    hashes,
    list_models,
    load_network,
    model_folders,
    read_model,
    verify,
    write_card,
)


@pytest.fixture
def model_copy(tiny_model: Path, tmp_path: Path) -> Path:
    """A model folder that a test may damage."""
    return Path(shutil.copytree(tiny_model, tmp_path / "home" / "models" / "tiny-film"))


@pytest.fixture
def home(model_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TEXTGUIDEDSEG_HOME with the copied model."""
    folder = model_copy.parent.parent
    monkeypatch.setenv(HOME_VARIABLE, str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection fails."""

    def refuse(*_arguments: object) -> None:
        message = "the weights store opened a connection"
        raise AssertionError(message)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def edit_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    card = json.loads((folder / CARD_FILE).read_text())
    change(card)
    (folder / CARD_FILE).write_text(json.dumps(card))
    return folder


def vouch(folder: Path) -> Path:
    """Make the card agree with the files as they are now."""
    return edit_card(folder, lambda card: card["sha256"].update(hashes(folder)))


class TestFinding:
    def test_by_folder_and_by_weights_file(self, tiny_model: Path) -> None:
        by_folder = find_model(tiny_model)
        assert by_folder.card.name == "tiny-film"
        assert by_folder == find_model(str(tiny_model)) == find_model(tiny_model / WEIGHTS_FILE)

    @pytest.mark.usefixtures("home")
    def test_by_name_in_the_home_folder(self, model_copy: Path) -> None:
        assert find_model("tiny-film").folder == model_copy
        assert [model.card.name for model in list_models() if model.folder == model_copy] == ["tiny-film"]

    def test_the_home_folder_goes_first_and_the_package_last(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(HOME_VARIABLE, raising=False)
        (packaged,) = model_folders()
        assert packaged.parts[-3:] == ("TextGuidedSegLib", "data", "models")
        monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
        assert model_folders() == (tmp_path / "models", packaged)

    def test_the_own_model_hides_the_packaged_one_of_the_same_name(
        self, home: Path, model_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        packaged = Path(shutil.copytree(model_copy, tmp_path / "package" / "tiny-film"))
        folders = (home / "models", packaged.parent)
        monkeypatch.setattr("TextGuidedSegLib.weights.model_folders", lambda: folders)
        assert find_model("tiny-film").folder == model_copy
        assert [model.folder for model in list_models()] == [model_copy]

    @pytest.mark.usefixtures("home")
    def test_a_wrong_name_suggests_the_nearest(self) -> None:
        with pytest.raises(
            WeightsError, match=r"no model 'tiny-flim'; did you mean 'tiny-film'\? Installed.*tiny-film"
        ):
            find_model("tiny-flim")

    @pytest.mark.usefixtures("home")
    @pytest.mark.parametrize("name", ["", "/no/such/folder", "x" * 5000, "bert-base-uncased"])
    def test_a_name_like_no_other_lists_what_there_is(self, name: str) -> None:
        with pytest.raises(WeightsError, match=r"there is no model '.*'\. Installed models: .*tiny-film.*looked in"):
            find_model(name)

    def test_no_models_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("TextGuidedSegLib.weights.model_folders", lambda: (tmp_path / "models",))
        assert list_models() == ()
        with pytest.raises(WeightsError, match="Installed models: none"):
            find_model("chest-xray")

    def test_another_weights_file_in_the_folder_is_not_taken_for_the_model(self, model_copy: Path) -> None:
        other = model_copy / "other.safetensors"
        shutil.copy(model_copy / WEIGHTS_FILE, other)
        with pytest.raises(WeightsError, match="there is no model"):
            find_model(other)


class TestCard:
    def test_there_and_back(self, tiny_model: Path, tmp_path: Path) -> None:
        model = read_model(tiny_model)
        write_card(tmp_path, model.card)
        assert read_model(tmp_path).card == model.card
        assert [path.name for path in tmp_path.iterdir()] == [CARD_FILE]
        assert model.card.network == tiny.FILM_NETWORK
        assert model.card.decision == DecisionConfig()

    def test_size_and_terms(self, tiny_model: Path) -> None:
        model = read_model(tiny_model)
        assert model.size_bytes == (tiny_model / WEIGHTS_FILE).stat().st_size
        assert "Made for a test" in model.license_text

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda card: card.update(modality=["CR"]), "unknown key 'modality' .* did you mean 'modalities'"),
            (lambda card: card["network"]["backbone"].update(filter=[8]), "'filter' in .*network.backbone.*'filters'"),
            (lambda card: card["decision"].update(treshold=0.5), "did you mean 'threshold'"),
            (lambda card: card.pop("license"), "lacks license"),
            (lambda card: card.update(kinds="film"), "kinds must be a list, got 'film'"),
            (lambda card: card.update(network=None), "network must be a JSON object, got None"),
            (lambda card: card.update(image_channels="1"), "image_channels must be int, got '1'"),
        ],
    )
    def test_a_fault_is_named(self, change: Callable[[dict[str, Any]], object], message: str, model_copy: Path) -> None:
        edit_card(model_copy, change)
        with pytest.raises(WeightsError, match=rf"card\.json is not a readable model card: .*{message}.*; install"):
            find_model(model_copy)

    @pytest.mark.parametrize("content", [b"", b"[]", b'"text"', b"{", b"\xff\xfe\x00", b"{}"])
    def test_a_file_that_is_no_card(self, content: bytes, model_copy: Path) -> None:
        (model_copy / CARD_FILE).write_bytes(content)
        with pytest.raises(WeightsError, match="not a readable model card"):
            find_model(model_copy)

    @pytest.mark.usefixtures("home")
    def test_a_broken_card_among_the_installed_ones_is_not_passed_over(self, model_copy: Path) -> None:
        (model_copy / CARD_FILE).write_text("{")
        with pytest.raises(WeightsError, match="not a readable model card"):
            list_models()

    def test_a_folder_without_a_card_is_told_from_a_name(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match=r"has no card\.json, so it is no model"):
            find_model(tmp_path)

    @pytest.mark.usefixtures("home")
    def test_a_broken_card_keeps_no_other_model_from_being_found_by_name(self, model_copy: Path) -> None:
        (model_copy / CARD_FILE).write_text("{")
        assert find_model("chest-xray").card.name == "chest-xray"
        with pytest.raises(WeightsError, match="not a readable model card"):
            find_model("tiny-film")


class TestVerification:
    def test_the_files_as_written_pass(self, tiny_model: Path) -> None:
        verify(read_model(tiny_model))

    def test_sha256_is_the_standard_one(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"abc")
        assert file_sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    @pytest.mark.parametrize("file", [WEIGHTS_FILE, TOKENIZER_FILE])
    @pytest.mark.parametrize("damage", ["one bit", "cut off", "longer", "empty"])
    def test_a_changed_file_is_refused(self, file: str, damage: str, model_copy: Path) -> None:
        path = model_copy / file
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        changed = {"one bit": data, "cut off": data[:-20], "longer": data + b" ", "empty": b""}[damage]
        path.write_bytes(changed)
        with pytest.raises(
            WeightsError, match=rf"{file} has the SHA-256 .*card says .* was changed or cut off; install"
        ):
            load_network(read_model(model_copy))

    @pytest.mark.parametrize("file", [WEIGHTS_FILE, TOKENIZER_FILE, LICENSE_FILE])
    def test_a_missing_file_is_refused(self, file: str, model_copy: Path) -> None:
        (model_copy / file).unlink()
        with pytest.raises(WeightsError, match=rf"model 'tiny-film' lacks .*{file}; install the model again"):
            load_network(read_model(model_copy))

    @pytest.mark.parametrize("attribute", ["size_bytes", "license_text"])
    def test_what_a_file_would_tell_is_refused_without_it(
        self, attribute: str, tmp_path: Path, tiny_model: Path
    ) -> None:
        model = Model(tmp_path, read_model(tiny_model).card)
        with pytest.raises(WeightsError, match="lacks"):
            getattr(model, attribute)

    def test_a_card_that_vouches_for_nothing(self, model_copy: Path) -> None:
        edit_card(model_copy, lambda card: card.update(sha256={}))
        with pytest.raises(WeightsError, match="card says None"):
            verify(read_model(model_copy))


@pytest.mark.parametrize("file", sorted(model_folders()[-1].rglob(WEIGHTS_FILE)), ids=lambda file: file.parent.name)
def test_every_shipped_number_is_finite(file: Path) -> None:
    for name, tensor in load_file(file).items():
        assert tensor.isfinite().all(), f"{name} silences a channel or spoils the map"


class TestLoading:
    def test_the_loaded_network_is_the_saved_one(self, tiny_model: Path) -> None:
        net, tokenizer = load_network(find_model(tiny_model))
        saved = tiny.network()
        assert not net.training
        assert {one.dtype for one in net.parameters()} == {torch.float32}
        image, tokens = torch.randn(1, 1, 40, 33), tokenizer(["left lung opacity"])
        with torch.no_grad():
            torch.testing.assert_close(net(image, tokens).logits, saved(image, tokens).logits, atol=0, rtol=0)

    def test_each_tensor_is_stored_once_and_a_file_with_both_names_loads_too(self, model_copy: Path) -> None:
        once, tokenizer = load_network(find_model(model_copy))
        in_memory = sum(one.numel() for one in once.parameters())
        in_file = sum(one.numel() for one in load_file(model_copy / WEIGHTS_FILE).values())
        assert in_memory <= in_file < 1.1 * in_memory
        state = {name: one.clone() for name, one in once.state_dict().items()}
        save_file(state, model_copy / WEIGHTS_FILE)
        twice, _ = load_network(read_model(vouch(model_copy)))
        image, tokens = torch.randn(1, 1, 40, 33), tokenizer(["left lung opacity"])
        with torch.no_grad():
            torch.testing.assert_close(once(image, tokens).logits, twice(image, tokens).logits, atol=0, rtol=0)

    def test_half_precision_on_disk_is_single_precision_in_memory(self, model_copy: Path) -> None:
        state = {name: one.half() for name, one in load_file(model_copy / WEIGHTS_FILE).items()}
        save_file(state, model_copy / WEIGHTS_FILE)
        net, _ = load_network(read_model(vouch(model_copy)))
        assert {one.dtype for one in net.parameters()} == {torch.float32}

    @pytest.mark.parametrize(
        "change",
        [
            lambda network: network["backbone"].update(filters=[8, 16, 24]),
            lambda network: network["backbone"].update(filters=[8, 16, 16, 16]),
            lambda network: network["backbone"].update(filters=[8]),
            lambda network: network["backbone"].update(name="unet"),
            lambda network: network["pseudo_image"].update(channels=3),
            lambda network: network["pseudo_image"].update(heads=3),
            lambda network: network["text"].update(heads=5),
            lambda network: network["text"].update(layers=2),
            lambda network: network.update(spatial_dims=3),
        ],
    )
    def test_weights_of_another_network_are_refused(
        self, change: Callable[[dict[str, Any]], object], model_copy: Path
    ) -> None:
        edit_card(model_copy, lambda card: change(card["network"]))
        with pytest.raises(
            WeightsError, match=r"weights\.safetensors does not fit the network of its card: .+"
        ) as caught:
            load_network(read_model(model_copy))
        assert "\n" not in str(caught.value)

    def test_a_vouched_file_that_is_no_safetensors_file(self, model_copy: Path) -> None:
        (model_copy / WEIGHTS_FILE).write_bytes(b"\x80\x04 not safetensors")
        with pytest.raises(WeightsError, match="does not fit the network of its card"):
            load_network(read_model(vouch(model_copy)))

    def test_missing_and_surplus_tensors_are_refused(self, model_copy: Path) -> None:
        state = load_file(model_copy / WEIGHTS_FILE)
        lacking = {name: one for name, one in state.items() if name != "generator.head.bias"}
        for changed in (lacking, state | {"surplus": torch.zeros(1)}):
            save_file(changed, model_copy / WEIGHTS_FILE)
            with pytest.raises(WeightsError, match=r"generator\.head\.bias|surplus"):
                load_network(read_model(vouch(model_copy)))
