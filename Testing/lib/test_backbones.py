"""Every backbone in 2-D and 3-D: one contract, MONAI's own networks, clear refusals; and the levels of two of them.

The levels of the one with a trained encoder are tested in `test_efficientnet_lite`.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import pytest
import torch
from monai.networks.nets import DynUNet, UNet
from torch import Tensor, nn

from Testing.lib import tiny
from TextGuidedSegLib.backbone_levels import LevelledBackbone, levels
from TextGuidedSegLib.backbones import (
    BACKBONES,
    DEFAULT_FILTERS,
    StemmedNetwork,
    backbone_multiple,
    build_backbone,
)
from TextGuidedSegLib.config import BackboneConfig

FILTERS = {
    "dynunet": (8, 16, 16),
    "efficientnet_lite": (8, 8, 16, 16, 16),
    "residual_unet": (8, 16, 16),
    "segresnet": (8, 16, 32),
    "swinunetr": (12, 12, 24, 48, 96, 192),
    "unet": (8, 16, 16),
    "unetplusplus": (8, 8, 16, 16, 16, 8),
}
MULTIPLES = {
    "dynunet": 4,
    "efficientnet_lite": 16,
    "residual_unet": 2,
    "segresnet": 4,
    "swinunetr": 32,
    "unet": 2,
    "unetplusplus": 16,
}
MADE_HERE = "efficientnet_lite"  # films only, and with a stem of its own
UNDO_THEIR_STEM = {"residual_unet", "unet"}
CHANNELS = 3

CASES = [
    (name, dims, stem)
    for name in sorted(BACKBONES)
    for dims in (2, 3)
    for stem in (1, 2)
    if name != MADE_HERE or (dims, stem) == (2, 2)
]

every_case = pytest.mark.parametrize(("name", "dims", "stem"), CASES)
every_monai_network = pytest.mark.parametrize("name", sorted(BACKBONES.keys() - {MADE_HERE}))
both_dims = pytest.mark.parametrize("dims", [2, 3])
both_stems = pytest.mark.parametrize("stem", [1, 2])
levelled = pytest.mark.parametrize("name", ["dynunet", "segresnet"])


def small(name: str, stem: int = 1, norm: str = "batch") -> BackboneConfig:
    return BackboneConfig(name, FILTERS[name], stem, norm)


def build(config: BackboneConfig, dims: int = 2) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_backbone(config, CHANNELS, dims)


def images(*shape: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, CHANNELS, *shape, generator=torch.Generator().manual_seed(1))


def oblong(config: BackboneConfig, dims: int) -> tuple[int, ...]:
    """The smallest image that the contract lets train, longer along one axis."""
    return (2 * backbone_multiple(config), *[backbone_multiple(config)] * (dims - 1))


@every_case
class TestContract:
    def test_any_multiple_gives_one_channel_of_logits(self, name: str, dims: int, stem: int) -> None:
        config = small(name, stem)
        multiple = backbone_multiple(config)
        assert multiple == stem * MULTIPLES[name]
        net = build(config, dims).eval()
        shrinks_by = 1 if name in UNDO_THEIR_STEM else stem
        for factors in ((1, 1, 1), (2, 1, 1), (1, 2, 1)):
            shape = [multiple * factor for factor in factors[:dims]]
            with torch.no_grad():
                logits = net(images(*shape, batch=1))
            assert logits.shape == (1, 1, *(size // shrinks_by for size in shape))
            assert logits.isfinite().all()

    def test_gradients_reach_every_parameter_that_is_trained_and_every_pixel(
        self, name: str, dims: int, stem: int
    ) -> None:
        config = small(name, stem)
        net, image = build(config, dims).train(), images(*oblong(config, dims), batch=1).requires_grad_()
        net(image).square().mean().backward()
        assert image.grad is not None
        assert (image.grad != 0).all()
        for path, parameter in net.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, path
            assert parameter.grad is None or parameter.grad.isfinite().all(), path
        frozen = {path for path, parameter in net.named_parameters() if not parameter.requires_grad}
        heads = {f"network.final_conv_0_{nest}.{part}" for nest in (1, 2, 3) for part in ("weight", "bias")}
        assert frozen == (heads if name == "unetplusplus" else set())

    def test_inference_repeats_itself_and_images_do_not_meet(self, name: str, dims: int, stem: int) -> None:
        config = small(name, stem)
        net, batch = build(config, dims).eval(), images(*[backbone_multiple(config)] * dims)
        with torch.no_grad():
            once, again, alone = net(batch), net(batch), net(batch[1:])
        assert torch.equal(once, again)
        torch.testing.assert_close(once[1:], alone, atol=1e-4, rtol=1e-4)
        assert not torch.equal(once[0], once[1])


class TestWhatIsBuilt:
    @every_monai_network
    @both_dims
    def test_nothing_but_the_networks_of_monai(self, name: str, dims: int) -> None:
        net = build(small(name), dims)
        makers = {type(part).__module__.split(".")[0] for part in net.modules() if not isinstance(part, StemmedNetwork)}
        assert makers == {"monai", "torch"}

    @every_monai_network
    @both_dims
    @pytest.mark.parametrize("norm", ["batch", "instance", "group"])
    def test_the_norm_is_the_one_asked_for(self, name: str, dims: int, norm: str) -> None:
        config = BackboneConfig(name, tuple(2 * channels for channels in FILTERS[name]), 1, norm)
        if name == "residual_unet" and norm != "batch":
            with pytest.raises(ValueError, match=f"norm of residual_unet must be batch, got '{norm}'"):
                build(config, dims)
            return
        found = {type(part).__name__ for part in build(config, dims).modules() if "Norm" in type(part).__name__}
        asked = {"batch": f"BatchNorm{dims}d", "instance": f"InstanceNorm{dims}d", "group": "GroupNorm"}[norm]
        assert found - {"LayerNorm"} == {asked}

    @pytest.mark.parametrize("dims", sorted(DEFAULT_FILTERS))
    def test_there_is_a_compact_default_of_each(self, dims: int) -> None:
        assert DEFAULT_FILTERS[dims].keys() == BACKBONES.keys() - ({MADE_HERE} if dims == 3 else set())
        for name, filters in DEFAULT_FILTERS[dims].items():
            net = build_backbone(BackboneConfig(name, filters), 5, dims)
            assert 4e6 < sum(parameter.numel() for parameter in net.parameters()) < 7e6, name
        assert BackboneConfig().filters == DEFAULT_FILTERS[2][BackboneConfig().name]

    def test_the_two_u_nets_differ_in_their_residual_units(self) -> None:
        units = {name: build(small(name)) for name in ("unet", "residual_unet")}
        assert all(isinstance(net, UNet) for net in units.values())
        assert {name: net.num_res_units for name, net in units.items()} == {"unet": 0, "residual_unet": 2}

    def test_a_stem_stride_loses_no_detail(self) -> None:
        fine = images(8, 8)
        cells = StemmedNetwork(nn.Identity(), 2)(fine)
        assert cells.shape == (2, 4 * CHANNELS, 4, 4)
        assert torch.equal(nn.functional.pixel_shuffle(cells, 2), fine)


class TestRefusals:
    @pytest.mark.parametrize(
        ("config", "message"),
        [
            (
                BackboneConfig("dynunett"),
                "one of dynunet, efficientnet_lite, residual_unet, .*unetplusplus, got 'dynunett'",
            ),
            (BackboneConfig(filters=()), r"filters of dynunet must be positive, one for each level, got \[\]"),
            (BackboneConfig(filters=(8, 0, 8)), r"must be positive, one for each level, got \[8, 0, 8\]"),
            (BackboneConfig(filters=(8,)), r"at least 3 levels, got \[8\]"),
            (BackboneConfig(filters=(8, 16)), r"at least 3 levels, got \[8, 16\]"),
            (BackboneConfig("unet", (8,)), r"filters of unet must have at least 2 levels, got \[8\]"),
            (BackboneConfig("segresnet", (8,)), r"at least 2 levels, each twice the one before, got \[8\]"),
            (BackboneConfig("segresnet", (8, 16, 24)), r"each twice the one before, got \[8, 16, 24\]"),
            (BackboneConfig("unetplusplus", (8, 16, 16)), r"those of 5 levels and of the last up-block, got \[8, 16"),
            (BackboneConfig("swinunetr", (24, 48, 96)), r"\[1, 1, 2, 4, 8, 16\] times a multiple of 12, got \[24, 48"),
            (BackboneConfig("swinunetr", (8, 8, 16, 32, 64, 128)), r"times a multiple of 12, got \[8, 8, 16"),
            (BackboneConfig("efficientnet_lite", (8, 16)), r"must be those of 5 levels, got \[8, 16\]"),
            (BackboneConfig("efficientnet_lite", stem_stride=1), "stem_stride of efficientnet_lite must be 2, got 1"),
            (BackboneConfig(stem_stride=0), "stem_stride must be 1 or more, got 0"),
            (BackboneConfig("unet", (8, 16, 16), 4), "stem_stride of unet must be 1 or 2, .*got 4"),
            (BackboneConfig(norm="layer"), "norm must be one of batch, group, instance, got 'layer'"),
            (BackboneConfig(filters=(8, 12, 16), norm="group"), r"multiples of 8, the number of groups, got \[8, 12"),
        ],
    )
    def test_what_a_network_cannot_be_is_said(self, config: BackboneConfig, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            build_backbone(config, CHANNELS, 2)

    def test_a_network_of_films_for_volumes(self) -> None:
        with pytest.raises(ValueError, match=r"efficientnet_lite reads films \(spatial_dims 2\), got spatial_dims 3"):
            build_backbone(BackboneConfig("efficientnet_lite"), CHANNELS, 3)

    def test_four_dimensions(self) -> None:
        with pytest.raises(ValueError, match="spatial_dims must be 2 or 3, got 4"):
            build_backbone(BackboneConfig(), CHANNELS, 4)

    def test_the_multiple_of_an_unknown_network(self) -> None:
        with pytest.raises(ValueError, match="got 'unett'"):
            backbone_multiple(BackboneConfig("unett"))


def kept(level: int, features: Tensor) -> Tensor:
    return features


def recorded(seen: list[tuple[int, torch.Size]]) -> Callable[[int, Tensor], Tensor]:
    def refine(level: int, features: Tensor) -> Tensor:
        seen.append((level, features.shape))
        return features

    return refine


class TestLevels:
    @levelled
    @both_dims
    @both_stems
    @pytest.mark.parametrize("norm", ["batch", "instance"])
    @pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
    def test_decoding_what_was_encoded_is_the_forward_pass(
        self, name: str, dims: int, stem: int, norm: str, training: bool
    ) -> None:
        config = small(name, stem, norm)
        net, image = build(config, dims).train(training), images(*oblong(config, dims))
        view = levels(net)
        assert torch.equal(view.decode(view.encode(image), kept), net(image))

    @levelled
    @both_dims
    @both_stems
    def test_features_and_their_refinement_have_the_announced_shapes(self, name: str, dims: int, stem: int) -> None:
        config = small(name, stem)
        view, shape = levels(build(config, dims)), oblong(config, dims)
        assert view.level_channels == FILTERS[name]
        assert view.level_strides == (stem, 2 * stem, 4 * stem)
        announced = [
            (2, channels, *(size // stride for size in shape))
            for channels, stride in zip(view.level_channels, view.level_strides, strict=True)
        ]
        features = view.encode(images(*shape))
        assert [tuple(one.shape) for one in features] == announced
        seen: list[tuple[int, torch.Size]] = []
        logits = view.decode(features, recorded(seen))
        assert [(level, tuple(size)) for level, size in seen] == [(1, announced[1]), (0, announced[0])]
        assert logits.shape == (2, 1, *announced[0][2:])

    @levelled
    def test_what_refine_returns_goes_on_and_every_level_counts(self, name: str) -> None:
        config = small(name)
        view = levels(build(config).eval())
        with torch.no_grad():
            features = view.encode(images(*oblong(config, 2)))
            before, logits = [one.clone() for one in features], view.decode(features, kept)
            for changed in range(2):
                other = view.decode(features, lambda level, one, at=changed: one * 2 if level == at else one)
                assert not torch.equal(other, logits)
            for changed in range(3):
                replaced = [one + 1 if level == changed else one for level, one in enumerate(features)]
                assert not torch.equal(view.decode(replaced, kept), logits)
        assert all(itertools.starmap(torch.equal, zip(before, features, strict=True)))

    @levelled
    def test_gradients_of_the_two_ways_agree(self, name: str) -> None:
        config = small(name, 2)
        image, direct = images(*oblong(config, 2)), build(config).train()
        viewed = copy.deepcopy(direct)
        view = levels(viewed)
        direct(image).square().mean().backward()
        view.decode(view.encode(image), kept).square().mean().backward()
        for one, other in zip(direct.parameters(), viewed.parameters(), strict=True):
            assert one.grad is not None
            assert other.grad is not None
            torch.testing.assert_close(one.grad, other.grad)

    @levelled
    def test_an_owner_of_both_saves_the_same_names_and_copies_them_together(self, name: str) -> None:
        class Owner(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.backbone = build(small(name)).eval()
                self.view: LevelledBackbone = levels(self.backbone)

        owner, image = Owner(), images(8, 8)
        assert set(owner.state_dict()) == {f"backbone.{path}" for path in owner.backbone.state_dict()}
        twin = copy.deepcopy(owner)
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.mul_(0.5)
            assert torch.equal(twin.view.decode(twin.view.encode(image), kept), twin.backbone(image))
            assert not torch.equal(twin.backbone(image), owner.backbone(image))

    def test_the_backbone_of_a_fused_network_is_seen_as_it_is(self) -> None:
        net = tiny.network()
        assert isinstance(net.backbone, DynUNet)
        assert levels(net.backbone).level_strides == (2, 4, 8)

    @pytest.mark.parametrize("name", sorted(BACKBONES.keys() - {"dynunet", "efficientnet_lite", "segresnet"}))
    def test_others_have_none(self, name: str) -> None:
        net = build(small(name))
        inner = net.network if isinstance(net, StemmedNetwork) else net
        with pytest.raises(ValueError, match=f"and segresnet have levels, got a {type(inner).__name__}"):
            levels(net)
