"""Train the subword tokenizer of the compact text encoder."""

from __future__ import annotations

import string
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def train_tokenizer(phrases: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """A lower-casing WordPiece tokenizer in which every Latin word has a spelling.

    Args:
        phrases: Text to learn frequent words from.
        vocabulary_size: Largest number of subwords.

    Returns:
        The tokenizer; an unseen word falls apart into known pieces, at worst letters, never into `[UNK]`. Equal phrases
        give equal tokenizers.
    """
    learner = _tokenizer({})
    letters = list(string.ascii_lowercase + string.digits)
    # A letter becomes a word start and a continuation only if the text has it in both places.
    spelled = [f"{first}{second}" for first in letters for second in letters]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary_size,
        # Continuations would else be numbered in the order of a hash table, another one every time.
        special_tokens=[*_SPECIAL, *(f"##{letter}" for letter in letters)],
        initial_alphabet=letters,
        limit_alphabet=200,
        show_progress=False,
    )
    learner.train_from_iterator([*phrases, *spelled, *string.punctuation], trainer)
    tokenizer = _tokenizer(learner.get_vocab())
    tokenizer.add_special_tokens(_SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    )
    return tokenizer


def _tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=500))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer
