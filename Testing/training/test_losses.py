"""Losses on pictures small enough to work out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from training.losses import LossConfig, cross_entropy_loss, parts_are_finite, soft_dice_loss, total_loss

SURE = 20.0


def sure_logits(target: torch.Tensor) -> torch.Tensor:
    """Logits of somebody who knows the target."""
    return SURE * (2 * target - 1)


def square(count: int = 1, size: int = 16) -> torch.Tensor:
    target = torch.zeros(count, 1, size, size)
    target[:, :, 4:9, 6:12] = 1
    return target


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
    loss, parts = total_loss(logits, target, pseudo, pseudo_target, pointed=torch.tensor([True, True]), config=config)
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
    loss, _ = total_loss(logits, square(3), pseudo, square(3), pointed=pointed, config=LossConfig())
    loss.backward()
    gradient = pseudo.grad.abs().sum(dim=(2, 3))
    assert (gradient[pointed, 0] > 0).all()
    assert gradient[1, 0] == 0
    assert (gradient[:, 1:] == 0).all()  # only channel 0 is supervised


def test_a_batch_in_which_no_words_point_has_no_pseudo_image_loss() -> None:
    logits, pseudo = torch.zeros(2, 1, 16, 16), torch.zeros(2, 2, 16, 16)
    _, parts = total_loss(
        logits, square(2), pseudo, square(2), pointed=torch.tensor([False, False]), config=LossConfig()
    )
    assert parts["pseudo"] == 0
    assert parts_are_finite(parts)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_part_that_is_not_a_number_is_noticed(value: float) -> None:
    assert parts_are_finite({"dice": 0.3, "loss": 1.0})
    assert not parts_are_finite({"dice": value, "loss": 1.0})
