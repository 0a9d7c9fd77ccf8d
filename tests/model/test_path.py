from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.model.path import REACH_M, PathFollower


@settings(max_examples=25, deadline=None)
@given(st.floats(30, 2000), st.sampled_from([-1, 1]), st.floats(0, 1.4))
def test_a_bend_of_constant_radius_is_followed_to_a_few_centimetres(radius_m: float, side: int, turned: float) -> None:
    follow = PathFollower()
    along = min(turned * radius_m, REACH_M - 1)
    x, y = follow((side * follow.knots_m / radius_m)[None], torch.tensor([[along]]))
    angle = along / radius_m
    assert x.item() == pytest.approx(radius_m * math.sin(angle), abs=0.05)
    assert y.item() == pytest.approx(side * radius_m * (1 - math.cos(angle)), abs=0.05)


def test_a_straight_path_goes_on_beyond_its_reach_and_back_behind_its_start() -> None:
    follow = PathFollower()
    x, y = follow(torch.zeros(1, len(follow.knots_m)), torch.tensor([[-3.0, 0.0, 500.0]]))
    torch.testing.assert_close(x, torch.tensor([[-3.0, 0.0, 500.0]]))
    torch.testing.assert_close(y, torch.zeros(1, 3))


def test_positions_have_the_gradients_of_geometry() -> None:
    follow = PathFollower().double()
    torch.manual_seed(0)
    heading = (0.1 * torch.randn(2, len(follow.knots_m), dtype=torch.float64)).requires_grad_()
    travelled = torch.tensor([[1.3, 17.7], [40.1, 99.9]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(follow, (heading, travelled))
