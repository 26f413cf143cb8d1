"""Another hospital's look changes the look and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from training.style import blurred, restyled

B, SIZE = 8, 64


def films(channels: int = 1) -> Tensor:
    return torch.randn(B, 1, SIZE, SIZE, generator=generator(5)).expand(B, channels, SIZE, SIZE).contiguous()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_equal_generators_change_equally_and_others_otherwise() -> None:
    image = films()
    assert torch.equal(restyled(image, 1.0, generator(1)), restyled(image, 1.0, generator(1)))
    assert not torch.equal(restyled(image, 1.0, generator(1)), restyled(image, 1.0, generator(2)))


def test_a_probability_of_zero_is_the_identity() -> None:
    assert torch.equal(restyled(films(), 0.0, generator()), films())


def test_about_as_many_films_change_as_the_probability_says() -> None:
    image = films()
    changed = sum(
        int((restyled(image, 0.5, generator(seed)) != image).flatten(1).any(dim=1).sum()) for seed in range(40)
    )
    assert 0.4 < changed / (40 * B) < 0.6


def test_blurring_one_axis_after_the_other_is_blurring_with_a_square() -> None:
    image, width = films(), 9
    square = functional.avg_pool2d(image, width, stride=1, padding=width // 2, count_include_pad=False)
    torch.testing.assert_close(blurred(image, width / SIZE), square)


def test_nothing_moves() -> None:
    """Brightness changes, places do not: a bright square stays the brightest place of its surroundings."""
    image = torch.zeros(B, 1, SIZE, SIZE)
    image[:, :, 28:36, 28:36] = 3.0
    changed = restyled(image, 1.0, generator())[:, :, 16:48, 16:48]
    inside, outside = changed[:, :, 12:20, 12:20].mean(dim=(1, 2, 3)), changed[:, :, :8, :8].mean(dim=(1, 2, 3))
    assert (inside > outside + 1).all()


@pytest.mark.parametrize("size", [(16, 64), (65, 33)])
def test_films_of_any_shape_keep_it_and_stay_finite(size: tuple[int, int]) -> None:
    changed = restyled(torch.randn(B, 1, *size, generator=generator()), 1.0, generator())
    assert changed.shape == (B, 1, *size)
    assert changed.isfinite().all()


def test_grey_films_of_three_channels_stay_grey() -> None:
    changed = restyled(films(3), 1.0, generator())
    assert torch.equal(changed[:, 0], changed[:, 1])
    assert torch.equal(changed[:, 0], changed[:, 2])


def test_a_constant_film_only_gets_a_border_of_its_own_brightness() -> None:
    image = torch.full((B, 1, SIZE, SIZE), 0.5)
    assert torch.allclose(restyled(image, 1.0, generator()), image, atol=1e-5)
