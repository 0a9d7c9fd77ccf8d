"""The suites are played where they say: the simulated world has the stretches, the lanes and the cast they ask for."""

from __future__ import annotations

import numpy as np
import pytest

from dojo.evaluate.plant import IdealCar
from dojo.evaluate.suites import SUITES
from dojo.records import Scenario
from dojo.world.simulator import WorldSimulator

ALL = [scenario for suite in SUITES.values() for scenario in suite(0)]


def begun(scenario: Scenario):
    simulator = WorldSimulator()
    state, start = simulator.begin(scenario)
    return state, simulator.truth(state, start.ego), start.ego


def test_every_scenario_begins_within_its_lane_touching_nobody_with_road_enough():
    for scenario in ALL:
        state, truth, ego = begun(scenario)
        assert truth.contact == "none", scenario.scenario_id
        assert not truth.off_road, scenario.scenario_id
        assert abs(truth.across_m) < truth.lane_width_m / 2, scenario.scenario_id
        assert ego.speed_mps > 5.0, scenario.scenario_id
        left_m = state.road.length_m - 320.0 - state.start_m
        assert left_m > 0.9 * ego.speed_mps * scenario.duration_s, scenario.scenario_id


def test_lane_centring_is_played_on_straights_and_in_bends_to_both_sides():
    for scenario in SUITES["lane_centring"](0):
        state, _, ego = begun(scenario)
        curvature = state.road.pose(state.start_m + np.arange(0.0, 130.0, 5.0)).curvature_per_m
        stretch = scenario.place["stretch"]
        turned_rad = float(curvature.mean()) * 130.0
        if stretch == "straight":
            assert np.abs(curvature).max() * ego.speed_mps**2 < 0.3, scenario.scenario_id
        else:
            side = 1 if stretch == "left" else -1
            assert side * turned_rad > 0.08, scenario.scenario_id


def test_bends_of_the_curve_speed_suite_are_too_fast_for_the_road_before_them():
    for scenario in SUITES["curve_speed"](0):
        state, _, ego = begun(scenario)
        curvature = state.road.pose(state.start_m + np.arange(0.0, 220.0, 2.0)).curvature_per_m
        assert np.abs(curvature).max() * ego.speed_mps**2 > 3.0, scenario.scenario_id


@pytest.mark.parametrize("suite", ["leader", "cut_in"])
def test_who_never_brakes_collides_and_is_at_fault(suite):
    simulator, car = WorldSimulator(), IdealCar()
    ends = []
    for scenario in SUITES[suite](0)[::2]:
        state, start = simulator.begin(scenario)
        ego, truth = start.ego, simulator.truth(state, start.ego)
        while ego.time_s < scenario.duration_s and truth.contact == "none":
            ego = car.step(ego, truth.curvature_per_m, 0.0, 0.05)
            state = simulator.step(state, ego, 0.05)
            truth = simulator.truth(state, ego)
        ends.append(truth.contact)
    assert ends == ["at_fault"] * 6


@pytest.mark.parametrize("suite", ["leader", "cut_in"])
def test_the_cast_is_there(suite):
    for scenario in SUITES[suite](0):
        state, _, _ = begun(scenario)
        assert sum(agent.part is not None for agent in state.traffic.agents) == 1


def test_lane_changes_have_a_lane_to_change_to():
    for scenario in SUITES["lane_change"](0):
        state, _, _ = begun(scenario)
        target = state.place.lane + scenario.goal.lanes_left
        assert target in state.road.lanes_beside(state.place.lane)
