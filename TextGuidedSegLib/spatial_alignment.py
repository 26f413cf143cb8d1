"""Spatial-aware alignment of all scales: units, organ frame, directional regions and plans, wired for the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from TextGuidedSegLib.config import SymmetricAlignmentConfig
from TextGuidedSegLib.guidance import FILM_AXES, VOLUME_AXES, DirectionalGuidance, OrganFrame, OrganMap, resized, united
from TextGuidedSegLib.symmetric_alignment import Plan, SymmetricAlignment, UnitPool
from TextGuidedSegLib.text_encoder import PhraseUnits


class SpatialOutput(NamedTuple):
    """What spatial-aware alignment found.

    Attributes:
        plans: One transport plan a scale, deepest first.
        regions: `(B, 1, *grid)` in [0, 1] where the words point, by level of the backbone; the finest level, where it
            would cost more than at all others, has none.
        frame: The organ that directions were measured in.
    """

    plans: tuple[Plan, ...]
    regions: dict[int, Tensor]
    frame: OrganFrame


class SpatialAlignment(nn.Module):
    """Symmetric alignment at the deep levels and directional guidance at all of them.

    Args:
        channels: Channels of every level of the backbone, finest first.
        embedding_size: Width of a token state.
        spatial_dims: 2 or 3.
        config: Sizes.
    """

    def __init__(
        self, channels: Sequence[int], embedding_size: int, spatial_dims: int, config: SymmetricAlignmentConfig
    ) -> None:
        super().__init__()
        self.config = config
        self.pool = UnitPool(embedding_size)
        self.organ = OrganMap(channels[-1], spatial_dims)
        self.guidance = DirectionalGuidance(FILM_AXES if spatial_dims == 2 else VOLUME_AXES)
        self.scales = nn.ModuleDict(
            {str(level): SymmetricAlignment(channels[level], embedding_size, config) for level in config.levels}
        )
        # The finest scale hands its units on to nobody: nothing could train what they would receive there.
        finest = self.scales[str(min(config.levels))]
        for unread in (finest.image_value, finest.unit_gate):
            unread.requires_grad_(False)
        # What a decoder channel gains inside the region; a new part begins as the identity.
        self.pointing = nn.ParameterDict(
            {str(level): torch.zeros(width) for level, width in enumerate(channels[:-1]) if level > 0}
        )

    def forward(
        self,
        features: Sequence[Tensor],
        states: Tensor,
        units: PhraseUnits | None,
        coordinates: Tensor,
        *,
        inside: Tensor | None = None,
        frame: OrganFrame | None = None,
    ) -> tuple[list[Tensor], SpatialOutput]:
        """Align the encoder's features with the phrase.

        Args:
            features: `(B, C, *grid)` of every level, finest first.
            states: `(B, T, E)` token states.
            units: Expressions of the phrases.
            coordinates: `(B or 1, *shape, D)` canonical coordinates of the image's voxels.
            inside: `(1, *shape, 1)` float32, 1 on the image and 0 on padding, which is no part of an organ; None where
                there is no padding.
            frame: Organ of a larger image that this is a window of, `(1, D)` each; None to find it here.

        Returns:
            Features with the aligned levels replaced, and what was found.

        Raises:
            ValueError: The tokens came without units.
        """
        if units is None:
            msg = "symmetric alignment needs tokens with units, got None; make them with a PhraseTokenizer"
            raise ValueError(msg)
        coordinates = coordinates.expand(states.shape[0], *coordinates.shape[1:])
        places = [coordinates]
        for coarser in features[1:]:  # every cell is made of whole cells of the finer level: means of means are means
            places.append(resized(places[-1], coarser.shape[2:]))
        if not self.config.guidance:
            units = units._replace(directions=torch.zeros_like(units.directions))
        if frame is None:
            frame = self.organ(features[-1], coordinates, inside)
        frame = OrganFrame(*(moment.expand(states.shape[0], -1) for moment in frame))
        regions = {level: self.guidance(units, place, frame) for level, place in enumerate(places) if level > 0}
        unit_states = self.pool(states, units)
        aligned, plans = list(features), []
        for level in sorted(self.config.levels, reverse=True):
            aligned[level], unit_states, plan = self.scales[str(level)](
                aligned[level], unit_states, units, regions[level]
            )
            plans.append(plan)
        return aligned, SpatialOutput(
            tuple(plans), {level: united(region, units) for level, region in regions.items()}, frame
        )

    def points(self, units: PhraseUnits | None) -> bool:
        """Whether some phrase names a direction, so that it matters in which frame it is measured."""
        return self.config.guidance and units is not None and bool(units.directions.any())

    def point(self, level: int, decoded: Tensor, spatial: SpatialOutput) -> Tensor:
        """Tell the decoder at a level where the words point."""
        if str(level) not in self.pointing:
            return decoded
        gain: Tensor = self.pointing[str(level)].view(1, -1, *[1] * (decoded.ndim - 2))
        return decoded + (gain * spatial.regions[level]).to(decoded.dtype)
