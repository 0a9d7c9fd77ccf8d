from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from dojo.errors import ConfigError
from dojo.model import config as sizes
from dojo.model.config import PolicyConfig
from dojo.model.heads import PolicyOutput
from dojo.model.plans import plans
from dojo.model.policy import Policy, parameters_of

MINIATURE = PolicyConfig((8, 8, 8, 8), (0, 0, 0, 1), feature=16, layers=1, heads=2, hidden=16, max_anchors=6)


def inputs(batch: int = 2, anchors: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    return (
        torch.randint(16, 235, (batch, anchors + 1, 6, 128, 256), dtype=torch.uint8),
        torch.rand(batch, anchors) * 20,
        torch.ones(batch, anchors, dtype=torch.bool),
        torch.zeros(batch, anchors, 8),
        torch.ones(batch, dtype=torch.bool),
    )


def policy(config: PolicyConfig = MINIATURE) -> Policy:
    torch.manual_seed(1)
    made = Policy(config).eval()
    with torch.no_grad():  # heads start near zero; make them speak
        made.heads.plan.weight.normal_(std=0.3)
        made.heads.motion.bias.fill_(0.5)
    return made


@pytest.mark.parametrize(("make", "millions"), [(sizes.small, 3.0), (sizes.medium, 12.0), (sizes.large, 40.0)])
def test_sizes_are_what_their_names_say_within_a_tenth(make: object, millions: float) -> None:
    with torch.device("meta"):
        count = parameters_of(Policy(make()))  # type: ignore[operator]
    assert count / 1e6 == pytest.approx(millions, rel=0.1)


def test_every_anchor_is_answered_with_hypotheses_that_become_plans() -> None:
    made = plans(policy()(*inputs()))
    assert made.position_m.shape == (6, 5, 33, 3)
    np.testing.assert_allclose(made.probability.sum(1), 1.0, rtol=1e-5)


def outputs_at(output: PolicyOutput, anchor: int) -> list[Tensor]:
    return [getattr(output, f.name)[:, anchor] for f in dataclasses.fields(output)]


def test_an_answer_does_not_depend_on_what_comes_after_it() -> None:
    frames, *rest = inputs()
    later = frames.clone()
    later[:, 3] = 255 - later[:, 3]
    with torch.no_grad():
        before, after = policy()(frames, *rest), policy()(later, *rest)
    for anchor in (0, 1):
        for a, b in zip(outputs_at(before, anchor), outputs_at(after, anchor), strict=True):
            torch.testing.assert_close(a, b)
    assert (before.position_m[:, 2] - after.position_m[:, 2]).abs().max() > 1e-3


def test_the_second_anchor_remembers_the_frame_before_its_own_pair() -> None:
    frames, *rest = inputs()
    other = frames.clone()
    other[:, 0] = 255 - other[:, 0]
    with torch.no_grad():
        a, b = policy()(frames, *rest), policy()(other, *rest)
    assert (a.position_m[:, 1] - b.position_m[:, 1]).abs().max() > 1e-4


def test_clips_of_a_batch_do_not_influence_each_other() -> None:
    everything = inputs(batch=2)
    alone = tuple(tensor[:1] for tensor in everything)
    with torch.no_grad():
        together, single = policy()(*everything), policy()(*alone)
    torch.testing.assert_close(together.position_m[:1], single.position_m, rtol=1e-4, atol=1e-4)


def test_a_policy_whose_speed_is_off_ignores_it() -> None:
    frames, speed, *rest = inputs()
    blind = policy(dataclasses.replace(MINIATURE, speed_dropout=1.0))
    sighted = policy()
    with torch.no_grad():
        torch.testing.assert_close(blind(frames, speed, *rest).position_m, blind(frames, speed + 5, *rest).position_m)
        far = (
            sighted(frames, speed + 5, *rest).position_m[..., -1, 0]
            - sighted(frames, speed, *rest).position_m[..., -1, 0]
        )
    assert far.mean() > 10, "ten seconds at 5 m/s more"


def test_a_speed_that_is_not_known_is_not_looked_at() -> None:
    frames, speed, valid, *rest = inputs()
    unknown = torch.zeros_like(valid)
    with torch.no_grad():
        a, b = (policy()(frames, speed + add, unknown, *rest).position_m for add in (0.0, 9.0))
    torch.testing.assert_close(a, b)


def test_a_desire_changes_the_answer() -> None:
    frames, speed, valid, desire, side = inputs()
    wish = desire.clone()
    wish[:, 0, 3] = 1
    with torch.no_grad():
        change = (
            policy()(frames, speed, valid, desire, side).position_m
            - policy()(frames, speed, valid, wish, side).position_m
        )
    assert change.abs().max() > 1e-4


def test_noise_on_the_feature_is_there_in_training_only() -> None:
    noisy = policy(dataclasses.replace(MINIATURE, feature_noise_std=0.42, speed_dropout=0.0))
    given = inputs()
    with torch.no_grad():
        torch.testing.assert_close(noisy(*given).position_m, noisy(*given).position_m)
        noisy.train()
        assert (noisy(*given).position_m - noisy(*given).position_m).abs().max() > 1e-4


def test_more_anchors_than_can_be_remembered_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected at most max_anchors = 6 anchors, got 7"):
        policy()(*inputs(anchors=7))


def test_an_absurd_shape_is_refused_with_every_fault_at_once() -> None:
    with pytest.raises(ConfigError, match=r"widths must be multiples of 8.*; speed_dropout must be a share"):
        PolicyConfig(widths=(3, 8, 8, 8), speed_dropout=1.5)
