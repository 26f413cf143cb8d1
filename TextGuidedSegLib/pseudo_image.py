"""Token states to a pseudo-image: every position of the canonical frame asks the words what lies there.

Differences from the published early-fusion generator, which reshapes one pooled vector into a 28 x 28 map: positions
attend to tokens, so each word keeps its place; sizes come from the image; channel 0 predicts occupancy as logits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from TextGuidedSegLib.config import PseudoImageConfig

# Prior probability that a pixel belongs to a target, about the mean lesion area: the generator starts from there.
_START_OCCUPANCY = 0.1
# Cells of a film are a few hundred, those of a volume of 512 x 512 x 600 voxels 60,000.
_POSITIONS_AT_ONCE = 1 << 14


class PseudoImageGenerator(nn.Module):
    """Paints what the words say about each place of the image.

    Args:
        config: Sizes.
        embedding_size: Width E of a token state.
        spatial_dims: 2 or 3.
    """

    def __init__(self, config: PseudoImageConfig, embedding_size: int, spatial_dims: int) -> None:
        super().__init__()
        self.config = config
        self.spatial_dims = spatial_dims
        self.position = nn.Sequential(
            nn.Linear(spatial_dims * (2 * config.frequencies + 1), config.width),
            nn.GELU(),
            nn.Linear(config.width, config.width),
        )
        self.blocks = nn.ModuleList(
            [_CrossAttentionBlock(config.width, config.heads, embedding_size) for _ in range(config.layers)]
        )
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.channels)
        with torch.no_grad():
            self.head.bias[0] = math.log(_START_OCCUPANCY / (1 - _START_OCCUPANCY))

    def forward(self, states: Tensor, mask: Tensor, shape: Sequence[int]) -> Tensor:
        """Logits of the pseudo-image over the whole canonical image.

        Args:
            states: `(B, T, E)` token states.
            mask: `(B, T)` bool, False on padding, which is never attended to.
            shape: Spatial shape of the image, `(I, J)` or `(I, J, K)`.

        Returns:
            `(B, P, *shape)` float32 logits; channel 0 is the occupancy.
        """
        mode = "bilinear" if self.spatial_dims == 2 else "trilinear"
        cells = self.cells(states, mask, shape)
        return functional.interpolate(cells, size=tuple(shape), mode=mode, align_corners=False)

    def cells(self, states: Tensor, mask: Tensor, shape: Sequence[int]) -> Tensor:
        """What `forward` interpolates: `(B, P, *grid)` logits, one for each cell of the image."""
        grid = [max(2, math.ceil(size / self.config.cell_px)) for size in shape]
        codes = position_code(grid, self.config.frequencies, states.device)
        # Positions do not look at each other: those of a large volume come in portions.
        portions = torch.split(codes, _POSITIONS_AT_ONCE)
        logits = torch.cat([self._paint(portion, states, mask) for portion in portions], dim=1)
        return logits.transpose(1, 2).reshape(states.shape[0], self.config.channels, *grid)

    def _paint(self, codes: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """`(B, N, P)` float32 logits of N positions."""
        queries = self.position(codes)
        queries = queries.expand(states.shape[0], -1, -1)  # (B, N, width)
        for block in self.blocks:
            queries = block(queries, states, mask)
        logits: Tensor = self.head(self.norm(queries)).float()
        return logits


def interpolated_window(cells: Tensor, shape: Sequence[int], window: Sequence[tuple[int, int]]) -> Tensor:
    """A window of the interpolated pseudo-image, without interpolating the rest.

    Args:
        cells: `(B, P, *grid)` from `PseudoImageGenerator.cells`.
        shape: Spatial shape of the whole image.
        window: First pixel and one after the last along each axis.

    Returns:
        `(B, P, *window)`: what interpolating over `shape` and cutting out the window gives, within rounding.
    """
    # The last axis first, while there are few cells: what is left for the full size then copies whole rows.
    for axis, size, (start, stop) in reversed(list(zip(range(2, cells.ndim), shape, window, strict=True))):
        count = cells.shape[axis]
        # Cells and pixels cover the same field of view, as with `align_corners=False`.
        places = (torch.arange(start, stop, device=cells.device, dtype=torch.float64) + 0.5) * (count / size) - 0.5
        places = places.clamp(0, count - 1)
        low = places.floor().long()
        share = (places - low).to(cells.dtype)
        share = share.reshape(-1, *[1] * (cells.ndim - 1 - axis))
        below, above = (cells.index_select(axis, index) for index in (low, (low + 1).clamp_max(count - 1)))
        cells = torch.lerp(below, above, share)
    return cells


class _CrossAttentionBlock(nn.Module):
    """Positions attend to tokens, then think for themselves (pre-norm transformer layer without self-attention)."""

    def __init__(self, width: int, heads: int, embedding_size: int) -> None:
        super().__init__()
        self.norm_query = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, kdim=embedding_size, vdim=embedding_size, batch_first=True)
        self.feedforward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, queries: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        # Asking for the weights chooses plain matrix products: with so few tokens torch's fused attention on a CPU is
        # ten times slower to train.
        attended, _ = self.attention(
            self.norm_query(queries), states, states, key_padding_mask=~mask, need_weights=True,
            average_attn_weights=False,
        )  # fmt: skip
        queries = queries + attended
        result: Tensor = queries + self.feedforward(queries)
        return result


def position_code(grid: Sequence[int], frequencies: int, device: torch.device) -> Tensor:
    """Sines and cosines of the cell centers, in fractions of the image, so the code is the same at every size.

    Args:
        grid: Cells along each axis.
        frequencies: Octaves; octave f has a period of 2 / 2^f image lengths, so the first one tells the two
            sides apart.
        device: Where to make it.

    Returns:
        `(N, D * (2 * frequencies + 1))` float32, N cells in array order.
    """
    axes = [(torch.arange(size, device=device) + 0.5) / size * 2 - 1 for size in grid]
    centers = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, len(grid))  # (N, D) in (-1, 1)
    angles = centers[..., None] * (math.pi / 2) * 2.0 ** torch.arange(frequencies, device=device)  # (N, D, F)
    code = torch.cat([centers[..., None], angles.sin(), angles.cos()], dim=-1)
    return code.flatten(1)
