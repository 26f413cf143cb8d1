"""The network contract in 2-D and 3-D: shapes, gradients, words, one warp for image and pseudo-image, saved weights."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from Testing.lib import tiny
from TextGuidedSegLib.config import BackboneConfig, NetworkConfig
from TextGuidedSegLib.network import FusedNetwork, second_names
from TextGuidedSegLib.text_encoder import Tokens

FILM, VOLUME = tiny.FILM_NETWORK, tiny.VOLUME_NETWORK


def images(shape: tuple[int, ...], batch: int = 2, channels: int = 1) -> Tensor:
    return torch.randn(batch, channels, *shape, generator=torch.Generator().manual_seed(3))


def unsplit(config: NetworkConfig) -> NetworkConfig:
    """The same network without a stem that halves the resolution."""
    return dataclasses.replace(config, backbone=dataclasses.replace(config.backbone, stem_stride=1))


@pytest.mark.parametrize(
    ("config", "shape"),
    [(FILM, (48, 40)), (VOLUME, (16, 24, 16)), (unsplit(FILM), (32, 40))],
    ids=["film", "volume", "full resolution"],
)
class TestContract:
    def test_logits_have_the_shape_of_the_image(self, config: NetworkConfig, shape: tuple[int, ...]) -> None:
        with torch.no_grad():
            output = tiny.network(config)(images(shape), tiny.random_tokens(2, 6))
        assert output.logits.shape == (2, 1, *shape)
        assert output.pseudo_logits.shape == (2, config.pseudo_image.channels, *shape)
        assert (output.logits.dtype, output.pseudo_logits.dtype) == (torch.float32, torch.float32)

    def test_every_parameter_learns(self, config: NetworkConfig, shape: tuple[int, ...]) -> None:
        net = tiny.network(config).train()
        # One of the two has no phrase, so that the learned null takes part.
        output = net(images(shape), tiny.random_tokens(2, 6), absent=torch.tensor([False, True]))
        (output.logits.square().mean() + output.pseudo_logits.square().mean()).backward()
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            if not name.endswith("self.key.bias"):  # softmax takes no notice of what it adds to every score
                assert parameter.grad.abs().max() > 0, name

    def test_words_change_the_result(self, config: NetworkConfig, shape: tuple[int, ...]) -> None:
        net, image = tiny.network(config), images(shape, 1)
        with torch.no_grad():
            one = net(image, tiny.random_tokens(1, 6, seed=1))
            two = net(image, tiny.random_tokens(1, 6, seed=2))
            none = net(image, tiny.random_tokens(1, 6, seed=1), absent=torch.tensor([True]))
        for first, second in itertools.combinations((one, two, none), 2):
            assert (first.pseudo_logits - second.pseudo_logits).abs().max() > 1e-3
            assert (first.logits - second.logits).abs().max() > 1e-4

    def test_the_image_changes_the_result_and_not_the_pseudo_image(
        self, config: NetworkConfig, shape: tuple[int, ...]
    ) -> None:
        net, tokens = tiny.network(config), tiny.random_tokens(1, 6)
        with torch.no_grad():
            one, two = net(images(shape, 1), tokens), net(images(shape, 1).flip(2), tokens)
        assert (one.logits - two.logits).abs().max() > 1e-2
        torch.testing.assert_close(one.pseudo_logits, two.pseudo_logits, atol=0, rtol=0)

    def test_without_a_phrase_the_tokens_are_not_read(self, config: NetworkConfig, shape: tuple[int, ...]) -> None:
        net, image, absent = tiny.network(config), images(shape, 1), torch.tensor([True])
        with torch.no_grad():
            one = net(image, tiny.random_tokens(1, 6, seed=1), absent=absent)
            two = net(image, tiny.random_tokens(1, 9, seed=2), absent=absent)
        torch.testing.assert_close(one.logits, two.logits, atol=1e-5, rtol=0)

    def test_half_precision_is_finite(self, config: NetworkConfig, shape: tuple[int, ...]) -> None:
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            output = tiny.network(config)(images(shape), tiny.random_tokens(2, 6))
        assert output.logits.dtype == torch.float32
        assert output.logits.isfinite().all()
        assert output.pseudo_logits.isfinite().all()

    def test_saved_weights_give_the_same_output(
        self, config: NetworkConfig, shape: tuple[int, ...], tmp_path: Path
    ) -> None:
        net, other = tiny.network(config, seed=1), tiny.network(config, seed=2)
        save_file({name: one.clone() for name, one in net.state_dict().items()}, tmp_path / "weights.safetensors")
        other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        with torch.no_grad():
            before = net(images(shape), tiny.random_tokens(2, 6))
            after = other(images(shape), tiny.random_tokens(2, 6))
        torch.testing.assert_close(after.logits, before.logits, atol=0, rtol=0)


@pytest.mark.parametrize("shape", [(37, 53), (16, 99), (101, 8), (8, 8), (1, 20)], ids=str)
def test_a_film_of_any_size(shape: tuple[int, int]) -> None:
    with torch.no_grad():
        output = tiny.network(FILM)(images(shape, 1), tiny.random_tokens(1, 6))
    assert output.logits.shape == (1, 1, *shape)
    assert output.logits.isfinite().all()


@pytest.mark.parametrize("shape", [(9, 17, 12), (20, 8, 5)], ids=str)
def test_a_volume_of_any_size(shape: tuple[int, int, int]) -> None:
    with torch.no_grad():
        output = tiny.network(VOLUME)(images(shape, 1), tiny.random_tokens(1, 6))
    assert output.logits.shape == (1, 1, *shape)
    assert output.logits.isfinite().all()


def test_color_films_have_three_channels() -> None:
    config = dataclasses.replace(FILM, image_channels=3)
    with torch.no_grad():
        output = tiny.network(config)(images((32, 24), 1, channels=3), tiny.random_tokens(1, 6))
    assert output.logits.shape == (1, 1, 32, 24)


def test_the_truth_never_enters_the_network() -> None:
    assert list(inspect.signature(FusedNetwork.forward).parameters) == ["self", "image", "tokens", "absent", "warp"]
    assert list(inspect.signature(FusedNetwork.segment).parameters) == [
        "self", "image", "words", "pseudo_logits", "warp", "coordinates", "frame", "features",
    ]  # fmt: skip


def painted(net: FusedNetwork, tokens: Tokens, shape: tuple[int, ...]) -> Tensor:
    """Pseudo-image logits."""
    with torch.no_grad():
        return net.pseudo_image(net.read(tokens), shape)


class TestWarp:
    """The image arrives warped; the pseudo-image, born inside, must follow it to the pixel."""

    @staticmethod
    def fused(net: FusedNetwork, image: Tensor, pseudo_logits: Tensor, warp: Tensor | None) -> Tensor:
        """What the backbone is given."""
        given: list[Tensor] = []
        handle = net.backbone.register_forward_pre_hook(lambda _module, inputs: given.append(inputs[0]))
        with torch.no_grad():
            net.segment(image, None, pseudo_logits, warp=warp)
        handle.remove()
        return given[0]

    @staticmethod
    def identity(shape: tuple[int, ...]) -> Tensor:
        """The grid that `grid_sample` reads as "stay": last axis first, pixel centers."""
        axes = [(torch.arange(size) + 0.5) / size * 2 - 1 for size in shape]
        return torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)[None]

    @pytest.mark.parametrize("config", [FILM, VOLUME], ids=["film", "volume"])
    @pytest.mark.parametrize("axis", [0, 1])
    def test_a_flip(self, config: NetworkConfig, axis: int) -> None:
        shape = (32, 24, 16)[: config.spatial_dims]
        net = tiny.network(config)
        pseudo_logits = painted(net, tiny.random_tokens(1, 6), shape)
        image = pseudo_logits[:, :1].sigmoid()  # an image that shows what the words say
        grid = self.identity(shape).flip(1 + axis)
        fused = self.fused(net, image.flip(2 + axis), pseudo_logits, grid)
        torch.testing.assert_close(fused[:, 1], fused[:, 0], atol=1e-5, rtol=0)
        assert (fused[:, 1] - image[:, 0]).abs().max() > 1e-3, "the flip did something"

    @pytest.mark.parametrize("shift", [(5, 0), (0, -7), (-3, 4)])
    def test_a_shift_brings_in_places_to_which_no_word_points(self, shift: tuple[int, int]) -> None:
        shape = (32, 24)
        net = tiny.network(FILM)
        pseudo_logits = painted(net, tiny.random_tokens(1, 6), shape)
        image = torch.zeros(1, 1, *shape)
        inside = [slice(max(0, by), size + min(0, by)) for by, size in zip(shift, shape, strict=True)]
        origin = [slice(max(0, -by), size + min(0, -by)) for by, size in zip(shift, shape, strict=True)]
        image[0, 0][tuple(inside)] = pseudo_logits[0, 0].sigmoid()[tuple(origin)]
        pixels = torch.tensor([2 * shift[1] / shape[1], 2 * shift[0] / shape[0]])
        fused = self.fused(net, image, pseudo_logits, self.identity(shape) - pixels)
        torch.testing.assert_close(fused[:, 1], fused[:, 0], atol=1e-5, rtol=0)

    def test_warping_inside_equals_warping_before(self) -> None:
        shape = (32, 24)
        net, image = tiny.network(FILM), images((32, 24), 1)
        pseudo_logits = painted(net, tiny.random_tokens(1, 6), shape)
        with torch.no_grad():
            inside = net.segment(image, None, pseudo_logits, warp=self.identity(shape).flip(2))
            before = net.segment(image, None, pseudo_logits.flip(3))
        torch.testing.assert_close(inside.logits, before.logits, atol=1e-4, rtol=0)

    def test_the_returned_pseudo_image_stays_in_the_canonical_frame(self) -> None:
        net, image, tokens = tiny.network(FILM), images((32, 24), 1), tiny.random_tokens(1, 6)
        with torch.no_grad():
            output = net(image, tokens, warp=self.identity((32, 24)).flip(2))
        torch.testing.assert_close(output.pseudo_logits, painted(net, tokens, (32, 24)), atol=0, rtol=0)


class TestMemoryLayout:
    """Where channels lie together, gradients may write past their buffers: on some machines, in some layers."""

    @pytest.mark.parametrize("has_matrix_units", [True, False])
    @pytest.mark.parametrize(
        ("backbone", "safe_anywhere"),
        [
            (BackboneConfig(filters=(8, 16, 16)), False),  # its first shortcut: one pixel, stride 2, few channels
            (BackboneConfig(filters=(8, 16, 16), stem_stride=1), False),  # so is the second one's: 8 channels
            (BackboneConfig(filters=(32, 32, 32), stem_stride=1), True),
            (BackboneConfig("efficientnet_lite", (8, 8, 16, 16, 16)), True),
        ],
    )
    def test_films_train_so_where_it_is_safe(
        self, monkeypatch: pytest.MonkeyPatch, backbone: BackboneConfig, *, has_matrix_units: bool, safe_anywhere: bool
    ) -> None:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": has_matrix_units}, raising=False)
        net = tiny.network(dataclasses.replace(FILM, backbone=backbone))
        assert net.trains_channels_last(torch.device("cpu")) == (has_matrix_units or safe_anywhere)
        assert net.trains_channels_last(torch.device("cuda"))

    def test_an_older_torch_that_does_not_know_the_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
        assert not tiny.network().trains_channels_last(torch.device("cpu"))

    def test_volumes_never(self) -> None:
        net = tiny.network(VOLUME)
        assert not any(net.trains_channels_last(torch.device(device)) for device in ("cpu", "cuda"))


def norm(name: str) -> set[str]:
    return {f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}


def linear(name: str) -> set[str]:
    return {f"{name}.weight", f"{name}.bias"}


def convolutions(name: str, count: int) -> set[str]:
    numbers = range(1, count + 1)
    return {f"{name}.conv{n}.conv.weight" for n in numbers}.union(*(norm(f"{name}.norm{n}") for n in numbers))


def expected_names() -> set[str]:
    bert, layer = "text_encoder.model", "text_encoder.model.encoder.layer.0"
    tables = ("word", "position", "token_type")
    names = {"text_encoder.null", *(f"{bert}.embeddings.{table}_embeddings.weight" for table in tables)}
    attention = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
    output = [f"{layer}.{part}.{one}" for part in ("attention.output", "output") for one in ("dense", "LayerNorm")]
    for name in (f"{bert}.embeddings.LayerNorm", *attention, *output, f"{layer}.intermediate.dense"):
        names |= linear(name)
    for name in ("position.0", "position.2", "norm", "head"):
        names |= linear(f"generator.{name}")
    for block in ("generator.blocks.0", "generator.blocks.1"):
        names |= {f"{block}.attention.in_proj_weight", f"{block}.attention.in_proj_bias"}
        for name in ("norm_query", "attention.out_proj", "feedforward.0", "feedforward.1", "feedforward.3"):
            names |= linear(f"{block}.{name}")
    for name in ("input_block", "downsamples.0", "bottleneck"):
        names |= convolutions(f"backbone.{name}", 3)
    for name in ("backbone.upsamples.0", "backbone.upsamples.1"):
        names |= convolutions(f"{name}.conv_block", 2) | {f"{name}.transp_conv.conv.weight"}
    return names | linear("backbone.output_block.conv.conv")


class TestNamesOfWeights:
    def test_published_weights_go_on_loading(self) -> None:
        # A change of this list makes every weights file that was published before useless.
        state = tiny.network(FILM).state_dict()
        assert set(state) - set(second_names(state)) == expected_names()

    def test_a_tensor_with_two_names_is_found(self) -> None:
        state = tiny.network(FILM).state_dict()
        repeated = second_names(state)
        assert repeated, "DynUNet registers its blocks twice"
        assert not set(repeated) & set(repeated.values())
        assert all(state[second].data_ptr() == state[first].data_ptr() for second, first in repeated.items())
        assert len({one.data_ptr() for one in state.values()}) == len(state) - len(repeated)
