"""The tiny data set, written once a session, and a model trained on it for two seconds."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from Testing.training.evaluation import Evaluation
from Testing.training.tiny import Sources, tiny_config, write_lesion_set, write_structure_set
from TextGuidedSegLib.weights import DecisionConfig, find_model, write_card
from training import grammar
from training.config import TrainConfig
from training.export import export
from training.tokenizer import train_tokenizer
from training.train import build_sources, train

ABOUT = {
    "name": "tiny",
    "version": "0.0.1",
    "summary": "A network for tests.",
    "kinds": ["film"],
    "modalities": ["CR", "DX"],
    "image_channels": 1,
    "phrases": ["left lung"],
    "license": "none, for tests only",
}


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Small tensors on one thread: faster than on several, and sums always in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def lesion_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of the tiny lesion set."""
    return write_lesion_set(tmp_path_factory.mktemp("chest_infection"))


@pytest.fixture(scope="session")
def structure_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of the tiny set of films with lungs drawn."""
    return write_structure_set(tmp_path_factory.mktemp("chest_structures"))


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer for runs that should not wait for their own."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer(grammar.corpus(300), 300).save(str(path))
    return path


@pytest.fixture(scope="session")
def config(lesion_index: Path, structure_index: Path) -> TrainConfig:
    """Configuration of a run of some seconds on one processor core."""
    return tiny_config(lesion_index, structure_index)


@pytest.fixture(scope="session")
def sources(config: TrainConfig) -> Sources:
    """What a run of that configuration draws from."""
    return build_sources(config)


@pytest.fixture
def run_folder(tmp_path: Path, tokenizer_file: Path) -> Path:
    """An empty run folder that has its tokenizer already."""
    folder = tmp_path / "runs" / "tiny"
    folder.mkdir(parents=True)
    shutil.copy(tokenizer_file, folder)
    return folder


@pytest.fixture(scope="session")
def about_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an export needs to know besides the run."""
    folder = tmp_path_factory.mktemp("about")
    (folder / "LICENSE.txt").write_text("For tests only.\n", encoding="utf-8")
    (folder / "about.json").write_text(json.dumps(ABOUT), encoding="utf-8")
    return folder / "about.json"


@pytest.fixture(scope="session")
def trained_run(
    tmp_path_factory: pytest.TempPathFactory, tokenizer_file: Path, lesion_index: Path, structure_index: Path
) -> Path:
    """Folder of a finished run; read it only."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copy(tokenizer_file, folder)
    train(tiny_config(lesion_index, structure_index, steps=60), folder)
    return folder


@pytest.fixture(scope="session")
def exported_model(tmp_path_factory: pytest.TempPathFactory, trained_run: Path, about_file: Path) -> Path:
    """Folder of a model; read it only."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    export(trained_run, about_file, folder)
    return folder


@pytest.fixture
def model_folder(tmp_path: Path, exported_model: Path) -> Path:
    """A copy of the model that a test may change."""
    return Path(shutil.copytree(exported_model, tmp_path / "model"))


@pytest.fixture(scope="session")
def loose_model(tmp_path_factory: pytest.TempPathFactory, exported_model: Path) -> Path:
    """A model that always answers with a mask, so that there is something to score."""
    folder = Path(shutil.copytree(exported_model, tmp_path_factory.mktemp("loose") / "tiny"))
    decision = DecisionConfig(threshold=0.3, not_found_below=0.0, found_above=0.01, pseudo_threshold=0.15)
    write_card(folder, dataclasses.replace(find_model(folder).card, decision=decision))
    return folder


@pytest.fixture
def evaluation(loose_model: Path, lesion_index: Path, tmp_path: Path) -> Evaluation:
    """The command on the lesion set."""
    return Evaluation(loose_model, lesion_index, tmp_path)


@pytest.fixture
def structure_evaluation(loose_model: Path, structure_index: Path, tmp_path: Path) -> Evaluation:
    """The command on the set of films with lungs drawn."""
    return Evaluation(loose_model, structure_index, tmp_path)
