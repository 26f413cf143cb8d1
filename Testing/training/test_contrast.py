"""The contrastive loss: a case worked out by hand, soft labels, who takes part, and which pixels are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from TextGuidedSegLib.contrastive_alignment import LevelMatch
from training.contrast import ContrastConfig, contrast_loss, draw_pixels, semantic_scores, soft_labels

CONFIG = ContrastConfig()
PHRASES = ("left lung", "right lung", "left lower lung", "right lung", "both lungs")
GRID, TOKENS, WIDTH = (6, 5), 4, 8


def vectors(*shape: int, seed: int) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return functional.normalize(values, dim=-1)


def level(count: int = 5, grid: tuple[int, ...] = GRID, seed: int = 0) -> LevelMatch:
    saliency = vectors(count, TOKENS, seed=seed + 1).abs()
    return LevelMatch(
        vectors(count, math.prod(grid), WIDTH, seed=seed + 2), vectors(count, TOKENS, WIDTH, seed=seed + 3),
        saliency / saliency.sum(dim=1, keepdim=True), grid,
    )  # fmt: skip


def masks(count: int = 5, shape: tuple[int, ...] = (24, 20)) -> Tensor:
    """Each with another rectangle."""
    mask = torch.zeros(count, 1, *shape)
    for number in range(count):
        mask[number, 0, 2 + 2 * number : 12 + 2 * number, 4:16] = 1
    return mask


def chosen(match: LevelMatch, rows: Sequence[int]) -> LevelMatch:
    return LevelMatch(match.pixels[rows], match.tokens[rows], match.saliency[rows], match.grid)


def loss(matches: Sequence[LevelMatch], mask: Tensor, phrases: Sequence[str] = PHRASES, **config: float) -> float:
    valid = torch.ones(len(mask), dtype=torch.bool)
    return contrast_loss(matches, mask, phrases, valid=valid, config=ContrastConfig(**config)).item()  # type: ignore[arg-type]


class TestByHand:
    """Two images of one pixel, two phrases of one word, each image exactly like its own phrase."""

    AXES = torch.eye(2)[:, None]  # (2, 1, 2)
    MATCH = LevelMatch(AXES, AXES, torch.ones(2, 1), (1, 1))
    MASK = torch.ones(2, 1, 4, 4)

    @pytest.mark.parametrize("temperature", [0.1, 1.0])
    def test_two_by_two(self, temperature: float) -> None:
        # Cosines of the phrases are 1 and 0; without their mean 1/2 and, cut off, 0.
        own = 0.8 / (1 + math.exp(-0.5 / 0.07)) + 0.2
        right = -math.log1p(math.exp(-1 / temperature))
        wrong = right - 1 / temperature
        expected = -(own * right + (1 - own) * wrong)
        assert loss([self.MATCH], self.MASK, ("a", "b"), temperature=temperature) == pytest.approx(expected, abs=1e-6)

    def test_a_high_temperature_knows_nothing(self) -> None:
        assert loss([self.MATCH], self.MASK, ("a", "b"), temperature=1e6) == pytest.approx(math.log(2), abs=1e-4)

    def test_exchanged_phrases_cost_more(self) -> None:
        turned = self.MATCH._replace(tokens=self.AXES.flip(0))
        right, wrong = (loss([match], self.MASK, ("a", "b")) for match in (self.MATCH, turned))
        assert wrong > right + 5

    def test_scores_prefer_the_target(self) -> None:
        # One image of two pixels, the first one in the target; one phrase of two words, the second is padding.
        pixels = torch.tensor([[[0.6, 0.8], [1.0, 0.0]]])
        tokens = torch.tensor([[[1.0, 0.0], [0.6, 0.8]]])
        scores = semantic_scores(pixels, torch.tensor([[0.5, 0.0]]), tokens, torch.tensor([[1.0, 0.0]]), bonus=0.02)
        # The word finds cosine 0.6 inside, and 1 outside at a price; the pixel of the target finds the word at 0.6.
        assert scores.item() == pytest.approx((1 + 0.02 * math.log(1e-3) + 0.6) / 2)
        strict = semantic_scores(pixels, torch.tensor([[0.5, 0.0]]), tokens, torch.tensor([[1.0, 0.0]]), bonus=0.1)
        assert strict.item() == pytest.approx(0.6)

    def test_every_image_and_every_phrase_has_labels_that_add_up_to_one(self) -> None:
        match, mask, valid = level(grid=(4, 5)), masks(), torch.ones(5, dtype=torch.bool)
        config = ContrastConfig(label_temperature=0.5)
        inside = functional.adaptive_avg_pool2d(mask, match.grid).flatten(1)
        scores = semantic_scores(match.pixels, inside, match.tokens, match.saliency, bonus=config.target_bonus)
        sentences = (match.tokens * match.saliency[..., None]).sum(dim=1)
        labels = soft_labels(sentences, TestLabels.SAME, config)
        assert (labels - labels.T).abs().max() > 1e-2
        both = [functional.cross_entropy(each / config.temperature, labels) for each in (scores, scores.T)]
        result = contrast_loss([match], mask, PHRASES, valid=valid, config=config)
        assert result.item() == pytest.approx(sum(each.item() for each in both) / 2, abs=1e-5)

    def test_deep_levels_carry_more_meaning(self) -> None:
        turned = self.MATCH._replace(tokens=self.AXES.flip(0))
        right, wrong = (loss([match], self.MASK, ("a", "b")) for match in (self.MATCH, turned))
        both = loss([self.MATCH, turned], self.MASK, ("a", "b"))
        assert both == pytest.approx(right / 3 + 2 * wrong / 3)


class TestLabels:
    SAME = torch.tensor([[one == other for other in PHRASES] for one in PHRASES])

    def labels(self, sentences: Tensor, same: Tensor | None = None, share: float = 0.8) -> Tensor:
        return soft_labels(sentences, self.SAME if same is None else same, ContrastConfig(soft_share=share))

    @pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
    def test_rows_add_up_to_one(self, share: float) -> None:
        labels = self.labels(vectors(5, WIDTH, seed=1), share=share)
        torch.testing.assert_close(labels.sum(dim=1), torch.ones(5))
        assert (labels >= 0).all()

    def test_equal_sentences_have_equal_labels(self) -> None:
        sentences = vectors(5, WIDTH, seed=1)
        sentences[3] = sentences[1]  # as PHRASES has it
        labels = self.labels(sentences)
        torch.testing.assert_close(labels[1], labels[3])
        torch.testing.assert_close(labels[:, 1], labels[:, 3])
        assert labels[1, 1] > labels[1, [0, 2, 4]].max()

    def test_without_softness_only_equal_sentences_match(self) -> None:
        expected = torch.eye(5)
        expected[1, 3] = expected[3, 1] = expected[1, 1] = expected[3, 3] = 0.5
        assert torch.equal(self.labels(vectors(5, WIDTH, seed=1), share=0.0), expected)

    def test_sentences_with_nothing_in_common_have_hard_labels(self) -> None:
        torch.testing.assert_close(self.labels(torch.eye(5), torch.eye(5).bool()), torch.eye(5), atol=1e-4, rtol=0)

    def test_like_sentences_share_their_labels(self) -> None:
        sentences = torch.eye(5)
        sentences[0, 2] = 2.0
        labels = self.labels(sentences, torch.eye(5).bool())
        assert labels[0, 2] > 10 * labels[0, [1, 3, 4]].max()

    def test_the_order_does_not_count(self) -> None:
        sentences, order = vectors(5, WIDTH, seed=1), [2, 4, 0, 3, 1]
        turned = self.labels(sentences[order], self.SAME[order][:, order])
        torch.testing.assert_close(turned, self.labels(sentences)[order][:, order])

    def test_labels_are_not_trained(self) -> None:
        assert not self.labels(vectors(5, WIDTH, seed=1).requires_grad_()).requires_grad


class TestWhoTakesPart:
    def test_permuting_the_batch_changes_nothing(self) -> None:
        matches, order = [level(), level(seed=10, grid=(3, 3))], [2, 4, 0, 3, 1]
        turned = loss([chosen(one, order) for one in matches], masks()[order], [PHRASES[row] for row in order])
        assert turned == pytest.approx(loss(matches, masks()), abs=1e-5)

    @pytest.mark.parametrize("why", ["the words point elsewhere", "the target is empty"])
    def test_others_count_for_nothing(self, why: str) -> None:
        match, mask, valid, kept = level(), masks(), torch.ones(5, dtype=torch.bool), [0, 2, 3]
        if why == "the target is empty":
            mask[[1, 4]] = 0
        else:
            valid[[1, 4]] = False
        result = contrast_loss([match], mask, PHRASES, valid=valid, config=CONFIG).item()
        alone = loss([chosen(match, kept)], mask[kept], [PHRASES[row] for row in kept])
        assert result == pytest.approx(alone, abs=1e-6)

    @pytest.mark.parametrize("count", [0, 1])
    def test_nobody_to_compare_with_is_no_loss_and_no_missing_gradient(self, count: int) -> None:
        matches = [LevelMatch(*(each.requires_grad_() for each in level()[:3]), GRID) for _ in range(2)]
        valid = torch.arange(5) < count
        result = contrast_loss(matches, masks(), PHRASES, valid=valid, config=CONFIG)
        result.backward()
        assert result.item() == 0
        assert all((each.grad == 0).all() for match in matches for each in (match.pixels, match.tokens))

    def test_padding_tokens_change_nothing(self) -> None:
        match = level()
        more = torch.cat([match.tokens, vectors(5, 2, WIDTH, seed=8)], dim=1)
        padded = match._replace(tokens=more, saliency=functional.pad(match.saliency, (0, 2)))
        assert loss([padded], masks()) == pytest.approx(loss([match], masks()), abs=1e-6)

    def test_the_length_of_a_pixel_does_not_count(self) -> None:
        match = level()
        longer = match._replace(pixels=match.pixels * 7)
        assert loss([longer], masks()) == pytest.approx(loss([match], masks()), abs=1e-5)

    def test_volumes(self) -> None:
        assert math.isfinite(loss([level(grid=(3, 4, 2))], masks(shape=(24, 20, 8)).contiguous()))

    def test_one_sentence_for_all_pushes_nobody_apart(self) -> None:
        tokens = vectors(1, TOKENS, WIDTH, seed=3).expand(3, -1, -1).clone().requires_grad_()
        pixels = vectors(1, 30, WIDTH, seed=4).expand(3, -1, -1).clone().requires_grad_()
        match = LevelMatch(pixels, tokens, torch.full((3, TOKENS), 0.25), GRID)
        valid = torch.ones(3, dtype=torch.bool)
        contrast_loss([match], masks(3)[[0, 0, 0]], ("a",) * 3, valid=valid, config=CONFIG).backward()
        assert pixels.grad.abs().max() < 1e-6
        assert tokens.grad.abs().max() < 1e-6

    def test_pixels_tokens_and_saliency_learn(self) -> None:
        match = level()
        leaves = [each.requires_grad_() for each in match[:3]]
        valid = torch.ones(5, dtype=torch.bool)
        contrast_loss([match], masks(), PHRASES, valid=valid, config=CONFIG).backward()
        assert all(leaf.grad.isfinite().all() and leaf.grad.abs().max() > 0 for leaf in leaves)


class TestDrawnPixels:
    GRID = (20, 20)

    @pytest.fixture(autouse=True)
    def _seeded(self) -> None:
        torch.manual_seed(0)

    def drawn(self, inside: Tensor, count: int = 40) -> tuple[Tensor, Tensor]:
        """Numbers of the drawn pixels, and their share of the target."""
        numbers = torch.arange(400.0).view(1, 400, 1).expand(len(inside), -1, -1)
        pixels, target = draw_pixels(numbers, inside, count)
        return pixels[..., 0].long(), target

    def test_few_pixels_are_all_taken(self) -> None:
        inside = torch.rand(2, 1, 20, 20)
        pixels, target = self.drawn(inside, 400)
        assert (pixels == torch.arange(400)).all()
        assert torch.equal(target, inside.flatten(1))

    def test_half_lie_inside_a_large_target_and_half_on_a_ring_around_it(self) -> None:
        inside = torch.zeros(1, 1, *self.GRID)
        inside[..., 6:14, 6:14] = 1
        pixels, target = self.drawn(inside)
        assert len(set(pixels[0].tolist())) == 40, "no pixel twice"
        assert torch.equal(target, inside.flatten(1).gather(1, pixels))
        assert target.sum() == 20
        rows, columns = pixels[0, 20:] // 20, pixels[0, 20:] % 20
        assert ((rows >= 4) & (rows < 16) & (columns >= 4) & (columns < 16)).all()

    def test_other_pixels_of_a_large_target_every_time(self) -> None:
        inside = torch.zeros(1, 1, *self.GRID)
        inside[..., 6:14, 6:14] = 1
        assert set(self.drawn(inside)[0][0].tolist()) != set(self.drawn(inside)[0][0].tolist())

    @pytest.mark.parametrize("share", [1.0, 0.3, 0.02])
    def test_a_target_smaller_than_a_pixel_is_always_drawn(self, share: float) -> None:
        inside = torch.zeros(8, 1, *self.GRID)
        inside[..., 11, 7] = share
        pixels, target = self.drawn(inside)
        assert (target.amax(dim=1) == share).all()
        near = {20 * row + column for row in range(9, 14) for column in range(5, 10)}
        assert all(len(near & set(each)) > 20 for each in pixels.tolist())

    def test_an_empty_target_draws_something(self) -> None:
        pixels, target = self.drawn(torch.zeros(1, 1, *self.GRID))
        assert len(set(pixels[0].tolist())) == 40
        assert (target == 0).all()

    def test_volumes(self) -> None:
        inside = torch.zeros(1, 1, 10, 10, 4)
        inside[..., 4:6, 4:6, 1:3] = 1
        assert self.drawn(inside)[1].sum() == 8
