"""Symmetric alignment: units pooled from tokens, one plan used both ways, and all scales with their regions."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from Testing.lib import tiny
from TextGuidedSegLib.config import SymmetricAlignmentConfig
from TextGuidedSegLib.guidance import canonical_coordinates
from TextGuidedSegLib.spatial_alignment import SpatialAlignment, SpatialOutput
from TextGuidedSegLib.symmetric_alignment import SymmetricAlignment, UnitPool
from TextGuidedSegLib.text_encoder import PhraseUnits, Tokens

CHANNELS, WIDTH = (6, 8, 10), 12
PHRASE, SHORT = "opacity in the left lower lung and the right upper lung", "left lung"
GRIDS = pytest.mark.parametrize("grid", [(7, 5), (4, 2, 3), (1, 1)], ids=str)


def features(grid: tuple[int, ...], batch: int = 2, channels: int = 8) -> Tensor:
    return torch.randn(batch, channels, *grid, generator=torch.Generator().manual_seed(3))


def states(tokens: Tokens, seed: int = 5) -> Tensor:
    return torch.randn(*tokens.ids.shape, WIDTH, generator=torch.Generator().manual_seed(seed))


def wider(units: PhraseUnits, by: int = 2) -> PhraseUnits:
    """The same units with padding behind them."""
    pad = torch.nn.functional.pad
    kinds = pad(units.kinds, (0, by), value=1)
    members, directions = pad(units.members, (0, 0, 0, by)), pad(units.directions, (0, 0, 0, by))
    return PhraseUnits(members, kinds, directions, pad(units.mask, (0, by)))


def permuted(units: PhraseUnits, order: list[int]) -> PhraseUnits:
    return PhraseUnits(*(each[:, order] for each in units))


class TestUnitPool:
    TOKENS = tiny.tokens(PHRASE, SHORT)

    def pooled(self, values: Tensor, units: PhraseUnits | None = None) -> Tensor:
        torch.manual_seed(0)
        with torch.no_grad():
            return UnitPool(WIDTH)(values, units or self.TOKENS.units)

    def test_the_dustbin_comes_first_and_hears_nothing(self) -> None:
        one, other = self.pooled(states(self.TOKENS)), self.pooled(states(self.TOKENS, seed=6))
        assert one.shape == (2, 1 + self.TOKENS.units.mask.shape[1], WIDTH)
        assert torch.equal(one[:, 0], other[:, 0])
        assert (one[:, 1:] != other[:, 1:]).any()

    def test_a_unit_hears_its_own_tokens_only(self) -> None:
        values = states(self.TOKENS)
        heard = self.TOKENS.units.members[:, 1]
        other = torch.where(heard[..., None], values, torch.full_like(values, 9.0))
        torch.testing.assert_close(self.pooled(other)[:, 2], self.pooled(values)[:, 2])

    def test_a_unit_lies_between_its_tokens(self) -> None:
        values = torch.where(self.TOKENS.units.members[:, 0, :, None], 3.0, states(self.TOKENS))
        torch.manual_seed(0)
        pool = UnitPool(WIDTH)
        torch.nn.init.zeros_(pool.kind.weight)
        torch.testing.assert_close(pool(values, self.TOKENS.units)[:, 1], torch.full((2, WIDTH), 3.0))

    def test_the_order_of_units_is_the_order_of_columns(self) -> None:
        order = [2, 0, 1]
        turned = self.pooled(states(self.TOKENS), permuted(self.TOKENS.units, order))
        torch.testing.assert_close(turned[:, 1:], self.pooled(states(self.TOKENS))[:, 1:][:, order])


class OneScale:
    """Alignment of phrases with features of some grid."""

    def __init__(self, *phrases: str, channels: int = 8, seed: int = 0, **config: object) -> None:
        torch.manual_seed(seed)
        self.units = tiny.tokens(*(phrases or (PHRASE, SHORT))).units
        self.unit_states = torch.randn(len(self.units.mask), 1 + self.units.mask.shape[1], WIDTH)
        self.part = SymmetricAlignment(channels, WIDTH, SymmetricAlignmentConfig(**config))  # type: ignore[arg-type]

    def opened(self) -> OneScale:
        torch.nn.init.ones_(self.part.image_gate)
        torch.nn.init.ones_(self.part.unit_gate)
        return self

    def regions(self, grid: tuple[int, ...]) -> Tensor:
        return torch.rand(*self.units.mask.shape, *grid, generator=torch.Generator().manual_seed(7))


class TestOneScale:
    @GRIDS
    def test_a_new_part_is_the_identity(self, grid: tuple[int, ...]) -> None:
        scale, image = OneScale(), features(grid)
        enriched, unit_states, _ = scale.part(image, scale.unit_states, scale.units, scale.regions(grid))
        assert torch.equal(enriched, image)
        assert torch.equal(unit_states, scale.unit_states)

    @pytest.mark.parametrize("grid", [(7, 7), (14, 14), (4, 5, 3)], ids=str)
    @pytest.mark.parametrize("seed", range(4))
    def test_marginals_with_the_numbers_that_networks_have(self, grid: tuple[int, ...], seed: int) -> None:
        scale = OneScale(channels=64, seed=seed)
        plan = scale.part(features(grid, channels=64), scale.unit_states, scale.units, scale.regions(grid))[2]
        count = plan.mass.shape[1]
        assert (plan.mass.sum(dim=2) - 1 / count).abs().max() < 1e-4
        columns = plan.mass.sum(dim=1)
        assert (columns.sum(dim=1) - 1).abs().max() < 1e-4
        claimed = columns[:, 1:].sum(dim=1)
        assert ((claimed > 0.02) & (claimed < 0.9)).all()
        for mass, mask in zip(columns[:, 1:], scale.units.mask, strict=True):
            torch.testing.assert_close(mass[mask], mass[mask].mean().expand(int(mask.sum())), atol=1e-6, rtol=0)
            assert (mass[~mask] == 0).all()

    @GRIDS
    def test_padding_units_change_nothing(self, grid: tuple[int, ...]) -> None:
        scale, image = OneScale().opened(), features(grid)
        enriched, unit_states, plan = scale.part(image, scale.unit_states, scale.units, scale.regions(grid))
        more_states = torch.cat([scale.unit_states, torch.full((2, 2, WIDTH), 50.0)], dim=1)
        more_regions = torch.cat([scale.regions(grid), torch.zeros(2, 2, *grid)], dim=1)
        wide = scale.part(image, more_states, wider(scale.units), more_regions)
        torch.testing.assert_close(wide[0], enriched, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(wide[1][:, :-2], unit_states, atol=1e-5, rtol=1e-5)
        assert torch.equal(wide[1][:, -2:], more_states[:, -2:])
        torch.testing.assert_close(wide[2].mass[..., :-2], plan.mass)
        assert (wide[2].mass[..., -2:] == 0).all()

    @GRIDS
    def test_the_order_of_units_is_the_order_of_columns(self, grid: tuple[int, ...]) -> None:
        scale, image, order = OneScale().opened(), features(grid), [2, 0, 1]
        enriched, unit_states, plan = scale.part(image, scale.unit_states, scale.units, scale.regions(grid))
        columns = [0, *(1 + number for number in order)]
        turned = scale.part(
            image, scale.unit_states[:, columns], permuted(scale.units, order), scale.regions(grid)[:, order]
        )
        torch.testing.assert_close(turned[0], enriched, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(turned[1], unit_states[:, columns], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(turned[2].mass, plan.mass[..., columns], atol=1e-5, rtol=1e-3)

    @pytest.mark.parametrize("axis", [0, 1])
    def test_a_mirrored_image_has_the_mirrored_plan(self, axis: int) -> None:
        scale, image, regions = OneScale().opened(), features((6, 5)), OneScale().regions((6, 5))
        enriched, _, plan = scale.part(image, scale.unit_states, scale.units, regions)
        turned = scale.part(image.flip(2 + axis), scale.unit_states, scale.units, regions.flip(2 + axis))
        torch.testing.assert_close(turned[0].flip(2 + axis), enriched, atol=1e-4, rtol=1e-4)
        mass = plan.mass.unflatten(1, plan.grid)
        torch.testing.assert_close(turned[2].mass.unflatten(1, plan.grid).flip(1 + axis), mass, atol=1e-5, rtol=1e-3)

    @GRIDS
    def test_what_is_received_lies_between_what_is_sent(self, grid: tuple[int, ...]) -> None:
        scale = OneScale(iterations=1000).opened()
        torch.nn.init.zeros_(scale.part.unit_value.weight)
        torch.nn.init.zeros_(scale.part.image_value.weight)
        image = features(grid)
        enriched, unit_states, _ = scale.part(image, scale.unit_states, scale.units, scale.regions(grid))
        sent = scale.part.unit_value.bias.view(1, -1, *[1] * len(grid)).expand_as(image)
        torch.testing.assert_close(enriched - image, sent, atol=1e-4, rtol=1e-4)
        present = torch.nn.functional.pad(scale.units.mask, (1, 0), value=True)
        gathered = (unit_states - scale.unit_states)[present]
        torch.testing.assert_close(gathered, scale.part.image_value.bias.expand_as(gathered), atol=1e-4, rtol=1e-4)

    def test_mass_stays_where_the_words_point(self) -> None:
        scale, image = OneScale(SHORT), features((8, 8), batch=1)
        location = int(scale.units.directions[0].any(dim=1).nonzero()[-1])
        left = torch.ones(1, scale.units.mask.shape[1], 8, 8)
        left[:, location, :4] = 0.0
        even = scale.part(image, scale.unit_states, scale.units, torch.ones_like(left))[2]
        bent = scale.part(image, scale.unit_states, scale.units, left)[2]
        shares = [plan.mass[0, :, 1 + location].view(8, 8)[4:].sum() / plan.mass[0, :, 1 + location].sum()
                  for plan in (even, bent)]  # fmt: skip
        assert shares[1] > max(0.95, shares[0])

    def test_half_precision_hardly_changes_the_plan(self) -> None:
        # Small whole numbers have exact keys also in half precision: what is compared is all that follows them.
        scale, image = OneScale(), features((7, 7)).round()
        unit_states = scale.unit_states.round()
        with torch.no_grad():
            for parameter in scale.part.parameters():
                parameter.copy_((10 * parameter).round())
        plan = scale.part(image, unit_states, scale.units, scale.regions((7, 7)))[2]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = scale.part(image, unit_states, scale.units, scale.regions((7, 7)))
        assert half[2].mass.dtype == torch.float32
        torch.testing.assert_close(half[2].mass, plan.mass, atol=1e-6, rtol=1e-4)
        assert half[0].isfinite().all()

    def test_every_number_learns(self) -> None:
        scale = OneScale().opened()
        enriched, unit_states, plan = scale.part(
            features((7, 5)), scale.unit_states, scale.units, scale.regions((7, 5))
        )
        loss = (enriched * features((7, 5)).flip(2)).sum() + unit_states.square().sum() + plan.mass.square().sum()
        loss.backward()
        for name, parameter in scale.part.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name


class AllScales:
    """Spatial alignment over a pyramid of features."""

    SHAPE = (16, 24)

    def __init__(self, *phrases: str, spatial_dims: int = 2, **config: object) -> None:
        torch.manual_seed(0)
        self.tokens = tiny.tokens(*(phrases or (PHRASE, SHORT)))
        chosen = dataclasses.replace(SymmetricAlignmentConfig(levels=(1, 2), width=16), **config)  # type: ignore[arg-type]
        self.part = SpatialAlignment(CHANNELS, WIDTH, spatial_dims, chosen)
        shape = (*self.SHAPE, 8)[:spatial_dims]
        self.coordinates = canonical_coordinates(shape, torch.device("cpu"))
        batch = len(self.tokens.ids)
        self.features = [
            features(tuple(size // 2 ** (1 + level) for size in shape), batch, channels)
            for level, channels in enumerate(CHANNELS)
        ]

    def __call__(self, units: PhraseUnits | None = None) -> tuple[list[Tensor], SpatialOutput]:
        return self.part(self.features, states(self.tokens), units or self.tokens.units, self.coordinates)


class TestAllScales:
    @pytest.mark.parametrize("spatial_dims", [2, 3])
    def test_shapes_and_the_identity_at_the_start(self, spatial_dims: int) -> None:
        scales = AllScales(spatial_dims=spatial_dims)
        aligned, spatial = scales()
        for before, after in zip(scales.features, aligned, strict=True):
            assert torch.equal(before, after)
        grids = [tuple(level.shape[2:]) for level in scales.features]
        assert [plan.grid for plan in spatial.plans] == [grids[2], grids[1]]
        assert {level: tuple(region.shape) for level, region in spatial.regions.items()} == {
            level: (2, 1, *grids[level]) for level in (1, 2)
        }
        for level, decoded in enumerate(scales.features[:-1]):
            assert torch.equal(scales.part.point(level, decoded, spatial), decoded)

    def test_the_decoder_is_told_where_the_words_point(self) -> None:
        scales = AllScales()
        spatial = scales()[1]
        torch.nn.init.ones_(scales.part.pointing["1"])
        decoded = scales.features[1]
        torch.testing.assert_close(scales.part.point(1, decoded, spatial), decoded + spatial.regions[1])

    def test_without_guidance_words_point_nowhere(self) -> None:
        guided, unguided = AllScales()()[1], AllScales(guidance=False)()[1]
        assert all((region == 1).all() for region in unguided.regions.values())
        assert all(region.std() > 0.1 for region in guided.regions.values())
        assert (guided.plans[0].mass - unguided.plans[0].mass).abs().max() > 1e-4

    def test_the_deeper_scale_hands_its_units_on(self) -> None:
        scales = AllScales()
        before = scales()[1]
        torch.nn.init.ones_(scales.part.scales["2"].unit_gate)
        after = scales()[1]
        assert torch.equal(before.plans[0].mass, after.plans[0].mass)
        assert (before.plans[1].mass - after.plans[1].mass).abs().max() > 1e-5

    def test_what_nobody_reads_is_not_trained(self) -> None:
        part = AllScales().part
        still = {name for name, parameter in part.named_parameters() if not parameter.requires_grad}
        assert still == {
            "guidance.front_edge", "scales.1.image_value.weight", "scales.1.image_value.bias", "scales.1.unit_gate",
        }  # fmt: skip

    def test_padding_is_no_part_of_the_organ(self) -> None:
        scales = AllScales()
        inside = torch.zeros(1, *scales.SHAPE, 1)
        inside[:, :8] = 1
        spatial = scales.part(
            scales.features, states(scales.tokens), scales.tokens.units, scales.coordinates, inside=inside
        )[1]
        torch.testing.assert_close(spatial.frame.center[:, 0], torch.tensor([-0.5, -0.5]), atol=1e-4, rtol=0)

    def test_tokens_without_units_are_refused(self) -> None:
        scales = AllScales()
        with pytest.raises(ValueError, match=r"needs tokens with units, got None; make them with a PhraseTokenizer"):
            scales.part(scales.features, states(scales.tokens), None, scales.coordinates)
