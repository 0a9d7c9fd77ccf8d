from __future__ import annotations

import math

import pytest
import torch

from dojo.errors import ConfigError
from dojo.train.loss import LossConfig, plan_losses, usual_spread_m

NO_EXTRAS = LossConfig(others=0.0, distance=0.0)


def case(hypotheses: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    target = torch.zeros(1, 1, 33, 3)
    position = torch.zeros(1, 1, hypotheses, 33, 3)
    log_scale = usual_spread_m(torch.device("cpu")).log().expand_as(position).clone()
    return position, log_scale, torch.zeros(1, 1, hypotheses), target, torch.ones(1, 1, 33, dtype=torch.bool)


def test_a_perfect_plan_of_usual_spread_costs_nothing() -> None:
    plan, choice = plan_losses(*case(), NO_EXTRAS)
    assert plan.item() == pytest.approx(0.0, abs=1e-6)
    assert choice.item() == pytest.approx(math.log(2))


def test_an_error_of_one_usual_spread_costs_one() -> None:
    position, *rest = case(hypotheses=1)
    position += usual_spread_m(torch.device("cpu"))
    assert plan_losses(position, *rest, NO_EXTRAS)[0].item() == pytest.approx(1.0)


def test_the_nearest_over_the_whole_path_wins_although_another_ends_nearer() -> None:
    position, log_scale, logits, target, valid = case()
    position[0, 0, 0, -1] = 2.0 * usual_spread_m(torch.device("cpu"))[-1]  # good all along, wrong at the very end
    position[0, 0, 1, :-1] = usual_spread_m(torch.device("cpu"))[:-1]  # wrong all along, right at the end
    logits[0, 0, 0] = 5.0
    assert plan_losses(position, log_scale, logits, target, valid, NO_EXTRAS)[1].item() < 0.01


def test_what_is_not_valid_does_not_count() -> None:
    position, log_scale, logits, target, valid = case()
    position[..., 20:, :] = 1e6
    valid[..., 20:] = False
    assert plan_losses(position, log_scale, logits, target, valid, NO_EXTRAS)[0].item() == pytest.approx(0.0, abs=1e-6)


def test_without_anything_valid_there_is_nothing_to_learn_and_no_nan() -> None:
    position, log_scale, logits, target, valid = case()
    plan, choice = plan_losses(position, log_scale, logits, target, valid & False, LossConfig())
    assert (plan.item(), choice.item()) == (0.0, 0.0)


def test_the_losers_learn_a_little() -> None:
    position, log_scale, logits, target, valid = case()
    position[:, :, 1] = 1.0
    position.requires_grad_()
    plan_losses(position, log_scale, logits, target, valid, LossConfig(others=0.05))[0].backward()
    assert position.grad is not None
    assert position.grad[:, :, 1].abs().sum() > 0


def test_a_scale_that_matches_the_error_is_the_cheapest() -> None:
    position, log_scale, logits, target, valid = case(hypotheses=1)
    position += 0.5
    costs = [
        plan_losses(position, torch.full_like(log_scale, math.log(b)), logits, target, valid, NO_EXTRAS)[0].item()
        for b in (0.25, 0.5, 1.0)
    ]
    assert min(costs) == costs[1]


def test_negative_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"not negative, got \{'plan': -1.0\}"):
        LossConfig(plan=-1.0)
