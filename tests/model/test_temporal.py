from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dojo.errors import ConfigError
from dojo.model.config import PolicyConfig
from dojo.model.temporal import Memory

CONFIG = PolicyConfig((8, 8, 8, 8), (0, 0, 0, 0), feature=12, width=16, layers=2, heads=2, hidden=16, max_anchors=4)


def inputs(anchors: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return (
        torch.randn(2, anchors, 12, generator=generator),
        20 * torch.rand(2, anchors, generator=generator),
        torch.ones(2, anchors, dtype=torch.bool),
        torch.zeros(2, anchors, 8),
        torch.ones(2, dtype=torch.bool),
    )


@pytest.mark.parametrize("changed", [0, 1, 2, 3])
def test_a_state_depends_on_its_own_anchor_and_those_before_and_on_no_other(changed: int) -> None:
    memory = Memory(CONFIG)
    feature, *rest = inputs()
    other = feature.clone()
    other[:, changed] += 1.0
    with torch.no_grad():
        moved = (memory(other, *rest) - memory(feature, *rest)).abs().amax((0, 2))
    assert not moved[:changed].any()
    assert (moved[changed:] > 1e-5).all()


def test_a_shorter_history_gives_the_same_first_states() -> None:
    memory = Memory(CONFIG)
    feature, speed, told, desire, side = inputs()
    with torch.no_grad():
        whole = memory(feature, speed, told, desire, side)
        first = memory(feature[:, :2], speed[:, :2], told[:, :2], desire[:, :2], side)
    torch.testing.assert_close(whole[:, :2], first)


def test_the_side_of_traffic_and_a_desire_are_noticed() -> None:
    memory = Memory(CONFIG)
    feature, speed, told, desire, side = inputs()
    wish = desire.clone()
    wish[..., 4] = 1
    with torch.no_grad():
        usual = memory(feature, speed, told, desire, side)
        assert (memory(feature, speed, told, desire, ~side) - usual).abs().max() > 1e-3
        assert (memory(feature, speed, told, wish, side) - usual).abs().max() > 1e-3


def test_a_speed_that_is_not_told_leaves_no_trace_even_if_it_is_no_number() -> None:
    memory = Memory(CONFIG)
    feature, speed, told, desire, side = inputs()
    with torch.no_grad():
        nothing = memory(feature, speed * torch.nan, ~told, desire, side)
        torch.testing.assert_close(nothing, memory(feature, speed, ~told, desire, side))
        assert (memory(feature, speed, told, desire, side) - nothing).abs().max() > 1e-3


def test_more_anchors_than_can_be_remembered_are_refused_by_the_memory() -> None:
    memory = Memory(PolicyConfig(feature=12, width=16, heads=2, max_anchors=3))
    with pytest.raises(ConfigError, match=r"expected at most max_anchors = 3 anchors, got 4; cut shorter clips"):
        memory(*inputs())
