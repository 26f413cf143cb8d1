"""The weights store: which models there are, where they lie, and whether their files are the ones that were published.

A model is a folder with `card.json`, `weights.safetensors`, `tokenizer.json` and `LICENSE.txt`. Models come with the
package; more are looked for in `$TEXTGUIDEDSEG_HOME/models`. Nothing here touches a network, and torch is imported only
by `load_network`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from TextGuidedSegLib.config import NetworkConfig, from_json_dict, to_json_dict
from TextGuidedSegLib.errors import WeightsError
from TextGuidedSegLib.familiarity import FamiliarityConfig
from TextGuidedSegLib.home import home_folder
from TextGuidedSegLib.preprocessing import PreprocessingConfig

if TYPE_CHECKING:
    from TextGuidedSegLib.network import FusedNetwork
    from TextGuidedSegLib.text_encoder import PhraseTokenizer

CARD_FILE, WEIGHTS_FILE, TOKENIZER_FILE, LICENSE_FILE = (
    "card.json",
    "weights.safetensors",
    "tokenizer.json",
    "LICENSE.txt",
)
_PACKAGED = Path(__file__).parent / "data" / "models"


@dataclasses.dataclass(frozen=True)
class DecisionConfig:
    """How probabilities become an answer; every number was fixed on the development split.

    Attributes:
        threshold: Probability from which a voxel belongs to the segment.
        presence_scale: Presence is the sigmoid of this times the evidence (`presence.presence_evidence`) ...
        presence_offset: ... plus this.
        not_found_below: Presence under which the answer is *not found*.
        found_above: Presence from which the answer is *found*; in between it is *unsure*.
        pseudo_threshold: Threshold of the pseudo-image where it is scored or drawn as a mask.
        mirror_average: Average with the mirrored image and mirrored words, which makes left and right exactly equal.
        evidence_mm3: Volume whose highest logits are the evidence for presence; None for a hundredth of the image.
        single_piece: What one phrase names is one piece: of a volume's result the largest is kept.
    """

    threshold: float = 0.5
    presence_scale: float = 1.0
    presence_offset: float = 0.0
    not_found_below: float = 0.4
    found_above: float = 0.6
    pseudo_threshold: float = 0.3
    mirror_average: bool = True
    evidence_mm3: float | None = None
    single_piece: bool = False


@dataclasses.dataclass(frozen=True)
class FieldOfView:
    """How large a part of the patient a model expects to see around some structures.

    Attributes:
        structures: Their names in the vocabulary; empty for all others.
        largest_mm: Longest side of the image or of the region of interest.
    """

    structures: tuple[str, ...]
    largest_mm: float


@dataclasses.dataclass(frozen=True)
class ThickSlices:
    """A part of a model that reads thick slices one by one: between such slices a network of volumes sees no more.

    Attributes:
        folder: Where it lies in the model's folder; a model of its own, with its own card.
        left_to_volumes: Names in the vocabulary of structures that the network of volumes answers for in any volume;
            all other phrases, also those for nothing that is there, are for this part where slices are thick.
    """

    folder: str
    left_to_volumes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """What a model is, what it expects and under which terms.

    Attributes:
        name: Name to ask for it by.
        version: Version of the weights.
        summary: One sentence for people.
        kinds: Image kinds it reads: `film`, `volume`. A network of films that says `volume` reads it slice by slice.
        modalities: DICOM modalities it reads; an image that does not say its modality is accepted.
        image_channels: 1 for grey, 3 for color.
        reads_grey: Trained on grey films too, their values repeated in each channel; a color model that is not refuses
            them.
        phrases: Examples of what it was trained to find.
        network: Network configuration.
        preprocessing: Preprocessing of the image.
        decision: Thresholds.
        sha256: Hash of each file.
        license: Short name of the license of the weights; the text is in `LICENSE.txt`.
        research_only: Not a medical device.
        fields_of_view: What a volume may show for which structures: a model that was trained on crops does not find a
            structure in a whole head. Empty for no limit.
        thick_slices: What answers about stacks of thick slices; None for the network itself.
        familiarity: What training images look like, to warn of others; None to say nothing.
        training_data: Data sets and their terms.
        figures: Measured figures with the commands that give them.
        limits: What it does not do.
    """

    name: str
    version: str
    summary: str
    kinds: tuple[str, ...]
    modalities: tuple[str, ...]
    image_channels: int
    phrases: tuple[str, ...]
    network: NetworkConfig
    preprocessing: PreprocessingConfig
    decision: DecisionConfig
    sha256: dict[str, str]
    license: str
    research_only: bool = True
    reads_grey: bool = False
    fields_of_view: tuple[FieldOfView, ...] = ()
    thick_slices: ThickSlices | None = None
    familiarity: FamiliarityConfig | None = None
    training_data: tuple[str, ...] = ()
    figures: dict[str, Any] = dataclasses.field(default_factory=dict)
    limits: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Model:
    """A model on disk whose card was read; its other files are verified when they are loaded.

    Attributes:
        folder: Where its files lie.
        card: What its card says.
    """

    folder: Path
    card: ModelCard

    @property
    def size_bytes(self) -> int:
        """Size of its weights, those of its part for thick slices among them."""
        part = self.for_thick_slices
        return self.file(WEIGHTS_FILE).stat().st_size + (0 if part is None else part.size_bytes)

    @property
    def for_thick_slices(self) -> Model | None:
        """Its part for thick slices, if it has one.

        Raises:
            WeightsError: The card of that part is missing or unreadable.
        """
        part = self.card.thick_slices
        return None if part is None else read_model(self.folder / part.folder)

    @property
    def license_text(self) -> str:
        """The license of the weights."""
        return self.file(LICENSE_FILE).read_text(encoding="utf-8")

    def file(self, name: str) -> Path:
        """Path of one of its files.

        Raises:
            WeightsError: The file is missing.
        """
        path = self.folder / name
        if not path.is_file():
            msg = f"model {self.card.name!r} lacks {path}; install the model again"
            raise WeightsError(msg)
        return path


def model_folders() -> tuple[Path, ...]:
    """Folders in which models are looked for, first match wins."""
    home = home_folder()
    return (_PACKAGED,) if home is None else (home / "models", _PACKAGED)


def list_models() -> tuple[Model, ...]:
    """Every installed model, ordered by name.

    Raises:
        WeightsError: A model folder has an unreadable card.
    """
    found, problems = readable_models()
    if problems:
        raise problems[0]
    return tuple(found[name] for name in sorted(found))


def readable_models() -> tuple[dict[str, Model], tuple[WeightsError, ...]]:
    """Installed models by name, and what is wrong with the cards of others."""
    found: dict[str, Model] = {}
    problems: list[WeightsError] = []
    for parent in reversed(model_folders()):
        for card in sorted(parent.glob(f"*/{CARD_FILE}")):
            try:
                model = read_model(card.parent)
            except WeightsError as error:
                problems.append(error)
            else:
                found[model.card.name] = model
    return found, tuple(problems)


def find_model(name_or_path: str | Path) -> Model:
    """A model by name, by folder, or by its weights file.

    Raises:
        WeightsError: Nothing there; the installed names are listed and the nearest one is suggested.
    """
    path = Path(name_or_path)
    is_folder = False
    with contextlib.suppress(OSError):  # a name too long for a path is no path
        is_folder = path.is_dir()
        if path.name == WEIGHTS_FILE and path.is_file():
            return read_model(path.parent)
        if (path / CARD_FILE).is_file():
            return read_model(path)
    models, problems = readable_models()
    if str(name_or_path) in models:
        return models[str(name_or_path)]
    if problems:  # it may be the one that is asked for
        raise problems[0]
    if is_folder and str(name_or_path):
        msg = f"the folder {path} has no {CARD_FILE}, so it is no model; name the folder that holds the card"
        raise WeightsError(msg)
    nearest = difflib.get_close_matches(str(name_or_path), models, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else "."
    msg = (
        f"there is no model {str(name_or_path)!r}{hint} Installed models: {', '.join(models) or 'none'} "
        f"(looked in {', '.join(str(folder) for folder in model_folders())})"
    )
    raise WeightsError(msg)


def read_model(folder: Path) -> Model:
    """Read the card in a model folder.

    Raises:
        WeightsError: The card is missing, not JSON, or not a model card.
    """
    path = folder / CARD_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Model(folder, from_json_dict(ModelCard, values, where=str(path)))
    except (OSError, ValueError, TypeError) as error:
        msg = f"{path} is not a readable model card: {error}; install the model again or remove its folder"
        raise WeightsError(msg) from error


def verify(model: Model) -> None:
    """Compare the hash of every file with the card.

    Raises:
        WeightsError: A file is missing or differs.
    """
    model.file(LICENSE_FILE)  # weights without their terms are not used
    for file in (WEIGHTS_FILE, TOKENIZER_FILE):
        path = model.file(file)
        expected, found = model.card.sha256.get(file), file_sha256(path)
        if found != expected:
            msg = (
                f"{path} has the SHA-256 {found[:12]}..., its card says {str(expected)[:12]}...: the file was changed "
                "or cut off; install the model again"
            )
            raise WeightsError(msg)


def load_network(model: Model, device: str = "cpu") -> tuple[FusedNetwork, PhraseTokenizer]:
    """Verify and load a model for inference.

    Args:
        model: From `find_model`.
        device: A torch device name.

    Returns:
        The network in float32 and evaluation mode, and its tokenizer.

    Raises:
        WeightsError: A file is missing, was changed, or does not fit the network of the card.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from TextGuidedSegLib.network import FusedNetwork, second_names
    from TextGuidedSegLib.text_encoder import PhraseTokenizer, build_text_encoder

    verify(model)
    config = model.card.network
    tokenizer = PhraseTokenizer.from_file(model.folder / TOKENIZER_FILE, config.text.max_tokens)
    try:
        network = FusedNetwork(config, build_text_encoder(config.text, tokenizer.vocabulary_size))
        state = load_file(model.folder / WEIGHTS_FILE)
        repeated = second_names(network.state_dict()).items()
        state |= {second: state[first] for second, first in repeated if first in state and second not in state}
        network.load_state_dict(state)
    # MONAI and torch refuse sizes that do not fit together with an AssertionError, too.
    except (RuntimeError, ValueError, AssertionError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        msg = f"{model.folder / WEIGHTS_FILE} does not fit the network of its card: {reason}"
        raise WeightsError(msg) from error
    return network.float().eval().to(device), tokenizer


def write_card(folder: Path, card: ModelCard) -> None:
    """Write `card.json` atomically."""
    partial = folder / f"{CARD_FILE}.partial"
    partial.write_text(json.dumps(to_json_dict(card), indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / CARD_FILE)


def hashes(folder: Path) -> Mapping[str, str]:
    """SHA-256 of the files of a model that a card vouches for."""
    return {file: file_sha256(folder / file) for file in (WEIGHTS_FILE, TOKENIZER_FILE)}


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
