"""The car measures itself as cars do: nearly right, in steps, and late."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dojo.geometry.place import ecef_from_geodetic, world_from_ecef
from dojo.world.driver import Action
from dojo.world.sensors import SPEED_STEP_MPS, SensorErrors, Sensors
from dojo.world.teslacam import SeiMetadata
from dojo.world.vehicle import Command, VehicleState

ORIGIN = (48.0, 11.0, 500.0)
LEVERS = Action(Command(0.0, 0.0), blinker_left=True, blinker_right=False, brake=True, accelerator=0.25)
PERFECT = SensorErrors(
    gnss_drift_m=0.0, gnss_noise_m=0.0, gnss_period_s=0.0, heading_deg=0.0, acceleration_mps2=0.0
)  # fmt: skip


def state(time_s: float = 0.0) -> VehicleState:
    return VehicleState(time_s, 120.0 + time_s, -40.0, math.radians(30.0), 12.34, 0.8, 0.1, math.radians(45.0))


def read(errors: SensorErrors, *times_s: float) -> list[SeiMetadata]:
    sensors = Sensors(errors, ORIGIN, 1)
    return [sensors.read(state(time_s), 3.0, LEVERS, 7 + i) for i, time_s in enumerate(times_s)]


def place_m(message: SeiMetadata) -> np.ndarray:
    at = ecef_from_geodetic(np.array(message.latitude_deg), np.array(message.longitude_deg), np.array(503.0))
    return world_from_ecef(*ORIGIN).apply(at)


def test_perfect_sensors_tell_the_truth_in_the_formats_units_and_signs() -> None:
    (message,) = read(PERFECT, 0.0)
    assert message.frame_seq_no == 7
    assert message.vehicle_speed_mps == pytest.approx(12.34, abs=SPEED_STEP_MPS / 2)
    assert message.steering_wheel_angle == pytest.approx(-45.0)  # the truth is to the left, the format's plus is right
    assert message.heading_deg == pytest.approx(60.0)  # 30 degrees from east is 60 from north
    assert message.accelerator_pedal_position == pytest.approx(25.0, abs=0.21)
    assert (message.blinker_on_left, message.blinker_on_right, message.brake_applied) == (True, False, True)
    assert message.linear_acceleration_mps2_x == pytest.approx(0.8)
    assert message.linear_acceleration_mps2_y == pytest.approx(12.34 * 0.1)
    assert place_m(message)[:2] == pytest.approx([120.0, -40.0], abs=1e-3)


def test_a_fix_is_repeated_until_the_next_one_comes() -> None:
    messages = read(replace(PERFECT, gnss_period_s=1.0), 0.0, 0.5, 1.0)
    assert messages[0].latitude_deg == messages[1].latitude_deg
    assert messages[0].longitude_deg == messages[1].longitude_deg
    assert place_m(messages[2])[0] - place_m(messages[1])[0] == pytest.approx(1.0, abs=1e-3)


def test_positions_drift_by_metres_over_minutes_and_not_from_frame_to_frame() -> None:
    times = [0.1 * i for i in range(6000)]
    errors = replace(PERFECT, gnss_drift_m=1.0)
    off = np.array([place_m(m)[0] - (120.0 + t) for m, t in zip(read(errors, *times), times, strict=True)])
    assert 0.4 < off.std() < 2.0
    assert np.abs(np.diff(off)).max() < 0.3


def test_numbers_that_travel_as_32_bit_floats_are_rounded_to_them_already() -> None:
    for message in read(SensorErrors.draw(4), 0.0, 0.1):
        for value in (message.vehicle_speed_mps, message.steering_wheel_angle, message.accelerator_pedal_position):
            assert value == float(np.float32(value))
