"""The driver keeps a human's line and a human's speeds, brakes before curves, signals, stops and moves off."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest

from dojo.world.driver import NOBODY, Action, Driver, Neighbour, Stop, Style, Wander, plan_stops, profile_of
from dojo.world.road import Road, RoadKind
from dojo.world.road_design import make_road
from dojo.world.vehicle import VehicleParameters, VehicleState, step

DT_S = 0.05


@dataclass
class Scripted:
    """Surroundings as a test wants them."""

    leaders: dict[int, Neighbour] = field(default_factory=dict)
    followers: dict[int, Neighbour] = field(default_factory=dict)

    def leader(self, lane: int) -> Neighbour:
        return self.leaders.get(lane, NOBODY)

    def follower(self, lane: int) -> Neighbour:
        return self.followers.get(lane, NOBODY)


@dataclass
class Trip:
    """What happened, step by step."""

    road: Road
    driver: Driver
    states: list[VehicleState] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    s_m: list[float] = field(default_factory=list)
    off_centre_m: list[float] = field(default_factory=list)
    changing: list[bool] = field(default_factory=list)

    @property
    def speed_mps(self) -> np.ndarray:
        return np.array([state.speed_mps for state in self.states])


def drive(
    kind: RoadKind,
    seed: int,
    seconds: float,
    *,
    style: Style | None = None,
    stops: tuple[Stop, ...] = (),
    around: Callable[[VehicleState, Driver], Scripted] = lambda _state, _driver: Scripted(),
) -> Trip:
    road, car = make_road(seed, kind), VehicleParameters.draw(seed)
    style = style or Style.draw(seed)
    x, y, _ = (float(v) for v in road.point(150.0, road.lane_centre_m(0)))
    speed = float(profile_of(road, style)[38])
    state = VehicleState(0.0, x, y, float(road.pose(150.0).yaw_rad), speed)
    driver = Driver(style, car, road, lane=0, s_m=150.0, stops=stops, seed=seed)
    trip = Trip(road, driver)
    for _ in range(int(seconds / DT_S)):
        action = driver.act(state, around(state, driver), DT_S)
        state = step(car, state, action.command, DT_S)
        trip.states.append(state)
        trip.actions.append(action)
        trip.s_m.append(driver.s_m)
        trip.off_centre_m.append(driver.lateral_m - road.lane_centre_m(driver.lane))
        trip.changing.append(len(driver.lanes) > 1)
    return trip


@cache
def alone(kind: RoadKind, seed: int) -> Trip:
    return drive(kind, seed, 50.0)


TRIPS = [(kind, seed) for kind in ("rural", "suburban", "motorway") for seed in range(2)]


@pytest.mark.parametrize(("kind", "seed"), TRIPS)
def test_the_line_wanders_like_a_persons_and_stays_in_the_lane(kind: RoadKind, seed: int) -> None:
    trip = alone(kind, seed)
    off = np.array(trip.off_centre_m)[~np.array(trip.changing)]
    # On-road studies of attentive drivers: standard deviation of 0.1 to 0.35 m, rarely beyond the lane's own slack.
    assert 0.08 < off.std() < 0.35
    assert np.abs(off).max() < 1.0
    assert abs(off.mean()) < 0.4


@pytest.mark.parametrize(("kind", "seed"), TRIPS)
def test_speeds_and_accelerations_are_those_of_comfortable_driving(kind: RoadKind, seed: int) -> None:
    trip = alone(kind, seed)
    limits = np.asarray(trip.road.speed_limit_mps(np.array(trip.s_m)))
    lateral = np.array([s.speed_mps * s.yaw_rate_radps for s in trip.states])
    along = np.array([s.acceleration_mps2 for s in trip.states])
    assert (trip.speed_mps < 1.4 * limits).all()
    assert trip.speed_mps.mean() > 0.55 * limits.mean()
    assert np.abs(lateral).max() < 3.5
    assert along.min() > -4.0
    assert along.max() < 2.5


def test_speed_is_far_from_constant_over_the_fleet() -> None:
    spread = [alone(kind, seed).speed_mps.std() for kind, seed in TRIPS if kind != "motorway"]
    assert np.mean(spread) > 1.0


def test_speed_falls_before_the_curve_and_not_in_it() -> None:
    trip = alone("rural", 0)
    profile = profile_of(trip.road, Style.draw(0))
    curve = np.abs(trip.road.pose(np.arange(len(profile)) * 4.0).curvature_per_m) > 1 / 250
    inside = np.array([curve[min(int(s / 4.0), len(curve) - 1)] for s in trip.s_m])
    braking = np.array([s.acceleration_mps2 < -0.8 for s in trip.states])
    if not (braking.any() and inside.any()):
        pytest.skip("this road has no curve to brake for")
    assert (braking & ~inside).sum() > (braking & inside).sum()


def test_the_driver_stops_at_the_line_waits_as_long_as_it_must_and_moves_off() -> None:
    trip = drive("suburban", 1, 60.0, stops=(Stop(400.0, 4.0),))
    standing = np.flatnonzero(trip.speed_mps < 0.1)
    assert 4.0 <= len(standing) * DT_S < 8.0
    car = VehicleParameters.draw(1)
    front_m = trip.s_m[standing[0]] + car.length_m - car.rear_overhang_m
    assert 396.0 < front_m < 401.0
    assert trip.speed_mps[-1] > 3.0
    assert all(trip.actions[i].brake for i in standing[:-20])


def test_behind_a_slow_leader_the_gap_settles_at_the_equilibrium_of_its_model() -> None:
    leader_mps = 8.0
    begin: dict[str, float] = {}

    def behind(state: VehicleState, driver: Driver) -> Scripted:
        begin.setdefault("s_m", driver.s_m + 40.0)
        gap = begin["s_m"] + leader_mps * state.time_s - driver.s_m
        return Scripted({0: Neighbour(gap, leader_mps)})

    style = Style(speed_wander=1e-9, wander_m=1e-9)
    trip = drive("rural", 3, 60.0, style=style, around=behind)
    gap = begin["s_m"] + leader_mps * trip.states[-1].time_s - trip.s_m[-1]
    wished = 25.0  # far above the leader's: the equilibrium hardly depends on it
    expected = (2.0 + leader_mps * 1.5) / math.sqrt(1 - (leader_mps / wished) ** 4)
    assert trip.speed_mps[-1] == pytest.approx(leader_mps, abs=0.2)
    assert gap == pytest.approx(expected, rel=0.1)


def test_a_slow_leader_on_a_motorway_is_overtaken_and_the_blinker_comes_one_to_three_seconds_before() -> None:
    def slow(state: VehicleState, driver: Driver) -> Scripted:
        return Scripted({0: Neighbour(max(25.0, 70.0 - 2 * state.time_s), 17.0)})

    trip = drive("motorway", 2, 40.0, around=slow)
    first_blink = next(i for i, a in enumerate(trip.actions) if a.blinker_left)
    first_move = next(i for i, changing in enumerate(trip.changing) if changing)
    assert 1.0 <= (first_move - first_blink) * DT_S <= 3.2
    assert not any(a.blinker_right for a in trip.actions[first_blink:first_move])
    assert trip.driver.lane == 1
    assert abs(trip.off_centre_m[-1]) < 1.0


def test_nobody_changes_into_an_occupied_lane() -> None:
    occupied = Scripted({0: Neighbour(25.0, 15.0), 1: Neighbour(3.0, 15.0)}, {1: Neighbour(3.0, 25.0)})
    trip = drive("motorway", 2, 20.0, around=lambda _state, _driver: occupied)
    assert not any(trip.changing)
    assert not any(a.blinker_left or a.blinker_right for a in trip.actions)


def test_the_wander_has_the_spread_and_memory_it_is_given() -> None:
    wander = Wander(0.2, 5.0, np.random.default_rng(0))
    values = np.array([wander.step(0.5) for _ in range(40_000)])
    assert values.std() == pytest.approx(0.2, rel=0.05)
    lag = 10  # five seconds
    assert np.corrcoef(values[:-lag], values[lag:])[0, 1] == pytest.approx(math.exp(-1), abs=0.05)


def test_stops_come_in_order_within_the_road_and_never_on_a_motorway() -> None:
    road = make_road(5, "suburban")
    stops = plan_stops(road, 1)
    assert stops == plan_stops(road, 1)
    assert [s.s_m for s in stops] == sorted(s.s_m for s in stops)
    assert all(150.0 < s.s_m < road.length_m for s in stops)
    assert plan_stops(make_road(5, "motorway"), 1) == ()


def test_the_same_seed_drives_the_same_trip() -> None:
    first, again = drive("rural", 4, 10.0), drive("rural", 4, 10.0)
    assert first.states == again.states
    assert first.actions == again.actions
