"""One drive of one vehicle, frame by frame, before anybody has taken a picture of it.

In: a road, a vehicle, a driver's style, a seed. Out: at each frame's time, where everybody is.
Idea: the world moves in steps of 50 ms, but a camera's frames do not come on that grid: each frame's moment is a
partial step of the plant, whose step is a pure function, so looking never disturbs what happens.
Not here: pictures (`render.py`), what the car measures (`sensors.py`), files (`fleet.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dojo.world.driver import Action, Driver, Style, Wander, plan_stops, profile_of
from dojo.world.road import Road
from dojo.world.traffic import Agent, EgoPlace, Traffic
from dojo.world.vehicle import VehicleParameters, VehicleState, step

STEP_S = 0.05
START_MARGIN_M, END_MARGIN_M = 130.0, 320.0
"""Road needed behind and ahead of the ego, so that traffic and the view do not meet the road's ends."""
PITCH_RAD_PER_MPS2, ROLL_RAD_PER_MPS2 = math.radians(0.35), math.radians(0.4)
"""Dive and lean of the body. Source of the order: Gillespie, Fundamentals of Vehicle Dynamics, chapters 6 and 7: a
roll gradient of 2 to 7 degrees per g; Assumed: dive about as much."""


@dataclass(frozen=True)
class Moment:
    """What is the case when a frame is taken.

    Args:
        ego_pose: world x, y (m), yaw (rad), z (m), pitch (nose down) and roll of the ego, as the renderer wants them.
        s_m, lane: where on the road. `since_step_s`: how much later than the last step of `traffic` this is.
    """

    time_ns: int
    end_ns: int
    state: VehicleState
    action: Action
    ego_pose: tuple[float, float, float, float, float, float]
    s_m: float
    lane: int
    traffic: Traffic
    since_step_s: float


def start_m(road: Road, seconds: float, seed: int) -> float:
    """A place to begin from which the road is long enough at its limits, or the first where it is not."""
    s = np.arange(0.0, road.length_m, 10.0)
    needed_s = np.cumsum(10.0 / road.speed_limit_mps(s))
    enough = s[needed_s[-1] - needed_s > seconds + END_MARGIN_M / float(road.speed_limit_mps(road.length_m))]
    last = max(float(enough[-1]) if len(enough) else 0.0, START_MARGIN_M)
    return float(np.random.default_rng((seed, 0x57A7)).uniform(START_MARGIN_M, last))


def frame_times_ns(count: int, fps: float, seed: int) -> list[int]:
    """Times of `count` frames and of the one after, from 0; a camera's clock jitters by 2 ms (assumed)."""
    jitter_s = np.random.default_rng((seed, 0x7173)).normal(0.0, 0.002, count + 1).clip(-0.2 / fps, 0.2 / fps)
    times_s = np.arange(count + 1) / fps + jitter_s
    return [round((t - times_s[0]) * 1e9) for t in times_s.tolist()]


def trip(
    road: Road,
    car: VehicleParameters,
    style: Style,
    *,
    seconds: float,
    fps: float,
    seed: int,
    cast: Callable[[int, float, float], Sequence[Agent]] = lambda _lane, _front_m, _speed_mps: (),
) -> Iterator[Moment]:
    """The moments of one drive; it ends early where the road does.

    The `traffic` of a moment is alive: read it before asking for the next.

    Args:
        cast: agents that are there from the beginning, given the ego's lane, its front bumper and its speed.
    """
    rng = np.random.default_rng((seed, 0x9A17))
    s_m = start_m(road, seconds, seed)
    lane = int(rng.integers(road.lanes_per_direction))
    state = _begin(road, style, s_m, lane, rng)
    stops = tuple(stop for stop in plan_stops(road, seed) if stop.s_m > s_m + 80.0)
    driver = Driver(style, car, road, lane=lane, s_m=s_m, stops=stops, seed=seed)
    front_m = s_m + car.length_m - car.rear_overhang_m
    traffic = Traffic(road, _place(driver, car, state), seed, cast=cast(lane, front_m, state.speed_mps))
    bumps = Wander(math.radians(0.08), 0.3, rng)  # unevenness seen through the springs (assumed)

    times = frame_times_ns(round(seconds * fps), fps, seed)
    action = driver.act(state, traffic, STEP_S)
    for time_ns, end_ns in pairwise(times):
        while state.time_s + STEP_S <= time_ns / 1e9:
            state = step(car, state, action.command, STEP_S)
            traffic.step(_place(driver, car, state), STEP_S, driver.red_light_m)
            action = driver.act(state, traffic, STEP_S)
        if driver.s_m > road.length_m - END_MARGIN_M:
            return
        since_s = time_ns / 1e9 - state.time_s
        seen = step(car, state, action.command, since_s) if since_s > 1e-9 else state
        bump_rad = bumps.step(1 / fps) if seen.speed_mps > 0.5 else 0.0
        pose = ego_pose(road, seen, bump_rad)
        yield Moment(time_ns, end_ns, seen, action, pose, driver.s_m, driver.lane, traffic, since_s)


def ego_pose(road: Road, state: VehicleState, bump_rad: float = 0.0) -> tuple[float, float, float, float, float, float]:
    """World x, y, yaw, z, pitch and roll of the ego, which leans with hill, braking (nose down) and curve."""
    east, north = road.hills.slope(state.x_m, state.y_m)
    cos, sin = math.cos(state.yaw_rad), math.sin(state.yaw_rad)
    uphill, leftwards_up = east * cos + north * sin, -east * sin + north * cos
    pitch = -math.atan(uphill) - PITCH_RAD_PER_MPS2 * state.acceleration_mps2 + bump_rad
    roll = math.atan(leftwards_up) + ROLL_RAD_PER_MPS2 * state.speed_mps * state.yaw_rate_radps
    z_m = float(road.hills.height_m(state.x_m, state.y_m))
    return state.x_m, state.y_m, state.yaw_rad, z_m, pitch, roll


def _begin(road: Road, style: Style, s_m: float, lane: int, rng: np.random.Generator) -> VehicleState:
    """Already driving, a little off the line, as whoever is filmed from the middle of a journey."""
    off_m = float(np.clip(rng.normal(0.0, 0.25), -0.5, 0.5))
    x, y, _ = (float(v) for v in road.point(s_m, road.lane_centre_m(lane) + off_m))
    yaw_rad = float(road.pose(s_m).yaw_rad) + float(rng.normal(0.0, 0.005))
    speed = float(profile_of(road, style)[int(s_m / 4.0)]) * float(rng.uniform(0.7, 1.0))
    return VehicleState(0.0, x, y, yaw_rad, speed)


def _place(driver: Driver, car: VehicleParameters, state: VehicleState) -> EgoPlace:
    middle_m = driver.s_m + car.length_m / 2 - car.rear_overhang_m
    return EgoPlace(middle_m, driver.lanes, state.speed_mps, car.length_m)
