"""A trip shows the same world however often it is looked at, and ends before its road does."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from dojo.world.driver import Style
from dojo.world.road_design import make_road
from dojo.world.stage import queue_ahead
from dojo.world.trip import END_MARGIN_M, START_MARGIN_M, Moment, ego_pose, frame_times_ns, start_m, trip
from dojo.world.vehicle import VehicleParameters, VehicleState


def moments(fps: float, seconds: float = 6.0, length_m: float = 2000.0) -> list[Moment]:
    road = make_road(1, "rural", length_m)
    return list(trip(road, VehicleParameters.draw(1), Style.draw(1), seconds=seconds, fps=fps, seed=3))


def test_frames_follow_each_other_without_gap_at_the_rate_asked_for_give_or_take_a_jitter() -> None:
    times = np.array(frame_times_ns(400, 20.0, 5))
    assert times[0] == 0
    assert (np.diff(times) > 0).all()
    assert np.diff(times).mean() == pytest.approx(5e7, rel=0.001)
    assert 1e6 < np.diff(times).std() < 5e6
    seen = moments(10.0)
    assert len(seen) == 60
    assert all(a.end_ns == b.time_ns for a, b in pairwise(seen))
    assert [m.state.time_s for m in seen] == pytest.approx([m.time_ns / 1e9 for m in seen])


def test_looking_more_often_does_not_change_what_happens() -> None:
    slow, fast = moments(5.0)[-1], moments(20.0)[-1]
    # The last looks are not at the same instant; at constant speed they lie on one line.
    later_s = (fast.time_ns - slow.time_ns) / 1e9
    assert abs(later_s) < 0.25
    moved = np.hypot(fast.state.x_m - slow.state.x_m, fast.state.y_m - slow.state.y_m)
    assert moved == pytest.approx(abs(later_s) * slow.state.speed_mps, abs=0.05)


def test_behind_a_queue_people_stop_without_touching_it_and_move_off_again() -> None:
    road = make_road(1, "suburban", 2000.0)
    car, style = VehicleParameters.draw(1), Style.draw(1)
    for seed in range(4):
        drive = trip(road, car, style, seconds=30.0, fps=5.0, seed=seed, cast=partial(queue_ahead, road, 1.0, seed))
        speeds, gaps = zip(*((m.state.speed_mps, m.traffic.leader(m.lane).gap_m) for m in drive), strict=True)
        assert min(speeds) < 1.5, seed
        assert speeds[-1] > min(speeds) + 1.0, seed
        assert min(gaps) > 0.5, seed


def test_a_trip_ends_before_the_road_does() -> None:
    road = make_road(1, "rural", 1200.0)
    seen = moments(10.0, seconds=120.0, length_m=1200.0)
    assert seen[0].s_m >= START_MARGIN_M
    assert seen[-1].s_m <= road.length_m - END_MARGIN_M
    assert len(seen) < 1200


def test_a_trip_begins_where_the_road_is_long_enough_for_it() -> None:
    road = make_road(2, "motorway", 5000.0)
    for seed in range(20):
        s_m = start_m(road, 50.0, seed)
        ahead = np.arange(s_m, road.length_m - END_MARGIN_M, 10.0)
        assert (10.0 / road.speed_limit_mps(ahead)).sum() > 49.0


def test_the_body_dives_when_braking_and_leans_out_of_the_curve() -> None:
    road = make_road(1, "rural", 1000.0)
    calm = VehicleState(0.0, 5.0, 5.0, 0.3, 15.0)
    _, _, _, _, pitch, roll = ego_pose(road, calm)
    braking = VehicleState(0.0, 5.0, 5.0, 0.3, 15.0, acceleration_mps2=-3.0)
    turning_left = VehicleState(0.0, 5.0, 5.0, 0.3, 15.0, yaw_rate_radps=0.2)
    assert ego_pose(road, braking)[4] > pitch  # nose down is positive
    assert ego_pose(road, turning_left)[5] > roll  # the left side rises
