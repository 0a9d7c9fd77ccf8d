"""The formulas of following agree with their closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.world.following import (
    Following,
    equilibrium_gap_m,
    idm_acceleration_mps2,
    lane_change_pays,
    speed_profile_mps,
)


@settings(max_examples=50, deadline=None)
@given(speed=st.floats(0.0, 25.0), wished=st.floats(26.0, 40.0), headway=st.floats(0.8, 2.5))
def test_at_the_equilibrium_gap_nobody_accelerates(speed: float, wished: float, headway: float) -> None:
    style = Following(headway_s=headway)
    gap = equilibrium_gap_m(style, speed, wished)
    assert idm_acceleration_mps2(style, speed, wished, gap, speed) == pytest.approx(0.0, abs=1e-9)


def test_a_free_road_gives_full_acceleration_from_standstill_and_none_at_the_wished_speed() -> None:
    assert idm_acceleration_mps2(Following(), 0.0, 20.0) == Following().acceleration_mps2
    assert idm_acceleration_mps2(Following(), 20.0, 20.0) == 0.0


@settings(max_examples=15, deadline=None)
@given(speed=st.floats(1.0, 35.0), extra_m=st.floats(5.0, 200.0))
def test_a_follower_that_can_still_stop_never_hits_a_standing_leader(speed: float, extra_m: float) -> None:
    gap = speed**2 / (2 * 8.0) + extra_m
    for _ in range(4000):
        a = max(-9.0, idm_acceleration_mps2(Following(), speed, 30.0, gap, 0.0))
        new = max(0.0, speed + a * 0.02)
        gap -= (speed + new) / 2 * 0.02
        speed = new
        assert gap > 0.0
    assert speed < 0.2


def test_the_profile_respects_limits_curves_and_the_braking_before_them() -> None:
    curvature, limit = np.zeros(400), np.full(400, 30.0)
    curvature[200:230] = 1 / 50
    profile = speed_profile_mps(curvature, limit, 2.0, lateral_mps2=2.0, braking_mps2=1.0)
    assert profile[210] == pytest.approx(np.sqrt(2.0 * 50))
    assert profile[150] == pytest.approx(np.sqrt(100 + 2 * 1.0 * 100))  # 100 m before the curve
    assert profile[0] == profile[-1] == 30.0
    assert (np.diff(profile**2) / 2 / 2.0 >= -1.0 - 1e-9).all()


def test_a_lane_change_must_pay_and_must_not_endanger_the_follower() -> None:
    gain = {"own_now_mps2": -1.0, "own_then_mps2": 0.5, "follower_now_mps2": 0.0}
    assert lane_change_pays(Following(), **gain, follower_then_mps2=-1.0)
    assert not lane_change_pays(Following(), **gain, follower_then_mps2=-5.0)
    assert not lane_change_pays(Following(politeness=2.0), **gain, follower_then_mps2=-1.0)
    no_gain = {"own_now_mps2": 0.5, "own_then_mps2": 0.5, "follower_now_mps2": 0.0, "follower_then_mps2": 0.0}
    assert not lane_change_pays(Following(), **no_gain)
    assert lane_change_pays(Following(), **no_gain, bias_mps2=0.25)
