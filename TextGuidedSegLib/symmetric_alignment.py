"""Spatial-aware symmetric alignment (SSA): one transport plan between image regions and phrase units, used both ways.

A reconstruction from the abstract of Liao, Geng, Liu; there is no public code and no figure of theirs to compare with.
Text to image: each region receives the units that its mass goes to. Image to text: each unit receives the regions it
is sent from, and the deeper scale hands its units on to the next finer one. A dustbin unit takes what no word speaks
of.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from TextGuidedSegLib.config import SymmetricAlignmentConfig
from TextGuidedSegLib.language.units import UNIT_KINDS
from TextGuidedSegLib.text_encoder import PhraseUnits
from TextGuidedSegLib.transport import standardized, transport_plan

# A region off the named place is this unlikely, not impossible: words can be wrong.
_REGION_FLOOR = 0.02
# Share of the image that the words claim lies in between: a claim of nothing or everything has no gradient.
_LEAST_CLAIM, _LARGEST_CLAIM = 0.02, 0.9
_START_CLAIM = -1.5  # logit; about the mean lesion area


class Plan(NamedTuple):
    """One transport plan.

    Attributes:
        mass: `(B, N, K + 1)`; column 0 is the dustbin.
        grid: Spatial shape of the N regions.
        mask: `(B, K + 1)` bool, True on columns that take part.
    """

    mass: Tensor
    grid: tuple[int, ...]
    mask: Tensor


class UnitPool(nn.Module):
    """Token states to unit states: attention within each unit, plus what kind of expression it is.

    Args:
        embedding_size: Width E of a token state.
    """

    def __init__(self, embedding_size: int) -> None:
        super().__init__()
        self.score = nn.Linear(embedding_size, 1)
        self.kind = nn.Embedding(len(UNIT_KINDS), embedding_size)
        self.dustbin = nn.Parameter(torch.randn(embedding_size) * 0.02)
        nn.init.normal_(self.kind.weight, std=0.02)

    def forward(self, states: Tensor, units: PhraseUnits) -> Tensor:
        """`(B, T, E)` token states to `(B, K + 1, E)` unit states, the dustbin first."""
        scores = self.score(states)[:, None, :, 0].float().expand(units.members.shape)
        weights = scores.masked_fill(~units.members, -1e4).softmax(dim=2)
        pooled = weights.to(states.dtype) @ states + self.kind(units.kinds).to(states.dtype)
        return torch.cat([self.dustbin.to(states.dtype).expand(states.shape[0], 1, -1), pooled], dim=1)


class SymmetricAlignment(nn.Module):
    """Alignment at one scale.

    Args:
        channels: Channels of the image features.
        embedding_size: Width of a unit state.
        config: Sizes.
    """

    def __init__(self, channels: int, embedding_size: int, config: SymmetricAlignmentConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.image_key, self.unit_key = nn.Linear(channels, width), nn.Linear(embedding_size, width)
        self.image_value, self.unit_value = nn.Linear(channels, embedding_size), nn.Linear(embedding_size, channels)
        self.claim = nn.Linear(embedding_size, 1)
        nn.init.constant_(self.claim.bias, _START_CLAIM)
        # A new part begins as the identity: its gates open from zero.
        self.image_gate, self.unit_gate = nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.zeros(embedding_size))
        self.direction_weight = nn.Parameter(torch.tensor(1.0))

    def forward(
        self, features: Tensor, unit_states: Tensor, units: PhraseUnits, regions: Tensor
    ) -> tuple[Tensor, Tensor, Plan]:
        """Align.

        Args:
            features: `(B, C, *grid)`.
            unit_states: `(B, K + 1, E)`, the dustbin first.
            units: The K units.
            regions: `(B, K, *grid)` directional region of each unit, in [0, 1].

        Returns:
            Features and unit states with what they received, and the plan.
        """
        grid = tuple(features.shape[2:])
        pixels = features.flatten(2).transpose(1, 2)  # (B, N, C)
        plan = self._plan(pixels, unit_states, units, regions)
        mass = plan.to(pixels.dtype)
        received = mass @ self.unit_value(unit_states) * pixels.shape[1]  # divided by the regions' mass 1 / N
        column = plan.sum(dim=1).clamp_min(1e-6).to(mass.dtype)  # (B, K + 1)
        gathered = mass.transpose(1, 2) @ self.image_value(pixels) / column[..., None]
        mask = _with_dustbin(units.mask)
        unit_states = unit_states + self.unit_gate * gathered * mask[..., None]
        enriched = pixels + self.image_gate * received
        return enriched.transpose(1, 2).reshape(features.shape), unit_states, Plan(plan, grid, mask)

    def _plan(self, pixels: Tensor, unit_states: Tensor, units: PhraseUnits, regions: Tensor) -> Tensor:
        keys = functional.normalize(self.image_key(pixels).float(), dim=2)
        queries = functional.normalize(self.unit_key(unit_states).float(), dim=2)
        # Half precision would round cosines by as much as epsilon.
        with torch.autocast(pixels.device.type, enabled=False):
            cost = standardized(1 - keys @ queries.transpose(1, 2), _with_dustbin(units.mask))
        off = -(regions.flatten(2).transpose(1, 2) + _REGION_FLOOR).log()  # (B, N, K), at most -log of the floor
        off = functional.pad(off, (1, 0))
        cost = cost + functional.softplus(self.direction_weight) * off
        regions_mass = torch.full(pixels.shape[:2], 1 / pixels.shape[1], device=pixels.device)
        return transport_plan(
            cost, regions_mass, self._unit_mass(unit_states, units.mask), epsilon=self.config.epsilon,
            iterations=self.config.iterations,
        )  # fmt: skip

    def _unit_mass(self, unit_states: Tensor, mask: Tensor) -> Tensor:
        """The share of the image that the words claim, split evenly over the units; the dustbin takes the rest."""
        valid = mask.float()
        count = valid.sum(dim=1, keepdim=True).clamp_min(1)
        mean = (unit_states[:, 1:].float() * valid[..., None]).sum(dim=1) / count
        claim = self.claim(mean.to(unit_states.dtype)).float().sigmoid()
        claim = _LEAST_CLAIM + (_LARGEST_CLAIM - _LEAST_CLAIM) * claim  # (B, 1)
        return torch.cat([1 - claim, claim * valid / count], dim=1)


def _with_dustbin(mask: Tensor) -> Tensor:
    return functional.pad(mask, (1, 0), value=True)
