"""The table that stands in for a text encoder: it hears zones and nothing else."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from Testing.lib import tiny
from TextGuidedSegLib.config import TextEncoderConfig
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.phrase import swap_sides
from TextGuidedSegLib.text_encoder import (
    LocationTable,
    PhraseTokenizer,
    TextEncoder,
    Tokens,
    build_text_encoder,
)

WIDTH = 8


@pytest.fixture
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PhraseTokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tiny.tokenizer().save(str(path))
    return PhraseTokenizer.from_file(path, 512)


def code(tokenizer: PhraseTokenizer, phrase: str) -> int:
    units = tokenizer([phrase]).units
    assert units is not None
    return int(LocationTable(WIDTH).codes(units)[0])


class TestCodes:
    def test_every_set_of_zones_has_a_code_of_its_own(self, tokenizer: PhraseTokenizer) -> None:
        zones = list(itertools.product(("left", "right"), ("upper", "middle", "lower")))
        codes = set()
        for chosen in itertools.chain.from_iterable(itertools.combinations(zones, count) for count in range(1, 7)):
            words = " and ".join(f"{level} {side} lung" for side, level in chosen)
            codes.add(code(tokenizer, f"infection, {words}"))
        assert codes == set(range(1, 64))

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("left lung opacity", "consolidation in the whole left lung"),
            ("left lung opacity", "upper left lung and middle left lung and lower left lung"),
            ("lower lungs", "lower left lung and lower right lung"),
            ("both lungs", "left lung and right lung"),
            ("two infected areas, upper right lung", "upper right lung"),
            ("left lower lung, lower left lung", "left lower lung"),
        ],
    )
    def test_equal_zones_have_equal_codes(self, tokenizer: PhraseTokenizer, one: str, other: str) -> None:
        assert code(tokenizer, one) == code(tokenizer, other) > 0

    @pytest.mark.parametrize("phrase", ["opacity", "infection", ""])
    def test_without_a_place_the_code_is_zero(self, tokenizer: PhraseTokenizer, phrase: str) -> None:
        assert code(tokenizer, phrase) == 0

    def test_swapped_words_exchange_the_halves_of_the_code(self, tokenizer: PhraseTokenizer) -> None:
        for phrase in ("lower left lung", "upper right lung and left lung", "middle lungs"):
            here, there = code(tokenizer, phrase), code(tokenizer, swap_sides(phrase))
            assert there == (here >> 3) | ((here & 7) << 3)


class TestStates:
    def test_all_tokens_have_the_state_of_the_zones(self, tokenizer: PhraseTokenizer) -> None:
        states = LocationTable(WIDTH)(tokenizer(["left lung opacity", "haze, all left lung", "right lung"]))
        assert states.shape[2] == WIDTH
        assert states.dtype == torch.float32
        assert torch.equal(states, states[:, :1].expand_as(states))
        assert torch.equal(states[0, 0], states[1, 0])
        assert not torch.equal(states[0, 0], states[2, 0])

    def test_no_phrase_is_the_learned_null(self, tokenizer: PhraseTokenizer) -> None:
        table = LocationTable(WIDTH)
        torch.nn.init.normal_(table.null)
        states = table(tokenizer(["left lung", "left lung"]), torch.tensor([True, False]))
        assert torch.equal(states[0], table.null.expand_as(states[0]))
        assert not torch.equal(states[1], states[0])

    def test_only_the_zones_that_were_named_learn(self, tokenizer: PhraseTokenizer) -> None:
        table = LocationTable(WIDTH)
        table(tokenizer(["upper left lung"])).sum().backward()
        learned = table.model.weight.grad.abs().sum(dim=1).nonzero().flatten().tolist()
        assert learned == [code(tokenizer, "upper left lung")]

    def test_tokens_without_units_are_refused(self) -> None:
        ids = torch.zeros(1, 3, dtype=torch.long)
        with pytest.raises(ValueError, match="needs tokens with units"):
            LocationTable(WIDTH)(Tokens(ids, ids == 0))


class TestBuilding:
    def test_the_configuration_chooses(self) -> None:
        config = TextEncoderConfig(embedding_size=WIDTH, layers=1, heads=2, feedforward_size=16)
        assert type(build_text_encoder(config, 50)) is TextEncoder
        assert isinstance(build_text_encoder(dataclasses.replace(config, kind="table"), 50), LocationTable)
        with pytest.raises(ValueError, match="compact or table, got 'bert'"):
            build_text_encoder(dataclasses.replace(config, kind="bert"), 50)

    def test_a_network_hears_its_zones_and_no_other_word(self, tokenizer: PhraseTokenizer) -> None:
        torch.manual_seed(0)
        table = LocationTable(tiny.FILM_NETWORK.text.embedding_size)
        network = FusedNetwork(tiny.FILM_NETWORK, table).eval()
        image = torch.randn(1, 1, 64, 64)
        with torch.inference_mode():
            left, same, right = (
                network(image, tokenizer([phrase])).logits for phrase in ("left lung", "haze, left lung", "right lung")
            )
        torch.testing.assert_close(left, same)
        assert (left - right).abs().max() > 1e-4
