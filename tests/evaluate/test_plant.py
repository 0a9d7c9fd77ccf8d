"""The ideal car drives exact arcs, stops at zero and does what it is asked at once."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.evaluate.plant import IdealCar
from dojo.records import EgoPlant, EgoState


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.1, 0.1), st.floats(1, 30), st.integers(1, 40))
def test_a_constant_curvature_drives_an_exact_circle_whatever_the_step(curvature, speed, steps):
    car, state = IdealCar(), EgoState(0.0, 0.0, 0.0, 0.0, speed)
    for _ in range(steps):
        state = car.step(state, curvature, 0.0, 1.0 / steps)
    assert state.yaw_rad == pytest.approx(curvature * speed)
    if abs(curvature) > 1e-6:
        assert state.x_m == pytest.approx(math.sin(curvature * speed) / curvature, abs=1e-6)
    assert car.ego(state).time_s == pytest.approx(1.0)


def test_braking_ends_at_a_standstill():
    car, state = IdealCar(), EgoState(0.0, 0.0, 0.0, 0.0, 1.0)
    for _ in range(40):
        state = car.step(state, 0.0, -3.0, 0.05)
    assert (state.speed_mps, state.acceleration_mps2) == (0.0, 0.0)
    assert state.x_m == pytest.approx(1 / 6, abs=0.03)


def test_it_begins_in_the_turn_of_its_lane():
    assert IdealCar().begin(EgoPlant(), EgoState(0.0, 0.0, 0.0, 0.0, 10.0), 0.02).yaw_rate_radps == pytest.approx(0.2)
