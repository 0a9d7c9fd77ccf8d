"""Scenarios find the stretch that they ask for, and the cast does what it is told."""

from __future__ import annotations

import numpy as np
import pytest

from dojo.errors import ConfigError
from dojo.world.road_design import make_road
from dojo.world.stage import Place, cast_of, profile, queue_ahead, start_m
from dojo.world.traffic import Density, EgoPlace, Traffic
from dojo.world.trip import END_MARGIN_M, START_MARGIN_M

NOBODY_ELSE = Density(0.0, 0.0)


def curvature_ahead(place, seed=0):
    road = make_road(place.road_seed, place.road, place.length_m)
    s = start_m(road, place, seed, 8.0)
    return road.pose(s + np.arange(0.0, 130.0, 2.0)).curvature_per_m


@pytest.mark.parametrize("road", ["rural", "suburban", "motorway"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_bend_bends_to_its_side_more_than_a_straight_does(road, seed):
    left, right, straight = (
        curvature_ahead(Place(road, seed, stretch=stretch)) for stretch in ("left", "right", "straight")
    )
    assert left.mean() > 0 > right.mean()
    assert np.abs(straight).max() < min(left.max(), -right.min())
    assert np.abs(straight).max() < 1 / 500


@pytest.mark.parametrize("road", ["rural", "suburban"])
def test_a_slow_bend_begins_fast_and_must_be_driven_slower(road):
    place = Place(road, 5, 16_000.0, stretch="slow_bend")
    made = make_road(5, road, place.length_m)
    begin = start_m(made, place, 0, 15.0)
    wished = profile(made)[int(begin / 4) : int((begin + 240) / 4)]
    assert wished.min() < 0.85 * wished[0]


def test_starts_leave_road_behind_and_before():
    for seed in range(5):
        place = Place("rural", seed, length_m=1500.0)
        road = make_road(seed, "rural", 1500.0)
        s = start_m(road, place, seed, 10.0)
        assert START_MARGIN_M <= s <= 1500.0 - END_MARGIN_M - 27.0 * 10.0


def test_what_the_world_does_not_know_is_refused():
    with pytest.raises(
        ConfigError, match=r"scenario a: expected a place that names some of .*, got colour; correct the"
    ):
        Place.of({"colour": "red"}, "a")
    with pytest.raises(ConfigError, match=r"scenario a: expected road from rural, suburban, motorway, got 'path'"):
        Place.of({"road": "path"}, "a")
    with pytest.raises(ConfigError, match=r"expected a length_m above 590, got 500"):
        start_m(make_road(1, "rural", 500.0), Place("rural", 1, 500.0), 0, 5.0)
    road = make_road(1, "rural")
    with pytest.raises(ConfigError, match=r"expected a lane beside lane 0 to cut in from, and road 1 has none"):
        cast_of(road, Place("rural", 1, cast="cut_in"), 300.0, 20.0)


def played(place, ego_mps, seconds):
    """Gap, speed and lanes of the cast before an ego that never changes its speed."""
    road = make_road(place.road_seed, place.road, place.length_m)
    s_m = 400.0
    cast = cast_of(road, place, s_m + 2.35, ego_mps)
    traffic = Traffic(road, EgoPlace(s_m, (place.lane,), ego_mps, 4.7), 0, NOBODY_ELSE, cast)
    rows = []
    for _ in range(round(seconds / 0.05)):
        (agent,) = traffic.agents
        rows.append(
            (agent.s_m - s_m - 2.35 - agent.length_m / 2, agent.speed_mps, agent.lanes, traffic.lateral_m(agent))
        )
        s_m += ego_mps * 0.05
        traffic.step(EgoPlace(s_m, (place.lane,), ego_mps, 4.7), 0.05)
    gaps, speeds, lanes, laterals = zip(*rows, strict=True)
    return road, np.array(gaps), np.array(speeds), lanes, np.array(laterals)


def test_the_leader_keeps_its_distance_then_stops_stands_and_moves_off():
    place = Place("rural", 4, cast="leader", gap_s=2.0, event_s=3.0, brake_mps2=2.0, stand_s=5.0)
    # An ego at walking pace behind it never comes into its way.
    road = make_road(4, "rural", 4000.0)
    cast = cast_of(road, place, 402.35, 15.0)
    traffic = Traffic(road, EgoPlace(400.0, (0,), 0.1, 4.7), 0, NOBODY_ELSE, cast)
    speeds = []
    for _ in range(600):
        speeds.append(traffic.agents[0].speed_mps)
        traffic.step(EgoPlace(400.0, (0,), 0.1, 4.7), 0.05)
    speed = np.array(speeds)
    assert cast[0].s_m > 400.0
    assert np.allclose(speed[:50], 15.0, atol=1.5)
    standing_s = np.flatnonzero(speed < 0.05) * 0.05
    assert 10.0 < standing_s[0] < 15.0
    assert standing_s[-1] - standing_s[0] > 2.0
    assert speed[-1] > 3.0


def test_who_cuts_in_signals_first_and_comes_over_with_the_gap_that_was_asked_for():
    place = Place("motorway", 4, lane=1, cast="cut_in", gap_s=1.2, slower=0.9, event_s=4.0)
    road, gaps, speeds, lanes, laterals = played(place, 20.0, 9.0)
    begins = round(4.0 / 0.05)
    assert lanes[0] == (0,)
    assert lanes[begins - 25] == (0, 1), "it signals, and so takes up both, before it turns the wheel"
    assert abs(laterals[begins] - road.lane_centre_m(0)) < 0.05
    assert speeds[begins] == pytest.approx(18.0, rel=0.05)
    assert gaps[begins] == pytest.approx(1.2 * 18.0, rel=0.15)
    assert lanes[-1] == (1,)
    assert abs(laterals[-1] - road.lane_centre_m(1)) < 0.05


def test_an_empty_road_stays_empty():
    road = make_road(2, "motorway")
    traffic = Traffic(road, EgoPlace(400.0, (0,), 20.0, 4.7), 0, NOBODY_ELSE)
    for _ in range(200):
        traffic.step(EgoPlace(400.0, (0,), 20.0, 4.7), 0.05)
    assert traffic.agents == []


def test_a_share_of_drives_has_somebody_ahead_who_stops_and_moves_off():
    road = make_road(3, "suburban", 2000.0)
    queues = [queue_ahead(road, 0.25, seed, 0, 300.0, 12.0) for seed in range(400)]
    assert 70 <= sum(map(len, queues)) <= 130
    for (agent,) in filter(None, queues):
        assert 12.0 <= agent.s_m - agent.length_m / 2 - 300.0 <= 30.0
        assert [agent.part.pace_at(t) for t in (0.0, 60.0)] == [1.0, 1.0]
        assert min(agent.part.pace_at(t) for t in np.arange(0, 30, 0.25)) == 0.0
    assert queue_ahead(road, 0.0, 1, 0, 300.0, 12.0) == ()
