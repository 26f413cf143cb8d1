"""Transport plans: known ones, those of another solver, and the laws that every plan keeps."""

from __future__ import annotations

import math

import numpy as np
import ot
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from TextGuidedSegLib.transport import standardized, transport_plan

SHAPES = [(1, 1), (1, 5), (6, 1), (7, 3), (49, 9)]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def masses(batch: int, count: int, seed: int = 0) -> Tensor:
    values = random(batch, count, seed=100 + seed).exp()
    return values / values.sum(dim=1, keepdim=True)


def problem(rows: int, columns: int, batch: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    return random(batch, rows, columns), masses(batch, rows, 1), masses(batch, columns, 2)


def converged(cost: Tensor, source: Tensor, target: Tensor, epsilon: float = 0.5) -> Tensor:
    return transport_plan(cost, source, target, epsilon=epsilon, iterations=1000)


class TestKnownPlans:
    @pytest.mark.parametrize("epsilon", [0.1, 1.0, 5.0])
    def test_two_by_two_worked_out_by_hand(self, epsilon: float) -> None:
        # Staying costs nothing, crossing costs c: by symmetry both potentials are constant.
        c = 0.7
        half = torch.full((1, 2), 0.5, dtype=torch.float64)
        plan = transport_plan(torch.tensor([[[0.0, c], [c, 0.0]]], dtype=torch.float64), half, half, epsilon=epsilon)
        stays = 0.5 / (1 + math.exp(-c / epsilon))
        expected = torch.tensor([[[stays, 0.5 - stays], [0.5 - stays, stays]]], dtype=torch.float64)
        torch.testing.assert_close(plan, expected)

    def test_the_equations_that_single_out_the_plan(self) -> None:
        cost, source, target = problem(7, 3)
        plan = converged(cost, source, target)

        def crossed(values: Tensor) -> Tensor:
            return values[:, 1:, 1:] + values[:, :-1, :-1] - values[:, 1:, :-1] - values[:, :-1, 1:]

        torch.testing.assert_close(crossed(plan.log()), crossed(-cost / 0.5))
        torch.testing.assert_close(plan.sum(dim=2), source)
        torch.testing.assert_close(plan.sum(dim=1), target)

    def test_much_entropy_gives_the_product_of_the_marginals(self) -> None:
        cost, source, target = problem(7, 3)
        plan = transport_plan(cost, source, target, epsilon=1e7)
        torch.testing.assert_close(plan, source[:, :, None] * target[:, None, :], atol=1e-6, rtol=0)

    def test_little_entropy_gives_the_best_assignment(self) -> None:
        cost, even = random(1, 6, 6, seed=4), torch.full((1, 6), 1 / 6, dtype=torch.float64)
        plan = transport_plan(cost, even, even, epsilon=0.01, iterations=3000)
        best = np.zeros((6, 6))
        best[linear_sum_assignment(cost[0].numpy())] = 1 / 6
        np.testing.assert_allclose(plan[0].numpy(), best, atol=1e-3)

    @pytest.mark.parametrize(("rows", "columns"), SHAPES)
    @pytest.mark.parametrize("epsilon", [0.2, 1.0])
    def test_another_solver_finds_the_same(self, rows: int, columns: int, epsilon: float) -> None:
        cost, source, target = problem(rows, columns)
        plan = converged(cost, source, target, epsilon)
        for number, values in enumerate(zip(source.numpy(), target.numpy(), cost.numpy(), strict=True)):
            theirs = ot.sinkhorn(*values, epsilon, method="sinkhorn_log", numItermax=20_000, stopThr=1e-12)
            np.testing.assert_allclose(plan[number].numpy(), theirs, atol=1e-7)


class TestLaws:
    @pytest.mark.parametrize(("rows", "columns"), SHAPES)
    @pytest.mark.parametrize("precision", [torch.float32, torch.float64])
    def test_marginals(self, rows: int, columns: int, precision: torch.dtype) -> None:
        cost, source, target = (values.to(precision) for values in problem(rows, columns))
        plan = transport_plan(cost, source, target, epsilon=0.2, iterations=500)
        assert plan.dtype == precision
        assert (plan >= 0).all()
        assert (plan.sum(dim=2) - source).abs().max() < 1e-4
        assert (plan.sum(dim=1) - target).abs().max() < 1e-4

    @pytest.mark.parametrize("iterations", [1, 2, 30])
    def test_the_target_side_is_exact_from_the_first_iteration(self, iterations: int) -> None:
        cost, source, target = problem(49, 9)
        plan = transport_plan(cost, source, target, epsilon=0.1, iterations=iterations)
        torch.testing.assert_close(plan.sum(dim=1), target)

    def test_iterations_bring_the_source_side_nearer(self) -> None:
        cost, source, target = problem(49, 9)
        plans = (transport_plan(cost, source, target, epsilon=0.3, iterations=count) for count in (1, 10, 100))
        errors = [(plan.sum(dim=2) - source).abs().sum().item() for plan in plans]
        assert errors[0] > 10 * errors[1] > 100 * errors[2]

    def test_both_directions_are_one_plan(self) -> None:
        cost, source, target = problem(7, 3)
        there, back = converged(cost, source, target), converged(cost.transpose(1, 2), target, source)
        torch.testing.assert_close(back.transpose(1, 2), there)

    @pytest.mark.parametrize("padding", [0.0, -1e6, 1e6, -1e20], ids=str)
    @pytest.mark.parametrize("axis", [1, 2])
    def test_what_has_no_mass_changes_nothing(self, padding: float, axis: int) -> None:
        cost, source, target = problem(7, 3)
        extra = torch.full_like(cost, padding).narrow(axis, 0, 2)
        sides = [source, target]
        sides[axis - 1] = torch.nn.functional.pad(sides[axis - 1], (0, 2))
        plan = transport_plan(torch.cat([cost, extra], dim=axis), *sides)
        kept, added = plan.split([cost.shape[axis], 2], dim=axis)
        torch.testing.assert_close(kept, transport_plan(cost, source, target))
        assert (added == 0).all()

    @pytest.mark.parametrize("factor", [1e-3, 7.0, 1e3])
    def test_cost_and_epsilon_have_one_unit(self, factor: float) -> None:
        cost, source, target = problem(7, 3)
        plan = transport_plan(factor * cost, source, target, epsilon=0.3 * factor)
        torch.testing.assert_close(plan, transport_plan(cost, source, target, epsilon=0.3))

    @pytest.mark.parametrize("shape", [(3, 7, 1), (3, 1, 3), (3, 1, 1)], ids=["rows", "columns", "all"])
    def test_what_only_one_side_costs_changes_nothing(self, shape: tuple[int, int, int]) -> None:
        cost, source, target = problem(7, 3)
        plan = converged(cost + 10 * random(*shape, seed=9), source, target)
        torch.testing.assert_close(plan, converged(cost, source, target))

    def test_samples_do_not_mix(self) -> None:
        cost, source, target = problem(7, 3)
        alone = transport_plan(cost[1:2], source[1:2], target[1:2])
        torch.testing.assert_close(transport_plan(cost, source, target)[1:2], alone)


class TestNumbers:
    def test_gradients(self) -> None:
        cost, source, target = problem(4, 3, batch=2)
        target = torch.cat([target, torch.zeros(2, 1, dtype=torch.float64)], dim=1)  # a column that is padding
        cost = torch.cat([cost, cost[:, :, :1]], dim=2).requires_grad_()
        assert torch.autograd.gradcheck(lambda values: transport_plan(values, source, target, epsilon=0.5), cost)

    def test_gradients_of_the_marginals(self) -> None:
        cost, source, target = problem(4, 3, batch=2)
        leaves = source.requires_grad_(), target.requires_grad_()
        assert torch.autograd.gradcheck(lambda *both: transport_plan(cost, *both, epsilon=0.5, iterations=5), leaves)

    def test_the_gradient_does_not_reach_what_takes_no_part(self) -> None:
        cost, source, target = problem(4, 3)
        target[:, 2] = 0
        target = (target / target.sum(dim=1, keepdim=True)).requires_grad_()
        cost.requires_grad_()
        (transport_plan(cost, source, target) * random(3, 4, 3, seed=5)).sum().backward()
        assert (cost.grad[:, :, 2] == 0).all()
        assert (target.grad[:, 2] == 0).all()
        assert (cost.grad[:, :, :2] != 0).any()

    @pytest.mark.parametrize("size", [1e3, 1e6, 1e12])
    def test_extreme_costs_stay_finite(self, size: float) -> None:
        cost, source, target = (values.float() for values in problem(7, 3))
        cost = (size * cost).requires_grad_()
        plan = transport_plan(cost, source, target)
        (plan * torch.arange(3)).sum().backward()
        assert plan.isfinite().all()
        assert cost.grad.isfinite().all()

    @pytest.mark.parametrize("given", [torch.bfloat16, torch.float16, torch.float32])
    def test_single_precision_is_the_least_also_under_autocast(self, given: torch.dtype) -> None:
        cost, source, target = (values.to(given) for values in problem(7, 3))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            plan = transport_plan(cost, source, target)
        assert plan.dtype == torch.float32
        torch.testing.assert_close(plan, transport_plan(cost.float(), source.float(), target.float()))


class TestMistakes:
    @pytest.mark.parametrize(("rows", "columns"), [(6, 3), (7, 2), (3, 7)])
    def test_shapes_that_do_not_fit(self, rows: int, columns: int) -> None:
        cost, _, _ = problem(7, 3)
        with pytest.raises(ValueError, match=rf"cost \(3, 7, 3\) .* got \(3, {rows}\), \(3, {columns}\)"):
            transport_plan(cost, masses(3, rows), masses(3, columns))

    @pytest.mark.parametrize(("epsilon", "iterations"), [(0.0, 5), (-0.1, 5), (0.1, 0)])
    def test_numbers_that_mean_nothing(self, epsilon: float, iterations: int) -> None:
        with pytest.raises(ValueError, match=f"must be positive, got {epsilon} and {iterations}"):
            transport_plan(*problem(7, 3), epsilon=epsilon, iterations=iterations)


class TestStandardized:
    MASK = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])

    def test_mean_0_and_deviation_1_over_what_takes_part(self) -> None:
        cost = standardized(5 + 3 * random(3, 7, 3), self.MASK)
        for values, mask in zip(cost, self.MASK, strict=True):
            assert values[:, mask].mean() == pytest.approx(0, abs=1e-6)
            assert values[:, mask].std(correction=0) == pytest.approx(1, abs=1e-6)

    def test_neither_scale_nor_offset_counts(self) -> None:
        cost = random(3, 7, 3)
        torch.testing.assert_close(standardized(4 * cost - 7, self.MASK), standardized(cost, self.MASK))

    def test_padding_is_not_read(self) -> None:
        cost = random(3, 7, 3)
        other = torch.where(self.MASK[:, None, :], cost, 1e3)
        valid = self.MASK[:, None, :].expand_as(cost)
        torch.testing.assert_close(standardized(other, self.MASK)[valid], standardized(cost, self.MASK)[valid])

    def test_a_constant_cost_has_a_finite_gradient(self) -> None:
        cost = torch.ones(1, 4, 3, requires_grad=True)
        values = standardized(cost, self.MASK[:1])
        values.sum().backward()
        assert (values == 0).all()
        assert cost.grad.isfinite().all()
