"""Phrases to token states: padding and absence, frozen encoders, public encoders by name, and no silent cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from Testing.lib import tiny
from TextGuidedSegLib.errors import PhraseError, WeightsError
from TextGuidedSegLib.language.units import DIRECTIONS, UNIT_KINDS
from TextGuidedSegLib.phrase import read_units
from TextGuidedSegLib.text_encoder import PhraseTokenizer, TextEncoder, Tokens

SHORT, LONG = "left lung", "right lower lung infection and left upper lung opacity"


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> PhraseTokenizer:
    return tiny.phrase_tokenizer(tiny_model)


@pytest.fixture(scope="module")
def encoder(tokenizer: PhraseTokenizer) -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder.compact(tiny.FILM_NETWORK.text, tokenizer.vocabulary_size).eval()


@pytest.fixture(scope="module")
def saved_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT with its tokenizer as `save_pretrained` leaves them."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(1)
    words = PreTrainedTokenizerFast(
        tokenizer_object=tiny.tokenizer(), pad_token="[PAD]", unk_token="[UNK]", model_max_length=24
    )
    config = BertConfig(
        vocab_size=len(words), hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=40,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


class TestTokenizer:
    def test_phrases_are_padded_to_the_longest(self, tokenizer: PhraseTokenizer) -> None:
        tokens = tokenizer([SHORT, LONG, ""])
        assert tokens.ids.shape == tokens.mask.shape
        assert (tokens.ids.dtype, tokens.mask.dtype) == (torch.int64, torch.bool)
        assert tokens.mask.sum(dim=1).tolist() == [4, tokens.ids.shape[1], 2]  # two words, two end marks
        assert (tokens.mask[:, :-1] >= tokens.mask[:, 1:]).all(), "padding comes last"

    def test_case_and_spaces_change_nothing(self, tokenizer: PhraseTokenizer) -> None:
        assert tokenizer(["Left  LUNG"]).ids.tolist() == tokenizer(["left lung"]).ids.tolist()

    @pytest.mark.parametrize(
        "phrase", ["pneumomediastinum", "zyxwvut", "q", "x" * 500, "grade 3b, 17.5 mm (new?)", "é naïve"]
    )
    def test_an_unseen_word_falls_apart_and_is_never_lost(self, phrase: str, tokenizer: PhraseTokenizer) -> None:
        unknown = tiny.tokenizer().token_to_id("[UNK]")
        ids = tokenizer([phrase]).ids
        assert unknown not in ids
        assert ids.shape[1] > 2

    def test_two_unseen_words_stay_different(self, tokenizer: PhraseTokenizer) -> None:
        assert tokenizer(["zebra"]).ids.tolist() != tokenizer(["zebru"]).ids.tolist()

    def test_too_many_tokens_are_refused_and_not_cut(self, tiny_model: Path) -> None:
        few = tiny.phrase_tokenizer(tiny_model, max_tokens=6)
        assert few(["left lower lung opacity"]).ids.shape == (1, 6)
        with pytest.raises(PhraseError, match=r"'right lower lung .*\.\.\. has \d+ tokens.* reads 6; shorten"):
            few([SHORT, LONG])

    def test_it_knows_frequent_words_and_no_others(self, tokenizer: PhraseTokenizer) -> None:
        assert tokenizer.knows_a_word("what about the LUNG")
        for phrase in ("xylophone", "of 12 mm", "легкое", "左肺", "", "a b c"):
            assert not tokenizer.knows_a_word(phrase), phrase

    @pytest.mark.parametrize("content", [None, "", "{}", "no json"])
    def test_a_file_that_is_no_tokenizer(self, content: str | None, tmp_path: Path) -> None:
        path = tmp_path / "tokenizer.json"
        if content is not None:
            path.write_text(content)
        with pytest.raises(WeightsError, match=r"tokenizer\.json is not a readable tokenizer.*install the model again"):
            PhraseTokenizer.from_file(path, 512)


def pieces(tokens: Tokens, row: int, column: int) -> list[str]:
    """The subwords that form one unit."""
    ids = tokens.ids[row][tokens.units.members[row, column]].tolist()
    return [tiny.tokenizer().id_to_token(one) for one in ids]


class TestUnits:
    def test_tokens_of_the_words_form_the_units(self) -> None:
        tokens = tiny.tokens(SHORT, LONG)
        for row, phrase in enumerate((SHORT, LONG)):
            for column, unit in enumerate(read_units(phrase)):
                assert pieces(tokens, row, column) == [phrase[start:end] for start, end in unit.spans]
                assert UNIT_KINDS[tokens.units.kinds[row, column]] == unit.kind
                named = tokens.units.directions[row, column].bool().tolist()
                assert tuple(name for name, says in zip(DIRECTIONS, named, strict=True) if says) == unit.directions

    def test_a_word_in_pieces_is_whole_in_its_unit(self) -> None:
        word = "pneumomediastinum"
        tokens = tiny.tokens(f"{word} left lung")
        (column,) = (n for n, unit in enumerate(read_units(f"{word} left lung")) if (0, len(word)) in unit.spans)
        assert "".join(pieces(tokens, 0, column)).replace("##", "") == word

    def test_neither_end_marks_nor_padding_belong_to_a_unit(self) -> None:
        tokens = tiny.tokens(SHORT, LONG)
        ends = torch.zeros_like(tokens.mask)
        ends[:, 0] = True
        ends.scatter_(1, tokens.mask.sum(dim=1, keepdim=True) - 1, True)
        assert not (tokens.units.members & (ends | ~tokens.mask)[:, None, :]).any()

    def test_phrases_are_padded_to_the_longest_list_of_units(self) -> None:
        units, alone = tiny.tokens(SHORT, LONG).units, tiny.tokens(SHORT).units
        count, length = alone.members.shape[1:]
        assert units.mask.tolist() == [[True] * count + [False] * (units.mask.shape[1] - count), [True] * 3]
        assert torch.equal(units.members[:1, :count, :length], alone.members)
        assert torch.equal(units.kinds[:1, :count], alone.kinds)
        assert torch.equal(units.directions[:1, :count], alone.directions)
        assert not units.members[~units.mask].any()
        assert not units.directions[~units.mask].any()

    @pytest.mark.parametrize("phrase", ["", ",,,"])
    def test_a_phrase_without_words_is_one_description_of_all_its_tokens(self, phrase: str) -> None:
        tokens = tiny.tokens(phrase, LONG)
        assert tokens.units.mask[0].tolist() == [True, False, False]
        assert UNIT_KINDS[tokens.units.kinds[0, 0]] == "description"
        assert torch.equal(tokens.units.members[0, 0], tokens.mask[0])

    def test_every_unit_has_a_token(self) -> None:
        units = tiny.tokens(SHORT, LONG, "", "zyxwvut", "RUL", "é naïve", "polyp at the top left of the image").units
        assert torch.equal(units.members.any(dim=2), units.mask)

    def test_a_silenced_phrase_is_like_none(self) -> None:
        units = tiny.tokens(SHORT, LONG).units
        nothing = tiny.tokens("", LONG).units
        silenced = units.silenced(torch.tensor([True, False]))
        assert torch.equal(silenced.mask, nothing.mask)
        assert torch.equal(silenced.kinds[silenced.mask], nothing.kinds[nothing.mask])
        assert torch.equal(silenced.directions, nothing.directions)
        for one, other in zip(units.silenced(torch.tensor([False, False])), units, strict=True):
            assert torch.equal(one, other)


class TestStates:
    def test_padding_changes_nothing(self, encoder: TextEncoder, tokenizer: PhraseTokenizer) -> None:
        alone, padded = tokenizer([SHORT]), tokenizer([SHORT, LONG])
        with torch.no_grad():
            expected, states = encoder(alone), encoder(padded)
        assert states.shape == (2, padded.ids.shape[1], tiny.FILM_NETWORK.text.embedding_size)
        torch.testing.assert_close(states[:1, : alone.ids.shape[1]], expected, atol=1e-5, rtol=0)

    def test_what_stands_behind_the_mask_is_not_read(self, encoder: TextEncoder, tokenizer: PhraseTokenizer) -> None:
        tokens = tokenizer([SHORT, LONG])
        other = Tokens(torch.where(tokens.mask, tokens.ids, 77), tokens.mask)
        with torch.no_grad():
            torch.testing.assert_close(encoder(other)[tokens.mask], encoder(tokens)[tokens.mask], atol=1e-5, rtol=0)

    def test_word_order_counts(self, encoder: TextEncoder, tokenizer: PhraseTokenizer) -> None:
        with torch.no_grad():
            one, two = encoder(tokenizer(["left lung right"])), encoder(tokenizer(["right lung left"]))
        assert (one[:, 2] - two[:, 2]).abs().max() > 1e-5, "random weights differ little, but not by rounding"

    def test_an_absent_phrase_is_the_learned_null_whatever_was_typed(
        self, encoder: TextEncoder, tokenizer: PhraseTokenizer
    ) -> None:
        tokens = tokenizer([SHORT, LONG])
        with torch.no_grad():
            encoder.null.copy_(torch.arange(len(encoder.null)))
            states = encoder(tokens, torch.tensor([True, False]))
            torch.testing.assert_close(states[0], encoder.null.expand_as(states[0]))
            torch.testing.assert_close(states[1], encoder(tokens)[1])
            encoder.null.zero_()

    def test_half_precision_gives_float32_and_finite_states(
        self, encoder: TextEncoder, tokenizer: PhraseTokenizer
    ) -> None:
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            states = encoder(tokenizer([SHORT, LONG]))
        assert states.dtype == torch.float32
        assert states.isfinite().all()

    def test_the_longest_phrase_fits(self, encoder: TextEncoder, tokenizer: PhraseTokenizer) -> None:
        with torch.no_grad():
            assert encoder(tokenizer(["," * 500])).shape[1] == 502


class TestFrozen:
    def test_a_frozen_encoder_stays_in_evaluation_mode(self, tokenizer: PhraseTokenizer) -> None:
        model = TextEncoder.compact(tiny.FILM_NETWORK.text, tokenizer.vocabulary_size).model
        whole = torch.nn.ModuleList([TextEncoder(model, 16, frozen=True)]).train()
        assert whole.training
        assert not any(part.training for part in model.modules())
        assert [name for name, one in whole.named_parameters() if one.requires_grad] == ["0.null"]
        tokens = tokenizer([LONG])
        torch.testing.assert_close(whole[0](tokens), whole[0](tokens), atol=0, rtol=0)

    def test_an_encoder_that_is_not_frozen_trains(self, tokenizer: PhraseTokenizer) -> None:
        encoder = TextEncoder.compact(tiny.FILM_NETWORK.text, tokenizer.vocabulary_size).train()
        assert encoder.model.training
        assert all(one.requires_grad for one in encoder.parameters())
        assert not encoder.train(False).model.training


class TestPublicEncoders:
    def test_a_saved_encoder_is_loaded_with_its_tokenizer(self, saved_encoder: Path) -> None:
        encoder, tokenizer = TextEncoder.from_pretrained(str(saved_encoder))
        assert (encoder.embedding_size, encoder.frozen, encoder.model.training) == (24, True, False)
        tokens = tokenizer([SHORT, LONG])
        plain = BertModel.from_pretrained(saved_encoder).eval()
        with torch.no_grad():
            expected = plain(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state
            torch.testing.assert_close(encoder(tokens), expected)

    def test_it_can_be_trained_on(self, saved_encoder: Path) -> None:
        encoder, _ = TextEncoder.from_pretrained(str(saved_encoder), frozen=False)
        assert all(one.requires_grad for one in encoder.parameters())
        assert encoder.train().model.training

    def test_the_stricter_limit_of_model_and_tokenizer_holds(self, saved_encoder: Path) -> None:
        _, tokenizer = TextEncoder.from_pretrained(str(saved_encoder))
        assert tokenizer.max_tokens == 24
        with pytest.raises(PhraseError, match="reads 24"):
            tokenizer(["left " * 30])

    def test_a_folder_without_a_model(self, tmp_path: Path) -> None:
        for folder in (tmp_path, tmp_path / "missing", tmp_path / "file"):
            (tmp_path / "file").write_text("x")
            with pytest.raises(WeightsError, match=r"no text encoder could be loaded from .*expected a folder made by"):
                TextEncoder.from_pretrained(str(folder))

    def test_code_beside_the_weights_is_never_run(self, tmp_path: Path) -> None:
        trap = tmp_path / "ran"
        code = f"from pathlib import Path\nPath({str(trap)!r}).touch()\n"
        (tmp_path / "own.py").write_text(code + "class Config: pass\nclass Model: pass\n")
        own = {"AutoConfig": "own.Config", "AutoModel": "own.Model"}
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "own-kind", "auto_map": own}))
        with pytest.raises(WeightsError):
            TextEncoder.from_pretrained(str(tmp_path))
        assert not trap.exists()
