"""Losses on pictures small enough to work out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from TextGuidedSegLib.guidance import OrganFrame
from TextGuidedSegLib.network import NetworkOutput
from TextGuidedSegLib.spatial_alignment import SpatialOutput
from TextGuidedSegLib.symmetric_alignment import Plan
from training.losses import (
    LossConfig,
    Truth,
    cross_entropy_loss,
    outside_loss,
    parts_are_finite,
    plan_loss,
    soft_dice_loss,
    total_loss,
)

SURE = 20.0


def sure_logits(target: torch.Tensor) -> torch.Tensor:
    """Logits of somebody who knows the target."""
    return SURE * (2 * target - 1)


def square(count: int = 1, size: int = 16) -> torch.Tensor:
    target = torch.zeros(count, 1, size, size)
    target[:, :, 4:9, 6:12] = 1
    return target


def truth(target: torch.Tensor, pseudo_target: torch.Tensor | None = None, **chosen: torch.Tensor) -> Truth:
    """Of a batch in which all words point at their target, unless said otherwise."""
    every = torch.ones(len(target), dtype=torch.bool)
    pointed = chosen.get("pointed", every)
    return Truth(
        target, target if pseudo_target is None else pseudo_target, ("words",) * len(target), pointed,
        chosen.get("painted", pointed),
    )  # fmt: skip


def test_a_two_by_two_picture_worked_out_by_hand() -> None:
    logits = torch.tensor([[[[math.log(3), 0.0], [0.0, -math.log(3)]]]])  # probabilities 3/4, 1/2, 1/2, 1/4
    target = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    smooth = 4 * 5e-4
    dice = (2 * (0.75 + 0.5) + smooth) / (2.0 + 2.0 + smooth)
    assert soft_dice_loss(logits, target).tolist() == pytest.approx([1 - dice], abs=1e-6)
    entropy = -(math.log(0.75) + math.log(0.5) + math.log(0.5) + math.log(0.75)) / 4
    assert cross_entropy_loss(logits, target).tolist() == pytest.approx([entropy], abs=1e-6)


def test_each_image_of_a_batch_has_its_own_loss() -> None:
    target = torch.cat([square(), torch.zeros(1, 1, 16, 16)])
    logits = torch.cat([sure_logits(target[:1]), sure_logits(1 - target[1:])])
    dice, entropy = soft_dice_loss(logits, target), cross_entropy_loss(logits, target)
    assert dice.shape == entropy.shape == (2,)
    assert dice[0] < 0.01 < 0.99 < dice[1]
    assert entropy[0] < 0.01 < SURE - 1 < entropy[1]


@pytest.mark.parametrize("target", [square(), torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)])
def test_a_perfect_prediction_costs_nothing(target: torch.Tensor) -> None:
    logits = sure_logits(target)
    assert soft_dice_loss(logits, target).item() == pytest.approx(0, abs=1e-4)
    assert cross_entropy_loss(logits, target).item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("loss", [soft_dice_loss, cross_entropy_loss])
def test_the_gradient_pulls_every_pixel_to_its_target(loss) -> None:
    target = square()
    logits = torch.zeros_like(target, requires_grad=True)
    loss(logits, target).sum().backward()
    assert (logits.grad[target == 1] < 0).all()
    assert (logits.grad[target == 0] > 0).all()


@pytest.mark.parametrize("loss", [soft_dice_loss, cross_entropy_loss])
def test_an_empty_target_pushes_every_false_pixel_down(loss) -> None:
    logits = torch.full((1, 1, 16, 16), -3.0)
    logits[:, :, 2:5, 2:5] = 3.0
    logits.requires_grad_()
    loss(logits, torch.zeros(1, 1, 16, 16)).sum().backward()
    assert (logits.grad > 0).all()


def test_the_cross_entropy_gradient_of_a_confident_mistake_does_not_vanish() -> None:
    # A sigmoid before a loss that takes logits, or a softmax over one channel, would make it vanish.
    logits = torch.full((1, 1, 1, 1), -SURE, requires_grad=True)
    cross_entropy_loss(logits, torch.ones(1, 1, 1, 1)).sum().backward()
    assert logits.grad.item() == pytest.approx(-1, abs=1e-3)


def test_the_total_is_the_weighted_sum_of_its_parts() -> None:
    torch.manual_seed(0)
    logits, pseudo = torch.randn(2, 1, 16, 16), torch.randn(2, 3, 16, 16)
    target, pseudo_target = square(2), square(2).flip(2)
    config = LossConfig(dice=0.7, cross_entropy=1.3, pseudo=0.4)
    loss, parts = total_loss(NetworkOutput(logits, pseudo), truth(target, pseudo_target), config)
    occupancy = pseudo[:, :1]
    expected = {
        "dice": soft_dice_loss(logits, target).mean(),
        "cross_entropy": cross_entropy_loss(logits, target).mean(),
        "pseudo": (soft_dice_loss(occupancy, pseudo_target) + cross_entropy_loss(occupancy, pseudo_target)).mean(),
    }
    assert {name: parts[name] for name in expected} == pytest.approx({n: v.item() for n, v in expected.items()})
    total = 0.7 * parts["dice"] + 1.3 * parts["cross_entropy"] + 0.4 * parts["pseudo"]
    assert loss.item() == pytest.approx(total)
    assert parts["loss"] == pytest.approx(total)


def test_words_that_point_at_nothing_teach_the_pseudo_image_nothing() -> None:
    logits, pseudo = torch.zeros(3, 1, 16, 16), torch.zeros(3, 2, 16, 16, requires_grad=True)
    pointed = torch.tensor([True, False, True])
    loss, _ = total_loss(NetworkOutput(logits, pseudo), truth(square(3), painted=pointed), LossConfig())
    loss.backward()
    gradient = pseudo.grad.abs().sum(dim=(2, 3))
    assert (gradient[pointed, 0] > 0).all()
    assert gradient[1, 0] == 0
    assert (gradient[:, 1:] == 0).all()  # only channel 0 is supervised


def test_a_batch_in_which_no_words_point_has_no_pseudo_image_loss() -> None:
    logits, pseudo = torch.zeros(2, 1, 16, 16), torch.zeros(2, 2, 16, 16)
    nowhere = truth(square(2), pointed=torch.tensor([False, False]))
    _, parts = total_loss(NetworkOutput(logits, pseudo), nowhere, LossConfig())
    assert parts["pseudo"] == 0
    assert parts_are_finite(parts)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_part_that_is_not_a_number_is_noticed(value: float) -> None:
    assert parts_are_finite({"dice": 0.3, "loss": 1.0})
    assert not parts_are_finite({"dice": value, "loss": 1.0})


def plan_of(mass: list[list[float]], *, units: list[bool]) -> Plan:
    """A plan of four regions, two by two; `units` says which columns after the dustbin take part."""
    return Plan(torch.tensor([mass]), (2, 2), torch.tensor([[True, *units]]))


class TestPlan:
    TARGET = torch.tensor([[[[1.0, 0.0], [0.5, 0.0]]]])

    def test_worked_out_by_hand(self) -> None:
        plan = plan_of([[0.05, 0.2], [0.15, 0.1], [0.15, 0.1], [0.25, 0.0]], units=[True])
        # Sent to the target: all of 0.2 and half of 0.1, of 0.4 that words send and of 0.375 that the target holds.
        expected = -(math.log(0.2501 / 0.4001) + math.log(0.2501 / 0.3751)) / 2
        assert plan_loss(plan, self.TARGET).item() == pytest.approx(expected, abs=1e-6)

    def test_the_mean_over_units_leaves_out_padding(self) -> None:
        mass = [[0.1, 0.1, 0.0], [0.2, 0.0, 0.1], [0.25, 0.0, 0.0], [0.25, 0.0, 0.0]]
        left_over = -math.log(0.1001 / 0.3751) / 2  # the half that does not depend on how many units there are
        both = plan_loss(plan_of(mass, units=[True, True]), self.TARGET).item()
        assert both - left_over == pytest.approx(-math.log(1e-4 / (0.1 + 1e-4)) / 4, abs=1e-4)
        one = plan_loss(plan_of(mass, units=[True, False]), self.TARGET).item()
        assert one == pytest.approx(left_over, abs=1e-6)

    def test_words_that_claim_next_to_nothing_are_not_right(self) -> None:
        sparing = plan_of([[0.249, 0.001], [0.25, 0.0], [0.25, 0.0], [0.25, 0.0]], units=[True])
        exact = plan_of([[0.0, 0.25], [0.25, 0.0], [0.25, 0.0], [0.25, 0.0]], units=[True])
        target = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
        assert plan_loss(exact, target).item() == pytest.approx(0, abs=1e-6)
        assert plan_loss(sparing, target).item() > 2

    def test_a_plan_that_misses_the_target_has_a_finite_loss_and_gradient(self) -> None:
        mass = torch.tensor([[[0.25, 0.0], [0.0, 0.25], [0.25, 0.0], [0.0, 0.25]]], requires_grad=True)
        loss = plan_loss(Plan(mass, (2, 2), torch.tensor([[True, True]])), self.TARGET)
        loss.sum().backward()
        assert loss.item() > 5
        assert mass.grad.isfinite().all()
        assert mass.grad[0, 0, 1] < 0, "more mass into the target lowers the loss"
        assert (mass.grad[..., 0] == 0).all(), "nothing is asked of the dustbin"


class TestPresence:
    def test_worked_out_by_hand(self) -> None:
        target = torch.cat([square(), torch.zeros(1, 1, 16, 16)])
        output = NetworkOutput(
            torch.zeros(2, 1, 16, 16), None, presence_logits=torch.tensor([math.log(3), math.log(3)])
        )
        _, parts = total_loss(output, truth(target), LossConfig())
        assert parts["presence"] == pytest.approx(-(math.log(3 / 4) + math.log(1 / 4)) / 2)

    def test_a_network_without_the_head_has_no_such_part(self) -> None:
        assert (
            "presence"
            not in total_loss(NetworkOutput(torch.zeros(1, 1, 16, 16), None), truth(square()), LossConfig())[1]
        )


class TestOutside:
    def test_worked_out_by_hand(self) -> None:
        logits = torch.tensor([[[[math.log(3), 0.0], [0.0, -math.log(3)]]]])  # 3/4, 1/2, 1/2, 1/4
        region = torch.tensor([[[[1.0, 0.0], [0.5, 1.0]]]])
        assert outside_loss(logits, region).tolist() == pytest.approx([(0.5 + 0.25) / 4])

    def test_a_phrase_without_a_direction_costs_nothing(self) -> None:
        assert outside_loss(torch.randn(1, 1, 8, 8), torch.ones(1, 1, 4, 4)).item() == 0


def whole_output(shape: tuple[int, int] = (16, 16), padded: tuple[int, int] = (16, 16)) -> NetworkOutput:
    """One of a network with symmetric alignment and enhanced maps; random, with gradients."""
    torch.manual_seed(1)
    mass = torch.rand(2, 16, 3)
    plan = Plan((mass / mass.sum(dim=(1, 2), keepdim=True)).requires_grad_(), (4, 4), torch.ones(2, 3).bool())
    regions = {1: torch.rand(2, 1, 8, 8, requires_grad=True)}
    spatial = SpatialOutput((plan,), regions, OrganFrame(torch.zeros(2, 2), torch.ones(2, 2)))
    logits, map_logits = torch.randn(2, 1, *shape, requires_grad=True), torch.randn(2, 1, 8, 8, requires_grad=True)
    return NetworkOutput(logits, None, spatial, (), (map_logits,), padded_shape=padded)


class TestParts:
    def test_each_weighs_what_the_configuration_says(self) -> None:
        output, target = whole_output(), square(2)
        config = LossConfig(dice=0.7, cross_entropy=1.3, plan=0.2, outside=0.3, similarity=0.4)
        loss, parts = total_loss(output, truth(target), config)
        assert set(parts) == {"dice", "cross_entropy", "plan", "outside", "similarity", "loss"}
        assert loss.item() == pytest.approx(sum(getattr(config, name) * parts[name] for name in set(parts) - {"loss"}))

    def test_words_that_point_elsewhere_are_not_asked_to_send_there(self) -> None:
        output = whole_output()
        loss, _ = total_loss(output, truth(square(2), pointed=torch.tensor([True, False])), LossConfig())
        loss.backward()
        for tensor in (output.spatial.plans[0].mass, output.spatial.regions[1]):
            assert (tensor.grad[0] != 0).any()
            assert (tensor.grad[1] == 0).all()
        assert (output.map_logits[0].grad != 0).all(), "where nothing is, nothing should match"

    def test_an_empty_target_asks_no_plan(self) -> None:
        output, target = whole_output(), square(2)
        target[1] = 0
        loss, parts = total_loss(output, truth(target), LossConfig())
        loss.backward()
        assert (output.spatial.plans[0].mass.grad[1] == 0).all()
        assert parts["plan"] > 0

    def test_grids_cover_the_padded_image(self) -> None:
        """A film that the network had to pad is compared where it lies, not stretched over the padding."""
        small = whole_output((12, 10), (16, 16))
        logits = torch.nn.functional.pad(small.logits, (0, 6, 0, 4), value=-1e4)
        large = small._replace(logits=logits)
        target, wide = torch.zeros(2, 1, 12, 10), torch.zeros(2, 1, 16, 16)
        target[:, :, 5:9, 3:8] = wide[:, :, 5:9, 3:8] = 1
        one, other = (
            total_loss(output, truth(mask), LossConfig())[1] for output, mask in ((small, target), (large, wide))
        )
        for part in ("plan", "outside", "similarity"):
            assert one[part] == pytest.approx(other[part], abs=1e-6), part
