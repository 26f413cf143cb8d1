"""Phrases to token states: a compact BERT trained with the network, any encoder of `transformers`, or a plain table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from TextGuidedSegLib.config import TextEncoderConfig
from TextGuidedSegLib.errors import PhraseError, WeightsError
from TextGuidedSegLib.language.units import DIRECTIONS, UNIT_KINDS, Unit
from TextGuidedSegLib.phrase import read_units


class PhraseUnits(NamedTuple):
    """Expressions of B phrases, padded to the longest list of them.

    Attributes:
        members: `(B, K, T)` bool, which tokens form each unit.
        kinds: `(B, K)` int64, index into `language.units.UNIT_KINDS`.
        directions: `(B, K, 7)` float32 in {0, 1}, columns as in `language.units.DIRECTIONS`.
        mask: `(B, K)` bool, False on padding.
    """

    members: Tensor
    kinds: Tensor
    directions: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> PhraseUnits:
        """The same units on another device."""
        return PhraseUnits(*(tensor.to(device) for tensor in self))

    def silenced(self, absent: Tensor) -> PhraseUnits:
        """One description that points nowhere, as an empty phrase has, where `absent` `(B,)` is True."""
        first = torch.arange(self.mask.shape[1], device=absent.device) == 0
        return self._replace(
            kinds=self.kinds.masked_fill(absent[:, None], UNIT_KINDS.index("description")),
            directions=self.directions.masked_fill(absent[:, None, None], 0.0),
            mask=self.mask & (first | ~absent[:, None]),
        )


class Tokens(NamedTuple):
    """Token ids and the mask of the true ones.

    Attributes:
        ids: `(B, T)` int64.
        mask: `(B, T)` bool, False on padding.
        units: Their expressions; only alignment needs them.
    """

    ids: Tensor
    mask: Tensor
    units: PhraseUnits | None = None

    def to(self, device: torch.device) -> Tokens:
        """The same tokens on another device."""
        units = None if self.units is None else self.units.to(device)
        return Tokens(self.ids.to(device), self.mask.to(device), units)


class PhraseTokenizer:
    """Phrases to padded token ids; refuses what would not fit instead of cutting it."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self.max_tokens = max_tokens

    @classmethod
    def from_file(cls, path: str | Path, max_tokens: int) -> PhraseTokenizer:
        """Read a `tokenizer.json` as the `tokenizers` library writes it.

        Raises:
            WeightsError: The file is missing or not a tokenizer.
        """
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for every fault of the file
            msg = f"{path} is not a readable tokenizer.json ({error}); install the model again"
            raise WeightsError(msg) from error
        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
        )
        return cls(fast, max_tokens)

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids."""
        return len(self._tokenizer)

    def knows_a_word(self, phrase: str) -> bool:
        """Whether some word of three letters or more is a subword of its own, so that training has seen it often."""
        words = re.findall(r"[^\W\d_]{3,}", phrase.lower())
        pieces = [self._tokenizer.tokenize(word) for word in words]
        return any(len(piece) == 1 and piece[0] != self._tokenizer.unk_token for piece in pieces)

    def __call__(self, phrases: Sequence[str]) -> Tokens:
        """Tokenize, padded to the longest phrase.

        Args:
            phrases: B normalized phrases. An empty string gives only the two end marks.

        Returns:
            The tokens, T at least 2.

        Raises:
            PhraseError: A phrase has more tokens than the encoder reads.
        """
        encoded = self._tokenizer(list(phrases), padding=True, return_tensors="pt", return_offsets_mapping=True)
        ids, mask = encoded["input_ids"], encoded["attention_mask"].bool()
        if ids.shape[1] > self.max_tokens:
            longest = phrases[int(mask.sum(dim=1).argmax())]
            msg = (
                f"the phrase {longest[:40]!r}... has {ids.shape[1]} tokens, the text encoder reads {self.max_tokens}; "
                "shorten it or split it into several phrases"
            )
            raise PhraseError(msg)
        units = _stack_units([read_units(phrase) for phrase in phrases], encoded["offset_mapping"], mask)
        return Tokens(ids, mask, units)


def _stack_units(units: Sequence[Sequence[Unit]], offsets: Tensor, mask: Tensor) -> PhraseUnits:
    """Units as tensors; a phrase without any word has one description of all its tokens, end marks too."""
    most = max(1, *(len(each) for each in units))
    batch, length = mask.shape
    members = torch.zeros(batch, most, length, dtype=torch.bool)
    kinds = torch.full((batch, most), UNIT_KINDS.index("description"))
    directions = torch.zeros(batch, most, len(DIRECTIONS))
    present = torch.zeros(batch, most, dtype=torch.bool)
    for row, each in enumerate(units):
        present[row, : max(1, len(each))] = True
        if not each:
            members[row, 0] = mask[row]
        starts, ends = offsets[row].unbind(dim=1)
        for column, unit in enumerate(each):
            for start, end in unit.spans:  # a token of a word lies inside it; end marks have no width
                members[row, column] |= (starts >= start) & (ends <= end) & (ends > starts)
            kinds[row, column] = UNIT_KINDS.index(unit.kind)
            directions[row, column] = torch.tensor([float(name in unit.directions) for name in DIRECTIONS])
    # A tokenizer that splits words elsewhere could leave a unit without tokens: it then stands for the whole phrase.
    members |= (~members.any(dim=2, keepdim=True)) & mask[:, None, :]
    return PhraseUnits(members & present[:, :, None], kinds, directions, present)


class TextEncoder(nn.Module):
    """Token states of a BERT-like model, with a learned null for a missing phrase.

    Args:
        model: A transformers encoder that returns `last_hidden_state`.
        embedding_size: Width of its token states.
        frozen: Keep its weights and keep it in evaluation mode also while the rest trains: an encoder left in
            training mode gives randomly perturbed features (dropout) that inference never sees.
    """

    def __init__(self, model: nn.Module, embedding_size: int, *, frozen: bool = False) -> None:
        super().__init__()
        self.model = model
        self.embedding_size = embedding_size
        self.frozen = frozen
        self.null = nn.Parameter(torch.zeros(embedding_size))
        if frozen:
            model.requires_grad_(False).eval()

    @classmethod
    def compact(cls, config: TextEncoderConfig, vocabulary_size: int) -> TextEncoder:
        """A BERT of our own size with random weights."""
        bert = BertConfig(
            vocab_size=vocabulary_size,
            hidden_size=config.embedding_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.feedforward_size,
            max_position_embeddings=config.max_tokens,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            type_vocab_size=1,
        )
        return cls(BertModel(bert, add_pooling_layer=False), config.embedding_size)

    @classmethod
    def from_pretrained(cls, name_or_folder: str, *, frozen: bool = True) -> tuple[TextEncoder, PhraseTokenizer]:
        """A public or local encoder, only when asked for by name; code from the hub is never run.

        Args:
            name_or_folder: A hub name such as `microsoft/BiomedVLP-CXR-BERT-general`, or a folder with a saved model.
            frozen: Keep its weights fixed.

        Returns:
            The encoder and its tokenizer.

        Raises:
            WeightsError: Nothing loadable under that name.
        """
        try:
            model = AutoModel.from_pretrained(name_or_folder, trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(name_or_folder, trust_remote_code=False)
        except (OSError, ValueError) as error:
            msg = (
                f"no text encoder could be loaded from {name_or_folder!r} ({str(error).partition(chr(10))[0]}); "
                "expected a folder made by save_pretrained, or a hub name and a network connection"
            )
            raise WeightsError(msg) from error
        encoder = cls(model, int(model.config.hidden_size), frozen=frozen)
        # RoBERTa counts two positions that no token can have; only its tokenizer knows.
        max_tokens = min(int(model.config.max_position_embeddings), int(tokenizer.model_max_length))
        return encoder, PhraseTokenizer(tokenizer, max_tokens)

    def train(self, mode: bool = True) -> TextEncoder:
        """Training mode for everything but a frozen encoder."""
        super().train(mode)
        if self.frozen:
            self.model.eval()
        return self

    def forward(self, tokens: Tokens, absent: Tensor | None = None) -> Tensor:
        """Token states.

        Args:
            tokens: B phrases of T tokens.
            absent: `(B,)` bool, True where there is no phrase: every token state becomes the learned null.

        Returns:
            `(B, T, E)` float32 states; positions of padding hold numbers without meaning, mask them.
        """
        states: Tensor = self.model(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state
        states = states.float()
        if absent is None:
            return states
        return torch.where(absent[:, None, None], self.null.expand_as(states), states)


class LocationTable(TextEncoder):
    """One learned vector for each set of zones that a phrase names, in the place of all its token states.

    What a text encoder is worth shows beside it: this one knows sides and levels, as the parser read them, and not one
    word more. The zones are a code of six bits, three levels of two sides; a location without a side is on both, one
    without a level on all. Code 0 is a phrase without a location.

    Args:
        embedding_size: Width of a token state.
    """

    _SIDES, _LEVELS = ("left", "right"), ("upper", "middle", "lower")

    def __init__(self, embedding_size: int) -> None:
        super().__init__(nn.Embedding(2 ** (len(self._SIDES) * len(self._LEVELS)), embedding_size), embedding_size)

    def codes(self, units: PhraseUnits) -> Tensor:
        """`(B,)` int64 code of each phrase, from the directions of its units alone."""
        sides, levels = (
            units.directions[..., [DIRECTIONS.index(name) for name in names]] > 0
            for names in (self._SIDES, self._LEVELS)
        )
        is_location = (sides.any(dim=2) | levels.any(dim=2))[..., None, None]
        sides, levels = (named | ~named.any(dim=2, keepdim=True) for named in (sides, levels))
        zones = (is_location & sides[..., :, None] & levels[..., None, :]).any(dim=1).flatten(1)  # (B, 6)
        return (zones.long() << torch.arange(zones.shape[1], device=zones.device)).sum(dim=1)

    def forward(self, tokens: Tokens, absent: Tensor | None = None) -> Tensor:
        """Token states `(B, T, E)`, the same for all tokens of a phrase; see `TextEncoder.forward`.

        Raises:
            ValueError: The tokens came without units.
        """
        if tokens.units is None:
            msg = "a location table needs tokens with units, got None; make them with a PhraseTokenizer"
            raise ValueError(msg)
        state: Tensor = self.model(self.codes(tokens.units))
        if absent is not None:
            state = torch.where(absent[:, None], self.null, state)
        return state[:, None].expand(-1, tokens.ids.shape[1], -1)


def build_text_encoder(config: TextEncoderConfig, vocabulary_size: int) -> TextEncoder:
    """The encoder that a configuration names, with random weights.

    Raises:
        ValueError: There is no such kind.
    """
    if config.kind == "table":
        return LocationTable(config.embedding_size)
    if config.kind != "compact":
        msg = f"the kind of a text encoder must be compact or table, got {config.kind!r}"
        raise ValueError(msg)
    return TextEncoder.compact(config, vocabulary_size)
