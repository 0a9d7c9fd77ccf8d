"""The plant drives exact circles, answers late, and stays within its limits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.world.vehicle import Command, VehicleParameters, VehicleState, step


def settled(parameters: VehicleParameters, speed_mps: float, wheel_rad: float) -> VehicleState:
    """A vehicle that has been turning for a while."""
    curvature = parameters.curvature_per_m(wheel_rad, speed_mps)
    return VehicleState(
        0.0, 0.0, 0.0, 0.0, speed_mps, 0.0, speed_mps * curvature, wheel_rad, wheel_rad, waiting=()
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    speed_mps=st.floats(2.0, 35.0),
    wheel_rad=st.floats(-1.0, 1.0).filter(lambda a: abs(a) > 0.01),
    dt_s=st.floats(0.005, 0.2),
    seed=st.integers(0, 99),
)
def test_a_constant_wheel_at_constant_speed_drives_the_circle_of_the_closed_form(
    speed_mps: float, wheel_rad: float, dt_s: float, seed: int
) -> None:
    parameters = VehicleParameters.draw(seed)
    radius_m = (parameters.wheelbase_m + parameters.understeer_rad_per_mps2 * speed_mps**2) / math.tan(
        wheel_rad / parameters.steering_ratio
    )
    state = settled(parameters, speed_mps, wheel_rad)
    for _ in range(50):
        state = step(parameters, state, Command(wheel_rad, 0.0), dt_s)
    angle = speed_mps * 50 * dt_s / radius_m
    # Rounding only: fifty chords of an exact arc; 1e-6 m per kilometre of radius.
    assert state.x_m == pytest.approx(radius_m * math.sin(angle), abs=1e-6 + 1e-9 * abs(radius_m))
    assert state.y_m == pytest.approx(radius_m * (1 - math.cos(angle)), abs=1e-6 + 1e-9 * abs(radius_m))
    assert state.yaw_rad == pytest.approx(angle, rel=1e-9, abs=1e-9)


def test_at_speed_an_understeering_car_turns_less_for_the_same_wheel() -> None:
    parameters = VehicleParameters()
    assert parameters.curvature_per_m(0.5, 30.0) < 0.55 * parameters.curvature_per_m(0.5, 1.0)


@settings(max_examples=30, deadline=None)
@given(curvature=st.floats(-0.1, 0.1), speed_mps=st.floats(0, 40), seed=st.integers(0, 99))
def test_the_wheel_angle_for_a_curvature_is_the_inverse_of_the_curvature(
    curvature: float, speed_mps: float, seed: int
) -> None:
    parameters = VehicleParameters.draw(seed)
    wheel = parameters.steering_wheel_rad(curvature, speed_mps)
    assert parameters.curvature_per_m(wheel, speed_mps) == pytest.approx(curvature, abs=1e-12)


def test_the_wheel_stands_still_for_the_delay_and_then_follows_with_its_time_constant() -> None:
    parameters = VehicleParameters(steering_delay_s=0.1, steering_lag_s=0.2, steering_rate_limit_radps=100.0)
    state, angles = settled(parameters, 10.0, 0.0), []
    for _ in range(50):
        state = step(parameters, state, Command(1.0, 0.0), 0.01)
        angles.append(state.steering_wheel_rad)
    assert angles[9] == 0.0
    assert angles[10] > 0.0
    assert angles[29] == pytest.approx(1 - math.exp(-1), abs=1e-9)  # one time constant after the delay


def test_the_wheel_never_turns_faster_than_its_rate_limit_nor_beyond_its_stop() -> None:
    parameters = VehicleParameters(steering_rate_limit_radps=2.0, steering_limit_rad=3.0)
    state, before = settled(parameters, 5.0, 0.0), 0.0
    for _ in range(200):
        state = step(parameters, state, Command(50.0, 0.0), 0.05)
        assert state.steering_wheel_rad - before <= 2.0 * 0.05 + 1e-12
        before = state.steering_wheel_rad
    assert before == pytest.approx(3.0, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(asked=st.floats(-20, 20), speed_mps=st.floats(0, 40), seed=st.integers(0, 99))
def test_acceleration_stays_within_what_motor_and_brakes_give_and_speed_never_falls_below_zero(
    asked: float, speed_mps: float, seed: int
) -> None:
    parameters = VehicleParameters.draw(seed)
    state = settled(parameters, speed_mps, 0.0)
    for _ in range(100):
        state = step(parameters, state, Command(0.1, asked), 0.05)
        assert -parameters.braking_limit_mps2 <= state.acceleration_mps2 <= parameters.acceleration_limit_mps2
        assert state.speed_mps >= 0.0
    assert state.acceleration_mps2 * state.speed_mps <= parameters.power_limit_m2ps3 * 1.3  # the lag's overshoot


def test_braking_to_a_standstill_covers_the_distance_of_the_closed_form_and_holds() -> None:
    parameters = VehicleParameters(acceleration_lag_s=1e-6)
    state = settled(parameters, 20.0, 0.0)
    for _ in range(400):
        state = step(parameters, state, Command(0.0, -4.0), 0.05)
    assert state.speed_mps == 0.0
    assert state.x_m == pytest.approx(20.0**2 / (2 * 4.0), abs=1e-6)


def test_a_step_is_a_function_of_its_arguments_and_two_halves_make_a_whole_on_a_steady_circle() -> None:
    parameters, state = VehicleParameters(), settled(VehicleParameters(), 12.0, 0.4)
    whole = step(parameters, state, Command(0.4, 0.0), 0.1)
    assert whole == step(parameters, state, Command(0.4, 0.0), 0.1)
    halves = step(parameters, step(parameters, state, Command(0.4, 0.0), 0.05), Command(0.4, 0.0), 0.05)
    assert (halves.x_m, halves.y_m, halves.yaw_rad) == pytest.approx((whole.x_m, whole.y_m, whole.yaw_rad), abs=1e-9)


def test_vehicles_drawn_from_one_seed_are_equal_and_from_another_differ() -> None:
    assert VehicleParameters.draw(3) == VehicleParameters.draw(3)
    assert VehicleParameters.draw(3) != VehicleParameters.draw(4)


def test_a_vehicle_that_cannot_be_is_refused_by_field_and_value() -> None:
    with pytest.raises(ConfigError, match=r"^vehicle: wheelbase_m must be above zero, got 0.0$"):
        VehicleParameters(wheelbase_m=0.0)
    with pytest.raises(ConfigError, match=r"^vehicle: steering_delay_s must not be negative, got -0.1$"):
        VehicleParameters(steering_delay_s=-0.1)
