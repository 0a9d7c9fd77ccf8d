"""The simulated world states true facts and shows them; what all simulators promise is in the contract."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dojo.evaluate.plant import IdealCar
from dojo.records import Disturbance, EgoState, Scenario
from dojo.world.simulator import WorldConfig, WorldSimulator


def scenario(seed=1, disturbance=None, **place):
    return Scenario(
        "s", "t", {"road": "motorway", "road_seed": 4, "stretch": "straight", **place}, seed, 8.0,
        disturbance=disturbance or Disturbance(),
    )  # fmt: skip


def moved(ego: EgoState, ahead: float, left: float) -> EgoState:
    c, s = math.cos(ego.yaw_rad), math.sin(ego.yaw_rad)
    return replace(ego, x_m=ego.x_m + c * ahead - s * left, y_m=ego.y_m + s * ahead + c * left)


def test_lanes_are_counted_to_the_left_and_their_width_apart():
    simulator = WorldSimulator()
    state, start = simulator.begin(scenario())
    here = simulator.truth(state, start.ego)
    over = simulator.truth(state, moved(start.ego, 0.0, here.lane_width_m))
    assert (here.lanes_left, over.lanes_left) == (0, 1)
    assert over.offset_m == pytest.approx(here.offset_m, abs=0.02)
    assert over.across_m == pytest.approx(here.lane_width_m, abs=0.02)
    state, start = simulator.begin(scenario(lane=1))
    right = moved(start.ego, 0.0, -here.lane_width_m)
    assert simulator.truth(state, right).lanes_left == -1


def test_off_the_pavement_is_off_the_road():
    simulator = WorldSimulator()
    state, start = simulator.begin(scenario(road="rural"))
    section = state.road.section
    verge_m = section.paved_edge_m - abs(state.road.lane_centre_m(0)) - 1.85 / 2 + 0.15 + 0.3
    assert not simulator.truth(state, moved(start.ego, 0.0, -(verge_m - 0.05))).off_road
    assert simulator.truth(state, moved(start.ego, 0.0, -(verge_m + 0.05))).off_road


def test_the_leader_is_ahead_by_its_gap_and_touching_it_is_at_fault():
    simulator = WorldSimulator()
    state, start = simulator.begin(scenario(cast="leader", gap_s=1.5))
    truth = simulator.truth(state, start.ego)
    assert truth.gap_m == pytest.approx(1.5 * start.ego.speed_mps, rel=0.02)
    assert truth.closing_mps == pytest.approx(0.0, abs=0.1)
    (leader,) = simulator.observe(state, start.ego).others_m
    assert leader[0] == pytest.approx(truth.gap_m + 2.2 + 4.7 - 0.95, abs=0.1)
    assert abs(leader[1]) < 0.2
    nearer = moved(start.ego, truth.gap_m - 0.1, 0.0)
    assert simulator.truth(state, nearer).contact == "none"
    assert simulator.truth(state, moved(start.ego, truth.gap_m + 0.3, 0.0)).contact == "at_fault"
    simulator.end(state)


def test_a_camera_out_of_calibration_shows_the_road_turned_but_is_believed_as_before():
    simulator = WorldSimulator()
    pictures = []
    for yaw in (0.0, math.radians(1.0)):
        state, start = simulator.begin(scenario(disturbance=Disturbance(camera_yaw_rad=yaw)))
        pictures.append((simulator.observe(state, start.ego).frame.y.astype(np.float32), start.camera))
        simulator.end(state)
    (straight, believed), (turned, still) = pictures
    assert np.array_equal(believed.ego_from_camera.rotation, still.ego_from_camera.rotation)
    # Looking left by a degree, everything far away moves right by tan(1 degree) of the focal length: 8 pixels.
    rows = slice(60, 96)
    shifts = range(0, 16)
    errors = [np.abs(turned[rows, 40:-40] - straight[rows, 40 - shift : -40 - shift]).mean() for shift in shifts]
    assert int(np.argmin(errors)) == pytest.approx(455 * math.tan(math.radians(1)), abs=1.1)


def test_weather_in_place_of_the_scenarios_own_darkens_the_picture():
    simulator = WorldSimulator()
    light = []
    for weather in ("", "night"):
        state, start = simulator.begin(scenario(disturbance=Disturbance(weather=weather)))
        light.append(float(simulator.observe(state, start.ego).frame.y.mean()))
        simulator.end(state)
    assert light[1] < 0.75 * light[0]


def test_the_lane_is_where_it_is_in_the_picture():
    """The paint beside the lane is as far from its stated centre as half the lane's width."""
    simulator = WorldSimulator(WorldConfig(direct=True))
    state, start = simulator.begin(scenario(road="motorway", lane=0))
    seen, truth = simulator.observe(state, start.ego), simulator.truth(state, start.ego)
    centre = seen.centre_m[3:6].astype(np.float64)
    for side in (1.0, -1.0):
        # The solid line lies outside the outermost lane, the dashed one on its inner edge.
        across = side * truth.lane_width_m / 2 + (0.15 if side < 0 else 0.0)
        pixels, _ = start.camera.project(centre + np.array([0.0, across, 0.0]))
        found = 0
        for column, row in pixels:
            strip = seen.frame.y[round(row), max(0, round(column) - 12) : round(column) + 13].astype(int)
            found += strip.max() - np.median(strip) > 25
        assert found >= (1 if side > 0 else 3), "dashes have gaps, the solid line has none"
    simulator.end(state)


def test_traffic_brakes_for_the_ego():
    simulator, car = WorldSimulator(), IdealCar()
    state, start = simulator.begin(scenario(along_per_km=14.0))
    ego = replace(start.ego, speed_mps=8.0)
    for _ in range(400):
        ego = car.step(ego, simulator.truth(state, ego).curvature_per_m, 0.0, 0.05)
        state = simulator.step(state, ego, 0.05)
        assert simulator.truth(state, ego).contact == "none"
    behind = state.traffic.follower(0)
    assert behind.gap_m < 60.0
    assert behind.speed_mps < 14.0


def test_the_road_is_over_before_its_end_comes_into_view():
    simulator = WorldSimulator()
    state, start = simulator.begin(scenario())
    end = state.road.point(state.road.length_m - 300.0, state.road.lane_centre_m(0))
    state.s_m = state.road.length_m - 310.0
    assert simulator.truth(state, replace(start.ego, x_m=float(end[0]), y_m=float(end[1]))).road_over
