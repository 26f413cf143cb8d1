"""The network: image and phrase in, segmentation out. The only place where parts are wired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from TextGuidedSegLib.backbone_levels import levels
from TextGuidedSegLib.backbones import backbone_multiple, build_backbone
from TextGuidedSegLib.config import NetworkConfig
from TextGuidedSegLib.contrastive_alignment import ContrastiveAlignment, LevelMatch
from TextGuidedSegLib.guidance import OrganFrame, canonical_coordinates
from TextGuidedSegLib.padding import cropped, extended, inside, pad_to_multiple
from TextGuidedSegLib.presence_head import PresenceHead
from TextGuidedSegLib.pseudo_image import PseudoImageGenerator
from TextGuidedSegLib.spatial_alignment import SpatialAlignment, SpatialOutput
from TextGuidedSegLib.text_encoder import PhraseUnits, TextEncoder, Tokens

_FEW_CHANNELS = 32  # 5 are too few, 32 are not; between them nothing was tried


class Words(NamedTuple):
    """What the parts hear of B phrases.

    Attributes:
        states: `(B, T, E)` token states.
        mask: `(B, T)` bool, False on padding.
        units: Expressions; None where no part needs them.
    """

    states: Tensor
    mask: Tensor
    units: PhraseUnits | None


class NetworkOutput(NamedTuple):
    """What one pass returns; everything as logits.

    Attributes:
        logits: `(B, 1, *shape)` segmentation, in the frame of the given image.
        pseudo_logits: `(B, P, *shape)` pseudo-image in the canonical frame, before any warp; channel 0 is occupancy.
            None without early fusion.
        spatial: Plans and the region that the words point at; None without symmetric alignment.
        matches: Contrasted levels, finest first; empty without contrastive alignment, and at inference.
        map_logits: Logits `(B, 1, *grid)` of where the words match, of each enhanced level, deepest first.
        presence_logits: `(B,)`, positive where what the phrase names is rather there; None without that head.
        padded_shape: Spatial shape that the grids of the parts cover: the image, padded after the end of each axis.
    """

    logits: Tensor
    pseudo_logits: Tensor | None
    spatial: SpatialOutput | None = None
    matches: tuple[LevelMatch, ...] = ()
    map_logits: tuple[Tensor, ...] = ()
    presence_logits: Tensor | None = None
    padded_shape: tuple[int, ...] = ()


class FusedNetwork(nn.Module):
    """Image and phrase to segmentation logits; which of three methods take part is the configuration's choice.

    * **Early fusion** (arXiv:2510.12482): a pseudo-image made of the words is stacked on the image.
    * **Symmetric alignment**: optimal transport between deep regions and phrase units, with directional guidance.
    * **Contrastive alignment** (arXiv:2412.13533): words enhance the decoder's features, from coarse to fine.

    Ground truth never enters: `forward(image, tokens)`. The augmentation's warp is an argument because the
    pseudo-image is born inside: the loader warps image and mask, and passes the same grid for what the words say.

    Args:
        config: Parts and sizes.
        text_encoder: Phrases to token states.

    Raises:
        ValueError: The backbone cannot be built, or does not have the levels that a part works on.
    """

    def __init__(self, config: NetworkConfig, text_encoder: TextEncoder) -> None:
        super().__init__()
        self.config = config
        width, dims = text_encoder.embedding_size, config.spatial_dims
        self.text_encoder = text_encoder if config.reads_words else None
        channels = config.image_channels
        self.generator: PseudoImageGenerator | None = None
        if config.pseudo_image is not None:
            self.generator = PseudoImageGenerator(config.pseudo_image, width, dims)
            channels += config.pseudo_image.channels
        self.backbone = build_backbone(config.backbone, channels, dims)
        self.multiple = backbone_multiple(config.backbone)
        self.alignment: SpatialAlignment | None = None
        self.contrast: ContrastiveAlignment | None = None
        self.presence: PresenceHead | None = None
        if self._uses_levels:
            _check_levels(config, len(levels(self.backbone).level_channels))
        if config.alignment is not None:
            self.alignment = SpatialAlignment(levels(self.backbone).level_channels, width, dims, config.alignment)
        if config.contrast is not None:
            self.contrast = ContrastiveAlignment(levels(self.backbone).level_channels, width, config.contrast)
        if config.presence is not None:
            sizes = levels(self.backbone).level_channels
            self.presence = PresenceHead(sizes[config.presence.level], sizes[-1], width, config.presence)

    @property
    def _uses_levels(self) -> bool:
        return any(part is not None for part in (self.config.alignment, self.config.contrast, self.config.presence))

    def forward(
        self, image: Tensor, tokens: Tokens, *, absent: Tensor | None = None, warp: Tensor | None = None
    ) -> NetworkOutput:
        """One pass.

        Args:
            image: `(B, C, *shape)` float32, normalized, canonical frame (already warped when `warp` is given).
            tokens: B phrases.
            absent: `(B,)` bool, True where there is no phrase.
            warp: `(B, *shape, D)` sampling grid as `torch.nn.functional.grid_sample` reads it, applied to what the
                words say only; None at inference.

        Returns:
            Logits, the pseudo-image before the warp, and what the losses of the other parts need.
        """
        words = self.read(tokens, absent=absent)
        pseudo_logits = self.pseudo_image(words, image.shape[2:])
        return self.segment(image, words, pseudo_logits, warp=warp)

    def read(self, tokens: Tokens, *, absent: Tensor | None = None) -> Words | None:
        """Token states and units of B phrases, of absent ones the null; None for a network that does not read."""
        if self.text_encoder is None:
            return None
        units = tokens.units
        if units is not None and absent is not None:
            units = units.silenced(absent)
        return Words(self.text_encoder(tokens, absent), tokens.mask, units)

    def pseudo_image(self, words: Words | None, shape: Sequence[int]) -> Tensor | None:
        """Pseudo-image logits `(B, P, *shape)` of B phrases over a whole image of that shape."""
        if self.generator is None or words is None:
            return None
        logits: Tensor = self.generator(words.states, words.mask, shape)
        return logits

    def segment(
        self,
        image: Tensor,
        words: Words | None,
        pseudo_logits: Tensor | None,
        *,
        warp: Tensor | None = None,
        coordinates: Tensor | None = None,
        frame: OrganFrame | None = None,
        features: Sequence[Tensor] | None = None,
    ) -> NetworkOutput:
        """Fuse and segment.

        Args:
            image: `(B, C, *shape)`.
            words: From `read`.
            pseudo_logits: `(B, P, *shape)` from `pseudo_image`, the whole image's or the same window of it.
            warp: Sampling grid for what the words say, see `forward`.
            coordinates: `(B or 1, *shape, D)` canonical coordinates of a window's voxels in the whole image, from -1 to
                1 in array order; None for a whole image.
            frame: Organ of the whole image, so that words mean the same in every window; None for a whole image.
            features: From `encode`, of the same image; None to compute them.

        Returns:
            The output, logits float32.
        """
        shape = image.shape[2:]
        fused = image
        if pseudo_logits is not None:
            pseudo = pseudo_logits.sigmoid()
            if warp is not None:
                pseudo = functional.grid_sample(pseudo, warp, align_corners=False)
            fused = torch.cat([image, pseudo], dim=1)
        if self._reads_channels_last(fused):
            fused = fused.contiguous(memory_format=torch.channels_last)
        padded = pad_to_multiple(fused, self.multiple)
        if words is None or not self._uses_levels:
            output = NetworkOutput(self.backbone(padded), pseudo_logits)
        else:
            if coordinates is None:
                coordinates = canonical_coordinates(shape, image.device) if warp is None else warp.flip(-1)
            features = levels(self.backbone).encode(padded) if features is None else features
            output = self._align(padded, words, coordinates, features=features, frame=frame)
        return output._replace(
            logits=cropped(output.logits, shape, padded.shape[2:]),
            pseudo_logits=pseudo_logits,
            padded_shape=tuple(padded.shape[2:]),
        )

    def trains_channels_last(self, device: torch.device) -> bool:
        """Whether a training in bfloat16 may keep channels together in memory, which is faster.

        Not on a CPU without matrix units if a kernel of one pixel strides over few channels, as the first shortcut of
        DynUNet does: the gradient of oneDNN 3.12 (torch 2.13) then writes past its buffers, and the process ends.
        """
        if self.config.spatial_dims != 2 or device.type == "cuda":
            return self.config.spatial_dims == 2
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch does not tell
        return bool(capabilities.get("amx_bf16")) or not any(map(_strides_over_few_channels, self.backbone.modules()))

    def _reads_channels_last(self, image: Tensor) -> bool:
        if not torch.is_grad_enabled():
            return self.config.spatial_dims == 2
        half = image.is_cuda or torch.is_autocast_enabled(image.device.type)
        return half and self.trains_channels_last(image.device)  # in float32 gradients are never safe on a CPU

    def encode(self, image: Tensor) -> list[Tensor] | None:
        """What all phrases share: features of an image that no word changes; None where words are stacked on it."""
        if self.generator is not None or (self.alignment is None and self.contrast is None):
            return None
        return levels(self.backbone).encode(pad_to_multiple(image, self.multiple))

    def _align(
        self, fused: Tensor, words: Words, coordinates: Tensor, *, features: Sequence[Tensor], frame: OrganFrame | None
    ) -> NetworkOutput:
        """The parts that work on the backbone's levels; `fused` is padded, `coordinates` are not."""
        backbone = levels(self.backbone)
        spatial: SpatialOutput | None = None
        matches: tuple[LevelMatch, ...] = ()
        prompts = words.states
        if self.contrast is not None:
            if self.training:
                matches = self.contrast.match(features, words.states, words.mask)
            prompts = self.contrast.prompts(features, words.states)
        if self.alignment is not None:
            shape, padded = coordinates.shape[1:-1], fused.shape[2:]
            features, spatial = self.alignment(
                features, words.states, words.units, extended(coordinates, padded),
                inside=inside(shape, padded, fused), frame=frame,
            )  # fmt: skip
        maps: list[Tensor] = []
        seen: dict[int, Tensor] = {}

        def refine(level: int, decoded: Tensor) -> Tensor:
            if self.alignment is not None and spatial is not None:
                decoded = self.alignment.point(level, decoded, spatial)
            if self.contrast is not None:
                decoded, logits = self.contrast.enhance(level, decoded, words.states, prompts, words.mask)
                maps.extend([] if logits is None else [logits])
            seen[level] = decoded
            return decoded

        logits = backbone.decode(features, refine)
        presence: Tensor | None = None
        if self.presence is not None and self.config.presence is not None:
            judged = seen[self.config.presence.level]
            presence = self.presence(judged, features[-1], words.states, words.mask, logits)
        return NetworkOutput(logits, None, spatial, matches, tuple(maps), presence)


def second_names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Names under which a state dictionary repeats a tensor, each with the tensor's first name.

    MONAI's DynUNet registers its blocks twice; a weights file that holds each tensor once is half the size.

    Args:
        state: What `state_dict()` returned, or a checkpoint of it; copies of its tensors no longer show the repetition.
    """
    first: dict[tuple[int, torch.Size], str] = {}
    names = {name: first.setdefault((tensor.data_ptr(), tensor.shape), name) for name, tensor in state.items()}
    return {name: original for name, original in names.items() if name != original}


def _check_levels(config: NetworkConfig, count: int) -> None:
    chosen: list[tuple[str, tuple[int, ...], range]] = []
    if config.alignment is not None:
        chosen.append(("alignment.levels", config.alignment.levels, range(1, count)))
    if config.contrast is not None:
        chosen.append(("contrast.levels", config.contrast.levels, range(count)))
        chosen.append(("contrast.enhanced_levels", config.contrast.enhanced_levels, range(count - 1)))
        if config.contrast.places and config.spatial_dims != 2:
            msg = f"network.contrast.places must be 0 for volumes, got {config.contrast.places}: windows have no place"
            raise ValueError(msg)
    if config.presence is not None:
        chosen.append(("presence.level", (config.presence.level,), range(count - 1)))
        if config.spatial_dims != 2 or not config.reads_words:
            msg = "network.presence needs a network of films (spatial_dims 2) that reads words (one of three methods)"
            raise ValueError(msg)
    for name, numbers, legal in chosen:
        if not numbers or not set(numbers) <= set(legal):
            msg = (
                f"network.{name} must be one or more of {', '.join(map(str, legal))} for a backbone with {count} "
                f"levels, got {list(numbers)}"
            )
            raise ValueError(msg)


def _strides_over_few_channels(layer: nn.Module) -> bool:
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and layer.stride != (1, 1)
        and layer.in_channels < _FEW_CHANNELS
    )
