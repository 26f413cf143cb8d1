"""Contrastive loss of TMCA: target pixels and their words attract, across a batch, with soft labels for like phrases.

One caption in six has a twin in a batch: hard labels would push true matches apart. Labels are therefore the
similarity of the phrases themselves, mixed with "is the very same sentence".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from TextGuidedSegLib.contrastive_alignment import LevelMatch
from TextGuidedSegLib.guidance import averaged
from training.distributed import ALONE, Workers

_TARGET_FLOOR = 1e-3  # of the largest weight: a pixel off the target is a poor match, not an impossible one
_LEAST_LUCK = 1e-3  # pixels far from every target are drawn at random


@dataclasses.dataclass(frozen=True)
class ContrastConfig:
    """Numbers of the loss.

    Attributes:
        temperature: Of the scores.
        label_temperature: Of the phrases' similarity.
        soft_share: Share of the labels that is similarity; the rest is identity of sentences.
        pixels: Pixels drawn from a level, half inside the target and half on a ring around it.
        target_bonus: Weight of a pixel's belonging to the target in the best match of a word.
    """

    temperature: float = 0.1
    label_temperature: float = 0.07
    soft_share: float = 0.8
    pixels: int = 128
    target_bonus: float = 0.02


def contrast_loss(
    matches: Sequence[LevelMatch],
    mask: Tensor,
    phrases: Sequence[str],
    *,
    valid: Tensor,
    config: ContrastConfig,
    workers: Workers = ALONE,
) -> Tensor:
    """Symmetric cross-entropy of images against phrases, over levels.

    Args:
        matches: Levels in their common space, finest first.
        mask: `(B, 1, *shape)` warped target in [0, 1].
        phrases: B phrases, to tell equal ones.
        valid: `(B,)` bool: samples whose words point at their target; others take no part.
        config: Numbers.
        workers: Processes that share the batch; all of its pairs are compared.

    Returns:
        Scalar, equal in all processes; zero when fewer than two samples take part.
    """
    chosen = workers.gather(valid & (mask.flatten(1).amax(dim=1) > 0))
    everyone = workers.gather_objects(tuple(phrases))
    rows = chosen.nonzero()[:, 0]
    sentences = [everyone[row] for row in rows.tolist()]
    if len(rows) < 2:
        return torch.stack([match.pixels.sum() + match.tokens.sum() for match in matches]).sum() * 0.0
    same = torch.tensor([[one == other for other in sentences] for one in sentences], device=mask.device)
    total = mask.new_zeros(())
    ranks = range(1, len(matches) + 1)  # deep levels carry more meaning: 0.1, 0.2, 0.3, 0.4 of four
    for match, weight in zip(matches, (rank / sum(ranks) for rank in ranks), strict=True):
        pixels, target = draw_pixels(match.pixels, averaged(mask, match.grid), config.pixels, workers)
        pixels = workers.gather(functional.normalize(pixels.float(), dim=2))[rows]
        tokens, saliency = (each[rows] for each in _gathered_tokens(match, workers))
        scores = semantic_scores(pixels, workers.gather(target)[rows], tokens, saliency, bonus=config.target_bonus)
        labels = soft_labels((tokens * saliency[..., None]).sum(dim=1), same, config)
        logits = scores / config.temperature
        image_to_text = -(labels * logits.log_softmax(dim=1)).sum(dim=1).mean()
        text_to_image = -(labels * logits.T.log_softmax(dim=1)).sum(dim=1).mean()
        total = total + weight * (image_to_text + text_to_image) / 2
    return workers.with_all_gradients(total)


def _gathered_tokens(match: LevelMatch, workers: Workers) -> tuple[Tensor, Tensor]:
    """Tokens and saliency of the whole batch, padded to its longest phrase."""
    missing = workers.largest(match.tokens.shape[1]) - match.tokens.shape[1]
    tokens = functional.pad(match.tokens, (0, 0, 0, missing))
    return workers.gather(tokens), workers.gather(functional.pad(match.saliency, (0, missing)))


def semantic_scores(pixels: Tensor, target: Tensor, tokens: Tensor, saliency: Tensor, *, bonus: float) -> Tensor:
    """Target-sensitive similarity of every image with every phrase.

    Args:
        pixels: `(A, N, W)` unit vectors.
        target: `(A, N)` how much each pixel belongs to the target, in [0, 1].
        tokens: `(B, T, W)` unit vectors.
        saliency: `(B, T)` weights of the tokens; zero on padding, which then counts for nothing.
        bonus: See `ContrastConfig.target_bonus`.

    Returns:
        `(A, B)`: half the words' best pixels (inside the target preferred), half the target pixels' best words.
    """
    similarity = torch.einsum("anw,btw->abnt", pixels, tokens)
    relative = target / target.amax(dim=1, keepdim=True).clamp_min(1e-6)
    preferred = similarity + bonus * relative.clamp_min(_TARGET_FLOOR).log()[:, None, :, None]
    of_words = (preferred.amax(dim=2) * saliency[None]).sum(dim=2)
    is_token = (saliency > 0)[None, :, None, :]
    best_word = similarity.masked_fill(~is_token, -2.0).amax(dim=3)  # below every cosine
    weight = target / target.sum(dim=1, keepdim=True).clamp_min(1e-6)
    of_target = (best_word * weight[:, None, :]).sum(dim=2)
    return (of_words + of_target) / 2


def soft_labels(vectors: Tensor, same: Tensor, config: ContrastConfig) -> Tensor:
    """Labels `(B, B)` whose rows sum to one.

    Args:
        vectors: `(B, W)` sentence vectors; not trained through.
        same: `(B, B)` bool, True where two sentences are the same.
        config: Temperature and mixture.
    """
    unit = functional.normalize(vectors.detach().float(), dim=1)
    similarity = unit @ unit.T
    similarity = (similarity - similarity.mean(dim=1, keepdim=True)).clamp_min(0)
    alike = (similarity / config.label_temperature).softmax(dim=1)
    identical = same.float() / same.float().sum(dim=1, keepdim=True)
    return config.soft_share * alike + (1 - config.soft_share) * identical


def draw_pixels(pixels: Tensor, inside: Tensor, count: int, workers: Workers = ALONE) -> tuple[Tensor, Tensor]:
    """Pixels of each image: half of them with the largest share of target, half from a ring around it.

    Args:
        pixels: `(B, N, W)`.
        inside: `(B, 1, *grid)` share of target of each pixel.
        count: Pixels to keep; all of them when there are no more.
        workers: Processes that share the batch: a pixel's luck does not depend on how many they are.

    Returns:
        `(B, M, W)` pixels and `(B, M)` their share of target.
    """
    target = inside.flatten(1)
    if pixels.shape[1] <= count:
        return pixels, target
    pool = functional.avg_pool2d if inside.ndim == 4 else functional.avg_pool3d
    # Pooling refuses sides shorter than its kernel, padding or not: volumes are thin.
    near = pool(functional.pad(inside, [2, 2] * (inside.ndim - 2)), 5, stride=1).flatten(1)
    # Noise breaks ties, so that every step sees other pixels of a large target. It grows with what it is added to: a
    # target smaller than a pixel is never drowned in it.
    noise = torch.rand(len(target) * workers.count, target.shape[1], device=target.device)
    noise = 0.5 * noise[workers.share(len(noise))]
    first = (target * (1 + noise) + _LEAST_LUCK * noise).topk(count // 2, dim=1).indices
    ring = (near * (target < 0.5) * (1 + noise) + _LEAST_LUCK * noise).scatter(1, first, -1.0)
    chosen = torch.cat([first, ring.topk(count - count // 2, dim=1).indices], dim=1)
    return pixels.gather(1, chosen[..., None].expand(-1, -1, pixels.shape[2])), target.gather(1, chosen)
