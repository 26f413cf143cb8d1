"""A run that goes on from the weights of another one or of a model, with more parts, other words, another encoder."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import load_file

from Testing.training.tiny import Sources, assert_equal, steps
from TextGuidedSegLib.config import (
    BackboneConfig,
    ContrastiveAlignmentConfig,
    NetworkConfig,
    SymmetricAlignmentConfig,
)
from TextGuidedSegLib.efficientnet_lite import encoder_weights
from TextGuidedSegLib.errors import WeightsError
from training.checkpoint import load_checkpoint
from training.config import TrainConfig
from training.tokenizer import train_tokenizer
from training.train import Run, main, train

PHRASES = ("left lower lung opacity", "right lung")


def combined(network: NetworkConfig) -> NetworkConfig:
    return dataclasses.replace(
        network,
        alignment=SymmetricAlignmentConfig(levels=(1, 2), width=16),
        contrast=ContrastiveAlignmentConfig(levels=(0, 1, 2), enhanced_levels=(0, 1), width=16),
    )


@pytest.fixture
def first(config: TrainConfig, run_folder: Path, sources: Sources) -> Run:
    """A run of a few steps with its checkpoint."""
    run = Run(config, run_folder)
    steps(run, sources, 3)
    run.save()
    return run


@pytest.fixture
def next_folder(tmp_path: Path, tokenizer_file: Path) -> Path:
    folder = tmp_path / "runs" / "next"
    folder.mkdir(parents=True)
    shutil.copy(tokenizer_file, folder)
    return folder


def answer(run: Run) -> torch.Tensor:
    image = torch.linspace(-1, 1, 2 * 64 * 64).reshape(2, 1, 64, 64)
    with torch.no_grad():
        logits: torch.Tensor = run.average.network(image, run.tokenizer(PHRASES)).logits
    return logits


class TestParts:
    PARTS = ("text_encoder.", "backbone.output_block.")

    def test_only_named_parts_change_and_no_running_mean_elsewhere(
        self, first: Run, next_folder: Path, sources: Sources
    ) -> None:
        run = Run(dataclasses.replace(first.config, seed=5, train_parts=self.PARTS), next_folder)
        run.start_from(first.folder / "checkpoint.pt")
        before = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
        steps(run, sources, 3)
        for network in (run.network, run.average.network):
            for name, tensor in network.state_dict().items():
                assert name.startswith(self.PARTS) or torch.equal(tensor, before[name]), name
        changed = {name for name, tensor in run.network.state_dict().items() if not torch.equal(tensor, before[name])}
        assert all(any(name.startswith(part) for name in changed) for part in self.PARTS)

    def test_such_a_run_resumes_to_the_bit(self, config: TrainConfig, run_folder: Path, sources: Sources) -> None:
        whole = Run(dataclasses.replace(config, train_parts=self.PARTS), run_folder)
        steps(whole, sources, 2)
        whole.save()
        steps(whole, sources, 2)
        resumed = Run(whole.config, run_folder)
        resumed.resume()
        steps(resumed, sources, 2)
        assert_equal(dict(resumed.network.state_dict()), dict(whole.network.state_dict()))

    def test_a_part_that_is_none_is_told_with_those_there_are(self, config: TrainConfig, run_folder: Path) -> None:
        message = r"\['decoder.'\] begin the name of no parameter .* its parts are text_encoder, .*backbone"
        with pytest.raises(ValueError, match=message):
            Run(dataclasses.replace(config, train_parts=("text_encoder.", "decoder.")), run_folder)


class TestWeights:
    def test_the_same_network_goes_on_where_the_averaged_weights_are(self, first: Run, next_folder: Path) -> None:
        run = Run(dataclasses.replace(first.config, seed=5), next_folder)
        run.start_from(first.folder / "checkpoint.pt")
        assert run.step == 0
        assert_equal(dict(run.network.state_dict()), dict(first.average.network.state_dict()))
        assert_equal(dict(run.average.network.state_dict()), dict(first.average.network.state_dict()))

    def test_more_parts_change_nothing_at_the_start(self, first: Run, next_folder: Path) -> None:
        config = dataclasses.replace(first.config, network=combined(first.config.network), seed=5)
        run = Run(config, next_folder)
        assert (answer(run) - answer(first)).abs().max() > 1e-2
        run.start_from(first.folder / "checkpoint.pt")
        torch.testing.assert_close(answer(run), answer(first), atol=1e-4, rtol=1e-4)

    def test_neighboring_slices_change_nothing_at_the_start(self, first: Run, next_folder: Path) -> None:
        network = dataclasses.replace(first.config.network, image_channels=3)
        preprocessing = dataclasses.replace(first.config.preprocessing, neighbor_slices=True)
        run = Run(dataclasses.replace(first.config, network=network, preprocessing=preprocessing, seed=5), next_folder)
        run.start_from(first.folder / "checkpoint.pt")
        image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        words = run.tokenizer(PHRASES)
        with torch.no_grad():
            seen, alone = run.average.network(image, words), first.average.network(image[:, 1:2], words)
        torch.testing.assert_close(seen.logits, alone.logits, atol=1e-5, rtol=1e-5)

    def test_layers_of_another_size_start_at_random(self, first: Run, next_folder: Path) -> None:
        network = dataclasses.replace(first.config.network, pseudo_image=None)
        run = Run(dataclasses.replace(first.config, network=network, seed=5), next_folder)
        before = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
        run.start_from(first.folder / "checkpoint.pt")
        theirs, ours = first.average.network.state_dict(), run.network.state_dict()
        taken = {name for name in ours if name in theirs and theirs[name].shape == ours[name].shape}
        assert taken
        assert taken != set(ours)
        for name, tensor in ours.items():
            assert torch.equal(tensor, theirs[name] if name in taken else before[name]), name

    def test_a_text_encoder_of_another_vocabulary_is_not_taken_over(
        self, first: Run, next_folder: Path, tmp_path: Path
    ) -> None:
        other = tmp_path / "other.json"
        train_tokenizer([*PHRASES, "quite other words"], first.tokenizer.vocabulary_size).save(str(other))
        run = Run(dataclasses.replace(first.config, seed=5), next_folder)
        shutil.copy(other, next_folder / "tokenizer.json")
        before = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
        run.start_from(first.folder / "checkpoint.pt")
        theirs = first.average.network.state_dict()
        for name, tensor in run.network.state_dict().items():
            expected = before if name.startswith("text_encoder.") else theirs
            assert torch.equal(tensor, expected[name]), name

    def test_nothing_in_common_is_refused(self, first: Run, next_folder: Path) -> None:
        state = load_checkpoint(first.folder / "checkpoint.pt")
        torch.save({**state, "average": {"other": torch.zeros(3)}}, first.folder / "checkpoint.pt")
        run = Run(first.config, next_folder)
        before = answer(run)
        with pytest.raises(ValueError, match=r"checkpoint\.pt cannot be started from: .* no tensor in common"):
            run.start_from(first.folder / "checkpoint.pt")
        assert torch.equal(answer(run), before)


class TestModel:
    def test_a_shipped_model_is_a_start_too(self, config: TrainConfig, run_folder: Path, model_folder: Path) -> None:
        run = Run(dataclasses.replace(config, seed=5), run_folder)
        run.start_from(model_folder)
        shipped = load_file(model_folder / "weights.safetensors")
        for network in (run.network, run.average.network):
            state = network.state_dict()
            assert {state[name].dtype for name in shipped} <= {torch.float32, torch.int64}
            assert all(torch.equal(state[name], tensor.to(state[name].dtype)) for name, tensor in shipped.items())

    def test_a_model_that_was_changed_is_refused(
        self, config: TrainConfig, run_folder: Path, model_folder: Path
    ) -> None:
        with (model_folder / "weights.safetensors").open("ab") as file:
            file.write(b"more")
        with pytest.raises(WeightsError, match="the file was changed"):
            Run(config, run_folder).start_from(model_folder)


class TestEncoder:
    @pytest.fixture
    def pictures(self, tmp_path: Path) -> Path:
        """Weights as the package of pretrained ones has them, but random."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            torch.save(EfficientNet.from_name("efficientnet-lite0").state_dict(), tmp_path / "pictures.pth")
        return tmp_path / "pictures.pth"

    @pytest.fixture
    def network(self, config: TrainConfig) -> NetworkConfig:
        return dataclasses.replace(
            config.network,
            backbone=BackboneConfig("efficientnet_lite", (8, 8, 16, 16, 16)),
            alignment=None,
            contrast=None,
        )

    def test_only_the_encoder_begins_with_pictures(
        self, config: TrainConfig, network: NetworkConfig, next_folder: Path, pictures: Path
    ) -> None:
        run = Run(dataclasses.replace(config, network=network), next_folder)
        before = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
        run.start_encoder(str(pictures))
        given = encoder_weights(torch.load(pictures, weights_only=True), 1, 3)
        for owner in (run.network, run.average.network):
            for name, tensor in owner.state_dict().items():
                assert torch.equal(tensor, given.get(name.removeprefix("backbone."), before[name])), name

    def test_a_run_can_begin_so_and_resume(
        self, config: TrainConfig, network: NetworkConfig, next_folder: Path, pictures: Path
    ) -> None:
        begun = dataclasses.replace(config, network=network, encoder_from=str(pictures), name="next", steps=1)
        train(begun, next_folder)
        pictures.unlink()
        train(dataclasses.replace(begun, steps=2), next_folder)
        assert load_checkpoint(next_folder / "checkpoint.pt")["step"] == 2

    def test_another_backbone_has_no_such_encoder(self, config: TrainConfig, run_folder: Path, pictures: Path) -> None:
        with pytest.raises(ValueError, match="encoder_from is for the backbone efficientnet_lite, got dynunet"):
            Run(config, run_folder).start_encoder(str(pictures))

    def test_a_broken_file_and_the_weights_of_a_sibling_are_refused(
        self, config: TrainConfig, network: NetworkConfig, run_folder: Path, pictures: Path
    ) -> None:
        run = Run(dataclasses.replace(config, network=network), run_folder)
        wider = EfficientNet.from_name("efficientnet-lite2").state_dict()
        torch.save(wider, pictures)
        with pytest.raises(ValueError, match="another network than EfficientNet-Lite0: its kernels have other sizes"):
            run.start_encoder(str(pictures))
        pictures.write_bytes(pictures.read_bytes()[:1000])
        with pytest.raises(ValueError, match=r"pictures\.pth is no file of weights that torch can read"):
            run.start_encoder(str(pictures))

    @pytest.mark.parametrize("source", ["no_such_package_of_weights", "no/such/file.pth", "json"])
    def test_weights_that_are_not_there(
        self, config: TrainConfig, network: NetworkConfig, run_folder: Path, source: str
    ) -> None:
        run = Run(dataclasses.replace(config, network=network), run_folder)
        with pytest.raises(ValueError, match=f"neither a file nor an installed package .*, got '{source}'; install"):
            run.start_encoder(source)


class TestCommand:
    def test_only_the_first_step_starts_from_it(self, first: Run, next_folder: Path) -> None:
        config = dataclasses.replace(
            first.config, name="next", steps=2, seed=5, start_from=str(first.folder / "checkpoint.pt")
        )
        half = Path(shutil.copytree(next_folder, next_folder.parent / "half"))
        train(config, next_folder)
        interrupted = Run(config, half)
        interrupted.start_from(Path(config.start_from))
        interrupted.save()
        train(config, half)
        whole, resumed = (load_checkpoint(folder / "checkpoint.pt")["network"] for folder in (next_folder, half))
        assert_equal(whole, resumed)

    def test_a_missing_checkpoint_is_bad_input(
        self, config: TrainConfig, run_folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["--runs", str(run_folder.parent), "--name", run_folder.name, "--device", "cpu"]
        for name, index in (("infection", config.data.chest_infection), ("structures", config.data.chest_structures)):
            arguments += [f"--data.chest_{name}", index]
        assert main([*arguments, "--start_from", "nowhere.pt"]) == 2
        assert "nowhere.pt" in capsys.readouterr().err
        assert not (run_folder / "config.json").exists()
