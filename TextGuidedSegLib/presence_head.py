"""Whether what a phrase names is on a film at all: one logit, learnt beside the mask."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from TextGuidedSegLib.config import EVIDENCE_SHARE, PresenceConfig

_LOGIT_UNIT = 6.0  # brings the evidence of a mask, in logits, to the size of the other inputs


class PresenceHead(nn.Module):
    """Reads the decoder's features where they look most like the target, the deepest features, the words and the mask.

    A mask alone says little about presence: it was taught where things are on films that mostly have them.

    Args:
        decoded_channels: Channels of the decoder's features at the head's level.
        deep_channels: Channels of the deepest features.
        embedding_size: Width of a token state.
        config: Sizes.
    """

    def __init__(self, decoded_channels: int, deep_channels: int, embedding_size: int, config: PresenceConfig) -> None:
        super().__init__()
        width = config.width
        self.pixel, self.word = nn.Conv2d(decoded_channels, width, 1), nn.Linear(embedding_size, width)
        self.score = nn.Conv2d(width, 1, 1)
        self.deep = nn.Linear(deep_channels, width)
        self.norm = nn.LayerNorm(3 * width + 1)
        self.hidden, self.out = nn.Linear(3 * width + 1, width), nn.Linear(width, 1)

    def forward(self, decoded: Tensor, deep: Tensor, states: Tensor, mask: Tensor, logits: Tensor) -> Tensor:
        """Judge.

        Args:
            decoded: `(B, C, h, w)` decoder features, already told of the words.
            deep: `(B, D, *grid)` deepest features.
            states: `(B, T, E)` token states.
            mask: `(B, T)` bool, True on tokens.
            logits: `(B, 1, *shape)` segmentation; presence does not train it.

        Returns:
            `(B,)` float32; positive where the target is rather there.
        """
        with torch.autocast(decoded.device.type, enabled=False):  # a few numbers a film: precision costs nothing here
            decoded, deep, states = decoded.float(), deep.float(), states.float()
            valid = mask.float()[..., None]
            words = (states * valid).sum(dim=1) / valid.sum(dim=1).clamp_min(1)
            pixels = functional.gelu(self.pixel(decoded) + self.word(words)[:, :, None, None])
            attention = self.score(pixels).flatten(2).softmax(dim=2)
            looked_at = (pixels.flatten(2) * attention).sum(dim=2)
            highest = pixels.flatten(2).amax(dim=2)
            whole = functional.gelu(self.deep(deep.flatten(2).mean(dim=2)))
            together = torch.cat([looked_at, highest, whole, _evidence(logits.detach())], dim=1)
            judged: Tensor = self.out(functional.gelu(self.hidden(self.norm(together))))
        return judged[:, 0]


def _evidence(logits: Tensor) -> Tensor:
    """`(B, 1)`: mean of the highest logits, as `presence.presence_evidence` takes it."""
    flat = logits.float().flatten(1)
    return (
        flat.topk(max(1, round(EVIDENCE_SHARE * flat.shape[1])), dim=1).values.mean(dim=1, keepdim=True) / _LOGIT_UNIT
    )
