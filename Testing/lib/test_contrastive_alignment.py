"""Contrastive alignment in the network: the common space, prompts and enhancement; each begins as the identity."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from Testing.lib import tiny
from TextGuidedSegLib.config import ContrastiveAlignmentConfig
from TextGuidedSegLib.contrastive_alignment import CommonSpace, ContrastiveAlignment, Prompting, TargetEnhancement

CHANNELS, WIDTH, TOKENS = (6, 8, 10), 12, 5
CONFIG = ContrastiveAlignmentConfig(levels=(0, 1, 2), width=16, enhanced_levels=(0, 1))
GRIDS = pytest.mark.parametrize("grid", [(7, 5), (4, 2, 3), (1, 1), (2, 1)], ids=str)
MASK = torch.tensor([[True] * TOKENS, [True, True, True, False, False]])
ORDER = [3, 0, 4, 1, 2]


def features(grid: tuple[int, ...], channels: int = 8) -> Tensor:
    return torch.randn(2, channels, *grid, generator=torch.Generator().manual_seed(3))


def states(padding: float | None = None) -> Tensor:
    values = torch.randn(2, TOKENS, WIDTH, generator=torch.Generator().manual_seed(4))
    return values if padding is None else torch.where(MASK[..., None], values, padding)


def opened(part: torch.nn.Module) -> torch.nn.Module:
    """The part with its gates away from zero."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in part.named_parameters():
            if "gate" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return part


def seeded(kind: type[torch.nn.Module]) -> torch.nn.Module:
    torch.manual_seed(0)
    return kind(8, WIDTH, 16)


def pyramid() -> list[Tensor]:
    return [features((8 // 2**level, 8 // 2**level), channels) for level, channels in enumerate(CHANNELS)]


class TestCommonSpace:
    def test_tokens_have_length_one_and_their_saliency_adds_up_to_one(self) -> None:
        match = seeded(CommonSpace)(features((4, 3)), states(), MASK)
        assert (match.pixels.shape, match.tokens.shape, match.grid) == ((2, 12, 16), (2, TOKENS, 16), (4, 3))
        torch.testing.assert_close(match.tokens.norm(dim=2), torch.ones(2, TOKENS))
        torch.testing.assert_close(match.saliency.sum(dim=1), torch.ones(2))
        assert (match.saliency[~MASK] == 0).all()
        assert (match.saliency[MASK] > 0).all()

    def test_padding_changes_nothing(self) -> None:
        space = seeded(CommonSpace)
        one, other = (space(features((4, 3)), states(padding), MASK) for padding in (0.0, 99.0))
        torch.testing.assert_close(one.saliency, other.saliency)
        torch.testing.assert_close(one.tokens[MASK], other.tokens[MASK])
        torch.testing.assert_close(one.pixels, other.pixels)

    def test_the_order_of_tokens_is_the_order_of_columns(self) -> None:
        space = seeded(CommonSpace)
        match, turned = (
            space(features((4, 3)), states(), MASK),
            space(features((4, 3)), states()[:, ORDER], MASK[:, ORDER]),
        )
        torch.testing.assert_close(turned.tokens, match.tokens[:, ORDER])
        torch.testing.assert_close(turned.saliency, match.saliency[:, ORDER])

    def test_pixels_are_in_array_order(self) -> None:
        space = seeded(CommonSpace)
        match = space(features((4, 3)), states(), MASK)
        expected = functional.linear(features((4, 3))[:, :, 2, 1], space.pixel.weight, space.pixel.bias)
        torch.testing.assert_close(match.pixels[:, 2 * 3 + 1], expected)


class TestPlaces:
    """Pixels say where they lie, once they have learned to."""

    def space(self) -> CommonSpace:
        torch.manual_seed(0)
        return CommonSpace(8, WIDTH, 16, places=3)

    def test_it_begins_as_a_space_without_them(self) -> None:
        with_places, without = self.space(), CommonSpace(8, WIDTH, 16)
        without.load_state_dict(
            {name: value for name, value in with_places.state_dict().items() if "place" not in name}
        )
        one, other = (each(features((4, 3)), states(), MASK) for each in (with_places, without))
        assert torch.equal(one.pixels, other.pixels)

    def test_then_equal_pixels_at_other_places_differ_and_the_same_share_of_the_film_is_the_same_place(self) -> None:
        space, alike = self.space(), torch.ones(2, 8, 1, 1)
        assert space.place is not None
        torch.nn.init.normal_(space.place.weight)
        coarse, fine = (space(alike.expand(2, 8, *grid), states(), MASK).pixels[0] for grid in ((2, 1), (6, 3)))
        assert (coarse[0] - coarse[1]).abs().max() > 0.1
        torch.testing.assert_close(coarse[0], fine.reshape(6, 3, -1)[1, 1])  # the middle of the first half

    def test_a_network_of_volumes_refuses_them(self) -> None:
        contrast = ContrastiveAlignmentConfig(levels=(0,), width=8, enhanced_levels=(0,), places=4)
        with pytest.raises(ValueError, match=r"contrast\.places must be 0 for volumes, got 4"):
            tiny.network(dataclasses.replace(tiny.VOLUME_NETWORK, contrast=contrast))


class TestPrompting:
    @GRIDS
    def test_it_begins_as_the_identity(self, grid: tuple[int, ...]) -> None:
        assert torch.equal(seeded(Prompting)(states(), features(grid)), states())

    @GRIDS
    def test_tokens_look_each_for_itself(self, grid: tuple[int, ...]) -> None:
        part = opened(seeded(Prompting))
        torch.testing.assert_close(part(states()[:, ORDER], features(grid)), part(states(), features(grid))[:, ORDER])

    def test_what_is_seen_does_not_depend_on_where(self) -> None:
        part, image = opened(seeded(Prompting)), features((6, 4))
        torch.testing.assert_close(part(states(), image.flip(2)), part(states(), image), atol=1e-5, rtol=1e-5)
        assert (part(states(), image + 1) - part(states(), image)).abs().max() > 1e-3


class TestEnhancement:
    @GRIDS
    def test_it_begins_as_the_identity(self, grid: tuple[int, ...]) -> None:
        enhanced, map_logits = seeded(TargetEnhancement)(features(grid), states(), MASK)
        assert torch.equal(enhanced, features(grid))
        assert map_logits.shape == (2, 1, *grid)

    @GRIDS
    def test_padding_changes_nothing(self, grid: tuple[int, ...]) -> None:
        part = opened(seeded(TargetEnhancement))
        one, other = (part(features(grid), states(padding), MASK) for padding in (0.0, 99.0))
        torch.testing.assert_close(one, other)
        alone = part(features(grid)[1:], states()[1:, :3], MASK[1:, :3])
        torch.testing.assert_close(alone[0], one[0][1:])
        torch.testing.assert_close(alone[1], one[1][1:])

    def test_the_order_of_tokens_does_not_count(self) -> None:
        part = opened(seeded(TargetEnhancement))
        turned = part(features((7, 5)), states()[:, ORDER], MASK[:, ORDER])
        torch.testing.assert_close(turned, part(features((7, 5)), states(), MASK))

    @pytest.mark.parametrize("axis", [2, 3])
    def test_a_mirrored_image_is_enhanced_mirrored(self, axis: int) -> None:
        part, image = opened(seeded(TargetEnhancement)), features((7, 5))
        turned = part(image.flip(axis), states(), MASK)
        for one, other in zip(turned, part(image, states(), MASK), strict=True):
            torch.testing.assert_close(one.flip(axis), other)

    def test_the_map_is_the_salient_mean_of_scaled_cosines(self) -> None:
        part, image = seeded(TargetEnhancement), features((3, 2))
        match = part.space(image, states(), MASK)
        cosines = functional.cosine_similarity(match.pixels[:, :, None], match.tokens[:, None], dim=3)
        expected = 10 * (cosines * match.saliency[:, None]).sum(dim=2) - 2
        torch.testing.assert_close(part(image, states(), MASK)[1].flatten(1), expected)

    def test_words_count(self) -> None:
        part = opened(seeded(TargetEnhancement))
        one, other = part(features((7, 5)), states(), MASK), part(features((7, 5)), states().flip(2), MASK)
        assert (one[0] - other[0]).abs().max() > 1e-2
        assert (one[1] - other[1]).abs().max() > 1e-2

    def test_half_precision_is_finite(self) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            enhanced, map_logits = opened(seeded(TargetEnhancement))(features((7, 5)), states(99.0), MASK)
        assert map_logits.dtype == torch.float32
        assert enhanced.isfinite().all()
        assert map_logits.isfinite().all()

    def test_features_of_nothing_have_finite_gradients(self) -> None:
        image = torch.zeros(2, 8, 3, 3, requires_grad=True)
        part = opened(seeded(TargetEnhancement))
        torch.nn.init.zeros_(part.space.pixel.bias)
        sum(one.sum() for one in part(image, states(), MASK)).backward()
        assert image.grad.isfinite().all()


class TestAllLevels:
    @staticmethod
    def part(**changes: object) -> ContrastiveAlignment:
        torch.manual_seed(0)
        return ContrastiveAlignment(CHANNELS, WIDTH, dataclasses.replace(CONFIG, **changes))  # type: ignore[arg-type]

    def test_every_contrasted_level_is_matched_finest_first(self) -> None:
        matches = self.part().match(pyramid(), states(), MASK)
        assert [match.grid for match in matches] == [(8, 8), (4, 4), (2, 2)]

    def test_only_enhanced_levels_change(self) -> None:
        part = opened(self.part(enhanced_levels=(1,)))
        for level, before in enumerate(pyramid()[:-1]):
            after, map_logits = part.enhance(level, before, states(), states(), MASK)
            assert (map_logits is not None) == (level == 1)
            assert torch.equal(after, before) == (level != 1)

    def test_prompts_speak_at_the_finest_level_only(self) -> None:
        part = opened(self.part())
        prompts = part.prompts(pyramid(), states())
        assert (prompts - states()).abs().max() > 1e-3
        for level, image in enumerate(pyramid()[:-1]):
            heard = part.enhance(level, image, states(), prompts, MASK)[0]
            plain = part.enhance(level, image, states(), states(), MASK)[0]
            assert torch.equal(heard, plain) == (level != 0)

    def test_prompts_look_at_the_finest_enhanced_level(self) -> None:
        part, changed = opened(self.part(enhanced_levels=(1,))), pyramid()
        before = part.prompts(pyramid(), states())
        changed[0] = changed[0] + 1
        assert torch.equal(part.prompts(changed, states()), before)
        changed[1] = changed[1] + 1
        assert not torch.equal(part.prompts(changed, states()), before)

    def test_without_prompting_words_stay_as_they_are(self) -> None:
        assert torch.equal(self.part(prompting=False).prompts(pyramid(), states()), states())

    def test_every_number_learns(self) -> None:
        part = opened(self.part())
        image = pyramid()
        loss = torch.zeros(())
        for match in part.match(image, states(), MASK):
            loss = loss + (match.pixels @ match.tokens.transpose(1, 2) * match.saliency[:, None]).square().sum()
        prompts = part.prompts(image, states())
        for level, one in enumerate(image[:-1]):
            for result in part.enhance(level, one, states(), prompts, MASK):
                loss = loss + (result * torch.arange(result[0, 0].numel()).view(result.shape[2:])).sum()
        loss.backward()
        for name, parameter in part.named_parameters():
            assert parameter.grad.isfinite().all(), name
            # A softmax takes no notice of what is added to every score.
            if not name.endswith(("saliency.bias", "key.bias")):
                assert parameter.grad.abs().max() > 0, name
