"""The network with a trained encoder: it is the published one, gray is a picture of equal channels, and its levels."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from TextGuidedSegLib.backbone_levels import levels
from TextGuidedSegLib.backbones import build_backbone
from TextGuidedSegLib.config import BackboneConfig
from TextGuidedSegLib.efficientnet_lite import LEVEL_STRIDES, EfficientNetLiteUNet, encoder_weights

FILTERS = (8, 16, 16, 24, 32)
CONFIG = BackboneConfig("efficientnet_lite", FILTERS)


@pytest.fixture(scope="module")
def published() -> EfficientNet:
    """Another maker's network, with statistics of its normalizations that are not the initial ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = EfficientNet.from_name("efficientnet-lite0").train()
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = 0.5  # soon far from the statistics that every network begins with
        with torch.no_grad():
            for _ in range(3):
                net.extract_features(torch.randn(2, 3, 64, 64))
    return net.eval()


def build(channels: int) -> EfficientNetLiteUNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build_backbone(CONFIG, channels, 2)
    assert isinstance(net, EfficientNetLiteUNet)
    return net


def with_weights(published: EfficientNet, image_channels: int, stacked: int = 0) -> EfficientNetLiteUNet:
    net = build(image_channels + stacked)
    weights = encoder_weights(published.state_dict(), image_channels, image_channels + stacked)
    assert not net.load_state_dict(weights, strict=False).unexpected_keys
    return net.eval()


def images(channels: int, seed: int = 1) -> Tensor:
    return torch.randn(2, channels, 64, 96, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def deepest(net: EfficientNetLiteUNet, image: Tensor) -> Tensor:
    """What the encoder ends with, before the decoder's first convolution."""
    features: Tensor = net.stem(image)
    for stage in net.stages:
        features = stage(features)
    return features


class TestEncoder:
    def test_it_is_the_published_network(self, published: EfficientNet) -> None:
        image = images(3)
        ours = deepest(with_weights(published, 3), image)
        with torch.no_grad():
            head = published.extract_features(image)
            mine = nn.functional.relu6(published._bn1(published._conv_head(ours)))
        assert ours.shape == (2, 320, 2, 3)
        assert head.std() > 0.1
        torch.testing.assert_close(mine, head, atol=1e-5, rtol=1e-5)

    def test_every_tensor_of_the_encoder_is_given_and_none_of_the_decoder(self, published: EfficientNet) -> None:
        given = set(encoder_weights(published.state_dict(), 1, 5))
        ours = {name for name in build(5).state_dict() if not name.endswith("num_batches_tracked")}
        assert given == {name for name in ours if name.startswith(("stem.", "stages."))}

    def test_gray_is_a_picture_with_three_equal_channels(self, published: EfficientNet) -> None:
        gray = images(1)
        picture = deepest(with_weights(published, 3), gray.expand(-1, 3, -1, -1))
        torch.testing.assert_close(deepest(with_weights(published, 1), gray), picture, atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_what_is_stacked_on_the_image_changes_nothing_at_first(
        self, published: EfficientNet, channels: int
    ) -> None:
        net, image = with_weights(published, channels, stacked=4), images(channels)
        one, other = (deepest(net, torch.cat([image, images(4, seed)], dim=1)) for seed in (2, 3))
        assert torch.equal(one, other)
        torch.testing.assert_close(one, deepest(with_weights(published, channels), image), atol=1e-5, rtol=1e-5)

    def test_the_weights_of_another_network_are_refused(self, published: EfficientNet) -> None:
        state = dict(published.state_dict())
        del state["_blocks.3._expand_conv.weight"]
        with pytest.raises(ValueError, match=r"not the weights of EfficientNet-Lite0: they lack _blocks\.3\._expand"):
            encoder_weights(state, 1, 5)
        with pytest.raises(ValueError, match="they lack _conv_stem"):
            encoder_weights(nn.Conv2d(1, 1, 1).state_dict(), 1, 5)


class TestHalfPrecision:
    def test_gradients_of_slow_kernels_are_those_of_float32(self) -> None:
        """More exact than bfloat16 can be, so its slow way is not gone."""
        part = build(2).train().stages[2][0].layers[3]
        image = torch.randn(2, part.in_channels, 16, 24, generator=torch.Generator().manual_seed(2)).bfloat16()
        weights = torch.randn(2, part.in_channels, 8, 12, generator=torch.Generator().manual_seed(3)).bfloat16()
        (exact,) = torch.autograd.grad((part(image.float()) * weights).sum(), part.weight)
        with torch.autocast("cpu", torch.bfloat16):
            output = part(image)
        assert output.dtype == torch.bfloat16
        (half,) = torch.autograd.grad((output * weights).sum(), part.weight)
        torch.testing.assert_close(half, exact, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
    def test_what_is_half_precision_stays_it(self, training: bool) -> None:
        net, seen = build(2).train(training), set[torch.dtype]()
        for part in net.stages.modules():
            if isinstance(part, nn.Conv2d):
                part.register_forward_hook(lambda _part, _inputs, output: seen.add(output.dtype))
        with torch.autocast("cpu", torch.bfloat16):
            net(images(2))
        assert seen == {torch.bfloat16}


class TestLevels:
    @pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
    def test_decoding_what_was_encoded_is_the_forward_pass(self, training: bool) -> None:
        net, image = build(2).train(training), images(2)
        view = levels(net)
        assert torch.equal(view.decode(view.encode(image), lambda _, features: features), net(image))

    def test_features_and_their_refinement_have_the_announced_shapes(self) -> None:
        view, image = levels(build(2)), images(2)
        assert view.level_channels == FILTERS
        assert view.level_strides == LEVEL_STRIDES
        announced = [
            (2, channels, 64 // stride, 96 // stride) for channels, stride in zip(FILTERS, LEVEL_STRIDES, strict=True)
        ]
        features = view.encode(image)
        assert [tuple(one.shape) for one in features] == announced
        seen: list[tuple[int, tuple[int, ...]]] = []

        def refine(level: int, decoded: Tensor) -> Tensor:
            seen.append((level, tuple(decoded.shape)))
            return decoded

        logits = view.decode(features, refine)
        assert seen == [(level, announced[level]) for level in (3, 2, 1, 0)]
        assert logits.shape == (2, 1, 32, 48)

    def test_every_level_counts_and_none_is_changed(self) -> None:
        view = levels(build(2).eval())
        with torch.no_grad():
            features = view.encode(images(2))
            before = [one.clone() for one in features]
            logits = view.decode(features, lambda _, decoded: decoded)
            for changed in range(len(FILTERS)):
                replaced = [one + 1 if level == changed else one for level, one in enumerate(features)]
                assert not torch.equal(view.decode(replaced, lambda _, decoded: decoded), logits)
        assert all(itertools.starmap(torch.equal, zip(before, features, strict=True)))

    def test_gradients_of_the_two_ways_agree(self) -> None:
        image, direct = images(2), build(2).train()
        viewed = copy.deepcopy(direct)
        view = levels(viewed)
        direct(image).square().mean().backward()
        view.decode(view.encode(image), lambda _, decoded: decoded).square().mean().backward()
        for one, other in zip(direct.parameters(), viewed.parameters(), strict=True):
            assert one.grad is not None
            assert other.grad is not None
            torch.testing.assert_close(one.grad, other.grad)
