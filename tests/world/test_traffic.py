"""Traffic flows without collisions, minds the ego, and is the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from dojo.world.following import Following
from dojo.world.road import Road, RoadKind
from dojo.world.road_design import make_road
from dojo.world.traffic import AHEAD_M, BEHIND_M, Agent, EgoPlace, Traffic


def overlaps(traffic: Traffic, ego: EgoPlace) -> list[str]:
    """Every pair of bodies that share a lane and a place."""
    bodies = [(a.s_m, a.length_m, set(a.lanes), f"agent {i}") for i, a in enumerate(traffic.agents)]
    bodies.append((ego.s_m, ego.length_m, set(ego.lanes), "ego"))
    return [
        f"{one[3]} and {other[3]}"
        for i, one in enumerate(bodies)
        for other in bodies[:i]
        if one[2] & other[2] and abs(one[0] - other[0]) < (one[1] + other[1]) / 2
    ]


def flow(road: Road, seed: int, seconds: float, speed_of: np.ndarray) -> tuple[Traffic, list[str], list[int]]:
    """An ego that heeds nobody but the one ahead, in flowing traffic."""
    s_m, collisions, counts = 300.0, [], []
    ego = EgoPlace(s_m, (0,), float(speed_of[0]), 4.7)
    traffic = Traffic(road, ego, seed)
    for i in range(int(seconds / 0.05)):
        leader = traffic.leader(0)
        speed = min(float(speed_of[i % len(speed_of)]), max(0.0, leader.gap_m - 4.0) / 1.5)
        s_m += speed * 0.05
        if s_m > road.length_m - 300.0:
            break
        ego = EgoPlace(s_m, (0,), speed, 4.7)
        traffic.step(ego, 0.05)
        collisions += overlaps(traffic, ego)
        counts.append(len(traffic.agents))
    return traffic, collisions, counts


@pytest.mark.parametrize("kind", ["rural", "suburban", "motorway"])
@pytest.mark.parametrize("seed", [0, 1])
def test_nobody_ever_collides(kind: RoadKind, seed: int) -> None:
    cruise = {"rural": 20.0, "suburban": 10.0, "motorway": 26.0}[kind]
    # The ego brakes to a crawl and recovers, over and over.
    speeds = cruise * (0.55 + 0.45 * np.sin(np.arange(600) / 600 * 2 * np.pi))
    _, collisions, counts = flow(make_road(seed, kind), seed, 40.0, speeds)
    assert collisions == []
    assert np.mean(counts) > 1.0


def test_agents_live_only_in_the_window_about_the_ego() -> None:
    traffic, _, _ = flow(make_road(1, "motorway"), 1, 30.0, np.array([25.0]))
    ego_m = traffic._ego.s_m
    assert traffic.agents
    assert all(ego_m - BEHIND_M - 20.0 < a.s_m < ego_m + AHEAD_M + 40.0 for a in traffic.agents)


def test_both_directions_are_driven_and_each_in_its_own_lanes() -> None:
    road = make_road(2, "motorway")
    traffic, _, _ = flow(road, 3, 20.0, np.array([22.0]))
    assert {a.sense for a in traffic.agents} == {1, -1}
    assert all((a.lane, a.sense) in road.directed_lanes for a in traffic.agents)


def test_those_behind_stop_behind_a_standing_ego() -> None:
    road = make_road(0, "suburban")
    ego = EgoPlace(800.0, (0,), 0.0, 4.7)
    traffic = Traffic(road, ego, 5)
    traffic.agents = [agent(740.0, 0, 12.0)]
    for _ in range(400):
        traffic.step(ego, 0.05)
        traffic.agents = traffic.agents[:1]  # only the one looked at; newcomers are not the question
    behind = traffic.follower(0)
    assert traffic.agents[0].speed_mps < 0.1
    assert 1.0 < behind.gap_m < 6.0


def test_those_ahead_wait_at_a_red_light_and_go_when_it_is_gone() -> None:
    road = make_road(0, "suburban")
    ego = EgoPlace(700.0, (), 0.0, 4.7)
    traffic = Traffic(road, ego, 5)
    traffic.agents = [agent(740.0, 0, 9.0)]
    for _ in range(300):
        traffic.step(ego, 0.05, red_light_m=790.0)
        traffic.agents = traffic.agents[:1]
    front_m = traffic.agents[0].s_m + traffic.agents[0].length_m / 2
    assert traffic.agents[0].speed_mps < 0.2
    assert 785.0 < front_m < 790.5
    for _ in range(200):
        traffic.step(ego, 0.05)
        traffic.agents = traffic.agents[:1]
    assert traffic.agents[0].speed_mps > 3.0


def test_bodies_stand_in_their_lanes_and_face_the_way_they_drive() -> None:
    road = make_road(2, "motorway")
    traffic, _, _ = flow(road, 3, 20.0, np.array([22.0]))
    for one, body in zip(traffic.agents, traffic.bodies(), strict=True):
        s_m, lateral_m = road.locate(body.x_m, body.y_m, one.s_m)
        assert s_m == pytest.approx(one.s_m, abs=1e-3)
        assert lateral_m == pytest.approx(traffic.lateral_m(one), abs=1e-3)
        facing = np.cos(body.yaw_rad - float(road.pose(s_m).yaw_rad))
        assert facing * one.sense > 0.95
        assert (body.blinker == "off") == (one.origin is None)


def test_bodies_move_on_between_steps() -> None:
    road = make_road(2, "motorway")
    traffic, _, _ = flow(road, 3, 5.0, np.array([22.0]))
    for one, now, later in zip(traffic.agents, traffic.bodies(), traffic.bodies(0.04), strict=True):
        moved = np.hypot(later.x_m - now.x_m, later.y_m - now.y_m)
        # The road's curve makes it a little more or less than along the reference line.
        assert moved == pytest.approx(0.04 * one.speed_mps, rel=0.05, abs=0.02)


def test_the_same_seed_gives_the_same_traffic() -> None:
    road = make_road(4, "motorway")
    runs = [flow(road, 7, 10.0, np.array([24.0]))[0].agents for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0] != flow(road, 8, 10.0, np.array([24.0]))[0].agents


def agent(s_m: float, lane: int, speed_mps: float) -> Agent:
    return Agent(
        kind="car", s_m=s_m, lane=lane, sense=1, speed_mps=speed_mps, length_m=4.5, width_m=1.8, height_m=1.5, look=1,
        speed_factor=1.0, offset_m=0.0, following=Following(),
    )  # fmt: skip
