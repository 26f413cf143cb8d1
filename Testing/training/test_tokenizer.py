"""The subword tokenizer spells every Latin word and forgets none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from training import grammar
from training.tokenizer import train_tokenizer

PHRASES = grammar.corpus(300)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(PHRASES, 400)


# Hypothesis gives no function-scoped fixtures to many cases; a module's is the same in all of them.
@given(word=st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=30))
def test_any_latin_word_has_a_spelling(tokenizer: Tokenizer, word: str) -> None:
    encoded = tokenizer.encode(word)
    assert "[UNK]" not in encoded.tokens
    assert tokenizer.decode(encoded.ids) == word


@pytest.mark.parametrize(
    ("phrase", "decoded"),
    [
        ("left lower lung opacity", "left lower lung opacity"),
        ("LEFT Lung", "left lung"),
        ("Ödème à gauche", "odeme a gauche"),
        ("q" * 400, "q" * 400),
    ],
)
def test_case_and_accents_fold_and_nothing_is_too_long(tokenizer: Tokenizer, phrase: str, decoded: str) -> None:
    encoded = tokenizer.encode(phrase)
    assert "[UNK]" not in encoded.tokens
    assert tokenizer.decode(encoded.ids) == decoded


@pytest.mark.parametrize("phrase", ["covid-19, both lungs.", "upper/middle (left)", "lung: 50% of it; why? yes!"])
def test_punctuation_has_a_spelling(tokenizer: Tokenizer, phrase: str) -> None:
    encoded = tokenizer.encode(phrase)
    assert "[UNK]" not in encoded.tokens
    assert tokenizer.decode(encoded.ids).replace(" ", "") == phrase.replace(" ", "")


def test_a_phrase_has_a_start_and_an_end(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("left lung").tokens == ["[CLS]", "left", "lung", "[SEP]"]
    assert tokenizer.encode("").tokens == ["[CLS]", "[SEP]"]


@pytest.mark.parametrize("word", ["left", "right", "upper", "middle", "lower", "lung", "and"])
def test_a_word_that_decides_is_one_token(tokenizer: Tokenizer, word: str) -> None:
    assert len(tokenizer.encode(word, add_special_tokens=False).ids) == 1


def test_the_vocabulary_keeps_its_size_and_is_the_same_every_time(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_vocab_size() <= 400
    assert tokenizer.token_to_id("[PAD]") == 0
    assert train_tokenizer(PHRASES, 400).to_str() == tokenizer.to_str()
