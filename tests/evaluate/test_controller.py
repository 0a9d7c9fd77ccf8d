"""Plans become the curvature and acceleration that they contain, within limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.evaluate.controller import Asked, ControllerConfig, Plan, Trim, ask, wanted, within_limits
from dojo.records import TRAJECTORY_TIMES_S, EgoState

FEW = settings(max_examples=30, deadline=None)
NONE = Asked(0.0, 0.0)
CONFIG = ControllerConfig()


def arc(curvature, speed, acceleration=0.0):
    """Positions along a circle at a constant acceleration."""
    t = TRAJECTORY_TIMES_S
    return arc_at(curvature, speed * t + acceleration * t**2 / 2)


def arc_at(curvature, along):
    """Positions on a circle after so many metres."""
    turn = curvature * np.asarray(along)
    chord = along * np.sinc(turn / 2 / np.pi)
    return np.stack([chord * np.cos(turn / 2), chord * np.sin(turn / 2), 0 * turn], -1).astype(np.float32)


@FEW
@given(st.floats(-0.02, 0.02), st.floats(5, 30), st.floats(0, 0.6))
def test_a_circle_at_constant_speed_asks_for_its_curvature_at_any_age(curvature, speed, age):
    asked = wanted(CONFIG, Plan.of(arc(curvature, speed), NONE, 7.0), 7.0 + age)
    # The plan is known at 33 times only, between which headings are interpolated: per cent of the bend.
    assert asked.curvature_per_m == pytest.approx(curvature, abs=2e-4 + 0.02 * abs(curvature))
    assert asked.acceleration_mps2 == pytest.approx(0.0, abs=0.02)


@FEW
@given(st.floats(-2.0, 2.0), st.floats(8, 30), st.floats(0, 0.4))
def test_a_constant_acceleration_is_asked_for_as_it_is(acceleration, speed, age):
    asked = wanted(CONFIG, Plan.of(arc(0.0, speed, acceleration), NONE, 0.0), age)
    assert asked.acceleration_mps2 == pytest.approx(acceleration, abs=0.02 + 0.02 * abs(acceleration))
    assert asked.curvature_per_m == 0.0


def test_a_clothoid_is_read_where_the_delay_will_have_brought_the_vehicle():
    """Curvature 0.0004 t per metre at 20 m/s; half-way means see it at three quarters of the delay and later."""
    speed, rate = 20.0, 0.0004
    t = TRAJECTORY_TIMES_S
    fine = np.linspace(0, 10, 20001)
    heading = rate * fine**2 / 2 * speed
    x, y = (np.concatenate([[0], np.cumsum(f(heading)[:-1] * speed * np.diff(fine))]) for f in (np.cos, np.sin))
    plan = Plan.of(np.stack([np.interp(t, fine, x), np.interp(t, fine, y), 0 * t], -1).astype(np.float32), NONE, 0.0)
    asked = wanted(ControllerConfig(actuator_delay_s=0.4, other_delays_s=0.4), plan, 1.0)
    assert rate * 1.55 < asked.curvature_per_m < rate * 1.85


@FEW
@given(st.floats(0.0, 4.0), st.floats(-0.05, 0.05), st.floats(0.0, 0.6))
def test_walking_pace_is_steered_by_metres_of_plan_and_not_by_its_first_centimetres(speed, noise_m, age):
    positions = arc(0.0, speed)
    positions[1:8, 1] += np.float32(noise_m) * np.array([1, -1, 1, -1, 1, -1, 1], np.float32)
    asked = wanted(CONFIG, Plan.of(positions, NONE, 0.0), age, driven_m=speed * 0.05)
    assert abs(asked.curvature_per_m) < 0.04


@FEW
@given(st.floats(-0.1, 0.1), st.floats(0.5, 35.0), st.floats(-2.0, 2.0), st.floats(0.0, 0.6))
def test_a_bend_that_is_driven_goes_on_at_any_speed_and_to_a_stop(curvature, speed, acceleration, age):
    curvature *= min(1.0, (5.0 / speed) ** 2)
    stops_s = speed / -acceleration if acceleration < 0 else np.inf
    positions = arc(curvature, speed, acceleration)
    positions[stops_s < TRAJECTORY_TIMES_S] = arc_at(curvature, speed * stops_s / 2) if stops_s < 10 else 0.0
    asked = wanted(CONFIG, Plan.of(positions, NONE, 0.0), age, curvature)
    assert asked.curvature_per_m == pytest.approx(curvature, abs=3e-4 + 0.03 * abs(curvature))


@FEW
@given(st.floats(-0.1, 0.1), st.floats(1.5, 5.0), st.floats(-0.1, 0.3))
def test_walking_pace_turns_into_a_bend_within_a_second(curvature, speed, acceleration):
    plan, steered = Plan.of(arc(curvature, speed, acceleration), NONE, 0.0), 0.0
    for step in range(20):
        steered = wanted(CONFIG, plan, 0.1 + 0.05 * (step % 4), steered).curvature_per_m
    assert steered == pytest.approx(curvature, abs=5e-4 + 0.05 * abs(curvature))


@pytest.mark.parametrize(
    ("speed", "most_per_m"), [(0.5, 0.02), (1.0, 0.012), (2.0, 0.006), (8.0, 0.004), (25.0, 0.003)]
)
def test_centimetres_of_noise_are_no_bend(speed, most_per_m):
    """1 cm at each point, and 3 cm to one side from 2 s on; two metres a second were 0.03 per metre once."""
    rng, asked = np.random.default_rng(0), []
    for _ in range(100):
        positions = arc(0.0, speed)
        aside = rng.normal(0, 0.03) * np.minimum(TRAJECTORY_TIMES_S[1:] / 2, 1) + rng.normal(0, 0.01, 32)
        positions[1:, 1] += aside.astype(np.float32)
        asked.append(wanted(CONFIG, Plan.of(positions, NONE, 0.0), 0.2).curvature_per_m)
    assert np.std(asked) < most_per_m


def creep(seed, speed, stops_m, cycle_s=0.05, lasts_s=6.0):
    """Curvature asked in each cycle by plans straight on that are wrong by 5 cm at 2 s, another way every 0.2 s."""
    rng = np.random.default_rng(seed)
    asked, trim, all_asked = NONE, Trim(0.0), []
    for number in range(round(lasts_s / cycle_s)):
        if number % round(0.2 / cycle_s) == 0:
            positions = arc(0.0, speed)
            positions[:, 0] = np.minimum(positions[:, 0], stops_m)
            aside = rng.normal(0, 0.05) * np.minimum(TRAJECTORY_TIMES_S / 2, 1) ** 2
            positions[:, 1] = np.where(positions[:, 0] < stops_m, aside, 0.0)
            plan = Plan.of(positions, NONE, number * cycle_s)
        ego = EgoState(number * cycle_s, 0.0, 0.0, 0.0, speed)
        asked, trim = ask(CONFIG, plan, asked, trim, ego, cycle_s)
        all_asked.append(asked.curvature_per_m)
    return np.array(all_asked)


@pytest.mark.parametrize(("speed", "stops_m"), [(0.5, 99.0), (1.0, 99.0), (2.0, 99.0), (1.0, 2.0), (2.0, 4.0)])
def test_who_creeps_is_hardly_moved_by_plans_that_are_wrong_by_centimetres(speed, stops_m):
    asked = np.stack([creep(seed, speed, stops_m) for seed in range(8)])
    assert asked.std() < 0.01
    assert np.abs(asked).max() * speed**2 < 0.15  # m/s2, a twentieth of what it may ask for
    assert np.abs(np.diff(asked)).max() <= 0.1 * 0.05 + 1e-12


def test_the_wheel_turns_by_the_way_that_is_driven_and_not_by_the_number_of_cycles():
    positions = arc(0.05, 1.0)
    positions[TRAJECTORY_TIMES_S > 4] = positions[TRAJECTORY_TIMES_S <= 4][-1]
    plan, turned = Plan.of(positions, NONE, 0.0), []
    for cycles in (4, 20):
        asked, trim = NONE, Trim(0.0)
        for number in range(cycles):
            ego = EgoState(number * 0.2 / cycles, 0.0, 0.0, 0.0, 1.0)
            asked, trim = ask(CONFIG, plan, asked, trim, ego, 0.2 / cycles)
        turned.append(asked.curvature_per_m)
    assert 0.002 < turned[0] < 0.018
    assert turned[0] == pytest.approx(turned[1], rel=0.1)


def test_a_wheel_is_not_turned_at_a_standstill():
    plan = Plan.of(arc(0.05, 0.0, 1.0), NONE, 0.0)
    asked, _ = ask(CONFIG, plan, Asked(-0.01, 0.0), Trim(0.0), EgoState(0.0, 0.0, 0.0, 0.0, 0.0), 0.05)
    assert asked.curvature_per_m == -0.01
    assert asked.acceleration_mps2 > 0


def test_the_last_metre_before_a_stop_leaves_the_wheel_where_it_is():
    positions = arc(0.0, 0.0)
    positions[1:, 0] = np.minimum(0.8 * TRAJECTORY_TIMES_S[1:], 0.6)
    positions[10:, 1] = 0.1
    asked, trim, plan = Asked(0.05, 0.0), Trim(0.0), Plan.of(positions, NONE, 0.0)
    for number in range(20):
        asked, trim = ask(CONFIG, plan, asked, trim, EgoState(0.05 * number, 0.0, 0.0, 0.0, 0.6), 0.05)
    assert asked.curvature_per_m == pytest.approx(0.05, abs=0.004)


def test_a_plan_that_never_moves_leaves_the_wheel_where_it_is():
    still = np.zeros((33, 3), np.float32)
    assert wanted(CONFIG, Plan.of(still, NONE, 0.0), 0.3, 0.04).curvature_per_m == 0.04


def test_the_action_is_taken_as_stated_where_that_is_asked():
    plan = Plan.of(arc(0.01, 10.0), Asked(-0.003, 0.7), 0.0)
    assert wanted(ControllerConfig(reads="action"), plan, 0.1) == Asked(-0.003, 0.7)


def test_a_plan_that_stands_has_no_direction_whatever_its_noise():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.004, (33, 3)).astype(np.float32)
    plan = Plan.of(noise, NONE, 0.0)
    assert np.abs(plan.heading_rad).max() < math.pi
    standing = EgoState(0.0, 0.0, 0.0, 0.0, 0.0)
    asked, _ = ask(CONFIG, plan, NONE, Trim(0.0), standing, 0.05)
    assert asked.acceleration_mps2 < 0
    assert asked.curvature_per_m == 0.0


@pytest.mark.parametrize("acceleration", [0.15, 1.0])
def test_moving_off_is_asked_for_however_gently(acceleration):
    plan = Plan.of(arc(0.0, 0.0, acceleration), NONE, 0.0)
    asked, _ = ask(CONFIG, plan, NONE, Trim(0.0), EgoState(0.0, 0.0, 0.0, 0.0, 0.0), 0.05)
    assert asked.acceleration_mps2 == pytest.approx(acceleration, abs=0.1)


@FEW
@given(st.floats(-1, 1), st.floats(-20, 20), st.floats(-0.05, 0.05), st.floats(0, 40))
def test_nothing_is_asked_beyond_the_limits(curvature, acceleration, last, speed):
    squared = max(speed, 1.0) ** 2
    last = max(-3.0 / squared, min(3.0 / squared, last))
    asked = within_limits(CONFIG, Asked(curvature, acceleration), Asked(last, 0.0), speed, 0.05)
    assert abs(asked.curvature_per_m) * squared <= 3.0 + 1e-9
    assert abs(asked.curvature_per_m - last) * squared <= 5.0 * 0.05 + 1e-9
    assert abs(asked.curvature_per_m - last) <= 0.1 * 0.05 + 1e-9
    assert -3.5 <= asked.acceleration_mps2 <= 2.0


def test_the_trim_learns_what_the_vehicle_lacks_and_stops_when_it_lacks_nothing():
    trim, wish = Trim(0.01), Asked(0.01, 0.0)
    for _ in range(400):
        # A vehicle that turns 0.001 per metre less than it is asked.
        turned = 0.01 + trim.added_per_m - 0.001
        trim = trim.after(CONFIG, wish, EgoState(0.0, 0.0, 0.0, 0.0, 20.0, 0.0, turned * 20.0), 0.05)
    assert trim.added_per_m == pytest.approx(0.001, abs=1e-5)


def test_a_configuration_that_cannot_work_is_refused():
    with pytest.raises(ConfigError, match="expected delays that add up to more than 0"):
        ControllerConfig(actuator_delay_s=0.0, other_delays_s=0.0)
    with pytest.raises(ConfigError, match=r"expected a trim_s of at least 0.5, got 0.1; use inf"):
        ControllerConfig(trim_s=0.1)
    with pytest.raises(ConfigError, match="max_lateral_mps2 must be above zero"):
        ControllerConfig(max_lateral_mps2=0.0)
