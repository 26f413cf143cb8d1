"""The three methods, separately and together, in 2-D and 3-D: what each adds, and the laws that all of them keep."""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools

import pytest
import torch
from torch import Tensor

from Testing.lib import tiny
from TextGuidedSegLib.config import ContrastiveAlignmentConfig, NetworkConfig, SymmetricAlignmentConfig
from TextGuidedSegLib.guidance import canonical_coordinates
from TextGuidedSegLib.network import FusedNetwork, NetworkOutput
from TextGuidedSegLib.text_encoder import Tokens
from training.losses import LossConfig, Truth, total_loss

LEFT, RIGHT, LONG = "left lower lung opacity", "right lower lung opacity", "left upper lung infection, right upper lung"
# More than one deepest cell along each axis: where an axis of two voxels becomes one, torch 2.13's convolution of
# volumes in half precision on a CPU gives whatever was in memory.
SHAPES = {2: (48, 40), 3: (16, 24, 16)}
SIZES = {2: tiny.FILM_NETWORK, 3: tiny.VOLUME_NETWORK}
DIMENSIONS = pytest.mark.parametrize("dims", [2, 3], ids=["film", "volume"])
METHODS = pytest.mark.parametrize("methods", list(tiny.METHODS))
# A softmax takes no notice of what is added to every score.
WITHOUT_GRADIENT = ("self.key.bias", "key.bias", "score.bias", "saliency.bias", "organ.head.bias")


def config_of(methods: str, dims: int) -> NetworkConfig:
    return tiny.with_methods(SIZES[dims], methods)


def images(dims: int, batch: int = 2, shape: tuple[int, ...] | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(batch, 1, *(shape or SHAPES[dims]), generator=generator)


def truth(dims: int, phrases: tuple[str, ...]) -> Truth:
    """A box in each image."""
    target = torch.zeros(len(phrases), 1, *SHAPES[dims])
    for number, one in enumerate(target):
        one[0, 4 + 4 * number : 12 + 4 * number, 8:16] = 1
    every = torch.ones(len(phrases), dtype=torch.bool)
    return Truth(target, target, phrases, every, every)


def loss_of(output: NetworkOutput, dims: int, phrases: tuple[str, ...], config: LossConfig | None = None) -> Tensor:
    return total_loss(output, truth(dims, phrases), config or LossConfig())[0]


def stepped(methods: str, dims: int) -> FusedNetwork:
    """A network two optimizer steps away from where every part is the identity; a copy that a test may change."""
    return copy.deepcopy(_stepped(methods, dims))


@functools.cache
def _stepped(methods: str, dims: int) -> FusedNetwork:
    phrases = (LEFT, LONG)
    net = tiny.network(config_of(methods, dims)).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        absent = torch.tensor([False, False])
        loss_of(net(images(dims), tiny.tokens(*phrases), absent=absent), dims, phrases).backward()
        optimizer.step()
    net.zero_grad(set_to_none=True)
    return net.eval()


def identity(shape: tuple[int, ...]) -> Tensor:
    """The grid that `grid_sample` reads as "stay"."""
    return canonical_coordinates(shape, torch.device("cpu")).flip(-1)


@DIMENSIONS
@METHODS
class TestEveryMethod:
    def test_shapes(self, methods: str, dims: int) -> None:
        config, shape = config_of(methods, dims), SHAPES[dims]
        net = tiny.network(config)
        with torch.no_grad():
            output = net(images(dims), tiny.tokens(LEFT, LONG))
            trained = net.train()(images(dims), tiny.tokens(LEFT, LONG))
        assert (output.logits.shape, output.logits.dtype) == ((2, 1, *shape), torch.float32)
        assert (output.pseudo_logits is None) == (config.pseudo_image is None)
        assert (output.spatial is None) == (config.alignment is None)
        grids = [tuple(size // 2**level for size in shape) for level in (1, 2, 3)]
        if output.spatial is not None:
            assert [plan.grid for plan in output.spatial.plans] == [grids[2], grids[1]]
        maps = [] if config.contrast is None else [grids[1], grids[0]]
        assert [tuple(logits.shape) for logits in output.map_logits] == [(2, 1, *grid) for grid in maps]
        assert output.matches == (), "only a loss needs them"
        assert [match.grid for match in trained.matches] == ([] if config.contrast is None else grids)

    def test_words_count_exactly_where_some_method_reads_them(self, methods: str, dims: int) -> None:
        net, image = stepped(methods, dims), images(dims, 1)
        with torch.no_grad():
            one, two = net(image, tiny.tokens(LEFT)).logits, net(image, tiny.tokens(RIGHT)).logits
            none = net(image, tiny.tokens(LEFT), absent=torch.tensor([True])).logits
        for first, second in itertools.combinations((one, two, none), 2):
            if methods == "no text":
                assert torch.equal(first, second)
            else:
                assert (first - second).abs().max() > 1e-4

    def test_neighbors_in_a_batch_change_nothing(self, methods: str, dims: int) -> None:
        """Padding of tokens and units is read by no part."""
        net, image = stepped(methods, dims), images(dims)
        with torch.no_grad():
            together = net(image, tiny.tokens("lung", LONG))
            alone = net(image[:1], tiny.tokens("lung"))
        torch.testing.assert_close(together.logits[:1], alone.logits, atol=1e-4, rtol=1e-4)

    def test_without_a_phrase_the_tokens_are_not_read(self, methods: str, dims: int) -> None:
        net, image, absent = stepped(methods, dims), images(dims, 1), torch.tensor([True])
        with torch.no_grad():
            one, two = (net(image, tiny.tokens(phrase), absent=absent).logits for phrase in ("", LONG))
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)

    def test_half_precision_is_finite(self, methods: str, dims: int) -> None:
        phrases = (LEFT, LONG)
        net = stepped(methods, dims).train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = net(images(dims), tiny.tokens(*phrases))
        assert output.logits.dtype == torch.float32
        loss_of(output, dims, phrases).backward()
        assert all(one.grad.isfinite().all() for one in net.parameters() if one.grad is not None)

    def test_every_number_learns(self, methods: str, dims: int) -> None:
        # In a volume the lower band has no border below and the upper one none above: both are named.
        phrases = (LEFT, "upper anterior hippocampus", LONG)
        net = stepped(methods, dims).train()
        # One of the three has no phrase, so that the learned null takes part.
        output = net(images(dims, 3), tiny.tokens(*phrases), absent=torch.tensor([False, False, True]))
        loss_of(output, dims, phrases).backward()
        for name, parameter in net.named_parameters():
            if not parameter.requires_grad:
                continue
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            if not name.endswith(WITHOUT_GRADIENT):
                assert parameter.grad.abs().max() > 0, name

    def test_an_image_of_any_size(self, methods: str, dims: int) -> None:
        shape = (37, 53, 11)[:dims]
        with torch.no_grad():
            output = tiny.network(config_of(methods, dims))(images(dims, 1, shape), tiny.tokens(LEFT))
        assert output.logits.shape == (1, 1, *shape)
        assert output.logits.isfinite().all()
        assert output.padded_shape == (40, 56, 16)[:dims]


@DIMENSIONS
class TestParts:
    @pytest.mark.parametrize(
        ("more", "fewer"),
        [
            ("all", "early fusion"),
            ("symmetric alignment", "no text"),
            ("contrastive alignment", "no text"),
        ],
    )
    def test_a_new_part_begins_as_the_identity(self, more: str, fewer: str, dims: int) -> None:
        small, large = (tiny.network(config_of(methods, dims), seed=seed) for methods, seed in ((fewer, 1), (more, 2)))
        missing = large.load_state_dict(small.state_dict(), strict=False)
        assert missing.missing_keys
        assert not missing.unexpected_keys
        with torch.no_grad():
            one, two = (net(images(dims), tiny.tokens(LEFT, LONG)).logits for net in (small, large))
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize(
        "part", ["pseudo-image", "alignment", "guidance", "pointing", "contrast", "prompting", "enhancement"]
    )
    def test_switched_off_it_changes_the_result(self, part: str, dims: int) -> None:
        net, image, tokens = stepped("all", dims), images(dims, 1), tiny.tokens(LEFT)
        with torch.no_grad():
            words = net.read(tokens)
            pseudo_logits = net.pseudo_image(words, image.shape[2:])
            whole = net.segment(image, words, pseudo_logits).logits
            if part == "pseudo-image":
                pseudo_logits = torch.full_like(pseudo_logits, -torch.inf)
            elif part in ("alignment", "contrast"):
                setattr(net, part, None)
            elif part == "guidance":
                net.alignment.config = dataclasses.replace(net.alignment.config, guidance=False)
            elif part == "pointing":
                net.alignment.pointing["1"].zero_()
            elif part == "prompting":
                net.contrast.prompting = None
            else:
                del net.contrast.enhancements["1"]
            without = net.segment(image, words, pseudo_logits).logits
        assert (whole - without).abs().max() > 1e-5

    @pytest.mark.parametrize(
        ("term", "trained", "untouched"),
        [
            ("dice", ("text_encoder", "generator", "backbone", "alignment", "contrast.enh"), ("contrast.spaces",)),
            ("cross_entropy", ("text_encoder", "generator", "backbone", "alignment", "contrast.prompting"), ()),
            ("pseudo", ("text_encoder", "generator"), ("backbone", "alignment", "contrast")),
            (
                "plan",
                ("text_encoder", "backbone.input_block", "alignment.pool", "alignment.guidance", "alignment.organ",
                 "alignment.scales.1.image_key", "alignment.scales.2.unit_key", "alignment.scales.2.unit_gate",
                 "alignment.scales.1.claim"),
                ("contrast", "backbone.output_block", "alignment.pointing"),
            ),
            ("outside", ("text_encoder", "backbone.output_block", "alignment.guidance", "alignment.organ"), ()),
            (
                "contrast",
                ("text_encoder", "backbone.input_block", "contrast.spaces.0", "contrast.spaces.1", "contrast.spaces.2"),
                ("alignment", "contrast.enhancements", "backbone.output_block"),
            ),
            (
                "similarity",
                ("text_encoder", "backbone.input_block", "contrast.enhancements.0", "contrast.enhancements.1",
                 "contrast.prompting"),
                ("contrast.spaces", "backbone.output_block"),
            ),
        ],
    )  # fmt: skip
    def test_each_loss_trains_what_it_should(
        self, term: str, trained: tuple[str, ...], untouched: tuple[str, ...], dims: int
    ) -> None:
        phrases = (LEFT, LONG)
        net = stepped("all", dims).train()
        none = {field.name: 0.0 for field in dataclasses.fields(LossConfig) if field.name != "contrast_config"}
        only = LossConfig(**{**none, term: 1.0})  # type: ignore[arg-type]
        loss_of(net(images(dims), tiny.tokens(*phrases)), dims, phrases, only).backward()
        largest: dict[str, float] = {}
        for name, parameter in net.named_parameters():
            size = 0.0 if parameter.grad is None else parameter.grad.abs().max().item()
            for prefix in (*trained, *untouched):
                if name.startswith(prefix):
                    largest[prefix] = max(size, largest.get(prefix, 0.0))
        assert {prefix: largest[prefix] > 0 for prefix in trained} == dict.fromkeys(trained, True)
        assert {prefix: largest[prefix] == 0 for prefix in untouched} == dict.fromkeys(untouched, True)


@DIMENSIONS
class TestGuidance:
    @staticmethod
    def region(net: FusedNetwork, image: Tensor, tokens: Tokens, warp: Tensor | None = None) -> Tensor:
        with torch.no_grad():
            return net(image, tokens, warp=warp).spatial.regions[1][0, 0]

    @pytest.mark.parametrize(
        ("phrase", "mirrored"),
        [
            (LEFT, RIGHT),
            (LONG, "right upper lung infection, left upper lung"),
            ("polyp at the top left of the image", "polyp at the top right of the image"),
        ],
    )
    def test_a_mirrored_image_with_swapped_words_has_the_mirrored_region(
        self, phrase: str, mirrored: str, dims: int
    ) -> None:
        net, image = tiny.network(config_of("symmetric alignment", dims)), images(dims, 1)
        here = self.region(net, image, tiny.tokens(phrase))
        there = self.region(net, image.flip(2), tiny.tokens(mirrored))
        assert here.std() > 0.1
        torch.testing.assert_close(there.flip(0), here, atol=1e-5, rtol=0)

    def test_the_left_of_the_patient_and_of_a_picture(self, dims: int) -> None:
        net, image = tiny.network(config_of("symmetric alignment", dims)), images(dims, 1)
        patient, picture = (
            self.region(net, image, tiny.tokens(phrase)) for phrase in ("left lung", "polyp at the left of the image")
        )
        half = len(patient) // 2
        high_is_left = dims == 2
        assert (patient[half:].mean() > patient[:half].mean()) == high_is_left
        assert (picture[half:].mean() > picture[:half].mean()) != high_is_left

    @pytest.mark.parametrize("axis", [0, 1])
    def test_it_follows_the_common_warp_as_the_pseudo_image_does(self, axis: int, dims: int) -> None:
        net, image = tiny.network(config_of("all", dims)), images(dims, 1)
        torch.manual_seed(0)
        torch.nn.init.normal_(net.alignment.organ.head.weight)  # not an even map: the organ lies somewhere
        flip = identity(SHAPES[dims]).flip(1 + axis)
        tokens = tiny.tokens(LEFT)
        with torch.no_grad():
            words = net.read(tokens)
            pseudo_logits = net.pseudo_image(words, SHAPES[dims])
            # The network sees the same in both cases; only what the array's axes mean is another.
            warped = net.segment(image, words, pseudo_logits, warp=flip)
            moved = net.segment(image, words, pseudo_logits.flip(2 + axis), coordinates=flip.flip(-1))
            plain = net.segment(image, words, pseudo_logits)
        torch.testing.assert_close(warped.spatial.regions[1], moved.spatial.regions[1], atol=1e-5, rtol=0)
        torch.testing.assert_close(warped.logits, moved.logits, atol=1e-4, rtol=1e-4)
        assert (warped.spatial.frame.center - plain.spatial.frame.center)[:, axis].abs().max() > 1e-2

    def test_padding_does_not_move_the_organ(self, dims: int) -> None:
        net, shape = tiny.network(config_of("symmetric alignment", dims)), (33, 41, 9)[:dims]
        with torch.no_grad():
            frame = net(images(dims, 1, shape), tiny.tokens(LEFT)).spatial.frame
        assert frame.center.abs().max() < 0.05
        assert (frame.extent - 1).abs().max() < 0.1

    def test_no_phrase_points_nowhere(self, dims: int) -> None:
        net, image = tiny.network(config_of("symmetric alignment", dims)), images(dims, 1)
        with torch.no_grad():
            output = net(image, tiny.tokens(LEFT), absent=torch.tensor([True]))
        assert (output.spatial.regions[1] == 1).all()
        assert output.spatial.plans[0].mask.tolist()[0][:3] == [True, True, False]


class TestMistakes:
    def test_alignment_without_units(self) -> None:
        net = tiny.network(config_of("symmetric alignment", 2))
        with pytest.raises(ValueError, match="needs tokens with units, got None"):
            net(images(2, 1), tiny.random_tokens(1, 6))

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            (
                {"alignment": SymmetricAlignmentConfig(levels=(2, 3))},
                r"alignment\.levels must be one or more of 1, 2 for",
            ),
            ({"alignment": SymmetricAlignmentConfig(levels=(0,))}, r"alignment\.levels .* 3 levels, got \[0\]"),
            ({"alignment": SymmetricAlignmentConfig(levels=())}, r"alignment\.levels .* got \[\]"),
            (
                {"contrast": ContrastiveAlignmentConfig(levels=(4,))},
                r"contrast\.levels must be one or more of 0, 1, 2 for",
            ),
            (
                {"contrast": ContrastiveAlignmentConfig(levels=(1,), enhanced_levels=(2,))},
                r"contrast\.enhanced_levels must be one or more of 0, 1 for",
            ),
        ],
    )
    def test_levels_that_the_backbone_does_not_have(self, parts: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            tiny.network(dataclasses.replace(tiny.FILM_NETWORK, **parts))  # type: ignore[arg-type]
