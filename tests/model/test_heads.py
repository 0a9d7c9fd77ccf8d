from __future__ import annotations

import torch

from dojo.model.config import PolicyConfig
from dojo.model.heads import Heads, PolicyOutput
from dojo.model.sight import COLUMNS, SIGHT_FEATURES
from dojo.model.trunk import Seen
from dojo.records import SIGHT_RANGES_M, TRAJECTORY_TIMES_S

CONFIG = PolicyConfig((8, 8, 8, 8), (0, 0, 0, 0), feature=16, width=16, heads=2, hidden=16)


def say(heads: Heads, speed_mps: float, told: bool, seed: int = 0) -> PolicyOutput:
    generator = torch.Generator().manual_seed(seed)
    state = torch.randn(2, 3, 16, generator=generator)
    sight = torch.randn(2, 3, SIGHT_FEATURES, generator=generator)
    seen = Seen(state, sight, torch.zeros(2, 3, len(SIGHT_RANGES_M), COLUMNS))
    answer: PolicyOutput = heads(state, seen, torch.full((2, 3), speed_mps), torch.full((2, 3), told))
    return answer


def mute(heads: Heads) -> Heads:
    with torch.no_grad():
        for layer in (heads.plan, heads.shared):
            layer.weight.zero_()
            layer.bias.zero_()
    return heads


def test_a_plan_that_says_nothing_goes_straight_on_at_the_speed_that_is_told() -> None:
    path = say(mute(Heads(CONFIG)), 13.0, told=True).position_m
    torch.testing.assert_close(path[..., 0], (13.0 * torch.tensor(TRAJECTORY_TIMES_S).float()).expand(2, 3, 5, 33))
    assert not path[..., 1:].any()


def test_a_speed_that_is_not_told_is_the_one_that_the_policy_estimates() -> None:
    answer = say(mute(Heads(CONFIG)), torch.nan, told=False)
    expected = answer.ego_rates[..., 0] * float(TRAJECTORY_TIMES_S[10])
    torch.testing.assert_close(answer.position_m[..., 0, 10, 0], expected)


def test_first_hypotheses_are_nearly_one_so_that_none_is_born_dead() -> None:
    torch.manual_seed(0)
    answer = say(Heads(CONFIG), 20.0, told=True)
    apart = (answer.position_m - answer.position_m.mean(2, keepdim=True)).abs()
    assert apart[..., 17, :].max() < 2.0, "metres, at about 3 s"
    assert answer.logits.softmax(-1).amax() < 0.3


def test_a_plan_without_a_known_speed_is_as_doubtful_as_the_speed() -> None:
    heads = Heads(CONFIG)
    known, unknown = say(heads, 10.0, told=True), say(heads, 10.0, told=False)
    doubt_m = unknown.ego_rates_log_scale[..., 0].exp()[..., None, None] * torch.tensor(TRAJECTORY_TIMES_S).float()
    along = torch.sqrt(known.log_scale[..., 0].exp() ** 2 + doubt_m**2)
    torch.testing.assert_close(unknown.log_scale[..., 0].exp(), along)
    torch.testing.assert_close(unknown.log_scale[..., 1:], known.log_scale[..., 1:])


def test_no_answer_however_wild_has_a_scale_out_of_bounds() -> None:
    heads = Heads(CONFIG)
    with torch.no_grad():
        heads.plan.weight.normal_(std=1e3)
        heads.action.weight.normal_(std=1e3)
        heads.motion.weight.normal_(std=1e3)
    answer = say(heads, 20.0, told=True)
    for log_scale in (answer.log_scale, answer.action_log_scale, answer.ego_rates_log_scale):
        assert (log_scale > -12).all()
        assert (log_scale < 9).all()


def test_the_estimated_speed_does_not_learn_from_the_plan() -> None:
    heads = Heads(CONFIG)
    say(heads, 10.0, told=False).position_m[..., 0].sum().backward()
    assert heads.plan.weight.grad is not None
    assert heads.plan.weight.grad.any()
    assert heads.motion.weight.grad is None or not heads.motion.weight.grad.any()


def test_where_the_path_is_seen_bends_the_plan_of_all_hypotheses_alike() -> None:
    heads = mute(Heads(CONFIG))
    with torch.no_grad():
        heads.in_sight.weight[5].fill_(0.1)  # one knot of the heading
    path = say(heads, 20.0, told=True).position_m
    assert path[..., 1].abs().max() > 0.1
    torch.testing.assert_close(path, path[:, :, :1].expand_as(path))
