from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from dojo.errors import ConfigError
from dojo.geometry import MODEL_VIEW
from dojo.records import SIGHT_RANGES_M
from dojo.train.loss import LossConfig, bend_loss, crossings, plan_losses, sight_loss, usual_spread_m

NO_EXTRAS = LossConfig(others=0.0, distance=0.0, middle=0.0)


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
    position[0, 0, 1, :-1] = 2.0 * usual_spread_m(torch.device("cpu"))[:-1]  # wrong all along, right at the end
    plan, _ = plan_losses(position, log_scale, logits, target, valid, NO_EXTRAS)
    assert plan.item() == pytest.approx(2.0 / 33)


def test_the_choice_learns_how_much_nearer_one_is_than_another() -> None:
    position, log_scale, logits, target, valid = case()
    position[:, :, 1] = 3.0 * usual_spread_m(torch.device("cpu"))
    right = torch.tensor([3.0, 0.0]).expand_as(logits)
    costs = [
        plan_losses(position, log_scale, right + torch.tensor([shift, 0.0]), target, valid, NO_EXTRAS)[1].item()
        for shift in (-1.0, 0.0, 1.0)
    ]
    assert min(costs) == costs[1]


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


def test_the_first_learns_even_where_another_won() -> None:
    position, log_scale, logits, target, valid = case()
    position[:, :, 0] = 2 * usual_spread_m(torch.device("cpu"))
    middle = dataclasses.replace(NO_EXTRAS, middle=0.5)
    assert plan_losses(position, log_scale, logits, target, valid, middle)[0].item() == pytest.approx(0.5 * 2.0)


def test_all_hypotheses_learn_alike_at_first_and_the_losers_hardly_later() -> None:
    config = LossConfig(others=0.05, together=0.5)
    assert [config.others_at(done) for done in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([1.0, 0.525, 0.05, 0.05])
    assert LossConfig(others=0.05, together=0.0).others_at(0.0) == 0.05
    position, log_scale, logits, target, valid = case()
    position[:, :, 1] = 2 * usual_spread_m(torch.device("cpu"))
    plain = dataclasses.replace(NO_EXTRAS, together=1.0)
    at_first, at_last = (plan_losses(position, log_scale, logits, target, valid, plain, d)[0] for d in (0.0, 1.0))
    assert at_first.item() == pytest.approx(1.0)
    assert at_last.item() == pytest.approx(0.0, abs=1e-6)


def test_a_scale_that_matches_the_error_is_the_cheapest() -> None:
    position, log_scale, logits, target, valid = case(hypotheses=1)
    position += 0.5
    costs = [
        plan_losses(position, torch.full_like(log_scale, math.log(b)), logits, target, valid, NO_EXTRAS)[0].item()
        for b in (0.25, 0.5, 1.0)
    ]
    assert min(costs) == costs[1]


def test_what_the_loss_says_is_what_it_descends() -> None:
    torch.manual_seed(0)
    position, log_scale, logits, target, valid = (tensor.double() for tensor in case())
    position, log_scale = position + torch.randn_like(position), log_scale + 0.3 * torch.randn_like(log_scale)
    position[:, :, 1] += 3.0  # far from a tie, where the winner would change
    given = [tensor.requires_grad_() for tensor in (position, log_scale, logits)]
    valid = valid.bool()
    valid[..., 30:] = False

    def total(*answer: torch.Tensor) -> torch.Tensor:
        plan, choice = plan_losses(*answer, target, valid, LossConfig())
        return plan + choice

    assert torch.autograd.gradcheck(total, given)


def test_shares_above_one_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"others and together are shares, at most 1, got 0.05 and 2.0"):
        LossConfig(together=2.0)


def test_negative_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"not negative, got \{'plan': -1.0\}"):
        LossConfig(plan=-1.0)


def test_a_bend_counts_the_same_at_any_distance_and_what_is_invalid_not_at_all() -> None:
    target = torch.zeros(1, 1, 33, 3)
    target[..., 0] = torch.linspace(0.0, 160.0, 33)
    straight = target[:, :, None].expand(1, 1, 2, 33, 3).clone()
    bent = straight.clone()
    bent[..., 1] = 0.5 + straight[..., 0] ** 2 / (2 * 100.0)
    valid = torch.ones(1, 1, 33, dtype=torch.bool)
    assert bend_loss(straight, target, valid).item() == 0.0
    assert bend_loss(bent, target, valid).item() == pytest.approx(1.0)
    bent[..., 20:, 1] = 1e6
    valid[..., 20:] = False
    assert bend_loss(bent, target, valid).item() == pytest.approx(1.0)


def line(slope: float, until: int = 33) -> tuple[torch.Tensor, torch.Tensor]:
    """A path along a ray of this slope to 160 m, known up to a time."""
    position = torch.zeros(1, 1, 33, 3)
    position[..., 0] = torch.linspace(0.0, 160.0, 33)
    position[..., 1] = slope * position[..., 0]
    valid = torch.arange(33).expand(1, 1, 33) < until
    return torch.where(valid[..., None], position, 0.0), valid


def test_a_path_crosses_each_distance_where_it_runs_between_two_times() -> None:
    slope, reached = crossings(*line(0.1), torch.tensor(SIGHT_RANGES_M))
    assert reached.all()
    torch.testing.assert_close(slope, torch.full_like(slope, 0.1))


def test_a_path_known_to_forty_metres_says_nothing_of_what_lies_beyond() -> None:
    _, reached = crossings(*line(0.1, until=9), torch.tensor(SIGHT_RANGES_M))
    assert reached[0, 0].tolist() == [distance <= 40.0 for distance in SIGHT_RANGES_M]


def test_a_path_that_turns_back_is_seen_where_it_first_comes_by() -> None:
    position, valid = line(0.0)
    position[..., 17:, 0] = 160.0 - position[..., 17:, 0]
    position[..., 17:, 1] = 20.0
    slope, reached = crossings(position, valid, torch.tensor(SIGHT_RANGES_M))
    assert reached.all()
    assert not slope[..., :-1].any()


def test_sight_costs_least_where_the_path_runs_and_more_the_further_it_is_off() -> None:
    columns = torch.arange(64.0)
    position, valid = line(float(MODEL_VIEW.band_slopes(64)[40]))

    def cost(column: float) -> float:
        bell = -0.5 * (columns - column) ** 2
        return sight_loss(bell.expand(1, 1, len(SIGHT_RANGES_M), 64), position, valid).item()

    costs = [cost(column) for column in (40.0, 40.5, 42.0, 50.0)]
    assert costs == sorted(costs)
    assert cost(38.0) == pytest.approx(cost(42.0), rel=1e-3)


def test_a_path_outside_the_picture_or_unknown_costs_nothing() -> None:
    logits = torch.randn(1, 1, len(SIGHT_RANGES_M), 64)
    assert sight_loss(logits, *line(0.8)).item() == 0.0
    assert sight_loss(logits, *line(0.0, until=0)).item() == 0.0
