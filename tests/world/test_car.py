"""The car of a rollout differs from the one that its controller believes in by what the scenario says."""

from __future__ import annotations

import numpy as np
import pytest

from dojo.records import EgoPlant, EgoState
from dojo.world.car import Car, push_mps2
from dojo.world.vehicle import VehicleParameters

START = EgoState(0.0, 5.0, 6.0, 0.3, 20.0)


def driven(plant, seconds=6.0, curvature=0.005, car=None):
    """States every 50 ms while a constant curvature is asked for."""
    car = car or Car()
    vehicle = car.begin(plant, START, 0.0)
    egos = [car.ego(vehicle)]
    for _ in range(round(seconds / 0.05)):
        vehicle = car.step(vehicle, curvature, 0.0, 0.05)
        egos.append(car.ego(vehicle))
    return egos


def curvature_of(ego):
    return ego.yaw_rate_radps / ego.speed_mps


def test_the_believed_car_settles_at_what_it_is_asked():
    plain = EgoPlant(steering_delay_s=VehicleParameters().steering_delay_s)
    assert curvature_of(driven(plain)[-1]) == pytest.approx(0.005, rel=1e-3)


@pytest.mark.parametrize("gain", [0.9, 1.1])
def test_a_gain_turns_as_much_more_or_less(gain):
    assert curvature_of(driven(EgoPlant(steering_gain=gain))[-1]) == pytest.approx(0.005 * gain, rel=0.01)


def test_a_bias_pulls_to_its_side_when_nothing_is_asked():
    assert curvature_of(driven(EgoPlant(curvature_bias_per_m=-0.001), curvature=0.0)[-1]) == pytest.approx(
        -0.001, rel=0.01
    )


@pytest.mark.parametrize("delay_s", [0.1, 0.4])
def test_the_wheels_turn_after_the_delay_and_not_before(delay_s):
    egos = driven(EgoPlant(steering_delay_s=delay_s))
    began_s = next(ego.time_s for ego in egos if abs(ego.yaw_rate_radps) > 0)
    assert began_s == pytest.approx(delay_s + 0.05, abs=0.051)


def test_gusts_deviate_by_the_wind_and_are_the_same_for_the_same_seed():
    car = Car()
    gusts = car.begin(EgoPlant(wind_mps2=0.3, seed=4), START, 0.0).gusts
    pushes = np.array([push_mps2(gusts, t) for t in np.arange(0, 600, 0.1)])
    assert pushes.std() == pytest.approx(0.3, rel=0.1)
    assert abs(pushes.mean()) < 0.03
    assert gusts == car.begin(EgoPlant(wind_mps2=0.3, seed=4), START, 0.0).gusts
    assert gusts != car.begin(EgoPlant(wind_mps2=0.3, seed=5), START, 0.0).gusts
    blown, calm = driven(EgoPlant(wind_mps2=0.3), curvature=0.0), driven(EgoPlant(), curvature=0.0)
    assert calm[-1].yaw_rad == START.yaw_rad
    assert blown[-1].yaw_rad != START.yaw_rad


def test_it_begins_where_it_is_told_in_the_turn_of_its_lane():
    car = Car()
    vehicle = car.begin(EgoPlant(), START, 0.01)
    ego = car.ego(vehicle)
    assert (ego.x_m, ego.y_m, ego.yaw_rad, ego.speed_mps) == (5.0, 6.0, 0.3, 20.0)
    assert curvature_of(ego) == pytest.approx(0.01)
    after = car.ego(car.step(vehicle, 0.01, 0.0, 0.05))
    assert curvature_of(after) == pytest.approx(0.01, rel=0.01)


def test_a_step_leaves_the_state_that_it_was_given():
    car = Car()
    vehicle = car.begin(EgoPlant(wind_mps2=0.1), START, 0.0)
    first, again = (car.step(vehicle, 0.004, -1.0, 0.05) for _ in range(2))
    assert first == again
    assert car.ego(vehicle) == car.ego(car.begin(EgoPlant(wind_mps2=0.1), START, 0.0))
