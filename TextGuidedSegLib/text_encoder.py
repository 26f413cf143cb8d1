"""Phrases to token states: a compact BERT trained with the network, or any encoder of `transformers` by name."""

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


class Tokens(NamedTuple):
    """Token ids and the mask of the true ones.

    Attributes:
        ids: `(B, T)` int64.
        mask: `(B, T)` bool, False on padding.
    """

    ids: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> Tokens:
        """The same tokens on another device."""
        return Tokens(self.ids.to(device), self.mask.to(device))


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
        encoded = self._tokenizer(list(phrases), padding=True, return_tensors="pt")
        ids, mask = encoded["input_ids"], encoded["attention_mask"].bool()
        if ids.shape[1] > self.max_tokens:
            longest = phrases[int(mask.sum(dim=1).argmax())]
            msg = (
                f"the phrase {longest[:40]!r}... has {ids.shape[1]} tokens, the text encoder reads {self.max_tokens}; "
                "shorten it or split it into several phrases"
            )
            raise PhraseError(msg)
        return Tokens(ids, mask)


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
