"""Target-informed multi-level contrastive alignment (TMCA): what the network holds of it.

A reconstruction from the abstract of arXiv:2412.13533; there is no public code. Three parts: features of several
levels and tokens in a common space, where a loss pulls target pixels to their words (`training.contrast`); prompts,
tokens that have looked at fine features; and enhancement, by which words re-weight what the decoder sees. Our own
addition (`places`): a convolution sees what a pixel looks like and hardly where it lies, so words such as *lower left*
have nothing to match; in the common space each pixel says where it is, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from TextGuidedSegLib.config import ContrastiveAlignmentConfig
from TextGuidedSegLib.pseudo_image import position_code

# Cosine similarities lie in [-1, 1]: this scale makes them logits.
_START_SCALE = 10.0


class LevelMatch(NamedTuple):
    """Pixels and tokens of one level in their common space, where cosines compare them.

    Attributes:
        pixels: `(B, N, W)`, of any length: normalizing the few that are used is cheaper than normalizing all.
        tokens: `(B, T, W)` float32 of length one.
        saliency: `(B, T)`, how much each word matters; sums to one over true tokens.
        grid: Spatial shape of the N pixels.
    """

    pixels: Tensor
    tokens: Tensor
    saliency: Tensor
    grid: tuple[int, ...]


class CommonSpace(nn.Module):
    """Projects one level's features and the tokens to where a cosine compares them.

    Args:
        channels: Channels of the features.
        embedding_size: Width of a token state.
        width: Width of the common space.
        places: Octaves of the code of a film's places; 0 for none.
    """

    def __init__(self, channels: int, embedding_size: int, width: int, places: int = 0) -> None:
        super().__init__()
        self.pixel, self.token = nn.Linear(channels, width), nn.Linear(embedding_size, width)
        self.saliency = nn.Linear(embedding_size, 1)
        self.octaves = places
        self.place: nn.Linear | None = None
        if places:
            self.place = nn.Linear(2 * (2 * places + 1), width, bias=False)
            nn.init.zeros_(self.place.weight)  # a new part begins as the identity

    def forward(self, features: Tensor, states: Tensor, mask: Tensor) -> LevelMatch:
        """Match `(B, C, *grid)` features and `(B, T, E)` token states with mask `(B, T)`."""
        pixels = self.pixel(features.flatten(2).transpose(1, 2))
        if self.place is not None:
            pixels = pixels + self.place(position_code(features.shape[2:], self.octaves, features.device))
        saliency = self.saliency(states)[..., 0].float().masked_fill(~mask, -1e4).softmax(dim=1)
        unit_tokens = functional.normalize(self.token(states).float(), dim=2)
        return LevelMatch(pixels, unit_tokens, saliency, tuple(features.shape[2:]))


class Prompting(nn.Module):
    """Tokens look at fine features, so that what they say of borders can follow what is seen there.

    Args:
        channels: Channels of the fine features.
        embedding_size: Width of a token state.
        width: Width of the attention.
    """

    def __init__(self, channels: int, embedding_size: int, width: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(embedding_size, width), nn.Linear(channels, width)
        self.value = nn.Linear(channels, embedding_size)
        self.gate = nn.Parameter(torch.zeros(embedding_size))  # a new part begins as the identity

    def forward(self, states: Tensor, features: Tensor) -> Tensor:
        """`(B, T, E)` token states that have seen `(B, C, *grid)` features."""
        pixels = self._coarser(features).flatten(2).transpose(1, 2)
        seen = functional.scaled_dot_product_attention(
            self.query(states), self.key(pixels).to(states.dtype), self.value(pixels).to(states.dtype)
        )
        return states + self.gate * seen

    @staticmethod
    def _coarser(features: Tensor) -> Tensor:
        """Means of two by two pixels: a border stays a border, and attention costs a quarter."""
        if min(features.shape[2:]) < 2:
            return features
        return functional.avg_pool2d(features, 2) if features.ndim == 4 else functional.avg_pool3d(features, 2)


class TargetEnhancement(nn.Module):
    """Words re-weight the decoder's features of one level.

    Args:
        channels: Channels of the features.
        embedding_size: Width of a token state.
        width: Width of the common space.
        places: Octaves of the code of a film's places; 0 for none.
    """

    def __init__(self, channels: int, embedding_size: int, width: int, places: int = 0) -> None:
        super().__init__()
        self.space = CommonSpace(channels, embedding_size, width, places)
        self.value = nn.Linear(channels, channels)
        self.gate = nn.Linear(channels + 1, channels)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)
        self.received_gate = nn.Parameter(torch.zeros(channels))
        self.scale = nn.Parameter(torch.tensor(math.log(_START_SCALE)))
        self.offset = nn.Parameter(torch.tensor(-2.0))  # most pixels belong to no target

    def forward(self, features: Tensor, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Enhance.

        Args:
            features: `(B, C, *grid)`.
            states: `(B, T, E)` token states.
            mask: `(B, T)` bool, True on tokens.

        Returns:
            Features of the same shape, and the logits `(B, 1, *grid)` of the map of where the words match.
        """
        match = self.space(features, states, mask)
        length = match.pixels.float().square().sum(dim=2, keepdim=True).clamp_min(1e-12).sqrt()
        similarity = (match.pixels @ match.tokens.transpose(1, 2).to(match.pixels.dtype)).float()
        similarity = similarity * (self.scale.exp() / length)  # (B, N, T)
        similarity = similarity.masked_fill(~mask[:, None, :], -1e4)
        map_logits = (similarity * match.saliency[:, None, :]).sum(dim=2, keepdim=True) + self.offset  # (B, N, 1)
        pixels = features.flatten(2).transpose(1, 2)
        # Normalized over space, each word gathers what it sees; each pixel then receives from the words it matches.
        gathered = similarity.softmax(dim=1).transpose(1, 2).to(pixels.dtype) @ self.value(pixels)
        received = similarity.softmax(dim=2).to(pixels.dtype) @ gathered
        gate = torch.tanh(self.gate(torch.cat([pixels, map_logits.sigmoid().to(pixels.dtype)], dim=2)))
        enhanced = pixels * (1 + gate) + self.received_gate * received
        shape = features.shape
        return enhanced.transpose(1, 2).reshape(shape), map_logits.transpose(1, 2).reshape(shape[0], 1, *shape[2:])


class ContrastiveAlignment(nn.Module):
    """The parts of all levels.

    Args:
        channels: Channels of every level of the backbone, finest first.
        embedding_size: Width of a token state.
        config: Sizes.
    """

    def __init__(self, channels: Sequence[int], embedding_size: int, config: ContrastiveAlignmentConfig) -> None:
        super().__init__()
        self.config = config
        sizes = (embedding_size, config.width, config.places)
        self.spaces = nn.ModuleDict({str(level): CommonSpace(channels[level], *sizes) for level in config.levels})
        self.enhancements = nn.ModuleDict(
            {str(level): TargetEnhancement(channels[level], *sizes) for level in config.enhanced_levels}
        )
        finest = min(config.enhanced_levels)
        self.prompting = Prompting(channels[finest], embedding_size, config.width) if config.prompting else None

    def match(self, features: Sequence[Tensor], states: Tensor, mask: Tensor) -> tuple[LevelMatch, ...]:
        """Every contrasted level's features with the words, finest first; only the loss needs them."""
        return tuple(self.spaces[str(level)](features[level], states, mask) for level in self.config.levels)

    def prompts(self, features: Sequence[Tensor], states: Tensor) -> Tensor:
        """Token states for the finest enhanced level, which have looked at the encoder's features there."""
        if self.prompting is None:
            return states
        prompted: Tensor = self.prompting(states, features[min(self.config.enhanced_levels)])
        return prompted

    def enhance(
        self, level: int, features: Tensor, states: Tensor, prompts: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Decoder features of a level, enhanced if that level is, and the logits of its map."""
        if str(level) not in self.enhancements:
            return features, None
        words = prompts if level == min(self.config.enhanced_levels) else states
        enhanced: tuple[Tensor, Tensor] = self.enhancements[str(level)](features, words, mask)
        return enhanced
