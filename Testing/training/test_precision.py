"""Thin volumes are convolved in float32 inside mixed precision, and come out right; everything else stays bfloat16."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from training.precision import ThinConvolutionsInFloat32


def network() -> nn.Sequential:
    """Two halvings, so that eight slices become four and two."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(1, 32, 3, padding=1),
        nn.Conv3d(32, 32, 3, stride=2, padding=1),
        nn.Conv3d(32, 64, 3, padding=1),
        nn.Conv3d(64, 64, 3, stride=2, padding=1),
        nn.ConvTranspose3d(64, 8, 2, stride=2),
    )


def gradients(image: Tensor, *, mixed: bool) -> list[Tensor]:
    net = network()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed), ThinConvolutionsInFloat32():
        loss = net(image).float().square().mean()
    loss.backward()
    return [weight.grad for weight in net.parameters() if weight.grad is not None]


@pytest.mark.parametrize("slices", [4, 8, 16])
def test_gradients_are_those_of_full_precision_up_to_rounding(slices: int) -> None:
    image = torch.randn(2, 1, 32, 32, slices, generator=torch.Generator().manual_seed(1))
    exact, mixed = gradients(image, mixed=False), gradients(image, mixed=True)
    for one, other in zip(exact, mixed, strict=True):
        assert (one - other).norm() < 0.03 * one.norm()


def test_a_stack_that_lies_on_its_side_is_learned_from_without_a_crash() -> None:
    weight = (0.1 * torch.randn(16, 5, 3, 3, 3)).requires_grad_()
    for _ in range(3):  # in bfloat16 the gradient writes past its memory; the process ends when that is freed
        with torch.autocast("cpu", torch.bfloat16), ThinConvolutionsInFloat32():
            nn.functional.conv3d(torch.randn(2, 5, 8, 96, 96), weight, padding=1).square().mean().backward()
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


def test_the_same_step_gives_the_same_gradients() -> None:
    image = torch.randn(2, 1, 32, 32, 8, generator=torch.Generator().manual_seed(1))
    for one, other in zip(gradients(image, mixed=True), gradients(image, mixed=True), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("shape", "expected"), [
    ((16, 16, 4), torch.float32), ((16, 4, 16), torch.float32), ((12, 16, 16), torch.float32),
    ((16, 16, 5), torch.bfloat16), ((13, 16, 16), torch.bfloat16),
])  # fmt: skip
def test_only_thin_volumes_are_in_float32(shape: tuple[int, ...], expected: torch.dtype) -> None:
    convolution, image = nn.Conv3d(2, 4, 3, padding=1), torch.zeros(1, 2, *shape, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16), ThinConvolutionsInFloat32():
        assert convolution(image).dtype == expected


def test_films_and_full_precision_are_left_as_they_are() -> None:
    film = nn.Conv2d(1, 2, 3, padding=1)
    with torch.autocast("cpu", torch.bfloat16), ThinConvolutionsInFloat32():
        assert film(torch.zeros(1, 1, 16, 4)).dtype == torch.bfloat16
    with ThinConvolutionsInFloat32():
        assert nn.Conv3d(1, 2, 3)(torch.zeros(1, 1, 4, 4, 4)).dtype == torch.float32
