"""The generator: any image size, words that are padding, the position code, gradients."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from TextGuidedSegLib.config import PseudoImageConfig
from TextGuidedSegLib.pseudo_image import PseudoImageGenerator, position_code

CONFIG = PseudoImageConfig(channels=3, width=16, layers=2, heads=2, frequencies=4, cell_px=7)
EMBEDDING = 12
CPU = torch.device("cpu")


def generator(spatial_dims: int, config: PseudoImageConfig = CONFIG) -> PseudoImageGenerator:
    torch.manual_seed(0)
    return PseudoImageGenerator(config, EMBEDDING, spatial_dims)


def words(batch: int, length: int) -> tuple[Tensor, Tensor]:
    states = torch.randn(batch, length, EMBEDDING, generator=torch.Generator().manual_seed(batch))
    return states, torch.ones(batch, length, dtype=torch.bool)


@pytest.mark.parametrize(
    "shape", [(56, 56), (57, 41), (16, 200), (300, 9), (7, 7), (1, 30), (20, 21, 22), (9, 40, 1), (5, 6, 7)], ids=str
)
def test_it_has_the_shape_of_the_image(shape: tuple[int, ...]) -> None:
    logits = generator(len(shape))(*words(2, 5), shape)
    assert logits.shape == (2, CONFIG.channels, *shape)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@pytest.mark.parametrize("shape", [(30, 45), (14, 21, 9)], ids=str)
class TestLaws:
    def test_padding_tokens_change_nothing(self, shape: Sequence[int]) -> None:
        paint = generator(len(shape))
        states, mask = words(2, 4)
        padded = torch.cat([states, 1e3 * torch.randn(2, 3, EMBEDDING)], dim=1)
        more = torch.cat([mask, torch.zeros(2, 3, dtype=torch.bool)], dim=1)
        with torch.no_grad():
            torch.testing.assert_close(paint(padded, more, shape), paint(states, mask, shape), atol=1e-5, rtol=0)

    def test_each_phrase_of_a_batch_is_painted_on_its_own(self, shape: Sequence[int]) -> None:
        paint = generator(len(shape))
        states, mask = words(3, 5)
        mask[1, 3:] = False
        order = torch.tensor([2, 0, 1])
        with torch.no_grad():
            together = paint(states, mask, shape)
            torch.testing.assert_close(paint(states[order], mask[order], shape), together[order], atol=1e-5, rtol=0)
            torch.testing.assert_close(paint(states[1:2], mask[1:2], shape), together[1:2], atol=1e-5, rtol=0)

    def test_other_words_paint_another_picture(self, shape: Sequence[int]) -> None:
        states, mask = words(2, 5)
        with torch.no_grad():
            logits = generator(len(shape))(states, mask, shape)
        assert (logits[0] - logits[1]).abs().max() > 1e-2

    def test_every_parameter_learns(self, shape: Sequence[int]) -> None:
        paint = generator(len(shape))
        target = torch.rand(2, CONFIG.channels, *shape)
        (paint(*words(2, 5), shape) - target).square().mean().backward()
        for name, parameter in paint.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name

    def test_it_starts_from_the_share_of_a_film_that_is_lesion(self, shape: Sequence[int]) -> None:
        paint = generator(len(shape))
        torch.nn.init.zeros_(paint.head.weight)
        with torch.no_grad():
            occupancy = paint(*words(1, 5), shape)[:, 0].sigmoid()
        torch.testing.assert_close(occupancy, torch.full_like(occupancy, 0.1))

    def test_half_precision_gives_float32_and_finite_numbers(self, shape: Sequence[int]) -> None:
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            logits = generator(len(shape))(*words(1, 5), shape)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()


def test_the_place_of_a_word_does_not_depend_on_the_resolution() -> None:
    # The same film at twice the pixels, with cells of twice the pixels: the same cells, hence the same picture.
    coarse, fine = (generator(2, dataclasses.replace(CONFIG, cell_px=size)) for size in (8, 16))
    with torch.no_grad():
        small, large = coarse(*words(1, 5), (32, 48)), fine(*words(1, 5), (64, 96))
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(large, 2), small, atol=1e-5, rtol=0)


class TestPositionCode:
    @pytest.mark.parametrize("grid", [(4,), (3, 5), (2, 3, 4)], ids=str)
    def test_shape_and_range(self, grid: tuple[int, ...]) -> None:
        code = position_code(grid, 4, CPU)
        assert code.shape == (math.prod(grid), len(grid) * 9)
        assert code.dtype == torch.float32
        assert code.abs().max() <= 1

    @pytest.mark.parametrize("grid", [(16, 16), (40, 3), (6, 5, 4)], ids=str)
    def test_no_two_places_share_a_code(self, grid: tuple[int, ...]) -> None:
        code = position_code(grid, 4, CPU)
        distances = torch.cdist(code, code) + 10 * torch.eye(len(code))
        assert distances.min() > 1e-2

    def test_it_is_the_same_at_the_same_share_of_the_image(self) -> None:
        coarse = position_code((2, 1), 3, CPU)
        fine = position_code((6, 3), 3, CPU).reshape(6, 3, -1)
        torch.testing.assert_close(fine[[1, 4], 1], coarse)

    def test_rows_come_in_array_order(self) -> None:
        code = position_code((2, 3), 1, CPU).reshape(2, 3, 2, 3)  # cells, axes, (center, sine, cosine)
        torch.testing.assert_close(code[:, :, 0, 0], torch.tensor([[-0.5] * 3, [0.5] * 3]))
        torch.testing.assert_close(code[:, :, 1, 0], torch.tensor([[-2 / 3, 0, 2 / 3]] * 2))

    def test_a_mirror_changes_the_sign_of_centers_and_sines_only(self) -> None:
        code = position_code((9,), 4, CPU)
        sign = torch.tensor([-1.0] * 5 + [1.0] * 4)
        torch.testing.assert_close(code.flip(0), code * sign, atol=1e-6, rtol=0)

    def test_the_slowest_sine_tells_the_two_sides_apart(self) -> None:
        sine = position_code((50,), 4, CPU)[:, 1]
        assert (sine.diff() > 0).all()
        assert (sine[0], sine[-1]) == (pytest.approx(-1, abs=1e-3), pytest.approx(1, abs=1e-3))
