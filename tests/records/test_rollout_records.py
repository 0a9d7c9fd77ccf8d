"""Records of rollouts refuse what contradicts itself."""

from __future__ import annotations

import math

import pytest

from dojo.errors import RecordError
from dojo.records import Disturbance, EgoPlant, Request, Scenario, Truth


def test_scenarios_need_a_name_a_seed_and_an_end():
    with pytest.raises(RecordError, match="expected an id and a suite, got an empty one"):
        Scenario("", "s", {}, 0, 1.0)
    for seed, duration_s in ((-1, 1.0), (0, 0.0), (0, math.inf), (0, math.nan)):
        with pytest.raises(RecordError, match="scenario a: expected a finite duration and a seed from zero"):
            Scenario("a", "s", {}, seed, duration_s)


def test_requests_ask_for_something_at_a_time_that_comes():
    assert Request("lane_change_left", 0.0).kept_s == 10.0
    with pytest.raises(RecordError, match=r"request: expected one of .*, got 'none'"):
        Request("none", 1.0)
    with pytest.raises(RecordError, match=r"expected times from zero, got at_s -1.0"):
        Request("turn_left", -1.0)


@pytest.mark.parametrize(
    "wrong", [{"steering_delay_s": -0.1}, {"steering_delay_s": 1.1}, {"steering_gain": 0.4}, {"wind_mps2": -1.0}]
)
def test_plants_stay_within_what_a_vehicle_can_be(wrong):
    with pytest.raises(RecordError, match=r"ego plant: expected a delay within 1 s, a gain from 0.5 to 2"):
        EgoPlant(**wrong)


def test_a_body_has_a_size():
    with pytest.raises(RecordError, match=r"ego plant: expected a body with a size, got 0.0 m by"):
        EgoPlant(length_m=0.0)


@pytest.mark.parametrize("wrong", [{"latency_s": 2.5}, {"dropped_share": 1.0}, {"camera_yaw_rad": 0.5}])
def test_disturbances_leave_something_to_drive_with(wrong):
    with pytest.raises(RecordError, match="disturbance: expected a latency within 2 s"):
        Disturbance(**wrong)


def test_across_counts_from_the_lane_that_the_ego_began_in():
    truth = Truth(-0.4, 0.0, 1, 3.5, 0.0, 0.0, 20.0)
    assert truth.across_m == pytest.approx(3.1)
